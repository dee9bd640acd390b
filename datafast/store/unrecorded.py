"""What a killed run left in its journal alone: replies that the ledger does not have, and requests that had not ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from datafast.store.journal import read_journal
from datafast.store.journal_records import call_of, item_of
from datafast.store.records import OWN_CODE, CallRow, Charge, ItemRecord
from datafast.types import Usage

__all__ = ["Pricing", "Unrecorded", "read_unrecorded"]

Pricing = Callable[[str, bytes, str], tuple[Usage | None, float | None]]
"""(provider label, raw reply, its wire format) -> its usage and cost; None if the reply states none, or the price is not known."""
_FREE = Usage(0, 0), 0.0


@dataclass
class Unrecorded:
    """What a journal has.

    Attributes:
        calls: replies that are newer than the ledger, with their items as these were.
        charges: requests under a budget that had not ended. They may have been charged.
        requests: the number of the newest request under a budget.
        never_sent: whether a request was booked and not sent, by its number, of those that the journal has.
        damaged: the number of places that are damaged.
    """

    calls: list[tuple[ItemRecord, CallRow]] = field(default_factory=list)
    charges: dict[int, Charge] = field(default_factory=dict)
    requests: int = 0
    never_sent: dict[int, bool] = field(default_factory=dict)
    damaged: int = 0

    def met_damage(self) -> None:
        self.damaged += 1


def read_unrecorded(journal: Path, *, newest: int, pricing: Pricing) -> Unrecorded:
    """Reads a journal. `newest` is the id of the newest call in the ledger."""
    found = Unrecorded()
    for header, raw in read_journal(journal, found.met_damage):
        try:
            if "reserve" in header:
                charge = Charge(**header["reserve"])
                found.requests = max(found.requests, charge.id)
                found.charges[charge.id] = charge
                found.never_sent[charge.id] = False
            elif "release" in header:
                found.charges.pop(header["release"], None)
                found.never_sent[header["release"]] = not header.get("sent", True)
            elif header["id"] > newest:
                item, call = item_of(header), call_of(header, raw)
                is_free = call.format == OWN_CODE
                call.settle(*(_FREE if is_free else pricing(call.provider, call.raw, call.format)))
                found.calls.append((item, call))
        except (AttributeError, LookupError, TypeError, ValueError):  # bits of a header are not as they were written
            found.met_damage()
    return found
