"""A plan beside the items of a ledger: `compare` says what the plan would change, and changes nothing; `match` does it.

Cost: hardly any if the plan is the one of the last run. Otherwise the items are looked for in it (`datafast.store.locating`).
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from datafast._util.bitmap import PositionSet
from datafast.plan.items import Plan, WorkItem
from datafast.store.ledger import Ledger
from datafast.store.locating import Located, locate
from datafast.store.records import FailureRow, ItemRecord, ItemState

__all__ = ["Comparison", "Matched", "compare", "former_of", "has_places_of", "item_at", "match"]

_AT_ONCE = 500
_NOT_FOR_SALE = FailureRow(
    item=0,
    category="lost",
    error="Its replies are not recorded any more.",
    provider="",
    role="",
    attempts=0,
    rows=0,
    prompt="",
    raw=b"",
    at=0.0,
)
_SETTLED = frozenset({ItemState.DONE, ItemState.FAILED})


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

    def open_for_asking(
        self, ledger: Ledger, unasked: Mapping[int, Mapping[int, int]], *, anew: Collection[int]
    ) -> None:
        """Opens items for what stages ask about their rows. What they are in the ledger stays, and nothing else is bought for them.

        Args:
            unasked: the rows, as bit masks by the ids of the items and by generation.
            anew: those of the items about which models were asked in vain, and are asked once more.
        """
        with ledger.transaction():
            ledger.raise_generation_of_done(anew)
        ids = list(unasked)
        for start in range(0, len(ids), _AT_ONCE):
            for item_id, item in ledger.items_of(ids[start : start + _AT_ONCE]).items():
                item = self.unfinished.setdefault(item.position, item)
                item.unasked = unasked[item_id]
                if item.is_for_asking:
                    item.failure = _NOT_FOR_SALE
                    self.done.discard(item.position)

    def forget_rows_beyond(self) -> None:
        """Rows that items do not ask for any more have left the file."""
        for item in self.unfinished.values():
            item.slots &= (1 << item.num_rows) - 1


@dataclass
class Comparison:
    """A plan beside the items of a ledger, before anything is changed.

    Attributes:
        former: as in `Matched`.
        is_new: whether the plan differs from the one of the last run.
        settled: the positions of items that are done or have failed.
        begun: items of the plan that are not settled although the ledger has them, by position; also those that come back.
        leaving: items that are in the ledger's plan and not in this one: how many of their rows are in the file, by id.
        donors: ids of all items that are not in this plan, by content; their replies may still be used.
        most_donated: the most rows that one of these items asks for.
        rows_settled: the rows of settled items.
        rows_cut: rows in the file that are more than their items ask for in this plan.
        rows_returning: the rows of begun items that were not in the last plan.
        located: where the items are, if the plan is a new one.
    """

    former: Sequence[Plan]
    is_new: bool
    settled: PositionSet
    begun: dict[int, ItemRecord] = field(default_factory=dict)
    leaving: dict[int, int] = field(default_factory=dict)
    donors: dict[bytes, list[int]] = field(default_factory=dict)
    most_donated: int = 0
    rows_settled: int = 0
    rows_cut: int = 0
    rows_returning: int = 0
    located: Located | None = None

    @property
    def rows_begun(self) -> int:
        """Rows of begun items that are in the file, or were dropped by stages."""
        return sum((item.decided & ((1 << item.num_rows) - 1)).bit_count() for item in self.begun.values())


def former_of(plan: Plan, versions: Collection[str]) -> list[Plan]:
    """The plan with the keys of those earlier versions."""
    return [former for former in plan.former if former.key_version in versions]


def has_places_of(fingerprint: bytes | None, plan: Plan, former: Sequence[Plan]) -> bool:
    """Whether items have the same positions in this plan as in the plan with this fingerprint."""
    return any(fingerprint == same.fingerprint for same in (plan, *former))


def item_at(
    plan: Plan,
    position: int,
    *,
    former: Sequence[Plan],
    known: ItemRecord | None,
    donors: Container[bytes],
) -> WorkItem:
    """An item of the plan; in its earlier form if an earlier version has begun it (`known`) or has replies for it."""
    item = plan[position]
    if not former:
        return item
    candidates = [item, *(plan[position] for plan in former)]
    if known is not None:
        return next((candidate for candidate in candidates if candidate.key == known.key), item)
    return next((candidate for candidate in candidates if candidate.content in donors), item)


def compare(ledger: Ledger, plan: Plan) -> Comparison:
    """What the plan would do to the items of a ledger.

    Raises:
        ConfigError: the plan is another one, and too large to be compared.
    """
    former = former_of(plan, ledger.key_versions)
    last = ledger.meta("plan")
    is_new = last is not None and not has_places_of(last, plan, former)
    found = Comparison(former, is_new, PositionSet() if is_new else ledger.settled_positions())
    if is_new:
        _find(ledger, plan, found)
    else:
        found.begun = {item.position: item for item in ledger.items(ItemState.OPEN)}
        found.rows_settled = ledger.rows_settled()
    begun = {item.id: item for item in found.begun.values()}
    # All items have to be read only if some of those that are done leave.
    for item in ledger.items(*(() if found.leaving else (ItemState.STALE,))):
        if item.id in found.leaving:
            found.leaving[item.id] = (item.slots & ((1 << item.num_rows) - 1)).bit_count()
        elif item.state is not ItemState.STALE or item.id in begun:
            continue
        found.donors.setdefault(item.content, []).append(item.id)
        found.most_donated = max(found.most_donated, item.num_rows)
    for item_id, filtered in ledger.filtered.of_unfinished().items():
        if item_id in begun:
            begun[item_id].filtered = filtered
    return found


def _find(ledger: Ledger, plan: Plan, found: Comparison) -> None:
    """Notes which items of the ledger the plan has and which leave."""
    located = found.located = locate(ledger, plan, found.former)
    stale = set(ledger.ids_of(ItemState.STALE))
    found.leaving = {item_id: 0 for item_id in located.absent if item_id not in stale}
    unlike = [item.id for item in ledger.items_unlike(plan[len(plan) - 1].most_rows)] if len(plan) else []
    unclear = {*located.items_at(plan.ends), *unlike, *stale, *ledger.ids_of(ItemState.OPEN)}
    positions = {item_id: position for item_id in unclear if (position := located.position_of(item_id)) is not None}
    found.settled = PositionSet(
        position for item_id, position in enumerate(located.positions) if position >= 0 and item_id not in positions
    )
    reopened = _look_at(ledger, plan, found, positions)
    found.rows_settled += ledger.rows_settled(but={*found.leaving, *reopened})


def _look_at(ledger: Ledger, plan: Plan, found: Comparison, positions: Mapping[int, int]) -> set[int]:
    """Notes items that are not settled, or may ask for another number of rows. Returns those that are settled only in the last plan."""
    reopened = set()
    for item in ledger.items_at(positions):
        position = positions[item.id]
        rows = plan[position].num_rows
        was_settled = item.state in _SETTLED
        if was_settled and (rows == item.num_rows or (rows < item.num_rows and item.state is ItemState.DONE)):
            found.settled.add(position)
            found.rows_settled -= item.num_rows - rows
            found.rows_cut += (item.slots >> rows).bit_count()
            continue
        if was_settled:
            reopened.add(item.id)
        if item.state is ItemState.STALE:  # its rows are decided about anew
            item.kept = 0
            found.rows_returning += rows
        found.begun[position] = replace(item, position=position, num_rows=rows)
    return reopened


def match(ledger: Ledger, plan: Plan, located: Located | None = None) -> Matched:
    """Finds each item of the ledger in the plan. Items that are not in it any more become stale.

    Args:
        located: where they were found in the plan a moment ago, if they were looked for.
    """
    former = former_of(plan, ledger.key_versions)
    if not has_places_of(ledger.meta("plan"), plan, former):
        if located is None or not located.holds(ledger, plan):
            located = locate(ledger, plan, former)
        _move_to_new_plan(ledger, plan, located)
    elif ledger.meta("plan") != plan.fingerprint or plan.key_version not in ledger.key_versions:
        with ledger.transaction():
            _note(ledger, plan)
    matched = Matched(former, done=ledger.sealed.done())
    filtered, failures = ledger.filtered.of_unfinished(), ledger.failures_of_lost()
    for item in ledger.items(ItemState.OPEN, ItemState.FAILED, ItemState.STALE):
        if item.state is ItemState.STALE:
            matched.donors.setdefault(item.content, []).append(item.id)
            matched.most_donated = max(matched.most_donated, item.num_rows)
        else:
            item.filtered = filtered.get(item.id, 0)
            item.failure = failures.get(item.id)
            matched.unfinished[item.position] = item
    if ledger.filtered.has_generations:
        ledger.add_dropped({item.id: item for item in matched.unfinished.values()})
    return matched


def _move_to_new_plan(ledger: Ledger, plan: Plan, located: Located) -> None:
    """Gives every item its position in a changed plan."""
    returned = [item_id for item_id in ledger.ids_of(ItemState.STALE) if located.position_of(item_id) is not None]
    with ledger.transaction():
        ledger.note_unsettled()
        ledger.move_items(located.positions)
        ledger.set_state(returned, ItemState.OPEN)
        ledger.decide_anew(returned)
        ledger.set_state(located.absent, ItemState.STALE)
        _fit(ledger, plan)
        _note(ledger, plan)


def _fit(ledger: Ledger, plan: Plan) -> None:
    """Gives the items that ask for more or fewer rows than before their new number.

    Only the ends of a plan may ask for fewer rows than an item can, so only they and those that differ are looked at.
    """
    if not len(plan):
        return
    for item in ledger.items_unlike(plan[len(plan) - 1].most_rows, positions=plan.ends):
        if (rows := plan[item.position].num_rows) != item.num_rows:
            ledger.resize(item, rows)


def _note(ledger: Ledger, plan: Plan) -> None:
    """Records that items have their positions in this plan, and that new items will have its keys."""
    ledger.set_meta("plan", plan.fingerprint)
    versions = dict.fromkeys([*ledger.key_versions, plan.key_version])
    ledger.set_meta("keys", orjson.dumps(list(versions)).decode())
