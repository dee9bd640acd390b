"""DataFrames of pandas and polars with all sorts of columns: each cell is plain JSON, or refused where its column is used."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.sources.test_sources import opened, refusal

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Categorical(["x", None]), ["x", None]),
        (pd.array([2**62, None], dtype="Int64"), [2**62, None]),
        ([1.5, float("nan")], [1.5, None]),
        (pd.array(["007", None], dtype="string"), ["007", None]),
        (pd.array([True, None], dtype="boolean"), [True, None]),
        ([pd.Timestamp(NOON), pd.NaT], ["2024-02-29 12:00:00+00:00", None]),
        ([pd.Timedelta("1D"), pd.NaT], ["1 days 00:00:00", None]),
        ([{"a": np.int64(1)}, [np.float64(0.5)]], [{"a": 1}, [0.5]]),
        (pd.Series([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), [[1], None]),
        (pd.arrays.SparseArray([1, 0]), [1, 0]),
        (["NA", "null"], ["NA", "null"]),
    ],
)
def test_cells_of_pandas_are_plain(column: Any, expected: list[Any]) -> None:
    rows = opened(pd.DataFrame({"c": column}))
    assert [row["c"] for row in rows] == expected
    assert rows.refused == {}


@pytest.mark.parametrize(
    "column", [[1j], [pd.Period("2024-02")], [pd.Interval(0, 1)], np.array([2**64 - 1], dtype="uint64"), [b"x"]]
)
def test_cells_of_pandas_that_no_row_can_hold_are_refused(column: Any) -> None:
    assert "c" in opened(pd.DataFrame({"c": column})).refused


def frames() -> Any:
    return pytest.importorskip("polars")


def test_cells_of_polars_are_plain() -> None:
    pl = frames()
    columns = {
        "category": (pl.Series(["x", None], dtype=pl.Categorical), ["x", None]),
        "integer": ([2**62, None], [2**62, None]),
        "number": ([1.5, float("nan")], [1.5, None]),
        "text": (["007", "NA"], ["007", "NA"]),
        "day": ([DAY, None], ["2024-02-29", None]),
        "moment": ([NOON, None], ["2024-02-29T12:00:00+00:00", None]),
        "decimal": ([Decimal("1.10"), None], ["1.10", None]),
        "list": ([[1, 2], None], [[1, 2], None]),
        "struct": ([{"a": 1}, None], [{"a": 1}, None]),
        "array": (pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)), [[1, 2], [3, 4]]),
        "nothing": ([None, None], [None, None]),
    }
    frame = pl.DataFrame({name: given for name, (given, _) in columns.items()})
    for given in (frame, frame.lazy()):
        rows = opened(given)
        assert rows.columns == tuple(columns)
        assert {name: [row[name] for row in rows] for name in columns} == {
            name: told for name, (_, told) in columns.items()
        }
    refused = opened(pl.DataFrame({"large": pl.Series([2**64 - 1], dtype=pl.UInt64), "bytes": [b"x"]})).refused
    assert set(refused) == {"large", "bytes"}


def test_a_lazy_frame_of_polars_is_carried_out_or_says_why_not() -> None:
    pl = frames()
    rows = opened(pl.LazyFrame({"n": [1, 2, 3]}).filter(pl.col("n") > 1), where="n != 2")
    assert list(rows) == [{"n": 3}]
    assert 'The LazyFrame cannot be carried out: unable to find column "m"' in refusal(
        pl.LazyFrame({"n": [1]}).select("m")
    )


def test_a_series_of_polars_is_a_list_of_texts() -> None:
    from datafast.schema.config import RawDatasetConfig

    config = RawDatasetConfig(topics=frames().Series("topic", ["tides", "ice"]), document_types=["note"])
    assert config.topics == ["tides", "ice"]
