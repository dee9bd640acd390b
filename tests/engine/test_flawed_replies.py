"""Replies that are flawed in every way: runs that are stopped, lose their rows and go on end as one whole run does."""

from __future__ import annotations

import json
import random
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, RunStopped
from datafast.llms import OpenAICompatibleProvider
from tests import support
from tests.datasets.conversation.support import talk
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, preference, raw, rows_of

ROLES = ("question", "chosen", "rejected")
KINDS = ("texts", "conversations", "pairs")
NOT_RIGHT: dict[str, list[Any]] = {
    "texts": [None, 7, "", ["x"]],
    "conversations": [None, {"exchanges": []}, {"exchanges": [{"user": " ", "assistant": "x"}]}],
}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


class Flawed:
    """Answers whose flaws depend on the seed, the prompt, and how often it was sent, and on nothing else."""

    def __init__(self, seed: int, kind: str) -> None:
        self._seed = seed
        self._field = "conversations" if kind == "conversations" else "texts"
        self._seen: Counter[str] = Counter()

    def __call__(self, request: Recorded) -> Answer:
        prompt = next(m["content"] for m in request.json["messages"] if m["role"] == "user")
        asked = f"{request.json['model']} {prompt}"
        self._seen[asked] += 1
        rng = random.Random(f"{self._seed} {asked} {self._seen[asked]}")
        count = re.search(r"exactly (\d+)", prompt)
        if count is None:  # a response: free text
            text = rng.choice(["a response", "a response", ""])
            return Answer(text=text, finish_reason=rng.choice(["stop", "length"]))
        things = [self._thing(rng) for _ in range(int(count[1]) + rng.choice([0, 0, 0, -1, 1]))]
        text = json.dumps({self._field: things})
        how = rng.choice(["whole", "whole", "cut", "framed", "prose", "held back"])
        if how == "cut":
            return Answer(text=text[: rng.randrange(len(text))], finish_reason="length")
        if how == "held back":
            return Answer(text="", finish_reason="content_filter")
        return Answer(text={"framed": f"Sure!\n```json\n{text}\n```", "prose": "No."}.get(how, text))

    def _thing(self, rng: random.Random) -> Any:
        if rng.random() < 0.3:
            return rng.choice(NOT_RIGHT[self._field])
        said = f"said {rng.random()}"
        return said if self._field == "texts" else {"exchanges": [{"user": said, "assistant": said}]}


def dataset_of(kind: str, folder: Path, run: dict[str, Any]) -> Any:
    if kind == "texts":
        return raw(folder, topics=4, num_samples_per_prompt=4, run=run)
    if kind == "conversations":
        return talk(folder, 7, examples_per_call=4, run=run)
    return preference(folder, documents=3, llm_as_judge=False, run=run)


def run_of(dataset: Any, *providers: OpenAICompatibleProvider, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatafastWarning)  # texts that were cut are told of
        if dataset.kind == "preference":
            dataset.generate_roles(dict.fromkeys(ROLES, providers[0]), **options)
        else:
            dataset.generate([*providers], **options)


def by_uuid(folder: Path) -> list[dict[str, Any]]:
    return sorted(rows_of(folder / "out.jsonl"), key=lambda row: str(row["uuid"]))


def outcome(folder: Path, kind: str, seed: int, *, stopped: bool, fan_out: str = "all") -> tuple[Any, ...]:
    """Rows, failures and requests in the end: after a run, a retry of what had failed, and a run that has lost its rows."""
    rng = random.Random(seed)
    run = {
        "fan_out": fan_out,
        "max_concurrency": rng.choice([1, 4]),
        "max_parse_retries": rng.choice([0, 1, 2]),
        "on_truncation": rng.choice(["fail", "keep"]),
        "ordered": rng.random() < 0.3,
        "top_up": rng.random() < 0.5,
    }
    limits: dict[str, Any] = {"max_completion_tokens": 50} if rng.random() < 0.5 else {}
    folder.mkdir()
    with FaultServer() as server:
        server.respond = Flawed(seed, kind)
        models = "m" if fan_out == "all" else "mn"
        providers = [OpenAICompatibleProvider(model, api_base=server.url, **limits) for model in models]
        # Where several answered an item in several generations, lost rows may come from another of them.
        for retry in (False, True)[: 2 if fan_out == "all" else 1]:
            going, begun = True, False
            while going:
                more = {"max_calls": len(server.requests) + rng.randint(1, 3)} if stopped else {}
                if stopped and rng.random() < 0.2:
                    (folder / "out.jsonl").unlink(missing_ok=True)
                dataset = dataset_of(kind, folder, {**run, **more})
                try:
                    run_of(dataset, *providers, retry_failed=retry and not begun)
                    going = False
                except RunStopped:
                    begun = True
                assert_balanced(dataset.report)
        rows, sent, failures = by_uuid(folder), len(server.requests), dataset.report.failures
        (folder / "out.jsonl").unlink(missing_ok=True)
        run_of(dataset_of(kind, folder, run), *providers)
        assert by_uuid(folder) == rows
        assert len(server.requests) == sent
        return rows, failures, sent


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_stops_and_lost_rows_change_nothing_and_buy_nothing_again(tmp_path: Path, kind: str, seed: int) -> None:
    whole = outcome(tmp_path / "whole", kind, seed, stopped=False)
    assert outcome(tmp_path / "stopped", kind, seed, stopped=True) == whole


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["texts", "conversations"])
def test_it_is_so_where_a_second_provider_steps_in(tmp_path: Path, kind: str, seed: int) -> None:
    whole = outcome(tmp_path / "whole", kind, seed, stopped=False, fan_out="fallback")
    assert outcome(tmp_path / "stopped", kind, seed, stopped=True, fan_out="fallback") == whole


@pytest.mark.parametrize("failing", [Answer(status=400), Answer(text=""), Answer(status=500)])
def test_rows_that_had_failed_beside_lost_ones_fail_as_before_and_buy_nothing(
    tmp_path: Path, fault_server: FaultServer, failing: Answer
) -> None:
    fault_server.respond = lambda request: (
        failing if "answer in" in request.prompt and "B?" in request.prompt else Answer()
    )
    fault_server.answer_next(Answer(text='{"texts": ["A?", "B?", "C?"]}'))
    dataset = preference(
        tmp_path,
        documents=1,
        num_samples_per_prompt=3,
        llm_as_judge=False,
        run={"max_retries": 0, "max_parse_retries": 0},
    )
    model = OpenAICompatibleProvider("m", api_base=fault_server.url)
    run_of(dataset, model)
    rows, failures, (item,) = by_uuid(tmp_path), dataset.report.failures, dataset.failed_items
    assert (len(rows), dataset.report.failed) == (2, 1)
    sent = len(fault_server.requests)
    (tmp_path / "out.jsonl").unlink()
    run_of(dataset, model)
    assert (by_uuid(tmp_path), len(fault_server.requests)) == (rows, sent)
    assert assert_balanced(dataset.report).failures == failures
    (again,) = dataset.failed_items
    assert (again.error, again.prompt, again.rows) == (item.error, item.prompt, item.rows)

    (tmp_path / "out.jsonl").unlink()
    fault_server.respond = lambda request: Answer()
    run_of(dataset, model, retry_failed=True)
    assert assert_balanced(dataset.report).written == 3
    assert len(fault_server.requests) == sent + 1
