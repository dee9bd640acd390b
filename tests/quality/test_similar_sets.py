"""The index of sets, beside a comparison of every pair."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.quality.minhash import Bands, bands_for
from datafast.quality.shingles import Shingles, mixed
from datafast.quality.similar_sets import SetIndex, SetKeys


def as_set(numbers: Sequence[int]) -> Shingles:
    """Members like those of texts: hashes of 32 bits."""
    return np.unique((mixed(np.array(list(numbers), np.uint64)) >> np.uint64(32)).astype(np.uint32))


def jaccard(one: Shingles, other: Shingles) -> float:
    first, second = set(one.tolist()), set(other.tolist())
    return len(first & second) / len(first | second)


def nearest(kept: list[Shingles], wanted: Shingles, threshold: float) -> tuple[float, int]:
    best = max(((jaccard(one, wanted), -number) for number, one in enumerate(kept)), default=(0.0, 1))
    return (best[0], -best[1]) if best[0] >= threshold else (0.0, -1)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.9, 0.95, 1.0])
def test_bands_find_19_of_20_pairs_at_the_threshold(threshold: float) -> None:
    bands = bands_for(threshold)
    assert 1 - (1 - threshold**bands.width) ** bands.count >= 0.95
    assert bands.count * bands.width <= 256
    chance = random.Random(1)
    whole = 100
    common = round(threshold * whole)
    ones, others = [], []
    for _ in range(1_000):
        members = [chance.getrandbits(60) for _ in range(whole)]
        half = common + (whole - common) // 2
        ones.append(as_set(members[:half]))
        others.append(as_set([*members[:common], *members[half:]]))
    found = (bands.keys(ones) == bands.keys(others)).any(axis=1).mean()
    assert found >= 0.93  # 0.95, less three times what chance does to 1,000 pairs


def test_keys_do_not_depend_on_what_else_is_in_a_batch() -> None:
    sets = [as_set(range(start, start * 3)) for start in (1, 5, 40, 700)]
    together = bands_for(0.8).keys(sets)
    assert [bands_for(0.8).keys([one])[0].tolist() for one in sets] == together.tolist()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_nearest_is_that_of_all_pairs(data: st.DataObject) -> None:
    threshold = data.draw(st.sampled_from([0.3, 0.5, 0.8, 1.0]))
    numbers = st.sets(st.integers(0, 14), min_size=1, max_size=15)
    sets = [as_set(list(found)) for found in data.draw(st.lists(numbers, min_size=1, max_size=30))]
    bands = Bands(64, 1)  # which overlook none of these
    index = SetIndex(bands, threshold)
    kept: list[Shingles] = []
    for found in SetKeys.of(sets, bands):
        assert index.nearest(found) == nearest(kept, found.members, threshold)
        index.add(found)
        kept.append(found.members)


def test_many_sets_with_a_common_part_are_all_compared() -> None:
    """More than there are places in a bucket, more than one table, and more candidates than are looked at together."""
    bands = Bands(2, 1)
    frame = list(range(5))
    sets = [as_set([*frame, 1_000 + number]) for number in range(26_000)]
    index = SetIndex(bands, 0.9)
    for found in SetKeys.of(sets, bands):
        index.add(found)
    keys = SetKeys.of([sets[0], sets[20_000], sets[-1], as_set([*frame, 7]), as_set(range(900, 960))], bands)
    assert [index.nearest(found) for found in keys] == [(1.0, 0), (1.0, 20_000), (1.0, 25_999), (0.0, -1), (0.0, -1)]


def test_sets_of_any_size_are_compared() -> None:
    bands = bands_for(0.8)
    index = SetIndex(bands, 0.8)
    sets = [as_set(range(size)) for size in (1, 30, 300, 3_000, 100_000)]
    for found in SetKeys.of(sets, bands):
        index.add(found)
    assert len(index) == 5
    almost = SetKeys.of([as_set(range(int(len(one) * 0.9) or 1)) for one in sets], bands)
    assert [index.nearest(found) for found in almost] == [(1.0, 0), (0.9, 1), (0.9, 2), (0.9, 3), (0.9, 4)]
