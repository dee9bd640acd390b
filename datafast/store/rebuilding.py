"""The rows of an output, rebuilt from its ledger into another file: each append as it was, one after another.

A run over a copy of the ledger without its JSONL makes the rows again, in any order. Here they are put where they were, and compared with
the checksums that were noted when they were written first. Cost: a read for each append.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

from datafast._util.atomic_write import whole_file
from datafast.plan.items import row_uuid
from datafast.store.ledger import Ledger
from datafast.store.reader import LedgerReader
from datafast.store.records import Append, ItemState
from datafast.store.row_values import append_from, numbers_of

__all__ = ["Rebuilt", "Unlike", "copy_for_rebuilding", "rebuild"]

_FORMER = "former_appends"


class Unlike(NamedTuple):
    """The first row that is not as it was.

    Attributes:
        line: its number in the file, from 1.
        is_made: whether it was made again at all.
        left_plan: whether its item is not in the plan any more.
    """

    line: int
    uuid: str
    is_made: bool
    left_plan: bool


class Rebuilt(NamedTuple):
    rows: int
    size: int
    sha256: str


def copy_for_rebuilding(ledger: Path, copy: Path) -> None:
    """Makes a copy of a ledger, as it is at this moment, that also keeps where rows were."""
    with LedgerReader(ledger) as reader:
        reader.save_in(copy)
    Ledger(copy).close()  # brings it to the newest format
    with closing(sqlite3.connect(copy)) as db:
        db.execute(f"CREATE TABLE {_FORMER} AS SELECT * FROM appends WHERE num_rows > 0 ORDER BY id")  # noqa: S608 - our own name
        db.execute("CREATE INDEX appends_of_item ON appends(item)")
        db.commit()


def rebuild(copy: Path, made: Path, target: Path, sha256: str) -> Rebuilt | Unlike:
    """Writes the rows as they were. Nothing is written unless all of them are as they were, and together have the hash.

    Args:
        copy: that of the ledger, after a run has made the rows again.
        made: the rows as that run has made them.
        target: the new file.
        sha256: the hash; that of what is returned is another one where nothing was written for that.

    Raises:
        OSError: it cannot be written.
    """
    with closing(Ledger(copy)) as ledger, made.open("rb") as source:
        try:
            with whole_file(target) as part, part.open("xb") as sink:
                return _written(ledger, source, sink, sha256)
        except _UnlikeError as unlike:
            return unlike.unlike
        except _OtherHashError as other:
            return other.rebuilt


class _UnlikeError(Exception):
    def __init__(self, unlike: Unlike) -> None:
        super().__init__(unlike.uuid)
        self.unlike = unlike


class _OtherHashError(Exception):
    def __init__(self, rebuilt: Rebuilt) -> None:
        super().__init__(rebuilt.sha256)
        self.rebuilt = rebuilt


def _written(ledger: Ledger, source: IO[bytes], sink: IO[bytes], wanted: str) -> Rebuilt:
    rows, size, sha256 = 0, 0, hashlib.sha256()
    for append in _former(ledger.path):
        lines = dict(_lines(ledger, source, append.item))
        numbers = list(numbers_of(append.slots))
        missing = [place for place, number in enumerate(numbers) if number not in lines]
        data = b"".join(lines.get(number, b"") for number in numbers)
        if missing or zlib.crc32(data) != append.crc:
            place = missing[0] if missing else 0
            (item,) = ledger.items_at([append.item])
            left = item.state is ItemState.STALE or numbers[place] >= item.num_rows
            uuid = row_uuid(item.key, numbers[place])
            raise _UnlikeError(Unlike(rows + place + 1, uuid, is_made=not missing, left_plan=left))
        sink.write(data)
        sha256.update(data)
        rows, size = rows + len(numbers), size + len(data)
    found = Rebuilt(rows, size, sha256.hexdigest())
    if found.sha256 != wanted:
        raise _OtherHashError(found)
    return found


def _former(copy: Path) -> Iterator[Append]:
    """The appends as they were before the run."""
    with closing(sqlite3.connect(copy)) as db:
        for row in db.execute(f"SELECT * FROM {_FORMER} ORDER BY id"):  # noqa: S608 - our own name
            yield append_from(row)


def _lines(ledger: Ledger, source: IO[bytes], item: int) -> Iterator[tuple[int, bytes]]:
    """The rows of an item as they were made again, by number."""
    for append in ledger.appends.of(item):
        source.seek(append.start)
        yield from zip(numbers_of(append.slots), source.read(append.size).splitlines(keepends=True), strict=True)
