"""Runs of many calls at one gate against a simulated server, on a clock of its own: an hour of them takes a second."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from datafast.engine.calls import admission
from datafast.engine.calls.admission import Gate
from datafast.types import RateLimit, RateLimits

__all__ = ["Bucket", "ByChance", "Paced", "Server", "Window", "simulate"]

_WAY_S = 0.005  # from here to the server, or back


class Server:
    """Accepts everything, and tells the same limits with every answer."""

    def __init__(self, limits: RateLimits | None = None) -> None:
        self._limits = limits

    def takes(self, now: float) -> tuple[bool, float | None]:
        """Whether it accepts a request, and its Retry-After."""
        return True, None

    def limits(self, now: float) -> RateLimits | None:
        return self._limits


class ByChance(Server):
    """Refuses a part of all requests by chance, and says perhaps how long to wait."""

    def __init__(
        self, part: float, *, limits: RateLimits | None = None, wait_s: float | None = None, seed: int = 0
    ) -> None:
        super().__init__(limits)
        self._part, self._wait_s, self._random = part, wait_s, random.Random(seed)

    def takes(self, now: float) -> tuple[bool, float | None]:
        return self._random.random() >= self._part, self._wait_s


class Bucket(Server):
    """Holds `size` requests and is refilled with `per_s` a second; from `changes_at` on with another rate."""

    def __init__(
        self,
        size: int,
        per_s: float,
        *,
        waits: str = "",
        tells: bool = False,
        changes_at: float = math.inf,
        then_per_s: float = 0.0,
    ) -> None:
        super().__init__()
        self._size, self._per_s, self._waits, self._tells = size, per_s, waits, tells
        self._changes_at, self._then_per_s = changes_at, then_per_s
        self._level, self._at = float(size), 0.0

    def _rate(self, now: float) -> float:
        return self._per_s if now < self._changes_at else self._then_per_s

    def _fill(self, now: float) -> None:
        self._level, self._at = min(self._size, self._level + (now - self._at) * self._rate(now)), now

    def takes(self, now: float) -> tuple[bool, float | None]:
        self._fill(now)
        if self._level >= 1.0:
            self._level -= 1.0
            return True, None
        wait = (1.0 - self._level) / self._rate(now)
        return False, {"": None, "exact": wait, "whole seconds": float(math.ceil(wait))}[self._waits]

    def limits(self, now: float) -> RateLimits | None:
        if not self._tells:
            return None
        self._fill(now)
        full_in_s = (self._size - self._level) / self._rate(now)
        return RateLimits(requests=RateLimit(self._size, int(self._level), full_in_s))


class Window(Server):
    """Accepts so many requests in each minute of the clock."""

    def __init__(self, limit: int, *, waits: bool) -> None:
        super().__init__()
        self._limit, self._waits = limit, waits
        self._minute, self._taken = -1, 0

    def takes(self, now: float) -> tuple[bool, float | None]:
        if (minute := int(now // 60)) != self._minute:
            self._minute, self._taken = minute, 0
        self._taken += 1
        if self._taken <= self._limit:
            return True, None
        return False, 60.0 * (minute + 1) - now if self._waits else None


@dataclass
class Paced:
    """What became of a run. `sent_at`: moments in seconds from its start, one a request. `too_soon`: requests that were sent again before
    the wait was over that their server had asked for."""

    attempts: list[int]
    sent_at: list[float] = field(default_factory=list)
    done_at: list[float] = field(default_factory=list)
    too_soon: int = 0

    @property
    def wall_s(self) -> float:
        return self.done_at[-1]

    @property
    def requests_per_call(self) -> float:
        return sum(self.attempts) / len(self.attempts)


class _Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def simulate(
    server: Server, calls: int, *, workers: int = 64, reply_s: float = 0.2, most_s: float = 100_000.0, seed: int = 0
) -> Paced:
    """Lets calls through a gate until all are answered, or so much time is over."""
    with pytest.MonkeyPatch.context() as patch:
        clock = _Clock()
        patch.setattr(admission, "time", clock)
        random.seed(seed)
        return _Simulation(server, calls, workers, reply_s, clock).run(most_s)


class _Simulation:
    def __init__(self, server: Server, calls: int, workers: int, reply_s: float, clock: _Clock) -> None:
        self._server, self._reply_s, self._clock = server, reply_s, clock
        self._gate = Gate(workers)
        self._waiting = list(range(calls))  # a heap: whoever came first goes first
        self._refusals = [0] * calls
        self._events: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._look_at = math.inf
        self._not_before = [0.0] * calls
        self._paced = Paced([0] * calls)

    def run(self, most_s: float) -> Paced:
        self._let_in()
        while self._events and self._events[0][0] <= most_s:
            self._clock.now, _, kind, details = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(*details)
            self._let_in()
        return self._paced

    def _at(self, moment: float, kind: str, *details: Any) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), kind, details))

    def _let_in(self) -> None:
        now, gate = self._clock.now, self._gate
        while self._waiting and gate.in_flight < gate.limit and gate.opens_at <= now:
            self._send(heapq.heappop(self._waiting))
        if self._waiting and gate.in_flight < gate.limit and gate.opens_at < self._look_at:
            self._look_at = max(gate.opens_at, now + 1e-6)
            self._at(self._look_at, "looked")

    def _send(self, call: int) -> None:
        now = self._clock.now
        self._paced.attempts[call] += 1
        self._paced.sent_at.append(now)
        self._paced.too_soon += now < self._not_before[call]
        number = self._gate.take(100, now)
        accepts, wait_s = self._server.takes(now + _WAY_S)
        if accepts:
            self._at(now + _WAY_S + self._reply_s, "answered", now)
        else:
            self._at(now + 2 * _WAY_S, "refused", call, number, now, wait_s)

    def _looked(self) -> None:
        self._look_at = math.inf

    def _answered(self, sent_at: float) -> None:
        gate = self._gate
        gate.in_flight -= 1
        gate.succeeded(sent_at)
        if gate.told_rate.is_due():
            gate.told(self._server.limits(self._clock.now), tokens=100)
        self._paced.done_at.append(self._clock.now)

    def _refused(self, call: int, number: int, sent_at: float, wait_s: float | None) -> None:
        now = self._clock.now
        self._gate.in_flight -= 1
        self._refusals[call] += 1
        self._gate.refused(number, sent_at, wait_s)
        self._not_before[call] = now + (wait_s or 0.0)
        self._at(now + self._gate.wait_after_refusal(self._refusals[call], wait_s), "back", call)

    def _back(self, call: int) -> None:
        heapq.heappush(self._waiting, call)
