"""Leases the limits of a run to its workers: requests in flight, requests and tokens a minute, budget.

The broker is pure logic over a clock. Whoever runs the workers hands it what each of them tells (`hear`), and takes each what it may do
(`grant`). Both are called on one thread, and messages to and from one worker arrive in order.

Guarantees, whatever workers do, also if they die or cannot be reached:

* Requests in flight never pass a provider's limit or that of the run (`slot_book`), requests a minute never the rate (`turn_book`), and
  what is spent and what may still be spent never the budget (`bookings`).
* A worker stops sending before its lease lapses (`leases` has the proof). It counts a lease from the moment at which it made the ask
  that the grant answers, and the broker from the moment of the grant, which is later.
* A worker whose lease has lapsed counts as having sent all that it might have. What it says afterwards changes nothing of that, and what
  its requests have cost counts. One that comes again is a new one.
* A broker that follows on one that has died gives nothing for the time of a lease (`succeeds`), since workers of the former may still
  send. By then all its turns have lapsed, and the moments of its own turns come after those, as if there had been one broker.

Cost: 10 to 20 us for each request and each message; a division of slots looks at all workers, but at most 10,000 a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from datafast.engine.calls.admission import Backoff, Gate
from datafast.engine.calls.budget import Budget
from datafast.engine.remote.bookings import Bookings, Reserves
from datafast.engine.remote.outages import Outages
from datafast.engine.remote.slot_book import SlotBook
from datafast.engine.remote.terms import LEASE_S, Ask, Grant, Lease, ProviderTerms, Use
from datafast.engine.remote.turn_book import TurnBook

__all__ = ["Broker"]

_REPLY_S = 0.0005  # for recording a reply, on a machine that does other things too
_LONGEST_LEASE_S = 60.0


@dataclass(slots=True)
class _Worker:
    """One worker.

    Attributes:
        lapses_at: when its lease lapses, by the broker's clock.
        ask, grant: the numbers of the newest ones.
        told: (slots, paced, closed) by provider, as the newest grant said.
    """

    lapses_at: float
    told: dict[str, tuple[int, bool, bool]]
    ask: int = 0
    grant: int = 0


class Broker:
    """The limits of one run.

    Args:
        providers: their limits, by name.
        total: requests in flight over all providers.
        clock: gives monotonic seconds.
        budget, reserves: the budget, and where bookings are recorded; both or none.
        lease_s: how long what a worker was told holds, at least. It is longer where recording all replies that may be in flight may take
            longer, so that no worker is given up because there is much to do.
        succeeds: a former broker of this output may have workers that still send.

    """

    def __init__(
        self,
        providers: Mapping[str, ProviderTerms],
        *,
        total: int,
        clock: Callable[[], float] = time.monotonic,
        budget: Budget | None = None,
        reserves: Reserves | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008 - it cannot be changed
        lease_s: float = LEASE_S,
        succeeds: bool = False,
    ) -> None:
        self._lease_s = lease_s
        self._total = total
        self._clock = clock
        self._workers: dict[Hashable, _Worker] = {}
        self._slots = SlotBook({label: terms.most for label, terms in providers.items()}, total=total)
        self._turns = {label: TurnBook(terms, clock=clock, backoff=backoff) for label, terms in providers.items()}
        self._outages = {label: Outages(turns, clock=clock) for label, turns in self._turns.items()}
        self._bookings = Bookings(budget, reserves) if budget is not None and reserves is not None else None
        self._quiet_until = float("-inf")
        if succeeds:
            self.hold_for(self.lease_s)
        self._look_at_limits()

    # -- what is known

    @property
    def lease_s(self) -> float:
        """How long what a worker is told now holds, in seconds."""
        in_flight = min(self._total, sum(turns.gate.most for turns in self._turns.values()))
        return max(self._lease_s, min(_LONGEST_LEASE_S, in_flight * _REPLY_S))

    @property
    def gates(self) -> dict[str, Gate]:
        """By provider, what paces all workers together. `in_flight` is as they told."""
        return {label: turns.gate for label, turns in self._turns.items()}

    def most_in_flight(self, label: str) -> int:
        """The most requests that may be in flight at a provider now, by what workers were given."""
        return self._slots.bound(label)

    # -- what is changed while it goes on

    def set_total(self, total: int) -> None:
        """Changes how many requests may be in flight over all providers."""
        self._total = total
        self._slots.set_total(total)

    def set_concurrency(self, label: str, most: int) -> None:
        """Changes how many may be in flight at one provider."""
        self._turns[label].gate.choose(most)
        self._look_at_limits()

    def hold_for(self, seconds: float) -> None:
        """Gives no slots and turns for a while."""
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)
        for turns in self._turns.values():
            turns.hold_until(self._quiet_until)

    # -- workers

    def join(self, worker: Hashable) -> None:
        """A worker begins. It has nothing before its first ask was heard.

        Raises:
            ValueError: there is, or was, one by that name.
        """
        if worker in self._workers:
            raise ValueError(f"worker {worker!r} has begun before.")
        self._workers[worker] = _Worker(self._clock() + self.lease_s, {})
        self._slots.join(worker)
        for label, turns in self._turns.items():
            turns.join(worker)
            self._outages[label].join(worker)
        if self._bookings is not None:
            self._bookings.join(worker)

    def leave(self, worker: Hashable) -> None:
        """A worker has ended, with nothing in flight, and its last ask was heard."""
        self._drop(worker)
        self.charge(worker)

    def has_leased(self, worker: Hashable) -> bool:
        """Whether a worker's lease lives."""
        found = self._workers.get(worker)
        return found is not None and self._clock() < found.lapses_at

    def lapsed(self) -> list[Hashable]:
        """The workers whose leases have lapsed since this was called last. They are gone: the slots and turns that they were given count as
        used, and what they have booked stays reserved until `charge`."""
        now = self._clock()
        gone = [name for name, worker in self._workers.items() if now >= worker.lapses_at]
        for worker in gone:
            self._drop(worker)
            if self._bookings is not None:
                self._bookings.leave(worker)
        return gone

    def settle(self, worker: Hashable, ask: Ask) -> None:
        """Takes what the requests of a worker have cost whose lease has lapsed, after the replies that came with it were recorded."""
        if self._bookings is not None:
            self._bookings.settle(worker, ask)

    def charge(self, worker: Hashable) -> None:
        """Nothing more comes of a worker whose lease has lapsed: what it has booked is charged at its bounds."""
        if self._bookings is not None:
            self._bookings.drop(worker)

    def hear(self, worker: Hashable, ask: Ask) -> bool:
        """Takes what a worker tells, after the replies that came with it were recorded. False: its lease has lapsed, and nothing of it
        counts."""
        if not self.has_leased(worker):
            return False
        known = self._workers[worker]
        if ask.number <= known.ask:
            return True  # it was heard before
        known.ask = ask.number
        for label, use in ask.uses.items():
            self._hear_of(worker, label, use, ask.heard)
        self._look_at_limits()
        if self._bookings is not None:
            self._bookings.hear(worker, ask)
        return True

    def _hear_of(self, worker: Hashable, label: str, use: Use, heard: int) -> None:
        self._slots.hear(worker, label, in_flight=use.in_flight, waiting=use.num_waiting, heard=heard)
        in_flight = self._slots.in_flight(label)
        self._outages[label].hear(worker, use, in_flight=in_flight)
        self._turns[label].hear(worker, use, heard=heard, in_flight=in_flight)

    def has_news(self, worker: Hashable) -> bool:
        """Whether there is something to tell a worker now."""
        known, now = self._workers[worker], self._clock()
        if not known.ask:
            return False
        if self._bookings is not None and (self._bookings.has_ready(worker) or self._bookings.is_short):
            return True
        for label, turns in self._turns.items():
            turns.allot()
            gate = turns.gate
            if turns.has_ready(worker) or known.told.get(label) != (
                self._slots_of(worker, label, now),
                turns.paces,
                gate.closed_for() > 0.0,
            ):
                return True
        return False

    def grant(self, worker: Hashable) -> Grant:
        """What a worker may do from now on. Its lease begins anew."""
        known, now = self._workers[worker], self._clock()
        known.grant += 1
        known.lapses_at = now + self.lease_s
        if not known.ask:
            return Grant(known.grant, 0, self.lease_s)
        leases = {label: self._lease(worker, known, label, now) for label in self._turns}
        bookings = self._bookings
        if bookings is None:
            return Grant(known.grant, known.ask, self.lease_s, leases)
        return Grant(
            known.grant,
            known.ask,
            self.lease_s,
            leases,
            booked=bookings.collect(worker, known.grant),
            recalls=bookings.is_short and bookings.last_for != worker,
            is_last=bookings.last_for == worker,
            budget=bookings.budget.states,
            was_used=bookings.budget.was_used,
        )

    def close(self) -> None:
        """Ends the run: what those have booked whose leases have lapsed is charged, and bookings that nobody has are given back."""
        if self._bookings is not None:
            self._bookings.close()

    # -- one worker at one provider

    def _lease(self, worker: Hashable, known: _Worker, label: str, now: float) -> Lease:
        turns = self._turns[label]
        turns.allot()
        slots = self._slots.give(worker, label, grant=known.grant, now=now) if now >= self._quiet_until else 0
        closed_s = max(0.0, turns.gate.closed_for(), self._quiet_until - now)
        paced = turns.paces
        known.told[label] = (slots, paced, closed_s > 0.0)
        return Lease(
            slots,
            paced,
            turns.collect(worker, known.grant),
            closed_s,
            reads_heads=turns.gate.told_rate.per_s is not None,
        )

    def _slots_of(self, worker: Hashable, label: str, now: float) -> int:
        return self._slots.slots(worker, label, now=now) if now >= self._quiet_until else 0

    def _look_at_limits(self) -> None:
        """Takes over the limits that the gates have found."""
        for label, turns in self._turns.items():
            self._slots.set_limit(label, min(turns.gate.limit, turns.gate.most))

    def _drop(self, worker: Hashable) -> None:
        del self._workers[worker]
        self._slots.drop(worker)
        for label, turns in self._turns.items():
            turns.drop(worker)
            self._outages[label].drop(worker)
