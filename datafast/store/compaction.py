"""Moving rows so that a crash at any moment loses none: rows of items that have left the plan go into another file, and the others
are put in plan order if the config asks for it.

First, new files are written and forced to the disk. Then one ledger transaction records what the file will be and which renames are
to be done. The renames follow. A crash before the transaction leaves the old file unchanged; after a crash behind it, `finish_rewrite`
does the renames at the next start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import orjson

from datafast.store.ledger import Ledger
from datafast.store.records import Append, ItemState
from datafast.store.rows import set_aside_name, size_of

__all__ = ["finish_rewrite", "move_stale_rows", "order_rows"]


def move_stale_rows(rows: Path, ledger: Ledger) -> Path | None:
    """Moves rows of stale items into `<name>.stale-<time>`; returns that file, or None if there is nothing to move.

    Raises:
        OSError: there was no room for the new files; the old one is unchanged.
    """
    stale = {item.id for item in ledger.items(ItemState.STALE) if item.rows_written}
    if not stale:
        return None
    rows = _behind_link(rows)
    kept_file, stale_file = _new_files(rows)
    with _removed_on_error(kept_file, stale_file):
        kept = _divide(rows, ledger, stale, kept_file=kept_file, stale_file=stale_file)
    target = set_aside_name(rows, "stale")
    with ledger.transaction():
        ledger.replace_appends(kept, emptied=stale)
        renames = [[stale_file.name, target.name], [kept_file.name, rows.name]]
        ledger.set_meta("renames", orjson.dumps(renames).decode())
    ledger.checkpoint()  # a power cut must not undo this once a rename is on the disk
    finish_rewrite(rows, ledger)
    return target


def order_rows(rows: Path, ledger: Ledger) -> None:
    """Puts the rows of an output that is not in use in plan order. A file that has changed in between is left unchanged.

    Memory: a record for each item.

    Raises:
        OSError: there was no room for the new file; the old one is unchanged.
    """
    if ledger.is_in_order() or size_of(rows) != ledger.committed_size():
        return
    rows = _behind_link(rows)
    sorted_file, _ = _new_files(rows)
    with _removed_on_error(sorted_file):
        appends = _sort(rows, ledger, sorted_file)
    if appends is None:
        sorted_file.unlink(missing_ok=True)
        return
    with ledger.transaction():
        ledger.replace_appends(appends, emptied=())
        ledger.set_meta("renames", orjson.dumps([[sorted_file.name, rows.name]]).decode())
    ledger.checkpoint()  # as above
    finish_rewrite(rows, ledger)


def _sort(rows: Path, ledger: Ledger, target: Path) -> list[Append] | None:
    """Writes the rows in plan order, those of an item together; None if some are not as they were committed."""
    written: list[Append] = []
    size = 0
    with rows.open("rb") as source, target.open("wb") as sink:
        for item, parts in groupby(ledger.appends_in_plan_order(), key=lambda append: append.item):
            slots = 0
            lines: dict[int, bytes] = {}
            for append in parts:
                source.seek(append.start)
                data = source.read(append.size)
                if zlib.crc32(data) != append.crc:
                    return None
                lines.update(zip(_numbers(append.slots), data.splitlines(keepends=True), strict=True))
                slots |= append.slots
            data = b"".join(lines[number] for number in sorted(lines))
            sink.write(data)
            written.append(Append(len(written) + 1, item, size, len(data), zlib.crc32(data), slots))
            size += len(data)
        shutil.copymode(rows, target)
        sink.flush()
        os.fsync(sink.fileno())
    return written


def _numbers(slots: int) -> Sequence[int]:
    return [number for number in range(slots.bit_length()) if slots >> number & 1]


def finish_rewrite(rows: Path, ledger: Ledger) -> None:
    """Does the renames that a compaction has committed. If there are none, removes the files of an interrupted one."""
    pending = ledger.meta("renames")
    rows = _behind_link(rows)
    if not pending:
        for path in _new_files(rows):
            path.unlink(missing_ok=True)
        return
    for source, target in orjson.loads(pending):
        path = rows.with_name(source)
        if path.exists():
            path.replace(rows.with_name(target))
    with ledger.transaction():
        ledger.set_meta("renames", "")


@contextlib.contextmanager
def _removed_on_error(*paths: Path) -> Iterator[None]:
    """Removes the new files after an error, so that a full disk does not become fuller."""
    try:
        yield
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _behind_link(rows: Path) -> Path:
    """The file itself: replacing a link to it would leave the old rows in the file that the link points to."""
    return rows.resolve() if rows.is_symlink() else rows


def _new_files(rows: Path) -> tuple[Path, Path]:
    """The new files: for the rows that stay, and for those that go."""
    return rows.with_name(rows.name + ".rewrite"), rows.with_name(rows.name + ".rewrite-stale")


def _divide(rows: Path, ledger: Ledger, stale: set[int], *, kept_file: Path, stale_file: Path) -> list[Append]:
    kept: list[Append] = []
    size = 0
    with rows.open("rb") as source, kept_file.open("wb") as keep, stale_file.open("wb") as leave:
        for append in ledger.appends():
            source.seek(append.start)
            data = source.read(append.size)
            if append.item in stale:
                leave.write(data)
                continue
            keep.write(data)
            kept.append(replace(append, start=size))
            size += append.size
        for file, path in ((keep, kept_file), (leave, stale_file)):
            shutil.copymode(rows, path)
            file.flush()
            os.fsync(file.fileno())
    return kept
