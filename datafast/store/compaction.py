"""Moving rows so that a crash at any moment loses none: rows of items that have left the plan, and rows that are to be made again, go into
another file, and the others are put in plan order if the config asks for it.

First, new files are written and forced to the disk. Their names are chosen at random and are in the ledger before the files are made, so
no other file is ever replaced or removed. Then one ledger transaction records what the file will be and which renames are to be done. The
renames follow. A crash before the transaction leaves the old file unchanged; after a crash behind it, `finish_rewrite` does the renames at
the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

import orjson

from datafast.errors import OutputError
from datafast.store.ledger import Ledger
from datafast.store.records import Append, ItemState
from datafast.store.row_values import numbers_of
from datafast.store.rows import set_aside_name, size_of

__all__ = [
    "behind_link",
    "finish_rewrite",
    "move_rows_to_remake",
    "move_stale_rows",
    "new_files",
    "order_rows",
]


def move_stale_rows(rows: Path, ledger: Ledger) -> Path | None:
    """Moves rows of stale items, and rows that items do not ask for any more, into `<name>.stale-<time>`.

    Returns:
        That file, or None if there is nothing to move.

    Raises:
        OSError: there was no room for the new files; the old one is unchanged.
    """
    stale = {item.id for item in ledger.items(ItemState.STALE) if item.rows_written}
    cut = ledger.items_to_cut()
    if not stale and not cut:
        return None
    rows = behind_link(rows)
    with new_files(rows, ledger) as (kept_file, stale_file):
        kept = _divide(rows, ledger, {**dict.fromkeys(stale, 0), **cut}, kept_file=kept_file, stale_file=stale_file)
        renames = [[stale_file.name, set_aside_name(rows, "stale").name], [kept_file.name, rows.name]]
        _commit(ledger, kept, emptied=stale, cut=cut, renames=renames)
    return finish_rewrite(rows, ledger)


def move_rows_to_remake(
    rows: Path, ledger: Ledger, to_remake: Collection[int], *, fields: str, reasoning: str
) -> Path | None:
    """Moves the rows of items of the plan into `<name>.former-<time>` and opens the items, to be built from recorded replies. What stages
    have dropped is built again too.

    Args:
        to_remake: the ids of these items.
        fields: the names of the fields that they will have, as JSON.
        reasoning: where reasoning will stand in them. Both are noted at the same moment, so that it is not done again.

    Returns:
        That file, or None if there are no rows.

    Raises:
        OSError: there was no room for the new files; the old one is unchanged.
    """
    lost = {item.id: item.slots for item in ledger.items_at(to_remake) if item.slots}
    is_empty = not lost
    for item_id, filtered in ledger.filtered.in_plan().items():
        if item_id in to_remake:
            lost[item_id] = lost.get(item_id, 0) | filtered
    if is_empty:
        with ledger.transaction():
            ledger.lose_rows(lost)
            ledger.note_form(fields, reasoning)
        return None
    rows = behind_link(rows)
    with new_files(rows, ledger) as (kept_file, former_file):
        kept = _divide(rows, ledger, dict.fromkeys(lost, 0), kept_file=kept_file, stale_file=former_file)
        renames = [[former_file.name, set_aside_name(rows, "former").name], [kept_file.name, rows.name]]
        _commit(ledger, kept, lost=lost, form=(fields, reasoning), renames=renames)
    return finish_rewrite(rows, ledger)


def order_rows(rows: Path, ledger: Ledger) -> None:
    """Puts the rows of an output that is not in use in plan order. A file that has changed in between is left unchanged.

    Memory: a record for each item.

    Raises:
        OSError: there was no room for the new file; the old one is unchanged.
    """
    if ledger.appends.is_in_order() or size_of(rows) != ledger.appends.committed_size():
        return
    rows = behind_link(rows)
    with new_files(rows, ledger) as (sorted_file, _):
        appends = _sort(rows, ledger, sorted_file)
        if appends is not None:
            _commit(ledger, appends, renames=[[sorted_file.name, rows.name]], renumbered=True)
    finish_rewrite(rows, ledger)


def _commit(
    ledger: Ledger,
    appends: Sequence[Append],
    *,
    renames: list[list[str]],
    emptied: Collection[int] = (),
    cut: Mapping[int, int] = MappingProxyType({}),
    lost: Mapping[int, int] = MappingProxyType({}),
    form: tuple[str, str] | None = None,
    renumbered: bool = False,
) -> None:
    with ledger.transaction():
        ledger.replace_appends(appends, emptied=emptied, cut=cut, renumbered=renumbered)
        ledger.lose_rows(lost)
        if form is not None:
            ledger.note_form(*form)
        ledger.set_meta("renames", orjson.dumps(renames).decode())
    ledger.checkpoint()  # a power cut must not undo this once a rename is on the disk


def _sort(rows: Path, ledger: Ledger, target: Path) -> list[Append] | None:
    """Writes the rows in plan order, those of an item together; None if some are not as they were committed."""
    written: list[Append] = []
    size = 0
    with rows.open("rb") as source, target.open("xb") as sink:
        for item, parts in groupby(ledger.appends.in_plan_order(), key=lambda append: append.item):
            slots = 0
            lines: dict[int, bytes] = {}
            for append in parts:
                source.seek(append.start)
                data = source.read(append.size)
                if zlib.crc32(data) != append.crc:
                    return None
                lines.update(zip(numbers_of(append.slots), data.splitlines(keepends=True), strict=True))
                slots |= append.slots
            data = b"".join(lines[number] for number in sorted(lines))
            sink.write(data)
            written.append(Append(len(written) + 1, item, size, len(data), zlib.crc32(data), slots))
            size += len(data)
        shutil.copymode(rows, target)
        sink.flush()
        os.fsync(sink.fileno())
    return written


def finish_rewrite(rows: Path, ledger: Ledger) -> Path | None:
    """Does the renames that a compaction has committed; if there are none, removes the files that an interrupted one has made.

    Returns:
        The file that now holds the rows that were moved, if some were.
    """
    pending, new = ledger.meta("renames"), ledger.meta("new_files")
    if not pending and not new:
        return None
    rows = behind_link(rows)
    moved = None
    for source, target in orjson.loads(pending or "[]"):
        path, goal = rows.with_name(source), rows.with_name(target)
        if not path.exists():
            continue
        if goal != rows:
            what = target.removeprefix(f"{rows.name}.").partition("-")[0]
            moved = goal = set_aside_name(rows, what) if goal.exists() else goal
        path.replace(goal)
    for name in orjson.loads(new or "[]"):
        rows.with_name(name).unlink(missing_ok=True)
    with ledger.transaction():
        ledger.set_meta("renames", "")
        ledger.set_meta("new_files", "")
    return moved


@contextlib.contextmanager
def new_files(rows: Path, ledger: Ledger) -> Iterator[tuple[Path, Path]]:
    """The names of two files to make: for the rows that stay, and for those that go. Removes them if there is no room for them or for what
    the ledger is to say of them: they may be as large as what is left of the disk."""
    token = secrets.token_hex(8)
    files = rows.with_name(f".datafast-{token}.rows"), rows.with_name(f".datafast-{token}.stale")
    with ledger.transaction():
        ledger.set_meta("new_files", orjson.dumps([path.name for path in files]).decode())
    try:
        yield files
    except (OSError, OutputError):
        if not ledger.meta("renames"):
            for path in files:
                path.unlink(missing_ok=True)
        raise


def behind_link(rows: Path) -> Path:
    """The file itself: replacing a link to it would leave the old rows in the file that the link points to."""
    return rows.resolve() if rows.is_symlink() else rows


def _divide(rows: Path, ledger: Ledger, left: Mapping[int, int], *, kept_file: Path, stale_file: Path) -> list[Append]:
    """Of the items in `left`, only as many of their first rows stay as it says."""
    kept: list[Append] = []
    size = 0
    with rows.open("rb") as source, kept_file.open("xb") as keep, stale_file.open("xb") as leave:
        for append in ledger.appends.all():
            source.seek(append.start)
            data = source.read(append.size)
            if append.item in left:
                append, data, gone = _split(append, data, left[append.item])
                leave.write(gone)
                if not data:
                    continue
            keep.write(data)
            kept.append(replace(append, start=size))  # one without rows is the place of rows that stages have dropped
            size += append.size
        for file, path in ((keep, kept_file), (leave, stale_file)):
            shutil.copymode(rows, path)
            file.flush()
            os.fsync(file.fileno())
    return kept


def _split(append: Append, data: bytes, num_rows: int) -> tuple[Append, bytes, bytes]:
    """The append with only the item's first rows, their bytes, and those of the others."""
    lines = list(zip(numbers_of(append.slots), data.splitlines(keepends=True), strict=True))
    first = b"".join(line for number, line in lines if number < num_rows)
    others = b"".join(line for number, line in lines if number >= num_rows)
    slots = append.slots & ((1 << num_rows) - 1)
    return replace(append, size=len(first), crc=zlib.crc32(first), slots=slots), first, others
