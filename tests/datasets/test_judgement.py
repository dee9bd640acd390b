"""Judgements of rows that there are already: scores, several judges, two columns in both orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import JudgementDataset
from datafast.llms.base import Request
from datafast.schema.config import JudgementDatasetConfig, RunConfig
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

ROWS = [{"question": f"What is {number}?", "answer": f"It is {number}.", "page": number} for number in range(3)]
PAIRS = [
    {"question": "When?", "good": "At noon.", "bad": "Never."},
    {"question": "Where?", "good": "Here.", "bad": "No."},
]


def judgement(folder: Path, *, source: Any = ROWS, **fields: Any) -> JudgementDataset:
    given = {"output_file": folder / "out.jsonl", "run": RunConfig(max_concurrency=8), **fields}
    return JudgementDataset(JudgementDatasetConfig(source=source, **given))


def scoring(folder: Path, score: Callable[[str], dict[str, Any]], name: str = "m") -> CountingProvider:
    """A judge whose reply to a prompt is `score(prompt)`."""

    def reply(request: Request) -> str:
        return json.dumps(score(request.messages[-1]["content"]))

    return CountingProvider(name, log=folder / "requests", reply=reply)


def fixed(folder: Path, score: float, name: str = "m") -> CountingProvider:
    return scoring(folder, lambda prompt: {"reason": f"{name} says so", "score": score}, name)


# -- scores


def test_rows_have_their_columns_the_scores_of_all_judges_and_their_mean(tmp_path: Path) -> None:
    dataset = judgement(tmp_path, judges=["strict", "mild"])
    assert dataset.get_num_expected_rows() == 3
    dataset.generate({"strict": fixed(tmp_path, 2, "s"), "mild": fixed(tmp_path, 5, "m")})
    assert assert_balanced(dataset.report).written == 3
    rows = {row["page"]: row for row in rows_of(tmp_path / "out.jsonl")}
    assert len({row.pop("uuid") for row in rows.values()}) == 3
    assert rows[1] == {
        **ROWS[1],
        "score": 3.5,
        "spread": 3,
        "judgements": [
            {"judge": "strict", "model_id": "simulated/s", "score": 2, "reason": "s says so"},
            {"judge": "mild", "model_id": "simulated/m", "score": 5, "reason": "m says so"},
        ],
    }
    assert [type(row.score) for row in dataset.data_rows] == [float] * 3


def test_whole_scores_of_one_judge_stay_whole(tmp_path: Path) -> None:
    dataset = judgement(tmp_path).generate({"judge": fixed(tmp_path, 4)})
    assert '"score":4,"spread":0,' in (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert dataset.data_rows[0].judgements[0].score == 4


def test_judges_see_the_prompt_the_rubric_and_their_own_system_message(tmp_path: Path) -> None:
    seen = []

    def score(request: Request) -> str:
        seen.append([message["content"] for message in request.messages])
        return json.dumps({"reason": "so", "score": 0.25})

    dataset = judgement(
        tmp_path,
        source=ROWS[:1],
        prompt="Q {question} A {answer}",
        rubric={0: "wrong", 1: "right"},
        scale="number",
        min=0,
        max=1,
        judges=["one", "two"],
        system_prompt={"two": "Be kind."},
    )
    provider = CountingProvider("m", log=tmp_path / "requests", reply=score)
    dataset.generate({"one": provider, "two": provider})
    asked = (
        "Q What is 0? A It is 0.\n\nWhat the scores mean:\n0: wrong\n1: right\n\nJudge this. Give your reason in one to three "
        "sentences, then the score: a number from 0 (worst) to 1 (best)."
    )
    assert sorted(seen, key=len) == [[asked], ["Be kind.", asked]]


def test_a_rubric_is_a_template_over_the_columns(tmp_path: Path) -> None:
    for number, rubric in enumerate(["Is it {answer}, or: {second}", {1: "far from {answer}", 5: "{answer}"}]):
        (folder := tmp_path / str(number)).mkdir()
        compared = {"compare": ["question", "other"]} if number == 0 else {}
        source = [{"question": "What is 0?", "other": "What is 1?", "answer": "42"}]
        dataset = judgement(folder, source=source, rubric=rubric, **compared)
        dataset.generate({"judge": CountingProvider("m", log=folder / "requests")})
        assert assert_balanced(dataset.report).written == 1
        told = [prompt.partition("mean:\n")[2].partition("\n\n")[0] for _, prompt in requests_in(folder / "requests")]
        expected = (
            {"Is it 42, or: What is 0?", "Is it 42, or: What is 1?"} if number == 0 else {"1: far from 42\n5: 42"}
        )
        assert set(told) == expected


def test_the_compared_columns_may_be_called_first_and_second(tmp_path: Path) -> None:
    source = [{"first": "a", "second": "b", "question": "?"}]
    dataset = judgement(tmp_path, source=source, compare=["second", "first"])
    dataset.generate({"judge": CountingProvider("m", log=tmp_path / "requests")})
    assert assert_balanced(dataset.report).written == 1


def test_without_a_prompt_judges_see_the_named_columns(tmp_path: Path) -> None:
    dataset = judgement(tmp_path, source=ROWS[:1], columns=["question", "answer"])
    dataset.generate({"judge": fixed(tmp_path, 4)})
    assert requests_in(tmp_path / "requests")[0][1].startswith(
        "question:\nWhat is 0?\n\nanswer:\nIt is 0.\n\nJudge this."
    )
    assert "page" not in rows_of(tmp_path / "out.jsonl")[0]


def test_a_score_outside_the_scale_is_asked_for_again(tmp_path: Path) -> None:
    scores = iter([6, 0, 3])
    judge = scoring(tmp_path, lambda prompt: {"reason": "so", "score": next(scores)})
    dataset = judgement(tmp_path, source=ROWS[:1]).generate({"judge": judge})
    assert dataset.data_rows[0].score == 3
    assert len(requests_in(tmp_path / "requests")) == 3


def test_another_judge_or_system_message_buys_only_its_own_judgements(tmp_path: Path) -> None:
    first = fixed(tmp_path, 3, "a")
    judgement(tmp_path, judges=["one"]).generate({"one": first})
    both = judgement(tmp_path, judges=["one", "two"])
    both.generate({"one": first, "two": fixed(tmp_path, 5, "b")}, on_change=lambda _: True)
    assert [model for model, _ in requests_in(tmp_path / "requests")] == ["simulated/a"] * 3 + ["simulated/b"] * 3
    assert {row.score for row in both.data_rows} == {4}
    told = judgement(tmp_path, judges=["one", "two"], system_prompt={"two": "Be kind."})
    told.generate({"one": first, "two": fixed(tmp_path, 5, "b")}, on_change=lambda _: True)
    assert [model for model, _ in requests_in(tmp_path / "requests")][6:] == ["simulated/b"] * 3


def test_a_row_is_known_by_what_it_holds(tmp_path: Path) -> None:
    judge = fixed(tmp_path, 3)
    judgement(tmp_path).generate({"judge": judge})
    before = rows_of(tmp_path / "out.jsonl")
    judgement(tmp_path, source=list(reversed(ROWS))).generate({"judge": judge})
    assert same_rows(before, rows_of(tmp_path / "out.jsonl"))
    changed = [{**ROWS[0], "answer": "It is nothing."}, *ROWS[1:]]
    judgement(tmp_path, source=changed).generate({"judge": judge}, on_change=lambda _: True)
    new = requests_in(tmp_path / "requests")[3:]
    assert len(new) == 1
    assert "It is nothing." in new[0][1]


def test_rows_of_datafast_keep_their_uuid_and_metadata(tmp_path: Path) -> None:
    rows = [{"text": "A text.", "uuid": f"id-{number}", "metadata": {"topic": "x"}} for number in range(2)]
    judgement(tmp_path, source=rows).generate({"judge": fixed(tmp_path, 3)})
    found = rows_of(tmp_path / "out.jsonl")
    assert sorted(row["uuid"] for row in found) == ["id-0", "id-1"]
    assert found[0]["metadata"] == {"topic": "x"}


def test_a_prompt_that_cannot_be_filled_fails_its_row_alone(tmp_path: Path) -> None:
    rows = [{"tags": ["a"]}, {"tags": []}]
    dataset = judgement(tmp_path, source=rows, prompt="{tags[0]} {{ tags[0].nothing.more }}")
    dataset.generate({"judge": fixed(tmp_path, 3)})
    assert assert_balanced(dataset.report).failed == 2
    assert all(item.error.startswith("prompt: ") for item in dataset.failed_items)
    assert requests_in(tmp_path / "requests") == []


def test_the_agreement_of_judges_is_told(tmp_path: Path) -> None:
    def by_page(prompt: str) -> dict[str, Any]:
        return {"reason": "so", "score": 1 + int(prompt.partition("page:\n")[2][0])}

    dataset = judgement(tmp_path, judges=["one", "two"])
    dataset.generate({"one": scoring(tmp_path, by_page, "a"), "two": scoring(tmp_path, by_page, "b")})
    found = dataset.agreement()
    assert (found.alpha, found.num_rows, found.pairs) == (1, 3, {("one", "two"): 1})


# -- two columns


def placed(prompt: str) -> dict[str, Any]:
    """A judge that gives the first text a point more than it deserves: 3 for a good one and 2 for a bad one."""
    first_is_good = prompt.index("noon" if "noon" in prompt else "Here") < prompt.index(
        "Never" if "Never" in prompt else "No."
    )
    return {
        "first_reason": "good" if first_is_good else "bad",
        "first_score": 4 if first_is_good else 3,
        "second_reason": "bad" if first_is_good else "good",
        "second_score": 2 if first_is_good else 3,
    }


def test_two_columns_are_compared_in_both_orders_and_the_places_cancel_out(tmp_path: Path) -> None:
    dataset = judgement(tmp_path, source=PAIRS, compare=["bad", "good"]).generate({"judge": scoring(tmp_path, placed)})
    assert len(requests_in(tmp_path / "requests")) == 4
    for row in dataset.data_rows:
        assert (row.first_score, row.second_score) == (2.5, 3.5)
        assert (row.preferred, row.margin, row.steady) == ("good", 1, False)  # in one order both had the same
        (said,) = row.judgements
        assert (said.first_reason, said.second_reason) == ("bad", "good")


def test_columns_with_equal_scores_have_no_preferred_one(tmp_path: Path) -> None:
    same = {"first_reason": "so", "first_score": 3, "second_reason": "so", "second_score": 3}
    dataset = judgement(tmp_path, source=PAIRS, compare=["good", "bad"])
    dataset.generate({"judge": scoring(tmp_path, lambda prompt: same)})
    assert {(row.preferred, row.margin, row.steady) for row in dataset.data_rows} == {(None, 0, True)}


def test_a_prompt_of_ones_own_says_where_the_two_stand(tmp_path: Path) -> None:
    dataset = judgement(tmp_path, source=PAIRS[:1], compare=["good", "bad"], prompt="{question} 1: {first} 2: {second}")
    dataset.generate({"judge": scoring(tmp_path, placed)})
    prompts = sorted(prompt.partition("\n")[0] for _, prompt in requests_in(tmp_path / "requests"))
    assert prompts == ["When? 1: At noon. 2: Never.", "When? 1: Never. 2: At noon."]
    assert "Judge both, whatever their order." in requests_in(tmp_path / "requests")[0][1]


# -- configs


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"columns": ["questoin"]}, "columns: the list has no column 'questoin'. Did you mean 'question'"),
        ({"compare": ["answer"]}, "compare"),
        ({"compare": ["answer", "other"]}, "compare: the list has no column 'other'"),
        ({"prompt": "{anwser}"}, "prompt: .*anwser.*Did you mean"),
        (
            {"compare": ["answer", "question"], "prompt": "{first}"},
            r"prompt: With compare it has both \{first\} and \{second\}",
        ),
        ({"compare": ["answer", "answer"]}, "compare: 'answer' is given twice"),
        (
            {"source": [{"a": "x", "b": "y", "first": "z"}], "compare": ["a", "b"]},
            "compare: the list has a column 'first' beside the compared ones",
        ),
        (
            {"source": [{"a": "x", "uuid": "u"}] * 2},
            "source: .* have the same uuid, 'u'. Give each row its own uuid, or",
        ),
        (
            {"source": [{"a": "x", "uuid": None}]},
            "source: the list, row 0: uuid is empty. Give each row its own uuid, or",
        ),
        ({"rubric": "Is it {anwser}?"}, "rubric: .*anwser.*Did you mean"),
        ({"judges": ["a", "a"]}, "judges: A name is given twice"),
        ({"system_prompt": {"jugde": "x"}}, "system_prompt: There is no judge 'jugde'. Did you mean 'judge'"),
        ({"min": 5, "max": 1}, "min: 5 is not below max"),
        ({"rubric": {9: "x"}}, "rubric: 9 is not between"),
        ({"run": RunConfig(fan_out="split")}, "run.fan_out is split"),
        ({"source": [{"score": 1}]}, "columns: The column 'score' of the list cannot be one of a judged row"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_config(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        judgement(tmp_path, **fields)


def test_a_config_of_yaml_names_a_file_beside_it_and_a_provider_for_each_judge(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("question,answer\nWhen?,At noon.\n", encoding="utf-8")
    config = tmp_path / "judged.yaml"
    config.write_text(
        "kind: judgement\nsource: answers.csv\njudges: [a, b]\nproviders: {a: simulated/x, b: simulated/y}\n",
        encoding="utf-8",
    )
    project = load_project(config)
    assert [list(row.values()) for row in project.config.rows] == [["When?", "At noon."]]
    assert tmp_path / "answers.csv" in [file.path for file in project.used_files()]
