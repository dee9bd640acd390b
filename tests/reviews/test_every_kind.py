"""Rows of every kind are rejected, accepted and edited, and come back as they were."""

from __future__ import annotations

import pytest

from datafast.engine.options import RunOptions
from datafast.quality.base import with_texts
from datafast.types import RunReport
from tests.datasets.test_contract import Bench, bench, every_kind, others
from tests.support import assert_balanced

__all__ = ["bench", "others"]


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
@every_kind
def test_decisions_about_rows_of_every_kind_are_folded_in_and_taken_back(bench: Bench) -> None:
    project = bench.changed(reasoning="metadata").project

    def made(**options: bool) -> RunReport:
        dataset = project.dataset()
        project.generate(dataset, RunOptions(progress=False, **options))  # type: ignore[typeddict-item]
        return assert_balanced(dataset.report)

    first = made()
    before = bench.output.read_bytes()
    dataset = project.dataset()
    reviews = dataset.reviews(reviewer="ann")
    rows = list(dataset.data_rows)
    edited = with_texts(rows[0], lambda text: f"{text} Edited." if " " in text else text)
    if edited:
        reviews.edit(rows[0], {name: orjson_of(value) for name, value in edited.items()})
    reviews.reject(rows[1], "dull")
    reviews.accept(rows[-1])
    again = made()
    after = bench.output.read_bytes()
    assert (again.written, again.filtered, again.calls) == (first.written - 1, first.filtered + 1, 0)
    assert again.filtered_by_stage["review"] == {"dull": 1}
    assert (b" Edited." in after) == bool(edited)
    found = [one.state for one in reviews.rows(dropped=True) if one.state.by_reviewer]
    assert sorted(str(state.verdict) for state in found) == ["accepted"] * (1 + bool(edited)) + ["rejected"]
    assert made(decide_only=True).calls == 0
    assert bench.output.read_bytes() == after
    while reviews.undo() is not None:
        pass
    assert made().calls == 0
    assert bench.output.read_bytes() == before


def orjson_of(value: object) -> object:
    """A value as JSON has it."""
    import orjson

    return orjson.loads(orjson.dumps(value, default=lambda model: model.model_dump(mode="json")))
