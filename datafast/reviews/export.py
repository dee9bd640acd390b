"""Decisions with their rows, in a file of their own: JSON Lines, or CSV for a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from datafast._util.atomic_write import whole_file
from datafast.errors import ConfigError, OutputWriteError
from datafast.reviews.rows import ReviewedRow
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared
from datafast.store.review_records import ReviewRecord

__all__ = ["export_decisions"]

_COLUMNS = (
    "uuid",
    "verdict",
    "reason",
    "reviewers",
    "edited",
    "labels",
    "notes",
    "is_disputed",
    "is_stale",
    "dropped_by",
)


def export_decisions(paths: OutputPaths, rows: Iterable[ReviewedRow], output: Path, *, accepted: bool = False) -> int:
    """Writes them and returns how many rows there are; see `Reviews.export`."""
    suffix = output.suffix.lower()
    if suffix not in {".jsonl", ".csv"}:
        raise ConfigError(f"{output}: Decisions are written as .jsonl or .csv. Give the file such a name.", key="path")
    refuse_shared([*paths.used("the output", "its ledger"), UsedFile("path", output, written=True)])
    found = _accepted(rows) if accepted else _decided(rows)
    try:
        with whole_file(output) as new:
            return _write_lines(new, found) if suffix == ".jsonl" else _write_table(new, found, rows_alone=accepted)
    except OSError as error:
        raise OutputWriteError(f"Cannot write {output}: {error.strerror}. Choose another file.") from error


def _accepted(rows: Iterable[ReviewedRow]) -> Iterator[dict[str, Any]]:
    return (dict(one.current) for one in rows if one.state.verdict == "accepted")


def _decided(rows: Iterable[ReviewedRow]) -> Iterator[dict[str, Any]]:
    """What was decided about each row that anything was decided about, and the row."""
    for one in rows:
        state = one.state
        if state.by_reviewer or state.stale or state.labels or state.notes:
            yield {
                "uuid": state.key.row,
                "verdict": state.verdict,
                "reason": state.reason,
                "reviewers": {name: _said(said) for name, said in state.by_reviewer.items()},
                "edited": _edited(one),
                "labels": state.labels,
                "notes": [{"reviewer": note.reviewer, "text": note.text} for note in state.notes],
                "is_disputed": state.is_disputed,
                "is_stale": state.is_stale,
                "dropped_by": one.dropped_by,
                "row": dict(one.current),
            }


def _said(record: ReviewRecord) -> dict[str, Any]:
    return {"action": record.action, "reason": record.reason, "at": record.at}


def _edited(one: ReviewedRow) -> list[str]:
    """The fields that somebody whose decision counts has edited."""
    fields = set(one.state.fields)
    for record in one.state.by_reviewer.values():
        fields |= set(record.fields or {})
    return sorted(fields)


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    number = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row) + b"\n")
            number += 1
    return number


def _write_table(path: Path, rows: Iterable[Mapping[str, Any]], *, rows_alone: bool) -> int:
    """A table with a column for each field that a row has. Memory: the rows that people have decided about."""
    flat = [
        dict(row) if rows_alone else {**{name: row[name] for name in _COLUMNS}, **_of_row(row["row"])} for row in rows
    ]
    columns = dict.fromkeys(name for row in flat for name in row) or _COLUMNS
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(columns), restval="")
        table.writeheader()
        table.writerows({name: _cell(value) for name, value in row.items()} for row in flat)
    return len(flat)


def _of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"row.{name}": value for name, value in row.items() if name != "uuid"}


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else value
    return orjson.dumps(value).decode()
