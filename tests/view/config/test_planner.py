"""The process that plans: behind its fence, without keys, in time; the newest question of a page wins."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.view.config.planner import Planner
from tests.support import ROOT, snapshot

SMALL = "kind: raw\ndocument_types: [note]\ntopics: [tides, ice]\noutput_file: rows.jsonl\nproviders: [simulated/m]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned") / "shown"
    folder.mkdir()
    (folder.parent / "outside.txt").write_text("secret\n")
    (folder / "inside.txt").write_text("known\n")
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    return folder


@pytest.fixture(scope="module")
def planner(folder: Path) -> Iterator[Planner]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-none-of-its-business")
        planner = Planner([folder], longest_s=60)
        list(planner.ask("page", "schema", kind="raw"))  # it is started with this
        yield planner


def planned(planner: Planner, folder: Path, text: str, page: str = "page") -> dict[str, Any]:
    return {part["part"]: part for part in planner.ask(page, "plan", text=text, path=str(folder / "c.yaml"))}


def told(planner: Planner, folder: Path, text: str) -> str:
    return " ".join(one["message"] for one in planned(planner, folder, text)["problems"]["problems"])


def test_it_plans_and_shows_prompts(planner: Planner, folder: Path) -> None:
    parts = planned(planner, folder, SMALL)
    assert list(parts) == ["problems", "plan", "estimate"]
    assert parts["plan"]["rows"] == 10
    asked = {"text": SMALL, "path": str(folder / "c.yaml")}
    (prompt,) = planner.ask("page", "prompt", **asked, position=1)
    assert "ice" in prompt["messages"][-1]["content"]
    (none,) = planner.ask("page", "prompt", **asked, position=2)
    assert none == {"part": "failed", "message": "There is no such prompt."}
    (other,) = planner.ask("page", "prompt", **{**asked, "text": SMALL.replace("ice", "fog")}, position=1)
    assert "fog" in other["messages"][-1]["content"]


def test_it_reads_files_below_its_folders_alone(planner: Planner, folder: Path) -> None:
    assert planned(planner, folder, SMALL.replace("[tides, ice]", "inside.txt"))["plan"]["prompts"] == 1
    for name in ("../outside.txt", str(folder.parent / "outside.txt"), "link.txt"):
        said = told(planner, folder, SMALL.replace("[tides, ice]", name))
        assert "reads files below" in said
        assert "secret" not in said


def test_it_leaves_no_trace(planner: Planner, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    text = (
        SMALL.replace("rows.jsonl", str(folder / "rows.jsonl"))
        + "quality: [{stage: check, field: text, command: [touch, x]}]\n"
    )
    assert "plan" in planned(planner, folder, text)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_a_run_would_change_is_told_beside_its_output(planner: Planner, folder: Path) -> None:
    text = SMALL.replace("rows.jsonl", str(folder / "made.jsonl"))
    (folder / "made.yaml").write_text(text)
    assert CliRunner().invoke(cli, ["generate", str(folder / "made.yaml")]).exit_code == 0
    before = snapshot(folder)
    assert planned(planner, folder, text)["estimate"]["rows"] == 0
    changed = planned(planner, folder, text.replace("ice", "fog") + "quality: [{stage: length, min_words: 100000}]\n")
    assert changed["estimate"]["changes"][0] == "The config has changed: 5 rows stay, 5 leave."
    assert any("leave the file" in told for told in changed["estimate"]["changes"])
    assert snapshot(folder) == before


def test_an_output_elsewhere_is_not_looked_at(planner: Planner, folder: Path) -> None:
    elsewhere = folder.parent / "elsewhere.jsonl"
    (folder / "far.yaml").write_text(SMALL.replace("rows.jsonl", str(elsewhere)))
    assert CliRunner().invoke(cli, ["generate", str(folder / "far.yaml")]).exit_code == 0
    parts = planned(planner, folder, (folder / "far.yaml").read_text())
    assert "reads files below" in parts["failed"]["message"]
    assert "plan" in planned(planner, folder, SMALL)


def test_no_module_is_taken_from_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("orjson", "pydantic", "signal", "sitecustomize", "datafast"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    assert planned(Planner([tmp_path]), tmp_path, SMALL)["plan"]["rows"] == 10
    assert not (tmp_path / "ran").exists()


def test_a_text_that_takes_too_long_ends_with_its_process_and_the_next_is_answered(folder: Path) -> None:
    topics = "".join(f"  - topic {number}\n" for number in range(100_000))
    planner = Planner([folder], longest_s=2.5)
    parts = planned(planner, folder, f"kind: raw\ndocument_types: [note]\ntopics:\n{topics}providers: [simulated/m]\n")
    assert "takes more time or memory" in parts["failed"]["message"]
    planner = Planner([folder], longest_s=60)
    assert "plan" in planned(planner, folder, SMALL)


def test_the_newest_text_of_a_page_wins(planner: Planner, folder: Path) -> None:
    topics = "".join(f"  - topic {number}\n" for number in range(30_000))
    slow = f"kind: raw\ndocument_types: [note]\ntopics:\n{topics}providers: [simulated/m]\n"
    found: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: found.append(planned(planner, folder, slow, "one")))
    asking.start()
    while "one" not in planner._newest:
        time.sleep(0.01)
    newest = planned(planner, folder, SMALL, "one")
    asking.join(60)
    assert newest["plan"]["rows"] == 10
    assert found == [{}]


def test_pages_do_not_take_answers_from_each_other(planner: Planner, folder: Path) -> None:
    found: dict[str, Any] = {}

    def ask(page: str) -> None:
        found[page] = planned(planner, folder, SMALL, page)

    asking = [threading.Thread(target=ask, args=(f"page {number}",)) for number in range(4)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(60)
    assert [parts["plan"]["rows"] for parts in found.values()] == [10] * 4


def test_an_answer_that_is_left_early_does_not_stand_in_the_way_of_the_next(planner: Planner, folder: Path) -> None:
    asked = planner.ask("page", "plan", text=SMALL, path=str(folder / "c.yaml"))
    assert next(asked)["part"] == "problems"  # and the rest is never asked for, as by a server whose browser has gone
    assert planned(planner, folder, SMALL)["plan"]["rows"] == 10


FENCED = {
    "network": "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
    "names": "import socket; socket.getaddrinfo('example.com', 80)",
    "program": "import subprocess; subprocess.run(['true'])",
    "shell": "import os; os.system('true')",
    "write": "open('x', 'w')",
    "append": "import os; os.open('inside.txt', os.O_WRONLY)",
    "remove": "import os; os.remove('inside.txt')",
    "rename": "import os; os.rename('inside.txt', 'other.txt')",
    "move": "import os, tempfile; os.rename(tempfile.mkstemp()[1], 'new')",
    "folder": "import os; os.mkdir('new')",
    "read": "open('../outside.txt')",
    "ledger": "import sqlite3; sqlite3.connect('file:../outside.txt?mode=ro', uri=True)",
    "link": "open('link.txt')",
    "environment": "open('/proc/self/environ')",
}


@pytest.mark.parametrize("code", FENCED.values(), ids=FENCED)
def test_the_fence_holds(folder: Path, code: str) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        f"from datafast.view.config.fence import Fenced, close_fence\nclose_fence([Path('.')])\n"
        f"assert open('inside.txt').read() == 'known\\n'\n"
        f"import tempfile; tempfile.TemporaryFile().write(b'x')\n"
        f"try:\n    {code}\nexcept Fenced as error:\n    print('fenced', error.strerror)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.startswith("fenced A plan in the viewer"), ended.stderr
