"""The turns of one provider: when the next request of any worker may be sent.

One gate (`calls.admission.Gate`) paces all workers and learns from what they report, so a pace is learned once, and a gate that closes
closes for all. A turn is given ahead of its moment, at most `AHEAD_S`, so that it has arrived by then, and lapses `LAPSE_S` after it.

Guarantee: with a limit of `rpm`, no window of 60 s holds more requests, as the server sees them. Turns have moments that are at least I
= (60.5 + LAPSE_S) / rpm apart, but for less than 0.05 s that the gate catches up with. A worker counts a turn's moment from the arrival
of the grant, and its lapse from the making of the ask that the grant answers. The grant was made between these two, so the request of a
turn with the moment t is sent between t and t + LAPSE_S, whatever the clocks and delays. If it is on its way for at most 0.45 s, those
that arrive in 60 s had their moments within 60.45 + 0.05 + LAPSE_S s, and these are at most rpm. A turn that is not used is used by
somebody else before it lapses, or lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from datafast.engine.calls.admission import Backoff, Gate
from datafast.engine.remote.terms import ProviderTerms, Turn, Use
from datafast.llms.pace import MINUTE_S

__all__ = ["AHEAD_S", "LAPSE_S", "TurnBook"]

LAPSE_S = 1.0
AHEAD_S = 0.25
_LEAST_LIFE_S = 0.3  # of a turn that is given to somebody else
_REMEMBERED_S = 2.0 * LAPSE_S + 10.0


@dataclass(slots=True)
class _Given:
    """A turn that a worker has, or that is ready for it."""

    number: int
    moment: float
    tokens: int


@dataclass(slots=True)
class _Customer:
    """What one worker has to do with turns.

    Attributes:
        waiting: the tokens of its requests that need a turn.
        ready: turns that the next grant takes to it.
        on_way: (number of the grant, turns in it) of grants that it has not confirmed.
        given: the turns that it was given, by their numbers, in their order.
        sent: (first ordinal, count, number of the first) of requests that it sent without turns.
    """

    waiting: deque[int] = field(default_factory=deque)
    ready: list[_Given] = field(default_factory=list)
    on_way: deque[tuple[int, int]] = field(default_factory=deque)
    given: dict[int, _Given] = field(default_factory=dict)
    sent: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=1000))
    ordinal: int = 0
    queued: bool = False


class TurnBook:
    """The pace of one provider, and who may send when.

    Attributes:
        gate: what paces and learns. Its `in_flight` is that of all workers, as they told.
    """

    def __init__(self, terms: ProviderTerms, *, clock: Callable[[], float], backoff: Backoff) -> None:
        slower = MINUTE_S / (MINUTE_S + LAPSE_S)
        now = clock()
        unknown = ((0.0, 0),) * terms.in_flight
        self.gate = Gate(
            terms.most,
            rpm=terms.rpm * slower if terms.rpm else None,
            tpm=terms.tpm * slower if terms.tpm else None,
            earlier=(*terms.earlier, *unknown),
            backoff=backoff,
            auto=terms.auto,
            clock=clock,
        )
        self._clock = clock
        self._is_limited = bool(terms.rpm or terms.tpm)
        self._customers: dict[Hashable, _Customer] = {}
        self._queue: deque[Hashable] = deque()
        self._returned: deque[_Given] = deque()
        self._quiet_until = now
        self._probe_every_s: float | None = None

    @property
    def paces(self) -> bool:
        """Whether a request needs a turn now."""
        gate = self.gate
        return (
            self._is_limited
            or gate.rate.per_s is not None
            or gate.told_rate.per_s is not None
            or gate.opens_at > self._clock()
            or self._probe_every_s is not None
        )

    def join(self, worker: Hashable) -> None:
        self._customers[worker] = _Customer()

    def drop(self, worker: Hashable) -> None:
        """A worker is gone. Turns that were never sent to it are given to others; all that were count as used."""
        self._returned.extend(self._customers.pop(worker).ready)

    def hold_until(self, moment: float) -> None:
        """Gives no turns before this moment."""
        self._quiet_until = max(self._quiet_until, moment)

    def probe(self, *, at: float, every_s: float) -> None:
        """Gives one turn at a moment, and then one every so many seconds, until `open`."""
        self._quiet_until, self._probe_every_s = max(self._quiet_until, at), every_s

    def open(self) -> None:
        """Ends that."""
        self._quiet_until, self._probe_every_s = self._clock(), None

    def hear(self, worker: Hashable, use: Use, *, heard: int, in_flight: int) -> None:
        """Takes what a worker tells.

        Args:
            heard: the number of the newest grant that it had.
            in_flight: requests in flight of all workers.
        """
        now, gate, customer = self._clock(), self.gate, self._customers[worker]
        gate.in_flight = in_flight
        if use.sent:
            self._count(customer, use.sent, now)
            gate.in_flight = in_flight
        self._take_back(customer, use.unused, now)
        if use.tokens:
            gate.correct_tokens(use.tokens)
        for ago_s, tokens in use.answered:
            gate.succeeded(now - ago_s)
            if gate.knee is not None:
                gate.answered(tokens, now - ago_s)
        for told in use.told:
            gate.told(told.limits, tokens=told.tokens)
        for refused in use.refused:
            number = refused.number if refused.number > 0 else self._number_of(customer, -refused.number - 1)
            gate.refused(number, now - refused.ago_s, refused.retry_after_s, limits=refused.limits)
        while customer.on_way and customer.on_way[0][0] <= heard:
            customer.on_way.popleft()
        known = len(customer.ready) + sum(count for _, count in customer.on_way)
        customer.waiting = deque(use.waiting[known:])
        if customer.waiting and not customer.queued:
            customer.queued = True
            self._queue.append(worker)

    def allot(self) -> None:
        """Gives the turns of the next moments to those who wait, one each in rotation."""
        now = self._clock()
        while self._queue and now >= self._quiet_until:
            given = self._next(now)
            if given is None:
                return
            worker = self._queue.popleft()
            customer = self._customers.get(worker)
            if customer is None or not customer.waiting:
                self._returned.appendleft(given)
                if customer is not None:
                    customer.queued = False
                continue
            customer.waiting.popleft()
            customer.ready.append(given)
            if self._probe_every_s is not None:
                self._quiet_until = given.moment + self._probe_every_s
            if customer.waiting:
                self._queue.append(worker)
            else:
                customer.queued = False

    def has_ready(self, worker: Hashable) -> bool:
        """Whether turns are ready for a worker."""
        return bool(self._customers[worker].ready)

    def collect(self, worker: Hashable, grant: int) -> tuple[Turn, ...]:
        """The turns that a grant takes to a worker."""
        customer, now = self._customers[worker], self._clock()
        live = [given for given in customer.ready if given.moment + LAPSE_S > now]
        customer.ready = []
        if not live:
            return ()
        customer.on_way.append((grant, len(live)))
        for number in [number for number, one in customer.given.items() if one.moment + _REMEMBERED_S < now]:
            del customer.given[number]
        customer.given.update((given.number, given) for given in live)
        return tuple(
            Turn(given.number, max(0.0, given.moment - now), given.moment + LAPSE_S - now, given.tokens)
            for given in live
        )

    # -- one turn

    def _next(self, now: float) -> _Given | None:
        """The next turn, if its moment is near."""
        gate = self.gate
        opens_at = max(now, now + gate.closed_for())
        while self._returned:
            given = self._returned.popleft()
            if given.moment + LAPSE_S - _LEAST_LIFE_S > opens_at:
                return given
            gate.rate.taken_back()
        moment = max(now, gate.opens_at)
        if moment > now + AHEAD_S:
            return None
        customer = self._first_in_need()
        if customer is None:
            return None
        in_flight, tokens = gate.in_flight, customer.waiting[0]
        number = gate.take(tokens, moment)
        gate.in_flight = in_flight
        return _Given(number, moment, tokens)

    def _first_in_need(self) -> _Customer | None:
        while self._queue:
            customer = self._customers.get(self._queue[0])
            if customer is not None and customer.waiting:
                return customer
            self._queue.popleft()
            if customer is not None:
                customer.queued = False
        return None

    def _count(self, customer: _Customer, sent: int, now: float) -> None:
        """Counts requests that were sent without turns. Where turns are needed meanwhile, they were sent before that was known, and say
        nothing new."""
        if not self.paces:
            numbers = [self.gate.take(0, now) for _ in range(sent)]
            customer.sent.append((customer.ordinal, sent, numbers[0]))
        customer.ordinal += sent

    def _take_back(self, customer: _Customer, unused: tuple[int, ...], now: float) -> None:
        for number in unused:
            given = customer.given.pop(number, None)
            if given is not None:
                self._returned.append(given)

    def _number_of(self, customer: _Customer, ordinal: int) -> int:
        """The number among all requests of one that a worker sent without a turn; 0 if it was not counted."""
        for first, count, number in reversed(customer.sent):
            if first <= ordinal < first + count:
                return number + ordinal - first
        return 0
