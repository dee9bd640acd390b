"""`best_of_n`: several candidates for each row, of which a check and judges choose one."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.config_files.loader import load_project
from datafast.datasets import ClassificationDataset, ConversationDataset
from datafast.engine.routes import Route
from datafast.errors import ConfigError, MissingKeyError, RunStopped
from datafast.llms import AnthropicProvider, OpenAICompatibleProvider, OpenAIProvider, SimulatedProvider
from datafast.llms.base import Request
from datafast.registry import load_kind
from datafast.schema.config import ClassificationDatasetConfig, ConversationDatasetConfig
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import (
    CountingProvider,
    ThinkingProvider,
    assert_balanced,
    counting_raw_run,
    fork_server,
    raw,
    requests_in,
    rows_of,
    same_rows,
    short_waits,
)

RUBRIC = {1: "useless", 5: "could not be better"}


class Writer:
    """Writes texts whose worth stands in them, in the order in which it is asked."""

    def __init__(self, *worths: int) -> None:
        self.worths = worths
        self.asked: Counter[str] = Counter()

    def __call__(self, request: Recorded) -> Answer:
        prompt = request.prompt
        worth = self.worths[self.asked[prompt] % len(self.worths)]
        self.asked[prompt] += 1
        return Answer(text=json.dumps({"texts": [f"worth {worth} about {about(prompt)}"]}))


def about(prompt: str) -> str:
    return re.findall(r"topic \d+", prompt)[0]


def score(request: Recorded) -> Answer:
    worth = int(re.findall(r"worth (\d+)", request.prompt)[0])
    return Answer(text=json.dumps({"reason": "as it says", "score": worth}))


@pytest.fixture
def servers() -> Any:
    with FaultServer() as writer, FaultServer() as judge:
        writer.respond, judge.respond = Writer(2, 5, 3, 1), score
        yield writer, judge


def at(server: FaultServer, model: str = "m", **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(model, api_base=server.url, **options)


def judged(server: FaultServer, model: str = "judge", **fields: Any) -> dict[str, Any]:
    spec = {"provider": "openai_compatible", "model_id": model, "api_base": server.url}
    return {"n": 4, "judge": {"providers": [spec], "rubric": RUBRIC, **fields}}


# -- a judge


def test_the_best_of_all_candidates_becomes_the_row_and_the_row_says_so(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    report = assert_balanced(raw(tmp_path, topics=3, best_of_n=judged(judge)).generate([at(writer)]).report)
    assert (report.written, report.calls) == (3, 24)
    rows = rows_of(tmp_path / "out.jsonl")
    assert sorted(row["text"] for row in rows) == [f"worth 5 about topic {number}" for number in range(3)]
    for row in rows:
        told = row["metadata"]["best_of_n"]
        assert sorted(told["scores"]) == [1, 2, 3, 5]
        assert (told["n"], told["scores"][told["chosen"]]) == (4, 5)
        assert row["model_id"] == "m"
    assert (len(writer.requests), len(judge.requests)) == (12, 12)
    asked = judge.requests[0].json
    assert asked["model"] == "judge"
    assert "5: could not be better" in asked["messages"][-1]["content"]
    assert "topic:\ntopic" in asked["messages"][-1]["content"]
    assert report.usage_by_provider.keys() == {"openai_compatible/m", "openai_compatible/judge"}


def test_of_equal_candidates_the_first_one_is_taken(tmp_path: Path) -> None:
    counting = CountingProvider("m", log=tmp_path / "log", reply=by_try(3, 4, 4, 4))
    report = raw(tmp_path, topics=1, best_of_n={"n": 4, "judge": {"rubric": RUBRIC}}).generate([counting]).report
    assert_balanced(report)
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["metadata"]["best_of_n"] == {"n": 4, "chosen": 1, "scores": [3, 4, 4, 4]}
    assert row["model_id"] == "simulated/m"


def by_try(*worths: int) -> Any:
    """A model that writes and judges: the try decides what it writes."""

    def reply(request: Request) -> str:
        prompt = request.messages[-1]["content"]
        if "What the scores mean" in prompt:
            return json.dumps({"reason": "so", "score": int(re.findall(r"worth (\d+)", prompt)[0])})
        worth = worths[request.again % len(worths)]
        return json.dumps({"texts": [f"worth {worth} about {about(prompt)}"]})

    return reply


def test_several_judges_have_their_mean_and_stand_by_their_names(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    with FaultServer() as other:
        other.respond = lambda request: Answer(text=json.dumps({"reason": "all alike", "score": 4}))
        specs = {
            name: {"provider": "openai_compatible", "model_id": name, "api_base": server.url}
            for name, server in (("strict", judge), ("mild", other))
        }
        chosen = {"n": 4, "judge": {"providers": specs, "rubric": RUBRIC}}
        raw(tmp_path, topics=1, best_of_n=chosen).generate([at(writer)])
        (row,) = rows_of(tmp_path / "out.jsonl")
        told = row["metadata"]["best_of_n"]
        assert sorted(told["scores"]) == [2.5, 3, 3.5, 4.5]
        assert told["scores_by_judge"]["mild"] == [4] * 4
        assert sorted(told["scores_by_judge"]["strict"]) == [1, 2, 3, 5]
        assert len(other.requests) == len(judge.requests) == 4


def test_another_judge_buys_only_the_judging_again(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    raw(tmp_path, topics=3, best_of_n=judged(judge)).generate([at(writer)])
    first = rows_of(tmp_path / "out.jsonl")
    assert raw(tmp_path, topics=3, best_of_n=judged(judge)).generate([at(writer)]).report.calls == 0
    told = []

    def yes(estimate: Any) -> bool:
        told.append((estimate.change.rows_leaving, estimate.calls, estimate.replayed))
        return True

    other = judged(judge, "another")
    again = raw(tmp_path, topics=3, best_of_n=other).generate([at(writer)], on_change=yes)
    assert told == [(3, 12, 12)]
    assert (len(writer.requests), len(judge.requests)) == (12, 24)
    assert {request.json["model"] for request in judge.requests[12:]} == {"another"}
    assert {row["text"] for row in rows_of(tmp_path / "out.jsonl")} == {row["text"] for row in first}
    assert assert_balanced(again.report).written == 3
    # More candidates ask only for these; without any, the first one is there already.
    raw(tmp_path, topics=3, best_of_n={**other, "n": 5}).generate([at(writer)], on_change=yes)
    assert (len(writer.requests), len(judge.requests)) == (15, 27)
    assert raw(tmp_path, topics=3).generate([at(writer)], on_change=yes).report.calls == 0


def test_a_rubric_that_changes_buys_only_the_judging_again(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    raw(tmp_path, topics=2, best_of_n=judged(judge)).generate([at(writer)])
    raw(tmp_path, topics=2, best_of_n=judged(judge, rubric="Is it short?")).generate(
        [at(writer)], on_change=lambda _: True
    )
    assert (len(writer.requests), len(judge.requests)) == (8, 16)


def test_a_budget_holds_for_the_writer_and_the_judge_together(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    price = {"input_usd_per_million": 1000.0, "output_usd_per_million": 1000.0}
    chosen = judged(judge)
    chosen["judge"]["providers"][0] |= {"price": price, "max_completion_tokens": 100}
    run = {"budget_usd": 1.5, "max_concurrency": 2}
    dataset = raw(tmp_path, topics=20, best_of_n=chosen, run=run)
    with pytest.raises(RunStopped, match="budget"):
        dataset.generate([at(writer, price=price, max_completion_tokens=100)])
    report = assert_balanced(dataset.report)
    assert 0 < report.cost_usd <= 1.5  # type: ignore[operator]
    used = report.usage_by_provider
    assert used["openai_compatible/judge"].cost_usd
    assert used["openai_compatible/m"].cost_usd
    assert report.cost_usd == pytest.approx(sum(usage.cost_usd or 0 for usage in used.values()))


def test_the_estimate_counts_the_calls_of_the_judge(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    dataset = raw(tmp_path, topics=10, best_of_n=judged(judge))
    estimate = dataset.estimate([at(writer)])
    assert estimate.calls == 80
    assert {part.provider: sum(part.calls.values()) for part in estimate.providers} == {
        "openai_compatible/m": 40,
        "openai_compatible/judge": 40,
    }
    assert writer.requests == judge.requests == []


def test_the_estimate_says_that_it_does_not_know_how_many_candidates_a_check_takes(tmp_path: Path) -> None:
    note = "The check of best_of_n takes 1 to 4 candidates; here it has as many as simulated texts take."
    for check, calls in (("text", 6), ("not text", 24)):
        estimate = raw(tmp_path, best_of_n={"check": check}).estimate([SimulatedProvider("m")])
        assert estimate.calls == calls
        assert note in estimate.notes
    assert note not in raw(tmp_path).estimate([SimulatedProvider("m")]).notes


def test_a_missing_key_of_the_judge_is_told_before_anything_is_paid(
    tmp_path: Path, servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, _ = servers
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    dataset = raw(tmp_path, best_of_n={"judge": {"providers": ["openai/gpt-6-luna"]}})
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        dataset.generate([at(writer)])
    assert writer.requests == []


def test_a_judge_that_is_the_writer_shares_its_limits(tmp_path: Path, servers: Any) -> None:
    writer, _ = servers
    writer.respond = by_prompt
    spec = {"provider": "openai_compatible", "model_id": "m", "api_base": writer.url}
    dataset = raw(tmp_path, topics=6, best_of_n={"n": 2, "judge": {"providers": [spec]}})
    report = assert_balanced(dataset.generate([at(writer, max_concurrency=1)]).report)
    assert writer.max_in_flight == 1
    assert report.usage_by_provider.keys() == {"openai_compatible/m"}


def by_prompt(request: Recorded) -> Answer:
    return score(request) if "Judge this" in request.prompt else Answer(text='{"texts": ["worth 3 of all"]}')


def test_a_judge_with_other_options_is_another_provider(tmp_path: Path, servers: Any) -> None:
    writer, _ = servers
    writer.respond = by_prompt
    spec = {"provider": "openai_compatible", "model_id": "m", "api_base": writer.url, "temperature": 0.0}
    dataset = raw(tmp_path, topics=2, best_of_n={"n": 2, "judge": {"providers": [spec]}})
    report = dataset.generate([at(writer)]).report
    assert report.usage_by_provider.keys() == {"openai_compatible/m", "openai_compatible/m#2"}  # type: ignore[union-attr]
    cold = [request for request in writer.requests if request.json.get("temperature") == 0.0]
    assert ["Judge this" in request.prompt for request in cold] == [True] * 4


@pytest.mark.parametrize("fan_out", ["all", "split", "fallback"])
def test_every_way_of_fanning_out_resumes_without_a_call(tmp_path: Path, servers: Any, fan_out: str) -> None:
    writer, judge = servers
    fields = {"topics": 6, "best_of_n": {**judged(judge), "n": 2}, "run": {"fan_out": fan_out}}
    providers = [at(writer, "a"), at(writer, "b")]
    report = assert_balanced(raw(tmp_path, **fields).generate(providers).report)
    assert report.calls == (48 if fan_out == "all" else 24)
    (tmp_path / "out.jsonl").unlink()
    again = assert_balanced(raw(tmp_path, **fields).generate(providers).report)
    assert (again.calls, again.written) == (0, report.written)


def test_where_the_first_provider_fails_the_judging_of_the_second_is_not_bought_again(
    tmp_path: Path, servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a fallback, with a judge that is the first provider itself."""
    writer, _ = servers
    short_waits(monkeypatch)

    def answer(request: Recorded) -> Answer:
        if request.json["model"] == "a" and "Judge this" not in request.prompt:
            return Answer(text="not what was asked for")
        return by_prompt(request)

    writer.respond = answer
    spec = {"provider": "openai_compatible", "model_id": "a", "api_base": writer.url}
    fields = {"topics": 3, "best_of_n": {"n": 2, "judge": {"providers": [spec]}}}
    fields["run"] = {"fan_out": "fallback", "max_parse_retries": 0}
    report = assert_balanced(raw(tmp_path, **fields).generate([at(writer, "a"), at(writer, "b")]).report)
    assert report.written == 3
    (tmp_path / "out.jsonl").unlink()
    again = assert_balanced(raw(tmp_path, **fields).generate([at(writer, "a"), at(writer, "b")]).report)
    assert (again.calls, again.written) == (0, 3)


def test_a_candidate_that_cannot_be_made_or_judged_is_left_out(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    writer.respond = Writer(2, 5, 3, 1)
    judge.respond = lambda request: Answer(text="no idea") if "worth 5" in request.prompt else score(request)
    run = {"max_parse_retries": 0}
    raw(tmp_path, topics=1, best_of_n=judged(judge), run=run).generate([at(writer)])
    (row,) = rows_of(tmp_path / "out.jsonl")
    told = row["metadata"]["best_of_n"]
    assert row["text"] == "worth 3 about topic 0"
    assert sorted(told["scores"], key=str) == [1, 2, 3, None]


def test_a_row_fails_if_no_candidate_is_judged(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    judge.respond = lambda request: Answer(text="no idea")
    dataset = raw(tmp_path, topics=2, best_of_n=judged(judge), run={"max_parse_retries": 0})
    report = assert_balanced(dataset.generate([at(writer)]).report)
    assert (report.written, report.failed) == (0, 2)
    assert [failed.role for failed in dataset.failed_items] == ["best_of_n_judge"] * 2
    judge.respond = score
    again = assert_balanced(dataset.generate([at(writer)], retry_failed=True).report)
    assert (again.written, len(writer.requests)) == (2, 8)


def test_a_judge_that_cannot_be_used_costs_no_row_and_no_candidate_twice(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    judge.respond = lambda request: Answer(status=401, body={"error": {"message": "no such key"}})
    dataset = raw(tmp_path, topics=3, best_of_n=judged(judge))
    with pytest.raises(RunStopped, match="judge"):
        dataset.generate([at(writer)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed, report.pending) == (0, 0, 3)
    bought = len(writer.requests)
    judge.respond = score
    assert assert_balanced(dataset.generate([at(writer)]).report).written == 3
    assert len(writer.requests) == 12 >= bought > 0


@pytest.mark.parametrize("kind", ["conversation", "ultrachat", "mcq", "classification"])
def test_judges_see_what_the_row_says_and_never_who_wrote_it(tmp_path: Path, kind: str) -> None:
    fields: dict[str, Any] = {
        "conversation": {"topics": ["Ice"], "max_turns": 2},
        "ultrachat": {"topics_and_subtopics": {"Sea": ["Ice"]}, "num_samples": 1},
        "mcq": {"source": [f"{'The ice is thick. ' * 10}"], "num_samples_per_prompt": 1},
        "classification": {"classes": [{"name": "cold", "description": "ice"}], "num_samples_per_prompt": 1},
    }
    of_kind = load_kind(kind)
    judge = CountingProvider("the-judge", log=tmp_path / "log")
    chosen = {"n": 2, "judge": {"providers": [judge]}}
    config = of_kind.config_model(**fields[kind], best_of_n=chosen, output_file=tmp_path / "out.jsonl")
    of_kind(config).generate([SimulatedProvider("the-writer")])
    (row,) = rows_of(tmp_path / "out.jsonl")
    asked = [prompt for _, prompt in requests_in(tmp_path / "log")]
    texts = [message["content"] for message in row.get("messages", ())] or [row.get("question") or row["text"]]
    assert len(asked) == 2
    assert any(all(text in prompt for text in texts) for prompt in asked)
    assert not any("the-writer" in prompt or "synthetic" in prompt or "uuid" in prompt for prompt in asked)


@pytest.mark.parametrize("place", ["field", "metadata"])
def test_the_reasoning_of_a_row_is_that_of_the_candidate_that_was_chosen(tmp_path: Path, place: str) -> None:
    model = ThinkingProvider("m", log=tmp_path / "log", reply=by_try(3, 5, 4))
    chosen = {"n": 3, "judge": {"rubric": RUBRIC}}
    raw(tmp_path, topics=["topic 7"], best_of_n=chosen, reasoning=place).generate([model])
    (row,) = rows_of(tmp_path / "out.jsonl")
    told = row["reasoning"] if place == "field" else row["metadata"]["reasoning"]
    assert row["metadata"]["best_of_n"]["chosen"] == 1
    assert told.startswith("Thinking of: Write texts")
    assert told.count("Thinking of") == 1


# -- a check


def test_with_a_check_candidates_are_bought_until_one_passes(tmp_path: Path, servers: Any) -> None:
    writer, _ = servers
    dataset = raw(tmp_path, topics=3, best_of_n={"n": 4, "check": "'worth 5' in text"})
    report = assert_balanced(dataset.generate([at(writer)]).report)
    assert (report.written, report.calls, len(writer.requests)) == (3, 6, 6)
    for row in rows_of(tmp_path / "out.jsonl"):
        assert row["text"].startswith("worth 5")
        assert row["metadata"]["best_of_n"] == {"n": 2, "chosen": 1}


def test_a_row_fails_of_which_no_candidate_passes_and_a_retry_makes_as_many_again(tmp_path: Path, servers: Any) -> None:
    writer, _ = servers
    writer.respond = Writer(1, 1, 1, 5)
    dataset = raw(tmp_path, topics=2, best_of_n={"n": 2, "check": "'worth 5' in text"})
    report = assert_balanced(dataset.generate([at(writer)]).report)
    assert (report.written, report.failures) == (0, {"rejected": 2})
    (failed, _) = dataset.failed_items
    assert failed.error == "None of 2 candidates passed the check of best_of_n. A retry makes 2 more."
    assert dataset.generate([at(writer)]).report.calls == 0  # type: ignore[union-attr]
    again = assert_balanced(dataset.generate([at(writer)], retry_failed=True).report)
    assert (again.written, again.calls, len(writer.requests)) == (2, 4, 8)
    assert {row["metadata"]["best_of_n"]["chosen"] for row in rows_of(tmp_path / "out.jsonl")} == {3}


def test_a_check_and_a_judge_choose_the_best_of_those_that_pass(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    chosen = {**judged(judge), "check": "'worth 5' not in text"}
    assert_balanced(raw(tmp_path, topics=2, best_of_n=chosen).generate([at(writer)]).report)
    assert {row["text"][:7] for row in rows_of(tmp_path / "out.jsonl")} == {"worth 3"}
    assert len(judge.requests) == 6


@pytest.mark.parametrize("sort", ["sync", "async"])
def test_in_python_a_check_is_a_function_of_the_row(tmp_path: Path, servers: Any, sort: str) -> None:
    writer, _ = servers

    def passes(row: dict[str, Any]) -> bool:
        return "worth 3" in row["text"] and row["metadata"]["topic"] != ""

    async def awaited(row: dict[str, Any]) -> bool:
        return passes(row)

    check = passes if sort == "sync" else awaited
    raw(tmp_path, topics=2, best_of_n={"check": check}).generate([at(writer)])
    assert [row["metadata"]["best_of_n"]["chosen"] for row in rows_of(tmp_path / "out.jsonl")] == [2, 2]
    assert raw(tmp_path, topics=2, best_of_n={"check": check}).generate([at(writer)]).report.calls == 0


@pytest.mark.parametrize("check", ["metadata.topic + 1 > 2", lambda row: row["nothing"]])
def test_a_check_that_cannot_be_carried_out_fails_the_row_at_once(tmp_path: Path, servers: Any, check: Any) -> None:
    writer, _ = servers
    dataset = raw(tmp_path, topics=2, best_of_n={"n": 8, "check": check})
    report = assert_balanced(dataset.generate([at(writer)]).report)
    assert report.failures == {"check_error": 2}
    assert len(writer.requests) == 2
    assert next(iter(dataset.failed_items)).error.startswith("best_of_n.check: ")


def test_with_a_check_alone_more_candidates_change_no_row_that_is_there(tmp_path: Path, servers: Any) -> None:
    writer, _ = servers
    raw(tmp_path, topics=3, best_of_n={"n": 4, "check": "'worth 5' in text"}).generate([at(writer)])
    again = raw(tmp_path, topics=3, best_of_n={"n": 9, "check": "'worth 5' in text"}).generate([at(writer)])
    assert (again.report.calls, again.report.removed) == (0, 0)  # type: ignore[union-attr]


# -- several rows of one call


def test_each_row_of_a_call_is_chosen_by_itself_and_none_is_there_twice(tmp_path: Path, servers: Any) -> None:
    writer, judge = servers
    replies = [["worth 1 a", "worth 5 b"], ["worth 5 b", "worth 2 c"], ["worth 3 d", "worth 4 e"]]
    writer.respond = lambda request: Answer(text=json.dumps({"texts": replies[(len(writer.requests) - 1) % 3]}))
    chosen = {**judged(judge), "n": 3}
    fields = {"topics": 1, "num_samples_per_prompt": 2, "run": {"max_concurrency": 1}}
    raw(tmp_path, best_of_n=chosen, **fields).generate([at(writer)])
    assert [row["text"] for row in rows_of(tmp_path / "out.jsonl")] == ["worth 5 b", "worth 4 e"]


# -- the same whatever happens


def test_the_order_of_replies_changes_no_row(tmp_path: Path) -> None:
    found = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        waits = random.Random(number)
        model = CountingProvider(
            "m", log=folder / "log", reply=by_try(2, 5, 5, 1), latency_s=0.001, latency_jitter_s=waits.random() * 0.02
        )
        raw(folder, topics=8, best_of_n={"n": 4, "judge": {"rubric": RUBRIC}}).generate([model])
        found.append(rows_of(folder / "out.jsonl"))
    assert same_rows(found[0], found[1])
    assert same_rows(found[0], found[2])
    assert {row["metadata"]["best_of_n"]["chosen"] for row in found[0]} == {1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_rows(tmp_path: Path) -> None:
    fields = {"topics": 12, "best_of_n": {"n": 3, "judge": {"rubric": RUBRIC}}, "run": {"max_concurrency": 4}}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    counting_raw_run(str(whole), str(whole / "log"), None, **fields)
    kills = 0
    with fork_server() as server:
        for seconds in (0.15, 0.25, 0.2, 0.3, None):
            arguments = {"folder": str(cut), "log": str(cut / "log"), "kill_after_s": seconds, **fields}
            kills += server.run("tests.support:counting_raw_run", **arguments) < 0
    assert kills >= 1
    assert same_rows(rows_of(whole / "out.jsonl"), rows_of(cut / "out.jsonl"))
    needed, made = requests_in(whole / "log"), requests_in(cut / "log")
    assert len(needed) == 12 * 6
    assert len(needed) <= len(made) <= len(needed) + 4 * kills


def test_offline_every_judge_is_simulated(tmp_path: Path) -> None:
    chosen = {"n": 3, "judge": {"providers": ["openai/gpt-6-luna", "anthropic/claude-haiku-4-5"]}}
    writers = [OpenAICompatibleProvider(name, api_base="http://127.0.0.1:9") for name in ("a", "b")]
    report = assert_balanced(raw(tmp_path, topics=4, best_of_n=chosen).generate(writers, offline=True).report)
    assert (report.written, report.calls) == (8, 72)
    names = ("a", "b", "gpt-6-luna", "claude-haiku-4-5")
    assert set(report.usage_by_provider) == {f"simulated/{name}" for name in names}


def test_other_kinds_take_it_as_they_are(tmp_path: Path) -> None:
    chosen = {"n": 2, "judge": {"rubric": RUBRIC}}
    talk = ConversationDataset(
        ConversationDatasetConfig(topics=["Ice", "Sea"], best_of_n=chosen, output_file=tmp_path / "talk.jsonl")
    )
    classes = ClassificationDataset(
        ClassificationDatasetConfig(
            classes=[{"name": "good", "description": "praise"}],
            best_of_n=chosen,
            output_file=tmp_path / "classes.jsonl",
        )
    )
    for dataset in (talk, classes):
        report = assert_balanced(dataset.generate([SimulatedProvider("m")]).report)
        assert report.failed == 0
        for row in dataset.data_rows:
            assert len(row.metadata["best_of_n"]["scores"]) == 2
        dataset.save(dataset.config.output_file.with_suffix(".parquet"))


# -- what is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 4}, "Nothing says which candidate is the best"),
        ({"n": 1, "check": "text"}, "best_of_n.n"),
        ({"check": 3}, "expected an expression"),
        ({"judge": {"providers": []}}, "best_of_n.judge.providers"),
        ({"judge": {"providers": ["opnai/gpt"]}}, "Did you mean 'openai"),
        ({"judge": {"providers": [{"provider": "openai", "api_key": "sk-1"}]}}, "Keys do not belong in a config"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        raw(tmp_path, best_of_n=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"check": "txt != ''"}, "best_of_n.check: There is no column 'txt'. Did you mean 'text'?"),
        ({"judge": {"prompt": "Rate {txt}"}}, "best_of_n.judge.prompt: {txt}: There is no column 'txt'."),
    ],
)
def test_a_name_that_rows_do_not_have_is_refused_before_anything_is_sent(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    log = tmp_path / "log"
    with pytest.raises(ConfigError, match=re.escape(message)):
        raw(tmp_path, best_of_n=given).generate([CountingProvider("m", log=log)])
    assert requests_in(log) == []


def test_a_temperature_of_0_is_told(tmp_path: Path, servers: Any) -> None:
    writer, _ = servers
    with pytest.warns(UserWarning, match=re.escape("best_of_n: The temperature of openai_compatible/m is 0")):
        raw(tmp_path, best_of_n={"check": "text"}).generate([at(writer, temperature=0)])


@pytest.mark.parametrize("wrong", [{}, {"min": 9}, {"scale": "letters"}])
def test_no_error_shows_a_key_in_the_wrong_place(tmp_path: Path, wrong: dict[str, Any]) -> None:
    spec = {"provider": "openai", "api_key": "sk-abc123"}
    headers = {"provider": "openai", "extra_headers": {"Authorization": "Bearer sk-abc123"}}
    for providers in ([spec], {"j": spec}, [headers, "opnai"]):
        with pytest.raises(ValueError, match="best_of_n") as caught:
            raw(tmp_path, best_of_n={"judge": {"providers": providers, **wrong}})
        assert "abc123" not in str(caught.value)


def test_no_key_is_written_down(tmp_path: Path) -> None:
    spec = {"provider": "openai", "extra_headers": {"Authorization": "Bearer sk-abc123"}}
    chosen = {"n": 2, "judge": {"providers": [spec, OpenAIProvider(api_key="sk-abc123")]}}
    dataset = raw(tmp_path, topics=1, best_of_n=chosen)
    dataset.generate([SimulatedProvider("m")], offline=True)
    assert "abc123" not in dataset.config.model_dump_json()
    assert "abc123" not in repr(dataset.config.best_of_n.judge.providers[1])
    for file in tmp_path.iterdir():
        assert b"abc123" not in file.read_bytes()


# -- in YAML

CONFIG = """\
kind: raw
document_types: [note]
topics: [Tides, Ice]
num_samples_per_prompt: 1
providers: [openai/gpt-6-luna]
best_of_n:
  n: 3
  judge:
    providers:
      - anthropic/claude-haiku-4-5
      - openai/gpt-6-luna
    rubric: {1: useless, 5: could not be better}
"""


def told(tmp_path: Path, *arguments: str) -> Any:
    found = CliRunner().invoke(cli, [arguments[0], str(tmp_path / "notes.yaml"), *arguments[1:], "--json"])
    return json.loads(found.stdout)


def test_the_plan_and_the_check_of_a_config_know_its_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    (tmp_path / "notes.yaml").write_text(CONFIG, encoding="utf-8")
    plan = told(tmp_path, "plan")
    assert [(entry["role"], entry["provider"], entry["calls"]) for entry in plan["calls"]] == [
        ("generator", "openai/gpt-6-luna", 6),
        ("best_of_n_judge", "anthropic/claude-haiku-4-5", 6),
        ("best_of_n_judge judge_2", "openai/gpt-6-luna", 6),
    ]
    checked = {check["provider"]: check for check in told(tmp_path, "check", "--no-call")["providers"]}
    assert checked["anthropic/claude-haiku-4-5"]["status"] == "error"
    assert checked["anthropic/claude-haiku-4-5"]["places"] == [
        f"{tmp_path / 'notes.yaml'}:10: best_of_n.judge.providers[0]"
    ]
    assert checked["openai/gpt-6-luna"]["places"] == [f"{tmp_path / 'notes.yaml'}:5: providers[0]"]


def test_the_same_config_has_the_same_keys_in_python(tmp_path: Path) -> None:
    (tmp_path / "notes.yaml").write_text(CONFIG, encoding="utf-8")
    project = load_project(tmp_path / "notes.yaml")
    judge = {
        "providers": [AnthropicProvider("claude-haiku-4-5"), "openai/gpt-6-luna"],
        "rubric": {1: "useless", 5: "could not be better"},
    }
    same = raw(tmp_path, topics=["Tides", "Ice"], best_of_n={"n": 3, "judge": judge})
    routes = [Route.single(OpenAIProvider("gpt-6-luna"))]
    assert list(same.plan_for(routes).keys()) == list(project.dataset().plan_for(project.routes).keys())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("anthropic/claude", "antropic/claude", "notes.yaml:10: best_of_n.judge.providers"),
        ("n: 3", "m: 3", "notes.yaml:7: best_of_n.m: There is no such field. Known: n, judge, check."),
        (
            "n: 3",
            "check: textt != ''",
            "notes.yaml:7: best_of_n.check: There is no column 'textt'. Did you mean 'text'?",
        ),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "notes.yaml").write_text(CONFIG.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_project(tmp_path / "notes.yaml")
