"""What the stages of a run decide about new rows, without holding up the event loop.

Stages decide in their order. Those that ask no model are cheap as a rule, and then decide on the event loop: a thread of its own would take
the interpreter from the loop for longer than they need it. As long as they take more than 2 ms an item, as a library that is being loaded
does, or a function of the user's that waits, they decide in a thread. Either way they decide about one item after the other, because what
they are made of need not bear two threads at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from datafast.engine.stages import Asks, Decided, Decides, asked_verdict, asks, verdict_of
from datafast.errors import CallFailed

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem

__all__ = ["RowStages"]

_SLOW_S = 0.002
_RECENT = 0.1  # the weight of the newest item in the mean


class RowStages:
    """The stages of a run. `close` it at the end.

    Args:
        mean_s: how long the stages take that ask no model, at first; long, since the first ones may load something.

    Attributes:
        ask: whether one of them asks models.
    """

    def __init__(self, stages: Sequence[Decides], *, mean_s: float = 10 * _SLOW_S) -> None:
        self.ask = any(map(asks, stages))
        self._parts: list[Asks | list[Decides]] = []
        for stage in stages:
            if asks(stage):
                self._parts.append(stage)
            elif self._parts and isinstance(self._parts[-1], list):
                self._parts[-1].append(stage)
            else:
                self._parts.append([stage])
        self._mean_s = mean_s
        self._is_deciding = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="datafast-stages")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def decide(
        self,
        rows: Sequence[BaseModel],
        item: WorkItem,
        generate: Generate | None,
        waiting: Callable[[int], None] = lambda change: None,
    ) -> Sequence[Decided | CallFailed]:
        """What the stages say about each of the rows of an item, or why a model gave no verdict.

        Args:
            generate: as `Generate.for_stages` gives it; None where no stage asks.
            waiting: called with +1 and -1 around what needs no slot.

        Raises:
            ItemPending: a model that is asked does not work now.
            Exception: the error of a stage.
        """
        found: list[Decided | CallFailed] = [Decided(row) for row in rows]
        for part in self._parts:
            left = {
                number: one for number, one in enumerate(found) if not isinstance(one, CallFailed) and one.verdict.keeps
            }
            if not left:
                break
            kept = list(left.values())
            if isinstance(part, list):
                waiting(1)
                try:
                    await asyncio.sleep(0)  # other items send their requests first
                    said: Sequence[Decided | CallFailed] = await self._off_loop(part, kept, item)
                finally:
                    waiting(-1)
            else:
                assert generate is not None  # noqa: S101 - a stage asks
                said = await generate.gather(*(_asked(part, one, item, generate) for one in kept))
            for number, one in zip(left, said, strict=True):
                found[number] = one
        return found

    async def _off_loop(self, stages: Sequence[Decides], before: Sequence[Decided], item: WorkItem) -> list[Decided]:
        if self._mean_s <= _SLOW_S and self._is_deciding.acquire(blocking=False):
            try:
                return self._verdicts(stages, before, item)
            finally:
                self._is_deciding.release()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._verdicts_in_thread, stages, before, item)

    def _verdicts_in_thread(
        self, stages: Sequence[Decides], before: Sequence[Decided], item: WorkItem
    ) -> list[Decided]:
        with self._is_deciding:
            return self._verdicts(stages, before, item)

    def _verdicts(self, stages: Sequence[Decides], before: Sequence[Decided], item: WorkItem) -> list[Decided]:
        began = time.perf_counter()
        try:
            return [verdict_of(stages, one, item) for one in before]
        finally:
            self._mean_s += _RECENT * (time.perf_counter() - began - self._mean_s)


async def _asked(stage: Asks, before: Decided, item: WorkItem, generate: Generate) -> Decided | CallFailed:
    try:
        return await asked_verdict(stage, before, item, generate)
    except CallFailed as error:
        if error.ends_run:
            raise
        return error
