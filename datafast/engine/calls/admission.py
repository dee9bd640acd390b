"""When a request may be sent: limits on requests in flight, on requests and tokens per minute, waits after rate limiting and faults.

Limits hold for a provider over the whole run.
Concurrency falls by a quarter once per burst of 429s, by half where nothing succeeded since the last one, and climbs back by one per 25
successes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from datafast.llms.pace import MINUTE_S, Pacer

__all__ = ["Admission", "Backoff", "Gate"]

_CUT = 0.75  # the part of a limit that is left after a burst of 429s
_CUT_AGAIN = 0.5  # the same after another one, with no success in between
_SUCCESSES_PER_STEP = 25
_MAX_WAIT_S = 20.0  # after a burst, unless the server asks for more
_LONGEST_PROBE_WAIT_S = 30.0
_PROBE_JITTER = (0.75, 1.25)


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


class Gate:
    """The limits of one provider.

    Args:
        limit: the most requests in flight.
        rpm, tpm: requests and tokens per minute, None for no limit.
        backoff: how long to wait after a 429 that does not say how long.
        earlier: (seconds ago, tokens) of the newest requests of earlier runs, oldest first; pacing continues from there.

    Attributes:
        turns: held by the request that waits for `next_turn`.
        sooner: the queue in which it sleeps; it is woken when tokens are given back, because it may then be sent.
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
    ) -> None:
        self._backoff = backoff
        self.setting = limit
        self.limit = limit
        self.in_flight = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.turns = asyncio.Lock()
        self.sooner: deque[asyncio.Future[None]] = deque()
        self._requests = Pacer(rpm) if rpm else None
        self._tokens = Pacer(tpm) if tpm else None
        now = time.monotonic()
        for ago_s, tokens in earlier:
            self._book_at(now - ago_s, tokens)
        for pacer in (self._requests, self._tokens):
            # Requests of an earlier run under no limit, or a higher one, count for a minute only.
            if pacer is not None:
                pacer.forget_after(now + MINUTE_S)
        self._blocked_until = 0.0
        self._burst_at = 0.0
        self._bursts = 0
        self._successes = 0
        self._reopens_to: int | None = None  # while it reopens: the limit to reach
        self._on_limit = on_limit or (lambda limit: None)

    @property
    def has_room(self) -> bool:
        return self.in_flight < self.limit

    def set_limit(self, limit: int) -> None:
        """Changes the setting; a limit that was lowered by rate limiting rises towards it."""
        self.limit = limit if self.limit >= self.setting else min(self.limit, limit)
        self.setting = limit

    def book(self, tokens: int) -> float:
        """Books one request. Returns the moment (monotonic seconds) from which it may be sent."""
        return self._book_at(max(time.monotonic(), self._blocked_until), tokens)

    def _book_at(self, now: float, tokens: int) -> float:
        moment = now
        if self._requests:
            moment = max(moment, self._requests.book(1, now))
        if self._tokens:
            moment = max(moment, self._tokens.book(tokens, now))
        return moment

    def correct_tokens(self, difference: int) -> None:
        """Books `difference` more tokens for a reply that used more than were booked."""
        if self._tokens:
            self._tokens.correct(difference)
            for sleeper in self.sooner if difference < 0 else ():
                if not sleeper.done():
                    sleeper.set_result(None)

    def blocked_for(self) -> float:
        """Seconds for which nothing may be sent, after rate limiting or faults."""
        return self._blocked_until - time.monotonic()

    @property
    def is_paced(self) -> bool:
        return self._requests is not None or self._tokens is not None

    @property
    def next_turn(self) -> float:
        """The moment (monotonic seconds) from which the next request may be sent."""
        pacers = [pacer.free_at for pacer in (self._requests, self._tokens) if pacer is not None]
        return max(self._blocked_until, *pacers)

    @property
    def paces_tokens(self) -> bool:
        return self._tokens is not None

    def rate_limited(self, sent_at: float, retry_after_s: float | None) -> None:
        """Reacts to a 429 for a request sent at `sent_at`: all requests wait, and the limit falls, once per burst."""
        now = time.monotonic()
        wait_s = retry_after_s or 0.0
        if sent_at > self._burst_at:
            self._burst_at = now
            self._bursts += 1
            self._successes = 0
            wait_s = min(self._backoff.wait_s(self._bursts, retry_after_s=retry_after_s), max(wait_s, _MAX_WAIT_S))
            self._lower()
        self._blocked_until = max(self._blocked_until, now + wait_s)

    def _lower(self) -> None:
        if self.limit > 1:
            self.limit = max(1, int(self.limit * (_CUT if self._bursts == 1 else _CUT_AGAIN)))
            self._on_limit(self.limit)

    def close(self, until: float, *, beside: int) -> None:
        """Lets nothing through until a moment, then one request beside so many that are on the wire, and with each success one more."""
        if self._reopens_to is None:
            self._reopens_to = self.limit
        self.limit = beside + 1
        self._blocked_until = max(self._blocked_until, until)

    def one_less(self) -> None:
        """A request has landed that was in flight when this was closed."""
        self.limit = max(1, self.limit - 1)

    def succeeded(self) -> None:
        self._bursts = 0
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
    """Slots of a whole run: at most `total` requests in flight, and at most a gate's limit at its provider."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._in_flight = 0
        self._gates: list[Gate] = []

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def add(self, gate: Gate) -> None:
        self._gates.append(gate)

    def enters_at_once(self, gate: Gate) -> bool:
        """Takes a slot if one is free that nobody waits for. Says whether."""
        if self._in_flight >= self._total or gate.waiting or not gate.has_room:
            return False
        self._take(gate)
        return True

    async def enter(self, gate: Gate) -> None:
        """Waits for a slot. First come, first served at each gate; gates take turns at the total."""
        if self.enters_at_once(gate):
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gate.waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.leave(gate)  # the slot was handed over at the moment of the cancellation
            elif slot in gate.waiting:  # `wake` removes cancelled ones
                gate.waiting.remove(slot)
            raise

    def leave(self, gate: Gate) -> None:
        """Gives a slot back and lets the next request in."""
        gate.in_flight -= 1
        self._in_flight -= 1
        self.wake()

    def wake(self) -> None:
        """Lets waiting requests in, after a slot came free or a limit rose."""
        while self._in_flight < self._total:
            ready = [gate for gate in self._gates if gate.waiting and gate.has_room]
            if not ready:
                return
            # The gate with the smallest used share of its limit goes first, so a slow provider cannot hold all slots.
            gate = min(ready, key=lambda gate: gate.in_flight / gate.limit)
            slot = gate.waiting.popleft()
            if not slot.done():
                self._take(gate)
                slot.set_result(None)

    def _take(self, gate: Gate) -> None:
        gate.in_flight += 1
        self._in_flight += 1
