"""The stage `judge`: models score rows, and an expression over their scores keeps them or not."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.errors import ConfigError, RunStopped
from datafast.judging.families import families
from datafast.judging.output import agreements_in
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.quality.judge import JudgeStage
from tests.support import CountingProvider, assert_balanced, columns, preference, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")

SCORES = [1, 3, 4, 5]


def writes(request: Request) -> str:
    number = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    return json.dumps({"texts": [f"text {number} worth {score}" for score in SCORES]})


def worth(request: Request, less: int = 0) -> str:
    found = re.search(r"worth (\d)", request.messages[-1]["content"])
    score = max(1, int(found[1]) - less) if found else 0
    return json.dumps({"reason": f"It is worth {score}.", "score": score})


class Bench:
    """A folder with a writer, who gives rows a worth, and judges, who see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = self.model("gpt-4.1", writes)

    def model(self, name: str, reply: Any = worth, **options: Any) -> CountingProvider:
        return CountingProvider(name, log=self.folder / "requests", reply=reply, **options)

    def dataset(self, *stages: Any, **fields: Any) -> RawDataset:
        return raw(self.folder, topics=3, num_samples_per_prompt=4, quality=list(stages), **fields)

    def generate(self, *stages: Any, **options: Any) -> Any:
        dataset = self.dataset(*stages)
        with suppress(RunStopped):
            dataset.generate([self.writer], **options)
        return assert_balanced(dataset.report)

    def judge(self, *models: Any, **fields: Any) -> JudgeStage:
        return JudgeStage(providers=list(models) or [self.model("claude")], **fields)

    @property
    def asked(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for model, prompt in requests_in(self.folder / "requests"):
            found.setdefault(model.removeprefix("simulated/"), []).append(prompt)
        return found

    @property
    def kept(self) -> Counter[str]:
        return Counter(row["text"][-1] for row in rows_of(self.folder / "out.jsonl"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_rows_with_three_quarters_of_the_scale_are_kept(bench: Bench) -> None:
    report = bench.generate(bench.judge(rubric="Is it worth reading?"))
    assert (report.written, report.filtered) == (6, 6)
    assert bench.kept == {"4": 3, "5": 3}
    assert report.filtered_by_stage == {"judge": {"not score >= 4": 6}}


def test_judges_are_shown_the_row_without_where_it_comes_from_then_the_rubric_and_the_scale(bench: Bench) -> None:
    bench.generate(bench.judge(rubric="Is it worth reading?", system_prompt="You are strict."))
    prompt = bench.asked["claude"][0]
    assert "text:\ntext" in prompt
    assert "gpt-4.1" not in prompt
    assert prompt.index("text:") < prompt.index("Is it worth reading?") < prompt.index("1 (worst) to 5 (best)")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"field": "text"}, r"text:\ntext \d worth"),
        ({"prompt": "A {document_type}? {text}"}, None),
        ({"prompt": "Read: {text}"}, r"Read: text \d"),
    ],
)
def test_what_judges_are_shown_may_be_said(bench: Bench, fields: dict[str, str], expected: str | None) -> None:
    stage = bench.judge(**fields)
    if expected is None:
        with pytest.raises(ConfigError, match=r"quality\[0\]: prompt: .*document_type"):
            bench.generate(stage)
    else:
        bench.generate(stage)
        assert re.match(expected, bench.asked["claude"][0])


@pytest.mark.parametrize(
    ("scale", "kept_if"),
    [([1, 5], "score >= 4"), ([0, 10], "score >= 7.5"), ([0.0, 1.0], "score >= 0.75"), ("integer", "score >= 4")],
)
def test_the_scale_says_what_is_good(scale: Any, kept_if: str) -> None:
    stage = JudgeStage(providers=["openai/gpt-4.1"], scale=scale)
    assert stage.kept_if == kept_if
    assert JudgeStage.model_validate(stage.model_dump(mode="json")) == stage


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": [1]},
        {"scale": [5, 1]},
        {"scale": ["a", "b"]},
        {"scale": [1, 5], "max": 9},
        {"field": "text", "prompt": "{text}"},
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JudgeStage(providers=["openai/gpt-4.1"], **fields)


def test_an_expression_decides_over_what_several_judges_say(bench: Bench) -> None:
    judges = [bench.model("claude"), bench.model("gemini", lambda request: worth(request, less=2))]
    bench.generate(bench.judge(*judges, keep_if="score == 4 or lowest == 2 and spread == 2 and 'claude' in reason"))
    assert bench.kept == {"4": 3, "5": 3}
    bench.generate(bench.judge(*judges, keep_if="row.text | length > 3 and highest >= 5"), fresh=True)
    assert bench.kept == {"5": 3}


def test_an_unknown_name_in_the_expression_is_refused_before_anything_is_bought(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"quality\[0\]: keep_if: .*scores"):
        bench.generate(bench.judge(keep_if="scores > 3"))
    assert bench.asked == {}


@pytest.mark.parametrize(
    ("keep_if", "is_refused"),
    [
        ("score >= 9", True),
        ("{{ score > 5 }}", True),
        ("row.language == 'en' and not score <= 5", True),
        ("score == 0 or lowest < 1 or 6 <= highest", True),
        ("1 <= score <= 5 and spread != 0", True),  # there is one judge
        ("score >= 5", False),
        ("score >= 9 or row.language == 'en'", False),
        ("score * 2 > 9", False),
        ("score > -1", False),
        ("spread == 0 and 'worth' in reason", False),
    ],
)
def test_an_expression_that_no_score_fulfils_is_refused_before_anything_is_bought(
    bench: Bench, keep_if: str, is_refused: bool
) -> None:
    stage = bench.judge(keep_if=keep_if)
    if is_refused:
        with pytest.raises(
            ConfigError, match=r"quality\[0\]: keep_if: It is never true, because scores are from 1 to 5"
        ):
            bench.generate(stage)
        assert bench.asked == {}
    else:
        bench.dataset(stage).estimate([bench.writer])
        assert list(bench.dataset(stage).stage_problems()) == []


def test_what_several_judges_may_differ_by_is_known(bench: Bench) -> None:
    two = [bench.model("claude"), bench.model("gemini")]
    assert list(bench.dataset(bench.judge(*two, keep_if="spread >= 4")).stage_problems()) == []
    ((_, problem),) = bench.dataset(bench.judge(*two, keep_if="spread > 4")).stage_problems()
    assert str(problem).startswith("keep_if: It is never true")


def test_a_prompt_that_shows_nothing_of_the_row_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"quality\[0\]: prompt: It shows judges nothing of a row"):
        bench.generate(bench.judge(prompt="Is it good?", rubric="Good is good."))
    assert bench.asked == {}
    bench.generate(bench.judge(prompt="Is it good?", rubric="It says: {text}"))
    assert len(bench.asked["claude"]) == 12


def test_a_judge_that_is_named_twice_is_refused_unless_it_has_two_names(bench: Bench) -> None:
    with pytest.raises(ValueError, match=r"quality\[0\]\.providers\[1\]: simulated/claude is there twice"):
        bench.dataset(bench.judge(bench.model("claude"), bench.model("claude")))
    again = CountingProvider("claude", name="again", log=bench.folder / "requests", reply=worth)
    bench.generate(bench.judge(bench.model("claude"), again))
    assert len(bench.asked["claude"]) == 24


def test_what_judges_say_may_be_kept_in_the_row(bench: Bench) -> None:
    bench.generate(bench.judge(keep_as="judged"))
    judged = [row["metadata"]["judged"] for row in rows_of(bench.folder / "out.jsonl")]
    assert {"judge": "simulated/claude", "score": 4, "reason": "It is worth 4."} in judged
    judges = [bench.model("claude"), bench.model("gemini", lambda request: worth(request, less=1))]
    report = bench.generate(bench.judge(*judges, keep_as="judged", keep_if="score > 2"))
    assert (report.written, report.calls) == (9, 12)
    row = next(row for row in rows_of(bench.folder / "out.jsonl") if row["text"].endswith("5"))
    assert row["metadata"]["judged"] == {
        "score": 4.5,
        "spread": 1,
        "judgements": [
            {"judge": "simulated/claude", "score": 5, "reason": "It is worth 5."},
            {"judge": "simulated/gemini", "score": 4, "reason": "It is worth 4."},
        ],
    }
    assert agreements_in(bench.folder / "out.jsonl")["judged"].num_rows == 9
    bench.generate(bench.judge(keep_as="judged"))
    assert [row["metadata"]["judged"] for row in rows_of(bench.folder / "out.jsonl")] == judged


def test_two_judges_do_not_write_over_what_the_other_says(bench: Bench) -> None:
    with pytest.raises(ValueError, match=r"quality\[1\]: metadata\.judged is what quality\[0\] adds already"):
        bench.dataset(bench.judge(keep_as="judged"), bench.judge(keep_as="judged", rubric="Is it true?"))
    bench.generate(bench.judge(keep_as="judged"), bench.judge(keep_as="true", rubric="Is it true?"))
    assert {"judged", "true"} <= rows_of(bench.folder / "out.jsonl")[0]["metadata"].keys()


@pytest.mark.parametrize("name", ["topic", "document_type", "prompt_index", "tone", "best_of_n", "truncated"])
def test_what_judges_say_does_not_take_the_place_of_other_metadata(bench: Bench, name: str) -> None:
    fields = {
        "expansion": {"placeholders": {"tone": ["calm"]}},
        "prompts": ["{num_samples} {language_name} {document_type} {topic} <<tone>>"],
        "best_of_n": {"n": 2, "check": "text"},
    }
    told = rf"quality\[0\]: The metadata of rows already has a {name}, which would be lost\. Choose another name\."
    if name == "truncated":  # which is there with run.on_truncation: keep alone
        bench.dataset(bench.judge(keep_as=name), **fields)
    else:
        with pytest.raises(ValueError, match=told):
            bench.dataset(bench.judge(keep_as=name), **fields)


def test_metadata_of_rows_of_a_file_are_not_replaced_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"text": "The tide comes.", "metadata": {"topic": "tides"}}
    Path("in.jsonl").write_text(f"{json.dumps(row)}\n", encoding="utf-8")
    words = ["filter", "in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", "--json"]
    judge = "{stage: judge, keep_as: %s, keep_if: score > 0, providers: [{provider: simulated, model_id: m}]}"
    Path("q.yaml").write_text(f"quality: [{judge % 'topic'}]\n", encoding="utf-8")
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 4
    assert "keep_as: The metadata of rows already has a topic, which would be lost." in refused.output
    Path("q.yaml").write_text(f"quality: [{judge % 'judged'}]\n", encoding="utf-8")
    assert CliRunner().invoke(cli, words).exit_code == 0
    (kept,) = rows_of(Path("kept.jsonl"))
    assert kept["metadata"]["topic"] == "tides"
    assert kept["metadata"]["judged"]["judge"] == "simulated/m"


# -- families


def test_a_model_does_not_judge_rows_of_its_own_family(bench: Bench) -> None:
    bench.generate(bench.judge(bench.model("gpt-5-mini"), bench.model("claude")))
    assert sorted(bench.asked) == ["claude", "gpt-4.1"]


def test_nobody_left_to_judge_is_said_before_anything_is_bought(bench: Bench) -> None:
    stage = bench.judge(bench.model("gpt-5-mini"))
    with pytest.raises(ConfigError, match=r"quality\[0\]: providers: .*same family.*allow_own_family: true"):
        bench.generate(stage)
    assert bench.asked == {}
    assert bench.generate(bench.judge(bench.model("gpt-5-mini"), allow_own_family=True)).written == 6


def test_the_family_is_that_of_who_wrote_the_field_that_is_judged(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    models = {name: CountingProvider(name, log=log) for name in ("claude-1", "gpt-4", "gemini-2", "grok-3", "qwen3")}
    providers = {
        "question": models["grok-3"],
        "chosen": models["claude-1"],
        "rejected": models["gpt-4"],
        "judge": models["grok-3"],
    }
    judges = [models["claude-1"], models["gpt-4"]]
    stage = JudgeStage(providers=judges, field="chosen_response", keep_if="true")
    preference(tmp_path, documents=1, quality=[stage]).generate(providers)
    asked = Counter(model for model, prompt in requests_in(log) if prompt.startswith("chosen response:"))
    assert asked == {"simulated/gpt-4": 2}


def test_where_rows_do_not_say_who_wrote_them_all_who_are_asked_count(tmp_path: Path) -> None:
    schema = {"text": {"type": "text", "provider": "writer", "prompt": "Write."}}
    log = tmp_path / "requests"
    writer, judges = (
        CountingProvider("gpt-4", log=log),
        [CountingProvider(name, log=log) for name in ("gpt-5", "claude")],
    )
    stage = JudgeStage(providers=judges, keep_if="true")
    columns(tmp_path, schema, quality=[stage]).generate({"writer": writer})
    assert {model for model, _ in requests_in(log)} == {"simulated/gpt-4", "simulated/claude"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("openai/gpt-4.1-2025-04-14", "gpt-5-mini", True),
        ("openai/o3-mini", "gpt-4.1", True),
        ("anthropic/claude-haiku-4-5-20251001", "claude-opus-4", True),
        ("openrouter/anthropic/claude-sonnet-4", "claude-opus-4", True),
        ("gemini/gemini-2.5-flash", "gemma3:4b", True),
        ("ollama/llama3.1:8b", "meta-llama/llama-3.3-70b-instruct", True),
        ("mistral/mistral-small-latest", "mixtral-8x7b", True),
        ("mistral/codestral-latest", "ministral-8b", True),
        ("openai/qwen2.5-72b", "qwq-32b", True),
        ("deepseek-r1-distill-llama-70b", "llama3", True),
        ("deepseek-r1-distill-llama-70b", "deepseek-chat", True),
        ("/models/Qwen3-4B-Q4_K_M.gguf", "qwen3:4b", True),
        ("litellm/bedrock/us.anthropic.claude-3-haiku", "claude-3", True),
        ("my-own-model", "ollama/my-own-model:latest", True),
        ("openai/my-deployment", "gpt-4.1", True),
        ("simulated/gpt-4.1", "openai/gpt-5", True),
        ("openai/qwen2.5-72b", "gpt-4.1", False),
        ("openai/gpt-4.1", "anthropic/claude-haiku-4-5", False),
        ("gemini/gemini-2.5-flash", "mistral-small", False),
        ("my-own-model", "my-other-model", False),
        ("x-ai/grok-4", "groq/llama-3.1-8b", False),
        ("cohere/command-r-plus", "gpt-4", False),
    ],
)
def test_families_are_told_by_names(one: str, other: str, same: bool) -> None:
    assert bool(families(one) & families(other)) is same


# -- before a run


def test_an_estimate_counts_the_calls_of_judges(bench: Bench) -> None:
    dataset = bench.dataset(bench.judge(bench.model("claude"), bench.model("gpt-5"), bench.model("gemini")))
    found = dataset.estimate([SimulatedProvider("gpt-4.1")])
    calls = {part.provider.removeprefix("simulated/"): sum(part.calls.values()) for part in found.providers}
    assert calls == {"gpt-4.1": 3, "claude": 12, "gpt-5": 0, "gemini": 12}
    assert found.calls == 27


def test_offline_judges_are_simulated(tmp_path: Path) -> None:
    stage = JudgeStage(providers=["anthropic/claude-haiku-4-5"], keep_if="true")
    report = raw(tmp_path, quality=[stage]).generate([SimulatedProvider("gpt-4.1")], offline=True).report
    assert (report.written, report.calls) == (6, 12)


def test_a_missing_key_of_a_judge_is_said_before_anything_is_bought(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ConfigError):
        bench.generate(JudgeStage(providers=["anthropic/claude-haiku-4-5"]))
    assert bench.asked == {}
