"""How much of a prompt a text has, against a plain search, and in outputs whose prompts are known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets import RawDataset
from datafast.llms import SimulatedProvider
from datafast.schema.config import RawDatasetConfig
from datafast.statistics.copies import copied

WORDS = st.lists(st.sampled_from("abcd"), max_size=10)


def longest_run(one: list[str], other: list[str]) -> int:
    runs = [one[start:end] for start in range(len(one)) for end in range(start, len(one) + 1)]
    return max(
        (len(run) for run in runs if any(other[at : at + len(run)] == run for at in range(len(other) + 1))), default=0
    )


@settings(deadline=None)
@given(WORDS, WORDS)
def test_copies_are_what_a_plain_search_finds(prompt: list[str], text: list[str]) -> None:
    found = copied(" ".join(prompt), " ".join(text))
    if not prompt:
        assert found is None
        return
    assert found is not None
    assert found.share == sum(min(n, text.count(word)) for word, n in Counter(prompt).items()) / len(prompt)
    assert found.longest_run == longest_run(prompt, text)


def test_values_by_hand() -> None:
    found = copied("Write about the ice of the pole.", "THE ice of the north, about.")
    assert found == (5 / 7, 4)
    assert copied("写一篇关于冰的文章", "关于冰的文章在此") == (6 / 9, 6)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def make(**more: Any) -> RawDataset:
        prompts = [
            "{num_samples} {document_type} {topic} {language_name} zyx wvu",
            "practice {num_samples} {topic} of {document_type} {language_name}",
        ]
        fields = {
            "document_types": ["blog"],
            "topics": ["ice", "tides"],
            "output_file": "rows.jsonl",
            "prompts": prompts,
        }
        return RawDataset(RawDatasetConfig(**{**fields, **more}))

    return make


def test_prompts_are_those_of_the_rows(dataset: Any) -> None:
    made = dataset().generate([SimulatedProvider()])
    found = made.statistics()
    assert found.total.copies is not None
    assert found.total.copies.rows == found.total.rows == 20
    prompts = ("blog {topic} zyx wvu", "practice {topic} of blog")
    for group in found.grouping("template").groups:
        rows = [row for row in made.data_rows if str(row.metadata["prompt_index"]) == group.value]
        each = [copied(prompts[int(group.value or "")].format(topic=row.metadata["topic"]), row.text) for row in rows]
        assert group.copies is not None
        assert group.copies.share == pytest.approx(sum(one.share for one in each if one) / len(each))
        assert group.copies.longest_run_max == max(one.longest_run for one in each if one)


def test_prompts_of_another_config_are_not_guessed(dataset: Any) -> None:
    dataset().generate([SimulatedProvider()])
    assert dataset(system_prompt="Be brief.").statistics().total.copies is not None, "the prompts are those"
    other = dataset(topics=["cores"]).statistics()
    assert (other.total.copies, other.total.rows) == (None, 20)
