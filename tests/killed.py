"""A run of 20 topics that is killed within a call, for tests that look at what is left (`ForkServer.run("tests.killed:run", ...)`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from datafast.llms import SimulatedProvider
from datafast.llms.base import Request, Response
from datafast.llms.simulated.provider import SimulatedBackend
from tests.support import raw

__all__ = ["dies_at", "run"]


def run(folder: str, at: int, fields: Mapping[str, Any] = MappingProxyType({}), **options: Any) -> None:
    """Never returns: the process is killed when the call of this number, from 1, is sent. `fields` are of the config."""
    dies_at(at)
    raw(Path(folder), topics=20, **fields).generate([SimulatedProvider("m")], **options)


def dies_at(call: int) -> None:
    """Lets this process be killed when the simulated call of this number, from 1, is sent."""
    own, sent = SimulatedBackend.complete, iter(range(1, 1_000))

    async def complete(backend: SimulatedBackend, request: Request) -> Response:
        if next(sent) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return await own(backend, request)

    SimulatedBackend.complete = complete  # type: ignore[method-assign]
