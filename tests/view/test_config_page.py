"""The page of a config on a real server: what it shows, what it refuses, what it saves."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.view.client import Answer, Client, viewing

SMALL = "# mine\nkind: raw\ndocument_types: [note]\ntopics: [tides, ice]\noutput_file: rows.jsonl\nproviders: [simulated/m]\n"
HOSTILE = "</textarea><script>alert(1)</script>\u202e\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    (folder / "notes.yaml").write_text(SMALL)
    (folder / "hostile.yaml").write_text(f"\nkind: raw\ntopics: ['{HOSTILE.strip()}']\n")
    return folder


@pytest.fixture(scope="module")
def reading(folder: Path) -> Iterator[Client]:
    with viewing(folder) as client:
        yield client


@pytest.fixture(scope="module")
def editing(folder: Path) -> Iterator[Client]:
    with viewing(folder, "config") as client:
        yield client


def parts(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.text
    return {part["part"]: part for part in map(json.loads, answer.text.splitlines())}


def text_in(answer: Answer) -> str:
    found = re.search(r"<textarea.*?>\n(.*?)</textarea>", answer.text, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"page": "p", "path": "notes.yaml", "text": text, **more}


def test_a_config_is_shown_to_the_letter(reading: Client, folder: Path) -> None:
    assert text_in(reading.get("/config?path=notes.yaml")) == SMALL
    answer = reading.get("/config?path=hostile.yaml")
    assert text_in(answer) == (folder / "hostile.yaml").read_text()
    assert "<script>alert" not in answer.text


def test_configs_and_kinds_are_listed(reading: Client) -> None:
    page = reading.get("/config").text
    assert 'href="/config?path=notes.yaml"' in page
    assert 'href="/config?kind=mcq"' in page
    started = reading.get("/config?kind=mcq")
    assert text_in(started).startswith("#")
    assert 'data-name="mcq.yaml"' in started.text


@pytest.mark.parametrize(
    "query", ["path=none.yaml", "path=../x.yaml", "path=/etc/passwd", "path=%2e%2e/x.yaml", "kind=nothing"]
)
def test_what_is_not_there_is_told(reading: Client, query: str) -> None:
    answer = reading.get(f"/config?{query}")
    assert answer.status == 404
    assert 'role="alert"' in answer.text
    assert "<textarea" not in answer.text


def test_a_plan_and_its_prompts_come_as_lines_of_json(reading: Client) -> None:
    answer = reading.post("/api/config/plan", asked(SMALL))
    assert list(parts(answer)) == ["problems", "plan", "estimate"]
    prompt = parts(reading.post("/api/config/prompt", asked(SMALL, position=1)))["prompt"]
    assert "ice" in prompt["messages"][-1]["content"]


def test_marks_of_direction_in_prompts_and_problems_are_codes(reading: Client) -> None:
    text = SMALL.replace("[tides, ice]", '["a\u202eb\u0007"]'.replace("\u0007", "\\a"))
    prompt = parts(reading.post("/api/config/prompt", asked(text, position=0)))["prompt"]
    assert "a\\u202eb\\x07" in prompt["messages"][-1]["content"]
    found = parts(reading.post("/api/config/plan", asked("kind: 'r\u202ew'\n")))["problems"]
    assert "\u202e" not in json.dumps(found, ensure_ascii=False)


def test_the_schema_of_a_kind_is_given(reading: Client) -> None:
    schema = parts(reading.get("/api/config/schema?kind=raw&page=p"))["schema"]["schema"]
    assert schema["properties"]["kind"]["enum"] == ["raw"]


@pytest.mark.parametrize("body", [[], {}, {"page": 1, "path": "a.yaml", "text": ""}, asked("x", path=3), "text"])
def test_a_body_of_another_shape_is_refused(reading: Client, body: Any) -> None:
    assert reading.post("/api/config/plan", body).status == 422


def test_a_text_that_is_too_large_is_refused(reading: Client) -> None:
    assert reading.post("/api/config/plan", asked("#" * (7 << 20))).status == 413


def test_a_path_out_of_the_folder_is_refused(reading: Client) -> None:
    answer = reading.post("/api/config/plan", {**asked(SMALL), "path": "../notes.yaml"})
    assert answer.status == 422
    assert "is no file below" in answer.json()["error"]["message"]


def test_nothing_is_saved_without_the_permission(reading: Client, folder: Path) -> None:
    answer = reading.post("/api/config/save", {"path": "new.yaml", "text": "kind: raw\n", "digest": ""})
    assert answer.status == 403
    assert "--edit" in answer.json()["error"]["message"]
    assert not (folder / "new.yaml").exists()
    assert 'id="save"' not in reading.get("/config?path=notes.yaml").text
    assert reading.get("/config?path=notes.yaml").status == 200


def test_it_is_saved_with_it_unless_the_file_was_changed(editing: Client, folder: Path) -> None:
    (folder / "own.yaml").write_text(SMALL)
    known = editing.get("/api/config/text?path=own.yaml").json()
    assert known["text"] == SMALL
    saved = editing.post(
        "/api/config/save", {"path": "own.yaml", "text": SMALL + "# more\n", "digest": known["digest"]}
    ).json()
    assert (folder / "own.yaml").read_text() == SMALL + "# more\n"
    (folder / "own.yaml").write_text("# theirs\n")
    conflict = editing.post("/api/config/save", {"path": "own.yaml", "text": SMALL, "digest": saved["digest"]}).json()[
        "conflict"
    ]
    assert "-# theirs" in conflict["difference"]
    assert (folder / "own.yaml").read_text() == "# theirs\n"


@pytest.mark.parametrize("name", ["../out.yaml", "notes.txt", "/tmp/out.yaml"])
def test_nothing_is_saved_elsewhere(editing: Client, folder: Path, name: str) -> None:
    assert editing.post("/api/config/save", {"path": name, "text": "x", "digest": ""}).status == 422
    assert not (folder.parent / "out.yaml").exists()


def test_a_stranger_gets_nothing(folder: Path) -> None:
    with viewing(folder, "config", is_inside=False) as stranger:
        for answer in (
            stranger.get("/config?path=notes.yaml"),
            stranger.get("/api/config/text?path=notes.yaml"),
            stranger.post("/api/config/plan", asked(SMALL)),
            stranger.post("/api/config/save", {"path": "x.yaml", "text": "x", "digest": ""}),
        ):
            assert answer.status == 403
            assert "tides" not in answer.text
    assert not (folder / "x.yaml").exists()
