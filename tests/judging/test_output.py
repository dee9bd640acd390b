"""How far the judges of an output agree, from what its rows say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.datasets import ColumnsDataset, JudgementDataset, PreferenceDataset
from datafast.judging.output import agreements_in
from datafast.schema.config import (
    ColumnsDatasetConfig,
    JudgementDatasetConfig,
    PreferenceDatasetConfig,
)
from tests.judging.test_best_of_n import RUBRIC, about
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of


def judge(folder: Path, name: str, worths: list[int], *, words: str = "row") -> CountingProvider:
    """A judge that gives row `n` the score `worths[n]`."""

    def reply(request: Any) -> str:
        prompt = request.messages[-1]["content"]
        number = next(n for n in range(len(worths)) if f"{words} {n}." in prompt)
        return json.dumps({"reason": f"{name} says so", "score": worths[number]})

    return CountingProvider(name, log=folder / "log", reply=reply)


def status(file: Path) -> dict[str, Any]:
    found = CliRunner().invoke(cli, ["status", str(file), "--json"], catch_exceptions=False)
    return json.loads(found.stdout)["agreement"]


def shown(file: Path) -> str:
    found = CliRunner().invoke(cli, ["status", str(file)], catch_exceptions=False, env={"COLUMNS": "200"})
    return next((line for line in found.stdout.splitlines() if line.startswith("agreement")), "")


def judged(folder: Path, strict: list[int], mild: list[int]) -> JudgementDataset:
    config = JudgementDatasetConfig(
        source=[{"text": f"row {number}."} for number in range(len(strict))],
        judges=["strict", "mild"],
        output_file=folder / "out.jsonl",
    )
    dataset = JudgementDataset(config)
    return dataset.generate({"strict": judge(folder, "strict", strict), "mild": judge(folder, "mild", mild)})


def test_of_judgements_it_is_what_the_dataset_says(tmp_path: Path) -> None:
    dataset = judged(tmp_path, [1, 3, 5, 4], [1, 2, 5, 5])
    found = agreements_in(tmp_path / "out.jsonl")["judgements"]
    assert found == dataset.agreement()
    told = status(tmp_path / "out.jsonl")["judgements"]
    assert told == {
        "judges": ["strict", "mild"],
        "alpha": found.alpha,
        "rows": 4,
        "pairs": {"mild, strict": found.alpha},
        "note": None,
    }
    assert shown(tmp_path / "out.jsonl") == (
        f"agreement judgements of strict, mild: {found.alpha:.2f} over 4 rows (Krippendorff's alpha)"
    )


def test_judges_who_always_say_the_same_of_everything_tell_nothing(tmp_path: Path) -> None:
    judged(tmp_path, [3, 3], [3, 3])
    assert "not known, since all scores are equal" in shown(tmp_path / "out.jsonl")


def test_one_judge_has_nobody_to_agree_with(tmp_path: Path) -> None:
    config = JudgementDatasetConfig(source=[{"text": "row 0."}], output_file=tmp_path / "out.jsonl")
    JudgementDataset(config).generate({"judge": judge(tmp_path, "j", [3])})
    assert status(tmp_path / "out.jsonl") == {}
    assert shown(tmp_path / "out.jsonl") == ""


def test_a_line_that_is_being_written_and_lines_that_are_no_rows_count_as_nothing(tmp_path: Path) -> None:
    judged(tmp_path, [1, 5], [1, 5])
    with (tmp_path / "out.jsonl").open("ab") as file:
        file.write(b'[1]\nnot JSON\n{"judgements": [{"judge": "str')
    assert agreements_in(tmp_path / "out.jsonl")["judgements"].num_rows == 2


def test_without_the_extra_the_status_says_how_to_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(tmp_path, [1, 5], [1, 5])
    monkeypatch.setitem(__import__("sys").modules, "nltk.metrics.agreement", None)
    assert status(tmp_path / "out.jsonl")["judgements"]["alpha"] is None
    assert "pip install 'datafast[agreement]'" in shown(tmp_path / "out.jsonl")


# -- other kinds


def columns(folder: Path, **verdict: Any) -> ColumnsDataset:
    schema = {
        "text": {"type": "choice", "values": [f"row {number}." for number in range(4)], "mode": "round_robin"},
        "verdict": {"type": "judge", "prompt": "{text}", **verdict},
    }
    return ColumnsDataset(ColumnsDatasetConfig(num_rows=4, columns=schema, output_file=folder / "out.jsonl"))


def test_a_column_with_several_judges_has_their_mean_and_what_each_says(tmp_path: Path) -> None:
    dataset = columns(tmp_path, judges=["strict", "mild"], rubric=RUBRIC)
    assert dataset.config.roles == ["strict", "mild"]
    providers = {"strict": judge(tmp_path, "strict", [1, 3, 5, 4]), "mild": judge(tmp_path, "mild", [1, 2, 5, 5])}
    assert_balanced(dataset.generate(providers).report)
    rows = {row["text"]: row["verdict"] for row in rows_of(tmp_path / "out.jsonl")}
    assert rows["row 1."] == {
        "reason": "strict: strict says so\nmild: mild says so",
        "score": 2.5,
        "spread": 1,
        "judgements": [
            {"judge": "strict", "reason": "strict says so", "score": 3},
            {"judge": "mild", "reason": "mild says so", "score": 2},
        ],
    }
    assert status(tmp_path / "out.jsonl")["verdict"]["rows"] == 4
    assert status(tmp_path / "out.jsonl")["verdict"]["alpha"] > 0.8
    dataset.save(tmp_path / "out.parquet")


def test_a_judge_that_joins_is_all_that_is_bought(tmp_path: Path) -> None:
    strict = judge(tmp_path, "strict", [1, 3, 5, 4])
    columns(tmp_path, provider="strict").generate({"strict": strict})
    both = {"strict": strict, "mild": judge(tmp_path, "mild", [1, 2, 5, 5])}
    columns(tmp_path, judges=["strict", "mild"]).generate(both, on_change=lambda _: True)
    assert [model for model, _ in requests_in(tmp_path / "log")] == ["simulated/strict"] * 4 + ["simulated/mild"] * 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"provider": "a", "judges": ["b"]}, "The judge is named under provider already"),
        ({"judges": ["a", "a"]}, "A name is given twice"),
    ],
)
def test_judges_of_a_column_that_cannot_be_meant_are_refused(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        columns(tmp_path, **given)


def test_of_preference_pairs_it_is_about_by_how_much_one_is_better(tmp_path: Path) -> None:
    config = PreferenceDatasetConfig(
        questions=[f"row {number}." for number in range(3)],
        judges=["strict", "mild"],
        llm_as_judge=True,
        output_file=tmp_path / "out.jsonl",
    )

    def scoring(name: str, scores: list[int]) -> CountingProvider:
        def reply(request: Any) -> str:
            prompt = request.messages[-1]["content"]
            number = next(n for n in range(3) if f"row {n}." in prompt)
            return json.dumps({"assessment": "so", "score": scores[number] if "a good one" in prompt else 1})

        return CountingProvider(name, log=tmp_path / "log", reply=reply)

    def saying(text: str) -> CountingProvider:
        return CountingProvider(text, log=tmp_path / "log", reply=lambda _: text)

    PreferenceDataset(config).generate(
        {
            "chosen": saying("a good one"),
            "rejected": saying("another"),
            "strict": scoring("strict", [4, 8, 9]),
            "mild": scoring("mild", [4, 8, 10]),
        }
    )
    found = agreements_in(tmp_path / "out.jsonl")
    assert found.keys() == {"judgements"}
    assert found["judgements"].num_rows == 3
    assert found["judgements"].alpha == pytest.approx(0.97, abs=0.02)


def test_of_candidates_every_one_that_was_judged_counts(tmp_path: Path) -> None:
    def reply(request: Any) -> str:
        prompt = request.messages[-1]["content"]
        if "Judge this" in prompt:
            return json.dumps({"reason": "so", "score": int(prompt.split("worth ")[1][0])})
        return json.dumps({"texts": [f"worth {request.again + 1} about {about(prompt)}"]})

    model = CountingProvider("m", log=tmp_path / "log", reply=reply)
    chosen = {"n": 3, "judge": {"providers": {"strict": model, "mild": model}}}
    raw(tmp_path, topics=4, best_of_n=chosen).generate([model])
    assert agreements_in(tmp_path / "out.jsonl")["best_of_n"].num_rows == 12
    assert "best_of_n of strict, mild: 1.00 over 12 candidates" in shown(tmp_path / "out.jsonl")
