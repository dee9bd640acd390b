"""The rounds of a run: to make rows again that were dropped when rows were compared with each other, to ask models about recorded rows that
only count since others were dropped, and to meet targets (see `datafast.engine.targets`). How a run stands after one, and the job of the
next."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, NamedTuple

import orjson

from datafast.engine.reporting import why_stopped
from datafast.engine.targets import NOTED, STANDING, Standing
from datafast.plan.members import members_of
from datafast.plan.stratified import StratifiedPlan
from datafast.store.ledger import Ledger
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.assembly import Parts
    from datafast.engine.job import Job

__all__ = ["Judged", "judged", "next_job"]


class Judged(NamedTuple):
    """How the targets of a run stand, and whether all its rows were compared with each other, so that this is how many they are."""

    standing: Sequence[Standing] = ()
    is_settled: bool = False


def judged(parts: Parts) -> Judged:
    """How the targets of a run stand, whose round is over and whose files are closed. That is noted, and counted in its store."""
    job = parts.job
    if job.targets is None or parts.stop.cause is StopCause.OUTPUT:
        return Judged()
    with contextlib.closing(Ledger(job.paths.ledger)) as ledger:
        standing = job.targets.standing(ledger, job.plan)
        requested = job.plan.num_rows + sum(one.lacking for one in standing)
        told = [asdict(count) for count in job.targets.counts(standing)]
        with ledger.transaction():
            ledger.set_meta("requested", str(requested))
            ledger.set_meta(STANDING, orjson.dumps(told).decode())
        ledger.checkpoint()
        parts.output.store.counts = ledger.counts()
        is_settled = job.shard is not None or ledger.is_settled or not ledger.has_rows  # in a shard nothing is compared
        return Judged(standing, is_settled)


def next_job(parts: Parts, found: Judged) -> Job | None:
    """The job of the next round; None if there is none."""
    job = parts.job
    if parts.stop or job.decide_only:
        return None
    settled = parts.output.store.settled
    goes_on = settled is not None and (settled.to_replace or parts.decider.has_found_unasked)
    if goes_on and why_stopped(parts)[0] is None:
        return replace(job, fresh=False, retry_failed=False, located=None)
    if job.targets is None or not found.is_settled:
        return None
    wanted = job.targets.next_round(found.standing)
    if wanted is None or (job.limit is not None and len(members_of(job.plan)) >= job.limit):
        return None
    plan = _plan_of(job).grown([*_plan_of(job).rounds, wanted])
    return replace(
        job,
        plan=plan,
        notes={**job.notes, NOTED: job.targets.note(plan)},
        fresh=False,
        retry_failed=False,
        located=None,
    )


def _plan_of(job: Job) -> StratifiedPlan:
    assert isinstance(job.plan, StratifiedPlan)  # noqa: S101 - a job with targets has one
    return job.plan
