"""The memory that a large source takes until its plan stands, in every kind that takes one."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from datafast.registry import load_kind
from datafast.sources import records

NUM_ROWS = 10_000
TEXTS = {"source": "rows.csv", "column": "text", "key": "id"}
FIELDS: dict[str, dict[str, Any]] = {
    "raw": {"document_types": ["note"], "topics": TEXTS},
    "mcq": {"source": "rows.csv", "text_column": "text", "min_document_length": 1},
    "document_qa": {"source": "rows.csv", "text_column": "text", "name_column": "id"},
    "generic_pipeline": {
        "source": "rows.csv",
        "input_columns": ["text"],
        "key_column": "id",
        "skip_if": "id == '7'",
    },
    "judgement": {"source": "rows.csv", "rubric": "Is it true?"},
    "preference": {"input_documents": TEXTS},
}


@pytest.mark.parametrize("kind", FIELDS)
def test_a_row_of_a_source_takes_no_memory(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "_IN_MEMORY", 2**12)
    rows = (f"{number},# Part {number}\n" for number in range(NUM_ROWS))
    Path("rows.csv").write_text(f"id,text\n{''.join(rows)}", encoding="utf-8")
    made = load_kind(kind)
    first = made.config_model(**FIELDS[kind])
    made(first).plan(["one"])  # what is imported and compiled once is not the rows'
    del first

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    dataset = made(made.config_model(**FIELDS[kind]))
    plan = dataset.plan(["one"])
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert len(plan) >= NUM_ROWS - 1
    assert "Part 9999" in str(plan[len(plan) - 1].values)
    assert held < 16 * NUM_ROWS  # bytes; the places and ids alone would take 24 a row
