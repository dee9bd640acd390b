"""The pace that is learned or told, against simulated servers: how much of a quota is used, and by how many requests."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.types import RateLimit, RateLimits
from tests.engine.calls.simulated_pace import Bucket, ByChance, Paced, Server, Window, simulate

WAITS = st.sampled_from(["", "exact", "whole seconds"])
RATES = st.floats(0.5, 100.0)
REPLY_S = st.sampled_from([0.05, 0.2, 1.0, 4.0])
WORKERS = st.sampled_from([4, 16, 64])


def used(paced: Paced, size: int, per_s: float, workers: int, reply_s: float) -> float:
    """The part of what the server would have taken, or what the workers could have asked for."""
    calls = len(paced.attempts)
    assert len(paced.done_at) == calls
    assert paced.too_soon == 0
    return max((calls - size) / per_s, calls * reply_s / workers) / paced.wall_s


@given(per_s=RATES, seconds=st.floats(1.0, 60.0), reply_s=REPLY_S, workers=WORKERS, waits=WAITS, tells=st.booleans())
@settings(max_examples=60, derandomize=True)
def test_nearly_all_of_a_bucket_is_used_and_few_requests_are_refused(
    per_s: float, seconds: float, reply_s: float, workers: int, waits: str, tells: bool
) -> None:
    size = max(8, int(per_s * seconds))
    calls = int(size + 90 * per_s + 8 * workers) + 100
    paced = simulate(Bucket(size, per_s, waits=waits, tells=tells), calls, workers=workers, reply_s=reply_s)
    assert used(paced, size, per_s, workers, reply_s) >= 0.7
    assert paced.requests_per_call <= 1.6
    assert max(paced.attempts) <= 10


@given(size=st.integers(1, 7), per_s=RATES, reply_s=REPLY_S, workers=WORKERS, waits=WAITS, tells=st.booleans())
@settings(max_examples=40, derandomize=True)
def test_no_bucket_is_so_small_that_a_run_stands_still(
    size: int, per_s: float, reply_s: float, workers: int, waits: str, tells: bool
) -> None:
    calls = int(60 * per_s + 8 * workers) + 100
    paced = simulate(Bucket(size, per_s, waits=waits, tells=tells), calls, workers=workers, reply_s=reply_s)
    assert used(paced, size, per_s, workers, reply_s) >= (0.15 if tells else 0.45)
    assert paced.requests_per_call <= (1.8 if waits else 8.0)


@given(size=st.integers(1, 7), per_s=RATES, reply_s=REPLY_S, workers=WORKERS, waits=WAITS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_most_of_a_tiny_bucket_is_used_once_its_pace_is_known(
    size: int, per_s: float, reply_s: float, workers: int, waits: str
) -> None:
    calls = int(180 * per_s) + 8 * workers + 100
    done_at = simulate(Bucket(size, per_s, waits=waits), calls, workers=workers, reply_s=reply_s).done_at
    assert len(done_at) == calls
    begin, end = calls // 2, calls - workers - 1
    rate = (end - begin) / (done_at[end] - done_at[begin])
    assert rate >= 0.8 * min(per_s, workers / reply_s)


@given(first=st.floats(2.0, 100.0), change=st.floats(0.25, 4.0), waits=WAITS, tells=st.booleans())
@settings(max_examples=40, derandomize=True)
def test_a_limit_that_changes_in_the_middle_is_followed(first: float, change: float, waits: str, tells: bool) -> None:
    then = change * first
    server = Bucket(100, first, waits=waits, tells=tells, changes_at=60.0, then_per_s=then)
    calls = int(100 + 60 * first + 120 * then)
    paced = simulate(server, calls)
    assert len(paced.done_at) == calls
    assert paced.too_soon == 0
    assert paced.wall_s <= 180.0 * 2
    assert paced.requests_per_call <= 1.6


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("limit", [30, 120, 600])
def test_windows_of_a_minute_are_used_one_by_one(limit: int, waits: bool) -> None:
    paced = simulate(Window(limit, waits=waits), 4 * limit)
    assert len(paced.done_at) == 4 * limit
    assert paced.wall_s <= 3 * 60 + 90
    assert paced.requests_per_call <= 1.9


NEVER_MOVING = [
    RateLimit(100, 0, 60.0),
    RateLimit(100, 1, 60.0),
    RateLimit(1000, 0, 86_400.0),
    RateLimit(1, 0, 3600.0),
    RateLimit(0, 0, 0.0),
    RateLimit(10, 50, 60.0),
    RateLimit(10**15, 0, 1e15),
    RateLimit(10**12, 0, 1e-9),
    RateLimit(100, 0, 0.0),
]


@pytest.mark.parametrize("what", ["requests", "tokens", "input_tokens", "output_tokens"])
@pytest.mark.parametrize("limit", NEVER_MOVING)
def test_limits_that_are_told_and_never_move_hold_a_run_back_for_seconds(limit: RateLimit, what: str) -> None:
    paced = simulate(Server(RateLimits(**{what: limit})), 600, workers=32)
    assert len(paced.done_at) == 600
    assert paced.wall_s <= 45.0  # 3.8 s without them
    assert max(later - earlier for earlier, later in zip(paced.done_at, paced.done_at[1:], strict=False)) < 5.0


def test_limits_that_never_move_are_no_excuse_where_some_requests_are_refused_by_chance() -> None:
    limits = RateLimits(requests=RateLimit(1000, 0, 86_400.0))
    assert simulate(ByChance(0.02, limits=limits), 600, workers=32).wall_s <= 45.0


@pytest.mark.parametrize(
    ("part", "wait_s", "most_s"), [(0.02, 1.0, 17), (0.05, 1.0, 18), (0.1, 1.0, 40), (0.02, 5.0, 30), (0.05, 5.0, 45)]
)
def test_requests_that_are_refused_by_chance_with_a_wait_hold_back_themselves_alone(
    part: float, wait_s: float, most_s: float
) -> None:
    walls = []
    for seed in range(5):
        paced = simulate(ByChance(part, wait_s=wait_s, seed=seed), 2000, workers=32, seed=seed)
        assert len(paced.done_at) == 2000
        assert paced.too_soon == 0
        walls.append(paced.wall_s)
    assert sorted(walls)[2] <= most_s


# Without refusals 2,000 calls take 12.5 s, with 40 % of them 21 s.
@pytest.mark.parametrize(("part", "most_s"), [(0.02, 15), (0.1, 18), (0.2, 60), (0.3, 130), (0.4, 290)])
def test_requests_that_are_refused_by_chance_do_not_bring_a_run_to_a_standstill(part: float, most_s: float) -> None:
    walls = []
    for seed in range(5):
        paced = simulate(ByChance(part, seed=seed), 2000, workers=32, seed=seed)
        assert len(paced.done_at) == 2000
        walls.append(paced.wall_s)
    assert sorted(walls)[2] <= most_s
