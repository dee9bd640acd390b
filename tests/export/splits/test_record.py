"""The record of stable splits: read as it was written, and refused where it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ConfigError, OutputWriteError
from datafast.export.splits import Splitting
from datafast.export.splits.record import NO_SPLIT, SplitRecord

SPLITTING = Splitting(0.5, group="near_duplicates", stable=True)
HASHES = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=30)


def arrays(rows: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([*rows], np.uint64), np.array([*rows.values()], np.uint8)


@given(first=HASHES, second=HASHES)
def test_rows_keep_the_split_that_they_had_first(
    first: list[int], second: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("record") / "rows.jsonl"
    known: dict[int, int] = {}
    for number, hashes in enumerate((first, second)):
        record = SplitRecord.beside(source, SPLITTING)
        rows = {value: NO_SPLIT if value % 5 == 0 else (value + number) % 3 for value in hashes}
        record.add(*arrays(rows))
        record.save()
        known = {value: split for value, split in rows.items() if split != NO_SPLIT} | known
    asked = [*first, *second, 7, 2**63]
    found = SplitRecord.beside(source, SPLITTING).splits_of(np.array(asked, np.uint64))
    assert found.tolist() == [known.get(value, NO_SPLIT) for value in asked]


def test_each_seed_size_and_group_has_a_record_of_its_own(tmp_path: Path) -> None:
    others = [
        Splitting(0.6, group="near_duplicates", stable=True),
        Splitting(0.5, 0.2, group="near_duplicates", stable=True),
        Splitting(0.5, group=["near_duplicates", "topic"], stable=True),
        Splitting(0.5, seed=1, group="near_duplicates", stable=True),
    ]
    for splitting in [SPLITTING, *others, SPLITTING]:
        SplitRecord.beside(tmp_path / "rows.jsonl", splitting).save()
    assert len(list(tmp_path.iterdir())) == 5


def test_a_record_that_is_cut_off_or_changed_is_refused(tmp_path: Path) -> None:
    record = SplitRecord.beside(tmp_path / "rows.jsonl", SPLITTING)
    record.add(*arrays({number * 10**15: number % 2 for number in range(20)}))
    record.save()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(ConfigError, match="is damaged"):
            SplitRecord.beside(tmp_path / "rows.jsonl", SPLITTING)
    path.write_bytes(whole.replace((10**15).to_bytes(8, "little"), (10**14).to_bytes(8, "little")))
    with pytest.raises(ConfigError, match="is damaged"):
        SplitRecord.beside(tmp_path / "rows.jsonl", SPLITTING)


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    record = SplitRecord.beside(tmp_path / "folder" / "rows.jsonl", SPLITTING)
    (tmp_path / "folder").write_text("", encoding="utf-8")
    with pytest.raises(OutputWriteError, match="says which rows are in which split"):
        record.save()
