"""The leases of one worker: what it may send, and until when.

    leases = Leases(providers, settings, ...)      # gates and cashier for the worker's `Sender`
    leases.take(grant)                             # first thing when a message has come
    ask = leases.ask()                             # last thing before one goes back

Guarantee: without a further grant nothing is sent after `sends_until`. No delay of a message and no difference between clocks makes
that later than the lapse of the lease at the broker. What is in flight at `lasts_until` has to be cancelled by whoever runs the worker:
its slots are given to others after that.

Proof. The broker makes a grant after it has heard ask n, and lets the lease lapse `lease_s` after that. The worker counts `lease_s`,
less `_DRIFT` for clocks that run at other speeds, from the moment at which it made ask n, which is before. A grant that comes late, or
out of order, thus only gives less time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from datafast.engine.calls.admission import Admission, Backoff
from datafast.engine.remote.leased_gate import LeasedGate
from datafast.engine.remote.terms import Ask, Grant, ProviderTerms, Want

if TYPE_CHECKING:
    from datafast.engine.remote.wallet import LeasedCashier

__all__ = ["Leases"]

_DRIFT = 0.99  # of a lease is used
_LANDING_S = 0.25  # less is sent than would be allowed, so that a request that was just sent is not cancelled at once


class Leases:
    """What one worker may do.

    Args:
        providers: their limits over all workers, by name.
        on_news: called when there is something that the broker should know soon.
        clock: gives monotonic seconds.

    Attributes:
        gates: of the providers, by name.
        cashier: what keeps the budget; to be set where there is one.
        admission: what the gates belong to; to be set. It is woken when there is more to send.
        sends_until, lasts_until: see above, in seconds of the clock.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderTerms],
        *,
        backoff: Backoff = Backoff(),  # noqa: B008 - it cannot be changed
        on_news: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.cashier: LeasedCashier | None = None
        self.admission: Admission | None = None
        self.sends_until = self.lasts_until = clock()
        self.gates = {
            label: LeasedGate(
                terms.most,
                tells_tokens=bool(terms.tpm),
                auto=terms.auto,
                backoff=backoff,
                on_news=on_news,
                clock=clock,
            )
            for label, terms in providers.items()
        }
        self._asks = 0
        self._heard = 0
        self._asked_at: dict[int, float] = {}

    @property
    def lasts_for_s(self) -> float:
        """Seconds after which nothing may be in flight any more."""
        return self.lasts_until - self._clock()

    def take(self, grant: Grant) -> None:
        """Takes what the broker gives."""
        asked_at = self._asked_at.get(grant.answers)
        if asked_at is None or grant.number <= self._heard:
            return  # it answers nothing that was asked, or is older than what is known
        self._heard = grant.number
        for number in [number for number in self._asked_at if number < grant.answers]:
            del self._asked_at[number]
        self.lasts_until = asked_at + _DRIFT * grant.lease_s
        self.sends_until = self.lasts_until - min(_LANDING_S, 0.1 * grant.lease_s)
        for label, lease in grant.leases.items():
            self.gates[label].lease(lease, asked_at=asked_at, sends_until=self.sends_until)
        if self.cashier is not None:
            self.cashier.take(grant)
        if self.admission is not None:
            self.admission.wake()

    def give_back_bookings(self) -> None:
        """Nothing more is to be sent: what is booked and not used goes back with the next ask."""
        if self.cashier is not None and self.cashier.wallet is not None:
            self.cashier.wallet.give_all_back()

    def ask(self) -> Ask:
        """What the broker is to know."""
        self._asks += 1
        self._asked_at[self._asks] = self._clock()
        uses = {label: gate.tell() for label, gate in self.gates.items()}
        if self.cashier is None or self.cashier.wallet is None:
            return Ask(self._asks, self._heard, uses)
        settled, unused = self.cashier.wallet.tell()
        return Ask(self._asks, self._heard, uses, settled, unused, self._wants(self.cashier))

    def _wants(self, cashier: LeasedCashier) -> tuple[Want, ...]:
        return cashier.wants({label: (gate.landing_per_s, gate.setting) for label, gate in self.gates.items()})
