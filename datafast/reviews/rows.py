"""The rows of a file as reviewers see them: those in the file, and those that stages or reviewers have dropped from it.

Memory: a row at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from datafast._util.user_path import is_file
from datafast.sources import open_source
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.review_records import RowKey
from datafast.store.review_state import Decisions, ReviewState

__all__ = ["ReviewedRow", "about_field", "dropped_rows", "find_row", "reviewed", "row_in_line", "rows_in", "state_in"]

_LINES = {".jsonl", ".ndjson"}


class ReviewedRow(NamedTuple):
    """A row with what was decided about it.

    Attributes:
        row: as it stands in the file, or as it was dropped.
        state: how it stands.
        dropped_by: the stage that has dropped it; empty for a row in the file.
        why: the reason of that stage.
    """

    row: Mapping[str, Any]
    state: ReviewState
    dropped_by: str = ""
    why: str = ""

    @property
    def current(self) -> Mapping[str, Any]:
        """The row with what edits change in it."""
        return {**self.row, **self.state.fields}


def rows_in(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a file; none where there is no file yet. A last line that is still being written is left out.

    Raises:
        ConfigError: it cannot be read.
    """
    if path.suffix.lower() not in _LINES:
        if is_file(path):
            yield from open_source(path, field="FILE")
        return
    for line in _lines(path):
        row = row_in_line(line)
        if row is not None:
            yield row


def _lines(path: Path) -> Iterator[bytes]:
    if is_file(path):
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))


def dropped_rows(paths: OutputPaths) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    """The rows that stages or reviewers have dropped, each with the stage and the reason; without those whose other generation is in the
    file."""
    if is_file(paths.ledger):
        with LedgerReader(paths.ledger) as reader:
            for row in reader.filtered.lines():
                if row.stage and not row.hidden:
                    yield orjson.loads(row.row), row.stage, row.reason


def find_row(paths: OutputPaths, name: str) -> Mapping[str, Any] | None:
    """The row of this name (see `RowKey`), in the file or among those that were dropped. Cost: a pass over the file."""
    mark = name.encode("utf-8", "surrogatepass")
    by_lines = paths.rows.suffix.lower() in _LINES and not name.startswith("digest:")
    near = (row_in_line(line) for line in _lines(paths.rows) if mark in line) if by_lines else rows_in(paths.rows)
    for row in near:
        if row is not None and RowKey.of(row).row == name:
            return row
    return next((row for row, *_ in dropped_rows(paths) if RowKey.of(row).row == name), None)


def row_in_line(line: bytes) -> Mapping[str, Any] | None:
    """A line as a row; None for what is none."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def about_field(row: Mapping[str, Any], field: str, what: str) -> Any:
    """What a row says about one of its fields under a name like it: `chosen_score` about `chosen_response`, or about `chosen`. None where
    it says nothing."""
    for name in (field, field.rpartition("_")[0]):
        if name and f"{name}_{what}" in row:
            return row[f"{name}_{what}"]
    return None


def reviewed(paths: OutputPaths, decisions: Decisions, *, dropped: bool) -> Iterator[ReviewedRow]:
    """All rows with their states. `dropped`: also those that were dropped."""
    for row in rows_in(paths.rows):
        yield ReviewedRow(row, state_in(decisions, row))
    for row, stage, why in dropped_rows(paths) if dropped else ():
        yield ReviewedRow(row, state_in(decisions, row), stage, why)


def state_in(decisions: Decisions, row: Mapping[str, Any]) -> ReviewState:
    """How a row stands; where nobody has decided anything about it, without looking at what it says."""
    uuid = row.get("uuid")
    if isinstance(uuid, str) and uuid and uuid not in decisions:
        return ReviewState(RowKey(uuid, ""))
    return decisions.of(RowKey.of(row))
