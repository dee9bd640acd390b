"""Decides about all recorded rows: because the stages have changed, or because a run has ended and its rows are compared with each other.

One pass over the rows finds which of them have another verdict than they had, and the file is made anew if any has (see `reversing`).
Stages that look at one row decide about it as it was made: where they have changed it, the ledger has the original. Rows are compared as
they are written.

Cost: see `recorded_rows` and `reversing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import IO

import orjson

from datafast.store.compaction import behind_link
from datafast.store.ledger import Ledger
from datafast.store.recorded_rows import recorded_rows
from datafast.store.reversing import Changes, Texts, apply, note, spool_in
from datafast.store.verdicts import Decides, Deciding, PlaceIn, RecordedRow, Reversed

__all__ = ["decide_where_changed", "only_reviewed", "reversals", "settle"]

_ROWS_AT_ONCE = 512
_BYTES_AT_ONCE = 8 * 1024 * 1024


def decide_where_changed(rows: Path, ledger: Ledger, decides: Decides, *, tries_again: bool) -> Reversed | None:
    """Decides about all recorded rows if the stages are others than those that they were decided by. None if they are the same.

    Args:
        tries_again: also if no verdict could be given about some. Where models are still to be asked about some, they are decided about
            in any case.

    Raises:
        Abandoned: by the stages; nothing has happened.
        OSError: there was no room for the new file; the old one is unchanged.
        OutputChangedError: lines were changed since they were written; nothing has happened.
    """
    each = ledger.stages != decides.settings or (tries_again and bool(ledger.meta("undecided")))
    each = each or bool(ledger.meta("unasked"))
    if not each and ledger.walks == decides.walks:
        return None
    if each:
        with ledger.transaction():
            ledger.retry_stage_errors()
    return _decide(rows, ledger, decides, each=each, tries_again=tries_again)


def settle(rows: Path, ledger: Ledger, decides: Decides) -> Reversed | None:
    """Compares all recorded rows with each other if any has come or gone since that was last done, or if what others have pushed out is to
    be made again now that all are there; and decides about all if models were still to be asked about some. None if there is neither.

    Raises:
        As `decide_where_changed`.
    """
    each = bool(ledger.meta("unasked"))
    is_settled = (ledger.is_settled or decides.walks == "[]") and ledger.walks == decides.walks
    if is_settled and decides.most_replaced and ledger.is_waiting:
        is_settled = ledger.counts(decides.num_rows).pending > 0
    if not ledger.has_rows or (not each and is_settled):
        return None
    return _decide(rows, ledger, decides, each=each)


def _decide(rows: Path, ledger: Ledger, decides: Decides, *, each: bool, tries_again: bool = False) -> Reversed:
    names = ledger.walk_names
    meta = {"walks": decides.walks, "unsettled": ""}
    only = only_reviewed(ledger, decides) if each and not tries_again else None
    if each:
        meta["stages"] = decides.settings
        meta["reviewed"] = decides.reviewed
    if decides.walk_names - names:
        meta["walk_names"] = orjson.dumps(sorted(decides.walk_names | names)).decode()
    if not ledger.has_rows:
        with ledger.transaction():
            note(ledger, {**meta, "unasked": ""})
        return Reversed()
    with ledger.transaction():
        ledger.filtered.give_places(last=ledger.max_id("appends"), end=ledger.appends.committed_size())
    deciding = decides.anew(each=each, former_walks=names, calls_of=ledger.calls.of, tries_again=tries_again, only=only)
    counts = ledger.counts()
    deciding.expect(counts.written + counts.filtered)
    rows = behind_link(rows)
    with spool_in(rows.parent) as spool:
        changes = _changes(recorded_rows(rows, ledger, deciding), deciding, spool)
        if each or changes.counts.undecided:
            meta["undecided"] = str(changes.counts.undecided or "")
        if each:
            meta["unasked"] = str(changes.counts.unasked or "")
        apply(rows, ledger, changes, meta, decides)
    return changes.counts


def only_reviewed(ledger: Ledger, decides: Decides) -> Collection[str] | None:
    """The uuids of the rows that alone may be decided about otherwise; None for all of them."""
    if ledger.meta("undecided") or ledger.meta("unasked"):
        return None
    return decides.only_reviewed(ledger.stages, ledger.meta("reviewed") or "")


def reversals(rows: Path, ledger: Ledger, deciding: Deciding, place_in: PlaceIn | None = None) -> Reversed:
    """How many rows would have another verdict. Writes nothing. Rows that are not in the file as they were written are left out: a run
    makes them again, or says that they were changed.

    Args:
        place_in: says where items are in the plan if that is not the one of the last run.
    """
    with spool_in(None) as spool:
        return _changes(recorded_rows(rows, ledger, deciding, place_in, lenient=True), deciding, spool).counts


def _changes(recorded: Generator[RecordedRow, None, None], deciding: Deciding, spool: IO[bytes]) -> Changes:
    changes = Changes(Texts(spool))
    with contextlib.closing(recorded):
        for batch in _batches(recorded):
            for row, said in zip(batch, deciding.verdicts(batch), strict=True):
                changes.take(row, said)
    changes.count_swaps()
    return changes


def _batches(recorded: Iterable[RecordedRow]) -> Iterator[list[RecordedRow]]:
    batch: list[RecordedRow] = []
    size = 0
    for row in recorded:
        batch.append(row)
        size += len(row.line)
        if len(batch) == _ROWS_AT_ONCE or size > _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
