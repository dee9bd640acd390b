"""Expressions, templates and functions."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from datafast.columns.types.computed import FunctionColumn
from tests.columns.support import SIM, refusal, rows
from tests.support import assert_balanced, columns


def test_constants_and_expressions(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "constant", "value": 3},
        "deep": {"type": "constant", "value": {"a": [1, None]}},
        "twice": {"type": "expression", "expression": "n * 2", "returns": "integer"},
        "big": {"type": "expression", "expression": "n > 2", "returns": "boolean"},
        "half": {"type": "expression", "expression": "n / 2", "returns": "number"},
        "text": {"type": "expression", "template": "{n} and {deep.a[0]}"},
        "any": {"type": "expression", "expression": "deep.a"},
        "read": {"type": "expression", "template": " {n} ", "returns": "integer"},
    }
    expected = {
        "n": 3,
        "deep": {"a": [1, None]},
        "twice": 6,
        "big": True,
        "half": 1.5,
        "text": "3 and 1",
        "any": [1, None],
        "read": 3,
    }
    assert rows(tmp_path, schema, count=1) == [expected]


def test_functions_sync_and_async_take_columns_by_name_or_a_whole_row(tmp_path: Path) -> None:
    async def later(word: str, n: int) -> str:
        await asyncio.sleep(0)
        return word * n

    schema = {
        "n": {"type": "constant", "value": 2},
        "size": FunctionColumn(function=lambda text: len(text)),
        "text": {"type": "text", "prompt": "x"},
        "word": {"type": "constant", "value": "ab"},
        "twice": FunctionColumn(function=later),
        "names": FunctionColumn(function=lambda row: sorted(row)),
        "renamed": FunctionColumn(function=lambda a, b: f"{a}{b}", inputs=["word", "n"]),
    }
    dataset = columns(tmp_path, schema, rows=3)
    dataset.generate({"default": SIM})
    assert_balanced(dataset.report)
    for row in dataset.data_rows:
        assert row.size == len(row.text)
        assert (row.twice, row.renamed) == ("abab", "ab2")
        assert row.names == ["n", "size", "text", "twice", "word"]
    assert dataset.row_model.model_fields["twice"].annotation is str


def test_a_function_that_blocks_does_not_hold_back_others(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)
    dataset = columns(tmp_path, {"x": FunctionColumn(function=lambda: both.wait() >= 0)}, rows=2)
    dataset.generate()
    assert assert_balanced(dataset.report).written == 2


def test_a_function_that_raises_or_returns_what_is_no_json_fails_its_row(tmp_path: Path) -> None:
    def fussy(n: int) -> Any:
        if n == 1:
            raise KeyError("one")
        return object() if n == 2 else float("nan") if n == 3 else n

    schema = {
        "n": {"type": "choice", "values": [0, 1, 2, 3], "mode": "round_robin"},
        "x": FunctionColumn(function=fussy),
    }
    dataset = columns(tmp_path, schema, rows=4)
    dataset.generate()
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (1, {"column_error": 3})
    assert any("KeyError: 'one'" in item.error for item in dataset.failed_items)


def test_a_function_whose_parameters_are_no_columns_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"topic": {"type": "uuid"}, "x": FunctionColumn(function=lambda topci: topci)})
    assert "columns.x.function: Its parameter 'topci' is not a column. Did you mean 'topic'?" in message
