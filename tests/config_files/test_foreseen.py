"""What a text of a config means before it is run: the numbers of `datafast plan`, in parts, without a trace, in time whatever the text."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.config_files.foreseen import Foreseen
from tests.support import ROOT, snapshot

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SMALL = "kind: raw\ndocument_types: [note, letter]\ntopics: [tides, ice]\noutput_file: rows.jsonl\nproviders: [simulated/m]\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def parts_of(text: str, path: Path = Path("c.yaml")) -> dict[str, Any]:
    return {part.name: part.said for part in Foreseen(text, path).parts()}


def messages_of(text: str) -> list[str]:
    return [f"{one['line']}: {one['field']}: {one['message']}" for one in parts_of(text)["problems"]["problems"]]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_numbers_are_those_of_plan(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else a busy machine looks at fewer prompts in one of the two.
    monkeypatch.setattr("datafast.engine.estimate.MOST_S", 600.0)
    told = json.loads(CliRunner().invoke(cli, ["plan", str(path), "--json", "-n", "0"]).stdout)
    parts = parts_of(path.read_text(), path)
    assert list(parts) == ["problems", "plan", "estimate"]
    assert parts["problems"]["problems"] == []
    for name in ("rows", "prompts", "total_calls", "calls", "rows_by_provider", "prompts_per_combination", "target"):
        assert parts["plan"][name] == told[name], name
    for name in ("rows", "calls", "input_tokens", "output_tokens", "cost_usd", "seconds", "notes"):
        assert json.loads(json.dumps(parts["estimate"][name])) == told["estimate"][name], name


def test_prompts_are_those_of_the_plan_at_any_place() -> None:
    seen = Foreseen(SMALL, Path("c.yaml"))
    assert [part.name for part in seen.parts()] == ["problems", "plan", "estimate"]
    texts = [seen.prompt(position) for position in range(4)]
    assert [one["values"]["topic"] for one in texts] == ["tides", "ice", "tides", "ice"]
    assert "tides" in texts[0]["messages"][-1]["content"]
    for position in (-1, 4):
        with pytest.raises(IndexError):
            seen.prompt(position)


def test_problems_come_alone() -> None:
    parts = parts_of(SMALL.replace("topics", "topisc"))
    assert list(parts) == ["problems"]
    assert parts["problems"]["problems"][0] == {
        "line": 3,
        "column": 1,
        "end": 21,
        "field": "topisc",
        "message": "There is no such field. Did you mean 'topics'?",
    }


def test_remarks_stand_at_their_fields() -> None:
    text = SMALL + "expansion:\n  placeholders: {mood: [calm, angry, calm]}\n"
    (remark,) = parts_of(text)["problems"]["remarks"]
    assert (remark["line"], remark["field"]) == (7, "expansion.placeholders")
    assert "No prompt uses mood" in remark["message"]


def test_placeholders_are_counted_and_repeated_values_named() -> None:
    text = SMALL.replace("[tides, ice]", "[tides, ice, tides]") + (
        "prompts: ['{num_samples} {language_name} {document_type} {topic} <<mood>> <<tone>>']\n"
        "expansion: {placeholders: {mood: [calm, angry], tone: [dry, warm, odd]}}\n"
    )
    plan = parts_of(text)["plan"]
    assert plan["placeholders"]["combinations"] == plan["prompts_per_combination"] == 6
    assert [(one["name"], one["count"]) for one in plan["placeholders"]["names"]] == [("mood", 2), ("tone", 3)]
    assert plan["repeated"] == ["topic: 'tides' stands there 2 times."]


def test_a_placeholder_without_values_is_a_problem_at_its_prompt() -> None:
    text = (
        SMALL
        + "prompts:\n  - '{num_samples} {language_name} {document_type} {topic} <<moood>>'\nexpansion: {placeholders: {mood: [a]}}\n"
    )
    assert any(message.startswith("7: prompts[0]: ") and "moood" in message for message in messages_of(text))


def test_what_changes_since_the_last_run_is_told() -> None:
    Path("c.yaml").write_text(SMALL)
    assert CliRunner().invoke(cli, ["generate", "c.yaml"]).exit_code == 0
    estimate = parts_of(SMALL)["estimate"]
    assert (estimate["rows"], estimate["changes"]) == (0, None)
    changed = parts_of(SMALL.replace("[tides, ice]", "[tides, fog]"))["estimate"]
    assert changed["rows"] > 0
    assert changed["changes"][0] == "The config has changed: 10 rows stay, 10 leave."
    staged = parts_of(SMALL + "quality: [{stage: length, min_words: 100000}]\n")["estimate"]
    assert "20 rows leave the file" in staged["changes"][0]


def test_nothing_is_written_and_no_copy_is_kept() -> None:
    Path("texts.txt.gz").write_bytes(gzip.compress(b"tides\nice\n"))
    text = SMALL.replace("[tides, ice]", "texts.txt.gz")
    before = snapshot(Path())
    assert parts_of(text)["plan"]["prompts"] == 4
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    "source", ["https://example.com/topics.txt", "owner/dataset", "hf://datasets/owner/name/a.csv"]
)
def test_no_network_is_asked(source: str) -> None:
    assert messages_of(SMALL.replace("[tides, ice]", source)) == [
        f"3: topics: {source} lies elsewhere, and no network is asked here. `datafast plan` in a terminal reads it."
    ]


def test_a_plan_of_a_thousand_million_prompts_is_told_at_once() -> None:
    values = ", ".join(f"v{number}" for number in range(1000))
    text = (
        f"kind: raw\ndocument_types: [{values}]\ntopics: [{values}]\noutput_file: x.jsonl\nproviders: [openai/gpt-6-luna]\n"
        f"prompts: ['{{num_samples}} {{language_name}} {{document_type}} {{topic}} <<one>>']\n"
        f"expansion: {{placeholders: {{one: [{values}]}}}}\n"
    )
    begun = time.process_time()
    parts = parts_of(text)
    assert parts["plan"]["prompts"] == 10**9
    assert parts["estimate"]["calls"] == 10**9
    assert time.process_time() - begun < 10


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "billion laughs": (LAUGHS, "Aliases (*) repeat"),
    "python object": ("a: !!python/object/apply:os.system ['touch x']\n", "is not allowed"),
    "python name": ("a: !!python/name:os.system\n", "is not allowed"),
    "own tag": ("a: !other x\n", "is not allowed"),
    "deep brackets": ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "deep indents": ("\n".join(" " * number + "a:" for number in range(600)), "nested too deeply"),
    "itself": ("a: &a {b: *a}\n", "contains itself"),
    "a huge number": (f"kind: {'9' * 100_000}\n", "or too large"),
    "one long line": ("a: '" + "x " * 500_000 + "\n", "A quotation mark is not closed"),
    "not closed": ("a: {b: [" * 50, "not closed"),
    "control characters": ("kind: raw\x00\n", "control character"),
    "nothing": ("", "The file is empty"),
    "a list": ("- a\n", "expected a mapping at the top"),
    "two documents": ("kind: raw\n---\nkind: raw\n", "another document"),
    "merge": ("a: &a {b: 1}\nc: {<<: *a}\n", "Merge keys"),
}


@pytest.mark.parametrize(("text", "told"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_a_problem_and_nothing_else(text: str, told: str) -> None:
    begun = time.process_time()
    assert told in " ".join(messages_of(text))
    assert time.process_time() - begun < 10
    assert list(Path().iterdir()) == []


def test_very_many_problems_are_cut_and_counted() -> None:
    parts = parts_of("kind: raw\n" + "".join(f"zz{number}: 1\n" for number in range(800)))
    assert len(parts["problems"]["problems"]) == 500
    assert parts["problems"]["more"] >= 300
