"""Makes the rows of an item several times, and chooses one candidate for each row.

Guarantee: what is chosen depends only on the item and the replies, in any order of these. A row comes from one candidate as a whole, and
its metadata say which. Candidates that could not be made, or not be scored, are left out where there are others.
Cost: with a check alone, an item is made again only while a row of it has none that passes, `n` times at most. With a judge it is made
`n` times at once; only what passes the check is judged. A retry of a failed item makes `n` more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from datafast.engine.generate import Generate
from datafast.engine.job import Produce
from datafast.errors import CallFailed, DatafastError
from datafast.judging.best_of_n import BestOfN, is_async
from datafast.judging.jury import Jury, Opinion, best_first, mean_score
from datafast.judging.replies import judgement_model
from datafast.judging.shown import ORIGIN, shown_row
from datafast.plan.items import WorkItem
from datafast.templates.base import RenderError
from datafast.templates.condition import Condition
from datafast.templates.parse import parse_template

__all__ = ["KEY", "Candidates"]

KEY = "best_of_n"
"""The name of what a row's metadata say about the choice."""
REJECTED = "rejected"
"""The category of rows of which no candidate passed the check."""
CHECK_ERROR = "check_error"
"""The category of rows whose check could not be carried out."""

_METADATA = "metadata"
_FIELD = "best_of_n"


class _CheckError(DatafastError):
    """A check cannot be carried out."""


@dataclass(slots=True)
class _Made:
    """One try at an item: its rows, or the error that it ended with."""

    number: int
    generate: Generate
    rows: Sequence[BaseModel | CallFailed | None]
    error: CallFailed | None = None

    def row(self, number: int) -> BaseModel | CallFailed | None:
        if self.error is not None:
            return self.error
        return self.rows[number] if number < len(self.rows) else None


@dataclass(frozen=True, slots=True)
class _Scored:
    """A candidate for a row, and what judges say about it."""

    made: _Made
    row: BaseModel
    opinions: Sequence[Opinion]

    @property
    def score(self) -> int | float:
        return mean_score(self.opinions)


class _Choice(NamedTuple):
    """A candidate that may become the row, how many there were by then, and what judges say of the newest of these."""

    made: _Made
    row: BaseModel
    num_candidates: int
    scored: Sequence[_Scored | None] | None = None


class Candidates:
    """The `produce` of a dataset whose config has `best_of_n`.

    Args:
        produce: makes the rows of an item once.
        row_model: what it makes.
        keep_repeats: whether rows of an item may be the same.

    Raises:
        ConfigError: the check or the prompt does not fit to such rows.
    """

    def __init__(
        self, config: BestOfN, produce: Produce, row_model: type[BaseModel], *, keep_repeats: bool = False
    ) -> None:
        self._config = config
        self._keep_repeats = keep_repeats
        self._produce = produce
        self._says = _METADATA in row_model.model_fields
        names = list(row_model.model_fields)
        check, judge = config.check, config.judge
        self._check = Condition.parsed(check, names=names, field=f"{_FIELD}.check") if isinstance(check, str) else None
        self._prompt = None
        if judge is not None:
            if judge.prompt is not None:
                self._prompt = parse_template(judge.prompt, names=names, field=f"{_FIELD}.judge.prompt")
            self._model = judgement_model(judge.bounds)
            self._judges = list(judge.roles.values())
            self._jury = Jury(list(judge.roles), system_of=lambda role: judge.system_prompt)

    async def __call__(self, item: WorkItem, generate: Generate) -> Sequence[BaseModel | CallFailed | None]:
        size = self._config.n if self._config.judge is not None else 1
        most = self._config.n * (1 + (generate.generation if self._config.check is not None else 0))
        settled: dict[int, BaseModel | CallFailed] = {}
        tries: list[_Made] = []
        for start in range(0, most, size):
            numbers = range(start, start + size)
            made = await generate.gather(*(self._make(item, generate.candidate(n), n) for n in numbers))
            tries += made
            left = [number for number in range(item.num_rows) if number not in settled]
            ranked = await generate.gather(*(self._ranked(generate, number, made) for number in left))
            for number, found in zip(left, ranked, strict=True):
                self._settle(generate, number, found, settled)
            if len(settled) == item.num_rows:
                break
        several = item.num_rows > 1
        return [settled.get(n) or self._why(generate, n, tries, several=several) for n in range(item.num_rows)]

    async def _make(self, item: WorkItem, generate: Generate, number: int) -> _Made:
        try:
            return _Made(number, generate, await self._produce(item, generate))
        except CallFailed as error:
            if error.ends_run:
                raise
            return _Made(number, generate, [], error)

    async def _ranked(self, generate: Generate, number: int, made: Sequence[_Made]) -> list[_Choice] | CallFailed:
        """The candidates for a row that pass, the best one first; an error that is about none of them alone."""
        rows = [(one, row) for one in made if isinstance(row := one.row(number), BaseModel)]
        try:
            passing = [(one, row) for one, row in rows if await self._passes(row)]
        except _CheckError as error:
            return generate.failure(str(error), category=CHECK_ERROR)
        if self._config.judge is None:
            return [_Choice(one, row, made[-1].number + 1) for one, row in passing]
        judged = await generate.gather(*(self._judged(generate, number, one, row) for one, row in passing))
        scored = [found for found in judged if isinstance(found, _Scored)]
        if not scored:
            return next((found for found in judged if isinstance(found, CallFailed)), [])
        by_number = {found.made.number: found for found in scored}
        told = [by_number.get(one.number) for one in made]
        return [_Choice(found.made, found.row, made[-1].number + 1, told) for found in best_first(scored)]

    def _settle(
        self,
        generate: Generate,
        number: int,
        found: list[_Choice] | CallFailed,
        settled: dict[int, BaseModel | CallFailed],
    ) -> None:
        """Takes the best candidate for a row that is not the same as another row of the item."""
        if isinstance(found, CallFailed):
            settled[number] = found
            return
        taken = [_content(row) for row in settled.values() if isinstance(row, BaseModel)]
        for choice in found:
            if self._keep_repeats or not taken or _content(choice.row) not in taken:
                generate.take_reasoning(number, choice.made.generate)
                settled[number] = self._told(choice)
                return

    def _told(self, choice: _Choice) -> BaseModel:
        """A row that says how it was chosen, where it has metadata."""
        if not self._says:
            return choice.row
        said: dict[str, Any] = {"n": choice.num_candidates, "chosen": choice.made.number}
        if choice.scored is not None:
            before = [None] * (choice.num_candidates - len(choice.scored))
            said["scores"] = [*before, *(found and found.score for found in choice.scored)]
            if len(self._judges) > 1:
                said["scores_by_judge"] = {
                    name: [*before, *(found and found.opinions[place].score for found in choice.scored)]
                    for place, name in enumerate(self._judges)
                }
        metadata = {**getattr(choice.row, _METADATA), KEY: said}
        return choice.row.model_copy(update={_METADATA: metadata})

    def _why(self, generate: Generate, number: int, tries: Sequence[_Made], *, several: bool) -> CallFailed | None:
        """Why there is no row; None where replies were too short. `several`: whether the item has other rows."""
        found = [made.row(number) for made in tries]
        came = sum(isinstance(row, BaseModel) for row in found)
        if came and self._config.check is not None:
            also = " without repeating another row" if several and not self._keep_repeats else ""
            passed = f"None of {came} candidates passed the check of best_of_n{also}."
            return generate.failure(f"{passed} A retry makes {self._config.n} more.", category=REJECTED)
        return next((row for row in found if isinstance(row, CallFailed)), None)

    # -- deciding

    async def _passes(self, row: BaseModel) -> bool:
        check = self._config.check
        if check is None:
            return True
        values = row.model_dump(mode="json")
        try:
            if self._check is not None:
                return self._check.holds(values)
            return bool(await check(values) if is_async(check) else await asyncio.to_thread(check, values))
        except Exception as error:  # the user's own code: whatever it raises is about this row
            raise _CheckError(f"{_FIELD}.check: {type(error).__name__}: {error}") from error

    async def _judged(self, generate: Generate, number: int, made: _Made, row: BaseModel) -> _Scored | CallFailed:
        try:
            prompt = self._asked(row)
        except RenderError as error:
            return generate.failure(f"{_FIELD}.judge.prompt: {error}", category="prompt")
        asking = generate.candidate(made.number)  # what a judge thinks is no part of the row
        try:
            opinions = await self._jury.score(asking, prompt, self._model, tag=f"row {number}", row=number)
        except CallFailed as error:
            if error.ends_run:
                raise
            return error
        return _Scored(made, row, opinions)

    def _asked(self, row: BaseModel) -> str:
        judge = self._config.judge
        assert judge is not None  # noqa: S101 - else nobody is asked
        shown = shown_row(row) if self._prompt is None else self._prompt.render(row.model_dump(mode="json"))
        return judge.judged(shown, judge.rubric_text)


def _content(row: BaseModel) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude=set(ORIGIN))
