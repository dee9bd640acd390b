"""Rows that are made again because stages have dropped them: which of their generations count, and which rows are to be made.

A row may have several generations. The first that passes is in the JSONL. All others are in `filtered`, and do not count. Where none
passes, the last one counts as filtered, once no further one is to be made; until then the row is pending. Which generation is in the
JSONL follows from the others: they are numbered without a gap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from datafast.store.ledger import Ledger
from datafast.store.records import ItemState
from datafast.store.verdicts import Decides

__all__ = ["arrange"]


class _Slot(NamedTuple):
    """A row of which a generation was dropped."""

    item: int
    number: int
    state: ItemState
    is_shown: bool
    ids: list[int]
    is_hidden: list[bool]
    stages: list[str]


def arrange(ledger: Ledger, decides: Decides, *, moved: Iterable[int] = ()) -> int:
    """Notes which generations count, now that the verdicts about them are known, and opens items some of whose rows are to be made again.
    What was dropped because of other rows is made again once all rows are there: until then more of them may come, and change that.

    Args:
        moved: items some of whose rows have just left the file, or come back into it.

    Returns:
        The number of rows that are to be made again. Those of failed items wait until these are retried.

    Called inside a transaction of the ledger.
    """
    most = decides.most_replaced
    if not most and not ledger.filtered.has_generations:
        return 0
    is_complete = ledger.counts(decides.num_rows).pending == 0
    for_good = decides.for_good if is_complete else decides.for_good | decides.walk_names
    shown: list[int] = []
    hidden: list[int] = []
    opened: dict[int, int] = {}
    failed = set(moved)
    waiting = False
    for slot in _slots(ledger):
        counts = _counting(slot, most, for_good, decides.beyond)
        waiting |= counts is not None and slot.stages[counts] in decides.walk_names
        for number, (row, was_hidden) in enumerate(zip(slot.ids, slot.is_hidden, strict=True)):
            if was_hidden != (number != counts):
                (shown if was_hidden else hidden).append(row)
        if slot.state is ItemState.FAILED:
            failed.add(slot.item)
        elif counts is None and not slot.is_shown:
            opened[slot.item] = opened.get(slot.item, 0) + 1
    ledger.filtered.hide(hidden, is_hidden=True)
    ledger.filtered.hide(shown, is_hidden=False)
    ledger.open_done(opened)
    ledger.recount_failed(failed)
    ledger.note_waiting(is_waiting=waiting and not is_complete)
    return sum(opened.values())


def _slots(ledger: Ledger) -> Iterator[_Slot]:
    for (item, number, state, is_shown), rows in groupby(ledger.filtered.generations(), key=itemgetter(0, 1, 2, 3)):
        listed = list(rows)
        yield _Slot(
            item,
            number,
            ItemState(state),
            bool(is_shown),
            [row[4] for row in listed],
            [bool(row[5]) for row in listed],
            [row[6] for row in listed],
        )


def _counting(slot: _Slot, most: int, for_good: Collection[str], beyond: Mapping[int, int] | None) -> int | None:
    """Which of the dropped generations counts as filtered; None where the row is in the file, or is to be made again."""
    if slot.is_shown:
        return None
    last = max((number for number, stage in enumerate(slot.stages[: most + 1]) if stage), default=None)
    was_counted = not all(slot.is_hidden)
    stays = (
        was_counted and slot.state is ItemState.DONE if beyond is None else beyond.get(slot.item, 0) >> slot.number & 1
    )
    is_for_good = last is not None and (slot.stages[last] in for_good or stays)
    if len(slot.ids) > most or is_for_good or (slot.state is ItemState.FAILED and was_counted):
        return last
    return None
