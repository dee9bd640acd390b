"""Expressions, templates and functions."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

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
        assert row.names == ["n", "renamed", "size", "text", "twice", "word"]
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


def add(amount: Any) -> Any:
    return lambda n: int(n + amount)


SHIFT = {"by": 1}


def shifted(n: int) -> int:
    return n + SHIFT["by"]


def helped(n: int) -> int:
    return shifted(n) * 2


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, n: int) -> int:
        return n + self.amount


one, two = (lambda n: n + 1), (lambda n: n + 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (add(1), add(2)),
        (one, two),
        (eval("lambda n: n + 1"), eval("lambda n: n + 2")),
        (functools.partial(lambda m, n: m + n, 1), functools.partial(lambda m, n: m + n, 2)),
        (Adder(1), Adder(2)),
        (add(Decimal(1)), add(Decimal(2))),
    ],
    ids=["closure", "one line", "no source", "partial", "object", "value of a package"],
)
def test_functions_that_differ_in_what_they_do_make_rows_of_their_own(tmp_path: Path, first: Any, second: Any) -> None:
    for function, expected in ((first, 6), (second, 7), (first, 6)):
        schema = {"n": {"type": "constant", "value": 5}, "x": FunctionColumn(function=function, inputs=["n"])}
        dataset = columns(tmp_path, schema, rows=1)
        dataset.generate()
        assert [int(str(row.x)) for row in dataset.data_rows] == [expected]


def test_a_global_that_a_function_reaches_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for by in (1, 2):
        monkeypatch.setitem(SHIFT, "by", by)
        schema = {"n": {"type": "constant", "value": 5}, "x": FunctionColumn(function=helped)}
        dataset = columns(tmp_path, schema, rows=1)
        dataset.generate()
        assert [row.x for row in dataset.data_rows] == [2 * (5 + by)]


def test_what_a_function_reaches_in_a_module_of_the_user_is_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers, inner = ModuleType("helpers"), ModuleType("helpers.inner")
    vars(helpers).update(BY=1, inner=inner)
    vars(inner).update(times=lambda n: n * 2, helpers=helpers)
    monkeypatch.setitem(globals(), "helpers", helpers)
    reaching = eval("lambda n: helpers.inner.times(n) + helpers.BY", globals())
    for by, times, expected in ((1, 2, 11), (2, 2, 12), (2, 3, 17), (1, 2, 11)):
        vars(helpers)["BY"] = by
        vars(inner)["times"] = eval(f"lambda n: n * {times}")
        schema = {"n": {"type": "constant", "value": 5}, "x": FunctionColumn(function=reaching)}
        dataset = columns(tmp_path, schema, rows=1)
        dataset.generate()
        assert [row.x for row in dataset.data_rows] == [expected]


@dataclass
class Measured:
    value: Any


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**64 - 1, "a whole number of more than 64 bits"),
        (np.uint64(2**64 - 1), "a whole number of more than 64 bits"),
        ({"deep": [2**63]}, "a whole number of more than 64 bits"),
        (np.array([1, 2**64 - 1], dtype=np.uint64), "a whole number of more than 64 bits"),
        ([1.5, float("nan")], "nan is not a finite number"),
        ({"deep": (float("-inf"),)}, "-inf is not a finite number"),
        (np.array([1.5, np.inf]), "inf is not a finite number"),
        (np.float32("nan"), "nan is not a finite number"),
        (Measured(float("nan")), "nan is not a finite number"),
        ("a \ud83d b", "half of a surrogate pair"),
        (["a \ud83d b"], "half of a surrogate pair"),
        ({1: "a", "1": "b"}, "an object with two keys that are the same text"),
        (b"bytes", "bytes cannot be written as JSON"),
        ([object()], "object cannot be written as JSON"),
    ],
)
def test_a_value_that_a_row_cannot_hold_to_the_letter_fails_its_row_and_says_why(
    tmp_path: Path, value: Any, words: str
) -> None:
    dataset = columns(tmp_path, {"x": FunctionColumn(function=lambda: value)}, rows=1)
    dataset.generate()
    assert dataset.report.failures == {"column_error": 1}
    assert words in dataset.failed_items[0].error


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (2**63 - 1, 2**63 - 1),
        (np.float32(0.1), 0.1),
        (np.arange(3), [0, 1, 2]),
        ({"b", "a"}, ["a", "b"]),
        ({1: {None: (True,)}}, {"1": {"null": [True]}}),
        (Measured([np.int64(3)]), {"value": [3]}),
        (date(2024, 1, 31), "2024-01-31"),
    ],
)
def test_other_values_become_the_json_that_they_are(tmp_path: Path, value: Any, held: Any) -> None:
    assert rows(tmp_path, {"x": FunctionColumn(function=lambda: value)}, count=1) == [{"x": held}]


def test_what_a_function_does_is_told_alike_in_every_process() -> None:
    code = (
        "from datafast.columns.types.computed import FunctionColumn\n"
        "from tests.columns.types.test_computed import Adder, add, helped\n"
        "print([FunctionColumn(function=f).identity()['code'] for f in (add({'a', 'b', 1.5}), helped, Adder(1))])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, env=env
        ).stdout
        for env in ({**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2"))
    }
    assert len(told) == 1


def test_a_function_of_one_parameter_gets_the_row_wherever_it_stands(tmp_path: Path) -> None:
    schema = {
        "first": FunctionColumn(function=lambda record: sorted(record)),
        "n": {"type": "constant", "value": 5},
        "uses": {"type": "expression", "expression": "first"},
        "second": FunctionColumn(function=lambda ctx: sorted(ctx)),
        "last": {"type": "constant", "value": 5},
    }
    (row,) = rows(tmp_path, schema, count=1)
    assert row["first"] == ["last", "n"]
    assert row["second"] == ["first", "last", "n", "uses"]
