"""The budget of a run whose requests others send: each request is booked at the most that it can use before a worker may send it.

Bookings are given ahead, some at a time, so that no request waits for a message. Each is recorded (`Reserves.reserve`) before it is
given, so what is settled and what is booked never pass the budget, also if this process dies: the next start charges open bookings at
their bounds. So does the lapse of a worker, but for what it tells yet. Bookings that come back unused are given to others; all come back
where one needs the room. Those who wait for room take turns, one booking each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

from datafast.engine.calls.budget import Budget
from datafast.engine.remote.terms import Ask, Booked, Settled, Want
from datafast.store.records import Bound
from datafast.types import Usage

__all__ = ["Bookings", "Reserves"]

_MUCH_MORE = 2.0  # a booking that came back is not given for a request that needs less than half of it


class Reserves(Protocol):
    """Where bookings are recorded; the store is one."""

    def reserve(self, provider: str, bound: Bound) -> int:
        """Records that a request is about to be sent, with the most that it can cost. Returns its number."""
        ...

    def release(self, number: int, *, charged: bool) -> None:
        """Records that it has ended. `charged`: it may have been charged without a reply."""
        ...

    def cancel(self, number: int) -> None:
        """Records that it was never sent."""
        ...


@dataclass(slots=True)
class _Client:
    """What one worker has of the budget.

    Attributes:
        open: its bookings, by number.
        ready: those that the next grant takes to it.
        on_way: (number of the grant, those of the bookings in it) of grants that it has not confirmed.
        waiting: what its requests wait for; `ahead`: what later ones will need. Both without what was given since it told.
    """

    open: dict[int, Booked] = field(default_factory=dict)
    ready: list[Booked] = field(default_factory=list)
    on_way: deque[tuple[int, tuple[int, ...]]] = field(default_factory=deque)
    waiting: deque[Want] = field(default_factory=deque)
    ahead: list[Want] = field(default_factory=list)


class Bookings:
    """The bookings of all workers.

    Attributes:
        budget: what is settled and reserved in all.
        is_short: whether a request waits for room that there is not.
        last_for: the worker that has all that is left, where nothing is reserved elsewhere.
    """

    def __init__(self, budget: Budget, reserves: Reserves) -> None:
        self.budget = budget
        self.is_short = False
        self.last_for: Hashable | None = None
        self._reserves = reserves
        self._reserved_before = budget.num_reserved
        self._clients: dict[Hashable, _Client] = {}
        self._waiting: dict[Hashable, None] = {}  # in the order in which they are served
        self._spare: deque[Booked] = deque()

    def join(self, worker: Hashable) -> None:
        self._clients[worker] = _Client()

    def leave(self, worker: Hashable) -> None:
        """A worker is given nothing more. Its bookings stay until `drop`; those that were not even given to it are free. Nothing is
        recorded, so nothing fails; who waits is served when one is heard next."""
        client = self._clients[worker]
        self._waiting.pop(worker, None)
        client.waiting.clear()
        client.ahead = []
        self._spare.extend(client.ready)
        client.ready = []
        if self.last_for == worker:
            self.last_for = None

    def drop(self, worker: Hashable) -> None:
        """A worker is gone: its requests may have been sent, so its bookings are charged at their bounds."""
        if worker not in self._clients:
            return
        self.leave(worker)
        for booked in self._clients.pop(worker).open.values():
            self._end(Settled(booked.number, None, None, charged=True), booked)
        self._serve()

    def close(self) -> None:
        """Ends the run: those who are not back are gone, and what nobody needs any more is given back."""
        for worker in list(self._clients):
            self.drop(worker)
        while self._spare:
            self._give_back(self._spare.popleft())

    def hear(self, worker: Hashable, ask: Ask) -> None:
        """Takes what a worker tells, after its replies were recorded."""
        client = self._clients[worker]
        self._take_back(client, ask)
        if self.last_for == worker and not client.open and not client.ready:
            self.last_for = None
        known = len(client.ready) + sum(len(numbers) for _, numbers in client.on_way)
        client.waiting = _without([want for want in ask.wants if want.waits], known)
        client.ahead = [want for want in ask.wants if not want.waits] if not client.waiting and not known else []
        if not client.waiting:
            self._waiting.pop(worker, None)
        elif worker not in self._waiting:
            self._waiting[worker] = None
        self._serve()

    def settle(self, worker: Hashable, ask: Ask) -> None:
        """Takes what became of the bookings of a worker that has left. It is as true late as in time. What it has not heard of by now it
        refuses, so those bookings are free."""
        if worker in self._clients:
            client = self._clients[worker]
            self._take_back(client, ask)
            never_heard = [number for _, numbers in client.on_way for number in numbers]
            self._spare.extend(client.open.pop(number) for number in never_heard if number in client.open)
            client.on_way.clear()
            self._serve()

    def _take_back(self, client: _Client, ask: Ask) -> None:
        while client.on_way and client.on_way[0][0] <= ask.heard:
            client.on_way.popleft()
        for settled in ask.settled:
            booked = client.open.pop(settled.number, None)
            if booked is not None:
                self._end(settled, booked)
        for number in ask.unused:
            booked = client.open.pop(number, None)
            if booked is not None:
                self._spare.append(booked)

    def has_ready(self, worker: Hashable) -> bool:
        """Whether bookings are ready for a worker."""
        return bool(self._clients[worker].ready)

    def collect(self, worker: Hashable, grant: int) -> tuple[Booked, ...]:
        """The bookings that a grant takes to a worker."""
        client = self._clients[worker]
        if not self.is_short:
            self._book_ahead(client)
        ready, client.ready = tuple(client.ready), []
        if ready:
            client.open.update((booked.number, booked) for booked in ready)
            client.on_way.append((grant, tuple(booked.number for booked in ready)))
        return ready

    # -- those who wait

    def _serve(self) -> None:
        """Books for those who wait, one after the other, as far as there is room."""
        self.is_short = False
        while self._waiting:
            worker = next(iter(self._waiting))
            client = self._clients[worker]
            want = client.waiting[0]
            booked = self._booked(want)
            if booked is None:
                self.is_short = True
                if self.budget.num_reserved <= self._reserved_before:
                    self._give_the_rest(worker, client, want)
                return
            client.ready.append(booked)
            client.waiting.popleft()
            del self._waiting[worker]
            if client.waiting:
                self._waiting[worker] = None

    def _give_the_rest(self, worker: Hashable, client: _Client, want: Want) -> None:
        """Books all that is left for a worker whose request needs more: it may send a shorter one, or end the run."""
        self.last_for = worker
        states = self.budget.states
        usd, tokens = (
            _left(states.get("budget_usd"), want.bound.usd),
            _left(states.get("max_tokens"), want.bound.tokens),
        )
        rest = Bound(usd, int(tokens))
        if min(rest) >= 0 and self.budget.passed_by(rest) is None:
            client.ready.append(self._book(want.provider, rest))

    def _book_ahead(self, client: _Client) -> None:
        """Books for later requests of a worker, as long as there is plenty of room."""
        for want in client.ahead:
            for _ in range(want.num):
                if self._is_scarce(want) or (booked := self._booked(want)) is None:
                    break
                client.ready.append(booked)
        client.ahead = []

    def _is_scarce(self, want: Want) -> bool:
        """Whether so little is left that each worker could have only few bookings more."""
        for name, (used, limit) in self.budget.states.items():
            one = {"budget_usd": want.bound.usd, "max_tokens": want.bound.tokens}.get(name, 1)
            if limit - used < 4 * len(self._clients) * one:
                return True
        return False

    # -- one booking

    def _booked(self, want: Want) -> Booked | None:
        """A booking that covers what is wanted; None if there is no room."""
        for _ in range(len(self._spare)):
            booked = self._spare.popleft()
            if booked.provider == want.provider and _covers(booked.bound, want.bound):
                return booked
            self._spare.append(booked)
        while self.budget.passed_by(want.bound) is not None:
            if not self._spare:
                return None
            self._give_back(self._spare.popleft())
        return self._book(want.provider, want.bound)

    def _book(self, provider: str, bound: Bound) -> Booked:
        number = self._reserves.reserve(provider, bound)
        self.budget.reserve(bound)
        return Booked(number, provider, bound)

    def _end(self, settled: Settled, booked: Booked) -> None:
        usage = None if settled.tokens is None else Usage(settled.tokens, 0)
        charged = settled.charged and usage is None
        self.budget.settle(booked.bound, usage, settled.cost_usd, charged=charged)
        self._reserves.release(booked.number, charged=charged)

    def _give_back(self, booked: Booked) -> None:
        self.budget.give_back(booked.bound)
        self._reserves.cancel(booked.number)


def _without(wants: list[Want], known: int) -> deque[Want]:
    """Each single request that is wanted, without the first so many."""
    single = deque(want._replace(num=1) for want in wants for _ in range(want.num))
    for _ in range(min(known, len(single))):
        single.popleft()
    return single


def _covers(has: Bound, needs: Bound) -> bool:
    enough = has.usd >= needs.usd and has.tokens >= needs.tokens
    return enough and has.usd <= _MUCH_MORE * needs.usd and has.tokens <= _MUCH_MORE * needs.tokens


def _left(state: tuple[float, float] | None, wanted: float) -> float:
    """What is left of a limit, at most what is wanted; what is wanted where there is no limit."""
    return wanted if state is None else min(wanted, state[1] - state[0])
