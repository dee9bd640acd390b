"""How the two responses of a pair come about: strategies, several providers a role, judges, margins."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import PreferenceDataset
from datafast.engine.stages import settings_of
from datafast.errors import DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.schema.config import PreferenceDatasetConfig, RunConfig
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

CHOSEN = "C: {language_name} {document} {question}"
DEGRADE = "D: {question} / {answer} / {flaw}"
JUDGE = "J: {document} {question} {response}"
BOTH = "B: {document} {question} {first} | {second}"


def pairs(folder: Path, *, run: dict[str, Any] | None = None, **fields: Any) -> PreferenceDataset:
    """Pairs of two questions about one document."""
    given = {
        "input_documents": ["Of harbour cranes."],
        "num_samples_per_prompt": 2,
        "chosen_response_generation_prompt": CHOSEN,
        "output_file": folder / "out.jsonl",
        **fields,
    }
    return PreferenceDataset(
        PreferenceDatasetConfig(run=RunConfig(**{"max_concurrency": 8, "max_parse_retries": 0, **(run or {})}), **given)
    )


def answering(
    folder: Path, name: str = "m", *, score: Callable[[str], Any] = lambda prompt: 5, text: str = ""
) -> CountingProvider:
    """A model that writes texts of its own, and whose judgement of a prompt is `score(prompt)`: one score, or two."""
    count = iter(range(1000))

    def reply(request: Request) -> str | None:
        prompt = request.messages[-1]["content"]
        if request.schema is None:
            return text or f"answer {next(count)} of {name}"
        if "first_score" in request.schema.json_schema["properties"]:
            first, second = score(prompt)
            return json.dumps(
                {"first_reason": "1st", "first_score": first, "second_reason": "2nd", "second_score": second}
            )
        if "score" in request.schema.json_schema["properties"]:
            return json.dumps({"assessment": f"{name}: fine", "score": score(prompt)})
        return json.dumps({"texts": ["How high?", "How heavy?"]})

    return CountingProvider(name, log=folder / "requests", reply=reply)


def sent(folder: Path, letter: str) -> list[tuple[str, str]]:
    return [(model, prompt) for model, prompt in requests_in(folder / "requests") if prompt.startswith(letter)]


# -- degrade


def test_degrade_makes_the_chosen_answer_worse_in_a_way_that_the_row_names(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, strategy="degrade", degrade_prompt=DEGRADE, flaws=["vague", "wrong"])
    assert dataset.config.roles == ["question", "chosen", "rejected"]
    good, bad = answering(tmp_path, "good"), answering(tmp_path, "bad")
    dataset.generate({"question": good, "chosen": good, "rejected": bad})
    assert assert_balanced(dataset.report).written == 2
    told = {prompt for _, prompt in sent(tmp_path, "D")}
    for row in dataset.data_rows:
        assert f"D: {row.question} / {row.chosen_response} / {row.metadata['flaw']}" in told
        assert row.rejected_model_id == "simulated/bad"
    assert sorted(row.metadata["flaw"] for row in dataset.data_rows) == ["vague", "wrong"]


def test_degraded_answers_start_from_the_evolved_one_and_are_judged(tmp_path: Path) -> None:
    dataset = pairs(
        tmp_path,
        strategy="degrade",
        degrade_prompt=DEGRADE,
        evol_instruct=True,
        evolution_prompt="E: {document} {question} {answer}",
        llm_as_judge=True,
        judge_prompt=JUDGE,
    )
    model = answering(tmp_path, score=lambda prompt: 8)
    dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    assert {(row.chosen_response_score, row.rejected_response_score) for row in dataset.data_rows} == {(8, 8)}
    chosen = {row.chosen_response for row in dataset.data_rows}
    assert {prompt.split(" / ")[1] for _, prompt in sent(tmp_path, "D")} == chosen


@pytest.mark.parametrize(("judging", "scores"), [("separate", (3, 8)), ("both_orders", (3, 8))])
def test_a_worse_answer_that_is_judged_better_is_filtered_and_never_takes_the_other_place(
    tmp_path: Path, judging: str, scores: tuple[int, int]
) -> None:
    dataset = pairs(tmp_path, strategy="degrade", llm_as_judge=True, judging=judging)
    good, bad = answering(tmp_path, "good"), answering(tmp_path, "bad")

    def score(prompt: str) -> Any:
        if judging == "separate":
            return scores["of bad" in prompt]
        return scores if prompt.index("of good") < prompt.index("of bad") else scores[::-1]

    judge = answering(tmp_path, "judge", score=score)
    with pytest.warns(DatafastWarning, match="All 2 rows were filtered"):
        dataset.generate_roles({"question": good, "chosen": good, "rejected": bad, "judge": judge})
    report = assert_balanced(dataset.report)
    assert report.filtered_by_stage == {"pair": {"the degraded response is judged better": 2}}


def test_a_degrading_prompt_without_a_flaw_names_none_in_the_row(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, strategy="degrade", degrade_prompt="D: {question} / {answer}")
    dataset.generate_roles(dict.fromkeys(dataset.config.roles, answering(tmp_path)))
    assert [set(row.metadata) for row in dataset.data_rows] == [{"prompt_index"}] * 2


# -- pairs that say nothing


@pytest.mark.parametrize("strategy", ["two_models", "degrade", "best_of_n"])
def test_pairs_of_the_same_text_are_filtered_and_counted(tmp_path: Path, strategy: str) -> None:
    dataset = pairs(tmp_path, strategy=strategy)
    scores = iter([9, 3] * 20)
    model = answering(tmp_path, text="One text. ", score=lambda _: next(scores))
    with pytest.warns(DatafastWarning, match="All 2 rows were filtered"):
        dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    report = assert_balanced(dataset.report)
    assert report.filtered_by_stage == {"pair": {"both responses are the same": 2}}


def test_the_worst_of_several_answers_is_another_text_than_the_best(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, strategy="best_of_n", num_responses=3, judge_prompt=JUDGE, num_rows=1)
    texts, scores = iter(["one", "one ", "other"]), {"one": iter([9, 2]), "other": iter([5])}

    def reply(request: Request) -> str | None:
        if request.schema is None:
            return next(texts)
        if "score" in request.schema.json_schema["properties"]:
            said = request.messages[-1]["content"].split()[-1]
            return json.dumps({"assessment": "fine", "score": next(scores[said])})
        return None

    model = CountingProvider("m", log=tmp_path / "requests", reply=reply)
    dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    (row,) = dataset.data_rows
    assert (row.chosen_response.strip(), row.rejected_response, row.margin) == ("one", "other", 4)


# -- best of n


def of_last_digit(prompt: str) -> int:
    return 1 + int(prompt.split("answer ")[1][0])


def test_best_of_n_pairs_the_best_with_the_worst_of_several_answers(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, strategy="best_of_n", num_responses=3, judge_prompt=JUDGE, num_rows=1)
    assert dataset.config.roles == ["question", "chosen", "judge"]
    model = answering(tmp_path, score=of_last_digit)
    dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    (row,) = dataset.data_rows
    assert (row.chosen_response, row.rejected_response) == ("answer 2 of m", "answer 0 of m")
    assert (row.chosen_response_score, row.rejected_response_score, row.margin) == (3, 1, 2)
    assert [(said.judge, said.chosen_score, said.rejected_score) for said in row.judgements] == [("judge", 3, 1)]
    assert len(sent(tmp_path, "C")) == len(sent(tmp_path, "J")) == 3


def test_answers_of_which_none_is_better_are_filtered_and_counted(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, strategy="best_of_n", judge_prompt=JUDGE)
    model = answering(tmp_path, score=lambda prompt: 5)
    with pytest.warns(DatafastWarning, match="All 2 rows were filtered"):
        dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    report = assert_balanced(dataset.report)
    assert (report.written, report.filtered, report.failed) == (0, 2, 0)
    assert len(sent(tmp_path, "C")) == 2 * 4
    with pytest.warns(DatafastWarning, match="All 2 rows were filtered"):
        dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    assert len(sent(tmp_path, "C")) == 2 * 4


def test_the_answers_of_best_of_n_come_from_all_models_in_turn(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, strategy="best_of_n", chosen_by=["a", "b"], judge_prompt=JUDGE)
    others = {name: answering(tmp_path, name, score=of_last_digit) for name in ("question", "a", "b", "judge")}
    dataset.generate_roles(others)
    assert Counter(model for model, _ in sent(tmp_path, "C")) == {"simulated/a": 4, "simulated/b": 4}


# -- several providers a role


def test_providers_of_a_role_take_turns_whatever_the_order_of_documents(tmp_path: Path) -> None:
    documents = [f"Document {number}." for number in range(6)]
    names = {"question": "q", "a": "a", "b": "b", "c": "c", "rejected": "r"}
    providers = {role: CountingProvider(name, log=tmp_path / "requests") for role, name in names.items()}
    dataset = pairs(tmp_path, input_documents=documents, num_samples_per_prompt=3, chosen_by=["a", "b", "c"])
    dataset.generate_roles(providers)
    rows = rows_of(tmp_path / "out.jsonl")
    assert Counter(row["chosen_model_id"] for row in rows) == {"simulated/a": 6, "simulated/b": 6, "simulated/c": 6}
    assert {row["rejected_model_id"] for row in rows} == {"simulated/r"}
    before = len(requests_in(tmp_path / "requests"))
    (tmp_path / "out.jsonl").unlink()
    again = pairs(tmp_path, input_documents=documents[::-1], num_samples_per_prompt=3, chosen_by=["a", "b", "c"])
    again.generate_roles(providers)
    assert same_rows(rows, rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(tmp_path / "requests")) == before


# -- judging


def test_scores_of_several_judges_are_their_mean_and_each_is_told(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, llm_as_judge=True, judges=["one", "two"], judge_prompt=JUDGE)
    model = answering(tmp_path)
    first, second = answering(tmp_path, "x", score=lambda _: 6), answering(tmp_path, "y", score=lambda _: 9)
    dataset.generate({"question": model, "chosen": model, "rejected": model, "one": first, "two": second})
    for row in dataset.data_rows:
        assert (row.chosen_response_score, row.rejected_response_score, row.margin) == (7.5, 7.5, 0)
        assert row.chosen_response_assessment == "one: x: fine\ntwo: y: fine"
        assert [(said.judge, said.model_id, said.chosen_score) for said in row.judgements] == [
            ("one", "simulated/x", 6),
            ("two", "simulated/y", 9),
        ]
        assert row.judge_model_id is None


def test_both_orders_are_judged_and_the_place_cancels_out(tmp_path: Path) -> None:
    """The judge gives whatever stands first two points more; the rejected response deserves one more."""

    def score(prompt: str) -> tuple[int, int]:
        rejected_is_first = prompt.partition(" | ")[0].endswith("bad")
        return (7, 4) if rejected_is_first else (6, 5)

    dataset = pairs(tmp_path, llm_as_judge=True, judging="both_orders", judge_prompt=BOTH, num_rows=1)
    chosen, rejected = answering(tmp_path, text="good"), answering(tmp_path, text="bad", name="r")
    judge = answering(tmp_path, score=score)
    dataset.generate({"question": chosen, "chosen": chosen, "rejected": rejected, "judge": judge})
    (row,) = dataset.data_rows
    assert sorted(prompt.split("? ")[1] for _, prompt in sent(tmp_path, "B")) == ["bad | good", "good | bad"]
    assert (row.chosen_response, row.chosen_response_score) == ("bad", 6)
    assert (row.rejected_response, row.rejected_response_score) == ("good", 5)
    assert (row.chosen_model_id, row.margin, row.steady) == ("simulated/r", 1, False)


def test_the_default_prompt_for_both_orders_shows_both(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, llm_as_judge=True, judging="both_orders", num_rows=1)
    model = answering(tmp_path, score=lambda _: (3, 3))
    dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
    assert sum("The second response:\n\nanswer " in prompt for _, prompt in requests_in(tmp_path / "requests")) == 2


def test_pairs_below_the_margin_are_filtered_and_another_margin_decides_again_and_buys_nothing(tmp_path: Path) -> None:
    def score(prompt: str) -> int:
        return (
            {"How high?": 9, "How heavy?": 6}[prompt.split(". ")[1].partition("? ")[0] + "?"] if "good" in prompt else 5
        )

    def run(least: float) -> Any:
        dataset = pairs(tmp_path, llm_as_judge=True, min_margin=least, judge_prompt=JUDGE)
        good, bad = answering(tmp_path, text="good"), answering(tmp_path, text="bad")
        dataset.generate(
            {"question": good, "chosen": good, "rejected": bad, "judge": answering(tmp_path, score=score)},
            on_change=lambda _: True,
        )
        return assert_balanced(dataset.report)

    report = run(2)
    assert (report.written, report.filtered) == (1, 1)
    assert [row["margin"] for row in rows_of(tmp_path / "out.jsonl")] == [4]
    before = len(requests_in(tmp_path / "requests"))
    report = run(1)
    assert (report.written, report.filtered) == (2, 0)
    assert len(requests_in(tmp_path / "requests")) == before


# -- questions that are given

ALONE = {
    "chosen_response_generation_prompt": "C: {language_name} {question}",
    "judge_prompt": "J: {question} {response}",
}


@pytest.mark.parametrize("strategy", ["two_models", "degrade", "best_of_n"])
def test_questions_may_be_given_in_the_place_of_documents(tmp_path: Path, strategy: str) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"text": "Why?"}\n{"text": "Write a poem."}\n', encoding="utf-8")
    config = PreferenceDatasetConfig(
        questions=str(tmp_path / "prompts.jsonl"),
        strategy=strategy,
        llm_as_judge=True,
        evol_instruct=strategy != "best_of_n",
        languages={"en": "English", "fr": "French"},
        output_file=tmp_path / "out.jsonl",
    )
    dataset = PreferenceDataset(config)
    assert dataset.get_num_expected_rows() == 2 * 2
    assert "question" not in config.roles
    dataset.generate_roles(dict.fromkeys(config.roles, CountingProvider("m", log=tmp_path / "requests")))
    report = assert_balanced(dataset.report)
    assert report.written + report.filtered == 4
    assert not [prompt for _, prompt in requests_in(tmp_path / "requests") if "document" in prompt]
    for row in dataset.data_rows:
        assert row.question in {"Why?", "Write a poem."}
        assert (row.input_document, row.question_model_id) == ("", None)


def test_prompts_for_given_questions_are_filled_without_a_document(tmp_path: Path) -> None:
    config = PreferenceDatasetConfig(
        questions=["Why?"],
        rejected_response_generation_prompt="R: {language_name} {question} in a <<tone>> tone",
        expansion={"placeholders": {"tone": ["dry", "warm"]}},
        llm_as_judge=True,
        output_file=tmp_path / "out.jsonl",
        **ALONE,
    )
    dataset = PreferenceDataset(config)
    model = answering(tmp_path)
    dataset.generate_roles(dict.fromkeys(config.roles, model))
    assert [prompt for _, prompt in sent(tmp_path, "C")] == ["C: English Why?"] * 2
    assert sorted(prompt for _, prompt in sent(tmp_path, "R")) == [
        "R: English Why? in a dry tone",
        "R: English Why? in a warm tone",
    ]
    assert {row.metadata["tone"] for row in dataset.data_rows} == {"dry", "warm"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "input_documents: Give documents"),
        ({"questions": ["a"], "input_documents": ["b"]}, "input_documents: Give documents .* and not both"),
        ({"questions": ["a"], "num_samples_per_prompt": 2}, "num_samples_per_prompt: The questions are given"),
        ({"questions": ["a"], "question_generation_prompts": ["x"]}, "question_generation_prompts: "),
    ],
)
def test_either_documents_or_questions_are_given(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PreferenceDatasetConfig(output_file=tmp_path / "out.jsonl", **fields)


# -- as it was


def test_rows_of_a_plain_config_have_no_new_columns(tmp_path: Path) -> None:
    dataset = pairs(tmp_path, llm_as_judge=True)
    assert settings_of(dataset.stages) == "[]"  # so an output of an earlier version is not told that they have changed
    dataset.generate_roles(dict.fromkeys(dataset.config.roles, SimulatedProvider("m")))
    assert "margin" not in rows_of(tmp_path / "out.jsonl")[0]
    assert isinstance(rows_of(tmp_path / "out.jsonl")[0]["chosen_response_score"], int)


@pytest.mark.parametrize("strategy", ["two_models", "degrade", "best_of_n"])
def test_rows_do_not_depend_on_the_order_of_replies(tmp_path: Path, strategy: str) -> None:
    def made(name: str, **run: Any) -> list[dict[str, Any]]:
        (tmp_path / name).mkdir()
        dataset = pairs(tmp_path / name, strategy=strategy, run=run, llm_as_judge=True, chosen_by=["a", "b"])
        model = SimulatedProvider("m", latency_jitter_s=0.004)
        dataset.generate_roles(dict.fromkeys(dataset.config.roles, model))
        return rows_of(tmp_path / name / "out.jsonl")

    assert same_rows(made("one"), made("two", max_concurrency=1))


# -- configs


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"flaws": ["vague"]}, "flaws is given, but not used without strategy: degrade"),
        ({"degrade_prompt": DEGRADE}, "degrade_prompt is given, but not used without strategy: degrade"),
        ({"num_responses": 3}, "num_responses is given, but not used without strategy: best_of_n"),
        ({"min_margin": 2}, "min_margin is given, but not used without llm_as_judge: true"),
        ({"judging": "both_orders"}, "judging: Nothing is judged"),
        (
            {"strategy": "degrade", "rejected_response_generation_prompt": CHOSEN},
            "rejected_response_generation_prompt is given, but not used without strategy: two_models",
        ),
        ({"strategy": "best_of_n", "evol_instruct": True}, "evol_instruct: With strategy: best_of_n"),
        ({"strategy": "best_of_n", "judging": "both_orders"}, "judging: With strategy: best_of_n"),
        (
            {"strategy": "degrade", "flaws": ["vague"], "degrade_prompt": "{question} {answer}"},
            r"flaws: degrade_prompt has no \{flaw\}",
        ),
        (
            {
                "strategy": "degrade",
                "chosen_response_generation_prompt": CHOSEN + " <<flaw>>",
                "expansion": {"placeholders": {"flaw": ["a"]}},
            },
            r"expansion\.placeholders\.flaw: .* already has a flaw",
        ),
        ({"strategy": "degrade", "degrade_prompt": "{question}"}, r"degrade_prompt: \{answer\} is missing"),
        ({"llm_as_judge": True, "judging": "both_orders", "judge_prompt": JUDGE}, r"judge_prompt: \{first\}"),
        ({"chosen_by": ["a", "a"]}, "chosen_by: A name is given twice"),
        ({"system_prompt": {"chsen": "x"}}, "system_prompt: There is no role 'chsen'. Did you mean 'chosen'"),
    ],
)
def test_what_has_no_effect_or_does_not_fit_is_refused(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        pairs(tmp_path, **fields)


def test_a_config_of_yaml_names_a_provider_for_each_role(tmp_path: Path) -> None:
    config = tmp_path / "pairs.yaml"
    config.write_text(
        "kind: preference\ninput_documents: [Of cranes.]\nstrategy: best_of_n\nchosen_by: [a, b]\njudges: [x, y]\n"
        "providers: {question: simulated/q, a: simulated/a, b: simulated/b, x: simulated/x, y: simulated/y}\n",
        encoding="utf-8",
    )
    assert load_project(config).config.roles == ["question", "a", "b", "x", "y"]
