"""The names of shards, and the folder that they are in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ConfigError, OutputError
from datafast.store.paths import OutputPaths
from datafast.store.shards import (
    MOST_SHARDS,
    ShardFolder,
    ShardName,
    is_shard_folder,
    shard_paths,
)


@given(st.integers(1, MOST_SHARDS).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))))
def test_a_shard_is_read_back_from_what_it_is_called(numbers: tuple[int, int]) -> None:
    name = ShardName.given(numbers)
    assert ShardName.given(str(name)) == name
    assert name.file_name == f"shard-{numbers[0]:05}-of-{numbers[1]:05}.jsonl"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0/4", r"0/4: .*Shards are counted from 1\."),
        ("5/4", r"5/4: There are 4 shards, so they are 1/4 to 4/4\."),
        ("1/0", r"expected 1 to 99,999 shards, got 0\."),
        ("1/100000", r"expected 1 to 99,999 shards, got 100,000\."),
        ("a/b", r"expected which shard of how many, like 1/4 .* got 'a/b'\."),
        ("3", "expected which shard of how many"),
        ("-1/4", "expected which shard of how many"),
        ("1/4/2", "expected which shard of how many"),
        ("", "expected which shard of how many"),
        ((1, 2, 3), "expected which shard of how many"),
        ((True, 2), "expected which shard of how many"),
        ((1.0, 2), "expected which shard of how many"),
        (3, "expected which shard of how many"),
    ],
)
def test_what_is_no_shard_is_refused(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ShardName.given(value)
    assert caught.value.key == "shard"


def test_files_of_a_shard_stand_in_the_folder_and_ledgers_where_they_are_put(tmp_path: Path) -> None:
    beside = shard_paths(tmp_path / "rows", 2, 3)
    assert beside == OutputPaths.of(tmp_path / "rows" / "shard-00002-of-00003.jsonl")
    elsewhere = shard_paths(tmp_path / "rows", 2, 3, tmp_path / "ledgers")
    assert elsewhere.rows == beside.rows
    assert elsewhere.ledger == tmp_path / "ledgers" / "shard-00002-of-00003.jsonl.ledger"


def test_a_folder_says_which_shards_are_there_and_which_are_missing(tmp_path: Path) -> None:
    for number in (3, 1):
        (tmp_path / ShardName(number, 4).file_name).touch()
    (tmp_path / f"{ShardName(4, 4).file_name}.ledger").touch()  # killed before its first row
    for other in ("shard-1-of-4.jsonl", "shard-00002-of-00004.jsonl.manifest.json", "notes.txt"):
        (tmp_path / other).touch()
    folder = ShardFolder.open(tmp_path)
    assert (folder.of, folder.numbers, folder.missing) == (4, [1, 3, 4], [2])
    assert [paths.rows for paths in folder.outputs] == [tmp_path / name.file_name for name in folder.names]
    assert folder.names == [ShardName(number, 4) for number in (1, 3, 4)]
    assert is_shard_folder(tmp_path)


def test_a_shard_is_found_by_its_ledger_in_another_folder(tmp_path: Path) -> None:
    rows, ledgers = tmp_path / "rows", tmp_path / "ledgers"
    rows.mkdir()
    ledgers.mkdir()
    paths = shard_paths(rows, 2, 2, ledgers)
    paths.ledger.touch()
    assert not is_shard_folder(rows)
    assert ShardFolder.open(rows, ledgers).outputs == [paths]


def test_a_folder_with_several_divisions_is_refused_with_their_names(tmp_path: Path) -> None:
    for name in (ShardName(1, 2), ShardName(2, 2), ShardName(1, 3)):
        (tmp_path / name.file_name).touch()
    with pytest.raises(
        OutputError, match=r"shard-00001-of-00002\.jsonl, shard-00001-of-00003\.jsonl.*datafast reshard"
    ):
        ShardFolder.open(tmp_path)


def test_what_is_no_folder_of_shards_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    for path, message in (
        (tmp_path / "rows.jsonl", "is a file. Give the folder"),
        (tmp_path / "none", "There is no folder"),
        (tmp_path, r"has no shards.*--shard 1/4"),
    ):
        assert not is_shard_folder(path)
        with pytest.raises(ConfigError, match=message):
            ShardFolder.open(path)
