"""What carries out a job: the one contract that every executor fulfils."""

from __future__ import annotations

from typing import Protocol

from datafast.engine.job import Job
from datafast.types import RunReport

__all__ = ["Executor"]


class Executor(Protocol):
    """Carries out jobs. `run` blocks and works in any thread; `run_async` is awaited from any event loop."""

    def run(self, job: Job) -> RunReport: ...
    async def run_async(self, job: Job) -> RunReport: ...
