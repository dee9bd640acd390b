"""What stages that ask models say about recorded rows: by the answers that are recorded with their items.

Guarantee: nothing is sent. A call has the key that it has in a run, so what was asked once is found, whatever other stages there were then.
Where a call was never made, or not to its end, nothing is said about the row, and the call is kept: a run makes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, cast

from pydantic import BaseModel

from datafast.engine.calls.sender import Caller
from datafast.engine.dry_run import answered, stand_ins, tries_no_more
from datafast.engine.generate import Generate
from datafast.engine.row_stages import RowStages
from datafast.engine.stop import ItemPending
from datafast.errors import CallFailed
from datafast.store.records import ItemRecord, ItemState, Recorded

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.job import Job
    from datafast.engine.stages import Decided
    from datafast.plan.items import WorkItem

__all__ = ["RecordedAnswers", "RowAsked", "Unasked"]

Replies = Mapping[bytes, Sequence[Recorded]]


class RowAsked(NamedTuple):
    """A row that stages are to decide about, with its item, and the replies that are recorded with that by the keys of their calls."""

    row: BaseModel
    item: WorkItem
    replies: Replies


class Unasked(NamedTuple):
    """The calls without which nothing can be said about a row. `again`: one of them was made, and failed."""

    calls: Sequence[Call]
    again: bool


class RecordedAnswers:
    """Lets the stages of a job decide about recorded rows.

    Args:
        tries_again: whether calls that were made and failed count as not made.
    """

    def __init__(self, job: Job, *, tries_again: bool) -> None:
        self._job = job
        self._tries_again = tries_again
        self._routes = stand_ins(job.routes, fan_out=job.settings.fan_out)

    def decide(self, rows: Sequence[RowAsked]) -> list[Decided | Unasked | Exception]:
        """What the stages say about each row; or what has to be asked first, or why they say nothing."""
        with ThreadPoolExecutor(1) as thread:  # this one may have an event loop that runs
            return thread.submit(asyncio.run, self._decide(rows)).result()

    async def _decide(self, rows: Sequence[RowAsked]) -> list[Decided | Unasked | Exception]:
        with closing(RowStages(self._job.row_stages, mean_s=0.0)) as stages:
            return [await self._about(row, stages) for row in rows]

    async def _about(self, row: RowAsked, stages: RowStages) -> Decided | Unasked | Exception:
        caller = _Caller(self._job.settings.max_parse_retries, tries_again=self._tries_again)
        generate = self._generate(caller, row).for_stages(self._job.writers_of(row.item))
        try:
            (found,) = await stages.decide([row.row], row.item, generate)
        except ItemPending:
            return Unasked(caller.missing, caller.has_failed)
        except Exception as error:  # noqa: BLE001 - of a stage, which may raise anything: it concerns this row
            return error
        return found

    def _generate(self, caller: _Caller, row: RowAsked) -> Generate:
        item = row.item
        generation = max((reply.generation for replies in row.replies.values() for reply in replies), default=0)
        return Generate(
            caller=cast(Caller, caller),
            item=item,
            record=ItemRecord(0, item.key, item.content, item.position, ItemState.OPEN, generation, item.num_rows),
            recorded={key: list(replies) for key, replies in row.replies.items()},
            most_rows=item.most_rows,
            route=self._routes[item.route],
            waiting=lambda change: None,
        )


class _Caller:
    """Replaces the engine's `Caller`: every answer is a recorded one. Keeps the calls that have none."""

    def __init__(self, parse_retries: int, *, tries_again: bool) -> None:
        self.missing: list[Call] = []
        self.has_failed = False
        self._parse_retries = parse_retries
        self._tries_again = tries_again

    async def answer(self, call: Call, recorded: Sequence[Recorded]) -> BaseModel | str:
        if not tries_no_more(call, recorded, self._parse_retries):
            self.missing.append(call)
            raise ItemPending
        try:
            return answered(call, recorded)
        except CallFailed:
            if not self._tries_again:
                raise
        self.has_failed = True
        self.missing.append(call)
        raise ItemPending

    async def own(self, record: ItemRecord, key: bytes, name: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What a stage has not run yet, a run runs."""
        raise ItemPending
