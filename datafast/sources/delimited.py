"""`.csv` and `.tsv`: cells between commas or tabs, a record a row, the first one the names of the columns (RFC 4180).

Guarantee: a cell is the text that stands in the file, as Python's `csv` gives it; where `types` names its column, the number that the
text is. What breaks the form (a quote that does not end, cells too few or too many, two columns of one name) is refused with its line.
Blank lines count for nothing.
"""

from __future__ import annotations

import csv
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.sources.file import SourceFile
from datafast.sources.part import Part
from datafast.sources.reading import CellType, Reading
from datafast.sources.records import Numbers
from datafast.sources.text_file import TextFile
from datafast.sources.values import Row, RowReader, first_repeated

__all__ = ["read_delimited"]

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_OTHERS = {";": "';'", "\t": r"'\t'", "|": "'|'", ",": "','"}
_EXCELS = re.compile(r"sep=.?", re.IGNORECASE)  # Excel's way to say what stands between cells
_LARGEST_CELL = 2**26  # characters; a quote that does not end must not take the whole file

_limit = threading.RLock()


@contextmanager
def _large_cells() -> Iterator[None]:
    """The csv module's limit, which holds for the whole process, is out of the way only while a file of ours is read."""
    with _limit:
        before = csv.field_size_limit(_LARGEST_CELL)
        try:
            yield
        finally:
            csv.field_size_limit(before)


class _Records:
    """The records of a file from where it stands: each with the line that it begins on, and where it ends in bytes."""

    def __init__(self, text: TextFile, file: IO[bytes], delimiter: str) -> None:
        self.end = file.tell()
        self.line = 1
        self._text = text
        self._file = file
        self._broken: tuple[int, int] | None = None
        self._reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        for raw in self._file:
            # As in a file that is opened with newline="": a carriage return alone ends a line too.
            for line in raw.splitlines(keepends=True) if b"\r" in raw else (raw,):
                self.end += len(line)
                try:
                    yield line.decode()
                except UnicodeDecodeError as error:
                    self._broken = self._reader.line_num + 1, line[error.start]
                    yield line.decode(errors="surrogateescape")

    def next(self, columns: Sequence[str]) -> list[str] | None:
        """The next record; None at the end. Raises ConfigError where bytes are not text, and csv.Error."""
        with _large_cells():
            for cells in self._reader:
                first, self.line = self.line, self._reader.line_num + 1
                if self._broken:
                    raise self._not_text(cells, columns)
                if cells:
                    self.began = first
                    return cells
        return None

    began = 1

    def _not_text(self, cells: list[str], columns: Sequence[str]) -> ConfigError:
        assert self._broken is not None  # noqa: S101 - asked by the caller
        place = next(number for number, cell in enumerate(cells) if re.search("[\udc80-\udcff]", cell))
        name = f"the column {columns[place]!r}" if place < len(columns) else f"cell {place + 1}"
        return self._text.not_text(self._broken[0], name, self._broken[1])


def read_delimited(source: SourceFile, reading: Reading, reader: RowReader) -> Part:
    """A broken record is found while all are gone through, before anything is sent."""
    text = TextFile(source, reading)
    delimiter = reading.delimiter or _DELIMITERS[source.suffix]
    starts = Numbers()
    lines = Numbers()
    with text.open() as file:
        columns = _header(_Records(text, file, delimiter), text, reading)
    convert = _conversion(columns, reading, text)

    def row_of(cells: list[str], number: int, line: int, reader: RowReader = reader) -> Row:
        if len(cells) != len(columns):
            raise ConfigError(
                f"{reading.field}: {source.name}:{line}: This record has {len(cells)} cells and the header {len(columns)}. "
                f"Put a cell with {delimiter!r} in it into quotes, or write delimiter: what stands between the cells."
            )
        return reader.plain(convert(cells, line), number)

    def plain() -> Iterator[Row]:
        with text.open() as file, _faults(text, reading) as at:
            records = at[0] = _Records(text, file, delimiter)
            records.next(columns)
            start = records.end
            while (cells := records.next(columns)) is not None:
                starts.append(start)
                lines.append(records.began)
                yield row_of(cells, len(starts) - 1, records.began)
                start = records.end

    def again() -> Iterator[tuple[int, Row]]:
        apart, number = reader.apart(), 0
        with text.open() as file, _faults(text, reading) as at:
            records = at[0] = _Records(text, file, delimiter)
            records.next(columns)
            while (cells := records.next(columns)) is not None:
                yield number, row_of(cells, number, records.began, apart)
                number += 1

    def read(number: int) -> Row:
        with text.open() as file:
            file.seek(starts[number])
            cells = _Records(text, file, delimiter).next(columns)
        return row_of(cells or [], number, lines[number])

    return Part(
        source.name,
        plain,
        read,
        lambda: text.digest,
        columns=columns,
        place=lambda number: f"line {lines[number]}",
        files=source.files,
        again=again,
    )


@contextmanager
def _faults(text: TextFile, reading: Reading) -> Iterator[dict[int, _Records]]:
    """Says where a file breaks the form. What is being read is put under 0."""
    at: dict[int, _Records] = {}
    try:
        yield at
    except csv.Error as error:
        line = at[0].line if at else 1
        endless = "unexpected end" in str(error) or "larger than field limit" in str(error)
        why = "a quoted cell does not end" if endless else str(error)
        raise ConfigError(
            f"{reading.field}: {text.name}:{line}: This record is not CSV: {why}. "
            f"A quote inside a quoted cell is written twice; correct the record that begins here."
        ) from None


def _header(records: _Records, text: TextFile, reading: Reading) -> list[str]:
    with _faults(text, reading) as at:
        at[0] = records
        columns = records.next(()) or []
    if (twice := first_repeated(columns)) is not None:
        raise ConfigError(
            f"{reading.field}: {text.name}: Two columns are named {twice!r}. Give one of them another name, "
            f"since only one could be used."
        )
    if columns and _EXCELS.fullmatch(columns[0]) and not any(columns[1:]):
        raise ConfigError(
            f"{reading.field}: {text.name}: The first line begins with {columns[0]!r}: it is for Excel alone and names no columns. "
            f"Take it out, and write delimiter: what stands between the cells."
        )
    if reading.delimiter is None and len(columns) == 1:
        for other, shown in _OTHERS.items():
            if other in columns[0]:
                raise ConfigError(
                    f"{reading.field}: {text.name}: The header is one cell, {columns[0]!r:.60}. If its columns are "
                    f"separated by {shown}, write delimiter: {shown}; if it is one column, name the delimiter of the file."
                )
    return columns


_READ: Mapping[CellType, tuple[re.Pattern[str], Callable[[str], Any]]] = {
    "integer": (re.compile(r"[+-]?[0-9]{1,30}"), int),
    "number": (re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"), float),
    "boolean": (re.compile(r"(?i:true|false)"), lambda text: text.lower() == "true"),
}


def _conversion(columns: Sequence[str], reading: Reading, text: TextFile) -> Callable[[list[str], int], Row]:
    """Makes a row of cells. An empty cell of a column with a type is null."""
    types = reading.types or {}
    for name in types:
        if name not in columns:
            raise ConfigError(f"types: {text.name} has no column {name!r}. {did_you_mean(name, columns)}")
    typed = [
        (place, name, types[name], *_READ[types[name]])
        for place, name in enumerate(columns)
        if types.get(name, "text") != "text"
    ]

    def convert(cells: list[str], line: int) -> Row:
        row: Row = dict(zip(columns, cells, strict=True))
        for place, name, kind, form, make in typed:
            cell = cells[place].strip()
            value = make(cell) if cell and form.fullmatch(cell) else None
            if cell and (value is None or not math.isfinite(value)):
                raise ConfigError(
                    f"types: {text.name}:{line}: {cell!r:.60} in the column {name!r} is not {_NAMED[kind]}. "
                    f"Correct it, or leave the column text."
                )
            row[name] = value
        return row

    return convert


_NAMED: Mapping[CellType, str] = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
