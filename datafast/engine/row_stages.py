"""What the stages of a run decide about new rows, without holding up the event loop.

Stages decide in their order. Those that ask no model are cheap as a rule, and then decide on the event loop: a thread of its own would take
the interpreter from the loop for longer than they need it. As long as they take more than 2 ms an item, as a library that is being loaded
does, or a function of the user's that waits, they decide in a thread, one item after the other.

Calls of stages are recorded with their item. Such a call has no ordinal: the same question about the same row has one answer, which all
stages share, whichever of them asks first. So it is found again whatever other stages there are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from datafast.engine.generate import Generate
from datafast.engine.stages import KEEP, Asks, Decides, Verdict, asked_verdict, verdict_of
from datafast.errors import CallFailed

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.plan.items import WorkItem

__all__ = ["RowStages", "StageGenerate"]

_SLOW_S = 0.002
_RECENT = 0.1  # the weight of the newest item in the mean

Decided = tuple[str, Verdict] | CallFailed
"""The stage that drops a row ('' for none) with its verdict; or why a model gave none."""


class StageGenerate(Generate):
    """The `generate` of an item's stages."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._answers: dict[bytes, asyncio.Future[Any]] = {}

    async def _answer(self, call: Call) -> BaseModel | str:
        answer = self._answers.get(call.key)
        if answer is None:
            answer = self._answers[call.key] = asyncio.ensure_future(super()._answer(call))
        found: BaseModel | str = await answer
        return found

    def _numbered(
        self, endpoint: Endpoint, role: str, asked: bytes, schema_key: bytes, tag: str, *, peek: bool
    ) -> bytes:
        return super()._numbered(endpoint, role, asked, schema_key, f"stage {tag}", peek=True)


class RowStages:
    """The stages of a run. `close` it at the end.

    Attributes:
        ask: whether one of them asks models.
    """

    def __init__(self, stages: Sequence[Decides]) -> None:
        self.ask = any(isinstance(stage, Asks) for stage in stages)
        self._parts: list[Asks | list[Decides]] = []
        for stage in stages:
            if isinstance(stage, Asks):
                self._parts.append(stage)
            elif self._parts and isinstance(self._parts[-1], list):
                self._parts[-1].append(stage)
            else:
                self._parts.append([stage])
        self._mean_s = 10 * _SLOW_S  # the first ones may load something
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="datafast-stages")

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def decide(
        self, rows: Sequence[BaseModel], item: WorkItem, generate: StageGenerate | None
    ) -> Sequence[Decided]:
        """What the stages say about each of the rows of an item.

        Args:
            generate: None where no stage asks.

        Raises:
            ItemPending: a model that is asked does not work now.
            Exception: the error of a stage.
        """
        found: list[Decided] = [("", KEEP)] * len(rows)
        for part in self._parts:
            left = [number for number, one in enumerate(found) if not isinstance(one, CallFailed) and one[1].keeps]
            if not left:
                break
            kept = [rows[number] for number in left]
            if isinstance(part, list):
                said: Sequence[Decided] = await self._off_loop(part, kept, item)
            else:
                assert generate is not None  # noqa: S101 - a stage asks
                said = await generate.gather(*(_asked(part, row, item, generate) for row in kept))
            for number, one in zip(left, said, strict=True):
                found[number] = one
        return found

    async def _off_loop(
        self, stages: Sequence[Decides], rows: Sequence[BaseModel], item: WorkItem
    ) -> list[tuple[str, Verdict]]:
        if self._mean_s > _SLOW_S:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._verdicts, stages, rows, item)
        return self._verdicts(stages, rows, item)

    def _verdicts(
        self, stages: Sequence[Decides], rows: Sequence[BaseModel], item: WorkItem
    ) -> list[tuple[str, Verdict]]:
        began = time.perf_counter()
        try:
            return [verdict_of(stages, row, item) for row in rows]
        finally:
            self._mean_s += _RECENT * (time.perf_counter() - began - self._mean_s)


async def _asked(stage: Asks, row: BaseModel, item: WorkItem, generate: StageGenerate) -> Decided:
    try:
        return await asked_verdict(stage, row, item, generate)
    except CallFailed as error:
        if error.ends_run:
            raise
        return error
