"""Decides anew about all recorded rows, those in the JSONL and those that stages have dropped, because the stages have changed.

A row that comes back gets the place that it had, or would have had, when its item was finished; so the same stages make the same file
again. The new file is written first. One transaction then records the verdicts, the new places and the rename; see `compaction`.
Stages decide about rows as they were made: where they have changed one, the ledger has the original.

Cost: one pass over the rows, and those that are dropped now are read once more. Memory: an entry for each append, and one for each row
whose verdict is another one, without its text unless stages change that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from datafast.store.changed import ChangedRow
from datafast.store.compaction import behind_link, finish_rewrite, new_files
from datafast.store.ledger import Ledger
from datafast.store.records import Append, FilteredRow, Place
from datafast.store.row_values import numbers_of
from datafast.store.rows import verify

__all__ = ["Decide", "Dropped", "PlaceIn", "Reversed", "Said", "Undecided", "decide_again", "reversals"]


class Dropped(NamedTuple):
    """The stage that drops a row, why, and the number that it decided by, if there is one."""

    stage: str
    reason: str
    score: float | None = None


class Said(NamedTuple):
    """What stages say about a row: what drops it, if anything does; its line as they leave it, and which of them have changed it."""

    drops: Dropped | None
    line: bytes
    changed_by: tuple[str, ...] = ()


class Undecided(Exception):
    """No verdict can be given about a row. The one that it has stands."""


Decide = Callable[[int, bytes, bytes], Said]
"""Given the position of an item in the plan, the key that it has in the ledger, and the line of one of its rows as it was made: what stages
say about it. Raises `Undecided`."""

PlaceIn = Callable[[int], tuple[int, int]]
"""Given the id of an item: its position in a plan, and how many rows that asks it for; 0 where it is not in it."""


@dataclass
class Reversed:
    """How many rows have another verdict than before: `dropped` ones were kept, `returned` ones dropped, and `changed` ones are in the file
    as before, with another text. `decided` are all rows, and `undecided` those of them about which no verdict could be given."""

    dropped: int = 0
    returned: int = 0
    changed: int = 0
    decided: int = 0
    undecided: int = 0

    def __bool__(self) -> bool:
        return bool(self.dropped or self.returned or self.changed)


@dataclass
class _Verdicts:
    """What has to change in the ledger."""

    counts: Reversed = field(default_factory=Reversed)
    dropped: list[tuple[FilteredRow, int, int]] = field(default_factory=list)
    """Each without its text where that is the one in the file, which is so many bytes from a byte on."""
    returned: list[int] = field(default_factory=list)
    reworded: list[tuple[str, str, float | None, int]] = field(default_factory=list)
    retold: list[tuple[bytes, int]] = field(default_factory=list)
    """Dropped rows that stages change in another way now: their text, with their id."""
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By item: the rows that are dropped, and those that return, as bit masks."""

    def turn(self, item: int, *, dropped: int = 0, returned: int = 0) -> None:
        before = self.slots.get(item, (0, 0))
        self.slots[item] = (before[0] | dropped, before[1] | returned)


class _Place(NamedTuple):
    """An append with the rows that stages have dropped there, and the place of its item in the plan."""

    append: Append
    item: Place
    filtered: Mapping[int, tuple[int, Dropped, bytes]]
    """By number of the row: its id among filtered rows, what dropped it, its line."""


def decide_again(rows: Path, ledger: Ledger, decide: Decide, meta: Mapping[str, str]) -> Reversed:
    """Decides about all rows of the plan, and makes the file what the verdicts say.

    Args:
        meta: what is noted in the ledger at the same moment, so that it is not done again.

    Raises:
        OSError: there was no room for the new file; the old one is unchanged.
        OutputChangedError: lines were changed since they were written; nothing has happened.
    """
    with ledger.transaction():
        ledger.filtered.give_places(last=ledger.max_id("appends"), end=ledger.committed_size())
    rows = behind_link(rows)
    rows.touch()
    with new_files(rows, ledger) as (target, _):
        verdicts = _Verdicts()
        with ledger.transaction():
            appends = _write(rows, target, ledger, decide, verdicts)
            for name, value in {**meta, "undecided": str(verdicts.counts.undecided or "")}.items():
                ledger.set_meta(name, value)
            ledger.change_verdicts(
                dropped=_with_text(rows, verdicts.dropped),
                returned=verdicts.returned,
                reworded=verdicts.reworded,
                retold=verdicts.retold,
                slots=verdicts.slots,
            )
            if verdicts.counts:
                ledger.replace_appends(appends, emptied=(), cut={}, renumbered=False)
                ledger.set_meta("renames", orjson.dumps([[target.name, rows.name]]).decode())
        ledger.checkpoint()
    finish_rewrite(rows, ledger)
    return verdicts.counts


def reversals(rows: Path, ledger: Ledger, decide: Decide, place_in: PlaceIn | None = None) -> Reversed:
    """How many rows would have another verdict. Writes nothing. Rows that are not in the file as they were written are left out: a run
    makes them again, or says that they were changed.

    Args:
        place_in: says where items are in the plan if that is not the one of the last run.
    """
    found = Reversed()
    originals = _Originals(ledger)
    for item, place, number, line, is_dropped in _recorded(rows, ledger):
        position, num_rows = (place.position, place.num_rows) if place_in is None else place_in(item)
        if number >= num_rows:
            continue
        found.decided += 1
        with contextlib.suppress(Undecided):
            said = decide(position, place.key, originals.of(item, number, line))
            drops = said.drops is not None
            found.returned += is_dropped and not drops
            found.dropped += drops and not is_dropped
            found.changed += not drops and not is_dropped and said.line != line
    return found


def _recorded(rows: Path, ledger: Ledger) -> Iterator[tuple[int, Place, int, bytes, bool]]:
    """Item, its place, number and line of each row that the last plan asks for, and whether it is dropped."""
    if rows.is_file():
        with rows.open("rb") as source:
            for append, place in ledger.appends_with_items():
                for number, line in (_unaltered(source, append) or {}).items():
                    if number < place.num_rows:
                        yield append.item, place, number, line, False
    for dropped in ledger.filtered.lines():
        place = Place(dropped.position, dropped.key, dropped.number + 1)
        yield dropped.item, place, dropped.number, dropped.row + b"\n", True


class _Originals:
    """Rows as they were before stages have changed them. Cost: a look into the ledger for each item, if it has any."""

    def __init__(self, ledger: Ledger) -> None:
        self.table = ledger.changed
        self._has_some = not self.table.is_empty
        self._item = -1
        self._found: dict[int, ChangedRow] = {}

    def of(self, item: int, number: int, line: bytes) -> bytes:
        """The line of a row as it was made; the one that it has now if no stage has changed it."""
        row = self.row(item, number)
        return line if row is None else row.original + b"\n"

    def row(self, item: int, number: int) -> ChangedRow | None:
        if self._has_some and item != self._item:
            self._item, self._found = item, self.table.of(item)
        return self._found.get(number)

    def note(self, item: int, number: int, original: bytes, stages: tuple[str, ...]) -> None:
        """Records which stages change a row now."""
        before = self.row(item, number)
        if stages and (before is None or before.stages != stages):
            self.table.put([ChangedRow(item, number, stages, original.removesuffix(b"\n"))])
        elif before is not None and not stages:
            self.table.forget_rows({item: 1 << number})


def _write(rows: Path, target: Path, ledger: Ledger, decide: Decide, verdicts: _Verdicts) -> list[Append]:
    written: list[Append] = []
    size = 0
    originals = _Originals(ledger)
    with rows.open("rb") as source, target.open("xb") as sink:
        for place in _places(ledger):
            lines = _lines(source, rows, place.append)
            kept = _kept(place, lines, decide, verdicts, originals)
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


def _lines(source: IO[bytes], rows: Path, append: Append) -> dict[int, bytes]:
    """The lines of an append by number of the row."""
    lines = _unaltered(source, append)
    if lines is None:
        verify(rows, [append])
    return lines or {}


def _unaltered(source: IO[bytes], append: Append) -> dict[int, bytes] | None:
    """The same; None if they are not as they were written."""
    source.seek(append.start)
    data = source.read(append.size)
    if zlib.crc32(data) != append.crc:
        return None
    return dict(zip(numbers_of(append.slots), data.splitlines(keepends=True), strict=True))


def _places(ledger: Ledger) -> Iterator[_Place]:
    """All appends in the order of the file, with the rows that were dropped there."""
    out = ledger.filtered.by_place()
    waiting = next(out, None)
    for append, place in ledger.appends_with_items():
        filtered = {}
        while waiting is not None and waiting.place <= append.id:
            if waiting.place == append.id:
                filtered[waiting.number] = (
                    waiting.id,
                    Dropped(waiting.stage, waiting.reason, waiting.score),
                    waiting.row + b"\n",
                )
            waiting = next(out, None)
        yield _Place(append, place, filtered)


def _kept(
    place: _Place, lines: Mapping[int, bytes], decide: Decide, verdicts: _Verdicts, originals: _Originals
) -> dict[int, bytes]:
    """The lines that the stages keep, by number, and those that the plan does not ask for; what changes is noted."""
    kept = {}
    item, counts = place.append.item, verdicts.counts
    end = place.append.start
    for number, line in lines.items():
        start, end = end, end + len(line)
        if number >= place.item.num_rows:
            kept[number] = line
            continue
        said = _said(place, number, line, None, decide, verdicts, originals)
        if said.drops is None:
            kept[number] = said.line
            counts.changed += said.line != line
            continue
        counts.dropped += 1
        verdicts.turn(item, dropped=1 << number)
        text = said.line.removesuffix(b"\n") if said.line != line else b""
        stage, reason, score = said.drops
        row = FilteredRow(item, number, stage, reason, text, time.time(), place.append.id, score)
        verdicts.dropped.append((row, start, len(line) - 1))
    for number, (filtered_id, before, line) in place.filtered.items() if place.item.num_rows else ():
        said = _said(place, number, line, before, decide, verdicts, originals)
        if said.drops is None:
            counts.returned += 1
            verdicts.turn(item, returned=1 << number)
            verdicts.returned.append(filtered_id)
            kept[number] = said.line
            continue
        if said.drops != before:
            verdicts.reworded.append((*said.drops, filtered_id))
        if said.line != line:
            verdicts.retold.append((said.line.removesuffix(b"\n"), filtered_id))
    return kept


def _said(
    place: _Place,
    number: int,
    line: bytes,
    before: Dropped | None,
    decide: Decide,
    verdicts: _Verdicts,
    originals: _Originals,
) -> Said:
    """What stages say about a row that has this line and this verdict. Which of them change it is noted."""
    item = place.append.item
    original = originals.of(item, number, line)
    verdicts.counts.decided += 1
    try:
        said = decide(place.item.position, place.item.key, original)
    except Undecided:
        verdicts.counts.undecided += 1
        return Said(before, line)
    originals.note(item, number, original, said.changed_by)
    return said
