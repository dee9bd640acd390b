"""`Splitting`: which rows go to which split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.errors import ConfigError
from datafast.export.splits import Splitting


@pytest.mark.parametrize(
    ("asked", "rows", "sizes"),
    [
        ({}, 7, {"train": 7}),
        ({"train_size": 0.8}, 2, {"train": 1, "test": 1}),
        ({"train_size": 0.29}, 100, {"train": 29, "test": 71}),
        ({"train_size": 0.8, "validation_size": 0.1}, 11, {"train": 8, "validation": 1, "test": 2}),
        ({"train_size": 0.9, "validation_size": 0.1}, 15, {"train": 13, "validation": 2}),
        ({"validation_size": 0.1}, 15, {"train": 14, "validation": 1}),
        ({"train_size": 0.8, "validation_size": 0.1}, 3, {"train": 1, "validation": 1, "test": 1}),
        ({"train_size": 0.1}, 5, {"train": 1, "test": 4}),
    ],
)
def test_shares_are_rounded_down_and_no_split_is_empty(
    asked: dict[str, float], rows: int, sizes: dict[str, int]
) -> None:
    assert Splitting(**asked).sizes(rows) == sizes


@given(rows=st.integers(3, 2000), parts=st.tuples(st.integers(1, 98), st.integers(1, 98)))
def test_sizes_are_within_a_row_of_their_shares_or_one_row(rows: int, parts: tuple[int, int]) -> None:
    train, validation = parts
    if train + validation > 100:
        train, validation = 100 - train, 100 - validation
    splitting = Splitting(train / 100, validation / 100)
    sizes = splitting.sizes(rows)
    assert sum(sizes.values()) == rows
    assert sizes.keys() == splitting.shares.keys()
    assert min(sizes.values()) >= 1
    if min(rows * share for share in splitting.shares.values()) >= 1:
        assert sizes["train"] == rows * train // 100


@pytest.mark.parametrize(
    ("asked", "rows", "told"),
    [
        (
            {"train_size": 0.8},
            1,
            "train_size=0.8 of 1 row: train and test need at least 2 rows, one each. Generate more, or leave the sizes out for a "
            "single split.",
        ),
        (
            {"train_size": 0.8, "validation_size": 0.1},
            2,
            "train_size=0.8 and validation_size=0.1 of 2 rows: train and validation and test need at least 3 rows, one each. Generate "
            "more, or leave the sizes out for a single split.",
        ),
    ],
)
def test_fewer_rows_than_splits_are_refused(asked: dict[str, float], rows: int, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Splitting(**asked).sizes(rows)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("asked", "key", "told"),
    [
        ({"train_size": 1}, "train_size", "train_size=1 is not between 0 and 1"),
        ({"validation_size": 0.0}, "validation_size", "validation_size=0.0 is not between 0 and 1"),
        ({"validation_size": "0.1"}, "validation_size", "validation_size: expected a number between 0 and 1"),
        ({"train_size": 0.8, "validation_size": 0.3}, "validation_size", "more than 1 together"),
        ({"seed": 1.5}, "seed", "seed: expected a whole number"),
        ({"shuffle": "yes"}, "shuffle", "shuffle: expected True or False"),
    ],
)
def test_arguments_that_make_no_split_are_refused_by_name(asked: dict[str, object], key: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Splitting(**asked)  # type: ignore[arg-type]
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("asked", "key", "told"),
    [
        (
            {"stratify": "label"},
            "stratify",
            "stratify: It says how rows are divided, and there is only one split. Give",
        ),
        ({"group": "topic"}, "group", "group: It says how"),
        ({"stable": True}, "stable", "stable: It says how"),
        ({"train_size": 0.8, "stratify": "label", "stable": True}, "stratify", "stratify: With stable=True"),
        ({"train_size": 0.8, "stratify": "label", "group": ["label"]}, "stratify", "'label' is in group too"),
        ({"train_size": 0.8, "stratify": "near_duplicates"}, "stratify", "use group='near_duplicates'"),
        ({"train_size": 0.8, "group": 5}, "group", "group: expected the name of a field, or several, got 5"),
        ({"train_size": 0.8, "stratify": [""]}, "stratify", "expected the name of a field"),
    ],
)
def test_contradictions_are_refused_by_name(asked: dict[str, object], key: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Splitting(**asked)  # type: ignore[arg-type]
    assert caught.value.key == key
