"""Replies of a spool that somebody else has overtaken: those that are not in the new one go into its journal, so that they are found when
the same is asked again, as after a crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from datafast.store.journal import encoded_record, read_journal
from datafast.store.journal_records import journal_header
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader

__all__ = ["take_along", "unsent"]

_AT_ONCE = 200
_Identity = tuple[str, str, int, float]
"""Of an item and a call the keys, the generation, and when it was sent: what no two calls share."""


def unsent(paths: OutputPaths, after: int) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The replies of an output that are newer than that with this id, as records of a journal: those in the ledger, then those that a
    killed run left in its journal alone."""
    newest = after
    if paths.ledger.exists():
        with LedgerReader(paths.ledger) as reader:
            while calls := reader.calls.newer(newest, _AT_ONCE):
                items = reader.items_of(sorted({call.item for call in calls}))
                for call in calls:
                    yield journal_header(call, items[call.item]), call.raw
                newest = calls[-1].id
    for header, raw in read_journal(paths.journal):
        if header.get("id", 0) > newest:
            yield header, raw


def take_along(old: OutputPaths, after: int, new: OutputPaths) -> int:
    """Appends them to the journal of an output that nobody works on. Returns how many it did not have.

    Calls and items get numbers behind those of the new output; an item that it knows by its key keeps that number.

    Args:
        after: replies up to this one were uploaded; what came later may have been, too.
    """
    wanted = {header["item_key"] for header, _ in unsent(old, after)}
    if not wanted:
        return 0
    numbers, asked, last_item, last_call = _known(new, wanted)
    count = 0
    with new.journal.open("ab") as journal:
        for header, raw in unsent(old, after):
            key = header["item_key"]
            if _identity(header) in asked:
                continue
            if key not in numbers:
                last_item += 1
                numbers[key] = last_item
            last_call += 1
            journal.write(encoded_record({**header, "id": last_call, "item": numbers[key]}, raw))
            count += 1
    return count


def _identity(header: Mapping[str, Any]) -> _Identity:
    return header["item_key"], header["key"], header["generation"], header["sent_at"]


def _known(paths: OutputPaths, wanted: set[str]) -> tuple[dict[str, int], set[_Identity], int, int]:
    """The numbers of these items in an output, what was asked for them, and the highest numbers of its items and calls."""
    numbers: dict[str, int] = {}
    asked: set[_Identity] = set()
    last_item = last_call = 0
    with ExitStack() as stack:
        if paths.ledger.exists():
            reader = stack.enter_context(LedgerReader(paths.ledger))
            last_item, last_call = reader.max_id("items"), reader.max_id("calls")
            numbers = {key: item.id for item in reader.items() if (key := item.key.hex()) in wanted}
            keys = {number: key for key, number in numbers.items()}
            for item, call, generation, sent_at in reader.calls.asked():
                if item in keys:
                    asked.add((keys[item], call.hex(), generation, sent_at))
    for header, _ in read_journal(paths.journal):
        if "item_key" in header:
            last_item, last_call = max(last_item, header["item"]), max(last_call, header["id"])
            if header["item_key"] in wanted:
                numbers.setdefault(header["item_key"], header["item"])
                asked.add(_identity(header))
    return numbers, asked, last_item, last_call
