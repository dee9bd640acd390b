"""What the ledger holds, as values: items, calls, appends, failures, charges."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from datafast.types import Usage

__all__ = [
    "DEFAULT_FORMAT",
    "Append",
    "Bound",
    "CallRow",
    "Charge",
    "Counts",
    "FailureRow",
    "FilteredRow",
    "ItemRecord",
    "ItemState",
    "Recorded",
    "Spent",
    "Totals",
    "by_category",
    "by_provider",
    "by_stage",
]


DEFAULT_FORMAT = "chat_completions"
"""The wire format of a reply that does not say which one it has."""
_MAX_COUNT = 2**62


class ItemState(IntEnum):
    """Where an item stands. FAILED items may have written some of their rows. STALE items are not in the plan any more."""

    OPEN = 0
    DONE = 1
    FAILED = 2
    STALE = 3


@dataclass(slots=True)
class ItemRecord:
    """An item as the ledger knows it.

    Bit n of `slots` says that its row number n is in the JSONL, of `filtered` that a stage has dropped it, of `kept` that none has and
    that it was lost from the JSONL since.
    """

    id: int
    key: bytes
    content: bytes
    position: int
    state: ItemState
    generation: int
    num_rows: int
    slots: int = 0
    filtered: int = 0
    kept: int = 0

    @property
    def decided(self) -> int:
        """The rows that stages need not look at any more."""
        return self.slots | self.filtered | self.kept

    @property
    def rows_written(self) -> int:
        return self.slots.bit_count()


@dataclass(slots=True)
class CallRow:
    """A paid reply in its wire format. Token counts are None where the provider gave none, the cost where its price is not known."""

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
    format: str = DEFAULT_FORMAT

    def settle(self, usage: Usage | None, cost_usd: float | None) -> None:
        """Adds what its reply says it used."""
        if usage is not None:
            # What SQLite cannot hold must not keep a reply from being saved.
            self.input_tokens = min(usage.input_tokens, _MAX_COUNT)
            self.output_tokens = min(usage.output_tokens, _MAX_COUNT)
            self.cached_tokens = min(usage.cached_tokens, _MAX_COUNT)
        self.cost_usd = cost_usd


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
    format: str = DEFAULT_FORMAT


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
class FilteredRow:
    """A row that a stage has dropped: `row` is the line that would have been written, without its newline."""

    item: int
    number: int
    stage: str
    reason: str
    row: bytes
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


def by_stage(filtered: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Filtered rows by stage, then by reason, most first."""
    return _nested(filtered)


def by_provider(failed: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Failed rows by provider, then by category, most first."""
    return _nested(failed)


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), rows in counts.most_common():
        nested.setdefault(outer, {})[inner] = rows
    return nested


@dataclass(slots=True)
class Counts:
    """What has become of every row of the plan: `requested = written + filtered + failed + pending`."""

    requested: int
    written: int
    filtered: int
    failed: int

    @property
    def pending(self) -> int:
        return max(0, self.requested - self.written - self.filtered - self.failed)


class Bound(NamedTuple):
    """The most that one request can cost."""

    usd: float
    tokens: int


class Spent(NamedTuple):
    """What was used up before this run."""

    usd: float
    calls: int
    tokens: int
