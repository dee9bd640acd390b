"""Finding the items of a ledger in a plan by their keys; items that an earlier version has begun by their former keys.

Cost: nothing if the plan is the one of the last run. Otherwise its keys are read once, and once more with former keys only if
the ledger may have items of that version and some were not found yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from datafast._util.bitmap import PositionSet
from datafast.errors import ConfigError
from datafast.plan.items import Plan
from datafast.store.ledger import Ledger
from datafast.store.records import ItemRecord, ItemState

__all__ = ["Matched", "former_of", "found_in", "has_places_of", "match"]

_WALK_LIMIT = 50_000_000

T = TypeVar("T")


@dataclass
class Matched:
    """The items of a plan that a ledger has.

    Attributes:
        former: the plan with the keys of earlier versions that the ledger may have.
        done: the positions of items that are complete.
        unfinished: open and failed items, by position.
        donors: items that are not in the plan any more, by content.
        most_donated: the most rows that one of them asks for.
    """

    former: Sequence[Plan]
    done: PositionSet
    unfinished: dict[int, ItemRecord] = field(default_factory=dict)
    donors: dict[bytes, list[int]] = field(default_factory=dict)
    most_donated: int = 0

    def forget_rows_beyond(self) -> None:
        """Rows that items do not ask for any more have left the file."""
        for item in self.unfinished.values():
            item.slots &= (1 << item.num_rows) - 1


def former_of(plan: Plan, versions: Collection[str]) -> list[Plan]:
    """The plan with the keys of those earlier versions."""
    return [former for former in plan.former if former.key_version in versions]


def has_places_of(fingerprint: bytes | None, plan: Plan, former: Sequence[Plan]) -> bool:
    """Whether items have the same positions in this plan as in the plan with this fingerprint."""
    return any(fingerprint == same.fingerprint for same in (plan, *former))


def found_in(plan: Plan, former: Sequence[Plan], left: dict[bytes, T]) -> Iterator[tuple[int, T]]:
    """The position of each key that is found, with its value in `left`, from which it is removed."""
    taken = PositionSet() if former else None
    for position, key in enumerate(plan.keys() if left else ()):
        found = left.pop(key, None)
        if found is not None:
            if taken is not None:
                taken.add(position)
            yield position, found
    for same in former:
        for position, key in enumerate(same.keys() if left else ()):
            if key in left and taken is not None and position not in taken:
                taken.add(position)
                yield position, left.pop(key)


def match(ledger: Ledger, plan: Plan) -> Matched:
    """Finds each item of the ledger in the plan. Items that are not in it any more become stale."""
    former = former_of(plan, ledger.key_versions)
    if has_places_of(ledger.meta("plan"), plan, former):
        matched = Matched(former, done=PositionSet(ledger.done_positions()))
        if ledger.meta("plan") != plan.fingerprint or plan.key_version not in ledger.key_versions:
            with ledger.transaction():
                _note(ledger, plan)
    else:
        matched = Matched(former, done=_move_to_new_plan(ledger, plan, former))
    filtered, failures = ledger.filtered_of_unfinished(), ledger.failures_of_lost()
    for item in ledger.items(ItemState.OPEN, ItemState.FAILED, ItemState.STALE):
        if item.state is ItemState.STALE:
            matched.donors.setdefault(item.content, []).append(item.id)
            matched.most_donated = max(matched.most_donated, item.num_rows)
        else:
            item.filtered = filtered.get(item.id, 0)
            item.failure = failures.get(item.id)
            matched.unfinished[item.position] = item
    return matched


def _move_to_new_plan(ledger: Ledger, plan: Plan, former: Sequence[Plan]) -> PositionSet:
    """Gives every item its position in a changed plan. Returns the positions of those that are done."""
    before = ledger.places()
    if len(before) and len(plan) > _WALK_LIMIT:
        raise ConfigError(
            f"The config has changed since this output was begun, and its plan of {len(plan):,} items is too large to be "
            f"compared with it. Choose another --output, or start over with --fresh."
        )
    returned: list[int] = []
    done = PositionSet()

    def moved() -> Iterator[tuple[int, int]]:
        for position, place in found_in(plan, former, before):
            if place & Ledger.STATE_BITS == ItemState.DONE:
                done.add(position)
            elif place & Ledger.STATE_BITS == ItemState.STALE:
                returned.append(Ledger.item_of(place))
            if place >> Ledger.POSITION_SHIFT != position:
                yield Ledger.item_of(place), position

    with ledger.transaction():
        ledger.move_items(moved())
        ledger.set_state(returned, ItemState.OPEN)
        ledger.decide_anew(returned)
        ledger.set_state(map(Ledger.item_of, before.values()), ItemState.STALE)
        if _fit(ledger, plan):
            done = PositionSet(ledger.done_positions())
        _note(ledger, plan)
    return done


def _fit(ledger: Ledger, plan: Plan) -> bool:
    """Gives the items that ask for more or fewer rows than before their new number; returns whether there are any.

    Only the last item of a plan may ask for fewer rows than an item can, so only those that differ are looked at.
    """
    if not len(plan):
        return False
    last = len(plan) - 1
    different = [
        (item, rows)
        for item in ledger.items_unlike(plan[last].most_rows, position=last)
        if (rows := plan[item.position].num_rows) != item.num_rows
    ]
    for item, rows in different:
        ledger.resize(item, rows)
    return bool(different)


def _note(ledger: Ledger, plan: Plan) -> None:
    """Records that items have their positions in this plan, and that new items will have its keys."""
    ledger.set_meta("plan", plan.fingerprint)
    versions = dict.fromkeys([*ledger.key_versions, plan.key_version])
    ledger.set_meta("keys", orjson.dumps(list(versions)).decode())
