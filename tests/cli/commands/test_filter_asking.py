"""`datafast filter` with stages that ask models: a run that can be killed, and goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from tests.running import wait_for
from tests.servers.fault_server import Answer, FaultServer, Recorded

ROWS = [
    {"_row": number, "text": f"Row {number} is worth {number % 5 + 1}.", "copy": None, "deep": {"a": [number, 0.5]}}
    for number in range(40)
]
KEPT = [row for row in ROWS if row["text"][-2] in "45"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("in.jsonl", ROWS)
    return tmp_path


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.respond = worth
        yield running


def worth(request: Recorded) -> Answer:
    score = int(re.findall(r"worth (\d)", request.prompt)[0])
    return Answer(text=json.dumps({"reason": "So it says.", "score": score}))


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def stages(server: FaultServer, *, rubric: str = "What is it worth?", keep_if: str = "score >= 4", **run: Any) -> None:
    judge = {"provider": "openai_compatible", "model_id": "m", "api_base": server.url}
    stage = {"stage": "judge", "rubric": rubric, "keep_if": keep_if, "providers": [judge]}
    Path("q.yaml").write_text(json.dumps({"quality": [{"stage": "echo"}, stage], "run": run}), encoding="utf-8")


WORDS = ["in.jsonl", "--quality", "q.yaml", "-o", "kept.jsonl", "--dropped", "dropped.jsonl", "--json"]


def run(*more: str, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["filter", *WORDS, *more])
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout) if code in (0, 3, 4) else {"error": result.output}
    return found


def test_rows_are_kept_as_they_are_and_in_their_order(server: FaultServer) -> None:
    stages(server)
    found = run()
    assert (found["kept"], found["filtered"]) == (16, 24)
    assert lines("kept.jsonl") == KEPT
    assert Path("kept.jsonl").read_text(encoding="utf-8").splitlines()[0].startswith('{"_row":3,"text"')
    told = lines("dropped.jsonl")
    assert [row["row"] for row in sorted(told, key=lambda row: row["row"]["_row"])] == [
        row for row in ROWS if row not in KEPT
    ]
    assert {row["stage"] for row in told} == {"judge"}
    assert found["report"]["calls"] == len(server.requests) == 40
    assert "row:" not in server.requests[0].prompt


def test_rows_that_repeat_others_are_those_behind_them_in_the_source(server: FaultServer) -> None:
    repeated = [
        {"number": number, "text": f"A row worth {1 + number * 7 % 5} of {number % 8}."} for number in range(60)
    ]
    write("in.jsonl", repeated)
    stages(server)
    found = json.loads(Path("q.yaml").read_text(encoding="utf-8"))
    found["quality"].insert(0, {"stage": "exact_duplicates"})
    Path("q.yaml").write_text(json.dumps(found), encoding="utf-8")
    run()
    first = {row["text"]: row for row in reversed(repeated) if " worth 4 " in row["text"] or " worth 5 " in row["text"]}
    assert lines("kept.jsonl") == sorted(first.values(), key=lambda row: row["number"])


def test_it_goes_on_with_rows_that_have_come(server: FaultServer) -> None:
    stages(server)
    write("in.jsonl", ROWS[:30])
    run()
    write("in.jsonl", ROWS)
    found = run()
    assert found["report"]["calls"] == 10
    assert lines("kept.jsonl") == KEPT


def test_a_row_without_an_answer_is_not_written_and_asked_about_again_in_a_retry(server: FaultServer) -> None:
    stages(server, max_parse_retries=0)
    server.respond = lambda request: Answer(text="?") if "Row 3 " in request.prompt else worth(request)
    assert run(code=3)["report"]["failed"] == 1
    assert ROWS[3] not in lines("kept.jsonl")
    server.respond = worth
    assert run("--retry-failed")["report"]["calls"] == 1
    assert lines("kept.jsonl") == KEPT


def test_a_budget_ends_it_and_another_run_goes_on(server: FaultServer) -> None:
    stages(server, max_calls=15)
    assert run(code=4)["report"]["pending"] == 25
    stages(server)
    run()
    assert len(server.requests) == 40
    assert lines("kept.jsonl") == KEPT


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="kills a process")
def test_kills_cost_only_what_was_in_flight(server: FaultServer) -> None:
    stages(server, max_concurrency=2)
    lands = [0]  # so many of the requests, in all; two more are in flight when it is killed

    def respond(request: Recorded) -> Answer:
        number = len(server.requests)
        return dataclasses.replace(worth(request), until=lambda: number <= lands[-1])

    server.respond = respond
    for _ in range(2):
        lands.append(len(server.requests) + 10)
        process = subprocess.Popen([sys.executable, "-m", "datafast", "filter", *WORDS], stdout=subprocess.DEVNULL)
        wait_for(lambda: len(server.requests) >= lands[-1] + 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(server.requests) == 2 * (10 + 2)
    server.respond = worth
    run()
    assert len(server.requests) == 40 + 2 * 2
    assert lines("kept.jsonl") == KEPT


def test_files_that_are_there_are_not_replaced_without_a_word(server: FaultServer) -> None:
    stages(server)
    Path("kept.jsonl").write_text("mine\n", encoding="utf-8")
    assert "kept.jsonl is there already" in run(code=2)["error"]
    assert server.requests == []
    run("--force")
    assert lines("kept.jsonl") == KEPT
    assert [path.read_text(encoding="utf-8") for path in Path().glob("kept.jsonl.*.bak")] == ["mine\n"]


def test_the_source_is_never_the_output(server: FaultServer) -> None:
    stages(server)
    result = CliRunner().invoke(cli, ["filter", "in.jsonl", "--quality", "q.yaml", "-o", "in.jsonl", "--force"])
    assert result.exit_code == 2
    assert lines("in.jsonl") == ROWS


def test_models_are_simulated_offline(server: FaultServer) -> None:
    stages(server)
    found = run("--offline")
    assert found["kept"] + found["filtered"] == 40
    assert server.requests == []


def test_a_missing_key_and_a_wrong_field_are_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    judge = {"stage": "judge", "providers": ["openai/gpt-4.1"]}
    Path("q.yaml").write_text(json.dumps({"quality": [judge]}), encoding="utf-8")
    assert "q.yaml: quality[0].providers[0]: openai/gpt-4.1 needs an API key" in run(code=2)["error"]
    Path("q.yaml").write_text(json.dumps({"quality": [{**judge, "field": "txt"}]}), encoding="utf-8")
    assert "Rows have no field 'txt'. Did you mean 'text'?" in run(code=2)["error"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"text": "worth 1"}\n[1]\n', "SOURCE: in.jsonl:2: expected a JSON object, got list."),
        ('{"text": oops}\n', "SOURCE: in.jsonl:1: This line is not JSON"),
        ("", "SOURCE: in.jsonl has no rows."),
        (None, "SOURCE: There is no file in.jsonl."),
    ],
)
def test_a_source_that_cannot_be_read_is_told_in_a_sentence(
    server: FaultServer, text: str | None, problem: str
) -> None:
    stages(server)
    Path("in.jsonl").unlink() if text is None else Path("in.jsonl").write_text(text, encoding="utf-8")
    assert f'"message": "{problem}' in run(code=2)["error"]
    assert server.requests == []


def test_metadata_to_which_nothing_can_be_added_fails_its_row_alone_and_is_shown(server: FaultServer) -> None:
    stages(server)
    told = json.loads(Path("q.yaml").read_text(encoding="utf-8"))
    told["quality"][1] |= {"keep_as": "judged", "keep_if": "true"}
    Path("q.yaml").write_text(json.dumps(told), encoding="utf-8")
    write("in.jsonl", [{"text": "worth 4", "metadata": other} for other in ({"a": 1}, None, "none", [])])
    found = run(code=3)
    assert (found["kept"], found["report"]["failed"]) == (2, 2)
    shown = CliRunner().invoke(cli, ["failures", "kept.jsonl"]).stdout
    assert "metadata: The stage 'judge' adds to an object, and the row has" in shown
