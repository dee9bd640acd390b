"""What shards have of the limits of a config adds up to them, and never to more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.engine.routes import Route
from datafast.engine.settings import RunConfig
from datafast.engine.shard_limits import part_of_count, routes_of_shard, settings_of_shard
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.store.shards import ShardName


@given(st.integers(0, 10**12), st.integers(1, 500))
def test_parts_of_a_whole_number_add_up_and_differ_by_at_most_one(limit: int, of: int) -> None:
    parts = [part_of_count(limit, ShardName(number, of)) for number in range(1, of + 1)]
    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1


@given(st.floats(0.01, 10_000), st.integers(1, 500))
def test_parts_of_a_budget_never_add_up_to_more(budget: float, of: int) -> None:
    part = settings_of_shard(RunConfig(budget_usd=budget), ShardName(1, of)).budget_usd
    assert part is not None
    assert budget - of * 1e-6 <= part * of <= budget * (1 + 1e-12)


def test_what_is_not_limited_stays_so() -> None:
    settings = RunConfig(max_concurrency=7)
    assert settings_of_shard(settings, ShardName(2, 3)) is settings
    routes = [Route.single(SimulatedProvider("m"))]
    assert routes_of_shard(routes, ShardName(2, 3))[0].sole is routes[0].sole


def test_rates_are_divided_for_the_run_and_not_in_the_providers_that_were_given() -> None:
    provider = SimulatedProvider("m", rpm_limit=10, tpm_limit=1_000)
    routes = [Route.single(provider), Route.by_role({"judge": provider})]
    found = [routes_of_shard(routes, ShardName(number, 3)) for number in (1, 2, 3)]
    limits = [(one[0].of("any").rpm_limit, one[0].of("any").tpm_limit) for one in found]
    assert limits == [(4, 334), (3, 333), (3, 333)]
    assert all(one[0].of("any") is one[1].of("judge") for one in found)
    assert found[0][0].of("any").identity == provider.identity
    assert (provider.rpm_limit, provider.tpm_limit) == (10, 1_000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            RunConfig(max_calls=2),
            r"run\.max_calls is 2 for all 3 shards together, which leaves nothing for shard 3/3\.",
        ),
        (RunConfig(max_tokens=1), r"run\.max_tokens is 1 .* shard 3/3"),
        (RunConfig(budget_usd=0.000001), r"run\.budget_usd is 1e-06 for all 3 shards"),
    ],
)
def test_a_part_of_nothing_is_refused(settings: RunConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_of_shard(settings, ShardName(3, 3))


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"simulated/m: rpm_limit is 2 for all 3 shards.* shard 3/3"):
        routes_of_shard([Route.single(SimulatedProvider("m", rpm_limit=2))], ShardName(3, 3))
