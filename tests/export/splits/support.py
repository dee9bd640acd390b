"""What the tests of splits share: rows, and which of them are where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from datafast.export.splits import Splitting
from datafast.export.splits.rows import SplitRows

Row = dict[str, Any]


def write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def divided(
    rows: Sequence[Row], splitting: Splitting, path: Path | None = None
) -> tuple[dict[str, list[str]], SplitRows]:
    """The uuids in each split, in order. `path`: a file that stays, and so has a record beside it."""
    with TemporaryDirectory() as folder:
        found = SplitRows.of(write(path or Path(folder) / "rows.jsonl", rows), splitting)
        uuids = {name: [line.row["uuid"] for line in found.lines(name)] for name in found.assignment.rows}
        found.keep()
    return uuids, found


def where(uuids: dict[str, list[str]]) -> dict[str, str]:
    """The split of each row."""
    return {uuid: name for name, found in uuids.items() for uuid in found}
