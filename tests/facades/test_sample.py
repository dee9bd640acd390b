"""`sample` beside every other sort of column."""

from __future__ import annotations

from pydantic import BaseModel

from datafast import SimulatedProvider, dataset, generator, sample


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
