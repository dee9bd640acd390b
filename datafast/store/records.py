"""What the ledger holds, as values: items, calls, appends, failures, charges."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "Append",
    "Bound",
    "CallRow",
    "Charge",
    "Counts",
    "FailureRow",
    "ItemRecord",
    "ItemState",
    "Recorded",
    "Spent",
    "Totals",
    "by_category",
    "by_provider",
]


class ItemState(IntEnum):
    """Where an item stands. FAILED items may have written some of their rows. STALE items are not in the plan any more."""

    OPEN = 0
    DONE = 1
    FAILED = 2
    STALE = 3


@dataclass(slots=True)
class ItemRecord:
    """An item as the ledger knows it. Bit n of `slots` says that its row number n is in the JSONL."""

    id: int
    key: bytes
    content: bytes
    position: int
    state: ItemState
    generation: int
    num_rows: int
    slots: int = 0

    @property
    def rows_written(self) -> int:
        return self.slots.bit_count()


@dataclass(slots=True)
class CallRow:
    """A paid reply. Token counts are None where the provider gave none, the cost where its price is not known."""

    id: int
    item: int
    key: bytes
    generation: int
    role: str
    provider: str
    model_id: str
    sent_at: float
    latency_s: float
    attempts: int
    raw: bytes
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(slots=True)
class Append:
    """One append to the JSONL: `size` bytes from `start`, holding the rows `slots` (a bit mask) of one item."""

    id: int
    item: int
    start: int
    size: int
    crc: int
    slots: int

    @property
    def num_rows(self) -> int:
        return self.slots.bit_count()

    @property
    def end(self) -> int:
        return self.start + self.size


class Recorded(NamedTuple):
    """A reply that is paid for, and who gave it in which generation of its item."""

    generation: int
    raw: bytes
    provider: str
    model_id: str


class Charge(NamedTuple):
    """A request that was sent, at the most that it can have cost. `id` is its number among all requests of this output."""

    id: int
    provider: str
    usd: float
    tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Why rows of an item are missing for good."""

    item: int
    category: str
    error: str
    provider: str
    role: str
    attempts: int
    rows: int
    prompt: str
    raw: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Totals:
    """All calls ever made for this output. `cost_usd` is None when some call's price is not known."""

    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


def by_category(failed: Counter[tuple[str, str]]) -> dict[str, int]:
    """Failed rows by category, most first, from counts by provider and category."""
    counts: Counter[str] = Counter()
    for (_, category), rows in failed.items():
        counts[category] += rows
    return dict(counts.most_common())


def by_provider(failed: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Failed rows by provider, then by category, most first."""
    counts: dict[str, dict[str, int]] = {}
    for (provider, category), rows in failed.most_common():
        counts.setdefault(provider, {})[category] = rows
    return counts


@dataclass(slots=True)
class Counts:
    """Rows of the items that are in the plan."""

    requested: int
    written: int
    failed: int
    filtered: int = 0

    @property
    def pending(self) -> int:
        return self.requested - self.written - self.failed - self.filtered


class Bound(NamedTuple):
    """The most that one request can cost."""

    usd: float
    tokens: int


class Spent(NamedTuple):
    """What was used up before this run."""

    usd: float
    calls: int
    tokens: int
