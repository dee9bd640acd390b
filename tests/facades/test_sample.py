"""`sample` beside every other sort of column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, ValidationError

from datafast import SimulatedProvider, Tree, dataset, generator, sample
from datafast.errors import ConfigError
from datafast.schema.config import ColumnsDatasetConfig, RawDatasetConfig


class Form(BaseModel):
    title: str
    score: int


def test_further_sorts_of_columns_and_two_models() -> None:
    gen, other = generator(SimulatedProvider("m")), generator("simulated", model="n", temperature=0.5)
    ds = dataset(
        {
            "topic": sample.choice({"a": 1, "b": 2}, mode="balanced"),
            "who": sample.person("name", locale="de_DE"),
            "day": sample.datetime("2024-01-01", "2024-12-31"),
            "level": sample.range(1, 3),
            "kind": "fixed",
            "text": gen("{greeting} {who}", greeting="Hello", system="Be {kind}."),
            "form": other.structured("Form for {text}", Form),
            "free": gen.structured("x", {"type": "object", "properties": {"a": {"type": "string"}}}),
            "verdict": other.judge("{text}", {1: "bad", 5: "good"}, when="level > 1"),
            "size": lambda text: len(text),
        },
        seed=3,
    )
    df = ds.generate_sync(9)
    assert list(df.columns) == ds.columns
    assert set(df["kind"]) == {"fixed"}
    assert sorted(df["topic"]) == ["a"] * 3 + ["b"] * 6
    assert all(df["size"] == df["text"].str.len())
    assert all((df["level"] > 1) == df["verdict"].notna())
    assert all(isinstance(form["score"], int) for form in df["form"])
    assert len(ds.providers) == 2
    assert ds.to_huggingface().features["size"].dtype == "int64"


@pytest.mark.parametrize(
    "values",
    [np.array([1, 2]), pd.Series([1, 2]), np.array(["1", "2"]), [np.int64(1), 2], {np.int64(1): 1, 2: 1}, range(1, 3)],
)
def test_values_to_choose_from_may_be_numpys(values: Any) -> None:
    frame = dataset({"a": sample.choice(values)}, seed=2).generate_sync(20)
    assert sorted(set(map(str, frame["a"]))) == ["1", "2"]


def test_a_set_is_refused_because_its_order_differs_from_process_to_process() -> None:
    told = r"expected a list, got a set, whose order is another one in each process\. Write sorted\(\.\.\.\)\."
    with pytest.raises(ConfigError, match=f"^values: {told}$"):
        sample.choice({"a", "b"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"^topics: {told}$"):
        Tree.from_topics({"a", "b"})
    with pytest.raises(ValidationError, match=f"topics: {told}"):
        RawDatasetConfig(document_types=["log"], topics={"a", "b"})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=f"values: {told}"):
        ColumnsDatasetConfig(num_rows=1, columns={"a": {"type": "choice", "values": {"a", "b"}}})
