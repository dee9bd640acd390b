"""`datafast replay` and `dataset.replay`: the same bytes from recorded replies, or a word about what keeps them from being the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.datasets.of_output import dataset_in
from datafast.datasets.replaying import Replayed, paths_of_manifest, replay
from datafast.errors import ConfigError, OutputError, RunStopped
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.llms.base import Request, Response
from datafast.llms.simulated.provider import SimulatedBackend
from tests.servers.fault_server import FaultServer
from tests.support import CountingProvider, ForkServer, preference, raw, requests_in, roles

JITTERY: dict[str, Any] = {"latency_jitter_s": 0.005}


def of_files(manifest: Path, target: Path, ledger: Path | None = None) -> Replayed:
    """As the command does it."""
    return replay(manifest, target, dataset_in(paths_of_manifest(manifest, ledger)), ledger=ledger)


def replayed(folder: Path, **options: Any) -> bytes:
    """What is rebuilt; the output is as it was before."""
    output, again = folder / "out.jsonl", folder / "again" / "rows.jsonl"
    before = output.read_bytes() if output.exists() else None
    made = of_files(folder / "out.jsonl.manifest.json", again, **options)
    assert (output.read_bytes() if output.exists() else None) == before
    found = again.read_bytes()
    assert (made.rows, made.size) == (found.count(b"\n"), len(found))
    assert [path.name for path in again.parent.iterdir()] == ["rows.jsonl"], "nothing else is left there"
    return found


CASES: dict[str, Callable[[Path], Any]] = {
    "in order": lambda folder: raw(folder, topics=20, run={"ordered": True}),
    "as they came": lambda folder: raw(folder, topics=20),
    "several rows an item": lambda folder: raw(folder, topics=8, num_samples_per_prompt=3),
    "drawn": lambda folder: raw(folder, topics=20, num_rows=13),
    "targets": lambda folder: raw(
        folder, topics=20, target_rows=8, quality=[{"stage": "keep_if", "expression": "uuid < 'a'"}]
    ),
    "filtered": lambda folder: raw(folder, topics=20, quality=[{"stage": "keep_if", "expression": "uuid < '8'"}]),
    "changed": lambda folder: raw(
        folder,
        topics=8,
        prompts=["Write {num_samples} {document_type} about {topic} in {language_name}, sign as a@b.org."],
        quality=[{"stage": "language", "keep_language": True}],
    ),
    "made again": lambda folder: raw(
        folder, topics=20, regenerate=2, quality=[{"stage": "regex", "deny": ["harbour|market"]}]
    ),
    "compared": lambda folder: raw(
        folder, topics=20, num_samples_per_prompt=2, quality=[{"stage": "near_duplicates", "threshold": 0.5}]
    ),
    "reasoning": lambda folder: raw(folder, topics=6, reasoning="metadata"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_the_rows_are_the_same_bytes_and_nothing_is_sent(tmp_path: Path, case: str) -> None:
    provider = CountingProvider("m", log=tmp_path / "log", **JITTERY)
    dataset = CASES[case](tmp_path)
    dataset.generate([provider])
    asked, rows = len(requests_in(tmp_path / "log")), (tmp_path / "out.jsonl").read_bytes()
    assert rows
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as db:
        made_again = db.execute("SELECT count(*) FROM filtered WHERE generation = 0 AND hidden").fetchone()[0]
        changed = db.execute("SELECT count(*) FROM changed").fetchone()[0]
    assert (made_again > 0, changed > 0) == (case == "made again", case == "changed")
    assert replayed(tmp_path) == rows
    assert len(requests_in(tmp_path / "log")) == asked


def test_with_roles_and_judges(tmp_path: Path) -> None:
    preference(tmp_path, run={"ordered": True}).generate_roles(roles(SimulatedProvider("m", **JITTERY)))
    assert replayed(tmp_path) == (tmp_path / "out.jsonl").read_bytes()


@pytest.mark.parametrize("fan_out", ["all", "split", "fallback"])
def test_with_several_providers(tmp_path: Path, fan_out: str) -> None:
    providers = [SimulatedProvider("m", **JITTERY), SimulatedProvider("n", name="twin", temperature=0.5, **JITTERY)]
    raw(tmp_path, topics=12, run={"fan_out": fan_out}).generate(providers)
    assert replayed(tmp_path) == (tmp_path / "out.jsonl").read_bytes()


def test_the_rows_themselves_are_not_needed(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    rows = (tmp_path / "out.jsonl").read_bytes()
    (tmp_path / "out.jsonl").unlink()
    assert replayed(tmp_path) == rows


def test_a_run_that_stopped_early_and_one_with_failures_are_replayed_as_far_as_they_got(tmp_path: Path) -> None:
    with pytest.raises(RunStopped):
        raw(tmp_path / "a", topics=9, run={"max_calls": 4}).generate([SimulatedProvider("m")])
    assert replayed(tmp_path / "a") == (tmp_path / "a" / "out.jsonl").read_bytes()
    faults = SimulatedProvider("m", faults={"refused": 0.4, "invalid_json": 0.3})
    raw(tmp_path / "b", topics=30).generate([faults])
    assert replayed(tmp_path / "b") == (tmp_path / "b" / "out.jsonl").read_bytes()


def test_a_folder_that_was_moved_is_replayed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    raw(tmp_path / "one", personas={"describe": "sailors", "count": 3}).generate([SimulatedProvider("m")])
    shutil.move(tmp_path / "one", tmp_path / "other")
    assert replayed(tmp_path / "other") == (tmp_path / "other" / "out.jsonl").read_bytes()


@pytest.mark.parametrize("kept", ["", "sources/"])
@pytest.mark.parametrize("rows", ["out.jsonl", "rows/out.jsonl"])
def test_sources_are_moved_along(tmp_path: Path, kept: str, rows: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    (one / kept).mkdir(parents=True)
    (one / f"{kept}seeds.txt").write_text("Tides.\nIce.\n", encoding="utf-8")
    (one / f"{kept}known.txt").write_text("Rain.\n", encoding="utf-8")
    stage = {"stage": "contamination", "against": str(one / f"{kept}known.txt")}
    config: dict[str, Any] = {"output_file": one / rows, "quality": [stage]}
    raw(one, seed_texts=one / f"{kept}seeds.txt", **config).generate([SimulatedProvider("m")])
    shutil.move(one, other)
    again = of_files(other / f"{rows}.manifest.json", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (other / rows).read_bytes()
    assert again.rows > 0
    told = CliRunner().invoke(cli, ["explain", str(other / rows), "--line", "1", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["notes"] == []
    (other / f"{kept}seeds.txt").write_text("Tides.\nSnow.\n", encoding="utf-8")
    with pytest.raises(OutputError, match=r"seed_texts: \S*seeds.txt is not what the rows were made of"):
        of_files(other / f"{rows}.manifest.json", tmp_path / "more.jsonl")


def test_a_model_that_is_gone_and_a_key_are_not_needed(tmp_path: Path, fault_server: FaultServer) -> None:
    raw(tmp_path, topics=4).generate([OpenAIProvider("gpt-x", api_base=fault_server.url, api_key="sk-harbour-123456")])
    asked = len(fault_server.requests)
    assert replayed(tmp_path) == (tmp_path / "out.jsonl").read_bytes()
    assert len(fault_server.requests) == asked


def test_rows_that_were_filtered_with_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(
        "".join(json.dumps({"text": f"Crane {number}."}) + "\n" for number in range(9)), "utf-8"
    )
    Path("q.yaml").write_text(
        'quality: [{stage: judge, rubric: {1: bad, 5: good}, providers: [openai/gpt-6-luna], keep_if: "score > 2"}]',
        "utf-8",
    )
    command = ["filter", "rows.jsonl", "--quality", "q.yaml", "-o", "out.jsonl", "--offline"]
    assert CliRunner().invoke(cli, command).exit_code == 0
    assert replayed(tmp_path) == Path("out.jsonl").read_bytes()


# -- what keeps rows from being the same


def edited(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as db:
        db.execute(statement)
        db.commit()


def refused(folder: Path, message: str, error: type[Exception] = OutputError, **options: Any) -> str:
    with pytest.raises(error, match=message) as raised:
        replayed(folder, **options)
    assert not (folder / "again" / "rows.jsonl").exists()
    return str(raised.value)


def test_a_reply_that_is_missing(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    edited(tmp_path, "DELETE FROM calls WHERE id = 3")
    told = refused(tmp_path, "no recorded reply")
    assert "Line" in told


def test_another_version_that_makes_other_bytes(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    told = json.loads((tmp_path / "out.jsonl.manifest.json").read_text("utf-8"))
    told["versions"]["datafast"] = "0.9.9"
    (tmp_path / "out.jsonl.manifest.json").write_text(json.dumps(told), "utf-8")
    assert replayed(tmp_path) == (tmp_path / "out.jsonl").read_bytes(), "another version that makes the same is as good"
    shutil.rmtree(tmp_path / "again")
    edited(tmp_path, "UPDATE calls SET raw = CAST(replace(CAST(raw AS TEXT), 'the', 'the old') AS BLOB) WHERE id = 2")
    assert "datafast 0.9.9 has made it, and 0.1.0 is installed" in refused(tmp_path, "would have other bytes")


def test_other_bytes_by_the_same_version(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    edited(tmp_path, "UPDATE calls SET raw = CAST(replace(CAST(raw AS TEXT), 'the', 'the old') AS BLOB) WHERE id = 2")
    refused(tmp_path, "would have other bytes, although all versions are the same")


def test_a_source_that_has_changed_or_is_gone(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("Tides.\n", encoding="utf-8")
    raw(tmp_path, seed_texts=tmp_path / "seeds.txt").generate([SimulatedProvider("m")])
    (tmp_path / "seeds.txt").write_text("Ice.\n", encoding="utf-8")
    assert "seeds.txt" in refused(tmp_path, "seed_texts: .* is not what the rows were made of")
    (tmp_path / "seeds.txt").unlink()
    refused(tmp_path, "seeds.txt", ConfigError)


def test_an_output_that_was_worked_on_since(tmp_path: Path) -> None:
    raw(tmp_path, topics=3).generate([SimulatedProvider("m")])
    old = (tmp_path / "out.jsonl.manifest.json").read_bytes()
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    (tmp_path / "out.jsonl.manifest.json").write_bytes(old)
    refused(tmp_path, "is not as it was when")


def test_rows_that_left_the_config(tmp_path: Path) -> None:
    raw(tmp_path, topics=5, run={"removed": "keep"}).generate([SimulatedProvider("m")])
    raw(tmp_path, topics=3, run={"removed": "keep"}).generate([SimulatedProvider("m")])
    refused(tmp_path, "not in the config any more")


def test_without_a_ledger_or_a_manifest(tmp_path: Path) -> None:
    raw(tmp_path).generate([SimulatedProvider("m")])
    with pytest.raises(ConfigError, match="is not named like a manifest"):
        of_files(tmp_path / "out.jsonl.ledger", tmp_path / "x.jsonl")
    (tmp_path / "out.jsonl.ledger").rename(tmp_path / "elsewhere")
    refused(tmp_path, "There is no ledger")
    assert replayed(tmp_path, ledger=tmp_path / "elsewhere") == (tmp_path / "out.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "again")
    (tmp_path / "out.jsonl.manifest.json").unlink()
    refused(tmp_path, "There is no file", ConfigError, ledger=tmp_path / "elsewhere")


def test_neither_the_output_nor_a_file_that_is_there_is_overwritten(tmp_path: Path) -> None:
    dataset = raw(tmp_path).generate([SimulatedProvider("m")])
    for name in ("out.jsonl", "out.jsonl.ledger", "out.jsonl.manifest.json"):
        with pytest.raises(ConfigError, match="is also used as"):
            dataset.replay(tmp_path / name, force=True)
    (tmp_path / "mine.jsonl").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        dataset.replay(tmp_path / "mine.jsonl")
    assert dataset.replay(tmp_path / "mine.jsonl", force=True).rows == 6


def test_a_file_that_is_there_stays_if_the_rows_are_others_whatever_is_asked(tmp_path: Path) -> None:
    dataset = raw(tmp_path).generate([SimulatedProvider("m")])
    (tmp_path / "mine.jsonl").write_text("mine", encoding="utf-8")
    manifest = tmp_path / "out.jsonl.manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace(dataset.manifest["output"]["sha256"], "0" * 64), "utf-8")
    with pytest.raises(OutputError, match="have not the SHA-256 of the manifest"):
        dataset.replay(tmp_path / "mine.jsonl", force=True)
    assert (tmp_path / "mine.jsonl").read_text("utf-8") == "mine"


def test_what_the_rows_are_made_from_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("Tides.\n", encoding="utf-8")
    dataset = raw(tmp_path, seed_texts=tmp_path / "seeds.txt").generate([SimulatedProvider("m")])
    for write in (dataset.replay, dataset.pack):
        with pytest.raises(ConfigError, match=r"seeds\.txt is also used as seed_texts"):
            write(tmp_path / "seeds.txt", force=True)
    assert (tmp_path / "seeds.txt").read_text("utf-8") == "Tides.\n"


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, inner in parts:
        yield (*above, name)
        yield from places(inner, (*above, name))


def test_a_manifest_that_was_edited_is_never_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "seeds.txt").write_text("Tides.\n", encoding="utf-8")
    dataset = raw(tmp_path, seed_texts=tmp_path / "seeds.txt").generate([SimulatedProvider("m")])
    manifest = tmp_path / "out.jsonl.manifest.json"
    whole = json.loads(manifest.read_bytes())
    read = ("simulated", "output", "sources", "providers", "routes", "versions", "ledger")
    for place in [place for place in places(whole) if place[0] in read]:
        for value in (None, 7, [1]):
            changed = json.loads(json.dumps(whole))
            there = changed
            for name in place[:-1]:
                there = there[name]
            if value is None:
                del there[place[-1]]
            else:
                there[place[-1]] = value
            manifest.write_text(json.dumps(changed), "utf-8")
            with suppress(OutputError, ConfigError):
                dataset.replay(tmp_path / "again.jsonl", force=True)
    manifest.write_text(json.dumps({**whole, "providers": []}), "utf-8")
    with pytest.raises(
        OutputError, match=r"routes\.0 names simulated/m, which is not among its providers\. Give the file"
    ):
        dataset.replay(tmp_path / "again.jsonl", force=True)


def test_what_is_only_in_python_is_replayed_there(tmp_path: Path) -> None:
    from datafast.datasets import JudgementDataset
    from datafast.schema.config import JudgementDatasetConfig

    rows = tuple({"text": f"Crane {number}."} for number in range(5))
    dataset = JudgementDataset(
        JudgementDatasetConfig(source=rows, columns=["text"], judges=["a"], output_file=tmp_path / "out.jsonl")
    )
    dataset.generate({"a": SimulatedProvider("m")})
    told = refused(tmp_path, "cannot be loaded from its ledger", ConfigError)
    assert "call its replay()" in told
    dataset.replay(tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


# -- kills


def killed_run(folder: str) -> None:
    own, sent = SimulatedBackend.complete, iter(range(1_000))

    async def complete(backend: SimulatedBackend, request: Request) -> Response:
        if next(sent) == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return await own(backend, request)

    SimulatedBackend.complete = complete  # type: ignore[method-assign]
    raw(Path(folder), topics=20).generate([SimulatedProvider("m", **JITTERY)])


def test_after_a_kill_the_next_run_makes_it_replayable_again(tmp_path: Path, children: ForkServer) -> None:
    raw(tmp_path, topics=5).generate([SimulatedProvider("m")])
    assert children.run("tests.datasets.test_replaying:killed_run", folder=str(tmp_path)) == -signal.SIGKILL
    raw(tmp_path, topics=20).generate([SimulatedProvider("m")])
    assert replayed(tmp_path) == (tmp_path / "out.jsonl").read_bytes()


# -- the command


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "kind: raw\ndocument_types: [note]\ntopics: [a, b]\noutput_file: out.jsonl\nproviders: [openai/gpt-6-luna]\n",
        "utf-8",
    )
    assert CliRunner().invoke(cli, ["generate", "c.yaml", "--offline"]).exit_code == 0
    result = CliRunner().invoke(cli, ["replay", "out.jsonl.manifest.json", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["output_file"] == "out.replayed.jsonl"
    assert Path("out.replayed.jsonl").read_bytes() == Path("out.jsonl").read_bytes()
    result = CliRunner().invoke(cli, ["replay", "out.jsonl.manifest.json"])
    assert (result.exit_code, "is there already" in result.stderr) == (2, True)
    result = CliRunner().invoke(cli, ["replay", "out.jsonl.manifest.json", "-o", "x.jsonl"])
    assert "the same as in the manifest" in result.stdout


def test_rows_that_stand_in_a_config_are_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("document_qa", "mcq", "judgement", "generic_pipeline"):
        assert CliRunner().invoke(cli, ["init", kind]).exit_code == 0
        result = CliRunner().invoke(cli, ["generate", f"{kind}.yaml", "--offline", "--output", f"{kind}.jsonl"])
        assert result.exit_code == 0, result.output
        result = CliRunner().invoke(cli, ["replay", f"{kind}.jsonl.manifest.json", "-o", f"{kind}.again.jsonl"])
        assert result.exit_code == 0, result.output
        assert Path(f"{kind}.again.jsonl").read_bytes() == Path(f"{kind}.jsonl").read_bytes()


WITH_ROWS = {
    "a column": """\
kind: columns
num_rows: 4
columns:
  cell: {type: source, source: [{a: cranes}, {a: ropes}], column: a}
  said: {type: text, provider: writer, prompt: "Ask about {cell}."}
providers: {writer: {provider: simulated, model_id: m}}
""",
    "a stage": """\
kind: raw
document_types: [note]
topics: [tides, ropes]
num_samples_per_prompt: 2
providers: [{provider: simulated, model_id: m}]
quality: [{stage: near_duplicates, against: [{source: [{said: Cranes lift boxes.}], column: said}]}]
""",
}


@pytest.mark.parametrize("place", WITH_ROWS)
def test_rows_that_stand_in_a_part_of_a_config_are_replayed_and_merged(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(WITH_ROWS[place] + "run: {ordered: true}\n")
    for command in (
        "generate c.yaml --output rows.jsonl",
        "replay rows.jsonl.manifest.json -o again.jsonl",
        "generate c.yaml --output shards --shard 1/2",
        "generate c.yaml --output shards --shard 2/2",
        "reshard shards --shards 3",
        "merge shards -o merged.jsonl",
    ):
        result = CliRunner().invoke(cli, command.split())
        assert result.exit_code == 0, result.output
    assert len({Path(name).read_bytes() for name in ("rows.jsonl", "again.jsonl", "merged.jsonl")}) == 1
