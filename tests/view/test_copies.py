"""Rows of other files than JSONL, and those that a ledger has, are rows like any other."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pandas as pd
import pytest

from datafast.view import copies
from datafast.view.copies import CopiedRows
from datafast.view.index import RowIndex
from datafast.view.outputs import Outputs


def found(index: RowIndex) -> list[dict[str, object]]:
    if isinstance(index, CopiedRows):
        index.wait()
    while index.step():
        pass
    return [orjson.loads(line.data or b"null") for line in index.lines(0, 10_000)]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_of_other_files_are_numbered_too(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame({"text": [f"text {number}" for number in range(450)], "n": [str(n) for n in range(450)]})
    path = tmp_path / f"rows.{ending}"
    getattr(frame, f"to_{ending}")(path, index=False)
    (output,) = Outputs(path).all()
    rows = found(output.rows)
    assert rows == frame.to_dict(orient="records")
    assert output.rows.count() == (450, True)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_they_are_copied_anew_when_their_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_PAUSE_S", 0.0)
    path = tmp_path / "rows.csv"
    path.write_text("text\na\n")
    (output,) = Outputs(path).all()
    assert found(output.rows) == [{"text": "a"}]
    path.write_text("text\nb\nc\n")
    os.utime(path, ns=(1, 1))
    output.rows.refresh()
    assert found(output.rows) == [{"text": "b"}, {"text": "c"}]
    assert output.rows.generation == 1


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"nothing of the sort")
    (output,) = Outputs(path).all()
    assert found(output.rows) == []
    assert isinstance(output.rows, CopiedRows)
    assert output.rows.problem is not None
    assert "rows.parquet" in output.rows.problem
