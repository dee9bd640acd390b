"""What is left of a plan beside what an output has: items without any reply, and items for which replies are recorded.

Method: the plan is compared with the ledger, as a run does it. Items for which the ledger may have replies are produced with these
replies, and only the calls that no reply answers are left. If there are many such items, some of them, chosen at random with a fixed
seed, stand for all. Nothing is written.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datafast._util import background
from datafast.engine.dry_run import DryRun, dry_resume, stand_ins
from datafast.plan.members import count_by_route, members_of
from datafast.store.matching import Comparison, compare, item_at

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.job import Job
    from datafast.plan.items import Plan, WorkItem
    from datafast.store.reader import LedgerReader

__all__ = ["MOST_S", "Remaining", "per_route", "remaining"]

MOST_S = 3.0
"""Seconds after which no further item is produced: columns may call functions that take their time."""

_LOOKED_AT = 20_000  # positions whose content is compared with what the ledger has replies for
_PRODUCED = 200
_SEED = "remaining"


@dataclass
class Remaining:
    """What is left.

    Attributes:
        untouched: items without any reply, by route of the plan.
        rows: rows that are still to be written.
        asks: calls that recorded replies do not answer, of items that have some; each with its route, and how many it stands for.
        replayed: the recorded replies that are used.
        in_batches: the calls that open batches will answer.
        used_again: of items that are not in the plan, by id, the keys of calls that an item of the plan uses, and whether that item
            needs no call at all. These are items that stand for `scale` ones each.
        found: the comparison; None if there is nothing to compare with.
    """

    untouched: list[float]
    rows: int
    asks: list[tuple[int, Call, float]] = field(default_factory=list)
    num_begun: float = 0.0
    replayed: float = 0.0
    in_batches: float = 0.0
    used_again: dict[int, tuple[Collection[bytes], bool]] = field(default_factory=dict)
    scale: float = 1.0
    found: Comparison | None = None

    @property
    def items(self) -> int:
        """Items that are left."""
        return round(sum(self.untouched) + self.num_begun)


def remaining(reader: LedgerReader, job: Job) -> Remaining:
    """Compares the plan of a job with its ledger.

    Raises:
        ConfigError: the plan is too large to be compared.
        OutputError: the ledger cannot be read.
    """
    plan = job.plan
    found = compare(reader, plan)
    places = _places_with_replies(plan, found)
    left = Remaining(_untouched(plan, found), plan.num_rows - found.rows_settled - found.rows_begun, found=found)
    chosen = random.Random(_SEED).sample(
        places.positions, min(_PRODUCED, len(places.positions)) if job.providers else 0
    )
    runs = background.run(_produced(reader, job, found, chosen))
    left.scale = places.scale * len(places.positions) / len(runs) if runs else 1.0
    for item, run in runs:
        left.num_begun += left.scale
        left.untouched[item.route] -= left.scale
        left.replayed += left.scale * len(run.replayed)
        left.in_batches += left.scale * run.in_batches
        left.asks += [(item.route, ask, left.scale) for ask in run.asks]
        for donor in found.donors.get(item.content, ()):
            left.used_again[donor] = (run.replayed, not run.asks)
    left.untouched = [max(0.0, count) for count in left.untouched]
    return left


def per_route(plan: Plan) -> list[float]:
    """The number of items of each route of a plan, or of its shard."""
    return [float(count) for count in count_by_route(members_of(plan), plan.num_routes)]


def _untouched(plan: Plan, found: Comparison) -> list[float]:
    """Items that are not settled, by route."""
    return [every - found.settled.number_in(route, plan.num_routes) for route, every in enumerate(per_route(plan))]


@dataclass(frozen=True)
class _Places:
    """Positions of items that may have replies; each stands for `scale` such items."""

    positions: Sequence[int]
    scale: float = 1.0


def _places_with_replies(plan: Plan, found: Comparison) -> _Places:
    begun = sorted(found.begun)
    if not found.donors:
        return _Places(begun)
    looked_at = members = members_of(plan)
    if len(members) > _LOOKED_AT:
        looked_at = sorted(random.Random(_SEED).sample(members, _LOOKED_AT))
    scale = len(members) / len(looked_at) if looked_at else 1.0
    positions = [
        position
        for position in looked_at
        if position in found.begun or (position not in found.settled and _has_donor(plan, position, found))
    ]
    return _Places(positions, scale)


def _has_donor(plan: Plan, position: int, found: Comparison) -> bool:
    return item_at(plan, position, former=found.former, known=None, donors=found.donors).content in found.donors


async def _produced(
    reader: LedgerReader, job: Job, found: Comparison, positions: Sequence[int]
) -> list[tuple[WorkItem, DryRun]]:
    routes = stand_ins(job.routes, fan_out=job.settings.fan_out)
    runs: list[tuple[WorkItem, DryRun]] = []
    end = time.monotonic() + MOST_S
    has_batches = bool(reader.batches.open())
    for position in positions:
        if runs and time.monotonic() > end:
            break
        known = found.begun.get(position)
        item = item_at(job.plan, position, former=found.former, known=known, donors=found.donors)
        donors = found.donors.get(item.content, ())
        ids = [*donors, *([known.id] if known is not None else ())]
        recorded = reader.recorded(ids, donors=donors)
        run = await dry_resume(
            job.asking,
            item,
            route=routes[item.route],
            settings=job.settings,
            record=known,
            recorded=recorded,
            most_rows=found.most_donated,
            waiting=reader.batches.open_keys(ids) if has_batches else (),
        )
        runs.append((item, run))
    return runs
