"""An exchange of shards that was cut short is finished by whoever opens the folder, wherever that is and whatever it is called by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast.datasets.resharding import reshard
from datafast.errors import OutputError, OutputWriteError
from datafast.llms import SimulatedProvider
from datafast.store import shard_exchange
from datafast.store.reader import LedgerReader
from datafast.store.shards import ShardFolder, ShardName
from tests.support import raw, snapshot


class Died(BaseException):
    """A death that no handler of errors sees."""


def cut_short(folder: Path, monkeypatch: pytest.MonkeyPatch, *, after: int, ledgers: Path | None = None) -> None:
    """Divides two shards into three, and dies after so many moves."""
    move, done = shard_exchange._move, 0

    def dying(moves: list[list[str]], *place: Path) -> None:
        nonlocal done
        if done == after:
            raise Died
        done += 1
        move(moves, *place)

    with monkeypatch.context() as patched:
        patched.setattr(shard_exchange, "_move", dying)
        with pytest.raises(Died):
            reshard(folder, 3, ledger_folder=ledgers)


def made(place: Path, **run: Path) -> None:
    for number in (1, 2):
        raw(place, topics=8, output_file=place / "rows", run=run).generate([SimulatedProvider("m")], shard=(number, 2))


def items_in(folder: ShardFolder) -> int:
    found = 0
    for paths in folder.outputs:
        with LedgerReader(paths.ledger) as reader:
            found += sum(1 for _ in reader.items())
    return found


@pytest.mark.parametrize("after", [0, 1])
def test_from_another_directory_that_has_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
        made(tmp_path / name)
    monkeypatch.chdir(tmp_path / "here")
    cut_short(Path("rows"), monkeypatch, after=after)
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = ShardFolder.open(tmp_path / "here/rows")
    assert (found.names, items_in(found)) == ([ShardName(number, 3) for number in (1, 2, 3)], 8)
    assert ShardFolder.open("rows").names == [ShardName(1, 2), ShardName(2, 2)]


@pytest.mark.parametrize("after", [0, 1])
def test_in_a_folder_that_was_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    made(tmp_path)
    cut_short(tmp_path / "rows", monkeypatch, after=after)
    found = ShardFolder.open((tmp_path / "rows").rename(tmp_path / "others"))
    assert (found.names, items_in(found)) == ([ShardName(number, 3) for number in (1, 2, 3)], 8)


@pytest.mark.parametrize("after", [0, 1])
def test_with_ledgers_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    made(tmp_path, ledger=tmp_path / "ledgers")
    monkeypatch.chdir(tmp_path)
    cut_short(Path("rows"), monkeypatch, after=after, ledgers=Path("ledgers"))
    monkeypatch.chdir("/")
    found = ShardFolder.open(tmp_path / "rows", tmp_path / "ledgers")
    assert (found.names, items_in(found)) == ([ShardName(number, 3) for number in (1, 2, 3)], 8)


def test_where_a_new_file_is_gone_nothing_is_removed_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, ledger=tmp_path / "ledgers")
    cut_short(tmp_path / "rows", monkeypatch, after=1, ledgers=tmp_path / "ledgers")
    new = shard_exchange.place_in(tmp_path / "ledgers") / "shard-00001-of-00003.jsonl.ledger"
    away = new.rename(tmp_path / "away")
    with pytest.raises(OutputError, match=r"shard-00001-of-00003\.jsonl\.ledger is not there.*Put it back"):
        ShardFolder.open(tmp_path / "rows", tmp_path / "ledgers")
    away.rename(new)
    found = ShardFolder.open(tmp_path / "rows", tmp_path / "ledgers")
    assert (found.names, items_in(found)) == ([ShardName(number, 3) for number in (1, 2, 3)], 8)


def test_a_folder_that_takes_no_files_is_told_in_words(tmp_path: Path) -> None:
    made(tmp_path, ledger=tmp_path / "ledgers")
    shard_exchange.place_in(tmp_path / "ledgers").write_bytes(b"a file in its place")
    before = snapshot(tmp_path / "rows")
    with pytest.raises(OutputWriteError, match=r"Cannot write in .*ledgers"):
        reshard(tmp_path / "rows", 3, ledger_folder=tmp_path / "ledgers")
    assert snapshot(tmp_path / "rows") == before
