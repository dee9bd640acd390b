"""What the list of outputs says of one, whatever it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from datafast.datasets import RawDataset
from datafast.llms import SimulatedProvider
from datafast.schema.config import RawDatasetConfig
from datafast.store.lock import take_locks
from datafast.store.paths import OutputPaths
from datafast.view.outputs import Output, Outputs
from datafast.view.summary import Summary, summary_of


def summary(path: Path) -> Summary:
    return summary_of(Output(path, path.name))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    config = RawDatasetConfig(
        document_types=["note"],
        topics=["ice", "tides"],
        num_samples_per_prompt=3,
        output_file=folder / "notes.jsonl",
        quality=[{"stage": "length", "max_words": 60}],
    )
    RawDataset(config).generate([SimulatedProvider()], progress=False)
    return folder


@pytest.fixture
def notes(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy" / "notes.jsonl"


def test_an_output_is_told_with_its_counts(notes: Path) -> None:
    found = summary(notes)
    assert (found.kind, found.state, found.told, found.is_simulated) == ("raw", "complete", "", True)
    assert found.rows is not None
    assert found.filtered is not None
    assert found.rows + found.filtered == found.requested
    assert (found.failed, found.pending, found.cost_usd) == (0, 0, 0.0)


def test_looking_writes_nothing(notes: Path) -> None:
    before = {path: path.read_bytes() for path in notes.parent.iterdir()}
    summary(notes)
    assert {path: path.read_bytes() for path in notes.parent.iterdir()} == before


def test_a_run_of_another_process_is_told(notes: Path) -> None:
    with take_locks(OutputPaths.of(notes)):
        assert summary(notes).state == "running"
    assert summary(notes).state == "complete"


def test_a_run_that_was_killed_is_told(notes: Path) -> None:
    OutputPaths.of(notes).journal.touch()
    found = summary(notes)
    assert found.state == "killed"
    assert "The same command goes on" in found.told


def test_an_output_whose_rows_are_gone_is_told(notes: Path) -> None:
    notes.unlink()
    found = summary(notes)
    assert (found.state, found.told.startswith("The file of rows is gone")) == ("unfinished", True)
    assert [output.name for output in Outputs(notes.parent).all()] == ["notes.jsonl"]


def test_a_run_that_stopped_early_is_told(tmp_path: Path) -> None:
    config = RawDatasetConfig(
        document_types=["note"], topics=list("abcde"), num_samples_per_prompt=1, output_file=tmp_path / "few.jsonl"
    )
    RawDataset(config).generate([SimulatedProvider()], limit=2, progress=False)
    found = summary(tmp_path / "few.jsonl")
    assert (found.state, found.rows, found.pending) == ("unfinished", 2, 3)


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\x00" + b"\x01" * 4000])
def test_a_damaged_ledger_is_told(notes: Path, damage: bytes) -> None:
    OutputPaths.of(notes).ledger.write_bytes(damage)
    found = summary(notes)
    assert found.state == "damaged"
    assert found.told


def test_a_ledger_that_is_cut_off_anywhere_is_told(notes: Path) -> None:
    whole = OutputPaths.of(notes).ledger.read_bytes()
    for share in (0.1, 0.4, 0.6, 0.9):
        OutputPaths.of(notes).ledger.write_bytes(whole[: int(len(whole) * share)])
        assert summary(notes).state in {"damaged", "complete"}


FILES = [
    ("rows.jsonl", b'{"a": 1}\n{"a": 2}', "JSONL", 2),
    ("rows.ndjson", b'\xef\xbb\xbf{"a": 1}\n', "JSONL", 1),
    ("empty.jsonl", b"", "JSONL", 0),
    ("table.csv", b'a,b\n1,"x\ny"\n2,"\n\n"\n', "CSV", 2),
    ("header.csv", b"a,b\n", "CSV", 0),
    ("table.tsv", b'a\tb\n1\t"\n', "TSV", 1),
    ("rows.json", b'[{"a": 1}]', "JSON", None),
    ("rows.jsonl.gz", b"\x1f\x8b", "JSONL", None),
]


@pytest.mark.parametrize(("name", "content", "kind", "rows"), FILES, ids=[file[0] for file in FILES])
def test_files_of_other_tools_are_told(tmp_path: Path, name: str, content: bytes, kind: str, rows: int | None) -> None:
    (tmp_path / name).write_bytes(content)
    assert summary(tmp_path / name) == Summary(kind, "rows", rows=rows)
    assert [output.name for output in Outputs(tmp_path).all()] == [name]


@pytest.mark.parametrize("ending", ["parquet", "feather", "arrow"])
def test_files_that_say_how_many_rows_they_have_are_not_read(tmp_path: Path, ending: str) -> None:
    import pandas as pd

    path = tmp_path / f"rows.{ending}"
    frame = pd.DataFrame({"a": range(700)})
    frame.to_parquet(path) if ending == "parquet" else frame.to_feather(path)
    assert summary(path) == Summary("Parquet" if ending == "parquet" else "Arrow", "rows", rows=700)
    path.write_bytes(path.read_bytes()[:40])
    found = summary(path)
    assert found.state == "damaged"
    assert found.told.startswith(f"Cannot read {path.name}: ")


def test_a_large_file_is_counted_in_part_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 2_000_000)
    found = summary_of(Output(path, path.name), counted_bytes=5_000_000)
    assert found.is_about
    assert found.rows == pytest.approx(2_000_000, rel=0.01)


def test_what_is_no_jsonl_says_so(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("hello\n")
    (tmp_path / "folder.jsonl").mkdir()
    assert summary(tmp_path / "rows.jsonl").told == "It is not JSONL: its first line is no object."
    assert summary(tmp_path / "folder.jsonl").told == "It is a folder."
    assert summary(tmp_path / "gone.jsonl").told.startswith("It cannot be read: ")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "closed"
    path.mkdir()
    (path / "rows.jsonl").write_text("{}\n")
    path.chmod(0)
    yield tmp_path
    path.chmod(0o700)


def test_a_closed_folder_hides_no_other(closed: Path) -> None:
    (closed / "rows.jsonl").write_text("{}\n")
    assert "rows.jsonl" in [output.name for output in Outputs(closed).all()]


def test_a_folder_is_looked_into_as_deep_as_is_sensible(tmp_path: Path) -> None:
    for folder in (".hidden", "node_modules", "a/b/c/d/e", "a/b/c/d/e/f"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "rows.jsonl").write_text("{}\n")
    (tmp_path / "around").symlink_to(tmp_path)
    for name in ("rows.jsonl.manifest.json", "other.json", "notes.txt", "rows.jsonl.reviews", ".rows.jsonl"):
        (tmp_path / name).write_text('{"a": 1}')
    assert [output.name for output in Outputs(tmp_path).all()] == ["a/b/c/d/e/rows.jsonl"]
