"""Decides about all recorded rows, those in the JSONL and those that stages have dropped: because the stages have changed, or because a run
has ended and its rows are compared with each other.

First, one pass over the rows finds which of them have another verdict than they had. It reads them in the order of the file, or in that
of a walk where rows are compared: by draw, key and row number of their items. Where a row has another verdict, the file
is written anew. A row that comes back gets the place that it had, or would have had, when its item was finished; so the same stages make
the same file again. One transaction then records the verdicts, the new places and the rename; see `compaction`.
Stages that look at one row decide about it as it was made: where they have changed it, the ledger has the original. Rows are compared as
they are written.

Cost: one pass over the rows, and another one if any has to move. Memory: an entry for each append while the file is written, and one
for each row whose verdict is another one, without its text. The order of a walk is sorted by SQLite, in a file of its own if it is long.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import orjson

from datafast.store.changed import ChangedRow
from datafast.store.compaction import behind_link, finish_rewrite, new_files
from datafast.store.generations import arrange
from datafast.store.ledger import Ledger
from datafast.store.records import Append, FilteredRow, Place, Recorded
from datafast.store.row_values import numbers_of
from datafast.store.rows import verify

__all__ = [
    "BEHIND",
    "Abandoned",
    "CallsOf",
    "Decides",
    "Deciding",
    "Dropped",
    "PlaceIn",
    "RecordedRow",
    "Reversed",
    "Said",
    "decide_where_changed",
    "reversals",
    "settle",
]

_ROWS_AT_ONCE = 512
_BYTES_AT_ONCE = 8 * 1024 * 1024


class Dropped(NamedTuple):
    """The stage that drops a row, why, and the number that it decided by, if there is one."""

    stage: str
    reason: str
    score: float | None = None


BEHIND = Dropped("", "")
"""What keeps a row out of the file that an earlier generation of it is in, or that is one more than there may be."""


class Said(NamedTuple):
    """What stages say about a row: what drops it, if anything does; its line as they leave it, and which of them have changed it.
    `is_undecided`: one of them could not say anything, or, if the row `is_unasked`, a model has to be asked first; what was said before
    stands."""

    drops: Dropped | None
    line: bytes
    changed_by: tuple[str, ...] = ()
    is_undecided: bool = False
    is_unasked: bool = False


Key = tuple[int, int, int]
"""A row: its item's id, its number and its generation."""


class Abandoned(Exception):
    """Deciding was given up before anything was changed."""


class RecordedRow(NamedTuple):
    """A row with its item's id and place in the plan.

    Attributes:
        line: as it is now; `original`: as it was made, and `changed_by`: the stages that have changed it since.
        before: what has dropped it.
        filtered: its id among dropped rows; 0 for none.
        generation: how often it was made before, because stages had dropped it.
    """

    item: int
    number: int
    place: Place
    line: bytes
    before: Dropped | None = None
    filtered: int = 0
    original: bytes = b""
    changed_by: tuple[str, ...] = ()
    generation: int = 0

    @property
    def key(self) -> Key:
        return self.item, self.number, self.generation

    @property
    def as_it_is(self) -> Said:
        """What was said about it before."""
        return Said(self.before, self.line, self.changed_by)


class Deciding(Protocol):
    """One pass of verdicts about recorded rows.

    Attributes:
        walks: whether rows are shown in the order of a walk.
    """

    walks: bool

    def expect(self, rows: int) -> None:
        """Says how many rows there are about."""

    def draw(self, position: int) -> int:
        """The number of the draw that the item at a position of the plan belongs to; see `Plan`."""

    def verdicts(self, rows: Sequence[RecordedRow]) -> Sequence[Said]:
        """What stages say about each of these rows. The generations of a row come in their order. Raises `Abandoned`."""


class Decides(Protocol):
    """The stages of a run.

    Attributes:
        settings: of the stages that look at one row, as JSON.
        walks: of those that compare rows, as JSON.
        walk_names: the names of these.
        most_replaced: how often a row that they drop is made again; not if it is one of `for_good` that has dropped it.
        unasked: of the last pass, the rows about which models have to be asked first, as bit masks by the ids of their items and by
            generation.
        asked_in_vain: those of these items about which models were asked, and gave no usable answer.
    """

    settings: str
    walks: str
    walk_names: frozenset[str]
    most_replaced: int
    for_good: frozenset[str]

    @property
    def unasked(self) -> Mapping[int, Mapping[int, int]]: ...
    @property
    def asked_in_vain(self) -> Collection[int]: ...

    def anew(
        self, *, each: bool, former_walks: Collection[str], calls_of: CallsOf, tries_again: bool = False
    ) -> Deciding:
        """A pass of verdicts.

        Args:
            each: whether the stages that look at one row decide anew; else what they have decided stands.
            former_walks: the names of stages by which rows were ever compared. What these have decided never stands.
            calls_of: gives what models have answered.
            tries_again: whether models are to be asked again that gave no usable answer.
        """


CallsOf = Callable[[int], Iterable[tuple[bytes, Recorded]]]
"""Given the id of an item: its recorded replies with the keys of their calls, oldest first."""

PlaceIn = Callable[[int], tuple[int, int]]
"""Given the id of an item: its position in a plan, and how many rows that asks it for; 0 where it is not in it."""


@dataclass
class Reversed:
    """How many rows have another verdict than before: `dropped` ones were kept, `returned` ones dropped, and `changed` ones are in the file
    as before, with another text. `decided` are all rows, `undecided` those of them about which no verdict could be given, and `unasked`
    those about which models have to be asked first. `to_replace` are to be made again, because stages drop them."""

    dropped: int = 0
    returned: int = 0
    changed: int = 0
    decided: int = 0
    undecided: int = 0
    to_replace: int = 0
    unasked: int = 0

    def __bool__(self) -> bool:
        return bool(self.dropped or self.returned or self.changed)


@dataclass
class _Changes:
    """The rows that have another verdict or another text than before."""

    texts: _Texts
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


class _Texts:
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
    """Compares all recorded rows with each other if any has come or gone since that was last done, and decides about all if models were
    still to be asked about some. None if there is neither.

    Raises:
        As `decide_where_changed`.
    """
    each = bool(ledger.meta("unasked"))
    is_settled = ledger.is_settled or decides.walks == "[]"
    if not ledger.has_rows or (not each and is_settled and ledger.walks == decides.walks):
        return None
    return _decide(rows, ledger, decides, each=each)


def _decide(rows: Path, ledger: Ledger, decides: Decides, *, each: bool, tries_again: bool = False) -> Reversed:
    names = ledger.walk_names
    meta = {"walks": decides.walks, "unsettled": ""}
    if each:
        meta["stages"] = decides.settings
    if decides.walk_names - names:
        meta["walk_names"] = orjson.dumps(sorted(decides.walk_names | names)).decode()
    if not ledger.has_rows:
        with ledger.transaction():
            _note(ledger, {**meta, "unasked": ""})
        return Reversed()
    with ledger.transaction():
        ledger.filtered.give_places(last=ledger.max_id("appends"), end=ledger.committed_size())
    deciding = decides.anew(each=each, former_walks=names, calls_of=ledger.calls_of, tries_again=tries_again)
    counts = ledger.counts()
    deciding.expect(counts.written + counts.filtered)
    rows = behind_link(rows)
    with _spool(rows.parent) as spool:
        changes = _changes(_recorded(rows, ledger, deciding), deciding, spool)
        if each or changes.counts.undecided:
            meta["undecided"] = str(changes.counts.undecided or "")
        if each:
            meta["unasked"] = str(changes.counts.unasked or "")
        _apply(rows, ledger, changes, meta, decides)
    return changes.counts


def _apply(rows: Path, ledger: Ledger, changes: _Changes, meta: Mapping[str, str], decides: Decides) -> None:
    """Makes the file and the ledger what the verdicts say. The file is left alone if no row moves."""
    if not changes:
        with ledger.transaction():
            ledger.filtered.reword(changes.reworded)
            _note(ledger, meta)
            changes.counts.to_replace = arrange(ledger, decides.most_replaced, for_good=decides.for_good)
        return
    rows.touch()
    with new_files(rows, ledger) as (target, _):
        moves = _Moves()
        with ledger.transaction():
            appends = _write(rows, target, ledger, changes, moves)
            _note(ledger, meta)
            ledger.change_verdicts(
                dropped=_with_text(rows, moves.dropped),
                returned=moves.returned,
                reworded=changes.reworded,
                retold=moves.retold,
                slots=moves.slots,
            )
            changes.counts.to_replace = arrange(
                ledger, decides.most_replaced, for_good=decides.for_good, moved=moves.slots
            )
            ledger.replace_appends(appends, emptied=(), cut={}, renumbered=False)
            ledger.set_meta("renames", orjson.dumps([[target.name, rows.name]]).decode())
        ledger.checkpoint()
    finish_rewrite(rows, ledger)


def reversals(rows: Path, ledger: Ledger, deciding: Deciding, place_in: PlaceIn | None = None) -> Reversed:
    """How many rows would have another verdict. Writes nothing. Rows that are not in the file as they were written are left out: a run
    makes them again, or says that they were changed.

    Args:
        place_in: says where items are in the plan if that is not the one of the last run.
    """
    with _spool(None) as spool:
        return _changes(_recorded(rows, ledger, deciding, place_in, lenient=True), deciding, spool).counts


def _note(ledger: Ledger, meta: Mapping[str, str]) -> None:
    for name, value in meta.items():
        ledger.set_meta(name, value)


# -- which rows have another verdict


def _changes(recorded: Generator[RecordedRow, None, None], deciding: Deciding, spool: IO[bytes]) -> _Changes:
    changes = _Changes(_Texts(spool))
    with contextlib.closing(recorded):
        for batch in _batches(recorded):
            for row, said in zip(batch, deciding.verdicts(batch), strict=True):
                changes.take(row, said)
    changes.count_swaps()
    return changes


def _spool(folder: Path | None) -> IO[bytes]:
    """A place for texts: memory, and a file without a name where they are many."""
    return tempfile.SpooledTemporaryFile(max_size=_BYTES_AT_ONCE, dir=None if folder is None else str(folder))


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


def _recorded(
    rows: Path, ledger: Ledger, deciding: Deciding, place_in: PlaceIn | None = None, *, lenient: bool = False
) -> Generator[RecordedRow, None, None]:
    """All rows that the last plan asks for, those in the file and those that were dropped."""
    originals = _Originals(ledger)
    with (rows if rows.is_file() else Path(os.devnull)).open("rb", buffering=0) as source:

        def lines(append: Append) -> dict[int, bytes]:
            return (_unaltered(source, append) or {}) if lenient else _lines(source, rows, append)

        # The generations of a row are decided about together.
        by_item = deciding.walks or ledger.filtered.has_generations
        found = _in_walk_order(ledger, lines, deciding, place_in) if by_item else _in_file_order(ledger, lines)
        for row in found:
            if row.number >= row.place.num_rows:
                continue
            if place_in is not None:
                position, num_rows = place_in(row.item)
                if row.number >= num_rows:
                    continue
                row = row._replace(place=Place(position, row.place.key, num_rows))
            changed = originals.row(row.key)
            if changed is None:
                yield row._replace(original=row.line)
            else:
                yield row._replace(original=changed.original + b"\n", changed_by=changed.stages)


class _Originals:
    """Rows as they were before stages have changed them. Cost: a look into the ledger for each item, if it has any."""

    def __init__(self, ledger: Ledger) -> None:
        self._table = ledger.changed
        self._has_some = not self._table.is_empty
        self._item = -1
        self._found: dict[tuple[int, int], ChangedRow] = {}

    def row(self, key: Key) -> ChangedRow | None:
        item = key[0]
        if self._has_some and item != self._item:
            self._item, self._found = item, self._table.of(item)
        return self._found.get(key[1:])

    def note(self, key: Key, line: bytes, stages: tuple[str, ...]) -> None:
        """Records which stages change a row now that has this line until now."""
        before = self.row(key)
        item, number, generation = key
        if stages:
            original = line.removesuffix(b"\n") if before is None else before.original
            self._table.put([ChangedRow(item, number, stages, original, generation)])
        else:
            self._table.forget_row(item, number, generation)


class _Shown:
    """Which generation of a row is in the file."""

    def __init__(self, ledger: Ledger) -> None:
        self._table = ledger.filtered
        self._has_some = self._table.has_generations
        self._item = -1
        self._found: Mapping[int, int] = {}

    def of(self, item: int, number: int) -> int:
        if not self._has_some:
            return 0
        if item != self._item:
            self._item, self._found = item, self._table.shown_of(item)
        return self._found.get(number, 0)


def _in_file_order(ledger: Ledger, lines: Callable[[Append], dict[int, bytes]]) -> Iterator[RecordedRow]:
    for append, place in ledger.appends_with_items():
        if place.num_rows and append.num_rows:
            for number, line in lines(append).items():
                yield RecordedRow(append.item, number, place, line)
    for row in ledger.filtered.lines():
        before = Dropped(row.stage, row.reason, row.score)
        place = Place(row.position, row.key, row.number + 1)
        yield RecordedRow(row.item, row.number, place, row.row + b"\n", before, row.id)


def _in_walk_order(
    ledger: Ledger, lines: Callable[[Append], dict[int, bytes]], deciding: Deciding, place_in: PlaceIn | None
) -> Iterator[RecordedRow]:
    def draw(item: int, position: int) -> int:
        if place_in is not None:
            position, num_rows = place_in(item)
            if not num_rows:
                return 0
        return deciding.draw(position) if deciding.walks else 0

    shown = _Shown(ledger)
    with contextlib.closing(
        ledger.in_walk_order(draw)
    ) as ordered:  # an error that is kept must not keep the ledger open
        for (item, place, has_filtered), appends in groupby(ordered, key=itemgetter(0, 1, 2)):
            found = [
                RecordedRow(item, number, place, line, generation=shown.of(item, number))
                for *_, append in appends
                if append is not None
                for number, line in lines(append).items()
            ]
            for row in ledger.filtered.of_item(item) if has_filtered else ():
                before = Dropped(row.stage, row.reason, row.score)
                recorded = RecordedRow(item, row.number, place, row.row + b"\n", before, row.id)
                found.append(recorded._replace(generation=row.generation))
            yield from sorted(found, key=lambda row: row.key) if len(found) > 1 else found


# -- the file that the verdicts make


def _write(rows: Path, target: Path, ledger: Ledger, changes: _Changes, moves: _Moves) -> list[Append]:
    written: list[Append] = []
    size = 0
    originals, shown = _Originals(ledger), _Shown(ledger)
    with rows.open("rb") as source, target.open("xb") as sink:
        for place in _places(ledger):
            item = place.append.item
            lines = {
                (number, shown.of(item, number)): line for number, line in _lines(source, rows, place.append).items()
            }
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


def _places(ledger: Ledger) -> Generator[_Place, None, None]:
    """All appends in the order of the file, with the rows that were dropped there."""
    out = ledger.filtered.by_place()
    waiting = next(out, None)
    for append in ledger.appends():
        filtered = {}
        while waiting is not None and waiting.place <= append.id:
            if waiting.place == append.id:
                filtered[waiting.number, waiting.generation] = (waiting.id, waiting.row + b"\n")
            waiting = next(out, None)
        yield _Place(append, filtered)


def _note_changes(
    place: _Place, lines: Mapping[tuple[int, int], bytes], changes: _Changes, originals: _Originals
) -> None:
    """Records which stages change the rows of a place, where that is new."""
    item = place.append.item
    if changes.changed_by:
        for row, line in (*lines.items(), *((row, line) for row, (_, line) in place.filtered.items())):
            if (stages := changes.changed_by.get((item, *row))) is not None:
                originals.note((item, *row), line, stages)


def _kept(place: _Place, lines: Mapping[tuple[int, int], bytes], changes: _Changes, moves: _Moves) -> dict[int, bytes]:
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
