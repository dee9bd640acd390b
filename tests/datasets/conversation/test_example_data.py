"""Example rows in prompts: where they come from, which are shown, and what others cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from datafast import RunConfig
from tests.datasets.conversation.support import SHOWN, generated, talk
from tests.servers.fault_server import FaultServer
from tests.support import CountingProvider, requests_in


def shown_in(prompt: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]


def as_jsonl(folder: Path) -> Path:
    path = folder / "shown.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in SHOWN))
    return path


def as_hf_dataset(folder: Path) -> Any:
    import datasets

    return datasets.Dataset.from_list(SHOWN)


def as_hf_dict(folder: Path) -> Any:
    import datasets

    return datasets.DatasetDict(train=datasets.Dataset.from_list(SHOWN))


@pytest.mark.parametrize("form", [lambda folder: SHOWN, as_jsonl, as_hf_dataset, as_hf_dict])
def test_examples_of_any_source_are_shown_as_json(
    tmp_path: Path, fault_server: FaultServer, form: Callable[[Path], Any]
) -> None:
    generated(tmp_path, fault_server, example_data=form(tmp_path), num_examples=9)
    assert shown_in(fault_server.requests[0].prompt) == SHOWN


def examples_by_prompt(folder: Path, log: Path, **fields: Any) -> list[list[int]]:
    talk(folder, 5, example_data=SHOWN, **fields).generate([CountingProvider("m", log=log)])
    prompts = sorted(prompt for _, prompt in requests_in(log))
    return [[row["n"] for row in shown_in(prompt)] for prompt in prompts]


def test_each_prompt_shows_other_examples_and_the_seed_says_which(tmp_path: Path) -> None:
    first = examples_by_prompt(tmp_path / "a", tmp_path / "log-a", num_examples=2)
    again = examples_by_prompt(tmp_path / "b", tmp_path / "log-b", num_examples=2)
    other = examples_by_prompt(tmp_path / "c", tmp_path / "log-c", num_examples=2, run=RunConfig(seed=1))
    assert first == again != other
    assert all(len(set(numbers)) == 2 for numbers in first)
    assert len({tuple(numbers) for numbers in first}) > 1


def test_more_examples_than_there_are_shows_all_and_none_shows_none(tmp_path: Path) -> None:
    assert examples_by_prompt(tmp_path / "a", tmp_path / "log-a", num_examples=50)[0] == list(range(9))
    assert examples_by_prompt(tmp_path / "b", tmp_path / "log-b", num_examples=0)[0] == []


def test_examples_with_gaps_in_braces_are_text(tmp_path: Path, fault_server: FaultServer) -> None:
    generated(tmp_path, fault_server, example_data=[{"user": "{topic} <<who>> {num_samples}"}])
    assert shown_in(fault_server.requests[0].prompt) == [{"user": "{topic} <<who>> {num_samples}"}]


def test_other_examples_are_other_prompts_and_unshown_ones_are_not(tmp_path: Path, counting: CountingProvider) -> None:
    talk(tmp_path, example_data=SHOWN, num_examples=0).generate([counting])
    talk(tmp_path).generate([counting])
    assert len(requests_in(counting.log)) == 4
    report = talk(tmp_path, example_data=SHOWN[:3]).generate([counting]).report
    assert report is not None
    assert report.calls == 4
