"""Requests in flight under a budget, each at the most that it can cost.

Guarantee: if the process dies, the next start charges requests that had not ended at their bound.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable

import orjson

from datafast.store.calls import NEVER_SENT
from datafast.store.journal import Journal
from datafast.store.ledger import Ledger
from datafast.store.records import Bound, Charge

__all__ = ["Reservations", "never_sent", "note_never_sent"]


def never_sent(ledger: Ledger) -> list[int]:
    """The numbers of requests that were booked and not sent, in order."""
    return list(orjson.loads(ledger.meta(NEVER_SENT) or "[]"))


def note_never_sent(ledger: Ledger, numbers: Iterable[int]) -> None:
    """Notes these and no others, inside a transaction."""
    wanted = sorted(numbers)
    if wanted != never_sent(ledger):
        ledger.set_meta(NEVER_SENT, orjson.dumps(wanted).decode())


class Reservations:
    """The requests of one run, numbered over all runs of its output."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        self._ledger = ledger
        self._journal = journal
        self._requests = int(ledger.meta("requests") or 0)
        self._never_sent_before = frozenset(never_sent(ledger))
        self._reserved: dict[int, Charge] = {}
        self._free: list[int] = []  # a heap of numbers of requests that were never sent

    def reserve(self, provider: str, bound: Bound) -> int:
        """Records that a request is about to be sent, with the most that it can cost. Returns its number."""
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number = self._requests = self._requests + 1
        charge = Charge(number, provider, bound.usd, bound.tokens, time.time())
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

    def cancel(self, number: int) -> None:
        """Records that a request was never sent. The next one has its number."""
        del self._reserved[number]
        self._journal.record({"release": number, "sent": False}, b"")
        heapq.heappush(self._free, number)

    def note(self) -> None:
        """Records the number of requests in the ledger."""
        if self._requests:
            with self._ledger.transaction():
                self._ledger.set_meta("requests", self._requests)
                note_never_sent(self._ledger, {*self._never_sent_before, *self._free})

    def record_again(self) -> None:
        """Writes the requests in flight into a journal that was emptied."""
        for charge in self._reserved.values():
            self._journal.record({"reserve": charge._asdict()}, b"")
