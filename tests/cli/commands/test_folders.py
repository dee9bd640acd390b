"""Commands that take a folder of shards like a file: what they sum, and that they say the same as of the merged file."""

from __future__ import annotations

import gc
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast import load
from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.engine.batches import settling
from datafast.engine.stop import StopSignal
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.schema.config import RawDatasetConfig, RunConfig
from datafast.statistics import compare
from datafast.store.lock import take_locks
from datafast.store.shards import ShardFolder
from datafast.types import StopCause
from tests.support import rows_of

Run = Callable[..., Result]
SHARDS = 3
FOLDER = "notes.jsonl"
CONFIG = """\
kind: raw
output_file: notes.jsonl
document_types: [manual, leaflet, letter]
topics: [pumps, valves, seals, cranes]
languages: {en: English, fr: French}
num_samples_per_prompt: 1
quality:
  - {stage: keep_if, expression: "uuid[0] in '02468ace'"}
  - {stage: near_duplicates, threshold: 0.3}
providers:
  - {provider: simulated, model_id: a%s}
  - {provider: simulated, model_id: b}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Calls `datafast` in an empty folder that holds c.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG % "", encoding="utf-8")
    return invoked


def invoked(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def make(run: Run, *numbers: int, of: int = SHARDS, code: int = 0, options: tuple[Any, ...] = ()) -> None:
    for number in numbers:
        done = run("generate", "c.yaml", "--shard", f"{number}/{of}", *options)
        assert done.exit_code == code, done.output


def told(run: Run, *arguments: Any) -> dict[str, Any]:
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output
    return dict(json.loads(found.stdout))


def shard(number: int, of: int = SHARDS) -> Path:
    return ShardFolder(Path(FOLDER), of, [number]).paths(number).rows


# -- status


def test_status_sums_the_shards_and_has_a_line_for_each(run: Run, whole: Path) -> None:
    found = told(run, "status", FOLDER)
    parts = [told(run, "status", shard(number)) for number in (1, 2, 3)]
    for name in ("requested", "written", "filtered", "failed", "pending", "calls", "input_tokens", "output_tokens"):
        assert found[name] == sum(part[name] for part in parts)
    assert found["requested"] == 48 == found["written"] + found["filtered"]
    assert found["usage_by_provider"].keys() == {"simulated/a", "simulated/b"}
    assert sum(used["calls"] for used in found["usage_by_provider"].values()) == found["calls"] == 48
    assert found["filtered_by_stage"]["keep_if"] == {
        reason: sum(part["filtered_by_stage"].get("keep_if", {}).get(reason, 0) for part in parts)
        for reason in found["filtered_by_stage"]["keep_if"]
    }
    assert [part["shard"] for part in found["shards"]] == ["1/3", "2/3", "3/3"]
    assert [{name: part[name] for name in parts[0]} for part in found["shards"]] == parts
    assert (found["of"], found["missing"], found["unknown"]) == (3, [], [])
    assert found["decided_at_merge"] == ["near_duplicates"]
    shown = run("status", FOLDER).stdout
    assert "file      notes.jsonl (these rows are simulated)\n" in shown
    for number, part in enumerate(parts, start=1):
        assert f"shard     {number}/3: {part['written']} of {part['requested']} rows written" in shown
    assert "note      not decided yet: near_duplicates; " in shown
    assert shown.endswith("next      datafast merge notes.jsonl -o FILE.jsonl   (one file of all shards, at no cost)\n")


def test_status_names_the_shards_that_have_not_begun_and_how_they_begin(run: Run) -> None:
    make(run, 2)
    found = told(run, "status", FOLDER)
    assert found["missing"] == [1, 3]
    shown = run("status", FOLDER).stdout
    assert "shard     1/3: has not begun\n" in shown
    assert "note      shards 1, 3 of 3 have not begun, and what they ask for is not counted above\n" in shown
    assert "next      datafast generate c.yaml --shard 1/3   (shard 1 begins)\n" in shown
    assert "          datafast generate c.yaml --shard 3/3   (shard 3 begins)\n" in shown
    assert "datafast merge notes.jsonl" not in shown


def test_status_says_which_shards_run_and_which_stopped(run: Run) -> None:
    make(run, 1, options=("--limit", 2))
    make(run, 2, 3)
    with take_locks(ShardFolder.open(FOLDER).paths(2)):
        shown, found = run("status", FOLDER).stdout, told(run, "status", FOLDER)
    assert found["running"]
    assert [part["running"] for part in found["shards"]] == [False, True, False]
    assert "; a run is writing to it now (process " in shown
    assert "note      shard 2 is running now\n" in shown
    assert "next      datafast generate c.yaml --shard 1/3   (shard 1 goes on)\n" in shown


def test_status_of_many_shards_shows_those_that_lack_something(run: Run) -> None:
    make(run, 7, 8, of=60)
    shown = run("status", FOLDER).stdout
    assert shown.count("\nshard ") <= 42
    assert "note      shards 1-6, 9-60 of 60 have not begun" in shown
    assert "datafast status notes.jsonl --json   (the other 53 shards, each with its command)" in shown


def test_shards_of_two_configs_are_told(run: Run, whole: Path) -> None:
    config = Path("c.yaml").read_text(encoding="utf-8")
    Path("c.yaml").write_text(config.replace("pumps", "bridges"), encoding="utf-8")
    make(run, 2, options=("--yes",))
    assert told(run, "status", FOLDER)["unlike"] == [2]
    shown = run("status", FOLDER).stdout
    assert (
        "note      shard 2: not of one output with shard 1/3: the config was another one, or only one of them is simulated"
        in shown
    )
    assert "datafast merge notes.jsonl" not in shown
    for command in (["stats", FOLDER], ["export", FOLDER, "--to", "csv", "-o", "x.csv"]):
        refused = run(*command)
        assert refused.exit_code == 2
        assert "Shard 1/3 and Shard 2/3 were made with different settings." in refused.stderr
    make(run, 1, 3, options=("--yes",))
    assert told(run, "status", FOLDER)["unlike"] == []
    assert run("stats", FOLDER).exit_code == 0


def test_a_shard_without_a_ledger_is_told(run: Run, whole: Path) -> None:
    Path(f"{shard(2)}.ledger").rename("elsewhere.ledger")
    found = told(run, "status", FOLDER)
    assert (found["unknown"], found["missing"]) == ([2], [])
    shown = run("status", FOLDER).stdout
    assert "shard     2/3: has rows and no ledger, so nothing is known of it\n" in shown
    assert "name their folder with --ledger" in shown
    assert "datafast merge notes.jsonl" not in shown


def test_ledgers_elsewhere_are_a_folder_too(run: Run) -> None:
    Path("c.yaml").write_text(f"{CONFIG % ''}run: {{ledger: ledgers}}\n", encoding="utf-8")
    make(run, 1, 2, 3)
    assert len(list(Path("ledgers").glob("*.ledger"))) == 3
    assert told(run, "status", FOLDER, "--ledger", "ledgers")["requested"] == 48
    assert "datafast merge notes.jsonl --ledgers ledgers -o" in run("status", FOLDER, "--ledger", "ledgers").stdout
    assert told(run, "status", FOLDER)["unknown"] == [1, 2, 3]


@pytest.mark.parametrize("command", ["status", "failures", "stats"])
def test_shards_of_two_divisions_are_refused_with_their_names(run: Run, command: str) -> None:
    make(run, 1, 2)
    for path in list(Path(FOLDER).iterdir()):
        if path.name.startswith("shard-00002"):
            path.rename(path.with_name(path.name.replace("of-00003", "of-00007")))
    refused = run(command, FOLDER)
    assert refused.exit_code == 2
    assert (
        "notes.jsonl has shards of 3 and of 7 (shard-00001-of-00003.jsonl, shard-00002-of-00007.jsonl)"
        in refused.stderr
    )
    assert "datafast reshard notes.jsonl --shards N" in refused.stderr


@pytest.mark.parametrize("command", ["status", "failures", "dropped", "explain"])
def test_a_folder_without_shards_is_no_output(run: Run, command: str) -> None:
    Path(FOLDER).mkdir()
    Path(FOLDER, "notes.txt").write_text("hi", encoding="utf-8")
    refused = run(command, FOLDER, *(["abcd"] if command == "explain" else []))
    assert refused.exit_code == 2
    assert "notes.jsonl is a folder. Give the output file in it, or a folder that has shards." in refused.stderr


def test_a_folder_with_an_output_in_parts_is_told_by_its_url(run: Run) -> None:
    place = Path(FOLDER).absolute()
    config = RawDatasetConfig(
        topics=["tides"],
        document_types=["note"],
        num_samples_per_prompt=1,
        output_file=f"file://{place}",
        run=RunConfig(spool=Path("spool")),
    )
    RawDataset(config).generate([SimulatedProvider()])
    refused = run("status", FOLDER)
    assert refused.exit_code == 2
    assert f"notes.jsonl is an output in parts. Give it as file://{place}." in refused.stderr
    assert run("status", f"file://{place}").exit_code == 0


def test_other_files_in_the_folder_do_no_harm(run: Run, whole: Path) -> None:
    before = told(run, "status", FOLDER)
    for name in ("notes.txt", "shard-1-of-3.jsonl", "x.jsonl", "shard-00001-of-00003.jsonl.report.html"):
        Path(FOLDER, name).write_text("{}\n", encoding="utf-8")
    Path(FOLDER, "more").mkdir()
    assert told(run, "status", FOLDER) == before


# -- failures, batches, explain


def test_failures_are_those_of_all_shards(run: Run) -> None:
    Path("c.yaml").write_text(CONFIG % ", faults: {refused: 0.5}", encoding="utf-8")
    make(run, 1, 2, 3, code=3)
    found = told(run, "failures", FOLDER)
    parts = {f"{number}/3": told(run, "failures", shard(number)) for number in (1, 2, 3)}
    assert found["failed"] == sum(part["failed"] for part in parts.values()) > 0
    assert found["items"] == [{"shard": name, **item} for name, part in parts.items() for item in part["items"]]
    assert sum(found["failures"].values()) == found["failed"]
    assert found["retry"] == {name: part["retry"] for name, part in parts.items() if part["failed"]}
    assert found["retry"]["1/3"] == "datafast generate c.yaml --shard 1/3 --retry-failed"
    assert len(told(run, "failures", FOLDER, "--limit", 2)["items"]) == 2
    shown = run("failures", FOLDER, "--limit", 1).stdout
    assert f"... and {found['failed'] - 1} more; --limit {found['failed']} shows all" in shown
    assert "next      datafast generate c.yaml --shard 1/3 --retry-failed\n" in shown
    status = told(run, "status", FOLDER)
    assert {name: entry["rows"] for name, entry in status["failures"].items()} == found["failures"]
    assert "datafast failures notes.jsonl   (what failed, with why)" in run("status", FOLDER).stdout


def test_a_row_is_explained_from_its_shard(run: Run, whole: Path) -> None:
    row = rows_of(shard(3))[0]
    found = told(run, "explain", FOLDER, row["uuid"])
    assert (found["uuid"], found["row"], found["output_file"]) == (row["uuid"], row, str(shard(3)))
    assert found["calls"][0]["said"]
    assert "No shard has a row whose uuid begins with 'zzzz'." in run("explain", FOLDER, "zzzz").stderr
    assert "notes.jsonl has the lines of several shards" in run("explain", FOLDER, "--line", 1).stderr


def test_a_folder_without_batches_says_so(run: Run, whole: Path) -> None:
    assert run("batches", FOLDER).stdout.startswith("notes.jsonl has no batches.")
    assert told(run, "batches", FOLDER)["batches"] == []
    assert run("batches", FOLDER, "--cancel").stdout.count("No batch is under way for notes.jsonl/shard-") == 3


def test_an_interruption_between_shards_is_told_though_no_batch_of_the_first_is_left(
    run: Run, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(paths: Any, providers: Any, *, stop: StopSignal, **options: Any) -> list[Any]:
        stop.now(StopCause.INTERRUPTED, "interrupted")
        return []

    monkeypatch.setattr(settling, "give_up", give_up)
    done = run("batches", FOLDER, "--cancel")
    assert (done.exit_code, done.stdout.count("No batch is under way")) == (130, 1)


# -- like the merged file


def same(run: Run, *arguments: Any, output: str = "", code: int = 0) -> Result:
    """What a command makes of the folder, which is what it makes of the merged file of that name, but for where it lies."""
    made = []
    for file, place in ((FOLDER, "of-folder"), (f"whole/{FOLDER}", "of-file")):
        Path(place).mkdir(exist_ok=True)
        given = [file if word == "FILE" else str(word).replace("OUT", place) for word in arguments]
        done = run(*given)
        assert done.exit_code == code, done.output
        assert "not complete" not in done.stderr
        # A folder is gone on with by another command, which a card tells.
        shown = re.sub(r"- command: .*?(?=\\n)| text=[0-9a-f]+", "", done.stdout)
        made.append((shown.replace(file, "FILE").replace(place, "OUT"), done))
    assert made[0][0] == made[1][0]
    if output:
        one, other = (sorted(Path(place).glob(output)) for place in ("of-folder", "of-file"))
        assert [path.name for path in one] == [path.name for path in other] != []
        for path, twin in zip(one, other, strict=True):
            assert path.read_bytes() == twin.read_bytes()
    return made[0][1]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with c.yaml, its shards, and in `whole` what merging them makes."""
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "c.yaml").write_text(CONFIG % "", encoding="utf-8")
        make(invoked, 1, 2, 3)
        done = invoked("merge", FOLDER, "-o", f"whole/{FOLDER}")
        assert done.exit_code == 0, done.output
        assert "near_duplicates" in told(invoked, "status", f"whole/{FOLDER}")["filtered_by_stage"]
    return folder


@pytest.fixture
def whole(run: Run, shards: Path) -> Path:
    """The same in the folder of the test; gives the merged file."""
    shutil.copytree(shards, Path(), dirs_exist_ok=True)
    return Path(f"whole/{FOLDER}")


def test_stats_say_the_same_as_of_the_merged_file(run: Run, whole: Path) -> None:
    same(run, "stats", "FILE")
    same(run, "stats", "FILE", "--by", "language", "--json")


def test_a_report_is_that_of_the_merged_file(run: Run, whole: Path) -> None:
    one, other = (told(run, "report", file) for file in (FOLDER, whole))
    assert one["statistics"].pop("file") == one.pop("title") == other.pop("title") == FOLDER
    assert (other["statistics"].pop("file"), bool(one.pop("made_at")), bool(other.pop("made_at"))) == (
        str(whole),
        True,
        True,
    )
    assert one == other
    assert one["samples"][0]["provenance"]["calls"][0]["said"]["text"]
    done = run("report", FOLDER)
    assert done.stdout == "wrote notes.report.html\n"
    page = Path("notes.report.html").read_text(encoding="utf-8")
    assert "<title>notes.jsonl" in page
    assert "datafast-" not in page  # no temporary folder


@pytest.mark.parametrize("order", ["file", "plan"])
def test_an_export_is_that_of_the_merged_file(run: Run, whole: Path, order: str) -> None:
    same(run, "export", "FILE", "--to", "csv", "-o", "OUT/rows.csv", "--order", order, output="rows.csv")
    same(run, "export", "FILE", "--to", "language_modeling", "-o", "OUT/lm.jsonl", output="lm.jsonl")


def test_splits_stay_what_they_were_although_the_copy_is_gone(run: Run, whole: Path) -> None:
    options = ["--train-size", "0.5", "--stable", "--group", "near_duplicates"]
    same(run, "export", "FILE", "--to", "jsonl", "-o", "OUT/rows.jsonl", *options, output="rows.*.jsonl")
    (record,) = Path().glob("notes.jsonl.splits-*")
    (twin,) = whole.parent.glob("notes.jsonl.splits-*")
    assert (record.name, record.read_bytes()) == (twin.name, twin.read_bytes())
    assert not [path for path in Path(FOLDER).iterdir() if "splits" in path.name]
    refused = run("export", FOLDER, "--to", "jsonl", "-o", record)
    assert refused.exit_code == 2
    assert "which row is in which split" in refused.stderr


def test_an_export_writes_over_no_shard(run: Run, whole: Path) -> None:
    before = shard(1).read_bytes()
    for file in (shard(1), Path(f"{shard(2)}.ledger")):
        assert "is also used as notes.jsonl" in run("export", FOLDER, "--to", "jsonl", "-o", file).stderr
        assert "is also used as notes.jsonl" in run("report", FOLDER, "-o", file, "--force").stderr
    assert shard(1).read_bytes() == before


def test_a_push_is_that_of_the_merged_file(run: Run, whole: Path) -> None:
    done = same(run, "push", "FILE", "me/rows", "--train-size", "0.8", "--dry-run", "--json")
    assert sum(json.loads(done.stdout)["splits"].values()) == len(rows_of(whole))


def test_filter_takes_the_rows_of_the_merged_file(run: Run, whole: Path) -> None:
    Path("q.yaml").write_text(
        "quality:\n  - {stage: length, max_words: 60}\n  - {stage: near_duplicates}\n", encoding="utf-8"
    )
    filtering = ["filter", "FILE", "--quality", "q.yaml", "-o", "OUT/kept.jsonl", "--dropped", "OUT/dropped.jsonl"]
    same(run, *filtering, "--json", output="*.jsonl")
    assert rows_of(Path("of-folder/dropped.jsonl"))


def test_filter_with_models_goes_on_with_a_folder(run: Run, whole: Path) -> None:
    text = "quality:\n  - {stage: judge, rubric: Is it clear?, keep_if: score >= 3, providers: [{provider: simulated, model_id: j}]}\n"
    Path("q.yaml").write_text(text, encoding="utf-8")
    asked = ["filter", FOLDER, "--quality", "q.yaml", "-o", "kept.jsonl", "--json"]
    first, second = (json.loads(run(*asked).stdout) for _ in range(2))
    assert first["kept"] + first["filtered"] == len(rows_of(whole))
    assert (first["report"]["calls"], second["report"]["calls"]) == (len(rows_of(whole)), 0)
    assert first["kept"] == second["kept"] == len(rows_of(Path("kept.jsonl")))


def test_dropped_and_evaluate_take_a_folder(run: Run, whole: Path) -> None:
    same(run, "dropped", "FILE", "--json")
    same(run, "evaluate", "FILE", "--prediction", "text", "--reference", "text", "--json")


def test_a_folder_and_its_merged_file_do_not_differ(run: Run, whole: Path) -> None:
    found = told(run, "compare", FOLDER, whole)
    assert (found["a"]["file"], found["b"]["file"]) == (FOLDER, str(whole))
    assert found["rows"]["same"] == len(rows_of(whole))
    assert found["config"] == []


def test_judging_a_folder_goes_on_where_it_was(run: Run, whole: Path) -> None:
    judging = [
        "compare",
        FOLDER,
        whole,
        "--judge",
        "openai/gpt-4.1",
        "--offline",
        "--match",
        "random",
        "--max-pairs",
        6,
    ]
    first = told(run, *judging)["verdicts"]
    assert Path("notes-vs-notes.jsonl").exists()
    before = Path("notes-vs-notes.jsonl.ledger").read_bytes()
    assert told(run, *judging)["verdicts"] == first
    assert Path("notes-vs-notes.jsonl.ledger").stat().st_size == len(before)


@pytest.mark.parametrize("command", ["reviews", "pack", "card"])
def test_what_needs_one_file_says_how_it_is_made(run: Run, whole: Path, command: str) -> None:
    refused = run(command, FOLDER)
    assert refused.exit_code == 2
    assert "`datafast merge notes.jsonl -o FILE.jsonl` makes one output of its shards, at no cost." in refused.stderr


def test_rows_of_an_unfinished_folder_are_compared_with_those_that_are_there(run: Run) -> None:
    make(run, 1, 3)
    make(run, 2, options=("--limit", 4))
    done = run("stats", FOLDER, "--json")
    assert done.exit_code == 0
    assert "WARNING: notes.jsonl is not complete: Shard 2/3 lacks" in done.stderr
    found = json.loads(done.stdout)
    (partial,) = (run("merge", FOLDER, "-o", "part.jsonl", "--partial"),)
    assert partial.exit_code == 4
    assert found["total"]["rows"] == len(rows_of(Path("part.jsonl")))
    for path in Path(FOLDER).glob("shard-00002*"):
        path.unlink()
    assert (
        "WARNING: notes.jsonl is not complete: Shard 2/3 is not there."
        in run("export", FOLDER, "--to", "csv", "-o", "x.csv").stderr
    )


def test_the_rows_of_running_shards_are_shown(run: Run, whole: Path) -> None:
    quiet = told(run, "stats", FOLDER)
    with take_locks(ShardFolder.open(FOLDER).paths(2)):
        assert told(run, "stats", FOLDER) == quiet


def test_load_reads_a_folder_as_long_as_it_is_needed(run: Run, whole: Path) -> None:
    loaded = load(FOLDER)
    copy = loaded.paths.rows
    assert list(loaded.to_pandas()["uuid"]) == [row["uuid"] for row in rows_of(whole)]
    assert repr(loaded).startswith("<rows of notes.jsonl: text")
    assert copy.exists()
    with pytest.raises(ConfigError, match=r"`datafast merge notes.jsonl -o FILE"):
        loaded.reviews()
    del loaded
    gc.collect()
    assert not copy.parent.exists()


def test_compare_in_python_says_what_to_do_with_a_folder(run: Run, whole: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder of shards, which the command `datafast compare` takes"):
        compare(FOLDER, whole)


def test_a_shard_is_not_replayed_by_itself(run: Run, whole: Path) -> None:
    refused = run("replay", f"{shard(1)}.manifest.json")
    assert refused.exit_code == 2
    assert f"{shard(1)}.manifest.json is that of a shard" in refused.stderr
    assert run("replay", f"{whole}.manifest.json").exit_code == 0


def test_what_was_grown_for_all_shards_is_found_from_each(run: Run) -> None:
    Path("c.yaml").write_text(
        "kind: conversation\noutput_file: notes.jsonl\ntopics: {topic_prompt: Keeping bees, degree: 3, depth: 2, "
        "provider: {provider: simulated, model_id: t}}\nproviders: [{provider: simulated, model_id: a}]\n",
        encoding="utf-8",
    )
    make(run, 1, 2, of=2)
    row = rows_of(shard(2, 2))[0]
    told_of = [told(run, "explain", file, row["uuid"]) for file in (FOLDER, shard(2, 2))]
    assert told_of[0] == told_of[1]
    assert told_of[0]["values"]["topic"]
    assert "Keeping bees" in told_of[0]["calls"][0]["messages"][0]["content"]
    assert told(run, "stats", FOLDER)["total"]["rows"] == 9
