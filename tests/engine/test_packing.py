"""`datafast pack` and `dataset.pack`: one state of an output in one archive, without anything secret."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import threading
import zipfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.engine.events import Event
from datafast.engine.packing import pack
from datafast.errors import ConfigError, OutputError, RunStopped
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.store.paths import OutputPaths
from tests.servers.fault_server import Answer, FaultServer, Recorded, reply_to
from tests.support import CountingProvider, ForkServer, raw, requests_in, rows_of, same_rows, snapshot

SECRET = "sk-proj-0123456789abcdefABCDEF42"


def packed(folder: Path, **options: Any) -> dict[str, bytes]:
    """What is in the archive of an output, which is as it was before."""
    before = {name: data for name, (data, _) in snapshot(folder, "out.jsonl").items()}
    archive = folder / "packed" / "a.zip"
    made = pack(OutputPaths.of(folder / "out.jsonl"), archive, **options)
    assert {name: data for name, (data, _) in snapshot(folder, "out.jsonl").items()} == before
    assert [path.name for path in archive.parent.iterdir()] == ["a.zip"], "nothing else is left there"
    with zipfile.ZipFile(archive) as files:
        found = {name: files.read(name) for name in files.namelist()}
    assert {name: told["sha256"] for name, told in made.files.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    return found


def unpacked(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(folder / "packed" / "a.zip") as files:
        files.extractall(target)
    return target


def test_it_has_rows_ledger_manifest_and_what_to_do_with_them(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    found = packed(tmp_path)
    assert list(found) == ["out.jsonl", "out.jsonl.ledger", "out.jsonl.manifest.json", "README.txt"]
    assert found["out.jsonl"] == (tmp_path / "out.jsonl").read_bytes()
    assert found["out.jsonl.manifest.json"] == (tmp_path / "out.jsonl.manifest.json").read_bytes()
    told = found["README.txt"].decode()
    assert "6 rows" in told
    assert "datafast replay out.jsonl.manifest.json" in told


def test_what_is_unpacked_goes_on_without_a_request_and_is_replayed_and_explained(tmp_path: Path) -> None:
    raw(tmp_path / "a", topics=9, run={"ordered": True}).generate([SimulatedProvider("m")])
    packed(tmp_path / "a")
    there = unpacked(tmp_path / "a", tmp_path / "b")
    dataset = raw(there, topics=9, run={"ordered": True})
    made = dataset.replay(tmp_path / "again.jsonl")
    assert made.rows == 9
    dataset.generate([CountingProvider("m", log=tmp_path / "log")])
    assert requests_in(tmp_path / "log") == []
    assert (there / "out.jsonl").read_bytes() == (tmp_path / "a" / "out.jsonl").read_bytes()
    assert dataset.explain(line=2).calls[0]["messages"]


def test_what_was_grown_is_in_it(tmp_path: Path) -> None:
    grown = {"personas": {"describe": "sailors", "count": 3}}
    raw(tmp_path / "a", **grown).generate([SimulatedProvider("m")])
    assert {"out.jsonl.personas.json", "out.jsonl.personas.json.ledger"} <= packed(tmp_path / "a").keys()
    there = unpacked(tmp_path / "a", tmp_path / "b")
    raw(there, **grown).generate([CountingProvider("m", log=tmp_path / "log")])
    assert requests_in(tmp_path / "log") == []


def test_which_row_is_in_which_split_is_in_it(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=30)
    dataset.generate([SimulatedProvider("m")])
    (tmp_path / "out.jsonl.splits-notes.txt").write_text("of somebody else")
    dataset.to_huggingface(train_size=0.5, group="near_duplicates", stable=True)
    (record,) = OutputPaths.of(tmp_path / "out.jsonl").split_records
    assert packed(tmp_path)[record.name] == record.read_bytes()


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    raw(tmp_path, quality=[{"stage": "near_duplicates"}]).generate([SimulatedProvider("m")])
    packed(tmp_path)
    before = (tmp_path / "packed" / "a.zip").read_bytes()
    packed(tmp_path, force=True)
    assert (tmp_path / "packed" / "a.zip").read_bytes() == before


def test_a_file_that_is_there_is_replaced_with_force_only(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    packed(tmp_path)
    with pytest.raises(OutputError, match="is there already"):
        packed(tmp_path)
    with pytest.raises(ConfigError, match="is also used as"):
        pack(OutputPaths.of(tmp_path / "out.jsonl"), tmp_path / "out.jsonl.ledger", force=True)


def test_rows_that_were_edited_are_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.engine.packing._PAUSE_S", 0.0)
    raw(tmp_path).generate([SimulatedProvider("m")])
    (tmp_path / "out.jsonl").write_bytes((tmp_path / "out.jsonl").read_bytes().upper())
    with pytest.raises(OutputError, match="is not as it was written"):
        packed(tmp_path)
    assert not (tmp_path / "packed" / "a.zip").exists()


def test_an_output_without_a_manifest_is_packed_without_one(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    (tmp_path / "out.jsonl.manifest.json").unlink()
    assert "out.jsonl.manifest.json" in packed(tmp_path), "it follows from the ledger"
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db:
        db.execute("DELETE FROM meta WHERE name = 'about'")
        db.commit()
    found = packed(tmp_path, force=True)
    assert "out.jsonl.manifest.json" not in found
    assert b"replay" not in found["README.txt"]


# -- while a run goes on, and after a kill


def test_while_a_run_goes_on_it_is_one_state(tmp_path: Path) -> None:
    made: list[dict[str, bytes]] = []

    def on_event(event: Event) -> None:
        if event.type == "item_done" and not made:
            thread = threading.Thread(target=lambda: made.append(packed_now(tmp_path)))
            thread.start()
            thread.join()

    raw(tmp_path, topics=30).generate([SimulatedProvider("m", latency_jitter_s=0.05)], on_event=on_event)
    (found,) = made
    assert found["out.jsonl"] == (tmp_path / "out.jsonl").read_bytes()[: len(found["out.jsonl"])]
    told = json.loads(found["out.jsonl.manifest.json"])
    assert told["output"]["sha256"] == hashlib.sha256(found["out.jsonl"]).hexdigest()
    there = unpacked(tmp_path, tmp_path / "b")
    assert raw(there, topics=30).generate([SimulatedProvider("m")]).report.written == 30  # type: ignore[union-attr]


def packed_now(folder: Path) -> dict[str, bytes]:
    pack(OutputPaths.of(folder / "out.jsonl"), folder / "packed" / "a.zip")
    with zipfile.ZipFile(folder / "packed" / "a.zip") as files:
        return {name: files.read(name) for name in files.namelist()}


def test_after_a_kill_nothing_that_was_paid_for_is_missing(tmp_path: Path, children: ForkServer) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    assert children.run("tests.killed:run", folder=str(folder), at=13) == -signal.SIGKILL
    found = packed(folder)
    assert "out.jsonl.ledger-replies" not in found, "it is taken in"
    there = unpacked(folder, tmp_path / "b")
    for place, log in ((folder, tmp_path / "here"), (there, tmp_path / "there")):
        raw(place, topics=20).generate([CountingProvider("m", log=log)])
    assert len(requests_in(tmp_path / "here")) == len(requests_in(tmp_path / "there")) < 20
    assert same_rows(rows_of(folder / "out.jsonl"), rows_of(there / "out.jsonl"))


# -- secrets


def test_keys_of_configs_the_environment_and_errors_are_not_in_it(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def respond(request: Recorded) -> Answer:
        if b"topic 1" in request.raw:
            return Answer(status=400, body={"error": {"message": f"Bad request by {SECRET}", "code": "content_filter"}})
        return Answer(body=reply_to(request, Answer(), number=3))

    fault_server.respond = respond
    provider = OpenAIProvider(
        "gpt-x", api_base=fault_server.url, extra_headers={"X-Api-Key": SECRET}, extra={"secret": SECRET}
    )
    judge = {
        "provider": "openai",
        "model_id": "j",
        "api_base": fault_server.url,
        "extra_headers": {"X-Api-Key": SECRET},
    }
    stages = [
        {
            "stage": "judge",
            "rubric": {1: "bad", 5: "good"},
            "providers": [judge],
            "allow_own_family": True,
            "keep_if": "score >= 1",
        }
    ]
    with suppress(RunStopped):
        raw(tmp_path, topics=3, quality=stages).generate([provider])
    for data in packed(tmp_path).values():
        assert SECRET.encode() not in data
        assert SECRET[8:24].encode() not in data


def test_a_key_that_stands_in_what_was_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw(tmp_path, topics=["a", f"our key {SECRET}"]).generate([SimulatedProvider("m")])
    packed(tmp_path)
    monkeypatch.setenv("HARBOUR_TOKEN", SECRET)
    with pytest.raises(OutputError, match=r"HARBOUR_TOKEN in the environment stands in out\.jsonl") as raised:
        packed(tmp_path, force=True)
    assert SECRET not in str(raised.value)
    monkeypatch.delenv("HARBOUR_TOKEN")
    with pytest.raises(OutputError, match="nothing was packed"):
        packed(tmp_path, force=True, variables={"secrets.env": {"HARBOUR_TOKEN": SECRET}})


def test_the_folder_of_the_machine_is_not_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "kind: raw\ndocument_types: [note]\ntopics: [a]\noutput_file: out.jsonl\nproviders: [openai/gpt-6-luna]\n",
        "utf-8",
    )
    assert CliRunner().invoke(cli, ["generate", "c.yaml", "--offline"]).exit_code == 0
    result = CliRunner().invoke(cli, ["pack", "out.jsonl", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["archive"], told["rows"]) == ("out.zip", 5)
    with zipfile.ZipFile("out.zip") as files:
        assert not any(str(tmp_path).encode() in files.read(name) for name in files.namelist())
    result = CliRunner().invoke(cli, ["pack", "out.jsonl", "--force"])
    assert "out.jsonl.ledger" in result.stdout


def test_whole_paths_of_the_machine_are_not_in_it_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PWD", "OLDPWD", "CLOUD_CREDENTIALS"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "c.yaml").write_text(
        f"kind: raw\ndocument_types: [note]\ntopics: {{source: topics.csv}}\noutput_file: {tmp_path}/out.jsonl\n"
        f"run: {{ledger: {tmp_path}/kept.sqlite}}\nproviders: [openai/gpt-6-luna]\n",
        "utf-8",
    )
    (tmp_path / "topics.csv").write_text("text\ntides\n", "utf-8")
    run = ["generate", f"{tmp_path}/c.yaml", "--offline", f"--events={tmp_path}/events.jsonl"]
    result = CliRunner().invoke(cli, run)
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(cli, ["pack", f"{tmp_path}/out.jsonl", "--ledger", f"{tmp_path}/kept.sqlite"])
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "out.zip") as files:
        found = {name: files.read(name) for name in files.namelist()}
    assert [name for name, data in found.items() if str(tmp_path).encode() in data] == []
    assert found["out.jsonl.manifest.json"] == (tmp_path / "out.jsonl.manifest.json").read_bytes()
    told = json.loads(found["out.jsonl.manifest.json"])
    assert [file["file"] for file in told["sources"]["topics"]["files"]] == ["topics.csv"]
    assert told["command"].startswith("datafast generate c.yaml --offline")


@pytest.mark.parametrize("place", ["beside the config", "beside the rows", "--env-file of the run", "--env-file"])
def test_a_key_of_a_file_of_keys_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("config", "rows"):
        Path(name).mkdir()
    Path("config/c.yaml").write_text(
        f"kind: raw\ndocument_types: [note]\ntopics: [our key {SECRET}]\noutput_file: rows/out.jsonl\n"
        "providers: [{provider: openai, model_id: gpt-6-luna, api_key_env: HARBOUR}]\n",
        "utf-8",
    )
    files = {"beside the config": "config/secrets.env", "beside the rows": "rows/secrets.env"}
    keys = Path(files.get(place, "my.env"))
    run = ["--env-file", "my.env"] if place == "--env-file of the run" else []
    given = ["--env-file", "my.env"] if place == "--env-file" else []
    keys.write_text(f"HARBOUR={SECRET}\nWHERE=https://example.org/a/long/address\n", "utf-8")
    result = CliRunner(env={"HARBOUR": None}).invoke(cli, ["generate", "config/c.yaml", "--offline", *run])
    assert result.exit_code == 0, result.output
    monkeypatch.delenv("HARBOUR", raising=False)  # as in a later process
    result = CliRunner().invoke(cli, ["pack", "rows/out.jsonl", *given])
    assert result.exit_code == 2, result.output
    assert "The value of HARBOUR in " in result.output
    assert f"{keys} stands in out.jsonl" in result.output.replace("\n", " ")
    assert SECRET not in result.output
    assert not Path("rows/out.zip").exists()
    keys.unlink()
    given = [] if place != "--env-file" else given
    if place == "--env-file":
        result = CliRunner().invoke(cli, ["pack", "rows/out.jsonl", *given])
        assert "There is no file my.env" in result.output
    assert CliRunner().invoke(cli, ["pack", "rows/out.jsonl"], env={"X": "a"}).exit_code == 0


def test_a_key_that_only_its_form_or_a_provider_tells_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw(tmp_path, topics=[f"our key {SECRET}"]).generate([SimulatedProvider("m")])
    monkeypatch.setenv("HARBOUR", f"postgres://sailor:{SECRET}@localhost/rows")
    with pytest.raises(OutputError, match="HARBOUR in the environment"):
        packed(tmp_path)
    monkeypatch.setenv("HARBOUR", SECRET)
    with pytest.raises(OutputError, match="HARBOUR in the environment"):
        packed(tmp_path, force=True)
