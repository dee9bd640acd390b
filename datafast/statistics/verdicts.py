"""Which of two files models prefer: pairs of their rows, judged blind and in both orders, until the winner is clear.

Guarantee: a judge sees two texts and what both were asked for, and nothing of where they come from. Each pair is judged in both orders,
and a text has the mean of its scores, so a judge that favours the first place says a tie. All verdicts are recorded like all calls: a
comparison that was cut short goes on where it was, and nothing is paid for twice.

The win rate of the second file counts a tie as half a win. Its interval is a confidence sequence (see `WinRate`), so it holds although the
comparison ends as soon as it leaves out 0.5; verdicts count in an order that was fixed before. Pairs are judged in rounds of 20, so at
most 20 are judged beyond what would have been enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from datafast._util.notify import warn_user
from datafast.engine.announcement import tell_change
from datafast.engine.job import Job
from datafast.engine.routes import Route, route_identities
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError, OutputError, RunStopped
from datafast.executors.local import LocalExecutor
from datafast.judging import JudgeFields, Jury, comparison_model, mean_score
from datafast.judging.families import families
from datafast.llms.spec import named_provider
from datafast.plan.grid import Dimension, GridPlan
from datafast.statistics.pairs import Match, Pair, Pairs
from datafast.statistics.uncertainty import WinRate
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader

if TYPE_CHECKING:
    from datafast.engine.events import EventCallback
    from datafast.engine.generate import Generate
    from datafast.executors.base import Executor
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import WorkItem

__all__ = ["Judging", "Verdicts", "judge_pairs"]

_KIND = "verdicts"
_ROUND = 20
_LOOKED_AT = 20  # times as many pairs as are wanted, where most are the same text
_RUBRIC = "How good a row of a training set this is: correct, useful, natural, and what was asked for."


class Verdicts(BaseModel):
    """What judges say about pairs of rows of two files.

    Attributes:
        win_rate: of the second file, from 0 to 1; a tie is half a win. None if no pair was judged.
        low: the lower end of its 95 % interval, a confidence sequence.
        high: the upper end.
        pairs: how many pairs were judged; wins_a + wins_b + ties.
        unsteady: those in which the order decided what a judge prefers.
        same: pairs of equal texts, which are not judged.
        failed: pairs without a verdict.
        matched: how rows were matched: by uuid, by the values that they were asked for with, or at random.
        stopped: why no more were judged: one of the files is clearly preferred, as many as wanted, or there are no more.
        calls: those for all verdicts in `file`, also of earlier runs.
        cost_usd: what these calls cost.
        partial: judges of the family of models that wrote rows of one of the files only, with that file: they may favour it.
    """

    model_config = ConfigDict(frozen=True)

    win_rate: float | None
    low: float
    high: float
    pairs: int
    wins_a: int
    wins_b: int
    ties: int
    unsteady: int
    same: int
    failed: int
    matched: Match
    stopped: Literal["winner", "max_pairs", "no_more_pairs"]
    judges: list[str]
    calls: int
    cost_usd: float | None
    file: str
    partial: dict[str, Literal["a", "b"]]

    @property
    def preferred(self) -> Literal["a", "b"] | None:
        """The file that is clearly preferred, if one is."""
        return "b" if self.low > 0.5 else "a" if self.high < 0.5 else None


class VerdictRow(BaseModel):
    """A verdict as it stands in the file of verdicts: both texts, and the mean score of each over all judges and both orders."""

    uuid: str
    asked: str
    a: str
    b: str
    a_score: int | float
    b_score: int | float
    steady: bool
    judgements: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judging:
    """How pairs are judged.

    Attributes:
        judges: providers, or what names them.
        rubric: what the scores mean; a text, or a mapping of scores to what earns them.
        file: for the verdicts, with a ledger beside it.
        max_pairs: the most pairs that are judged.
        match: how rows are matched; see `Pairs`.
        field: the field of rows that is judged; all that rows say by default.
        run: settings of the run: concurrency, budget, seed.
    """

    judges: Sequence[Any]
    rubric: str | dict[int, str] | None = None
    file: Path
    max_pairs: int = 200
    match: Match | None = None
    field: str | None = None
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    on_event: EventCallback | None = None
    executor: Executor = dataclasses.field(default_factory=LocalExecutor)

    @property
    def providers(self) -> dict[str, LLMProvider]:
        """The provider of each judge, by its role."""
        if isinstance(self.judges, str) or not self.judges:
            raise ConfigError("judges: expected a list with at least one provider. Write [provider].")
        named = map(named_provider, self.judges)
        return {"judge" if not place else f"judge_{place + 1}": one for place, one in enumerate(named)}

    @property
    def paths(self) -> OutputPaths:
        """The files of the verdicts."""
        return OutputPaths.of(self.file, self.run.ledger_path)


def judge_pairs(pairs: Pairs, how: Judging) -> Verdicts:
    """Has pairs of rows judged until the winner is clear, or as many as are wanted are judged.

    Raises:
        ConfigError: a judge cannot be asked, or no pair differs; nothing was sent.
        OutputError: the file cannot be used.
        RunStopped: the run ended early; the same call goes on.
    """
    if how.max_pairs < 1:
        raise ConfigError(f"max_pairs: expected at least 1, got {how.max_pairs}.")
    chosen, same = _different(pairs, how.max_pairs)
    if not chosen:
        raise ConfigError(
            f"All rows that match (match: {pairs.match}) say the same, so there is nothing to judge. Match them in another way "
            f"(--match, match=), or compare other files."
        )
    judged = _Judged(chosen, how)
    rate = judged.until_clear()
    low, high = rate.interval
    clear = not low <= 0.5 <= high
    stopped: Any = "winner" if clear else "max_pairs" if len(chosen) == how.max_pairs else "no_more_pairs"
    return Verdicts(
        win_rate=rate.mean,
        low=low,
        high=high,
        same=same,
        matched=pairs.match,
        stopped=stopped,
        file=str(how.file),
        **judged.told(),
    )


def _different(pairs: Iterable[Pair], most: int) -> tuple[list[Pair], int]:
    """The first pairs of texts that differ, and how many did not on the way."""
    chosen: list[Pair] = []
    same = 0
    for pair in islice(pairs, _LOOKED_AT * most + 1000):
        if pair.one == pair.other:
            same += 1
            continue
        chosen.append(pair)
        if len(chosen) == most:
            break
    return chosen, same


class _InOrder(GridPlan):
    """A plan whose beginnings are runs of pairs: these are in a random order already."""

    @property
    def radices(self) -> tuple[int, ...]:
        return ()

    @property
    def num_items(self) -> int:
        return len(self.dimensions[0])


class _Judged:
    """A comparison under way.

    Attributes:
        rows: the verdicts so far, in the order of the pairs.
        failed: the pairs so far without one.
        labels: of the judges.
        partial: see `Verdicts`.
    """

    def __init__(self, pairs: Sequence[Pair], how: Judging) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.failed = 0
        self.paths = how.paths
        _refuse_other_rows(self.paths)
        self._how = how
        providers = how.providers
        self.labels = [one.label for one in providers.values()]
        self.partial = _partial(self.labels, pairs)
        for label, side in self.partial.items():
            warn_user(
                f"judges: {label} is of a family that wrote rows of {side} alone, and may favour them. Ask another model."
            )
        try:
            fields = JudgeFields(rubric=how.rubric or _RUBRIC)
        except ValidationError as error:
            raise ConfigError(f"rubric: {error.errors()[0]['msg']}") from None
        self._fields = fields
        self._model = comparison_model(fields.bounds)
        self._jury = Jury(list(providers), system_of=lambda role: None)
        self._routes = [Route.by_role(providers)]
        self._plan = _InOrder(
            "verdicts",
            [Dimension("pair", pairs, identity=lambda pair: [pair.asked, pair.one, pair.other])],
            routes=route_identities(self._routes, fan_out="all"),
            shape=[_prompt(Pair("", "", ""), "", "", fields)],
            seed=how.run.seed,
        )

    def told(self) -> dict[str, Any]:
        """The fields of the verdicts so far that do not depend on how sure they are."""
        values = [_value(row) for row in self.rows]
        with LedgerReader(self.paths.ledger) as reader:
            totals = reader.calls.totals()
        return {
            "pairs": len(values),
            "wins_a": values.count(0.0),
            "wins_b": values.count(1.0),
            "ties": values.count(0.5),
            "unsteady": sum(not row["steady"] for row in self.rows),
            "failed": self.failed,
            "judges": self.labels,
            "calls": totals.calls,
            "cost_usd": totals.cost_usd,
            "partial": self.partial,
        }

    def until_clear(self) -> WinRate:
        """Has one round of pairs judged after the other, until the interval leaves out 0.5 or all are judged."""
        rate, total = WinRate(), len(self._plan)
        start = 0
        for end in (*range(_ROUND, total, _ROUND), total):
            self._run(end)
            found = self._written()
            for place in range(start, end):
                row = found.get(self._plan[place].row_uuid(0))
                if row is None:
                    self.failed += 1
                    continue
                self.rows.append(row)
                rate.add(_value(row))
            start = end
            low, high = rate.interval
            if not low <= 0.5 <= high:
                break
        return rate

    def _run(self, limit: int) -> None:
        how = self._how
        job = Job(
            plan=self._plan,
            routes=self._routes,
            produce=self._produce,
            paths=self.paths,
            settings=how.run.model_copy(
                update={"removed": "keep"}
            ),  # other pairs, later, are no reason to lose verdicts
            row_model=VerdictRow,
            fields=list(VerdictRow.model_fields),
            limit=limit,
            on_event=how.on_event,
            what="verdicts",
            notes={"command": "", "kind": _KIND, "config": self._fields.model_dump_json()},
        )
        report = how.executor.run(tell_change(job, None))
        if report.stop_cause is not None:
            raise RunStopped(report)

    async def _produce(self, item: WorkItem, generate: Generate) -> list[BaseModel]:
        pair: Pair = item.values["pair"]
        found = await self._jury.compare(
            generate,
            lambda first, second: _prompt(pair, first, second, self._fields),
            (pair.one, pair.other),
            self._model,
        )
        judgements = [
            {"judge": a.judge, "model_id": generate.model_id(a.judge), "a_score": a.score, "b_score": b.score}
            | {"a_reason": a.reason, "b_reason": b.reason}
            for a, b in zip(found.first, found.second, strict=True)
        ]
        verdict = VerdictRow(
            uuid=item.row_uuid(0),
            asked=pair.asked,
            a=pair.one,
            b=pair.other,
            a_score=mean_score(found.first),
            b_score=mean_score(found.second),
            steady=found.steady,
            judgements=judgements,
        )
        return [verdict]

    def _written(self) -> dict[str, Mapping[str, Any]]:
        """The verdicts in the file, by uuid."""
        if not self.paths.rows.exists():
            return {}
        with self.paths.rows.open("rb") as file:
            return {row["uuid"]: row for row in map(orjson.loads, file)}


def _refuse_other_rows(paths: OutputPaths) -> None:
    """Raises OutputError if the file is the output of something else, whose rows verdicts would set aside."""
    if not paths.ledger.is_file():
        return
    with LedgerReader(paths.ledger) as reader:
        kind = reader.meta("kind")
    if kind and kind != _KIND:
        raise OutputError(
            f"verdicts: {paths.rows} is the output of a dataset of the kind {kind}. Name another file for them."
        )


def _partial(judges: Sequence[str], pairs: Sequence[Pair]) -> dict[str, Literal["a", "b"]]:
    """The judges of a family that wrote rows of one of the files only."""
    wrote_a, wrote_b = (
        {family for pair in pairs for model in pair.models[side] for family in families(model)} for side in (0, 1)
    )
    found: dict[str, Literal["a", "b"]] = {}
    for judge in judges:
        in_a, in_b = bool(families(judge) & wrote_a), bool(families(judge) & wrote_b)
        if in_a != in_b:
            found[judge] = "a" if in_a else "b"
    return found


def _value(row: Mapping[str, Any]) -> float:
    """1 where the second text has the better score, 0 where the first has, 0.5 for a tie."""
    a, b = row["a_score"], row["b_score"]
    return 0.5 if a == b else float(b > a)


def _prompt(pair: Pair, first: str, second: str, fields: JudgeFields) -> str:
    asked = f"Both texts were asked for with these values:\n{pair.asked}" if pair.asked else ""
    shown = "\n\n".join(part for part in (asked, f"First:\n{first}", f"Second:\n{second}") if part)
    return fields.judged(shown, fields.rubric_text, both=True)
