"""The run loop against a real HTTP server: what is sent, what is retried, what stops, what is recorded."""

from __future__ import annotations

import gc
import itertools
import json
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.datasets import ClassificationDataset, PreferenceDataset, RawDataset
from datafast.engine.calls.admission import Backoff
from datafast.engine.events import Event
from datafast.errors import ConfigError, DatafastWarning, MissingKeyError, RunStopped
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider, SimulatedProvider
from datafast.schema.config import (
    ClassificationDatasetConfig,
    PreferenceDatasetConfig,
    PromptExpansionConfig,
    RawDatasetConfig,
    RunConfig,
)
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded

FAST = RunConfig(max_concurrency=8)


def raw(tmp_path: Path, *, topics: int = 6, run: RunConfig = FAST, **fields: Any) -> RawDataset:
    config = RawDatasetConfig(
        document_types=["note"],
        topics=[f"topic {number}" for number in range(topics)],
        num_samples_per_prompt=fields.pop("num_samples_per_prompt", 1),
        output_file=tmp_path / "out.jsonl",
        run=run,
        **fields,
    )
    return RawDataset(config)


def local(server: FaultServer, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(options.pop("model_id", "m"), api_base=server.url, **options)


def balanced(dataset: Any) -> None:
    report = dataset.report
    assert report.requested == report.written + report.filtered + report.failed + report.pending
    assert report.written == len(dataset.data_rows)


def failures(dataset: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{dataset.config.output_file}.ledger")) as db, db:
        found = db.execute("SELECT category, error, provider, attempts, rows, prompt, raw FROM failures").fetchall()
    db.close()
    return found


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch, 0.02)


def test_every_prompt_goes_to_every_provider(tmp_path: Path, fault_server: FaultServer) -> None:
    dataset = raw(tmp_path, languages={"en": "English", "fr": "French"})
    providers = [local(fault_server, model_id="one"), local(fault_server, model_id="two")]
    assert dataset.get_num_expected_rows(providers) == 24
    dataset.generate(providers)
    assert {(r.json["model"], r.prompt) for r in fault_server.requests}.__len__() == 24
    assert dataset.report.written == 24
    assert {row.model_id for row in dataset.data_rows} == {"one", "two"}
    balanced(dataset)


def test_document_004_counts_96_and_288_rows(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "document_types": ["a", "b", "c"],
        "topics": list("12345678"),
        "num_samples_per_prompt": 1,
        "output_file": tmp_path / "out.jsonl",
        "languages": {"en": "English", "fr": "French"},
    }
    assert RawDataset(RawDatasetConfig(**fields)).get_num_expected_rows([object(), object()]) == 96
    prompts = ["{num_samples} {document_type} {language_name} {topic} {{expertise_level}}"]
    expansion = PromptExpansionConfig(placeholders={"expertise_level": ["x", "y", "z"]}, num_random_samples=100)
    config = RawDatasetConfig(**fields, prompts=prompts, expansion=expansion)
    assert RawDataset(config).get_num_expected_rows([object(), object()]) == 288


def test_random_expansion_counts_90_rows(tmp_path: Path) -> None:
    config = ClassificationDatasetConfig(
        classes=[{"name": "pos", "description": "p"}, {"name": "neg", "description": "n"}],
        num_samples_per_prompt=5,
        output_file=tmp_path / "out.jsonl",
        prompts=["{num_samples} {language_name} {label_name} {label_description} <<tone>> <<length>>"],
        expansion=PromptExpansionConfig(
            placeholders={"tone": ["a", "b"], "length": ["c", "d"]}, combinatorial=False, num_random_samples=3
        ),
    )
    assert ClassificationDataset(config).get_num_expected_rows([1, 2, 3]) == 90


BRACES = 'Answer {num_samples} {language_name} {document_type} {topic}: {"a": {"b": [1, {}]}} {{ }} \\frac{x}{y} f"{z!r:>10}" <<tone>>'


def test_prompts_reach_the_server_byte_for_byte(tmp_path: Path, fault_server: FaultServer) -> None:
    config = RawDatasetConfig(
        document_types=["{json} {topic} <<tone>>"],
        topics=["{}{{x}}{num_samples}"],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
        prompts=[BRACES],
        expansion=PromptExpansionConfig(placeholders={"tone": ["{document_type} \u2028 é 🚀"]}),
    )
    RawDataset(config).generate([local(fault_server)])
    expected = (
        'Answer 1 English {json} {topic} <<tone>> {}{{x}}{num_samples}: {"a": {"b": [1, {}]}} {{ }} \\frac{x}{y} '
        'f"{z!r:>10}" {document_type} \u2028 é 🚀'
    )
    assert fault_server.requests[0].json["messages"] == [{"role": "user", "content": expected}]


def test_a_missing_key_is_named_before_any_request_and_leaves_no_file(tmp_path: Path) -> None:
    dataset = raw(tmp_path)
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        dataset.generate([OpenAIProvider()])
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_key_stops_the_provider_at_the_first_answer(tmp_path: Path, fault_server: FaultServer) -> None:
    both_are_there, bad_ones = threading.Event(), itertools.count(1)

    def respond(request: Recorded) -> Answer:
        if request.json["model"] != "bad":
            return Answer(delay_s=0.02)
        if next(bad_ones) == 2:
            both_are_there.set()
        return Answer(status=401, body={"error": {"message": "no"}}, until=both_are_there.is_set)

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=40, run=RunConfig(max_concurrency=4))
    with pytest.raises(RunStopped) as stopped:
        dataset.generate([local(fault_server, model_id="bad"), local(fault_server, model_id="good")])
    report = stopped.value.report
    assert (report.written, report.failed, report.pending) == (40, 0, 40)
    assert list(report.stopped_providers) == ["openai_compatible/bad"]
    # Two were in flight when the first answer came; nothing was sent after it.
    assert sum(r.json["model"] == "bad" for r in fault_server.requests) == 2
    assert dataset.report is report
    balanced(dataset)


def test_a_stopped_provider_is_called_by_its_name(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=400, body={"error": {"message": "no such thing"}})
    dataset = raw(tmp_path, topics=12)
    with pytest.raises(RunStopped):
        dataset.generate([local(fault_server, name="the second account")])
    assert dataset.report is not None
    assert str(dataset.report.stop_reason).startswith(
        "the second account: openai_compatible/m: HTTP 400. The server said: no such thing. It refused "
    )


def test_a_text_that_no_file_can_hold_is_refused_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="topics: A text has half a surrogate pair"):
        RawDatasetConfig(document_types=["note"], topics=["a \ud83d b"], output_file=tmp_path / "out.jsonl")


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    dataset = raw(tmp_path)
    with pytest.raises(ConfigError, match=r"limt: A run has no such option\. Did you mean 'limit'"):
        dataset.generate([SimulatedProvider()], limt=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="max_concurrency: expected at least 1, got 0"):
        dataset.generate([SimulatedProvider()], max_concurrency=0)
    with pytest.raises(ConfigError, match="limit: expected a whole number, got '3'"):
        dataset.generate([SimulatedProvider()], limit="3")  # type: ignore[typeddict-item]
    assert dataset.report is None


@pytest.mark.parametrize(("given", "shown"), [("openai/gpt-5-mini", "'openai/gpt-5-mini'"), (None, "NoneType")])
def test_what_is_no_provider_is_refused_with_its_place(tmp_path: Path, given: Any, shown: str) -> None:
    for use in (raw(tmp_path).generate, raw(tmp_path).estimate):
        with pytest.raises(ConfigError, match=rf"providers\[1\]: expected a provider, .*, got {shown}\. "):
            use([SimulatedProvider(), given])
    assert list(tmp_path.iterdir()) == []


def test_server_errors_are_sent_again_exactly_max_retries_times(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as others take to be answered in between, and not so long that none is left.
    monkeypatch.setattr(Backoff, "wait_s", lambda self, attempt, *, retry_after_s=None: 0.006)
    busy = Answer(status=503, body="busy")
    fault_server.respond = lambda request: busy if "topic 0" in request.prompt else Answer()
    dataset = raw(tmp_path, topics=300, run=RunConfig(max_retries=3, max_concurrency=1))
    dataset.generate([local(fault_server)])
    assert len(fault_server.requests) == 299 + 4
    assert dataset.report.failures == {"server_error": 1}
    assert dataset.report.retries == 3
    category, error, provider, attempts, rows, prompt, reply = failures(dataset)[0]
    assert (category, provider, attempts, rows, reply) == ("server_error", "openai_compatible/m", 4, 1, b"")
    assert "503" in error
    assert "topic 0" in prompt
    balanced(dataset)


def test_no_attempt_comes_sooner_than_retry_after(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(
        Answer(status=429, headers={"Retry-After": "0.3"}), Answer(status=503, headers={"retry-after-ms": "200"})
    )
    raw(tmp_path, topics=1).generate([local(fault_server)])
    first, second, third = [request.at_s for request in fault_server.requests]
    assert second - first >= 0.3
    assert third - second >= 0.2


def test_rate_limiting_uses_up_no_retries(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(*[Answer(status=429) for _ in range(5)])
    dataset = raw(tmp_path, topics=1, run=RunConfig(max_retries=0))
    dataset.generate([local(fault_server)])
    assert dataset.report.written == 1


def test_a_provider_that_only_answers_429_is_stopped_after_a_bounded_time(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = lambda request: Answer(status=429)
    dataset = raw(tmp_path, run=RunConfig(max_stall_s=0.3))
    with pytest.raises(RunStopped, match="429"):
        dataset.generate([local(fault_server)])
    assert (dataset.report.failed, dataset.report.pending) == (0, 6)


def test_one_burst_of_429_lowers_the_limit_once_and_it_climbs_back(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.refuse_together(16)
    events: list[Event] = []
    raw(tmp_path, topics=120, run={"max_concurrency": 16}).generate([local(fault_server)], on_event=events.append)
    limits = [event.limit for event in events if event.type == "limit_changed"]
    assert limits == [12, 13, 14, 15, 16]


def test_the_server_never_sees_more_in_flight_than_the_setting(tmp_path: Path, fault_server: FaultServer) -> None:
    all_are_there = threading.Event()

    def respond(request: Recorded) -> Answer:
        if fault_server.in_flight == 7:
            all_are_there.set()
        return Answer(until=all_are_there.is_set, delay_s=0.02)

    fault_server.respond = respond
    raw(tmp_path, topics=60, run=RunConfig(max_concurrency=7)).generate([local(fault_server)])
    assert fault_server.max_in_flight == 7


def test_a_waiting_provider_does_not_hold_back_another(tmp_path: Path, fault_server: FaultServer) -> None:
    asked, goes_on = Counter[str](), threading.Event()

    def respond(request: Recorded) -> Answer:
        asked[request.json["model"]] += 1
        # The slots of the one that has ended go to the one that still works.
        if asked["quick"] == 12 and asked["slow"] == 4:
            goes_on.set()
        return Answer(until=goes_on.is_set) if request.json["model"] == "slow" else Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=12, run=RunConfig(max_concurrency=4))
    dataset.generate([local(fault_server, model_id="slow"), local(fault_server, model_id="quick")])
    assert goes_on.is_set()
    assert fault_server.max_in_flight == 4


def test_an_unusable_reply_is_asked_for_again_with_the_reason(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(text='{"texts": 5}'))
    fault_server.respond = lambda request: Answer(text='{"texts": ["a text"]}')
    dataset = raw(tmp_path, topics=1)
    dataset.generate([local(fault_server)])
    assert dataset.report.written == 1
    again = fault_server.requests[1].json["messages"]
    assert [message["role"] for message in again[-3:]] == ["user", "assistant", "user"]
    assert "texts" in again[-1]["content"]


def test_a_reply_that_stays_unusable_fails_the_item_and_is_kept(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text="I would rather not")
    dataset = raw(tmp_path, topics=1, run=RunConfig(max_parse_retries=1))
    dataset.generate([local(fault_server)])
    assert len(fault_server.requests) == 2
    assert dataset.report.failures == {"invalid_reply": 1}
    assert b"I would rather not" in failures(dataset)[0][-1]
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db, db:
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (2,)
    db.close()
    balanced(dataset)


@pytest.mark.parametrize("refused", ["json_schema", "both"])
def test_a_server_that_refuses_a_format_is_asked_in_another_way(
    tmp_path: Path, fault_server: FaultServer, refused: str
) -> None:
    def respond(request: Recorded) -> Answer:
        kind = request.json.get("response_format", {}).get("type")
        if kind == "json_schema" or (kind and refused == "both"):
            return Answer(status=400, body={"error": {"message": "no", "param": "response_format"}})
        return Answer(text='{"texts": ["a text"]}')

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=20, run=RunConfig(max_concurrency=1))
    dataset.generate([local(fault_server)])
    assert dataset.report.written == 20
    # What works is learned: only the first item pays for finding out, with and without bounds on texts in the schema.
    assert len(fault_server.requests) == 20 + (2 if refused == "json_schema" else 3)


def test_a_server_that_ignores_the_format_is_asked_in_another_way(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        told = any("texts" in message["content"] for message in request.json["messages"][:1])
        return Answer(text='{"texts": ["a text"]}' if told else "Here is a text.")

    fault_server.respond = respond
    dataset = raw(
        tmp_path,
        topics=10,
        run=RunConfig(max_concurrency=1),
        prompts=["{num_samples} {language_name} {document_type} {topic}"],
    )
    dataset.generate([local(fault_server)])
    assert dataset.report.written == 10
    assert len(fault_server.requests) == 11


def test_a_refused_parameter_is_left_out_once_and_for_all(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        if "temperature" in request.json:
            return Answer(status=400, body={"error": {"message": "no", "param": "temperature", "code": "unsupported"}})
        return Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=10, run=RunConfig(max_concurrency=1))
    with pytest.warns(DatafastWarning, match="temperature"):
        dataset.generate([local(fault_server, temperature=0.3)])
    assert dataset.report.written == 10
    assert len(fault_server.requests) == 11


def test_first_answers_that_are_all_the_same_refusal_stop_the_provider_and_fail_nothing(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.short_waits(monkeypatch)
    fault_server.respond = lambda request: Answer(status=400, body={"error": {"message": "no", "code": "odd"}})
    dataset = raw(tmp_path, topics=50, run=RunConfig(max_concurrency=1))
    with pytest.raises(RunStopped, match=r"refused \d+ requests in a row"):
        dataset.generate([local(fault_server)])
    assert (dataset.report.failed, dataset.report.pending) == (0, 50)
    assert len(fault_server.requests) <= 23
    balanced(dataset)


def test_a_truncated_reply_is_asked_for_once_without_the_limit(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(text='{"texts": ["half', finish_reason="length"))
    dataset = raw(tmp_path, topics=1)
    dataset.generate([local(fault_server)])
    assert dataset.report.written == 1
    assert fault_server.requests[1].json["max_tokens"] > 1000


def test_a_reply_cut_by_the_users_limit_fails_and_names_the_setting(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["half', finish_reason="length")
    dataset = raw(tmp_path, topics=1)
    dataset.generate([local(fault_server, max_completion_tokens=20)])
    assert len(fault_server.requests) == 1
    assert dataset.report.failures == {"truncated": 1}
    assert "max_completion_tokens" in failures(dataset)[0][1]


def test_missing_rows_of_a_short_reply_are_counted_as_failed(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["a", "b", "  "]}')
    dataset = raw(tmp_path, topics=2, num_samples_per_prompt=5)
    dataset.generate([local(fault_server)])
    assert (dataset.report.written, dataset.report.failed) == (4, 6)
    assert dataset.report.failures == {"short_reply": 6}
    assert all(b"texts" in failure[-1] and "topic" in failure[-2] for failure in failures(dataset))
    balanced(dataset)


def test_retrying_a_short_reply_buys_only_what_is_missing(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["a", "b", "c"]}')
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=5)
    dataset.generate([local(fault_server)])
    before = [row.uuid for row in dataset.data_rows]
    fault_server.respond = lambda request: Answer(text='{"texts": ["d", "e"]}')
    dataset.generate([local(fault_server)], retry_failed=True)
    assert dataset.report.calls == 1
    assert "exactly 2." in fault_server.requests[1].prompt
    assert (dataset.report.written, dataset.report.failed) == (5, 0)
    assert [row.uuid for row in dataset.data_rows][:3] == before
    balanced(dataset)


def test_top_up_asks_for_the_missing_rows_at_once(tmp_path: Path, fault_server: FaultServer) -> None:
    def two_others(_: Recorded) -> Answer:
        number = len(fault_server.requests)
        return Answer(text=json.dumps({"texts": [f"a{number}", f"b{number}"]}))

    fault_server.respond = two_others
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=5, run=RunConfig(top_up=True))
    dataset.generate([local(fault_server)])
    assert (dataset.report.written, dataset.report.calls) == (5, 3)


def test_a_server_that_is_gone_stops_its_provider_and_fails_nothing(tmp_path: Path) -> None:
    with FaultServer() as server:
        url = server.url
    dataset = raw(tmp_path, run=RunConfig(max_retries=1, max_stall_s=0.2))
    with pytest.raises(RunStopped, match="nothing accepts connections"):
        dataset.generate([OpenAICompatibleProvider("m", api_base=url)])
    assert (dataset.report.failed, dataset.report.pending) == (0, 6)


def test_the_system_prompt_is_sent_in_the_system_role(tmp_path: Path, fault_server: FaultServer) -> None:
    raw(tmp_path, topics=1, system_prompt="Be {brief}.").generate([local(fault_server)])
    assert fault_server.requests[0].json["messages"][0] == {"role": "system", "content": "Be {brief}."}


def preference(tmp_path: Path, **fields: Any) -> PreferenceDataset:
    config = PreferenceDatasetConfig(
        input_documents=["Doc {one}", "Doc two"],
        num_samples_per_prompt=2,
        output_file=tmp_path / "pairs.jsonl",
        run=FAST,
        **fields,
    )
    return PreferenceDataset(config)


def roles(server: FaultServer, *names: str) -> dict[str, Any]:
    return {name: local(server, model_id=name.removesuffix("_llm").removesuffix("_gen")) for name in names}


THREE = ("question_gen_llm", "chosen_response_gen_llm", "rejected_response_gen_llm")


def test_preference_asks_one_provider_in_each_role(tmp_path: Path, fault_server: FaultServer) -> None:
    dataset = preference(tmp_path, languages={"en": "English", "fr": "French"})
    dataset.generate(**roles(fault_server, *THREE))
    assert dataset.get_num_expected_rows() == dataset.report.written == 8
    row = dataset.data_rows[0]
    assert (row.question_model_id, row.chosen_model_id) == ("question", "chosen_response")
    assert row.chosen_response_score is None
    balanced(dataset)


def test_preference_uses_every_question_template_and_expands_it(tmp_path: Path, fault_server: FaultServer) -> None:
    dataset = preference(
        tmp_path,
        question_generation_prompts=[
            "A {num_samples} {language_name} {document} <<level>>",
            "B {num_samples} {language_name} {document}",
        ],
        expansion=PromptExpansionConfig(placeholders={"level": ["easy", "hard"]}),
    )
    dataset.generate(**roles(fault_server, *THREE))
    assert dataset.report.written == 2 * 3 * 2
    assert {(row.metadata["prompt_index"], row.metadata["level"]) for row in dataset.data_rows} == {
        (0, "easy"),
        (0, "hard"),
        (1, None),
    }


def test_the_judge_swaps_a_pair_that_the_rejected_one_wins(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        model = request.json["model"]
        if model == "judge":
            score = 9 if "from rejected" in request.prompt else 4
            return Answer(text=json.dumps({"assessment": f"worth {score}", "score": score}))
        return Answer() if model == "question" else Answer(text=f"from {model}")

    fault_server.respond = respond
    dataset = preference(tmp_path, llm_as_judge=True, evol_instruct=True)
    dataset.generate(**roles(fault_server, *THREE, "judge_llm", "evolution_llm"))
    row = dataset.data_rows[0]
    assert (row.chosen_response, row.chosen_model_id) == ("from rejected_response", "rejected_response")
    assert (row.rejected_response, row.rejected_model_id) == ("from evolution", "chosen_response")
    assert (row.chosen_response_score, row.rejected_response_score) == (9, 4)
    assert (row.chosen_response_assessment, row.rejected_response_assessment) == ("worth 9", "worth 4")
    assert row.evolution_model_id == "evolution"


def test_a_question_that_fails_leaves_the_other_rows_of_its_item(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        if request.json["model"] == "question":
            return Answer(text='{"texts": ["good?", "bad?"]}')
        return Answer(text="" if "bad?" in request.prompt else f"an answer of {request.json['model']}")

    fault_server.respond = respond
    dataset = preference(tmp_path)
    dataset.generate(**roles(fault_server, *THREE))
    assert (dataset.report.written, dataset.report.failed) == (2, 2)
    assert {row.question for row in dataset.data_rows} == {"good?"}
    fault_server.respond = lambda request: Answer(text=f"an answer of {request.json['model']} at last")
    dataset.generate(**roles(fault_server, *THREE), retry_failed=True)
    assert (dataset.report.written, dataset.report.failed) == (4, 0)
    # The question and the answers that were good are not bought again.
    assert dataset.report.calls == 4
    balanced(dataset)


def test_roles_that_do_not_fit_the_config_are_refused(tmp_path: Path, fault_server: FaultServer) -> None:
    with pytest.raises(ConfigError, match="judge"):
        preference(tmp_path).generate(**roles(fault_server, *THREE, "judge_llm"))
    with pytest.raises(ConfigError, match="evolution"):
        preference(tmp_path, evol_instruct=True).generate(**roles(fault_server, *THREE))
    assert fault_server.requests == []


@pytest.mark.parametrize("judged", [False, True])
def test_an_item_that_is_done_leaves_nothing_for_the_garbage_collector(tmp_path: Path, judged: bool) -> None:
    """A cycle for each item would make a run of many rows a fifth slower."""
    judge = {"stage": "judge", "providers": [SimulatedProvider("judge")], "keep_if": "true"}
    gc.collect()
    gc.disable()
    try:
        raw(tmp_path, topics=40, quality=[judge] if judged else []).generate([SimulatedProvider("m")])
        left = [found for found in gc.get_objects() if type(found).__name__ in {"Generate", "WorkItem", "Call"}]
    finally:
        gc.enable()
    assert len(left) < 10
