"""Whatever is decided between runs, the file is what one run makes of all of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets import RawDataset
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from tests.support import assert_balanced, raw

STAGES = [
    {"stage": "keep_if", "expression": "uuid[0] in '02468ace'"},
    {"stage": "pii", "action": "mask"},
    {"stage": "exact_duplicates"},
]
STEPS = st.lists(
    st.tuples(st.sampled_from(["accept", "reject", "edit", "same", "undo", "run", "other stages"]), st.integers(0, 7)),
    max_size=8,
)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output that every example begins with."""
    folder = tmp_path_factory.mktemp("begun")
    run(folder, STAGES)
    return folder


def run(folder: Path, stages: list[dict[str, Any]]) -> RawDataset:
    dataset = raw(folder, topics=8, quality=stages).generate([SimulatedProvider("m")], progress=False)
    assert dataset.report is not None
    assert_balanced(dataset.report)
    return dataset


def decide(folder: Path, what: str, number: int) -> None:
    reviews = raw(folder, topics=8, quality=STAGES).reviews(reviewer="ann")
    rows = sorted(reviews.rows(dropped=True), key=lambda one: one.state.key.row)
    if what == "undo":
        reviews.undo()
        return
    row = rows[number % len(rows)].row
    try:
        if what == "accept":
            reviews.accept(row)
        elif what == "reject":
            reviews.reject(row, f"reason {number % 3}")
        else:
            reviews.edit(row, text="the same" if what == "same" else f"Write to me{number}@example.org.")
    except ConfigError as error:
        if "has these values already" not in str(error):
            raise


@settings(deadline=None, max_examples=12)
@given(steps=STEPS)
def test_a_file_does_not_depend_on_when_runs_have_heard_of_decisions(begun: Path, steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, at_once = Path(place) / "out", Path(place) / "at once"
        shutil.copytree(begun, folder)
        for what, number in steps:
            if what in ("run", "other stages"):
                run(folder, STAGES if what == "run" else STAGES[1:])
            else:
                decide(folder, what, number)
        run(folder, STAGES)
        shutil.copytree(begun, at_once)
        if (folder / "out.jsonl.reviews").exists():
            shutil.copy(folder / "out.jsonl.reviews", at_once)
        run(at_once, STAGES)
        assert (folder / "out.jsonl").read_bytes() == (at_once / "out.jsonl").read_bytes()
        run(folder, STAGES[1:])  # all rows are decided about anew
        run(folder, STAGES)
        assert (folder / "out.jsonl").read_bytes() == (at_once / "out.jsonl").read_bytes()
