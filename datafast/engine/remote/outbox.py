"""What a worker has to tell its driver, in the order in which it happened."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datafast.engine.remote.messages import Entry

__all__ = ["Outbox"]

_TOGETHER_S = 0.004  # what happens in such a time is told together


class Outbox:
    """The entries of one worker. `kept` of them are safe with the driver, `taken` were told."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.taken = 0
        self.kept = 0
        self._added = 0
        self._news = asyncio.Event()
        self._landing: deque[tuple[int, asyncio.Future[None]]] = deque()

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._added += 1
        self._news.set()

    def wake(self) -> None:
        """There is something to tell that is no entry."""
        self._news.set()

    async def news(self, most_s: float) -> None:
        """Waits until there is something to tell, but not longer; and then for what happens at nearly the same time."""
        try:
            async with asyncio.timeout(most_s):
                await self._news.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(_TOGETHER_S, most_s))

    def take(self) -> list[Entry]:
        """All that was not told yet."""
        entries, self._entries = self._entries, []
        self.taken += len(entries)
        self._news.clear()
        return entries

    def keep(self, number: int) -> None:
        """So many entries are safe with the driver. Those who wait for that go on."""
        self.kept = number
        while self._landing and self._landing[0][0] <= number:
            _, waiter = self._landing.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def landed(self) -> None:
        """Waits until everything is safe that was added until now."""
        if self._added <= self.kept:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._landing.append((self._added, waiter))
        await waiter
