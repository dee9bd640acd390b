"""Who the workers of a run are, whatever starts them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from datafast.errors import DatafastError

if TYPE_CHECKING:
    from datafast.engine.remote.messages import Orders, Report, Setup

__all__ = ["Crew", "Link", "WorkerLostError"]


class WorkerLostError(DatafastError):
    """A worker does not answer any more."""


class Link(Protocol):
    """The way to one worker.

    Attributes:
        place: where it is, for users.
    """

    place: str

    async def begin(self, setup: Setup) -> None:
        """Lets it begin anew with this setup; what it had before is over.

        Raises:
            ConfigError: it cannot: something is missing there.
            WorkerLostError: it does not answer.
        """
        ...

    async def exchange(self, orders: Orders) -> Report:
        """Sends orders, and waits for the next report.

        Raises:
            WorkerLostError: it does not answer.
        """
        ...

    async def last_words(self) -> Report:
        """What it has not told yet, once its lease has lapsed. It ends what it does.

        Raises:
            WorkerLostError: it does not answer.
        """
        ...

    def nudge(self) -> None:
        """Lets it report at once. Returns at once."""
        ...

    async def end(self) -> None:
        """Lets it end what it does, and close its providers. Raises nothing."""
        ...


class Crew(Protocol):
    """All workers of an executor's run.

    Attributes:
        lease_s: a worker of which nothing was heard for so many seconds is lost.
    """

    lease_s: float

    def recruits(self) -> AsyncIterator[Link]:
        """Each worker that is there, and each that comes later; without end.

        Raises:
            ConfigError: none can be had.
        """
        ...

    def lose(self, link: Link) -> None:
        """This worker is not used any more; another may take its place."""
        ...
