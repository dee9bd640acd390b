"""`FILE.manifest.json`, which the end of each run writes beside the rows."""

from __future__ import annotations

import hashlib
import json
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.engine.manifest import manifest_of
from datafast.errors import ConfigError, DatafastWarning, OutputError, RunStopped
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.store.ledger import Ledger
from datafast.store.manifest import read_manifest
from datafast.store.paths import OutputPaths
from datafast.store.scans import Scans
from tests.servers.fault_server import Answer, FaultServer, reply_to
from tests.support import ForkServer, raw

PROMPT = "Write {num_samples} {document_type} about {topic} in {language_name}."
SECRET = "sk-proj-0123456789abcdefABCDEF42"


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out.jsonl.manifest.json").read_text("utf-8"))
    return found


def written(folder: Path) -> bytes:
    return (folder / "out.jsonl.manifest.json").read_bytes()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_says_what_was_made_and_of_what(tmp_path: Path) -> None:
    raw(tmp_path, topics=5, prompts=[PROMPT]).generate([SimulatedProvider("m")])
    told = manifest(tmp_path)
    assert told["counts"] == {"requested": 5, "written": 5, "filtered": 0, "failed": 0, "removed": 0, "pending": 0}
    assert told["output"]["sha256"] == sha256(tmp_path / "out.jsonl")
    assert told["output"]["bytes"] == (tmp_path / "out.jsonl").stat().st_size
    assert told["config"]["topics"] == [f"topic {number}" for number in range(5)]
    assert "languages" not in told["config"], "what the user has not set is not in it"
    assert told["models"] == {"simulated/m": {"simulated/m": 5}}
    assert told["seeds"] == {"run.seed": 0}
    digest = hashlib.sha256(PROMPT.encode()).hexdigest()
    assert told["templates"] == {"prompts[0]": f"sha256:{digest}"}
    assert told["row"]["fields"] == ["text", "text_source", "model_id", "language", "uuid", "metadata"]
    assert told["versions"]["datafast"] in told["versions"]["worked_on_it"]
    assert (told["stopped"], told["plan"]["items"], told["simulated"]) == (None, 5, True)


@pytest.mark.parametrize("run", [{}, {"ordered": True}])
def test_a_run_that_changes_nothing_writes_the_same_manifest(tmp_path: Path, run: dict[str, Any]) -> None:
    raw(tmp_path, topics=9, run=run).generate([SimulatedProvider("m", latency_jitter_s=0.01)])
    before = written(tmp_path)
    raw(tmp_path, topics=9, run=run).generate([SimulatedProvider("m", latency_jitter_s=0.01)])
    assert written(tmp_path) == before
    assert manifest(tmp_path)["output"]["sha256"] == sha256(tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    "change",
    [
        {"topics": 12},
        {"topics": 4},
        {"run": {"ordered": True}},
        {"quality": [{"stage": "length", "min_words": 60}]},
        {"quality": [{"stage": "near_duplicates"}]},
        {"reasoning": "metadata"},
    ],
)
def test_its_hash_is_that_of_the_file_however_the_file_was_made(tmp_path: Path, change: dict[str, Any]) -> None:
    raw(tmp_path, topics=9).generate([SimulatedProvider("m", latency_jitter_s=0.01)])
    raw(tmp_path, **{"topics": 9, **change}).generate([SimulatedProvider("m", latency_jitter_s=0.01)])
    found = manifest(tmp_path)["output"]
    assert (found["sha256"], found["bytes"]) == (
        sha256(tmp_path / "out.jsonl"),
        (tmp_path / "out.jsonl").stat().st_size,
    )


def test_rows_that_are_built_again_are_hashed_again(tmp_path: Path) -> None:
    raw(tmp_path, topics=9).generate([SimulatedProvider("m")])
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_bytes(b"".join(lines[:4]))
    raw(tmp_path, topics=9).generate([SimulatedProvider("m", latency_jitter_s=0.02)])
    assert manifest(tmp_path)["output"]["sha256"] == sha256(tmp_path / "out.jsonl")


def test_a_run_that_stopped_writes_it_too(tmp_path: Path) -> None:
    with pytest.raises(RunStopped):
        raw(tmp_path, topics=9, run={"max_calls": 4}).generate([SimulatedProvider("m")])
    told = manifest(tmp_path)
    assert (told["counts"]["written"], told["counts"]["pending"]) == (4, 5)
    assert "max_calls" in told["stopped"]
    assert told["output"]["sha256"] == sha256(tmp_path / "out.jsonl")


def test_failed_and_filtered_rows_are_counted(tmp_path: Path) -> None:
    faults = SimulatedProvider("m", faults={"refused": 0.4})
    stages = [{"stage": "keep_if", "expression": "uuid < '8'"}]
    report = raw(tmp_path, topics=30, quality=stages).generate([faults]).report
    assert report is not None
    counts = manifest(tmp_path)["counts"]
    assert counts["failed"] == report.failed > 0
    assert counts["filtered"] == report.filtered > 0


def test_the_models_are_those_that_replies_name(tmp_path: Path, fault_server: FaultServer) -> None:
    provider = OpenAIProvider("gpt-x", api_base=fault_server.url, api_key=SECRET)
    raw(tmp_path, topics=3).generate([provider])
    (named,) = {json.loads(row)["model_id"] for row in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()}
    told = manifest(tmp_path)["models"]
    assert told == {"openai/gpt-x": {next(iter(told["openai/gpt-x"])): 3}}
    assert named


def test_no_secret_is_in_it(tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    judge = {
        "provider": "openai",
        "model_id": "judge",
        "api_base": f"{fault_server.url}?api-key={SECRET}",
        "extra_headers": {"X-Api-Key": SECRET, "X-Team": "harbour"},
    }
    answers = OpenAIProvider(
        "gpt-x",
        api_base=f"{fault_server.url}",
        api_key=SECRET,
        extra={"user": "me", "nested": {"authorization": f"Bearer {SECRET}"}},
        extra_headers={"Authorization": f"Bearer {SECRET}", "X-Team": "harbour"},
    )
    fault_server.respond = lambda request: Answer(body=reply_to(request, Answer(), number=7))
    stages = [
        {
            "stage": "judge",
            "rubric": {1: "bad", 5: "good"},
            "keep_if": "score >= 1",
            "providers": [judge],
            "allow_own_family": True,
        }
    ]
    raw(tmp_path, topics=2, quality=stages).generate([answers])
    told = written(tmp_path).decode()
    assert SECRET not in told
    assert SECRET[8:24] not in told
    assert "harbour" not in told, "headers are not told at all"
    assert manifest(tmp_path)["providers"][0]["identity"] is None, "what is secret in it cannot be told"


def test_sources_have_digests(tmp_path: Path) -> None:
    (tmp_path / "topics.txt").write_text("Tides\nIce\n", encoding="utf-8")
    raw(tmp_path, seed_texts=tmp_path / "topics.txt", topics=2).generate([SimulatedProvider("m")])
    told = manifest(tmp_path)["sources"]["seed_texts"]
    assert told["rows"] == 1
    (file,) = told["files"]
    assert file["sha256"] == sha256(tmp_path / "topics.txt")


def test_fresh_moves_it_with_the_others(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    before = written(tmp_path)
    raw(tmp_path, topics=2).generate([SimulatedProvider("m")], fresh=True)
    (moved,) = tmp_path.glob("out.jsonl.manifest.json.*.bak")
    assert moved.read_bytes() == before
    assert manifest(tmp_path)["counts"]["written"] == 2


def test_a_file_that_is_used_otherwise_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.manifest.json").write_text('[{"text": "A tide."}]', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"out.jsonl.manifest.json is also used as seed_texts"):
        raw(tmp_path, seed_texts=tmp_path / "out.jsonl.manifest.json").generate([SimulatedProvider("m")])


def test_where_it_cannot_be_written_the_run_is_complete_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl.manifest.json").mkdir()
    with pytest.warns(DatafastWarning, match="could not be written"):
        dataset = raw(tmp_path).generate([SimulatedProvider("m")])
    assert dataset.report is not None
    assert dataset.report.written == 6


def test_the_run_after_a_killed_one_counts_what_that_one_was_answered(tmp_path: Path, children: ForkServer) -> None:
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    before = written(tmp_path)
    assert children.run("tests.killed:run", folder=str(tmp_path), at=9) == -signal.SIGKILL
    assert written(tmp_path) == before, "a run that was killed writes none"
    raw(tmp_path, topics=20).generate([SimulatedProvider("m")])
    told = manifest(tmp_path)
    assert sum(told["models"]["simulated/m"].values()) == told["calls"]["replies"] == 20
    assert told["output"]["sha256"] == sha256(tmp_path / "out.jsonl")


def test_what_follows_from_the_ledger_alone_is_the_same(tmp_path: Path) -> None:
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    paths = OutputPaths.of(tmp_path / "out.jsonl")
    ledger = Ledger(paths.ledger)
    try:
        assert manifest_of(paths.rows, ledger) == manifest(tmp_path)
    finally:
        ledger.close()


@pytest.mark.parametrize("damage", ["{", "null", '{"after": 1}', '{"after": 9, "found": {"m": 1}, "sent": []}', "[[]]"])
def test_what_is_damaged_of_earlier_runs_is_found_out_again(tmp_path: Path, damage: str) -> None:
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    before = manifest(tmp_path)
    ledger = Ledger(tmp_path / "out.jsonl.ledger")
    with ledger.transaction():
        for name in ("models", "hashed", "versions"):
            ledger.set_meta(name, damage)
    ledger.close()
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    after = manifest(tmp_path)
    assert (after["models"], after["output"], after["calls"]) == (before["models"], before["output"], before["calls"])


def test_the_models_of_one_run_are_counted_as_replies_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Scans, "replies", lambda *_, **__: pytest.fail("every recorded reply is read again"))
        raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
        raw(tmp_path, topics=9).generate([SimulatedProvider("m")])
    assert manifest(tmp_path)["models"] == {"simulated/m": {"simulated/m": 9}}


def test_models_are_counted_as_they_are_found_in_recorded_replies(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Any) -> Answer:
        number = len(fault_server.requests)
        body = reply_to(request, Answer(), number=number)
        return Answer(body=b'{"model": "half"}' if number == 2 else b"no reply" if number == 3 else body)

    fault_server.respond = respond
    config = {"topics": 9, "run": {"max_concurrency": 1}}
    raw(tmp_path, **config).generate([OpenAIProvider("gpt-x", api_base=fault_server.url, api_key=SECRET)])
    before = manifest(tmp_path)
    assert sum(before["models"]["openai/gpt-x"].values()) == len(fault_server.requests) == 11
    assert {before["models"]["openai/gpt-x"][name] for name in ("half", "")} == {1}
    with closing(Ledger(tmp_path / "out.jsonl.ledger")) as ledger:
        with ledger.transaction():
            ledger.set_meta("models", "")
        assert manifest_of(tmp_path / "out.jsonl", ledger) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is not JSON"),
        ("[]", "is not a manifest"),
        ('{"format": 99}', "has format 99"),
        ('{"format": 1}', "has no kind"),
    ],
)
def test_a_file_that_is_not_one_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.json").write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match=message):
        read_manifest(tmp_path / "m.json")


def test_an_output_of_the_command_line_has_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "kind: raw\ndocument_types: [note]\ntopics: [a]\noutput_file: out.jsonl\nproviders: [openai/gpt-6-luna]\n",
        "utf-8",
    )
    assert CliRunner().invoke(cli, ["generate", "c.yaml", "--offline"]).exit_code == 0
    assert manifest(tmp_path)["command"] == "datafast generate c.yaml --offline"


def test_a_plan_that_targets_have_grown_is_told_as_it_ended(tmp_path: Path) -> None:
    stage = {"stage": "keep_if", "expression": "uuid < '8'"}
    dataset = raw(tmp_path, topics=20, target_rows=8, quality=[stage])
    dataset.generate([SimulatedProvider("m")])
    first = written(tmp_path)
    dataset.generate([SimulatedProvider("m")])
    assert written(tmp_path) == first
    assert json.loads(first)["plan"]["items"] == json.loads(first)["plan"]["rows"] > 8


def test_status_says_how_it_stands(tmp_path: Path) -> None:
    def status() -> tuple[str, str]:
        told = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl")])
        as_json = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl"), "--json"])
        assert (told.exit_code, as_json.exit_code) == (0, 0), told.output
        return json.loads(as_json.stdout)["manifest"], told.stdout

    raw(tmp_path, topics=3).generate([SimulatedProvider("m")])
    state, told = status()
    assert (state, "manifest" in told) == ("up to date", False)
    old = written(tmp_path)
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    for data, expected in ((old, "outdated"), (b"{", "damaged"), (None, "missing")):
        path = tmp_path / "out.jsonl.manifest.json"
        path.unlink() if data is None else path.write_bytes(data)
        state, told = status()
        assert state == expected
        assert f"the manifest is {expected}; the next run writes it" in told
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    assert status()[0] == "up to date"
