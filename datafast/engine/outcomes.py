"""What becomes of one item: its rows on the first route that answers, why others are missing, and the verdicts of stages about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

from datafast._util.notify import warn_user
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.generate import Generate
from datafast.engine.reasoning import Thoughts, line_as, line_of
from datafast.engine.reviewing import REVIEW, EditRefusedError
from datafast.engine.shares import Share, up
from datafast.engine.stages import STAGE_ERROR, said_of_stage
from datafast.engine.stop import ItemPending
from datafast.errors import CallFailed, OutputError
from datafast.logger_config import logger
from datafast.plan.items import Context, WorkItem
from datafast.store.changed import ChangedRow
from datafast.store.records import FailureRow, FilteredRow, Remade

if TYPE_CHECKING:
    from datafast.engine.batches.desk import Desk
    from datafast.engine.calls.books import Books
    from datafast.engine.calls.sender import Caller
    from datafast.engine.job import Job
    from datafast.engine.routes import Route
    from datafast.engine.row_stages import RowStages
    from datafast.engine.stages import Decided
    from datafast.engine.stop import StopSignal
    from datafast.store.records import ItemRecord, Recorded

    Replies = dict[bytes, list[Recorded]]

__all__ = ["MakesOutcomes", "Outcome", "Outcomes", "failure_of"]

T = TypeVar("T")


class Outcome(NamedTuple):
    """The JSON lines of an item's rows by row number, why some are missing, the rows themselves (of each number the last generation), those
    that stages have dropped, as they are recorded and as they were made, and those that they have changed, as they were before. `replayed`:
    whether no reply came for it, where that is known."""

    lines: dict[int, bytes]
    error: CallFailed | None
    rows: Mapping[int, BaseModel | CallFailed | None] = MappingProxyType({})
    filtered: Sequence[FilteredRow] = ()
    dropped: Sequence[BaseModel] = ()
    changed: Sequence[ChangedRow] = ()
    replayed: bool | None = None


class MakesOutcomes(Protocol):
    """Makes the outcomes of items: in this process, or in others."""

    async def of(self, item: WorkItem, record: ItemRecord, share: Share) -> Outcome | None:
        """As `Outcomes.of`."""
        ...


class Outcomes:
    """Makes the outcomes of the items of one run."""

    def __init__(
        self, job: Job, *, store: Books, caller: Caller, stop: StopSignal, stages: RowStages, desk: Desk | None = None
    ) -> None:
        self._job = job
        self._settings = job.settings
        self._store = store
        self._caller = caller
        self._stop = stop
        self._desk = desk
        self._stages = stages
        self._refused = set[str]()  # why edits of new rows cannot be made, each told once
        self._decides = bool(job.row_stages) or job.reviews is not None

    async def of(self, item: WorkItem, record: ItemRecord, share: Share) -> Outcome | None:
        """What becomes of an item: its rows, with what stages decide about them, and with those that they drop made again as often as the
        job says. None if the item stays pending.

        Raises:
            ItemParked: it waits for a batch.
        """
        outcome: Outcome | None
        if record.dropped and record.lacks_none_of(item.num_rows) and not record.unasked_of(0):
            outcome = Outcome({}, None)  # rows of it are only to be replaced
        else:
            outcome = await self.best(item, record, share)
            if outcome is not None and outcome.lines and (self._decides or record.begun):
                outcome = await self.decided(item, record, outcome, share)
        if outcome is None or (outcome.error and outcome.error.ends_run):
            return outcome
        if record.unasked is not None and not await self._asked_about_others(item, record, share):
            return None
        return await self._replaced(item, record, share, outcome) if self._job.regenerate else outcome

    async def _asked_about_others(self, item: WorkItem, record: ItemRecord, share: Share) -> bool:
        """Asks what stages ask about rows that were made again in earlier runs. False if the item stays pending."""
        for context in self._store.contexts_of(record):
            rows = [place for place, n in enumerate(context.rows) if record.unasked_of(context.generation) >> n & 1]
            best = await self.best(item.remade(context), record, share) if rows else Outcome({}, None)
            if best is None:
                return False
            also = [best.rows[place] for place in rows if place in best.lines]
            if await self._decided_about([], item, record, Outcome({}, None), share, also=also) is None:
                return False
        return True

    async def _replaced(self, item: WorkItem, record: ItemRecord, share: Share, outcome: Outcome) -> Outcome | None:
        """An outcome in which rows that stages have dropped are made again."""
        new = {row.number: Remade(1, row.reason, row.stage, row.row) for row in outcome.filtered}
        dropped = {**(record.dropped or {}), **new}
        contexts: list[Context] | None = None
        while left := {number: told for number, told in dropped.items() if told.times <= self._job.regenerate}:
            contexts = self._store.contexts_of(record) if contexts is None else contexts
            context = self._context(record, left, contexts)
            wanted = {n for n in context.rows if n in left and left[n].times == context.generation}
            made = await self._remade(item, record, share, context, wanted)
            if made is None:
                return None
            for number in wanted:
                del dropped[number]
            dropped |= {row.number: Remade(row.generation + 1, row.reason, row.stage, row.row) for row in made.filtered}
            outcome = Outcome(
                lines={**outcome.lines, **made.lines},
                error=outcome.error or made.error,
                rows={**outcome.rows, **made.rows},
                filtered=[*outcome.filtered, *made.filtered],
                dropped=[*outcome.dropped, *made.dropped],
                changed=[*outcome.changed, *made.changed],
            )
            if made.error and made.error.ends_run:
                break
        filtered = [
            replace(row, hidden=row.number not in dropped or dropped[row.number].times != row.generation + 1)
            for row in outcome.filtered
        ]
        return outcome._replace(lines=dict(sorted(outcome.lines.items())), filtered=filtered)

    def _context(self, record: ItemRecord, left: Mapping[int, Remade], known: list[Context]) -> Context:
        """What rows are made again for next: the same as before if some of them were asked for already, so that the replies are found."""
        generation = min(told.times for told in left.values())
        numbers = sorted(number for number, told in left.items() if told.times == generation)
        for context in known:
            if context.generation == generation and not set(numbers).isdisjoint(context.rows):
                return context
        notes = [self._note(left[number]) for number in numbers]
        reasons = tuple(left[number].reason for number in numbers)
        context = Context(generation, tuple(numbers), reasons, tuple(notes) if any(notes) else ())
        self._store.freeze(record, context)
        known.append(context)
        return context

    def _note(self, told: Remade) -> str:
        """What a reviewer who has rejected a row said of it."""
        reviews = self._job.reviews
        return "" if reviews is None or told.stage != REVIEW else reviews.told_of(told.line)

    async def _remade(
        self, item: WorkItem, record: ItemRecord, share: Share, context: Context, wanted: Collection[int]
    ) -> Outcome | None:
        """A further generation of some rows."""
        best = await self.best(item.remade(context), record, share)
        if best is None:
            return None
        numbers = {place: number for place, number in enumerate(context.rows) if number in wanted}
        lines = {number: best.lines[place] for place, number in numbers.items() if place in best.lines}
        rows = {number: best.rows.get(place) for place, number in numbers.items()}
        outcome = Outcome(lines, best.error if len(lines) < len(numbers) else None, rows)
        return await self._decided_about(list(lines), item, record, outcome, share, generation=context.generation)

    async def best(self, item: WorkItem, record: ItemRecord, share: Share) -> Outcome | None:
        """The outcome on the first route that answers, or that with the most rows; None if the item stays pending.

        Raises:
            ItemParked: it waits for a batch.
        """
        recorded = self._store.recorded_calls(record)
        keeps = self._job.reasoning.place != "drop"
        best: Outcome | None = None
        tried: set[str] = set()
        done: list[Route[Endpoint]] = []  # routes that have answered, or will not
        while left := [route for route in share.working if route not in done] if done else share.working:
            route = left[0] if len(left) == 1 else up(left) or left[0]
            thoughts = Thoughts() if keeps else None
            generate = Generate(
                caller=self._caller,
                item=item,
                record=record,
                recorded=recorded if len(share.routes) == 1 else _for_route(recorded, route, share, tried),
                recorded_further=recorded,
                most_rows=max(item.most_rows, self._store.most_donated),
                route=route,
                waiting=share.on_wait,
                elsewhere=_elsewhere(route, left) if len(left) > 1 else None,
                top_up=self._settings.top_up,
                thoughts=thoughts,
            )
            try:
                outcome = await self._produce_rows(item, record, generate, thoughts)
            except ItemPending:
                if self._stop:
                    break
                # This provider does not work now. Another one takes over, or this one again, unless it has answered a part already.
                if generate.last is not None:
                    done.append(route)
                continue
            if best is None or len(outcome.lines) > len(best.lines):
                best = outcome
            if best.error is None:
                break
            done.append(route)
        return best

    async def _produce_rows(
        self, item: WorkItem, record: ItemRecord, generate: Generate, thoughts: Thoughts | None
    ) -> Outcome:
        rows: Sequence[BaseModel | CallFailed | None] = ()
        try:
            try:
                rows = list(await self._producing(item, record, generate))[: item.num_rows]
            except BaseExceptionGroup as group:  # of a kind's own tasks
                raise _first_of(group) from group
            lines = {
                number: _line(row) if thoughts is None else line_of(row, number, thoughts, self._job.reasoning)
                for number, row in enumerate(rows)
                if isinstance(row, BaseModel)
            }
            error = next((row for row in rows if isinstance(row, CallFailed)), None)
        except CallFailed as failed:
            lines, error = {}, failed
        except OutputError:  # a recorded reply cannot be read, which does not concern only this item
            raise
        except Exception as bug:  # noqa: BLE001 - a kind's own bug costs its item, never other people's rows
            logger.opt(exception=bug).error(f"{type(bug).__name__} in produce(): {bug}")
            lines, error = {}, generate.failure(f"{type(bug).__name__}: {bug}", category="kind_error")
        if error is None and len(lines) < item.num_rows:
            error = generate.shortfall(len(lines), item.num_rows)
        return Outcome(lines, error, dict(enumerate(rows)))

    def _producing(
        self, item: WorkItem, record: ItemRecord, generate: Generate
    ) -> Coroutine[Any, Any, Sequence[BaseModel | CallFailed | None]]:
        return self._at_desk(record, self._job.produce(item, generate))

    def _at_desk(self, record: ItemRecord, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """A coroutine that asks, as it is carried out where calls may go in batches."""
        return coroutine if self._desk is None else self._desk.produce(record, coroutine)

    async def decided(self, item: WorkItem, record: ItemRecord, outcome: Outcome, share: Share) -> Outcome | None:
        """The outcome after stages have decided about rows that were not decided before; None if the item stays pending.

        Raises:
            ItemParked: a model that they ask answers in a batch.
        """
        dropped = record.begun & ~record.slots
        lines = {number: line for number, line in outcome.lines.items() if not dropped >> number & 1}
        new = [number for number in lines if not record.begun >> number & 1]
        # What is said about rows that were decided about before counts when all are settled.
        unasked = [number for number in outcome.lines if record.unasked_of(0) >> number & 1]
        rows = outcome.rows
        outcome = outcome._replace(lines=lines)
        return await self._decided_about(new, item, record, outcome, share, also=[rows[number] for number in unasked])

    async def _decided_about(
        self,
        new: Sequence[int],
        item: WorkItem,
        record: ItemRecord,
        outcome: Outcome,
        share: Share,
        *,
        generation: int = 0,
        also: Sequence[Any] = (),
    ) -> Outcome | None:
        """The same about these rows. `also`: further rows about which models are asked."""
        if not (new or also) or not self._decides:
            return outcome
        rows: list[Any] = [*(outcome.rows[number] for number in new), *also]  # each has a line, so it is a row
        asking = self._asking(item, record, share) if self._stages.ask else None
        deciding = self._stages.decide(rows, item, asking, share.on_wait)
        try:
            found = await (self._at_desk(record, deciding) if self._stages.ask else deciding)
            return self._applied(outcome, record, dict(zip(new, found, strict=False)), generation)
        except ItemPending:
            return None
        except CallFailed as failed:
            return Outcome({}, failed)
        except OutputError:
            raise
        except Exception as bug:  # noqa: BLE001 - as in produce()
            return Outcome({}, _stage_error(bug, share))

    def _applied(
        self, outcome: Outcome, record: ItemRecord, found: Mapping[int, Decided | CallFailed], generation: int
    ) -> Outcome:
        """An outcome with what was decided about its rows, by number."""
        lines, error = dict(outcome.lines), outcome.error
        filtered, dropped, changed = list[FilteredRow](), list[BaseModel](), list[ChangedRow]()
        for number, said in found.items():
            if isinstance(said, CallFailed):  # a row about which a stage could not decide is not written
                del lines[number]
                error = error or said
                continue
            said, line = self._reviewed(said, lines[number])
            if said.changed:
                original = lines[number].removesuffix(b"\n")
                changed.append(ChangedRow(record.id, number, said.changed_by, original, generation))
                lines[number] = line
            if not said.verdict.keeps:
                line = lines.pop(number).removesuffix(b"\n")
                told = (said.stage, said.verdict.reason, line, time.time(), None, said.verdict.score, generation)
                filtered.append(FilteredRow(record.id, number, *told))
                if isinstance(row := outcome.rows[number], BaseModel):
                    dropped.append(row)
        return outcome._replace(lines=lines, error=error, filtered=filtered, dropped=dropped, changed=changed)

    def _reviewed(self, said: Decided, line: bytes) -> tuple[Decided, bytes]:
        """What is said about a row that was made as this line once reviewers are heard, and its line then."""
        if self._job.reviews is not None:
            try:
                return self._job.reviews.over(said, line)
            except EditRefusedError as error:
                if str(error) not in self._refused:
                    self._refused.add(str(error))
                    warn_user(f"quality: A new row stays as stages leave it. It {error}")
        return said, line_as(said.row, line, self._job.reasoning.place) if said.changed else line

    def _asking(self, item: WorkItem, record: ItemRecord, share: Share) -> Generate:
        return Generate(
            caller=self._caller,
            item=item,
            record=replace(record, failure=None) if record.is_for_asking else record,
            recorded=self._store.recorded_calls(record),
            most_rows=item.most_rows,
            route=share.routes[0],
            waiting=share.on_wait,
        ).for_stages(self._job.writers_of(item))


def _stage_error(bug: Exception, share: Share) -> CallFailed:
    told = said_of_stage(bug)
    logger.opt(exception=bug).error(told)
    return CallFailed(
        told,
        category=STAGE_ERROR,
        provider=share.label,
        role="",
        attempts=0,
        prompt="",
    )


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group of errors means for an item: the end of the run counts before a kind's own errors, and these before failed calls."""
    flat = list(_leaves(group))
    return min(flat, key=lambda error: (not isinstance(error, ItemPending), isinstance(error, CallFailed)))


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        yield from _leaves(error) if isinstance(error, BaseExceptionGroup) else (error,)


def _elsewhere(route: Route[Endpoint], left: Sequence[Route[Endpoint]]) -> Callable[[], bool] | None:
    """Says whether a provider of another of these routes can take over; None where there is no other."""
    others = [other for other in left if other is not route]
    return (lambda: up(others) is not None) if others else None


def _for_route(recorded: Replies, route: Route[Endpoint], share: Share, tried: set[str]) -> Replies:
    """The recorded replies as they are used on one of several routes: without those of the routes that were tried before, and those of
    later ones after all others. Those in further roles are not among them.

    Args:
        tried: the labels of the routes before; those of this route are added.
    """
    own = {endpoint.label for endpoint in route.own}
    later = {endpoint.label for endpoint in share.endpoints} - own
    before = frozenset(tried)
    tried |= own
    return {
        key: sorted((r for r in replies if r.provider not in before), key=lambda r: r.provider in later)
        for key, replies in recorded.items()
    }


def _line(row: BaseModel) -> bytes:
    return type(row).__pydantic_serializer__.to_json(row) + b"\n"


def failure_of(record: ItemRecord, outcome: Outcome, error: CallFailed) -> FailureRow | None:
    """Why rows of an item have failed; None where none are missing."""
    present = record.slots | record.filtered
    for number in outcome.lines:
        present |= 1 << number
    for row in outcome.filtered:
        present |= 0 if row.hidden else 1 << row.number
    missing = record.num_rows - (present & ((1 << record.num_rows) - 1)).bit_count()
    if not missing:
        return None
    if record.failure:
        return replace(record.failure, rows=missing)
    return FailureRow(
        item=record.id,
        category=error.category,
        error=str(error),
        provider=error.provider,
        role=error.role,
        attempts=error.attempts,
        rows=missing,
        prompt=error.prompt,
        raw=error.raw,
        at=time.time(),
    )
