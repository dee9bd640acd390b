"""What workers and the broker tell each other about limits: an `Ask` in each report of a worker, and a `Grant` in each answer.

All of it is plain data. Times are durations: "ago" counts back from the moment at which an ask was made, "in" counts from the moment at
which a grant arrives. No clock is compared with another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from datafast.store.records import Bound
from datafast.types import RateLimits

__all__ = [
    "LEASE_S",
    "Answered",
    "Ask",
    "Booked",
    "Grant",
    "Lease",
    "Pause",
    "ProviderTerms",
    "Refused",
    "Settled",
    "Told",
    "Turn",
    "Use",
    "Want",
]

LEASE_S = 5.0
"""Seconds for which a grant holds, at least."""


class ProviderTerms(NamedTuple):
    """The limits of one provider for all workers together.

    Attributes:
        most: requests in flight.
        rpm, tpm: requests and tokens per minute, None for no limit.
        auto: find out how many requests in flight the server can use, at most `most`.
        earlier: (seconds ago, tokens) of the newest requests of earlier runs, oldest first.
        in_flight: requests of an earlier run that may have been sent although no reply is recorded. They count as sent now.
    """

    most: int
    rpm: float | None = None
    tpm: float | None = None
    auto: bool = False
    earlier: tuple[tuple[float, int], ...] = ()
    in_flight: int = 0


# -- what a worker tells


class Answered(NamedTuple):
    """A reply that came: how long ago its request was sent, and how many tokens it has."""

    ago_s: float
    tokens: int


class Refused(NamedTuple):
    """A request that came too early (HTTP 429): its number, and how long ago it was sent."""

    number: int
    ago_s: float
    retry_after_s: float | None
    limits: RateLimits | None


class Told(NamedTuple):
    """What a server told of its limits with a reply to a request that used so many tokens."""

    limits: RateLimits
    tokens: int


class Pause(NamedTuple):
    """A worker got faults in place of answers and sends nothing for so many seconds."""

    for_s: float


@dataclass(frozen=True, slots=True)
class Use:
    """What a worker did at one provider since its last ask, and what it needs there.

    Attributes:
        in_flight: requests that hold a slot.
        waiting: the tokens of requests that wait for a turn, those that wait longest first; at most those that could be sent soon.
        num_waiting: requests that wait for a slot or a turn.
        unused: numbers of turns that nothing was sent in.
        sent: requests that were sent without a turn, where none was needed.
        answered, refused, told: what came back.
        tokens: by how many tokens replies differ from what was booked for them.
        pause: that it has begun to send nothing, because of faults.
    """

    in_flight: int = 0
    waiting: tuple[int, ...] = ()
    num_waiting: int = 0
    unused: tuple[int, ...] = ()
    sent: int = 0
    answered: tuple[Answered, ...] = ()
    refused: tuple[Refused, ...] = ()
    told: tuple[Told, ...] = ()
    tokens: int = 0
    pause: Pause | None = None


class Want(NamedTuple):
    """Requests to be booked under a budget: how many, and the most that each can use. `waits`: one of them can go as soon as it is."""

    provider: str
    bound: Bound
    num: int
    waits: bool


class Settled(NamedTuple):
    """A booked request that has ended.

    Attributes:
        number: that of its booking.
        tokens, cost_usd: what its reply used; None if none came, or it does not state them.
        charged: whether a request without usage counts at its bound.
    """

    number: int
    tokens: int | None
    cost_usd: float | None
    charged: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker tells the broker.

    Attributes:
        number: of this ask, from 1 on.
        heard: the number of the newest grant that has arrived.
        uses: by the names of providers.
        settled: bookings whose requests have ended.
        unused: numbers of bookings that are given back.
        wants: what is to be booked.
    """

    number: int
    heard: int
    uses: dict[str, Use] = field(default_factory=dict)
    settled: tuple[Settled, ...] = ()
    unused: tuple[int, ...] = ()
    wants: tuple[Want, ...] = ()


# -- what a worker is given


class Turn(NamedTuple):
    """One request may be sent. So many tokens are booked for it.

    Attributes:
        number: of the request among all of its provider.
        in_s: from when on, counted from the arrival of the grant.
        until_s: until when, counted from the making of the ask that the grant answers.
    """

    number: int
    in_s: float
    until_s: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker may do at one provider.

    Attributes:
        slots: the most requests in flight.
        paced: whether a request needs a turn.
        turns: further ones.
        closed_s: nothing is sent for so long, after rate limiting or faults.
        reads_heads: whether to tell what each reply says of limits; otherwise one of many is enough.
    """

    slots: int = 0
    paced: bool = True
    turns: tuple[Turn, ...] = ()
    closed_s: float = 0.0
    reads_heads: bool = False


class Booked(NamedTuple):
    """A booking: one request that may use so much is reserved in the budget, and recorded."""

    number: int
    provider: str
    bound: Bound


@dataclass(frozen=True, slots=True)
class Grant:
    """What the broker gives a worker.

    Attributes:
        number: of this grant, from 1 on.
        answers: the number of the newest ask that had arrived. What ends, counts from when that ask was made.
        lease_s: how long all of this holds.
        leases: by the names of providers.
        booked: further bookings.
        recalls: whether bookings that are not used are to be given back, because others need the room.
        is_last: nothing is reserved elsewhere, so there will be no more room than what is given.
        budget: (used, limit) of each limit of the budget, what is reserved included.
        was_used: whether anything was sent under the budget.
    """

    number: int
    answers: int
    lease_s: float = LEASE_S
    leases: dict[str, Lease] = field(default_factory=dict)
    booked: tuple[Booked, ...] = ()
    recalls: bool = False
    is_last: bool = False
    budget: dict[str, tuple[float, float]] = field(default_factory=dict)
    was_used: bool = False
