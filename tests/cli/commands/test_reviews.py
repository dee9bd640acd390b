"""`datafast reviews`: how far people are, what they have decided, and the same in files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import datafast
from datafast.cli.main import cli
from datafast.reviews import Reviews

CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves, pipes]
num_samples_per_prompt: 1
providers: [{provider: simulated, model_id: a}, {provider: simulated, model_id: b}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG, encoding="utf-8")
    command("generate", "c.yaml")
    return tmp_path


def command(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == code, result.output
    return result


def reviews(name: str = "ann") -> Reviews:
    return datafast.load("rows.jsonl").reviews(reviewer=name)


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]


def told(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(command("reviews", "rows.jsonl", "--json", *options).stdout)
    return found


def test_before_anybody_has_decided_it_says_so() -> None:
    assert command("reviews", "rows.jsonl").stdout == "reviewed    0 of 6 rows\n"
    assert not Path("rows.jsonl.reviews").exists()


def test_it_tells_how_far_the_reviewers_are() -> None:
    one, two, three, *_ = rows()
    ann, bob = reviews(), reviews("bob")
    ann.accept(one)
    bob.accept(one)
    ann.reject(two, "dull")
    bob.accept(two)
    ann.edit(three, text="Better.")
    ann.label(three, "tone", "dry")
    bob.label(three, "tone", "warm")
    command("generate", "c.yaml")
    found = told()
    assert (found["rows"], found["reviewed"], found["accepted"], found["rejected"]) == (6, 3, 2, 1)
    assert (found["edited"], found["disputed"], found["stale"]) == (1, 1, 0)
    assert found["reasons"] == {"dull": 1}
    assert found["labels"] == {"tone": {"dry": 1, "warm": 1}}
    assert found["by_reviewer"]["ann"]["rejected"] == 1
    assert found["agreement"]["rows"] == 2
    assert found["agreement"]["alpha"] == pytest.approx(0.0)
    shown = command("reviews", "rows.jsonl").stdout
    assert "reviewed    3 of 6 rows (50%)" in shown
    assert "rejected    1: dull 1" in shown
    assert "stage   reason" in command("dropped", "rows.jsonl").stdout
    assert "review  dull" in command("dropped", "rows.jsonl", "--stage", "review").stdout


def test_a_plan_and_a_run_say_what_the_decisions_change() -> None:
    reviews().reject(rows()[0], "dull")
    plan = command("plan", "c.yaml").stdout
    assert "The decisions of reviewers have changed and decide about 6 rows again, without a call: 1 row leaves" in plan
    assert "1 row left the file" in command("generate", "c.yaml", "--decide-only").stderr
    assert "decisions of reviewers" not in command("plan", "c.yaml").stdout


def test_decisions_are_written_with_their_rows() -> None:
    one, two, three, *_ = rows()
    ann = reviews()
    ann.edit(one, text="Better.")
    ann.reject(two, "dull", note="Where is it?")
    ann.accept(three)
    assert told("--export", "out.jsonl")["exported"] == 3
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["accepted", "rejected", "accepted"]
    assert (lines[0]["edited"], lines[0]["row"]["text"]) == (["text"], "Better.")
    assert lines[1]["notes"] == [{"reviewer": "ann", "text": "Where is it?"}]
    command("reviews", "rows.jsonl", "--export", "out.csv")
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [line["verdict"] for line in table] == ["accepted", "rejected", "accepted"]
    assert table[0]["row.text"] == "Better."
    assert told("--export", "accepted.jsonl", "--accepted")["exported"] == 2
    assert [json.loads(line) for line in Path("accepted.jsonl").read_text().splitlines()] == [
        {**one, "text": "Better."},
        three,
    ]


def test_the_decisions_of_another_copy_are_added() -> None:
    Path("copy").mkdir()
    for path in Path().glob("rows.jsonl*"):
        (Path("copy") / path.name).write_bytes(path.read_bytes())
    datafast.load("copy/rows.jsonl").reviews(reviewer="bob").accept(rows()[0])
    assert told("--import", "copy/rows.jsonl.reviews")["imported"] == 1
    assert "0 decisions added" in command("reviews", "rows.jsonl", "--import", "copy/rows.jsonl.reviews").stdout


def test_preferences_give_win_rates_by_model() -> None:
    by_model = {row["model_id"]: row for row in rows()}
    one, other = by_model["simulated/a"], by_model["simulated/b"]
    for name in ("ann", "bob", "cid"):
        reviews(name).prefer(one, other, 0, shown_first=1)
    first, second = told()["pairs"]["models"]
    assert (first["model"], first["wins"], first["win_rate"]) == ("simulated/a", 3, 1.0)
    assert (second["losses"], second["against"]) == (3, {"simulated/a": 0.0})
    assert 0 <= first["low"] < first["high"] == 1.0
    assert "simulated/a" in command("reviews", "rows.jsonl").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--accepted"], "--accepted: It says what --export writes."),
        (["--export", "out.parquet"], "Decisions are written as .jsonl or .csv."),
        (["--export", "rows.jsonl"], "is also used as"),
        (["--import", "nothing.reviews"], "There is no file nothing.reviews."),
    ],
)
def test_what_cannot_be_done_is_refused(options: list[str], said: str) -> None:
    result = command("reviews", "rows.jsonl", *options, code=2)
    assert said in result.stderr
