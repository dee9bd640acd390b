"""Rows whose texts an earlier row has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import create_model

from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.llms.base import Request
from datafast.quality.exact_duplicates import ExactDuplicatesStage
from tests.support import CountingProvider, assert_balanced, raw


def kept(rows: list[dict[str, Any]], **settings: Any) -> list[int]:
    """The numbers of the rows that are kept."""
    fields: Any = {name: (Any, None) for row in rows for name in row}
    model = create_model("Row", **fields)
    stage = ExactDuplicatesStage(**settings)
    stage.check(model)
    walk = stage.walk()
    found = []
    for number, features in enumerate(stage.features([model(**row) for row in rows])):
        if walk.decide(features).keeps:
            walk.keep(features)
            found.append(number)
    return found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The tide turns.", "The tide turns.", True),
        ("The tide turns.", "  the TIDE\n turns. ", True),
        ("The tide turns.", "The tide turns", False),
        ("Straße", "STRASSE", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("\uff21\uff22\uff23 \u2460", "abc 1", True),
        ("the tide", "the tides", False),
        ("\u0345\u0313 \u03b1", "\u0313\u0345 \u03b1", True),
        ("half a pair \ud800", "Half a pair \ud800", True),
    ],
)
def test_case_space_and_compatible_forms_do_not_count_but_punctuation_does(one: str, other: str, same: bool) -> None:
    assert kept([{"text": one}, {"text": other}]) == ([0] if same else [0, 1])


def test_without_normalize_every_letter_counts() -> None:
    rows = [{"text": text} for text in ("a b", "A b", "a  b", "a b")]
    assert kept(rows, normalize=False) == [0, 1, 2]


def test_all_texts_of_a_row_count_or_one_field() -> None:
    rows = [
        {"question": "a", "answer": "b", "uuid": "1", "metadata": {"topic": "x"}},
        {"question": "a", "answer": "c", "uuid": "2", "metadata": {"topic": "x"}},
        {"question": "ab", "answer": "", "uuid": "3", "metadata": {"topic": "x"}},
        {"question": "a", "answer": "b", "uuid": "4", "metadata": {"topic": "y"}},
    ]
    assert kept(rows) == [0, 1, 2]
    assert kept(rows, field="question") == [0, 2]
    assert kept(rows, field="answer") == [0, 1, 2]


def test_a_row_without_text_is_no_duplicate() -> None:
    assert kept([{"text": None, "number": 1}, {"text": None, "number": 2}, {"text": " "}, {"text": ""}]) == [0, 1, 2, 3]


def test_a_file_is_compared_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [f"text {number * number % 700}" for number in range(1000)]
    Path("in.jsonl").write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts), encoding="utf-8")
    Path("q.yaml").write_text("quality: [{stage: exact_duplicates}, {stage: regex, deny: ['4$']}]\n", encoding="utf-8")
    options = ["in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", "--dropped", "dropped.jsonl", "--json"]
    found = json.loads(CliRunner().invoke(cli, ["filter", *options]).stdout)
    expected = list(dict.fromkeys(text for text in texts if not text.endswith("4")))
    lines = [json.loads(line)["text"] for line in Path("kept.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == expected
    dropped = [json.loads(line) for line in Path("dropped.jsonl").read_text(encoding="utf-8").splitlines()]
    assert found["kept"] + found["filtered"] == len(texts)
    ending = sum(text.endswith("4") for text in texts)
    assert found["filtered_by_stage"]["exact_duplicates"] == {
        "the same as an earlier row": len(texts) - ending - len(expected)
    }
    assert [row["stage"] for row in dropped[:2]] == ["regex", "regex"]


# -- rows that there are already


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


TOPICS = ["harbour", "moonrise", "glacier", "volcano", "estuary"]


def made(folder: Path, log: Path, topics: list[str], *quality: Any) -> Any:
    def reply(request: Request) -> str:
        (topic,) = [name for name in TOPICS if name in request.messages[-1]["content"]]
        return json.dumps({"texts": [f"A text about the {topic}."]})

    asked = CountingProvider("m", log=log, reply=reply)
    return assert_balanced(raw(folder, topics=topics, quality=list(quality)).generate([asked]).report)


def test_rows_of_an_earlier_output_are_not_kept_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    made(tmp_path / "one", log, TOPICS[:3])
    stage = {"stage": "exact_duplicates", "against": [str(tmp_path / "one" / "out.jsonl")]}
    report = made(tmp_path / "two", log, TOPICS[1:], stage)
    assert (report.written, report.filtered) == (2, 2)
    (reason,) = report.filtered_by_stage["exact_duplicates"]
    assert reason.startswith("the same as a row of ")
    made(tmp_path / "one", log, TOPICS[:4])
    again = made(tmp_path / "two", log, TOPICS[1:], stage)
    assert (again.written, again.filtered, again.dropped_again, again.calls) == (1, 3, 1, 0)


def test_a_column_of_any_file_may_be_what_rows_are_compared_with(tmp_path: Path) -> None:
    other = written(tmp_path / "other.jsonl", [{"body": "The TIDE."}, {"body": "The moon."}])
    rows = [{"text": "the tide."}, {"text": "the sun."}]
    assert kept(rows, against={"source": str(other), "column": "body"}) == [1]
    assert kept(rows, against=[str(written(tmp_path / "same.jsonl", [{"id": 7, "text": "The sun."}]))]) == [0]
    assert kept(rows, normalize=False, against={"source": str(other), "column": "body"}) == [0, 1]
    with pytest.raises(ConfigError, match=r"^against: .*other.jsonl has no column 'text'\. Name the one"):
        kept(rows, field="text", against=[str(other)])


def test_an_output_is_not_compared_with_itself(tmp_path: Path) -> None:
    made(tmp_path, tmp_path / "log", TOPICS[:2])
    before = (tmp_path / "out.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"output_file: .* is also used as quality\[0\]\. Give each of them a file"):
        made(tmp_path, tmp_path / "log", TOPICS[:2], ExactDuplicatesStage(against=[str(tmp_path / "out.jsonl")]))
    assert (tmp_path / "out.jsonl").read_bytes() == before
