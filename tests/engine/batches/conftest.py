"""Short waits, and a server with batch services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datafast.engine.batches import lookup, service
from tests.servers.batch_server import BatchServer


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as server:
        yield server


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(service, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(lookup, "ON_ITS_WAY_S", 0.3)
