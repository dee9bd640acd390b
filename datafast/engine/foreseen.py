"""What a run with targets is expected to draw: the plan that it will have, and how far off that may be. Reads only.

Method: a stratum whose acceptance is known is expected to go on like that, and the range is the middle 80 % of its posterior
distribution (`datafast.engine.acceptance`). Before that, three of four rows are taken to be accepted, between half and all of them; without
stages all are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datafast._util.user_path import is_file
from datafast.amounts import counted
from datafast.engine.acceptance import mean
from datafast.engine.targets import Standing
from datafast.errors import OutputError
from datafast.plan.stratified import StratifiedPlan
from datafast.store.matching import former_of, has_places_of
from datafast.store.reader import LedgerReader

if TYPE_CHECKING:
    from datafast.engine.estimated import Estimate
    from datafast.engine.job import Job
    from datafast.engine.targets import Targets

__all__ = ["Foreseen", "foreseen"]

_ASSUMED = (0.5, 0.75, 1.0)
_NAMED = 3  # targets that are named, of those that are given up
_MIDDLE = 1.28
"""Standard deviations on each side of the mean that hold 80 % of a distribution."""


@dataclass(frozen=True)
class Foreseen:
    """What is expected.

    Attributes:
        job: the job with the plan that it is expected to end with.
        few, many: rows that are drawn from now on at the highest and the lowest acceptance, in parts of what is expected.
        note: the same in words.
    """

    job: Job
    few: float
    many: float
    note: str

    def told(self, estimate: Estimate) -> Estimate:
        """An estimate of the job with this range, and the note."""
        ranged = estimate.within(self.few, self.many)
        return replace(ranged, notes=(self.note, *ranged.notes))


def foreseen(job: Job) -> Foreseen | None:
    """What a job with targets is expected to draw; None for one without."""
    targets, plan = job.targets, job.plan
    if targets is None:
        return None
    assert isinstance(plan, StratifiedPlan)  # noqa: S101 - of targets
    standing = _standing(job, targets, plan)
    shares = [_share(one, has_stages=bool(job.stages)) for one in standing]
    few, expected, many = (
        [_to_draw(one, share[at]) for one, share in zip(standing, shares, strict=True)] for at in (2, 1, 0)
    )
    further = [max(0, rows - one.pending) for rows, one in zip(expected, standing, strict=True)]
    grown = plan.grown([*plan.rounds, further]) if any(further) else plan
    total = sum(expected) or 1
    return Foreseen(
        job=replace(job, plan=grown),
        few=sum(few) / total,
        many=sum(many) / total,
        note=_note(targets, standing, few=sum(few), expected=sum(expected), many=sum(many)),
    )


def _standing(job: Job, targets: Targets, plan: StratifiedPlan) -> list[Standing]:
    """How the targets stand; as at the beginning if nothing of this plan is recorded."""
    nothing = [
        Standing(target, pending=sum(wanted[number] for wanted in plan.rounds))
        for number, target in enumerate(targets.rows)
    ]
    if job.fresh or not is_file(job.paths.ledger):
        return nothing
    try:
        with LedgerReader(job.paths.ledger) as reader:
            if not has_places_of(reader.meta("plan"), plan, former_of(plan, reader.key_versions)):
                return nothing
            return targets.standing(reader, plan)
    except OutputError:
        return nothing  # a run says what is wrong


def _share(one: Standing, *, has_stages: bool) -> tuple[float, float, float]:
    """The lowest, the expected and the highest acceptance of a stratum."""
    if not one.drawn:
        return _ASSUMED if has_stages else (1.0, 1.0, 1.0)
    if one.accepted == one.drawn and not has_stages:
        return 1.0, 1.0, 1.0
    share = mean(one.accepted, one.drawn)
    deviation = _MIDDLE * math.sqrt(share * (1 - share) / (one.drawn + 3))
    return max(share - deviation, share / 2), share, min(share + deviation, 1.0)


def _to_draw(one: Standing, share: float) -> int:
    """The rows that are still to be drawn of a stratum, those that the plan asks for included."""
    if one.given_up is not None:
        return 0
    return max(one.pending, math.ceil(max(0, one.target - one.accepted) / share))


def _note(targets: Targets, standing: Sequence[Standing], *, few: int, expected: int, many: int) -> str:
    accepted = sum(min(one.accepted, one.target) for one in standing)
    drawn = sum(one.drawn for one in standing)
    by = f" by {', '.join(targets.by)}" if targets.by else ""
    wanted = f"Target: {counted(targets.total, 'accepted row')}{by}, of which {accepted:,} {'is' if accepted == 1 else 'are'} there."
    lost = [one for one in targets.counts(standing) if one.given_up is not None]
    told = [f"No more rows are drawn for {one.name}: {one.given_up}." for one in lost[:_NAMED]]
    told += [f"Nor for {len(lost) - _NAMED:,} more."] if len(lost) > _NAMED else []
    if not expected:
        return " ".join([wanted, *(told or ["No more are drawn."])])
    seen = (
        f"as {sum(one.accepted for one in standing) / drawn:.0%} of {drawn:,} rows were accepted so far"
        if drawn
        else ""
    )
    how = seen or ("if half to all of them are accepted, which is assumed" if many > expected else "if none fails")
    between = f" ({few:,} to {many:,})" if few < many else ""
    ahead = f"About {counted(expected, 'row')}{between} {'is' if expected == 1 else 'are'} still drawn, {how}."
    return " ".join([wanted, ahead, *told])
