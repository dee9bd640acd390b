"""The protocol of executors, which carry out jobs."""

from __future__ import annotations

from typing import Protocol

from datafast.engine.job import Job
from datafast.types import RunReport

__all__ = ["Executor"]


class Executor(Protocol):
    """Carries out jobs, also several at once."""

    def run(self, job: Job) -> RunReport:
        """Carries out a job and waits for it, in any thread. What interrupts the waiting stops the job and is raised at its end."""
        ...

    async def run_async(self, job: Job) -> RunReport:
        """Carries out a job, awaited from any event loop. Cancellation stops the job and is raised when it has landed."""
        ...

    def stop(self, reason: str = "interrupted") -> None:
        """Interrupts every job: nothing more is sent, and each reports with this reason when its requests have landed.

        Can be called in any thread.
        """
        ...

    @property
    def in_flight(self) -> int:
        """The number of sent requests without an answer, over all jobs. Can be read in any thread."""
        ...

    @property
    def in_flight_by_provider(self) -> dict[str, int]:
        """The same number for each provider, by the name that reports and events give it. Can be read in any thread."""
        ...
