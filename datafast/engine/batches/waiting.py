"""Items that are closed because they wait for a batch, and the watch over open ones that says when that may be.

Nothing of a waiting item is in memory but two integers. It is opened again when its batch has ended, and finds the replies in the ledger.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.shares import Share
    from datafast.llms.base import Response

__all__ = ["ItemParked", "Parked", "Tray", "Waiters"]

T = TypeVar("T")

_TURNS = 3  # of the loop: within so many, all that a kind asks at once has been asked


class Waiters:
    """The items that wait for one batch. `over`: it has ended, and nobody must be added any more."""

    def __init__(self) -> None:
        self._places: dict[Share, array[int]] = {}
        self.over = False

    def __len__(self) -> int:
        return sum(len(places) for places in self._places.values()) // 2

    def add(self, share: Share, position: int, item_id: int) -> None:
        self._places.setdefault(share, array("q")).extend((position, item_id))

    def take(self) -> list[tuple[Share, list[int]]]:
        """The ids of the items of each share, in the order of the plan. They are forgotten here."""
        found = [(share, [item_id for _, item_id in _by_place(places)]) for share, places in self._places.items()]
        self._places = {}
        return found


def _by_place(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield from sorted(zip(places[::2], places[1::2], strict=True))


class ItemParked(BaseException):
    """An item waits for a batch, and is closed until then. Not an Exception, as `ItemPending`."""

    def __init__(self, waiters: Waiters) -> None:
        super().__init__()
        self.waiters = waiters


class Parked:
    """A call that waits for its reply in an open item. `answer` is None where it has to look again what became of it."""

    def __init__(self, call: Call, waiters: Waiters) -> None:
        self.call = call
        self.waiters = waiters
        self.answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

    def wake(self, reply: Response | None = None) -> None:
        if not self.answer.done():
            self.answer.set_result(reply)


class Tray:
    """An open item: which of its calls wait for a batch, and how many are being sent.

    Attributes:
        closed: nothing may be asked any more.
        early: replies of a batch that came before the item asked for them, and after its recorded replies were read, by the keys of calls.
    """

    def __init__(self) -> None:
        self.parked: list[Parked] = []
        self.early: dict[bytes, Response] = {}
        self.closed = False
        self._online = 0
        self._changes = 0
        self._news: asyncio.Future[None] | None = None

    async def park(self, parked: Parked) -> Response | None:
        """Waits for a reply; None: look again."""
        self.parked.append(parked)
        self._changed()
        try:
            return await parked.answer
        finally:
            self.parked.remove(parked)
            self._changed()

    async def online(self, sending: Coroutine[Any, Any, None]) -> None:
        """Sends a request that no batch takes."""
        self._online += 1
        self._changed()
        try:
            await sending
        finally:
            self._online -= 1
            self._changed()

    async def watch(self, produce: Coroutine[Any, Any, T]) -> T:
        """Carries out an item's coroutine.

        Raises:
            ItemParked: all that it waits for are batches. It was cancelled.
        """
        task = asyncio.ensure_future(produce)
        task.add_done_callback(self._changed)
        try:
            while not task.done() and not await self._waits(task):
                pass
            if task.done():
                return task.result()
            raise ItemParked(self.parked[0].waiters)
        finally:
            self.closed = True
            while not task.done():
                task.cancel()
                await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()  # marks it as retrieved

    async def _waits(self, task: asyncio.Future[Any]) -> bool:
        """Waits for a change. Says whether every open call waits for a batch now."""
        if not self.parked or self._online:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
            return False
        for _ in range(_TURNS):
            changes = self._changes
            await asyncio.sleep(0)
            if changes != self._changes:
                return False
        return not task.done()

    def _changed(self, task: object = None) -> None:
        self._changes += 1
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


Resume = Callable[["Share", Sequence[int]], None]
"""Opens items of a share again, given by their ids."""
