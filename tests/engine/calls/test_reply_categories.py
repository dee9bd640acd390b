"""The categories of failures that docs/reference/errors.md lists: what leads to each, and how often a model is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import RawDataset
from datafast.errors import ReplyCategory
from datafast.llms import OpenAICompatibleProvider, SimulatedProvider
from tests.servers.fault_server import Answer, FaultServer
from tests.support import ROOT, assert_balanced, raw

CUT = Answer(text='{"texts": ["half a te', finish_reason="length")
CASES: dict[str, tuple[Answer, dict[str, Any], str, int]] = {
    "prose": (Answer(text="I would rather write prose."), {}, "invalid_reply", 3),
    "nothing": (Answer(text="  "), {}, "empty_reply", 3),
    "cut": (CUT, {}, "truncated", 2),
    "cut at a limit of the user's": (CUT, {"max_completion_tokens": 50}, "truncated", 1),
    "held back": (Answer(text='{"texts": [', finish_reason="content_filter"), {}, "refused", 1),
    "broken off": (Answer(text='{"texts": [', finish_reason="abort"), {}, "broken_reply", 3),
    "an unknown reason": (Answer(text='{"texts": [', finish_reason="sunset"), {}, "broken_reply", 3),
    "one of two": (Answer(text='{"texts": ["a text"]}'), {}, "short_reply", 1),
}


@pytest.mark.parametrize("case", CASES)
def test_each_category_is_asked_again_as_often_as_the_page_says(
    tmp_path: Path, fault_server: FaultServer, case: str
) -> None:
    answer, options, category, requests = CASES[case]
    fault_server.respond = lambda request: answer
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2)
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url, **options)])
    assert list(assert_balanced(dataset.report).failures) == [category]
    assert len(fault_server.requests) == requests


def test_the_page_lists_the_categories_that_there_are() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    part = page.split("## Categories of unusable replies")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    assert sorted(listed) == sorted(category.value for category in ReplyCategory)
    assert {category for _, _, category, _ in CASES.values()} == set(listed)


def test_an_error_in_the_code_of_a_kind_fails_its_item_and_the_others_go_on(tmp_path: Path) -> None:
    class Flawed(RawDataset):
        async def produce(self, item: Any, generate: Any) -> Any:
            rows = await super().produce(item, generate)
            if item.values["topic"] == "topic 1":
                raise LookupError("no such drawer")
            return rows

    dataset = Flawed(raw(tmp_path, topics=3).config)
    dataset.generate([SimulatedProvider("m")])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (2, {"kind_error": 1})
    assert dataset.failed_items[0].error == "LookupError: no such drawer"
