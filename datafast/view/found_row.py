"""One row of an output, by its number or by its uuid, wherever it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datafast.errors import ConfigError
from datafast.view.index import LONGEST
from datafast.view.rendering.values import row_of

if TYPE_CHECKING:
    from datafast.datasets.explaining import Explained
    from datafast.view.index import Counted, Line
    from datafast.view.outputs import Output

__all__ = ["FoundRow", "NoSuchRow", "explained", "find_row", "row_number", "rows_of"]

_PATIENCE_S = 20
_COUNTING_S = 0.3
_DIGITS = 15


class NoSuchRow(Exception):
    """There is no such row; says what to do."""


@dataclass(slots=True)
class FoundRow:
    """A row.

    Attributes:
        key: what finds it: its number, or its uuid where it is not in the file.
        number: in the file, from 1; None where it is not there.
        value: what it holds; None where that cannot be read, `problem` says why.
        text: its line, as text.
        start: the byte at which the line begins.
        told: what is recorded of it, where that was needed to find it.
    """

    key: str
    number: int | None = None
    value: Any = None
    problem: str = ""
    text: str = ""
    start: int = 0
    told: Explained | None = None

    @property
    def uuid(self) -> str:
        if self.told is not None:
            return self.told.uuid
        found = self.value.get("uuid") if isinstance(self.value, dict) else None
        return found if isinstance(found, str) else ""


def row_number(key: str) -> int | None:
    """The number that a key is, if it is one."""
    return int(key) if key.isascii() and key.isdigit() and len(key) <= _DIGITS else None


def find_row(output: Output, key: str) -> FoundRow:
    """The row with this number, counted from 1, or whose uuid begins so.

    Raises:
        NoSuchRow: there is none, or there are several.
        OutputError: the ledger cannot be read.
        OSError: the file cannot be read.
    """
    number = row_number(key)
    if number is not None:
        return _at(output, number)
    if not output.has_ledger:
        return _at(output, _with_uuid(output, key))
    dataset, why_none = _dataset(output)
    try:
        from datafast.datasets.explaining import explain  # a viewer starts faster without

        told = explain(output.paths, key, dataset, why_none=why_none)
    except ConfigError as error:
        raise NoSuchRow(str(error)) from error
    if told.line is not None:
        return _at(output, told.line)
    return FoundRow(told.uuid, value=told.row, told=told)


def explained(output: Output, row: FoundRow) -> Explained | None:
    """What is recorded of a row; None if nothing is.

    Raises:
        OutputError: the ledger cannot be read.
    """
    if row.told is None and row.number is not None and output.has_ledger and output.is_jsonl:
        dataset, why_none = _dataset(output)
        from datafast.datasets.explaining import explain_at  # a viewer starts faster without

        row.told = explain_at(output.paths, row.start, dataset, why_none=why_none)
    return row.told


def rows_of(output: Output) -> Counted:
    """How many rows there are; of a large file that nobody has gone through yet, about how many."""
    ends = time.monotonic() + _COUNTING_S
    while output.rows.step() and time.monotonic() < ends:
        pass
    return output.rows.count()


def _dataset(output: Output) -> tuple[Any, str]:
    from datafast.datasets.of_output import dataset_in  # a viewer starts faster without

    try:
        return dataset_in(output.paths), ""
    except ConfigError as error:
        return None, f"Its prompts are not known: {error}"


def _at(output: Output, number: int) -> FoundRow:
    line = _line(output, number)
    row = FoundRow(str(number), number, start=line.start)
    if line.data is None:
        row.problem = f"Its line has {line.size:,} bytes, and lines with more than {LONGEST:,} are not shown."
        return row
    row.text = line.data.decode("utf-8", "replace")
    try:
        row.value = row_of(line.data)
    except ValueError as error:
        row.problem = f"Its line cannot be read as JSON: {error}"
    return row


def _line(output: Output, number: int) -> Line:
    """A line, as soon as the file was gone through as far as it."""
    ends = time.monotonic() + _PATIENCE_S
    rows = output.rows
    while number > 0 and time.monotonic() < ends:
        if (line := rows.line(number - 1)) is not None:
            return line
        if not rows.step():
            last = rows.line(number - 1)
            if last is not None:
                return last
            break
    count = rows_of(output)
    if not count.exact:
        raise NoSuchRow(f"Row {number:,} is not known yet: the file is still gone through. Try again in a moment.")
    raise NoSuchRow(f"There is no row {number:,}: the file has rows 1 to {count.rows:,}.")


def _with_uuid(output: Output, uuid: str) -> int:
    """The number of the row whose uuid begins so, in a file without a ledger."""
    begins = uuid.strip().lower().encode()
    output.rows.wait()
    for lines in output.rows.scan():
        if begins not in lines.data.lower():
            continue
        for place, line in enumerate(lines.data.split(b"\n")):
            if begins in line.lower() and _has_uuid(line, begins.decode()):
                return lines.first + place + 1
    raise NoSuchRow(f"There is no row whose uuid begins with {uuid!r}. Check it, or go to a row by its number.")


def _has_uuid(line: bytes, begins: str) -> bool:
    try:
        row = row_of(line)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("uuid"), str) and row["uuid"].lower().startswith(begins)
