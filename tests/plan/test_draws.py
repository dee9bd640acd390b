"""`draw_at`: which draw of the same prompt an item is, found without building it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.schema.config import PromptExpansionConfig
from tests.support import raw

GAPS = "{num_samples} {document_type} {topic} {language_name}"


@pytest.mark.filterwarnings("ignore:.*num_random_samples")  # draws that come again are what this is about
@pytest.mark.parametrize("routes", [1, 2])
@pytest.mark.parametrize(
    "expansion",
    [{"combinatorial": True}, {"strategy": "random", "num_random_samples": 17}, {"strategy": "coverage"}],
    ids=["combinatorial", "random", "coverage"],
)
def test_it_is_the_repeat_number_of_the_item(tmp_path: Path, expansion: dict[str, Any], routes: int) -> None:
    lists = {"a": ["x", "y", "y", "z"], "b": ["1", "2"]}
    dataset = raw(
        tmp_path,
        topics=3,
        prompts=[f"{GAPS} <<a>> <<b>>", f"{GAPS} <<a>>"],
        expansion=PromptExpansionConfig(placeholders=lists, **expansion),
    )
    plan = dataset.plan([f"route {number}" for number in range(routes)])
    repeats = [plan[position].variant.repeat for position in range(len(plan))]
    assert [plan.draw_at(position) for position in range(len(plan))] == repeats
    assert len(plan) > 3 * routes
