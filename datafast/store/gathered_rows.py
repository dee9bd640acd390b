"""The rows of several outputs in one file, in the order of the plan or in the one in which they were made.

Cost: a read of each append, in the order of the new file. Memory: the rows of one item; what is sorted is in temporary files of SQLite.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Literal, NamedTuple, Self, TypeAlias

from datafast.errors import OutputChangedError
from datafast.store.gathering import Gathering
from datafast.store.records import Append
from datafast.store.row_values import append_values, numbers_of, unpack
from datafast.store.rows import verify

__all__ = ["RowOrder", "WrittenRows", "write_rows"]

RowOrder: TypeAlias = Literal["plan", "completion"]

_AT_ONCE = 10_000
_MOST_OPEN = 200
_IN_PLAN_ORDER = """
    SELECT staged.id, source, staged.item, staged.num_rows, start, size, crc, staged.slots
    FROM staged JOIN main.items ON items.id = staged.item
    ORDER BY items.state = 3, CASE items.state WHEN 3 THEN items.id ELSE items.position END, staged.item, staged.id"""
# When the last reply of its item came; within one output never before that of the append before it.
_AS_THEY_CAME = """
    SELECT id, source, item, num_rows, start, size, crc, slots FROM (
        SELECT staged.*, max(coalesce(came.at, 0)) OVER (PARTITION BY source ORDER BY staged.id) AS at
        FROM staged LEFT JOIN came ON came.item = staged.item)
    ORDER BY at, source, id"""


class WrittenRows(NamedTuple):
    """The rows that were written: how many bytes, and their SHA-256."""

    size: int
    sha256: str


def write_rows(gathering: Gathering, target: Path, order: RowOrder) -> WrittenRows:
    """Writes the rows of what was gathered into a new file, and notes in the ledger where they stand.

    Raises:
        OutputChangedError: rows are not as they were written; names the file and the lines.
        OSError: there is no room for the file.
    """
    db = gathering.db
    db.execute("CREATE TEMP TABLE placed(id INTEGER PRIMARY KEY, place INTEGER NOT NULL)")
    if order == "completion":
        db.execute("CREATE TEMP TABLE came(item INTEGER PRIMARY KEY, at REAL)")
        db.execute("INSERT INTO came SELECT item, max(sent_at + latency_s) FROM main.calls GROUP BY item")
    with _Files([source.paths.rows for source in gathering.sources]) as files, target.open("xb") as sink:
        written = _write(db, files, sink, order)
    db.execute("BEGIN")
    db.execute("UPDATE main.filtered SET place = (SELECT p.place FROM placed p WHERE p.id = filtered.place)")
    db.execute("COMMIT")
    db.execute("DROP TABLE placed")
    return written


def _write(db: sqlite3.Connection, files: _Files, sink: IO[bytes], order: RowOrder) -> WrittenRows:
    size, sha256 = 0, hashlib.sha256()
    appends: list[Append] = []
    places: list[tuple[int, int]] = []

    def save() -> None:
        db.execute("BEGIN")
        db.executemany("INSERT INTO main.appends VALUES(?,?,?,?,?,?,nullif(?,''))", map(append_values, appends))
        db.executemany("INSERT INTO placed VALUES(?,?)", places)
        db.execute("COMMIT")
        appends.clear()
        places.clear()

    for number, (item, parts) in enumerate(_grouped(db, order), start=1):
        data, slots = files.read(parts)
        sink.write(data)
        sha256.update(data)
        appends.append(Append(number, item, size, len(data), zlib.crc32(data), slots))
        places += [(part.append.id, number) for part in parts]
        size += len(data)
        if len(appends) == _AT_ONCE:
            save()
    save()
    sink.flush()
    os.fsync(sink.fileno())
    return WrittenRows(size, sha256.hexdigest())


class _Staged(NamedTuple):
    source: int
    append: Append


def _grouped(db: sqlite3.Connection, order: RowOrder) -> Iterator[tuple[int, Sequence[_Staged]]]:
    """What becomes one append: in the order of the plan all rows of an item, else each append by itself."""
    query = _IN_PLAN_ORDER if order == "plan" else _AS_THEY_CAME
    found = (
        _Staged(source, Append(number, item, start, size, crc, unpack(slots, rows)))
        for number, source, item, rows, start, size, crc, slots in db.execute(query)
    )
    if order == "plan":
        for item, parts in groupby(found, key=lambda part: part.append.item):
            yield item, list(parts)
    else:
        for part in found:
            yield part.append.item, [part]


class _Files:
    """The files that rows are read from. There may be more than a process may have open."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._files: dict[int, IO[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def read(self, parts: Sequence[_Staged]) -> tuple[bytes, int]:
        """The rows of some appends of an item by their numbers, and which these are as a bit mask."""
        if len(parts) == 1:
            return self._read(parts[0]), parts[0].append.slots
        lines: dict[int, bytes] = {}
        for part in parts:
            of_part = self._read(part).splitlines(keepends=True)
            lines.update(zip(numbers_of(part.append.slots), of_part, strict=True))
        return b"".join(line for _, line in sorted(lines.items(), key=itemgetter(0))), sum(1 << n for n in lines)

    def _read(self, part: _Staged) -> bytes:
        append = part.append
        if not append.size:
            return b""
        path = self._paths[part.source]
        file = self._files.get(part.source) or self._open(part.source)
        file.seek(append.start)
        data = file.read(append.size)
        if zlib.crc32(data) != append.crc:
            verify(path, [append])
        return data

    def _open(self, source: int) -> IO[bytes]:
        path = self._paths[source]
        if len(self._files) == _MOST_OPEN:
            self._files.pop(next(iter(self._files))).close()
        try:
            self._files[source] = path.open("rb")
        except FileNotFoundError:
            raise OutputChangedError(
                f"There is no file {path}, and its ledger says that rows are in it. Run the shard again: it builds them anew from recorded "
                f"replies, at no cost."
            ) from None
        return self._files[source]
