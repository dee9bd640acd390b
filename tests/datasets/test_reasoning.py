"""`reasoning`: what models thought stands in rows where it is asked for; changing the setting makes rows again and asks nobody."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field, ValidationError

from datafast.cli.main import cli
from datafast.datasets import ClassificationDataset
from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import DatasetConfig, Metadata
from datafast.engine.generate import Generate
from datafast.errors import ConfigError, ErrorKind, OutputError, ProviderError
from datafast.llms import AnthropicProvider, GeminiProvider, LiteLLMProvider, OpenAICompatibleProvider
from datafast.llms.base import Request
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.schema.config import ClassificationDatasetConfig
from tests.datasets.conversation.support import STYLES, talk
from tests.datasets.conversation.tool_server import WITH_TOOLS
from tests.servers.fault_server import Answer, FaultServer
from tests.servers.streams import as_bytes, events_of
from tests.servers.vendors import anthropic_message, gemini_content
from tests.support import (
    CountingProvider,
    ForkServer,
    ThinkingProvider,
    assert_balanced,
    columns,
    fork_server,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
    snapshot,
    thought_about,
)

SCHEMA = {
    "topic": {"type": "choice", "values": ["tides", "moons"]},
    "question": {"type": "text", "prompt": "Ask about {topic}."},
    "verdict": {"type": "judge", "prompt": "Judge {question}"},
}


def labelled(folder: Path, **fields: Any) -> ClassificationDataset:
    classes = [{"name": "good", "description": "praise"}, {"name": "bad", "description": "blame"}]
    return ClassificationDataset(
        ClassificationDatasetConfig(
            classes=classes, num_samples_per_prompt=3, output_file=folder / "out.jsonl", **fields
        )
    )


def columns_of(folder: Path, **fields: Any) -> Any:
    from datafast.datasets import ColumnsDataset
    from datafast.schema.config import ColumnsDatasetConfig

    return ColumnsDataset(ColumnsDatasetConfig(num_rows=4, columns=SCHEMA, output_file=folder / "out.jsonl", **fields))


KINDS: dict[str, Callable[..., Any]] = {
    "raw": lambda folder, **fields: raw(folder, num_samples_per_prompt=5, **fields),
    "classification": labelled,
    "preference": preference,
    "columns": columns_of,
    "conversation": lambda folder, **fields: talk(folder, max_turns=2, **fields),
    "freetext": lambda folder, **fields: talk(folder, **STYLES["freetext"], **fields),
    "tools": lambda folder, **fields: talk(folder, **WITH_TOOLS, **fields),
    "instruction": lambda folder, **fields: talk(folder, output_format="instruction", **fields),
    "mapping": lambda folder, **fields: talk(folder, output_format={"q": "{instruction}"}, **fields),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def generate(dataset: Any, provider: Any, **options: Any) -> list[dict[str, Any]]:
    """The rows after a run in which one provider has every role."""
    needed = getattr(dataset.config, "roles", None)
    dataset.generate([provider] if needed is None else dict.fromkeys(needed, provider), **options)
    assert dataset.report.requested == dataset.report.written
    return rows_of(Path(dataset.config.output_file))


def by_content(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


@pytest.fixture
def provider(tmp_path: Path) -> ThinkingProvider:
    return ThinkingProvider("m", log=tmp_path / "requests")


def taken_out(row: dict[str, Any]) -> Any:
    """Removes a row's reasoning from its metadata and returns it."""
    thought = row["metadata"].pop("reasoning")
    if not row["metadata"]:
        del row["metadata"]
    return thought


@every_kind
def test_every_kind_has_reasoning_where_it_is_asked_for_and_changing_that_asks_nobody(
    tmp_path: Path, provider: ThinkingProvider, kind: str
) -> None:
    make = KINDS[kind]
    plain = generate(make(tmp_path), provider)
    sent = len(requests_in(provider.log))
    assert not [row for row in plain if "Thinking of" in json.dumps(row)]

    dataset = make(tmp_path, reasoning="metadata")
    in_metadata = generate(dataset, provider)
    thoughts = [taken_out(row) for row in in_metadata]
    assert all("Thinking of" in json.dumps(thought) for thought in thoughts)
    assert {type(thought) for thought in thoughts} == {dict if kind in ("preference", "columns", "tools") else str}
    assert by_content(in_metadata) == by_content(plain)
    assert len(dataset.data_rows) == len(plain)
    assert next(iter(dataset.data_rows)).metadata["reasoning"] in thoughts
    (former,) = dataset.report.set_aside
    assert by_content(rows_of(Path(former))) == by_content(plain)

    if kind != "freetext":
        dataset = make(tmp_path, reasoning="field")
        in_field = generate(dataset, provider)
        read = [row.reasoning for row in dataset.data_rows]
        assert [row.pop("reasoning") for row in in_field] == read
        assert sorted(map(str, read)) == sorted(map(str, thoughts))
        assert by_content(in_field) == by_content(plain)

    assert by_content(generate(make(tmp_path), provider)) == by_content(plain)
    assert len(requests_in(provider.log)) == sent


@every_kind
@pytest.mark.parametrize("place", ["metadata", "field"])
def test_a_first_run_has_it_as_a_later_one_has(
    tmp_path: Path, provider: ThinkingProvider, kind: str, place: str
) -> None:
    if (kind, place) == ("freetext", "field"):
        return
    (tmp_path / "later").mkdir()
    at_once = generate(KINDS[kind](tmp_path, reasoning=place), provider)
    generate(KINDS[kind](tmp_path / "later"), provider)
    later = generate(KINDS[kind](tmp_path / "later", reasoning=place), provider)
    assert by_content(at_once) == by_content(later)


def test_each_part_of_a_preference_has_its_own_and_goes_with_its_answer(tmp_path: Path) -> None:
    def reply(request: Request) -> str | None:
        if "Judge how correct" not in request.messages[-1]["content"]:
            return None
        worse = "Response of chosen" in request.messages[-1]["content"]
        return json.dumps({"assessment": "so", "score": 2 if worse else 9})

    def answering(text: str, name: str) -> ThinkingProvider:
        return ThinkingProvider(name, log=tmp_path / name, reply=lambda request: text)

    provider = ThinkingProvider("m", log=tmp_path / "log", reply=reply)
    dataset = preference(tmp_path, documents=1, reasoning="field")
    dataset.generate_roles(
        roles(provider, chosen=answering("Response of chosen", "c"), rejected=answering("Response of rejected", "r"))
    )
    for row in dataset.data_rows:
        assert row.chosen_response == "Response of rejected"
        assert set(row.reasoning) == {"question", "chosen", "rejected", "chosen_judge", "rejected_judge"}
        assert "short, superficial" in row.reasoning["chosen"]
        assert "correctly, completely" in row.reasoning["rejected"]
        assert "Response of rejected" in row.reasoning["chosen_judge"]
        assert "Response of chosen" in row.reasoning["rejected_judge"]
        assert row.question in row.reasoning["chosen"]


def test_columns_have_it_by_column_and_only_those_that_ask(tmp_path: Path, provider: ThinkingProvider) -> None:
    for row in generate(columns_of(tmp_path, reasoning="field"), provider):
        assert set(row["reasoning"]) == {"question", "verdict"}
        assert row["reasoning"]["question"] == thought_about(f"Ask about {row['topic']}.")


def test_rows_of_a_reply_that_fell_short_have_that_of_the_reply_they_came_in(tmp_path: Path) -> None:
    answers = iter([["a", "b"], ["c"]])
    provider = ThinkingProvider("m", log=tmp_path / "log", reply=lambda request: json.dumps({"texts": next(answers)}))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=3, reasoning="field", run={"top_up": True})
    rows = generate(dataset, provider)
    asked = [prompt for _, prompt in requests_in(tmp_path / "log")]
    assert [row["reasoning"] for row in rows] == [thought_about(asked[0])] * 2 + [thought_about(asked[1])]


def test_a_model_that_does_not_think_leaves_null(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "log")
    assert {row["reasoning"] for row in generate(raw(tmp_path, reasoning="field"), provider)} == {None}


# -- the wire

TEXTS = '{"texts": ["Low water."]}'


def completion(**message: Any) -> bytes:
    reply = {
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }
    return json.dumps(reply).encode()


SHAPES = {
    "reasoning_content": completion(content=TEXTS, reasoning_content="Low, then high."),
    "reasoning": completion(content=TEXTS, reasoning="Low, then high."),
    "tags": completion(content=f"<think>\nLow, then high.\n</think>\n\n{TEXTS}"),
    "unopened tag": completion(content=f"Low, then high.\n</think>\n\n{TEXTS}"),
    "parts": completion(
        content=[
            {"type": "thinking", "thinking": [{"type": "text", "text": "Low, then high."}]},
            {"type": "text", "text": TEXTS},
        ]
    ),
    "channels": completion(
        content=f"<|channel|>analysis<|message|>Low, then high.<|end|><|start|>assistant<|channel|>final<|message|>{TEXTS}"
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_chat_completions_have_it_in_every_shape(tmp_path: Path, fault_server: FaultServer, shape: str) -> None:
    fault_server.answer_next(Answer(body=SHAPES[shape]))
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url)
    (row,) = generate(raw(tmp_path, topics=1, reasoning="field"), provider)
    assert (row["text"], row["reasoning"]) == ("Low water.", "Low, then high.")


def streamed(answer: Any) -> Answer:
    return Answer(events=as_bytes(events_of(answer, {"stream_options": {"include_usage": True}})))


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_thinking_blocks_and_geminis_thoughts_are_read(
    tmp_path: Path, fault_server: FaultServer, stream: bool
) -> None:
    message = anthropic_message(TEXTS)
    message["content"].insert(0, {"type": "thinking", "thinking": "Low, then high.", "signature": "c2ln"})
    content = gemini_content(TEXTS)
    content["candidates"][0]["content"]["parts"].insert(0, {"text": "Low, then high.", "thought": True})
    options: Any = {"api_base": fault_server.url, "api_key": "k" * 20, "stream": stream}
    for name, reply, provider in (
        ("anthropic", message, AnthropicProvider("claude-haiku-4-5", **options)),
        ("gemini", content, GeminiProvider("gemini-2.5-flash", **options)),
    ):
        (tmp_path / name).mkdir()
        fault_server.answer_next(streamed(reply) if stream else Answer(body=reply))
        (row,) = generate(raw(tmp_path / name, topics=1, reasoning="field"), provider)
        assert (row["text"], row["reasoning"]) == ("Low water.", "Low, then high.")


@pytest.mark.parametrize("shape", ["reasoning_content", "reasoning", "tags", "channels"])
def test_streamed_chat_completions_have_it_too(tmp_path: Path, fault_server: FaultServer, shape: str) -> None:
    fault_server.answer_next(streamed(json.loads(SHAPES[shape])))
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url, stream=True)
    (row,) = generate(raw(tmp_path, topics=1, reasoning="field"), provider)
    assert (row["text"], row["reasoning"]) == ("Low water.", "Low, then high.")


def test_streamed_parts_are_one_thought(tmp_path: Path, fault_server: FaultServer) -> None:
    def chunk(content: Any, **choice: Any) -> tuple[str, str]:
        told = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": content}, **choice}]}
        return "", json.dumps(told)

    pieces = [
        [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}] for text in ("Low, ", "then hi", "gh.")
    ]
    events = [*map(chunk, pieces), chunk(TEXTS[:9]), chunk(TEXTS[9:]), chunk("", finish_reason="stop"), ("", "[DONE]")]
    fault_server.answer_next(Answer(events=as_bytes(events)))
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url, stream=True)
    (row,) = generate(raw(tmp_path, topics=1, reasoning="field"), provider)
    assert (row["text"], row["reasoning"]) == ("Low water.", "Low, then high.")


def test_litellm_hands_it_on(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(body=SHAPES["reasoning_content"]))
    provider = LiteLLMProvider("openai/m", api_base=fault_server.url, api_key="k" * 20)
    (row,) = generate(raw(tmp_path, topics=1, reasoning="field"), provider)
    assert (row["text"], row["reasoning"]) == ("Low water.", "Low, then high.")


def test_half_a_surrogate_pair_in_it_keeps_no_row_from_being_written(tmp_path: Path, fault_server: FaultServer) -> None:
    body = SHAPES["reasoning_content"].replace(b"Low, then", b"Low \\ud83d then")
    fault_server.answer_next(Answer(body=body))
    provider = OpenAICompatibleProvider("m", api_base=fault_server.url)
    (row,) = generate(raw(tmp_path, topics=1, reasoning="field"), provider)
    assert row["reasoning"] == "Low \ufffd then high."


# -- kinds of other packages


class VersesConfig(DatasetConfig):
    output_file: Path
    subjects: list[str]

    @property
    def rows_per_item(self) -> int:
        return 2


class VerseRow(BaseModel):
    verse: str
    uuid: str
    metadata: Metadata = Field(default_factory=dict)


class Verses(FanOutDataset[VersesConfig, VerseRow]):
    """Two verses about each subject, after a plan for both."""

    kind = "verses"
    config_model = VersesConfig
    row_model = VerseRow

    def plan(self, routes: Sequence[str]) -> GridPlan:
        return self.grid([Dimension("pair", self.config.subjects)], routes=routes)

    async def produce(self, item: WorkItem, generate: Generate) -> list[VerseRow]:
        about = item.values["pair"]
        await generate("poet", f"Plan verses about {about}.", tag="0")

        async def verse(number: int) -> VerseRow:
            draft = await generate("poet", f"Draft {number} about {about}.", tag="1", row=number)
            text = await generate("poet", f"Better {number} than {draft}", tag="2", row=number)
            return VerseRow(verse=text, uuid=item.row_uuid(number))

        return await generate.gather(verse(0), verse(1))


def test_a_kind_says_which_row_a_call_is_for_and_nothing_else(tmp_path: Path) -> None:
    def made(folder: Path, **options: Any) -> list[dict[str, Any]]:
        folder.mkdir()
        config = VersesConfig(output_file=folder / "out.jsonl", subjects=["ebb", "flow"], reasoning="field")
        provider = ThinkingProvider("m", log=tmp_path / "log", **options)
        return generate(Verses(config), provider)

    rows = made(tmp_path / "one")
    assert len(rows) == 4
    for row in rows:
        plan, draft, better = row["reasoning"].split("\n\n")
        assert plan in {"Thinking of: Plan verses about ebb.", "Thinking of: Plan verses about flow."}
        number = draft.removeprefix("Thinking of: Draft ")[0]
        assert better.startswith(f"Thinking of: Better {number} than ")
    slow = made(tmp_path / "two", latency_s=0.002, latency_jitter_s=0.01)
    assert by_content(slow) == by_content(rows)


# -- files


@every_kind
@pytest.mark.parametrize("place", ["metadata", "field"])
def test_tables_have_it_too(tmp_path: Path, provider: ThinkingProvider, kind: str, place: str) -> None:
    if (kind, place) == ("freetext", "field"):
        return
    dataset = KINDS[kind](tmp_path, reasoning=place)
    rows = generate(dataset, provider)
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(dataset.save(tmp_path / "rows.parquet")).to_pylist()
    held = [json.loads(row["metadata"])["reasoning"] if place == "metadata" else row["reasoning"] for row in found]
    is_json = kind in ("preference", "columns", "tools") and place == "field"
    assert [json.loads(value) if is_json else value for value in held] == [
        row["metadata"]["reasoning"] if place == "metadata" else row["reasoning"] for row in rows
    ]


@every_kind
def test_rows_are_read_with_any_setting(tmp_path: Path, provider: ThinkingProvider, kind: str) -> None:
    settings = ["drop", "metadata"] if kind == "freetext" else ["drop", "metadata", "field"]
    for made in settings:
        generate(KINDS[kind](tmp_path, reasoning=made), provider)
        for read in settings:
            assert len(list(KINDS[kind](tmp_path, reasoning=read).data_rows)) == len(rows_of(tmp_path / "out.jsonl"))


# -- what a change does


CONFIG = """
kind: raw
document_types: [note]
topics: [a, b, c]
num_samples_per_prompt: 2
output_file: out.jsonl
providers: [{provider: simulated, model_id: m}]
"""


def test_plan_and_generate_say_what_a_change_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG)
    runner = CliRunner()
    assert runner.invoke(cli, ["generate", "c.yaml"]).exit_code == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    config.write_text(CONFIG + "reasoning: metadata\n")
    told = runner.invoke(cli, ["plan", "c.yaml"]).output
    assert (
        "reasoning was drop and is metadata: 6 rows are made again from recorded replies, without a call"
        in " ".join(told.split())
    )
    assert (tmp_path / "out.jsonl").read_bytes() == before
    made = runner.invoke(cli, ["generate", "c.yaml", "--json", "--yes"])
    report = json.loads(made.stdout)
    assert (report["written"], report["calls"], report["replayed"]) == (6, 0, 3)
    assert "reasoning was drop and is metadata" in made.stderr
    assert {row["metadata"]["reasoning"] for row in rows_of(tmp_path / "out.jsonl")} == {None}
    assert runner.invoke(cli, ["generate", "c.yaml"]).exit_code == 0
    assert len(list(tmp_path.glob("out.jsonl.former-*"))) == 1


def test_answers_that_came_when_asked_again_are_found_when_less_is_asked_again(tmp_path: Path) -> None:
    tries: Counter[str] = Counter()

    def reply(request: Request) -> str | None:
        topic = re.findall(r"topic \d", request.messages[0]["content"])[0]
        tries[topic] += 1
        return "no object" if tries[topic] < 3 else None

    provider = ThinkingProvider("m", log=tmp_path / "log", reply=reply)
    plain = generate(raw(tmp_path, topics=3, run={"max_parse_retries": 2}), provider)
    assert tries.total() == 9
    rows = generate(raw(tmp_path, topics=3, run={"max_parse_retries": 0}, reasoning="metadata"), provider)
    assert all("That reply cannot be used" in taken_out(row) for row in rows)
    assert same_rows(rows, plain)
    assert tries.total() == 9


def test_a_limit_leaves_no_row_unmade(tmp_path: Path, provider: ThinkingProvider) -> None:
    rows = generate(raw(tmp_path, topics=9), provider)
    dataset = raw(tmp_path, topics=9, reasoning="field")
    dataset.generate([provider], limit=2)
    assert len(rows_of(tmp_path / "out.jsonl")) == len(rows) == 9
    assert dataset.report.calls == 0


def test_failed_rows_stay_failed_and_filtered_ones_filtered(tmp_path: Path) -> None:
    def reply(request: Request) -> str | None:
        prompt = request.messages[-1]["content"]
        return json.dumps({"texts": ["one", "two words and a third"]}) if "topic 1" in prompt else None

    provider = ThinkingProvider("m", log=tmp_path / "log", reply=reply)
    fields: dict[str, Any] = {
        "topics": 3,
        "num_samples_per_prompt": 3,
        "quality": [{"stage": "length", "min_words": 2}],
    }
    first = raw(tmp_path, **fields).generate([provider])
    counts = assert_balanced(first.report)
    assert counts.failed
    assert counts.filtered
    sent = len(requests_in(provider.log))
    second = raw(tmp_path, reasoning="metadata", **fields).generate([provider])
    again = assert_balanced(second.report)
    assert (again.written, again.filtered, again.failed) == (counts.written, counts.filtered, counts.failed)
    assert all(row["metadata"]["reasoning"] for row in rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(provider.log)) == sent


def test_a_change_of_the_plan_at_the_same_time_is_told_apart(tmp_path: Path, provider: ThinkingProvider) -> None:
    plain = generate(raw(tmp_path, topics=4), provider)
    told: list[str] = []

    def note(ahead: Any) -> bool:
        told.extend(ahead.change.sentences())
        return True

    dataset = raw(tmp_path, topics=["topic 1", "topic 2", "new"], reasoning="metadata")
    rows = generate(dataset, provider, on_change=note)
    assert told[:2] == ["The config has changed: 2 rows stay, 2 leave.", "They move to out.jsonl.stale-<time>."]
    assert told[-1].startswith("reasoning was drop and is metadata: 2 rows are made again from recorded replies")
    assert all(taken_out(row) for row in rows)
    assert len(requests_in(provider.log)) == 5
    stale, former = (rows_of(Path(path)) for path in dataset.report.set_aside)
    assert {row["metadata"]["topic"] for row in stale} == {"topic 0", "topic 3"}
    assert same_rows(stale + former, plain)


def test_a_no_to_a_change_leaves_every_file(tmp_path: Path, provider: ThinkingProvider) -> None:
    generate(raw(tmp_path), provider)
    before = snapshot(tmp_path, "out.jsonl*")
    with pytest.raises(OutputError, match="stays as it is"):
        raw(tmp_path, reasoning="field").generate([provider], on_change=lambda ahead: False)
    assert snapshot(tmp_path, "out.jsonl*") == before


@pytest.mark.parametrize("run", [{"fan_out": "fallback"}, {"fan_out": "split"}, {"ordered": True}])
def test_rows_of_several_providers_are_made_again(tmp_path: Path, run: dict[str, Any]) -> None:
    def down(request: Request) -> Exception | None:
        is_refused = "topic 1" in request.messages[-1]["content"]
        return ProviderError("no", kind=ErrorKind.BAD_REQUEST, status=400) if is_refused else None

    log = tmp_path / "log"
    # Of the ways to share out, only `fallback` has another one for what the first refuses.
    first = ThinkingProvider("a", log=log, reply=down if run.get("fan_out") == "fallback" else None)
    providers = [first, ThinkingProvider("b", log=log)]
    before = raw(tmp_path, topics=6, run=run).generate(providers)
    plain, sent = rows_of(tmp_path / "out.jsonl"), len(requests_in(log))
    assert len({row["model_id"] for row in plain}) == 2
    after = raw(tmp_path, topics=6, run=run, reasoning="metadata").generate(providers)
    assert (before.report.written, after.report.calls, len(requests_in(log))) == (after.report.written, 0, sent)
    rows = rows_of(tmp_path / "out.jsonl")
    assert all(taken_out(row) for row in rows)
    assert rows == plain if run.get("ordered") else same_rows(rows, plain)


def test_rows_that_have_left_the_config_stay_as_they_are(tmp_path: Path, provider: ThinkingProvider) -> None:
    generate(raw(tmp_path, topics=4), provider)
    dataset = raw(tmp_path, topics=2, reasoning="metadata", run={"removed": "keep"})
    dataset.generate([provider])
    assert (dataset.report.written, dataset.report.removed, dataset.report.calls) == (2, 2, 0)
    told = {row["metadata"]["topic"]: "reasoning" in row["metadata"] for row in rows_of(tmp_path / "out.jsonl")}
    assert told == {"topic 0": True, "topic 1": True, "topic 2": False, "topic 3": False}


def test_rows_that_come_back_into_the_config_are_made_again_with_the_reasoning_of_now(
    tmp_path: Path, provider: ThinkingProvider
) -> None:
    def made(topics: int, place: str) -> Any:
        dataset = raw(tmp_path, topics=topics, reasoning=place, run={"removed": "keep"})
        return dataset.generate([provider]).report

    made(6, "drop")
    made(4, "drop")
    report = made(2, "metadata")
    assert (report.written, report.removed) == (2, 4)
    for topics in (4, 6):
        report = made(topics, "metadata")
        assert (report.written, report.removed, report.calls) == (topics, 6 - topics, 0)
        assert [len(rows_of(Path(path))) for path in report.set_aside] == [2]
        told = [row for row in rows_of(tmp_path / "out.jsonl") if "reasoning" in row["metadata"]]
        assert len(told) == topics
    assert made(2, "metadata").removed == 4
    assert (made(6, "metadata").set_aside, len(requests_in(provider.log))) == ([], 6)


def test_a_name_that_is_taken_is_refused(tmp_path: Path, provider: ThinkingProvider) -> None:
    schema = {"reasoning": {"type": "text", "prompt": "Say."}}
    dataset = columns(tmp_path, schema)
    dataset.config.reasoning = "field"
    with pytest.raises(
        ConfigError, match=r"^reasoning: The rows have a field reasoning of their own\. Write reasoning: metadata"
    ):
        generate(dataset, provider)
    with pytest.raises(ConfigError, match="reasoning: The rows have a field reasoning"):
        generate(talk(tmp_path, **STYLES["freetext"], reasoning="field"), provider)
    with pytest.raises(
        ValidationError, match=r"expansion\.placeholders\.reasoning: The metadata of rows already has a reasoning"
    ):
        raw(tmp_path, reasoning="metadata", expansion={"placeholders": {"reasoning": ["a"]}}, prompts=[PROMPT])
    assert not requests_in(provider.log)


PROMPT = "{num_samples} {language_name} {document_type} {topic} <<reasoning>>"


# -- kill -9


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("datafast.store.compaction:_divide", "before"),
        ("datafast.store.compaction:_divide", "after"),
        ("datafast.store.ledger:Ledger.replace_appends", "after"),
        ("datafast.store.ledger:Ledger.lose_rows", "after"),
        ("datafast.store.ledger:Ledger.checkpoint", "before"),
        ("datafast.store.compaction:finish_rewrite", "before"),
        ("pathlib:Path.replace", "after"),
        ("datafast.store.recovery:match", "after"),
        ("datafast.store.append_file:AppendFile.append", "before"),
        ("datafast.store.append_file:AppendFile.append", "half"),
        ("datafast.store.append_file:AppendFile.append", "after"),
        ("datafast.store.appends:AppendTable.put", "after"),
        ("datafast.store.writer:Store.close", "before"),
    ],
)
def test_a_kill_while_rows_are_made_again_loses_none_and_buys_none(
    tmp_path: Path, server: ForkServer, point: str, when: str
) -> None:
    provider = ThinkingProvider("m", log=tmp_path / "requests")
    plain = generate(raw(tmp_path, topics=40), provider)
    run = {"folder": str(tmp_path), "log": str(provider.log), "topics": 40, "reasoning": "metadata"}
    assert server.run("tests.support:crashing_run", point=point, when=when, **run) == 9
    rows = generate(raw(tmp_path, topics=40, reasoning="metadata"), provider)
    assert all("Thinking of" in taken_out(row) for row in rows)
    assert same_rows(rows, plain)
    assert len(requests_in(provider.log)) == 40
    kept = [row for path in tmp_path.glob("out.jsonl.former-*") for row in rows_of(path)]
    assert same_rows(kept, plain)
    assert not list(tmp_path.glob(".datafast-*"))
