"""Targets: rows that are to be accepted, by stratum, and the rounds of draws that bring them.

A run with targets is a series of rounds. Each is a run over a plan that has grown by so many draws of each stratum that lacks rows; then
it is counted what was accepted, and the next round is planned from that (`datafast.engine.acceptance`). Which rounds there were is noted
in the ledger before the first call of each, and everything else is counted there. So a run goes on from any moment, and decides as one that
was never interrupted.

Rows that stages drop and rows that fail count as drawn and not accepted; those that were accepted beyond a target (`SURPLUS`) count as
accepted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from datafast.engine.acceptance import PILOT, probability_below, rows_to_draw
from datafast.plan.draw_numbers import PLAIN, DrawNumbers, Held
from datafast.plan.stratified import StratifiedPlan
from datafast.store.shards import ShardName
from datafast.types import TargetCount

if TYPE_CHECKING:
    from datafast.plan.items import Plan
    from datafast.store.ledger import Ledger

__all__ = ["DUPLICATES", "FULL", "NOTED", "STANDING", "SURPLUS", "Room", "Standing", "Targets", "noted_counts"]

SURPLUS = "surplus"
"""The name under which rows beyond a target are filtered."""
FULL = "its target is reached"
DUPLICATES = frozenset({"exact_duplicates", "near_duplicates", "semantic_duplicates"})
"""The stages whose dropped rows are nothing new."""

NOTED, STANDING = "targets", "targets_standing"
"""What the ledger notes: the rounds; how the targets stood after the last one."""

_CREDIBLE = 0.95
_DOUBTFUL = 0.5
_NEWEST = 30
"""The rows of a stratum that are looked at, at least, for how many of the newest ones are duplicates."""


@dataclass
class Standing:
    """How a stratum stands.

    Attributes:
        written, filtered, drawn: rows that are in the file; that were dropped; of which it is known what became of them.
        surplus: dropped rows that are beyond its target.
        pending: rows that the plan asks for besides.
        by_round: of each round, rows that were compared with others, and those of them that were dropped as duplicates.
    """

    target: int
    written: int = 0
    filtered: int = 0
    surplus: int = 0
    drawn: int = 0
    pending: int = 0
    by_round: list[list[int]] | None = None
    given_up: str | None = None

    @property
    def accepted(self) -> int:
        return self.written + self.surplus

    @property
    def lacking(self) -> int:
        """Rows that are to be drawn for, beyond those that the plan asks for already."""
        return 0 if self.given_up is not None else max(0, self.target - self.accepted - self.pending)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is to be accepted.

    Attributes:
        strata: the values that the rows of each have, by field; no values where all rows count together.
        rows: the target of each.
        by: the fields.
        min_acceptance: the acceptance below which a stratum is given up.
        most_duplicates: the share of duplicates among its newest rows above which it is given up; None for no such rule.
    """

    strata: Sequence[Mapping[str, str]]
    rows: Sequence[int]
    by: Sequence[str]
    min_acceptance: float
    most_duplicates: float | None = None

    @property
    def total(self) -> int:
        return sum(self.rows)

    @property
    def name(self) -> str:
        return SURPLUS

    def settings(self) -> dict[str, Any]:
        """What decides about rows that are too many, as JSON."""
        return {
            "stage": SURPLUS,
            "by": list(self.by),
            "rows": dict(zip(map(_name_of, self.strata), self.rows, strict=True)),
        }

    def room(self, plan: Plan) -> Room:
        """A new count of the rows that there is room for."""
        return Room(self.rows, plan)

    # -- rounds

    @property
    def first_round(self) -> list[int]:
        """The rows that the first round draws of each stratum."""
        return [rows_to_draw(0, 0, target) for target in self.rows]

    def note(self, plan: StratifiedPlan) -> str:
        """The rounds of a plan, and which draws it has, as the ledger notes them."""
        names = list(map(_name_of, self.strata))
        told = [{name: rows for name, rows in zip(names, wanted, strict=True) if rows} for wanted in plan.rounds]
        draws = plan.draws
        held = {name: one.to_plain() for name, one in zip(names, draws.held, strict=False)}
        numbers = {} if draws.is_plain else {"draws": {"offset": draws.offset, "stride": draws.stride, "held": held}}
        return orjson.dumps({"by": list(self.by), "rounds": told, **numbers}).decode()

    def draws(self, noted: str | None, shard: ShardName | None = None, *, routes: int = 1) -> DrawNumbers:
        """Which draws a plan has: as it is noted, as far as that is about these strata; else those of the shard, or all. What is held for
        another number of routes is no draw of this plan: its items are found by their keys, like those of any changed plan."""
        note = orjson.loads(noted) if noted else {}
        own = PLAIN if shard is None else DrawNumbers(shard.number - 1, shard.of)
        if note.get("by") != list(self.by) or "draws" not in note:
            return own
        told = note["draws"]
        known, nothing = told["held"], Held(((),) * routes)
        names = map(_name_of, self.strata)
        held = [Held.of_plain(known[name]) if name in known else nothing for name in names]
        are_of_these_routes = all(len(one.turns) == routes for one in held)
        return DrawNumbers(told["offset"], told["stride"], held if known and are_of_these_routes else ())

    def of_shard(self, shard: ShardName) -> Targets:
        """The part of the targets that a shard has. The parts add up; which shards have one more is different from stratum to stratum."""
        rows, first = [], 0
        for target in self.rows:
            rest = target % shard.of
            rows.append(target // shard.of + ((shard.number - 1 - first) % shard.of < rest))
            first += rest
        return replace(self, rows=tuple(rows))

    def rounds(self, noted: str | None) -> list[list[int]]:
        """The rounds that are noted, as far as they are about these strata; if there are none, the first one."""
        note = orjson.loads(noted) if noted else {}
        if note.get("by") != list(self.by):
            return [self.first_round]
        names = list(map(_name_of, self.strata))
        return [[wanted.get(name, 0) for name in names] for wanted in note["rounds"]] or [self.first_round]

    def next_round(self, standing: Sequence[Standing]) -> list[int] | None:
        """The rows that the next round draws of each stratum; None if none lacks any, or not all that the plan asks for is there."""
        if any(one.pending for one in standing):
            return None
        wanted = [self._further(one) if one.lacking else 0 for one in standing]
        return wanted if any(wanted) else None

    def _further(self, one: Standing) -> int:
        rows = rows_to_draw(one.accepted, one.drawn, one.target)
        is_doubtful = probability_below(self.min_acceptance, one.accepted, one.drawn) > _DOUBTFUL
        return min(rows, PILOT) if is_doubtful else rows

    # -- how they stand

    def standing(self, ledger: Ledger, plan: Plan) -> list[Standing]:
        """How each stratum stands by what a ledger has, whose items have their positions in this plan."""
        assert isinstance(plan, StratifiedPlan)  # noqa: S101 - of targets
        layout = plan.layout
        found = [Standing(target, by_round=[[0, 0] for _ in plan.rounds]) for target in self.rows]
        for number, one in enumerate(found):
            one.pending = sum(wanted[number] for wanted in plan.rounds)

        def at(position: int) -> tuple[Standing, list[int]]:
            one = found[layout.stratum_at(position)]
            assert one.by_round is not None  # noqa: S101 - made above
            return one, one.by_round[bisect_right(layout.starts, position) - 1]

        for position, rows, written in ledger.rows_by_position():
            one, of_round = at(position)
            one.written += written
            one.drawn += rows
            one.pending -= rows
            of_round[0] += written
        for position, stage, rows in ledger.filtered.by_position():
            one, of_round = at(position)
            one.filtered += rows
            one.surplus += rows if stage == SURPLUS else 0
            of_round[0] += rows if stage == SURPLUS or stage in DUPLICATES else 0
            of_round[1] += rows if stage in DUPLICATES else 0
        for one in found:
            one.given_up = self._given_up(one)
        return found

    def lacking(self, plan: Plan, ledger: Ledger) -> int:
        """The rows that are to be drawn for, beyond those that the plan asks for."""
        return sum(one.lacking for one in self.standing(ledger, plan))

    def _given_up(self, one: Standing) -> str | None:
        """Why a stratum that lacks rows gets no more; None if it does."""
        if one.pending or one.accepted >= one.target or not one.drawn:
            return None
        if probability_below(self.min_acceptance, one.accepted, one.drawn) > _CREDIBLE:
            counts = {
                "failed": one.drawn - one.written - one.filtered,
                "duplicates": sum(repeated for _, repeated in one.by_round or []),
            }
            told = ", ".join(f"{rows:,} {what}" for what, rows in counts.items() if rows > 0)
            why = f" ({told})" if told else ""
            return f"{one.accepted:,} of {one.drawn:,} rows were accepted{why}, which is below min_acceptance ({self.min_acceptance:g})"
        if self.most_duplicates is not None:
            rows, repeated = _newest(one.by_round or [])
            if probability_below(1 - self.most_duplicates, rows - repeated, rows) > _CREDIBLE:
                return (
                    f"{repeated:,} of its newest {rows:,} rows were duplicates, which is above stop_when.near_duplicates_above "
                    f"({self.most_duplicates:g})"
                )
        return None

    def counts(self, standing: Sequence[Standing]) -> list[TargetCount]:
        """The same for reports."""
        return [
            TargetCount(
                values=dict(values),
                target=one.target,
                accepted=one.written,
                drawn=one.drawn,
                acceptance=one.accepted / one.drawn if one.drawn else None,
                given_up=one.given_up,
            )
            for values, one in zip(self.strata, standing, strict=True)
        ]


class Room:
    """The room that is left in each stratum, while rows are gone through in their order."""

    def __init__(self, rows: Sequence[int], plan: Plan) -> None:
        assert isinstance(plan, StratifiedPlan)  # noqa: S101 - of targets
        self._left = list(rows)
        self._layout = plan.layout

    def take(self, position: int) -> bool:
        """Whether there is room for a row of the item at a position, which it then takes."""
        stratum = self._layout.stratum_at(position)
        self._left[stratum] -= 1
        return self._left[stratum] >= 0

    def is_full(self, position: int) -> bool:
        """Whether there is none for a row of the item at a position."""
        return self._left[self._layout.stratum_at(position)] <= 0


def _name_of(values: Mapping[str, str]) -> str:
    return orjson.dumps(list(values.values())).decode()


def _newest(by_round: Sequence[Sequence[int]]) -> tuple[int, int]:
    """The rows of the last rounds that have enough of them, and how many of them were duplicates."""
    rows = repeated = 0
    for compared, duplicates in reversed(by_round):
        rows, repeated = rows + compared, repeated + duplicates
        if rows >= _NEWEST:
            break
    return rows, repeated


def noted_counts(ledger: Ledger) -> list[TargetCount]:
    """How the targets of an output stood when the last round ended; nothing where it has none."""
    config = orjson.loads(ledger.meta("config") or "{}")
    if not config.get("target_rows"):
        return []
    return [TargetCount(**told) for told in orjson.loads(ledger.meta(STANDING) or "[]")]
