"""`datafast explain` and `dataset.explain`: everything of one row, wherever it ended."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.datasets.explaining import Explained
from datafast.errors import ConfigError, RunStopped
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.llms.replies.completion import encode_completion
from datafast.plan.items import row_uuid
from datafast.store.reader import LedgerReader
from datafast.types import Usage
from tests.servers.fault_server import Answer, FaultServer
from tests.store.test_outputs_of_010 import CASES, EXPECTED, restore
from tests.support import ForkServer, columns, preference, raw, roles, rows_of, snapshot

BY_UUID = {"stage": "keep_if", "expression": "uuid < '8'"}


def uuids(folder: Path) -> list[str]:
    """Of all rows that the ledger knows."""
    with LedgerReader(folder / "out.jsonl.ledger") as reader:
        return [row_uuid(key, number) for _, key, rows in reader.keys_with_rows() for number in range(rows)]


def state_of(folder: Path, state: str, dataset: Any) -> Explained:
    return next(told for uuid in uuids(folder) if (told := dataset.explain(uuid)).state == state)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["explain", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_row_in_the_file(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=4, num_samples_per_prompt=2).generate([SimulatedProvider("m", temperature=0.5)])
    before = snapshot(tmp_path)
    for number, row in enumerate(rows_of(tmp_path / "out.jsonl"), start=1):
        told = dataset.explain(row["uuid"])
        assert (told.state, told.line, told.row) == ("written", number, row)
        assert told.values["topic"] == row["metadata"]["topic"]
        (call,) = told.calls
        assert row["metadata"]["topic"] in call["messages"][0]["content"]
        assert row["text"] in json.loads(call["said"])["texts"]
        assert json.loads(call["raw"])["model"] == call["model"] == "simulated/m"
        assert told.totals["input_tokens"] == call["input_tokens"] > 0
        assert (told.notes, told.failure, told.verdicts) == ([], None, [])
    assert snapshot(tmp_path) == before


def test_the_beginning_of_a_uuid_is_enough_if_no_other_begins_so(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=40).generate([SimulatedProvider("m")])
    row = rows_of(tmp_path / "out.jsonl")[7]
    assert dataset.explain(row["uuid"][:12].upper()).row == row
    assert dataset.explain(line=8).row == row
    with pytest.raises(ConfigError, match="has no row whose uuid begins with"):
        dataset.explain("00000000-0000")
    with pytest.raises(ConfigError, match="too short"):
        dataset.explain("a")
    for line in (0, 41):
        with pytest.raises(ConfigError, match="has no line"):
            dataset.explain(line=line)


def test_one_beginning_of_several_rows_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.store.finding_rows._SHORTEST", 1)
    dataset = raw(tmp_path, topics=40).generate([SimulatedProvider("m")])
    first = uuids(tmp_path)[0]
    with pytest.raises(ConfigError, match=rf"is the beginning of several: .*{first[0]}"):
        dataset.explain(first[0])


def test_a_row_that_a_stage_has_dropped(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=20, quality=[BY_UUID]).generate([SimulatedProvider("m")])
    told = state_of(tmp_path, "filtered", dataset)
    (verdict,) = told.verdicts
    assert verdict["stage"] == "keep_if"
    assert told.row == verdict["row"]
    assert told.row is not None
    assert told.row["uuid"] == told.uuid
    assert told.line is None
    assert "dropped by keep_if" in run(str(tmp_path / "out.jsonl"), told.uuid)


def test_a_row_that_has_failed(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=20).generate([SimulatedProvider("m", faults={"invalid_json": 0.7})])
    told = state_of(tmp_path, "failed", dataset)
    assert told.failure is not None
    assert told.failure["category"] in ("invalid_json", "invalid_reply", "schema_violation", "invalid")
    assert [call["used"] for call in told.calls] == [False] * 3, "each try that was not usable"
    assert all(call["messages"] for call in told.calls)
    assert f"failed: {told.failure['category']}" in run(str(tmp_path / "out.jsonl"), told.uuid)


def test_a_row_that_is_pending_and_one_that_left_the_config(tmp_path: Path) -> None:
    stages = [{"stage": "judge", "rubric": {1: "bad", 5: "good"}, "providers": ["simulated/j"]}]
    settings = {"max_calls": 5, "max_concurrency": 4}
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=9, quality=stages, run=settings).generate([SimulatedProvider("m")])
    pending = state_of(tmp_path, "pending", raw(tmp_path, topics=9, quality=stages, run=settings))
    assert pending.row is None
    assert pending.calls
    kept = raw(tmp_path / "b", topics=["a", "b"], run={"removed": "keep"})
    gone = kept.generate([SimulatedProvider("m")]).data_rows[0].uuid
    rest = raw(tmp_path / "b", topics=["b"], run={"removed": "keep"}).generate([SimulatedProvider("m")])
    told = rest.explain(gone)
    assert told.state in ("removed", "written")
    assert told.row is not None


def test_a_row_that_was_changed_and_one_that_was_made_again(tmp_path: Path) -> None:
    mended = [{"stage": "language", "keep_language": True}]
    dataset = raw(tmp_path / "a", topics=3, quality=mended).generate([SimulatedProvider("m")])
    told = dataset.explain(line=1)
    assert told.row is not None
    (change,) = told.changes
    assert change["stages"] == ["language"]
    assert change["before"]["metadata"] != told.row["metadata"]
    assert "changed by language" in run(str(tmp_path / "a" / "out.jsonl"), told.uuid)

    again = raw(
        tmp_path / "b", topics=20, regenerate=2, quality=[{"stage": "regex", "deny": ["harbour|market"]}]
    ).generate([SimulatedProvider("m")])
    found = (again.explain(row["uuid"]) for row in rows_of(tmp_path / "b" / "out.jsonl"))
    told = next(one for one in found if one.verdicts)
    assert told.state == "written"
    assert [one["generation"] for one in told.verdicts] == list(range(len(told.verdicts)))
    assert len(told.calls) == 1 + len(told.made_again)
    assert all(call["messages"] for call in told.calls)
    assert told.made_again[0]["reasons"] == (told.verdicts[0]["reason"],)


@pytest.mark.parametrize("is_known", [True, False])
def test_what_another_provider_was_asked_is_not_among_the_calls(tmp_path: Path, is_known: bool) -> None:
    dataset = raw(tmp_path, topics=3).generate([SimulatedProvider("m"), SimulatedProvider("n")])
    if not is_known:
        with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db, db:
            db.execute("UPDATE meta SET value = '{' WHERE name = 'about'")
    for row in dataset.data_rows:
        told = dataset.explain(row.uuid)
        assert [call["provider"] for call in told.calls] == [row.model_id]
        assert told.totals["calls"] == 1
        assert told.notes == []


def test_judges_and_roles_are_among_the_calls(tmp_path: Path) -> None:
    dataset = preference(tmp_path).generate_roles(roles(SimulatedProvider("m")))
    told = dataset.explain(dataset.data_rows[3].uuid)
    assert {call["role"] for call in told.calls} == {"question", "chosen", "rejected", "judge"}
    assert all(call["messages"] and call["used"] for call in told.calls)


def test_rows_with_a_uuid_of_another_sort_are_found_by_it(tmp_path: Path) -> None:
    schema = {"uuid": {"type": "uuid"}, "n": {"type": "range", "start": 1, "end": 9}}
    dataset = columns(tmp_path, schema).generate({})
    for number, row in enumerate(rows_of(tmp_path / "out.jsonl"), start=1):
        told = dataset.explain(row["uuid"])
        assert (told.line, told.row, told.uuid) == (number, row, row["uuid"])


def test_a_row_without_the_file_its_config_or_an_edited_line(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=3).generate([SimulatedProvider("m")])
    uuid = dataset.data_rows[1].uuid
    text = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").write_bytes(text.upper())
    assert "not as it was written" in dataset.explain(uuid).notes[0]
    (tmp_path / "out.jsonl").unlink()
    told = dataset.explain(uuid)
    assert (told.state, told.row) == ("written", None)
    assert told.calls[0]["messages"]
    from contextlib import closing
    from sqlite3 import connect

    with closing(connect(tmp_path / "out.jsonl.ledger")) as db:
        db.execute("UPDATE meta SET value = 'gone' WHERE name = 'kind'")
        db.commit()
    found = json.loads(run(str(tmp_path / "out.jsonl"), uuid, "--json"))
    assert "Its prompts are not known" in found["notes"][-1]
    assert found["calls"][0]["said"]


def test_after_a_kill_what_is_only_in_the_journal_is_told(tmp_path: Path, children: ForkServer) -> None:
    assert children.run("tests.killed:run", folder=str(tmp_path), at=10) == -signal.SIGKILL
    before = snapshot(tmp_path, "*[!m]")
    dataset = raw(tmp_path, topics=20)
    told = dataset.explain(dataset.plan([SimulatedProvider("m").identity])[0].row_uuid(0))
    assert told.state in ("pending", "written")
    assert told.calls[0]["messages"]
    assert snapshot(tmp_path, "*[!m]").keys() >= before.keys()


def test_text_of_a_model_is_shown_as_text(tmp_path: Path, fault_server: FaultServer) -> None:
    told = "\x1b[31mred\x1b[0m [bold]not markup[/bold]"
    fault_server.respond = lambda request: Answer(
        body=encode_completion(json.dumps({"texts": [told]}), model="gpt-x", usage=Usage(1, 1))
    )
    dataset = raw(tmp_path, topics=1).generate(
        [OpenAIProvider("gpt-x", api_base=fault_server.url, api_key="sk-1234567890")]
    )
    shown = run(str(tmp_path / "out.jsonl"), dataset.data_rows[0].uuid)
    assert "\x1b" not in shown
    assert "[bold]not markup[/bold]" in shown
    assert "sk-1234567890" not in run(str(tmp_path / "out.jsonl"), "--line", "1", "--json")


def test_the_command_wants_one_row(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    for arguments in ([], ["abcd", "--line", "1"]):
        result = CliRunner().invoke(cli, ["explain", str(tmp_path / "out.jsonl"), *arguments])
        assert (result.exit_code, "Give the UUID of a row" in result.stderr) == (2, True)


WITH_ROWS = [case for case in CASES if EXPECTED[case]["status"].get("written")]


@pytest.mark.parametrize("case", WITH_ROWS)
def test_rows_of_version_010_are_explained(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_server: FaultServer
) -> None:
    monkeypatch.chdir(tmp_path)
    restore(case, tmp_path, fault_server.url)
    if not Path("out.jsonl").exists():
        pytest.skip("its rows are gone")
    line = Path("out.jsonl").read_bytes().splitlines()[0]
    before = {
        path.name: path.read_bytes()
        for path in tmp_path.glob("out.jsonl*")
        if path.is_file() and "-shm" not in path.name
    }
    ledger = ["--ledger", "kept.sqlite"] if Path("kept.sqlite").exists() else []
    told = json.loads(run("out.jsonl", "--line", "1", "--json", *ledger))
    assert told["row"] == json.loads(line)
    assert told["state"] == "written"
    assert told["calls"] or not EXPECTED[case]["status"]["calls"]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out.jsonl*") if path.name in before} == before
    assert not fault_server.requests
