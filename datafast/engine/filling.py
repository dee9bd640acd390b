"""Which further draws bring back combinations of values that have lost all their rows, because these were filtered or have failed.

A combination is what an item asks for: its values on all dimensions, its template and its placeholders, whoever answers and whichever draw
it is. It is lost if no item that asks for it has a row or may still get one. The ledger notes which draws there were, and they stay in
the plan from then on. A further draw may be lost too; then the next time draws once more.

Cost: nothing where no item has lost all rows; else some 30 microseconds for each item of the plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import orjson

from datafast.errors import ConfigError
from datafast.plan.filled import Fill, FilledPlan, filled
from datafast.plan.grid import GridPlan
from datafast.plan.items import Plan, WorkItem, digest
from datafast.store.ledger import Ledger
from datafast.store.locating import locate
from datafast.store.matching import former_of, has_places_of
from datafast.store.records import ItemState

__all__ = ["FILLS", "fills_in", "noted", "with_fills"]

FILLS = "fills"
"""The name of the note in the ledger."""


def noted(fills: Sequence[Fill]) -> str:
    """Further draws, as the ledger notes them."""
    return orjson.dumps([(fill.content.hex(), fill.number) for fill in fills]).decode()


def fills_in(ledger: Ledger) -> list[Fill]:
    """The further draws that a ledger notes."""
    told = orjson.loads(ledger.meta(FILLS) or "[]")
    return [Fill(bytes.fromhex(content), number) for content, number in told]


def with_fills(plan: Plan, ledger: Ledger) -> list[Fill]:
    """The further draws that are noted, and those that bring back what is lost now.

    Args:
        plan: without further draws.

    Raises:
        ConfigError: the plan of this kind cannot be drawn from again.
    """
    known = fills_in(ledger)
    whole = filled(plan, known)
    lost = _lost_combinations(whole, _lost_items(whole, ledger))
    if not lost:
        return known
    base = whole.plan if isinstance(whole, FilledPlan) else whole
    if not isinstance(base, GridPlan):
        raise ConfigError("fill: The plan of this kind has no combinations of values that could be drawn again.")
    drawn = Counter(fill.content for fill in known)
    sources = [base[_source(whole, position)] for position in lost]
    if not base.radices and base.num_routes > 1:
        sources = list(_by_route(sources, base.num_routes))
    new = []
    for item in sources:
        drawn[item.content] += 1
        new.append(Fill(item.content, drawn[item.content]))
    return [*known, *new]


def _lost_items(plan: Plan, ledger: Ledger) -> set[int]:
    """The positions of items that are settled and have no row in the file."""
    former = former_of(plan, ledger.key_versions)
    located = None if has_places_of(ledger.meta("plan"), plan, former) else locate(ledger, plan, former)
    lost = set()
    for item in ledger.items(ItemState.DONE, ItemState.FAILED):
        position = item.position if located is None else located.position_of(item.id)
        if not item.slots and position is not None and position < len(plan):
            lost.add(position)
    return lost


def _lost_combinations(plan: Plan, lost: set[int]) -> list[int]:
    """The position of the first item of each combination that has no other items than lost ones."""
    first: dict[bytes, int] = {}
    for position in sorted(lost):
        first.setdefault(_combination(plan[position]), position)
    for position in range(len(plan) if first else 0):
        if position not in lost:
            first.pop(_combination(plan[position]), None)
    return sorted(first.values())


def _combination(item: WorkItem) -> bytes:
    """16 bytes for what an item asks for, whichever draw of it it is."""
    values = [part for pair in sorted(item.shown_values.items()) for part in pair]
    return digest(str(item.variant.template_index), *values)


def _source(plan: Plan, position: int) -> int:
    """The position, in the plan without further draws, of the item that is drawn from."""
    if not isinstance(plan, FilledPlan):
        return position
    return plan.source_of(position)


def _by_route(items: Sequence[WorkItem], routes: int) -> Iterator[WorkItem]:
    """Items in an order in which they take the routes in turn, each on its own one as far as possible; some come again to make the last
    turn whole."""
    left = [[item for item in items if item.route == route] for route in range(routes)]
    for number in range(-(-len(items) // routes) * routes):
        if not any(left):
            yield items[number % len(items)]
            continue
        own = left[number % routes] or max(left, key=len)
        yield own.pop(0)
