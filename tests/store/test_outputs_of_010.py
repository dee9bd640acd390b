"""Outputs that version 0.1.0 left behind are gone on with by every later version: nothing is bought again, no row changes.

`tests/data/outputs-0.1.0/CASE/` holds what a user of 0.1.0 has: a config, and files as text. `made/NAME.txt` is a file as it was,
`.sql` a dump of a SQLite file, `.base64` any other; `-jsonl` stands for `.jsonl`. `expected.json` says what 0.1.0 itself found in them:

    status    what `datafast status` says of them
    runs      by name: which config and options, how many requests that sends, exit code, counts, and the rows then
              (`rebuilt` begins without the JSONL and without grown topics, so all of it has to come from recorded replies)

These files are never made again (`make.py` beside them says how they were): a change that fails here buys what users have paid for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import runpy
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import RunStopped
from tests.servers.fault_server import Answer, FaultServer, Recorded, reply_to

OUTPUTS = Path(__file__).parent.parent / "data" / "outputs-0.1.0"
PLACE = "http://127.0.0.1:9"  # where the configs say that the server is
COUNTS = ("requested", "written", "filtered", "failed", "pending")
SPENT = ("calls", "input_tokens", "output_tokens", "cost_usd", "unrecorded_replies", "simulated", "kind")
BETTERED = (
    "classification",
    "conversation",
    "preference",
    "raw",
    "routes",
)  # of kinds whose default texts have had a second version since
CASES = sorted(path.parent.name for path in OUTPUTS.glob("*/expected.json"))
EXPECTED = {case: json.loads((OUTPUTS / case / "expected.json").read_text("utf-8")) for case in CASES}
RUNS = [(case, name) for case in CASES for name in EXPECTED[case]["runs"]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    fault_server.respond = by_content
    return fault_server


def by_content(request: Recorded) -> Answer:
    """A valid reply that depends on the request alone, so that counts do not depend on time."""
    return Answer(body=reply_to(request, Answer(), number=crc32(request.raw)))


def restore(case: str, folder: Path, url: str) -> None:
    """Puts a case's files into a folder, as they were, with the address of a live server in its configs."""
    for source in (path for path in (OUTPUTS / case).iterdir() if path.is_file()):
        (folder / source.name).write_bytes(source.read_bytes().replace(PLACE.encode(), url.encode()))
    for source in (OUTPUTS / case / "made").iterdir():
        target = folder / source.stem.replace("-jsonl", ".jsonl")
        if source.suffix == ".txt":
            shutil.copyfile(source, target)
        elif source.suffix == ".base64":
            target.write_bytes(base64.b64decode(source.read_bytes()))
        else:
            with closing(sqlite3.connect(target)) as database:
                database.executescript(source.read_bytes().decode())
                database.execute("PRAGMA journal_mode=WAL")


def command(*arguments: str) -> tuple[int, Any]:
    """Exit code and JSON of a command."""
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout or "null")


def go_on(folder: Path, server: FaultServer, config: str, options: list[str]) -> dict[str, Any]:
    """Runs a config again; what came of it, in the form of an entry of `runs`."""
    before = len(server.requests)
    if config.endswith(".py"):
        made = runpy.run_path(str(folder / config), run_name="script")["generate"]
        try:
            code, report = 0, made(server.url, "out.jsonl").to_dict()
        except RunStopped as stopped:
            code, report = 4, stopped.report.to_dict()
    else:
        code, report = command("generate", config, *options)
    requests = len(server.requests) - before
    uuids = [row["uuid"] for row in map(json.loads, lines_of(folder)) if "uuid" in row]
    ordered = b"ordered: true" in (folder / config).read_bytes()
    return {
        "config": config,
        "options": options,
        "requests": requests,
        "calls": report["calls"],
        "exit_code": code,
        **{name: report[name] for name in COUNTS},
        "uuids": uuids if ordered else sorted(uuids),
        # What was paid for makes the same rows; how the test's server words others is no one's promise.
        "rows_sha256": None if requests else hashlib.sha256(b"".join(sorted(lines_of(folder)))).hexdigest(),
    }


def lines_of(folder: Path) -> list[bytes]:
    path = folder / "out.jsonl"
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def take_away_rows(folder: Path) -> None:
    """Leaves the ledgers, of which rows and grown topics are made anew."""
    for path in [folder / "out.jsonl", *grown_topics(folder)]:
        path.unlink(missing_ok=True)


def grown_topics(folder: Path) -> list[Path]:
    return [path.with_suffix("") for path in folder.glob("*.json.ledger")]


def read_only(folder: Path) -> tuple[dict[str, Any], Iterator[int]]:
    """What `status` says of an output, in the form of `status`; and exit codes of all other commands that only read."""
    ledger = [f"--ledger={path.name}" for path in folder.glob("kept.sqlite")]
    output = "out.jsonl" if (folder / "out.jsonl").exists() else grown_topics(folder)[0].name
    code, found = command("status", output, *ledger)
    status = {name: found[name] for name in (*COUNTS, *SPENT)}
    status["failures"] = {category: entry["rows"] for category, entry in found["failures"].items()}
    others = [["failures", output, *ledger], *(["plan", path.name] for path in sorted(folder.glob("*.yaml")))]
    others += [["status", path.name] for path in grown_topics(folder)]
    others += [["stats", output, *ledger, "--effects", "0"]]
    return status, (code, *(command(*other)[0] for other in others))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_commands_that_only_read_take_old_outputs_as_they_are(case: str, folder: Path, server: FaultServer) -> None:
    restore(case, folder, server.url)
    before = hashes(folder)
    status, codes = read_only(folder)
    expected = EXPECTED[case]["status"]
    # Releases of SQLite differ in the last digit of a sum.
    assert status == {**expected, "cost_usd": expected["cost_usd"] and pytest.approx(expected["cost_usd"])}
    assert set(codes) == {0}
    assert hashes(folder) == before
    assert server.requests == []


@pytest.mark.parametrize(("case", "name"), RUNS)
def test_a_run_goes_on_with_an_old_output(case: str, name: str, folder: Path, server: FaultServer) -> None:
    restore(case, folder, server.url)
    expected = EXPECTED[case]["runs"][name]
    old, others = lines_of(folder), hashes(folder)
    if name == "rebuilt":
        take_away_rows(folder)
    found = go_on(folder, server, expected["config"], expected["options"])
    if expected["requests"] and case.startswith(
        BETTERED
    ):  # ids come from what is asked, and new rows are asked for in other words
        there = {json.loads(line)["uuid"] for line in old if b'"uuid"' in line}
        assert there & set(expected["uuids"]) <= set(found["uuids"])
        found["uuids"] = expected["uuids"]
    assert found == expected
    new = lines_of(folder)
    assert len(new) == expected["written"]
    if name == "again" and not expected["requests"]:
        assert new == old
    elif expected["requests"]:
        # Each row that was there and still belongs is there to the byte; what a kill has cut short is no row.
        wanted, whole = expected["uuids"], [line for line in old if line.endswith(b"\n")]
        assert {line for line in whole if not wanted or json.loads(line)["uuid"] in wanted} <= set(new)
    if expected["config"] == EXPECTED[case]["runs"]["again"]["config"]:
        topics = [path.name for path in grown_topics(folder) if path.name in others]
        assert [hashes(folder)[name] for name in topics] == [others[name] for name in topics]
    if expected["requests"] and expected["exit_code"] == 0:
        before = len(server.requests)
        assert go_on(folder, server, expected["config"], expected["options"])["requests"] == 0
        assert len(server.requests) == before
