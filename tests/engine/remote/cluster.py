"""A cluster in virtual time: the real broker and the real leases, messages that take their time, workers that die or cannot be reached, and
a server that sees what arrives when.

Each worker has a clock of its own, which shows another time and runs at another speed.
"""

from __future__ import annotations

import asyncio
import bisect
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from datafast.engine.calls.admission import Waiting
from datafast.engine.calls.budget import Budget
from datafast.engine.remote.broker import Broker
from datafast.engine.remote.leased_gate import LeasedGate
from datafast.engine.remote.leases import Leases
from datafast.engine.remote.terms import Ask, Grant, ProviderTerms, Want
from datafast.engine.remote.wallet import Wallet
from datafast.engine.settings import RunConfig
from datafast.store.records import Bound, Spent
from datafast.types import Usage

__all__ = ["LONGEST_WAY_S", "Cluster", "Ledger", "Request", "Server", "Worker"]

_LOOK_S = 0.01
_LAST_WORDS_S = 2.0
_PAUSE_S = 2.0
_HOLD_S = 0.05  # how long a worker keeps a message of the driver, if it has no news
LONGEST_WAY_S = 0.4


@dataclass
class Request:
    """One request: what it may cost at most, and what it costs."""

    label: str
    tokens: int = 0
    bound: Bound = Bound(0.0, 0)  # noqa: RUF009 - it cannot be changed
    usd: float = 0.0
    begun: float = 0.0
    number: int = 0
    booking: int = 0
    sent_at: float = 0.0
    has_arrived: bool = False
    over: bool = False


@dataclass
class Server:
    """What a provider sees."""

    latency_s: float = 0.5
    arrived: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    spent_usd: float = 0.0
    calls: int = 0

    def arrive(self, now: float, request: Request) -> None:
        bisect.insort(self.arrived, now)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.spent_usd += request.usd
        self.calls += 1

    def most_in(self, window_s: float) -> int:
        """The most requests that arrived within any time of this length."""
        most, first = 0, 0
        for last, moment in enumerate(self.arrived):
            while self.arrived[first] <= moment - window_s:
                first += 1
            most = max(most, last - first + 1)
        return most


class _Patient(asyncio.Future[Any]):
    """One who waits, and goes on waiting where a gate turns all away."""

    def set_result(self, result: object) -> None:
        pass


class Ledger:
    """Where bookings are recorded."""

    def __init__(self) -> None:
        self.open: dict[int, Bound] = {}
        self.charged = 0.0
        self._numbers = itertools.count(1)

    def reserve(self, provider: str, bound: Bound) -> int:
        number = next(self._numbers)
        self.open[number] = bound
        return number

    def cancel(self, number: int) -> None:
        self.release(number, charged=False)

    def release(self, number: int, *, charged: bool) -> None:
        bound = self.open.pop(number)
        self.charged += bound.usd if charged else 0.0

    def charge_all(self) -> None:
        """What the next start does with what is open."""
        for number in list(self.open):
            self.release(number, charged=True)


class Worker:
    """One worker: it sends what its leases allow, oldest first."""

    def __init__(self, cluster: Cluster, name: int) -> None:
        rng = cluster.rng
        self.name = name
        self.alive = True  # whether it works yet
        self.is_dead = False
        self.reachable = True
        self.cluster = cluster
        offset, speed = rng.uniform(0.0, 1e6), rng.uniform(0.996, 1.004)
        self.clock: Callable[[], float] = lambda: offset + speed * cluster.now
        self.leases = Leases(cluster.providers, clock=self.clock, on_news=self.news)
        self.wallet = Wallet(cluster.settings) if cluster.settings.has_budget else None
        self.waiting: dict[str, deque[Request]] = {label: deque() for label in cluster.providers}
        self.flying: dict[str, set[int]] = {label: set() for label in cluster.providers}
        self.requests: dict[int, Request] = {}
        self.done = 0
        self.faults = dict.fromkeys(cluster.providers, 0)
        self.ended = False
        self.has_begun = False  # whether it has had a lease
        self.driver = 0  # which one it belongs to
        self._ids = itertools.count()
        self._has_news = False
        self._answer: Callable[[], None] | None = None

    def news(self) -> None:
        self._has_news = True

    def add(self, request: Request) -> None:
        request.begun = self.cluster.now
        self.waiting[request.label].append(request)
        gate = self.leases.gates[request.label]
        heapq.heappush(gate.waiting, Waiting(0, next(self._ids), request.tokens, self.cluster.future))
        self.news()
        self.pump()

    # -- messages

    def exchange(self, grant: Grant) -> None:
        """A message of the driver has come; it is answered at once where there is news, or else a little later."""
        if self.is_dead:
            return
        if not self.alive:  # whoever speaks with it is told so, and asks for its last words
            self.cluster.send(self, lambda: self.cluster.refused(self))
            return
        self.leases.take(grant)
        if self.wallet is not None:
            self.wallet.take(grant)
        self.has_begun |= self.leases.lasts_for_s > 0.0
        self.pump()
        self.cluster.later(0.0 if self._has_news else _HOLD_S, self._reply)

    def _reply(self) -> None:
        if self.is_dead:
            return
        self._has_news = False
        ask = self.leases.ask()
        if self.wallet is not None:
            settled, unused = self.wallet.tell()
            ask = Ask(ask.number, ask.heard, ask.uses, settled, unused, self._wants())
        self.cluster.send(self, lambda: self.cluster.heard(self, ask))

    def _wants(self) -> tuple[Want, ...]:
        assert self.wallet is not None
        parked = []
        for label, waiting in self.waiting.items():
            self.wallet.provider = label
            gate = self.leases.gates[label]
            first = list(itertools.islice(waiting, max(0, gate.setting - gate.in_flight)))
            parked += [Want(label, one.bound, 1, waits=True) for one in first if self.wallet.passed_by(one.bound)]
            ahead = self.wallet.ahead(label, landing_per_s=gate.landing_per_s, slots=gate.setting)
            parked += [ahead] if ahead and not parked else []
        return tuple(parked)

    # -- requests

    def pump(self) -> None:
        """Sends what may be sent."""
        for label, gate in self.leases.gates.items():
            lag_s = self.cluster.lag_s
            while self.waiting[label] and gate.in_flight < gate.limit and gate.opens_at + lag_s <= self.clock():
                if not self._send(label, gate):
                    break

    def _send(self, label: str, gate: LeasedGate) -> bool:
        request = self.waiting[label][0]
        if self.wallet is not None:
            self.wallet.provider = label
            if self.wallet.passed_by(request.bound) is not None:
                self.ended |= not self.wallet.num_reserved
                self._has_news = True
                return False
            request.booking = self.wallet.book(request.bound)
        self.waiting[label].popleft()
        heapq.heappop(gate.waiting)
        request.number = gate.take(request.tokens, self.clock())
        request.sent_at = self.clock()
        key = next(self._ids)
        self.requests[key] = request
        self.flying[label].add(key)
        cluster, server = self.cluster, self.cluster.servers[label]
        least_s = cluster.way_s if cluster.lag_s else 0.0
        cluster.later(cluster.rng.uniform(least_s, cluster.way_s), lambda: self._arrive(server, key))
        return True

    def _arrive(self, server: Server, key: int) -> None:
        request = self.requests[key]
        if request.over:
            return
        request.has_arrived = True
        refusal, fails = self.cluster.refuses(self.cluster.now), self.cluster.fails(self.cluster.now)
        server.arrive(self.cluster.now, request)
        soon = refusal is not None or fails
        self.cluster.later(0.01 if soon else server.latency_s, lambda: self._land(server, key, refusal, fails=fails))

    def _land(self, server: Server, key: int, refusal: float | None, *, fails: bool) -> None:
        request = self.requests[key]
        if request.over:
            return
        request.over = True
        server.in_flight -= 1
        gate = self.leases.gates[request.label]
        self.flying[request.label].discard(key)
        if refusal is not None:
            gate.refused(request.number, request.sent_at, refusal or None)
        elif fails:
            self.faults[request.label] += 1
            if self.faults[request.label] >= 3 and gate.closed_for() <= 0.0:
                gate.close(self.clock() + _PAUSE_S, beside=gate.in_flight - 1)
        else:
            self.faults[request.label] = 0
            gate.succeeded(request.sent_at)
            self.done += 1
            self.cluster.done += 1
            self.cluster.slowest_s = max(self.cluster.slowest_s, self.cluster.now - request.begun)
        if refusal is not None or fails:
            self.waiting[request.label].appendleft(request)
            heapq.heappush(gate.waiting, Waiting(-1, next(self._ids), request.tokens, self.cluster.future))
            request.over = request.has_arrived = False
        if self.wallet is not None:
            self.wallet.end(request.booking, Usage(1, 0), request.usd, maybe_paid=False)
            request.booking = 0
        gate.in_flight -= 1
        self._has_news = True
        self.pump()

    def cancel(self) -> None:
        """Nothing stays in flight: connections are closed."""
        for label, keys in self.flying.items():
            for key in keys:
                request = self.requests[key]
                if request.sent_at and not request.over:
                    request.over = True
                    if request.has_arrived:
                        self.cluster.servers[label].in_flight -= 1
                    if self.wallet is not None and not self.is_dead:
                        self.wallet.end(request.booking, None, None, maybe_paid=True)
            keys.clear()

    def last_words(self) -> None:
        """It is asked for what it has to tell yet, and gives up what it does."""
        if self.is_dead:
            return
        self.cancel()
        self.alive = False
        ask = self.leases.ask()
        if self.wallet is not None:
            self.wallet.give_all_back()
            ask = Ask(ask.number, ask.heard, ask.uses, *self.wallet.tell())
        self.cluster.send(self, lambda: self.cluster.heard(self, ask, is_last=True))

    def look(self) -> None:
        """What a worker does from time to time."""
        if self.alive and self.has_begun and self.leases.lasts_for_s <= 0.0:
            self.cancel()
            self.alive = False
        if self.alive:
            self.pump()


class Cluster:
    """All of it.

    Args:
        providers: what the broker is told.
        way_s: the longest time of a request on its way to a server.
        refuses: says at a moment whether a server refuses a request, and if so with which Retry-After; 0.0 for none.

        fails: says at a moment whether it does not work. Workers pause for `_PAUSE_S` after three such answers in a row.

    Attributes:
        lag_s: how late workers use what they have. `way_s` may be changed too.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderTerms],
        *,
        total: int = 1_000_000,
        seed: int = 0,
        settings: RunConfig | None = None,
        latency_s: float = 0.5,
        slow: float = 0.0,
        way_s: float = LONGEST_WAY_S,
        refuses: Callable[[float], float | None] = lambda now: None,
        fails: Callable[[float], bool] = lambda now: False,
    ) -> None:
        self.now = 1000.0
        self.rng = random.Random(seed)
        self.providers = dict(providers)
        self.total = total
        self.settings = settings or RunConfig()
        self.refuses = refuses
        self.fails = fails
        self.slow = slow
        self.way_s = way_s
        self.servers = {label: Server(latency_s) for label in providers}
        self.workers: dict[int, Worker] = {}
        self.gone: list[int] = []
        self.lag_s = 0.0
        self.done = 0
        self.slowest_s = 0.0
        self.most_total = 0
        loop = asyncio.new_event_loop()
        self.future = _Patient(loop=loop)
        loop.close()
        self.ledger = Ledger()
        self.budget = Budget(self.settings, Spent(0.0, 0, 0)) if self.settings.has_budget else None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._names = itertools.count(1)
        self._driver = 0
        self.stands_until = self.now
        self._parting: dict[int, float] = {}  # workers whose leases have lapsed, and until when they are heard
        self._settled: set[int] = set()
        self.late = 0  # workers that were heard after that
        self.broker = self._new_broker(succeeds=False)
        self.later(_LOOK_S, self._look)

    def _new_broker(self, *, succeeds: bool, spent: Spent = Spent(0.0, 0, 0)) -> Broker:  # noqa: B008 - it cannot be changed
        if self.settings.has_budget:
            self.budget = Budget(self.settings, spent)
        return Broker(
            self.providers,
            total=self.total,
            clock=lambda: self.now,
            budget=self.budget,
            reserves=self.ledger,
            succeeds=succeeds,
        )

    # -- time

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), act))

    def run(self, seconds: float) -> None:
        """Lets so much time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
            in_flight = sum(server.in_flight for server in self.servers.values())
            self.most_total = max(self.most_total, in_flight)
        self.now = until

    def _look(self) -> None:
        for worker in self.workers.values():
            worker.look()
        if self.now >= self.stands_until:
            for name in self.broker.lapsed():
                self.gone.append(int(str(name)))
                self._parting[int(str(name))] = self.now + _LAST_WORDS_S
            for number, until in list(self._parting.items()):
                if self.now >= until:
                    self._charge(number)
        self.later(_LOOK_S, self._look)

    def _charge(self, number: int) -> None:
        """Nobody waits any longer for what this worker has to tell."""
        del self._parting[number]
        self._settled.add(number)
        self.broker.charge(number)

    # -- messages

    def send(self, worker: Worker, act: Callable[[], None]) -> None:
        """A message between the driver and a worker, in either direction."""
        if not worker.reachable:
            return
        way_s = self.rng.uniform(0.0005, 0.01)
        if self.slow and self.rng.random() < self.slow:
            way_s = self.rng.uniform(0.0, 4.0)
        self.later(way_s, act)

    def heard(self, worker: Worker, ask: Ask, *, is_last: bool = False) -> None:
        if self.now < self.stands_until:
            self.later(self.stands_until - self.now, lambda: self.heard(worker, ask, is_last=is_last))
        elif worker.driver != self._driver or worker.name in self._settled:
            pass  # its driver is gone, or has given it up
        elif is_last:
            self.late += worker.name in self._parting
            self.broker.settle(worker.name, ask)
            if worker.name in self._parting:
                self._charge(worker.name)
        elif self.broker.hear(worker.name, ask):
            self._next(worker)
        else:
            self.broker.settle(worker.name, ask)
            self.refused(worker)

    def refused(self, worker: Worker) -> None:
        """It goes on with nothing. Its driver asks for its last words."""
        if self.now < self.stands_until:
            self.later(self.stands_until - self.now, lambda: self.refused(worker))
        elif worker.driver == self._driver and worker.name not in self._settled:
            self.send(worker, worker.last_words)

    def stand_still(self, seconds: float) -> None:
        """The driver's process stands still for so long: it hears nothing, and sees no lease lapse."""
        self.stands_until = max(self.stands_until, self.now + seconds)
        self.run(seconds)

    def close(self) -> None:
        """The run ends."""
        for number in list(self._parting):
            self._charge(number)
        self.broker.close()

    def _next(self, worker: Worker) -> None:
        grant = self.broker.grant(worker.name)
        driver = self._driver
        self.send(worker, lambda: worker.exchange(grant) if worker.driver == driver else None)

    # -- what happens

    def join(self) -> Worker:
        """A further worker."""
        worker = Worker(self, next(self._names))
        worker.driver = self._driver
        self.workers[worker.name] = worker
        self.broker.join(worker.name)
        self._next(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        """Its process ends, and the kernel closes its connections."""
        worker.alive, worker.is_dead = False, True
        worker.cancel()

    def kill_driver(self, *, live_on: bool) -> None:
        """The driver dies, and another one begins. `live_on`: its workers do not notice, until their leases end."""
        self._driver += 1
        self.stands_until = self.now
        self._parting.clear()
        self.ledger.charge_all()
        for worker in self.workers.values():
            if not live_on:
                self.kill(worker)
        spent = Spent(0.0, 0, 0)
        if self.budget is not None:
            used = self.budget.states
            spent = Spent(used.get("budget_usd", (0.0, 0.0))[0], int(used.get("max_calls", (0.0, 0.0))[0]), 0)
        self.broker = self._new_broker(succeeds=True, spent=spent)
