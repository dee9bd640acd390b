"""Rows in plan order: finished items wait for those before them, within a bounded window.

Nothing waits for an item that will not finish in this run (its provider has stopped): `order_rows` puts its rows in their place at the
end of a later run. Cost: the rows of at most `window` items are held in memory, and all providers go at the pace of the slowest.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

from datafast.engine.shares import Share
from datafast.engine.stop import StopSignal

__all__ = ["ReorderBuffer"]

_WINDOW_PER_SLOT = 8  # how far items may be ahead of the oldest one


class _State(Enum):
    WAITING = 0  # for room in the window
    RUNNING = 1


class ReorderBuffer:
    """The items of one run that are begun and not written yet.

    Each share takes its items by rising position, but for those that come again after they have waited for a batch. So once every share
    has passed the lowest item, nothing new can come before it. The lowest item may always begin, even if the window is full, because all
    others wait for it.
    """

    def __init__(self, shares: Sequence[Share], *, slots: int, stop: StopSignal) -> None:
        self._shares = shares
        self._window = _WINDOW_PER_SLOT * slots
        self._stop = stop
        self._reached = dict.fromkeys(shares, -1)
        self._states: dict[int, _State | Callable[[], None]] = {}
        self._lowest: list[int] = []
        self._queue: list[int] = []
        self._sleepers: dict[int, deque[asyncio.Future[None]]] = {}
        self._inside = 0

    async def enter(self, position: int, share: Share) -> bool:
        """Waits until work on an item may begin. Returns False if the run or the share has stopped in between."""
        self._reached[share] = max(self._reached[share], position)
        self._states[position] = _State.WAITING
        heapq.heappush(self._lowest, position)
        heapq.heappush(self._queue, position)
        self.look()
        while self._states[position] is _State.WAITING:
            if self._stop or not share.working:
                self.leave(position)
                return False
            sleepers = self._sleepers[position] = deque()
            await self._stop.park(sleepers)
            self._sleepers.pop(position, None)
        return True

    def widen(self, slots: int) -> None:
        """Lets items be further ahead of the oldest one, where so many requests are more than before."""
        self._window = max(self._window, _WINDOW_PER_SLOT * slots)
        self._admit()

    def finish(self, position: int, write: Callable[[], None]) -> None:
        """Says that an item is finished. `write` is called when everything before it is written."""
        self._states[position] = write
        self.look()

    def leave(self, position: int) -> None:
        """Says that an item stays pending. Nothing waits for it any more."""
        self._inside -= self._states.pop(position) is _State.RUNNING
        self.look()

    def look(self) -> None:
        """Writes what is next in the order, and lets others begin. Also called when a share has ended."""
        self._write(lambda position: all(share.ended or self._reached[share] >= position for share in self._shares))
        self._admit()

    def flush(self) -> None:
        """Writes all finished items in order, without waiting for others. Called at the end of a run."""
        for position, state in sorted(self._states.items()):
            if not isinstance(state, _State):
                del self._states[position]
                state()

    def _write(self, is_next: Callable[[int], bool]) -> None:
        while self._lowest:
            position = self._lowest[0]
            state = self._states.get(position)
            if isinstance(state, _State) or (state is not None and not is_next(position)):
                return
            heapq.heappop(self._lowest)
            if state is not None:
                del self._states[position]
                self._inside -= 1
                state()

    def _admit(self) -> None:
        while self._queue:
            position = self._queue[0]
            left = self._states.get(position) is not _State.WAITING
            if not left and self._inside >= self._window and position != self._lowest[0]:
                return
            heapq.heappop(self._queue)
            if left:
                continue
            self._states[position] = _State.RUNNING
            self._inside += 1
            for sleeper in self._sleepers.pop(position, ()):
                if not sleeper.done():
                    sleeper.set_result(None)
