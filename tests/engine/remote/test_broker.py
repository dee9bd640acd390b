from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from datafast.engine.calls.budget import Budget
from datafast.engine.remote.bookings import Bookings
from datafast.engine.remote.broker import Broker
from datafast.engine.remote.fair import fair
from datafast.engine.remote.leases import Leases
from datafast.engine.remote.terms import Ask, ProviderTerms, Want
from datafast.engine.settings import RunConfig
from datafast.store.records import Bound, Spent
from tests.engine.remote.cluster import Cluster, Ledger, Request, Worker

_RPM = 240
_MOST = 12
_TOTAL = 16
_BUDGET_USD = 2.0


def busy(cluster: Cluster, *, workers: int, requests: int, label: str = "a", **of: Any) -> list[Worker]:
    """Workers with so many requests each."""
    joined = [cluster.join() for _ in range(workers)]
    for worker in joined:
        for _ in range(requests):
            worker.add(Request(label, **of))
    return joined


# -- dividing


@given(st.integers(0, 200), st.lists(st.integers(0, 50), max_size=20))
def test_parts_are_fair(total: int, wants: list[int]) -> None:
    parts = fair(total, wants)

    assert sum(parts) == min(total, sum(wants))
    assert all(part <= want for part, want in zip(parts, wants, strict=True))
    unmet = [part for part, want in zip(parts, wants, strict=True) if part < want]
    assert not unmet or max(parts) <= min(unmet) + 1


# -- requests in flight


def test_all_slots_are_used_and_divided_evenly() -> None:
    cluster = Cluster({"a": ProviderTerms(40)})
    workers = busy(cluster, workers=4, requests=1000)

    cluster.run(20)

    assert cluster.servers["a"].most_in_flight <= 40
    assert cluster.done > 0.9 * 20 / 0.72 * 40  # a reply takes 0.5 s, and 0.2 s on the way
    assert max(one.done for one in workers) < 1.25 * min(one.done for one in workers)


def test_slots_move_to_the_workers_that_need_them() -> None:
    cluster = Cluster({"a": ProviderTerms(40)})
    busy(cluster, workers=3, requests=0)
    (last,) = busy(cluster, workers=1, requests=1000)

    cluster.run(20)

    assert last.done > 0.9 * 20 / 0.72 * 40 * 0.9


def test_fewer_slots_than_workers_go_round() -> None:
    cluster = Cluster({"a": ProviderTerms(2)})
    workers = busy(cluster, workers=10, requests=100)

    cluster.run(60)

    assert cluster.servers["a"].most_in_flight <= 2
    assert min(one.done for one in workers) >= 4


def test_the_total_holds_over_all_providers() -> None:
    cluster = Cluster({"a": ProviderTerms(20), "b": ProviderTerms(20)}, total=24)
    for worker in [cluster.join() for _ in range(3)]:
        for label in ("a", "b"):
            for _ in range(500):
                worker.add(Request(label))

    cluster.run(20)

    assert cluster.most_total <= 24
    assert cluster.most_total >= 23
    assert min(server.calls for server in cluster.servers.values()) > 200


# -- requests and tokens a minute


@pytest.mark.parametrize("slow", [0.0, 0.2])
def test_no_minute_at_the_server_has_more_than_the_limit(slow: float) -> None:
    cluster = Cluster({"a": ProviderTerms(40, rpm=600)}, slow=slow)
    workers = busy(cluster, workers=5, requests=320)

    cluster.run(150)

    server = cluster.servers["a"]
    assert server.most_in(60.0) <= 600
    if not slow:
        assert server.calls > 0.95 * 150 / 61.5 * 600
        assert max(one.done for one in workers) < 1.25 * min(one.done for one in workers)


@pytest.mark.parametrize("lag_s", [0.9, 3.0])
def test_the_limit_holds_where_workers_are_as_late_as_they_can_be_and_then_are_not(lag_s: float) -> None:
    cluster = Cluster({"a": ProviderTerms(100, rpm=600)}, latency_s=0.1)
    busy(cluster, workers=5, requests=320)
    cluster.lag_s = lag_s
    cluster.run(20)
    cluster.lag_s, cluster.way_s = 0.0, 0.0

    cluster.run(75)

    assert 595 <= cluster.servers["a"].most_in(60.0) <= 600


def test_tokens_a_minute_hold_and_are_corrected() -> None:
    cluster = Cluster({"a": ProviderTerms(40, tpm=60_000)})
    busy(cluster, workers=4, requests=400, tokens=100)

    cluster.run(150)

    server = cluster.servers["a"]
    assert 0.95 * 600 * 60 / 61.5 < server.most_in(60.0) <= 600


def test_a_worker_that_dies_takes_only_its_turns_with_it() -> None:
    cluster = Cluster({"a": ProviderTerms(40, rpm=600)}, seed=1)
    workers = busy(cluster, workers=6, requests=400)
    cluster.run(30)
    for worker in workers[:3]:
        cluster.kill(worker)
        cluster.run(10)

    before = cluster.done
    cluster.run(60)

    assert sorted(cluster.gone) == [1, 2, 3]
    assert cluster.servers["a"].most_in(60.0) <= 600
    assert cluster.done - before > 550


@pytest.mark.parametrize("live_on", [True, False])
def test_a_driver_that_is_started_again_holds_the_limits_over_its_death(live_on: bool) -> None:
    cluster = Cluster({"a": ProviderTerms(40, rpm=600), "b": ProviderTerms(10)}, latency_s=1.0)
    for _ in range(4):
        for worker in busy(cluster, workers=4, requests=300):
            for _ in range(150):
                worker.add(Request("b"))
        cluster.run(33)
        cluster.kill_driver(live_on=live_on)
    cluster.run(60)

    assert cluster.servers["a"].most_in(60.0) <= 600
    assert cluster.servers["a"].most_in_flight <= 40
    assert cluster.servers["b"].most_in_flight == 10


# -- the pace that is learned


def test_a_pace_is_learned_once_from_what_all_workers_are_refused() -> None:
    random.seed(1)  # for the waits after a burst
    cluster = Cluster({"a": ProviderTerms(100)}, latency_s=0.1, way_s=0.02, refuses=_bucket(per_s=20.0, size=20))
    busy(cluster, workers=10, requests=260)
    cluster.run(40)
    done, calls = cluster.done, cluster.servers["a"].calls

    cluster.run(80)

    assert cluster.done - done > 0.95 * 80 * 20
    assert cluster.servers["a"].calls - calls < 1.4 * (cluster.done - done)


def test_a_gate_that_closes_at_one_worker_closes_at_all() -> None:
    closed_from, until = 1010.0, 1030.0
    cluster = Cluster({"a": ProviderTerms(40)}, refuses=lambda now: until - now if closed_from <= now < until else None)
    busy(cluster, workers=8, requests=1000)

    cluster.run(40)

    server = cluster.servers["a"]
    meanwhile = [moment for moment in server.arrived if closed_from + 1.5 < moment < until]
    assert len(meanwhile) <= 3
    assert sum(moment > until for moment in server.arrived) > 100


def test_in_an_outage_one_worker_probes_for_all() -> None:
    down_from, until = 1010.0, 1050.0
    cluster = Cluster({"a": ProviderTerms(100)}, latency_s=0.2, way_s=0.02, fails=lambda now: down_from <= now < until)
    busy(cluster, workers=20, requests=500)
    cluster.run(75)

    arrived = cluster.servers["a"].arrived
    assert 2 <= sum(down_from + 5.0 < moment < until for moment in arrived) <= 5
    assert sum(moment > until for moment in arrived) > 3000


def test_a_worker_whose_own_network_fails_holds_back_nobody_else() -> None:
    cluster = Cluster({"a": ProviderTerms(40)}, latency_s=0.2, way_s=0.02)
    workers = busy(cluster, workers=4, requests=1000)
    cluster.run(5)
    done = cluster.done
    for _ in range(5):
        gate = workers[0].leases.gates["a"]
        gate.close(workers[0].clock() + 2.0, beside=gate.in_flight)
        cluster.run(2.5)

    assert cluster.done - done > 0.8 * 12.5 * 40 / 0.23


def _bucket(*, per_s: float, size: int) -> Callable[[float], float | None]:
    """A token bucket that refuses what comes when it is empty, and does not say for how long."""
    left, at = float(size), 1000.0

    def refuses(now: float) -> float | None:
        nonlocal left, at
        left, at = min(float(size), left + (now - at) * per_s), now
        if left < 1.0:
            return 0.0
        left -= 1.0
        return None

    return refuses


# -- budget


def test_a_budget_is_used_up_and_never_passed() -> None:
    cluster = Cluster({"a": ProviderTerms(40)}, settings=RunConfig(budget_usd=3.0))
    busy(cluster, workers=4, requests=400, bound=Bound(0.01, 10), usd=0.004)

    cluster.run(30)

    assert 2.9 < cluster.servers["a"].spent_usd <= 3.0
    assert not cluster.ledger.open or sum(bound.usd for bound in cluster.ledger.open.values()) < 0.02


def test_the_calls_that_are_allowed_are_all_made() -> None:
    cluster = Cluster({"a": ProviderTerms(40)}, settings=RunConfig(max_calls=333))
    busy(cluster, workers=4, requests=400)

    cluster.run(30)

    assert cluster.servers["a"].calls == 333


def test_what_a_dead_worker_had_is_charged_at_its_bound() -> None:
    cluster = Cluster({"a": ProviderTerms(10)}, settings=RunConfig(budget_usd=3.0))
    first, _ = busy(cluster, workers=2, requests=1000, bound=Bound(0.01, 10), usd=0.004)
    cluster.run(5)
    cluster.kill(first)
    cluster.run(60)

    assert 0.0 < cluster.ledger.charged <= 20 * 0.01
    assert cluster.servers["a"].spent_usd + cluster.ledger.charged > 2.8
    assert cluster.servers["a"].spent_usd <= 3.0


def test_workers_of_a_driver_that_stood_still_are_charged_what_they_tell_yet() -> None:
    cluster = Cluster({"a": ProviderTerms(10)}, settings=RunConfig(budget_usd=3.0))
    busy(cluster, workers=3, requests=1000, bound=Bound(0.01, 10), usd=0.004)
    cluster.run(5)
    in_flight = cluster.servers["a"].in_flight
    cluster.stand_still(6)
    cluster.run(1)

    assert sorted(cluster.gone) == [1, 2, 3]
    assert cluster.late == 3
    assert not cluster.ledger.open
    assert cluster.budget is not None
    used = cluster.budget.states["budget_usd"][0]
    # Only what was in flight when their leases ended may have been charged.
    assert cluster.ledger.charged <= (in_flight + 10) * 0.01
    assert used <= cluster.servers["a"].spent_usd + cluster.ledger.charged + 1e-9


@pytest.mark.parametrize(("heard", "charged"), [(1, 0.25), (0, 0.0)])
def test_bookings_that_a_worker_refused_to_hear_of_are_not_charged(heard: int, charged: float) -> None:
    """Its lease had lapsed a moment before, so no request was sent with them."""
    ledger = Ledger()
    bookings = Bookings(Budget(RunConfig(budget_usd=1.0), Spent(0.0, 0, 0)), ledger)
    bookings.join("w")
    bookings.hear("w", Ask(1, 0, {}, wants=(Want("a", Bound(0.25, 10), 1, waits=True),)))
    assert len(bookings.collect("w", 1)) == len(ledger.open) == 1
    bookings.leave("w")
    bookings.settle("w", Ask(2, heard, {}))
    bookings.drop("w")
    bookings.close()
    assert not ledger.open
    assert ledger.charged == charged


# -- leases


def test_late_words_of_a_lapsed_worker_change_nothing() -> None:
    now = 0.0
    broker = Broker({"a": ProviderTerms(4)}, total=4, clock=lambda: now)
    leases = Leases({"a": ProviderTerms(4)}, clock=lambda: now)
    broker.join(1)
    leases.take(broker.grant(1))
    broker.hear(1, leases.ask())
    leases.take(broker.grant(1))
    assert leases.gates["a"].limit == 4
    late = leases.ask()

    now = 5.0
    assert leases.lasts_for_s < 0.0
    assert broker.lapsed() == [1]
    assert broker.hear(1, late) is False
    assert broker.most_in_flight("a") == 0
    broker.join(2)
    with pytest.raises(ValueError, match="has begun before"):
        broker.join(2)


def test_a_lease_is_long_enough_to_record_all_that_may_be_in_flight() -> None:
    few, many = (Broker({"a": ProviderTerms(most)}, total=100_000) for most in (100, 64_000))

    assert few.lease_s == 5.0
    assert many.lease_s == 32.0
    many.set_total(200)
    assert many.lease_s == 5.0


def test_a_grant_that_arrives_late_gives_no_more_time() -> None:
    now = 0.0
    broker = Broker({"a": ProviderTerms(4)}, total=4, clock=lambda: now)
    leases = Leases({"a": ProviderTerms(4)}, clock=lambda: now)
    broker.join(1)
    leases.take(broker.grant(1))
    broker.hear(1, leases.ask())
    grant = broker.grant(1)
    now = 4.5

    leases.take(grant)

    assert leases.lasts_for_s < 0.5


# -- whatever happens


class _AnyCluster(RuleBasedStateMachine):
    """Workers that come, die, are cut off and come back, a driver that dies, demand that shifts; in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(
            {"a": ProviderTerms(_MOST, rpm=_RPM), "b": ProviderTerms(_MOST)},
            total=_TOTAL,
            settings=RunConfig(budget_usd=_BUDGET_USD),
            latency_s=0.8,
            slow=0.05,
        )
        self.added = 0

    def _pick(self, number: int) -> Worker:
        workers = list(self.cluster.workers.values())
        return workers[number % len(workers)]

    @rule()
    def join(self) -> None:
        self.cluster.join()

    @precondition(lambda self: self.cluster.workers)
    @rule(which=st.integers(0, 50), num=st.integers(1, 60), label=st.sampled_from("ab"), seed=st.integers(0, 99))
    def demand(self, which: int, num: int, label: str, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(num):
            most = rng.uniform(0.001, 0.02)
            request = Request(label, tokens=10, bound=Bound(most, 10), usd=most * rng.uniform(0.1, 1.0))
            self._pick(which).add(request)
            self.added += 1

    @rule(seconds=st.sampled_from([0.05, 1.0, 4.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.cluster.run(seconds)

    @precondition(lambda self: self.cluster.workers)
    @rule(which=st.integers(0, 50))
    def kill(self, which: int) -> None:
        self.cluster.kill(self._pick(which))

    @precondition(lambda self: self.cluster.workers)
    @rule(which=st.integers(0, 50), reachable=st.booleans())
    def cut_off(self, which: int, reachable: bool) -> None:
        self._pick(which).reachable = reachable

    @rule(seconds=st.sampled_from([1.0, 4.9, 5.0, 6.0, 8.0]))
    def stand_still(self, seconds: float) -> None:
        self.cluster.stand_still(seconds)

    @rule(live_on=st.booleans())
    def kill_driver(self, live_on: bool) -> None:
        self.cluster.kill_driver(live_on=live_on)

    @invariant()
    def limits_hold(self) -> None:
        servers = self.cluster.servers
        assert servers["a"].most_in(60.0) <= _RPM
        assert all(server.most_in_flight <= _MOST for server in servers.values())
        assert self.cluster.most_total <= _TOTAL
        assert self.cluster.budget is not None
        used = self.cluster.budget.states["budget_usd"][0]
        assert sum(server.spent_usd for server in servers.values()) - 1e-9 <= used <= _BUDGET_USD + 1e-9
        assert self.cluster.budget.num_reserved == len(self.cluster.ledger.open)

    def teardown(self) -> None:
        """Nobody starves: a new worker gets on with its work, whatever was before, unless the budget has ended the run."""
        self.cluster.slow = 0.0  # messages that take seconds may cost it its lease
        last = self.cluster.join()
        for _ in range(5):
            last.add(Request("a", tokens=10, bound=Bound(0.0, 0)))
        self.cluster.run(60.0)
        self.limits_hold()
        assert last.done == 5 or any(worker.ended for worker in self.cluster.workers.values())
        self.cluster.close()
        self.limits_hold()
        assert not self.cluster.ledger.open


TestAnyCluster = _AnyCluster.TestCase
TestAnyCluster.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, phases=[Phase.explicit, Phase.generate]
)
