"""The positions of a shard: a sequence like a list of them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast._util.bitmap import PositionSet
from datafast.plan.members import Members, chunks_of, count_by_route, on_route

POSITIONS = st.lists(st.integers(0, 200_000), unique=True).map(sorted)


@given(POSITIONS)
def test_they_are_a_sequence_of_rising_positions(positions: list[int]) -> None:
    members = Members.of(positions)
    assert list(members) == positions
    assert len(members) == len(positions)
    assert [members[number] for number in range(len(positions))] == positions
    assert members[: len(positions) // 2] == positions[: len(positions) // 2]
    assert [position for chunk in chunks_of(members) for position in chunk.tolist()] == positions
    assert all(position in members for position in positions)
    assert not any(position in members for position in (-1, 200_001, 10**9))
    if positions:
        assert (members[-1], members[0]) == (positions[-1], positions[0])
    with pytest.raises(IndexError):
        members[len(positions)]


@given(POSITIONS, st.integers(1, 5), st.data())
def test_those_of_a_route_are_taken_and_counted(positions: list[int], routes: int, data: st.DataObject) -> None:
    members = Members.of(positions)
    found = Counter(position % routes for position in positions)
    assert count_by_route(members, routes) == [found[route] for route in range(routes)]
    done = set(data.draw(st.lists(st.sampled_from(positions)))) if positions else set()
    taken = [PositionSet(position for position in done if position % 2), PositionSet(p for p in done if not p % 2)]
    for route in range(routes):
        own = [position for position in positions if position % routes == route]
        assert list(on_route(members, route, routes)) == own
        left = [position for position in own if position not in done]
        assert list(members.but(taken, first=route, step=routes)) == left


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(1, 5))
def test_a_range_does_as_well(start: int, size: int, routes: int) -> None:
    members = range(start, start + size)
    found = Counter(position % routes for position in members)
    assert count_by_route(members, routes) == [found[route] for route in range(routes)]
    for route in range(routes):
        assert list(on_route(members, route, routes)) == [one for one in members if one % routes == route]
    assert [position for chunk in chunks_of(members) for position in chunk.tolist()] == list(members)


@given(POSITIONS.filter(bool))
def test_they_are_read_back_as_they_were_packed(positions: list[int]) -> None:
    members = Members.of(positions)
    size = positions[-1] + 1
    assert Members.unpacked(members.packed(), size=size) == members
    assert Members.unpacked(members.packed(), size=size + 8) is None
    assert Members.unpacked(members.packed()[:-3], size=size) is None
    assert Members.unpacked(b"damaged", size=size) is None
