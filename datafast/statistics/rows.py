"""The rows of a file, one after the other, each with the item of the ledger that it came from.

Guarantee: what is not a row is counted and left out, whether a file was damaged, edited, or is being written. A row is taken for one of an
item only if its bytes are those that were written. Memory: 28 bytes for each append.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from datafast.errors import OutputError
from datafast.sources import open_source
from datafast.store.in_place import leads_to
from datafast.store.reader import LedgerReader

__all__ = ["NO_ITEM", "ReadRow", "Reading", "as_row"]

NO_ITEM = 0  # items are numbered from 1
_BUFFER = 1 << 20
_TRIES = 5
_MOST_BITS = 63
_HALVES = re.compile("[\ud800-\udfff]")
_LINES = frozenset({".jsonl", ".ndjson"})


class ReadRow(NamedTuple):
    """A row and its item; `NO_ITEM` if that is not known."""

    row: Mapping[str, Any]
    item: int


class Reading:
    """Rows to go through once.

    Attributes:
        damaged: lines that are not a row, so far.
        changed: rows that are not as they were written, so far.
        missing: whether the file ends before what the ledger says was written.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.changed = 0
        self.missing = False
        self._rows: Iterator[ReadRow] = iter(())

    def __iter__(self) -> Iterator[ReadRow]:
        return self._rows

    @classmethod
    def of(cls, path: Path, ledger: LedgerReader, *, most: int | None = None) -> Reading:
        """The rows of an output, or so many at least of the first ones."""
        reading = cls()
        reading._rows = reading._of_output(path, ledger, most)
        return reading

    @classmethod
    def of_file(cls, path: Path, rows: Iterable[Mapping[str, Any]] | None = None) -> Reading:
        """The rows of any file: JSONL line by line, all others as sources are read; or `rows`, whatever its lines are.

        Raises:
            ConfigError: there is no such file, or it is not known how to read it.
        """
        reading = cls()
        if rows is None and path.suffix.lower() in _LINES and path.is_file():
            reading._rows = reading._of_lines(path)
        else:
            found = open_source(path, field="FILE") if rows is None else rows
            reading._rows = (ReadRow(row, NO_ITEM) for row in found)
        return reading

    def _of_output(self, path: Path, ledger: LedgerReader, most: int | None) -> Iterator[ReadRow]:
        for _ in range(_TRIES):
            try:
                file = path.open("rb", buffering=_BUFFER)
            except FileNotFoundError:
                self.missing = ledger.appends.committed_size() > 0
                return
            with file:
                appends = _Appends(ledger, most)
                # Where a run has put another file in its place meanwhile, they are not of this one.
                if leads_to(path, os.fstat(file.fileno())):
                    yield from self._of_appends(file, appends)
                    return
        raise OutputError(f"{path} was replaced again and again while it was opened. Try again later.")

    def _of_appends(self, file: IO[bytes], appends: _Appends) -> Iterator[ReadRow]:
        at = 0
        for item, start, size, crc in zip(appends.items, appends.starts, appends.sizes, appends.checksums, strict=True):
            if start != at:
                file.seek(start)
            data = file.read(size)
            at = start + len(data)
            self.missing |= len(data) < size
            is_same = zlib.crc32(data) == crc
            for line in data.splitlines():
                if (row := self._row(line)) is not None:
                    self.changed += not is_same
                    yield ReadRow(row, item if is_same else NO_ITEM)

    def _of_lines(self, path: Path) -> Iterator[ReadRow]:
        with path.open("rb", buffering=_BUFFER) as file:
            for line in file:
                if line.strip() and (row := self._row(line)) is not None:
                    yield ReadRow(row, NO_ITEM)

    def _row(self, line: bytes) -> dict[str, Any] | None:
        row = as_row(line)
        self.damaged += row is None
        return row


class _Appends:
    """Where the rows of each item stand in the file. Each append has a row, so `most` of them have as many."""

    def __init__(self, ledger: LedgerReader, most: int | None) -> None:
        self.items, self.starts = array("q"), array("q")
        self.sizes, self.checksums = array("q"), array("L")
        for append in islice(ledger.scans.appends(), most):
            self.items.append(append.item)
            self.starts.append(append.start)
            self.sizes.append(append.size)
            self.checksums.append(append.crc)


def as_row(line: bytes) -> dict[str, Any] | None:
    """The row in a line; None if it is not one."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            row = _as_others_read_it(json.loads(line))  # NaN, and halves of surrogate pairs
        except (ValueError, RecursionError):
            return None
    return row if isinstance(row, dict) else None


def _as_others_read_it(value: Any) -> Any:
    """A value that Python alone reads, as one that can be written again: half a surrogate pair is the sign for a letter that was lost, and
    a number of more than 64 bits a float."""
    if isinstance(value, str):
        return _HALVES.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_as_others_read_it(name): _as_others_read_it(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_others_read_it(part) for part in value]
    return float(str(value)) if type(value) is int and value.bit_length() > _MOST_BITS else value
