"""`datafast filter`: stages over the rows of any file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from datafast.cli.main import cli
from datafast.quality.base import KEEP, Verdict, WalkStage
from datafast.quality.registry import register

ROWS = [
    {"text": "I'm sorry, but I can't help with that.", "my number": 1},
    {"text": "The tide comes twice a day.", "my number": 2},
    {"text": "Write to joe@posteo.de.", "my number": 3},
    {"text": "The tide goes twice a day.", "my number": 4},
]
STAGES = "quality:\n  - {stage: refusals}\n  - {stage: pii}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("q.yaml").write_text(STAGES, encoding="utf-8")
    return tmp_path


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, ["filter", *arguments])
    assert result.exit_code == code, result.output
    return result


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet", "json"])
def test_rows_of_any_file_are_kept_and_dropped(ending: str) -> None:
    frame = pd.DataFrame(ROWS)
    path = f"in.{ending}"
    match ending:
        case "jsonl":
            frame.to_json(path, orient="records", lines=True)
        case "json":
            frame.to_json(path, orient="records")
        case "csv":
            frame.to_csv(path, index=False)
        case _:
            frame.to_parquet(path)
    before = Path(path).read_bytes()
    found = json.loads(
        run(path, "--quality", "q.yaml", "-o", "kept.jsonl", "--dropped", "out/dropped.jsonl", "--json").stdout
    )
    assert (found["kept"], found["filtered"]) == (2, 2)
    assert found["filtered_by_stage"] == {"refusals": {"a refusal": 1}, "pii": {"an address for mail": 1}}
    assert [row["text"] for row in lines("kept.jsonl")] == [ROWS[1]["text"], ROWS[3]["text"]]
    assert [int(row["my number"]) for row in lines("kept.jsonl")] == [2, 4]
    assert [(row["stage"], row["row"]["text"]) for row in lines("out/dropped.jsonl")] == [
        ("refusals", ROWS[0]["text"]),
        ("pii", ROWS[2]["text"]),
    ]
    assert Path(path).read_bytes() == before


def test_stages_come_from_a_config_too_and_may_use_any_column() -> None:
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    Path("c.yaml").write_text(
        'kind: raw\ntopics: [a]\nquality:\n  - {stage: keep_if, expression: "{my number} > 2"}\n', encoding="utf-8"
    )
    shown = run("in.jsonl", "--quality", "c.yaml", "-o", "kept.jsonl").stdout
    assert "2 kept, 2 filtered" in shown
    assert [row["my number"] for row in lines("kept.jsonl")] == [3, 4]


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        (
            "quality:\n  - {stage: refusal}\n",
            "q.yaml:2: quality[0].stage: There is no stage 'refusal'. Did you mean 'refusals'?",
        ),
        ("quality: []\n", "q.yaml:1: quality: The list is empty"),
        ("stages: []\n", "q.yaml:1: quality: The field is missing"),
        ('quality:\n  - {stage: pii}\n  - {stage: keep_if, expression: "txt"}\n', "q.yaml:3: quality[1].expression: "),
        (
            "quality: [{stage: length, field: txt, min_words: 1}]\n",
            "q.yaml:1: quality[0].field: Rows have no field 'txt'. Did you mean 'text'?",
        ),
        (
            "quality:\n- {stage: pii}\n- {stage: check,\n   field: text, command: [cat]}\n",
            "q.yaml:4: quality[1].command: It runs what a model wrote.",
        ),
    ],
)
def test_wrong_stages_are_named_and_nothing_is_written(stages: str, problem: str) -> None:
    Path("in.jsonl").write_text(json.dumps(ROWS[0]), encoding="utf-8")
    Path("q.yaml").write_text(stages, encoding="utf-8")
    assert problem in run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", code=2).output
    assert not Path("kept.jsonl").exists()


def test_nothing_is_replaced_unless_it_is_said() -> None:
    Path("in.jsonl").write_text(json.dumps(ROWS[1]), encoding="utf-8")
    Path("kept.jsonl").write_text("mine", encoding="utf-8")
    assert "is there already" in run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", code=2).output
    assert Path("kept.jsonl").read_text(encoding="utf-8") == "mine"
    run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", "--force")
    assert len(lines("kept.jsonl")) == 1
    assert "It is the source" in run("in.jsonl", "--quality", "q.yaml", "-o", "in.jsonl", "--force", code=2).output
    same = run("in.jsonl", "--quality", "q.yaml", "-o", "x.jsonl", "--dropped", "x.jsonl", code=2).output
    assert "need a file each" in same


@pytest.mark.parametrize("stage", ["near_duplicates", "exact_duplicates"])
@pytest.mark.parametrize(
    "more", ["", "  - {stage: judge, rubric: good, providers: [{provider: simulated, model_id: m}]}\n"]
)
def test_rows_are_not_compared_with_their_own_file(stage: str, more: str) -> None:
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    Path("q.yaml").write_text(f"quality:\n  - {{stage: {stage}, against: [in.jsonl]}}\n{more}", encoding="utf-8")
    told = run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", code=2).output
    assert "q.yaml:2: quality[0].against: in.jsonl is the source, in which each row would find itself." in told
    assert not Path("kept.jsonl").exists()


def test_a_file_that_a_stage_reads_is_not_replaced() -> None:
    Path("in.jsonl").write_text(json.dumps(ROWS[1]), encoding="utf-8")
    Path("old.jsonl").write_text(json.dumps({"text": "mine"}), encoding="utf-8")
    Path("q.yaml").write_text("quality:\n  - {stage: exact_duplicates, against: [old.jsonl]}\n", encoding="utf-8")
    for output in (["-o", "old.jsonl"], ["-o", "kept.jsonl", "--dropped", "old.jsonl"]):
        told = run("in.jsonl", "--quality", "q.yaml", *output, "--force", code=2).output
        assert "old.jsonl is also used as quality[0]" in told
    assert json.loads(Path("old.jsonl").read_text(encoding="utf-8")) == {"text": "mine"}


@pytest.mark.parametrize("stage", ["near_duplicates", "exact_duplicates"])
def test_rows_without_any_word_are_kept_by_stages_that_compare_words(stage: str) -> None:
    rows = [{"text": text, "number": number} for number, text in enumerate(["", None, "?!"])]
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    for field in ("text", "number"):
        Path("q.yaml").write_text(f"quality:\n  - {{stage: {stage}, field: {field}}}\n", encoding="utf-8")
        run("in.jsonl", "--quality", "q.yaml", "-o", f"{field}.jsonl")
        assert lines(f"{field}.jsonl") == rows


def test_a_stage_that_raises_is_told_with_its_row() -> None:
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    Path("q.yaml").write_text('quality: [{stage: keep_if, expression: "text + 1"}]\n', encoding="utf-8")
    told = run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", code=2).output
    assert "Row 1: The stage 'keep_if' raised " in told
    assert "Correct the stage, or leave it out." in told
    assert not Path("kept.jsonl").exists()


class SameLetterWalk:
    def __init__(self, fails_in: str) -> None:
        self.fails_in = fails_in

    def decide(self, features: str) -> Verdict:
        if self.fails_in == "decide":
            raise KeyError(features)
        return KEEP

    def keep(self, features: str) -> None:
        if self.fails_in == "keep":
            raise KeyError(features)


@register
class SameLetterStage(WalkStage[str]):
    """Raises somewhere."""

    stage: Literal["same_letter"] = "same_letter"
    fails_in: str

    def features(self, rows: Sequence[BaseModel]) -> list[str]:
        if self.fails_in == "features":
            raise KeyError("features")
        return ["a"] * len(rows)

    def walk(self) -> SameLetterWalk:
        if self.fails_in == "walk":
            raise KeyError("walk")
        return SameLetterWalk(self.fails_in)


@pytest.mark.parametrize("fails_in", ["features", "walk", "decide", "keep"])
def test_a_stage_that_compares_rows_and_raises_is_named(fails_in: str) -> None:
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    stages = f"  - {{stage: exact_duplicates}}\n  - {{stage: same_letter, fails_in: {fails_in}}}\n"
    Path("q.yaml").write_text(f"quality:\n{stages}", encoding="utf-8")
    told = run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", code=2).output
    assert "Row 1: The stage 'same_letter' raised KeyError: " in told
    assert not Path("kept.jsonl").exists()


def test_a_column_that_cannot_be_written_is_refused_and_not_emptied() -> None:
    pd.DataFrame({"text": ["The tide comes.", "It goes."], "picture": [None, b"\xff\xd8"]}).to_parquet("in.parquet")
    told = run("in.parquet", "--quality", "q.yaml", "-o", "kept.jsonl", code=2).output
    assert "The column 'picture' holds bytes and no text" in " ".join(told.split())
    assert not Path("kept.jsonl").exists()


def test_columns_may_have_any_name() -> None:
    row = {"cls": "The tide.", "self": 1, "json": "x", "model_config": [2], "__class__": "y", "_own": "z"}
    Path("in.jsonl").write_text(f'{json.dumps(row)}\n{{"cls": "I am sorry, but I cannot help with that."}}\n')
    run("in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl")
    assert lines("kept.jsonl") == [row]
