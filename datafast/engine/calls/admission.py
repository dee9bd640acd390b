"""When a request may be sent: limits on requests in flight, on requests and tokens per minute, waits after rate limiting and faults.

Limits hold for a provider over the whole run. Whoever has waited longest goes first, also one that was refused before.
Concurrency falls by a quarter once per burst of 429s, by half where nothing succeeded since the last one, and climbs back by one per 25
successes. The rate of requests follows from what the server tells of its limits (`told_rate`), or is learned (`learned_rate`).
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from datafast.engine.calls.knee import Knee
from datafast.engine.calls.learned_rate import LearnedRate, Refusal
from datafast.engine.calls.told_rate import ToldRate, is_nearly_used
from datafast.engine.stop import StopSignal
from datafast.llms.pace import MINUTE_S, Pacer

if TYPE_CHECKING:
    from datafast.types import RateLimits

__all__ = ["Admission", "Backoff", "Gate"]

_CUT = 0.75  # the part of a limit that is left after a burst of 429s
_CUT_AGAIN = 0.5  # the same after another one, with no success in between
_SUCCESSES_PER_STEP = 25
_MAX_WAIT_S = 20.0  # after a burst, unless the server asks for more
_LONGEST_PROBE_WAIT_S = 30.0
_PROBE_JITTER = (0.75, 1.25)
_SHORTEST_PROBE_S = 0.25  # how long a probe after a 429 goes alone; refusals come sooner than replies
_LONGEST_PROBE_S = 5.0
_ANY_MOMENT_S = (
    1.0  # the shortest wait that Retry-After can ask for in whole seconds, however soon the next request would be taken
)
_FEW_NEAR = 2  # refused requests next to one that was refused too: so many are no chance
_FEW_NEAR_AT_ONCE = 3  # the same where the server asks for such a short wait


class Backoff(NamedTuple):
    """Exponential with full jitter: M. Brooker, "Exponential Backoff and Jitter" (AWS, 2015).

    Attributes:
        first_s: the longest wait before the first repeat; it doubles with each further one.
        longest_s: the most that this longest wait grows to.
    """

    first_s: float = 1.0
    longest_s: float = 60.0

    def wait_s(self, attempt: int, *, retry_after_s: float | None = None) -> float:
        """Seconds to wait before repeat number `attempt` (the first is 1); never less than what the server asked for."""
        spread = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 16))
        wait = random.uniform(0.0, spread)  # not seeded, because two runs must not repeat at the same moments
        return wait if retry_after_s is None else retry_after_s + wait * 0.1

    def probe_wait_s(self, attempt: int) -> float:
        """Seconds to wait before probe number `attempt` (the first is 1) of a provider that does not work."""
        longest = min(self.longest_s, _LONGEST_PROBE_WAIT_S)
        return min(longest, self.first_s * 2.0 ** min(attempt - 1, 16)) * random.uniform(*_PROBE_JITTER)


class Waiting(NamedTuple):
    """One who waits at a gate: its place, which is lower the longer it waits, and how many tokens it wants.

    `entered` is the order among equal places.
    """

    place: int
    entered: int
    tokens: int
    slot: asyncio.Future[int | None]


class Gate:
    """The limits of one provider.

    Args:
        limit: the most requests in flight.
        rpm, tpm: requests and tokens per minute, None for no limit.
        backoff: how long to wait after a 429 that does not say how long.
        earlier: (seconds ago, tokens) of the newest requests of earlier runs, oldest first; pacing continues from there.
        on_limit: called with a new limit.
        auto: find a limit that the server can use, at most `limit`.
        clock: gives monotonic seconds; by default the machine's.

    Attributes:
        most: the limit that was given.
        setting: the one that holds without rate limiting or faults; `limit`: the one that holds now.
        knee: what finds it, if it is to be found.
        opens_at: the moment (monotonic seconds) from which the next request may be sent.
        rate: the rate of requests that the provider takes, as learned; `told_rate`: the one that follows from what it tells.
        waiting: a heap.
    """

    def __init__(
        self,
        limit: int,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        earlier: Sequence[tuple[float, int]] = (),
        backoff: Backoff = Backoff(),  # noqa: B008 - it cannot be changed
        on_limit: Callable[[int], None] | None = None,
        auto: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or time.monotonic
        self._backoff = backoff
        self.most = limit
        self.knee = Knee(limit) if auto else None
        self.setting = self.limit = limit if self.knee is None else self.knee.limit
        self.in_flight = 0
        self.waiting: list[Waiting] = []
        self.opens_at = 0.0
        self.rate = LearnedRate()
        self.told_rate = ToldRate()
        self._requests = Pacer(rpm) if rpm else None
        self._tokens = Pacer(tpm) if tpm else None
        self._closed_until = 0.0
        self._alone_until = 0.0
        now = self._clock()
        for ago_s, tokens in earlier:
            self._book(now - ago_s, tokens)
        for pacer in (self._requests, self._tokens):
            # Requests of an earlier run under no limit, or a higher one, count for a minute only.
            if pacer is not None:
                pacer.forget_after(now + MINUTE_S)
        self._works = False  # whether a reply came to a request that was sent since all waited
        self._probe_s = 0.0  # for how long the next request goes alone
        self._successes = 0
        self._reopens_to: int | None = None  # while it reopens: the limit to reach
        self._on_limit = on_limit or (lambda limit: None)
        self._look()

    def choose(self, limit: int) -> None:
        """Sets the limit, and looks for no better one."""
        self.most, self.knee = limit, None
        self.set_limit(limit)

    def looks_anew(self) -> None:
        """Nothing was sent for a while, which says nothing of how many requests it can use."""
        if self.knee is not None:
            self.knee.cap(self.knee.ceiling)

    def set_limit(self, limit: int) -> None:
        """Changes the setting, of a limit that is to be found its ceiling. One that was lowered by rate limiting rises towards it."""
        if self.knee is not None:
            self.knee.cap(limit)
            limit = self.knee.limit
        self.limit = limit if self.limit >= self.setting else min(self.limit, limit)
        self.setting = limit

    @property
    def paces_tokens(self) -> bool:
        return self._tokens is not None

    @property
    def paced_by(self) -> str | None:
        """The limit of the config for which the next request waits; None where it does not wait for one."""
        if self._requests is None and self._tokens is None:
            return None
        now, named = self._clock(), {"rpm_limit": self._requests, "tpm_limit": self._tokens}
        return next((name for name, pacer in named.items() if pacer is not None and pacer.free_at > now), None)

    def closed_for(self) -> float:
        """Seconds for which nothing may be sent, after rate limiting or faults."""
        return self._closed_until - self._clock()

    # -- one request

    def take(self, tokens: int, now: float) -> int:
        """Gives a slot to one request, and books it. Returns its number."""
        self.in_flight += 1
        number = self.rate.sent(now)
        if self._probe_s:
            self._alone_until, self._probe_s = now + self._probe_s, 0.0
        if self._requests or self._tokens or self.rate.per_s or self.told_rate.per_s or self.opens_at:
            self.told_rate.sent(now)
            self._book(now, tokens)
            self._look()
        return number

    def take_back(self, tokens: int) -> None:
        """The newest request is not sent after all, and its slot comes free."""
        self.in_flight -= 1
        self.rate.taken_back()
        if self._requests:
            self._requests.correct(-1)
        if self._tokens:
            self._tokens.correct(-tokens)
        self._look()

    def correct_tokens(self, difference: int) -> None:
        """Books `difference` more tokens for a reply that used more than were booked."""
        if self._tokens:
            self._tokens.correct(difference)
            self._look()

    def _book(self, now: float, tokens: int) -> None:
        if self._requests:
            self._requests.book(1, now)
        if self._tokens:
            self._tokens.book(tokens, now)

    def _look(self) -> None:
        opens_at = max(self._closed_until, self._alone_until, self.rate.free_at if self.rate.per_s is not None else 0.0)
        if self.told_rate.per_s is not None:
            opens_at = max(opens_at, self.told_rate.free_at)
        if self._requests:
            opens_at = max(opens_at, self._requests.free_at)
        if self._tokens:
            opens_at = max(opens_at, self._tokens.free_at)
        self.opens_at = opens_at

    # -- what becomes of it

    def refused(
        self, number: int, sent_at: float, retry_after_s: float | None, *, limits: RateLimits | None = None
    ) -> None:
        """Reacts to a 429 for request `number`: after a burst, or where the server says how long and refuses others too, all requests
        wait. `limits`: what the server told with it."""
        now = self._clock()
        wait_s = retry_after_s or 0.0
        paced = self.rate.is_settled and wait_s <= _ANY_MOMENT_S
        told = self.told_rate.per_s is not None or is_nearly_used(limits)
        refusal = self.rate.refused(number, now, told_to_wait=wait_s > 0.0)
        if refusal is not Refusal.SPARSE:
            self.told_rate.refused()
        if refusal is Refusal.BURST:
            self._successes = 0
            bursts = self.rate.bursts
            wait_s = min(self._backoff.wait_s(bursts, retry_after_s=retry_after_s), max(wait_s, _MAX_WAIT_S))
            self._lower()
        if self.rate.is_left_alone and self.limit < self.setting and self._reopens_to is None:
            self.limit = self.setting  # fewer in flight have not helped either
            self._on_limit(self.limit)
        if wait_s and (told or now < self._closed_until or not self._is_lone(refusal, number, wait_s, paced=paced)):
            self._works = False
            self._closed_until = max(self._closed_until, now + wait_s)
            self._probe_s = min(max(_SHORTEST_PROBE_S, 2.0 * (now - sent_at)), _LONGEST_PROBE_S)
            self.rate.close(self._closed_until)
        self._look()

    def _is_lone(self, refusal: Refusal, number: int, wait_s: float, *, paced: bool) -> bool:
        """Whether a refusal holds back its own request alone, for the time that the server asks for: one by chance, or one of a pace that
        is a little too high. None is so where nothing was answered before.

        Args:
            paced: the pace is known, and the wait so short that it says no more than that.
        """
        if refusal is Refusal.BURST or not self._works:
            return False
        few = _FEW_NEAR if wait_s > _ANY_MOMENT_S else _FEW_NEAR_AT_ONCE
        return paced or (refusal is Refusal.SPARSE and self.rate.refused_near(number) < few)

    def told(self, limits: RateLimits | None, *, tokens: int) -> None:
        """Takes what the server told of its limits with a reply to a request that used so many tokens."""
        self.told_rate.told(limits, tokens=tokens, in_flight=self.in_flight)
        self._look()

    def wait_after_refusal(self, times: int, retry_after_s: float | None) -> float:
        """Seconds for which a request that was refused so many times is not sent again. While all wait, it keeps its place among them."""
        if self.closed_for() > 0.0:
            return 0.0
        return self._backoff.wait_s(times, retry_after_s=retry_after_s)

    def _lower(self) -> None:
        if self.limit > 1:
            self.limit = max(1, int(self.limit * (_CUT if self.rate.bursts == 1 else _CUT_AGAIN)))
            self._on_limit(self.limit)

    def close(self, until: float, *, beside: int) -> None:
        """Lets nothing through until a moment, then one request beside so many that are on the wire, and with each success one more."""
        if self._reopens_to is None:
            self._reopens_to = self.limit
        self.limit = beside + 1
        self._closed_until = max(self._closed_until, until)
        self._look()
        self.turn_away()

    def turn_away(self) -> None:
        """Wakes those who wait without a slot; they look anew whether to wait on."""
        for waiting in self.waiting:
            if not waiting.slot.done():
                waiting.slot.set_result(None)

    def one_less(self) -> None:
        """A request has landed that was in flight when this was closed."""
        self.limit = max(1, self.limit - 1)

    def answered(self, tokens: int, sent_at: float) -> None:
        """A reply of so many tokens came to a request: what there is to learn of the limit that is to be found."""
        knee = self.knee
        if knee is None or self.limit < self.setting:
            return
        if knee.replied(tokens, sent_at=sent_at, now=self._clock(), in_flight=self.in_flight):
            self.setting = self.limit = knee.limit
            self._on_limit(self.limit)

    def succeeded(self, sent_at: float) -> None:
        """A reply came to the request that was sent at `sent_at`."""
        self.rate.accepted(sent_at)
        self._works = self._works or sent_at >= self._closed_until
        if self.limit >= self.setting:
            return
        if self._reopens_to is not None:
            if self.limit < self._reopens_to:
                self.limit += 1
                self._on_limit(self.limit)
                return
            self._reopens_to = None
        self._successes += 1
        if self._successes >= _SUCCESSES_PER_STEP:
            self._successes = 0
            self.limit += 1
            self._on_limit(self.limit)


class Admission:
    """Slots of a whole run: at most `total` requests in flight, and at most a gate's limit at its provider. All on one event loop."""

    def __init__(self, total: int, stop: StopSignal) -> None:
        self._most = total
        self._total = total  # 0 while it is shut, so that who asks for a slot has no more to look at
        self._stop = stop
        self._in_flight = 0
        self._entered = 0
        self._gates: list[Gate] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def total(self) -> int:
        return self._most

    @total.setter
    def total(self, total: int) -> None:
        self._most = total
        if self._total:
            self.open()

    def shut(self) -> None:
        """Lets no request in until `open`. Those in flight land."""
        self._total = 0

    def open(self) -> None:
        """Lets requests in again."""
        self._total = self._most
        self.wake()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def add(self, gate: Gate) -> None:
        self._gates.append(gate)

    def enters_at_once(self, gate: Gate, tokens: int = 0) -> int | None:
        """Takes a slot if one is free that nobody waits for. Returns the number of the request, None if there is none."""
        now = time.monotonic()
        if self._in_flight >= self._total or gate.in_flight >= gate.limit or gate.waiting or gate.opens_at > now:
            return None
        self._in_flight += 1
        return gate.take(tokens, now)

    async def enter(self, gate: Gate, *, place: int = 0, tokens: int = 0) -> int | None:
        """Waits for a slot, and for the turn in the pace. Those who wait longest go first at each gate; gates take turns at the total.

        Args:
            place: the lower, the longer it waits.
            tokens: what is booked for it.

        Returns:
            The number of the request; None without a slot, if the run was stopped or the gate closed: look anew whether to wait.
        """
        number = self.enters_at_once(gate, tokens)
        if number is not None or self._stop:
            return number
        slot: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._entered += 1
        entry = Waiting(place, self._entered, tokens, slot)
        heapq.heappush(gate.waiting, entry)
        if self._in_flight < self._total and gate.in_flight < gate.limit:
            self.wake()
        try:
            return await self._stop.hold(slot)
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled() and slot.result() is not None:
                self.leave_unsent(gate, tokens)  # the slot was handed over at the moment of the cancellation
            elif entry in gate.waiting:
                gate.waiting.remove(entry)
                heapq.heapify(gate.waiting)
            raise

    def leave(self, gate: Gate) -> None:
        """Gives a slot back and lets the next request in."""
        gate.in_flight -= 1
        self._in_flight -= 1
        self.wake()

    def leave_unsent(self, gate: Gate, tokens: int) -> None:
        """Gives a slot back for which nothing was sent."""
        gate.take_back(tokens)
        self._in_flight -= 1
        self.wake()

    def wake(self) -> None:
        """Lets waiting requests in, after a slot came free, a limit rose or it is time."""
        while self._in_flight < self._total:
            gate, moment = self._next(time.monotonic())
            if gate is None:
                if moment < float("inf"):
                    self._wake_at(moment)
                return
            entry = heapq.heappop(gate.waiting)
            if not entry.slot.done():
                self._in_flight += 1
                entry.slot.set_result(gate.take(entry.tokens, time.monotonic()))

    def _next(self, now: float) -> tuple[Gate | None, float]:
        """The gate that lets in a request now, if there is one, else the moment at which one may."""
        chosen, least, moment = None, 0.0, float("inf")
        for gate in self._gates:
            if not gate.waiting or gate.in_flight >= gate.limit:
                continue
            if gate.opens_at > now:
                moment = min(moment, gate.opens_at)
                continue
            # The gate with the smallest used share of its limit goes first, so a slow provider cannot hold all slots.
            used = gate.in_flight / gate.limit
            if chosen is None or used < least:
                chosen, least = gate, used
        return chosen, moment

    def _wake_at(self, moment: float) -> None:
        if self._timer is not None:
            if self._timer_at <= moment:
                return  # it then looks again
            self._timer.cancel()
        self._timer_at = moment
        self._timer = asyncio.get_running_loop().call_later(max(0.0, moment - time.monotonic()), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.wake()
