"""What is around a run whose output is on this machine: nothing."""

from __future__ import annotations

from typing import Protocol, Self

from datafast.types import RunReport

__all__ = ["LocalRun", "OutputContext"]


class OutputContext(Protocol):
    """What is around the runs of an output."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    def ended(self, report: RunReport) -> RunReport:
        """The report, once what comes behind a run is done."""

    async def ended_async(self, report: RunReport) -> RunReport:
        """The same on an event loop."""


class LocalRun:
    """The context of a run on this machine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def ended(self, report: RunReport) -> RunReport:
        return report

    async def ended_async(self, report: RunReport) -> RunReport:
        return report
