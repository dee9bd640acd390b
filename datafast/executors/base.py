"""What carries out a job: the one contract that every executor fulfils."""

from __future__ import annotations

from typing import Protocol

from datafast.engine.job import Job
from datafast.types import RunReport

__all__ = ["Executor"]


class Executor(Protocol):
    """Carries out jobs, several at once if it is asked to."""

    def run(self, job: Job) -> RunReport:
        """Carries out a job and waits for it, in any thread. A KeyboardInterrupt stops the job and is raised again when it has landed."""
        ...

    async def run_async(self, job: Job) -> RunReport:
        """Carries out a job, awaited from any event loop. Cancellation stops the job and is raised again when it has landed."""
        ...

    def stop(self, reason: str = "interrupted") -> None:
        """Interrupts every job: nothing more is sent, and each reports, with this reason, when what is in flight has landed. Any thread."""
        ...

    @property
    def in_flight(self) -> int:
        """Requests that have been sent and not been answered, over all jobs. Any thread."""
        ...
