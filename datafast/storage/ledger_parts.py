"""What of a ledger is uploaded: its file at one moment, in pieces that are called by their content, and the replies that came since.

Most pages of a ledger never change again, so a later moment shares most of its pieces with an earlier one. Taking a moment costs one read
of the file, during which the run that writes it goes on.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from datafast.storage.manifest import Chunk, LedgerEntry
from datafast.store.batches import BatchPhase
from datafast.store.journal import encoded_record
from datafast.store.journal_records import journal_header
from datafast.store.reader import LedgerReader

__all__ = [
    "BatchNote",
    "Moment",
    "NewReplies",
    "batches_of",
    "chunks_of",
    "entry_of",
    "has_dropped",
    "is_large",
    "is_made",
    "lacks_replies",
    "moment_of",
    "new_replies",
    "taken",
]

_SMALL = 1 << 20
_LARGE = 16 << 20
_LARGE_ABOVE = 1 << 30
_SEGMENT = 8 << 20
_SMALL_LEDGER = 256 << 20
_AT_ONCE = 200


class Moment(NamedTuple):
    """How far an output was.

    Attributes:
        rows_bytes: how much of the JSONL is committed; None while rows are being moved.
        last_call: the newest reply.
    """

    rows_bytes: int | None
    last_call: int


@contextmanager
def taken(ledger: Path) -> Iterator[Path]:
    """Gives a copy of a ledger as it is at one moment, also while a run writes it. Pages keep their places.

    Raises:
        sqlite3.Error, OSError: it cannot be read, or the copy not be written.
    """
    copy = ledger.with_name(f".{ledger.name}.taken.tmp")
    address = f"{ledger.absolute().as_uri()}?mode=ro"
    try:
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(copy)) as new:
            new.execute("PRAGMA synchronous=OFF")
            source.backup(new)
        yield copy
    finally:
        for side in ("", "-wal", "-shm", "-journal"):
            copy.with_name(copy.name + side).unlink(missing_ok=True)


def is_made(ledger: Path) -> bool:
    """Whether a ledger has its tables; a run may be just making them."""
    if not ledger.exists():
        return False
    with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as db:
        found = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()
    return bool(found[0])


def moment_of(ledger: Path) -> Moment:
    """How far an output is, by its ledger."""
    with LedgerReader(ledger) as reader:
        rows = None if reader.meta("renames") else reader.appends.committed_size()
        return Moment(rows, reader.max_id("calls"))


def is_large(ledger: Path) -> bool:
    """Whether a ledger is too large to be uploaded again and again while a run goes on."""
    return ledger.stat().st_size > _SMALL_LEDGER


def lacks_replies(ledger: Path) -> bool:
    """Whether replies were dropped from a ledger, or are to be."""
    with LedgerReader(ledger) as reader:
        return reader.calls.may_lack_replies


def has_dropped(ledger: Path, after: int) -> bool:
    """Whether a reply was dropped from a ledger that is newer than that with this id."""
    with LedgerReader(ledger) as reader:
        return reader.calls.dropped_after(after)


def chunks_of(file: Path, folder: str) -> Iterator[tuple[Chunk, bytes]]:
    """The pieces of a file in order, each with what it holds."""
    size = _LARGE if file.stat().st_size > _LARGE_ABOVE else _SMALL
    with file.open("rb") as opened:
        while data := opened.read(size):
            digest = hashlib.sha256(data).hexdigest()
            yield Chunk(f"{folder}/{digest}.z", len(data), digest), data


def entry_of(moment: Moment, chunks: list[Chunk]) -> LedgerEntry:
    assert moment.rows_bytes is not None  # noqa: S101 - checked by the caller
    return LedgerEntry(sum(chunk.bytes for chunk in chunks), moment.rows_bytes, moment.last_call, tuple(chunks))


class BatchNote(NamedTuple):
    """A batch, as far as whoever goes on has to know of it. `at`: when it was announced."""

    id: int
    phase: BatchPhase
    service_id: str
    at: float


def batches_of(ledger: Path) -> list[BatchNote]:
    """The batches of an output."""
    with LedgerReader(ledger) as reader:
        return [BatchNote(one.id, one.phase, one.service_id, one.announced_at) for one in reader.batches.all()]


class NewReplies(NamedTuple):
    """Records of the journal, compressed, with the ids of the first and the last reply in them."""

    first: int
    last: int
    data: bytes
    sha256: str


def new_replies(ledger: Path, after: int) -> Iterator[NewReplies]:
    """The replies that are newer than that with this id, as records of a journal, in pieces of some megabytes."""
    with LedgerReader(ledger) as reader:
        records: list[bytes] = []
        first = last = size = 0
        while calls := reader.calls.newer(after, _AT_ONCE):
            items = reader.items_of(sorted({call.item for call in calls}))
            for call in calls:
                records.append(encoded_record(journal_header(call, items[call.item]), call.raw))
                size += len(records[-1])
                first, last = first or call.id, call.id
            after = last
            if size >= _SEGMENT:
                yield _segment(first, last, records)
                records, first, size = [], 0, 0
        # Requests that may have been paid for without a reply count at their bound wherever the run goes on.
        records += (
            [encoded_record({"reserve": charge._asdict()}, b"") for charge in reader.calls.charges()] if records else []
        )
        if records:
            yield _segment(first, last, records)


def _segment(first: int, last: int, records: list[bytes]) -> NewReplies:
    data = zlib.compress(b"".join(records), 3)
    return NewReplies(first, last, data, hashlib.sha256(data).hexdigest())
