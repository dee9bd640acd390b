"""Making the file and the ledger what stages say about rows that are recorded.

The new file is written first. One transaction then records the verdicts, the new places and the rename; see `compaction`. A row that comes
back gets the place that it had, or would have had, when its item was finished; so the same stages make the same file again.

Cost: one pass over the file, if a row of it moves or has another text. Memory: an entry for each append meanwhile, and one for each row
whose verdict is another one; the new texts of rows are in a file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from datafast.store.compaction import finish_rewrite, new_files
from datafast.store.generations import arrange
from datafast.store.ledger import Ledger
from datafast.store.recorded_rows import Originals, Shown, lines_of
from datafast.store.records import Append, FilteredRow
from datafast.store.verdicts import Decides, Dropped, Key, RecordedRow, Reversed, Said

__all__ = ["Changes", "Texts", "apply", "note", "spool_in"]

_SPOOL = 8 * 1024 * 1024


@dataclass
class Changes:
    """The rows that have another verdict or another text than before."""

    texts: Texts
    counts: Reversed = field(default_factory=Reversed)
    dropped: dict[Key, Dropped] = field(default_factory=dict)
    returned: set[Key] = field(default_factory=set)
    reworded: list[tuple[str, str, float | None, int]] = field(default_factory=list)
    changed_by: dict[Key, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether the file or the text of a dropped row is another one."""
        return bool(self.counts or self.texts or self.changed_by)

    def take(self, row: RecordedRow, said: Said) -> None:
        counts, key = self.counts, row.key
        counts.decided += 1
        counts.undecided += said.is_undecided
        counts.unasked += said.is_unasked
        if said.drops is None and row.before is not None:
            counts.returned += 1
            self.returned.add(key)
        elif said.drops is not None and row.before is None:
            counts.dropped += 1
            self.dropped[key] = said.drops
        elif said.drops is not None and said.drops != row.before:
            self.reworded.append((*said.drops, row.filtered))
        if said.line != row.line:
            counts.changed += said.drops is None and row.before is None
            self.texts.put(key, said.line)
        if said.changed_by != row.changed_by:
            self.changed_by[key] = said.changed_by

    def count_swaps(self) -> None:
        """Where another generation of a row is in the file now, the row has another text."""
        out = {key[:2] for key in self.dropped}
        swaps = sum(key[:2] in out for key in self.returned) if out else 0
        self.counts.dropped -= swaps
        self.counts.returned -= swaps
        self.counts.changed += swaps


class Texts:
    """The new lines of rows, in a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[Key, tuple[int, int]] = {}
        self._end = 0

    def __bool__(self) -> bool:
        return bool(self._places)

    def put(self, key: Key, line: bytes) -> None:
        self._places[key] = self._end, len(line)
        self._end += self._file.write(line)

    def of(self, key: Key, line: bytes) -> bytes:
        """The new line of a row; the one that it has if there is no other."""
        if key not in self._places:
            return line
        start, size = self._places[key]
        self._file.seek(start)
        return self._file.read(size)


@dataclass
class _Moves:
    """What has to change in the ledger with the file."""

    dropped: list[tuple[FilteredRow, int, int]] = field(default_factory=list)
    """Each without its text where that is the one in the file, which is so many bytes from a byte on."""
    returned: list[int] = field(default_factory=list)
    retold: list[tuple[bytes, int]] = field(default_factory=list)
    """Dropped rows that stages change in another way now: their text, with their id."""
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By item: the rows that are dropped, and those that return, as bit masks."""

    def turn(self, item: int, *, dropped: int = 0, returned: int = 0) -> None:
        before = self.slots.get(item, (0, 0))
        self.slots[item] = (before[0] | dropped, before[1] | returned)


class _Place(NamedTuple):
    """An append, with the ids and lines of the rows that stages have dropped there by number and generation."""

    append: Append
    filtered: Mapping[tuple[int, int], tuple[int, bytes]]


def apply(rows: Path, ledger: Ledger, changes: Changes, meta: Mapping[str, str], decides: Decides) -> None:
    """Makes the file and the ledger what the verdicts say. The file is left alone if no row moves."""
    if not changes:
        with ledger.transaction():
            ledger.filtered.reword(changes.reworded)
            note(ledger, meta)
            changes.counts.to_replace = arrange(ledger, decides)
        return
    rows.touch()
    with new_files(rows, ledger) as (target, _):
        moves = _Moves()
        with ledger.transaction():
            appends = _write(rows, target, ledger, changes, moves)
            note(ledger, meta)
            ledger.change_verdicts(
                dropped=_with_text(rows, moves.dropped),
                returned=moves.returned,
                reworded=changes.reworded,
                retold=moves.retold,
                slots=moves.slots,
            )
            changes.counts.to_replace = arrange(ledger, decides, moved=moves.slots)
            ledger.replace_appends(appends, emptied=(), cut={}, renumbered=False)
            ledger.set_meta("renames", orjson.dumps([[target.name, rows.name]]).decode())
        ledger.checkpoint()
    finish_rewrite(rows, ledger)


def note(ledger: Ledger, meta: Mapping[str, str]) -> None:
    for name, value in meta.items():
        ledger.set_meta(name, value)


def spool_in(folder: Path | None) -> IO[bytes]:
    """A place for texts: memory, and a file without a name where they are many."""
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL, dir=None if folder is None else str(folder))


def _write(rows: Path, target: Path, ledger: Ledger, changes: Changes, moves: _Moves) -> list[Append]:
    written: list[Append] = []
    size = 0
    originals, shown = Originals(ledger), Shown(ledger)
    with rows.open("rb") as source, target.open("xb") as sink:
        for place in _places(ledger):
            item = place.append.item
            found = lines_of(source, rows, place.append)
            lines = {(number, shown.of(item, number)): line for number, line in found.items()}
            _note_changes(place, lines, changes, originals)
            kept = _kept(place, lines, changes, moves)
            data = b"".join(kept[number] for number in sorted(kept))
            sink.write(data)
            slots = sum(1 << number for number in kept)
            written.append(replace(place.append, start=size, size=len(data), crc=zlib.crc32(data), slots=slots))
            size += len(data)
        shutil.copymode(rows, target)
        sink.flush()
        os.fsync(sink.fileno())
    return written


def _with_text(rows: Path, dropped: Sequence[tuple[FilteredRow, int, int]]) -> Iterator[FilteredRow]:
    with rows.open("rb") as source:
        for row, start, size in dropped:
            source.seek(start)
            yield row if row.row else replace(row, row=source.read(size))


def _places(ledger: Ledger) -> Generator[_Place, None, None]:
    """All appends in the order of the file, with the rows that were dropped there."""
    out = ledger.filtered.by_place()
    waiting = next(out, None)
    for append in ledger.appends.all():
        filtered = {}
        while waiting is not None and waiting.place <= append.id:
            if waiting.place == append.id:
                filtered[waiting.number, waiting.generation] = (waiting.id, waiting.row + b"\n")
            waiting = next(out, None)
        yield _Place(append, filtered)


def _note_changes(
    place: _Place, lines: Mapping[tuple[int, int], bytes], changes: Changes, originals: Originals
) -> None:
    """Records which stages change the rows of a place, where that is new."""
    item = place.append.item
    if changes.changed_by:
        for row, line in (*lines.items(), *((row, line) for row, (_, line) in place.filtered.items())):
            if (stages := changes.changed_by.get((item, *row))) is not None:
                originals.note((item, *row), line, stages)


def _kept(place: _Place, lines: Mapping[tuple[int, int], bytes], changes: Changes, moves: _Moves) -> dict[int, bytes]:
    """The lines that stay at a place and those that come back to it, by number; what changes is noted."""
    kept = {}
    item = place.append.item
    end = place.append.start
    for (number, generation), line in lines.items():
        start, end = end, end + len(line)
        told = changes.texts.of((item, number, generation), line)
        drops = changes.dropped.get((item, number, generation))
        if drops is None:
            kept[number] = told
            continue
        moves.turn(item, dropped=1 << number)
        text = told.removesuffix(b"\n") if told != line else b""
        row = FilteredRow(item, number, *drops[:2], text, time.time(), place.append.id, drops.score, generation)
        moves.dropped.append((row, start, len(line) - 1))
    for (number, generation), (filtered_id, line) in place.filtered.items():
        told = changes.texts.of((item, number, generation), line)
        if (item, number, generation) in changes.returned:
            moves.turn(item, returned=1 << number)
            moves.returned.append(filtered_id)
            kept[number] = told
        elif told != line:
            moves.retold.append((told.removesuffix(b"\n"), filtered_id))
    return kept
