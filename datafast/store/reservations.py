"""Requests in flight under a budget, each at the most that it can cost.

Guarantee: if the process dies, the next start charges requests that had not ended at their bound.
"""

from __future__ import annotations

import time

from datafast.store.journal import Journal
from datafast.store.ledger import Ledger
from datafast.store.records import Bound, Charge

__all__ = ["Reservations"]


class Reservations:
    """The requests of one run, numbered over all runs of its output."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        self._ledger = ledger
        self._journal = journal
        self._requests = int(ledger.meta("requests") or 0)
        self._reserved: dict[int, Charge] = {}

    def reserve(self, provider: str, bound: Bound) -> int:
        """Records that a request is about to be sent, with the most that it can cost. Returns its number."""
        self._requests += 1
        charge = Charge(self._requests, provider, bound.usd, bound.tokens, time.time())
        self._reserved[charge.id] = charge
        self._journal.record({"reserve": charge._asdict()}, b"")
        return charge.id

    def take(self, count: int) -> int:
        """Numbers for so many requests of a batch, which is recorded in another way. Returns the first; the newest is `requests`."""
        first = self._requests + 1
        self._requests += count
        return first

    def release(self, number: int, *, charged: bool) -> Charge:
        """Records that a request has ended. Where it stays charged at its bound, it stays reserved until the ledger has it."""
        charge = self._reserved.pop(number)
        if not charged:
            self._journal.record({"release": number}, b"")
        return charge

    def note(self) -> None:
        """Records the number of requests in the ledger."""
        if self._requests:
            with self._ledger.transaction():
                self._ledger.set_meta("requests", self._requests)

    def record_again(self) -> None:
        """Writes the requests in flight into a journal that was emptied."""
        for charge in self._reserved.values():
            self._journal.record({"reserve": charge._asdict()}, b"")
