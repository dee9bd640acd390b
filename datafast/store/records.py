"""The records of the ledger: items, calls, appends, failures, charges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from datafast.types import Usage

__all__ = [
    "DEFAULT_FORMAT",
    "OWN_CODE",
    "Append",
    "Bound",
    "CallRow",
    "Charge",
    "Counts",
    "FailureRow",
    "FilteredLine",
    "FilteredRow",
    "ItemRecord",
    "ItemState",
    "ItemsMark",
    "Place",
    "PlacedRow",
    "Recorded",
    "Remade",
    "Sizes",
    "Spent",
    "Totals",
    "by_category",
    "by_provider",
    "by_stage",
]


DEFAULT_FORMAT = "chat_completions"
"""The wire format of a reply that has none recorded."""
OWN_CODE = "own_code"
"""The format of what code of the user's gave back. It is recorded among the replies; no request was sent for it, so its attempts are 0."""
_MAX_COUNT = 2**62


class ItemState(IntEnum):
    """The state of an item. FAILED items may have some of their rows in the file. STALE items have left the plan."""

    OPEN = 0
    DONE = 1
    FAILED = 2
    STALE = 3


class Remade(NamedTuple):
    """A row that is to be made again: how often it was made, and why and by which stage it was dropped last; where reviewers have dropped
    it, also its line."""

    times: int
    reason: str
    stage: str
    line: bytes = b""


@dataclass(slots=True)
class ItemRecord:
    """An item in the ledger.

    Bit n of `slots` says that row n is in the JSONL; of `filtered`, that a stage has dropped it; of `kept`, that it was made and has to be
    built again, for instance because it was lost from the JSONL. `dropped` has rows that stages have dropped and that are to be made again,
    by number; None for none. `failure` says why others of its rows had failed when
    some were lost: these are built again, and nothing is bought. `reopened`: this run has had it open before, and closed it while it
    waited for a batch. `unasked`: rows that were decided about, and about which stages ask models that they have not asked yet,
    by generation; None for none.
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
    failure: FailureRow | None = None
    reopened: bool = False
    dropped: Mapping[int, Remade] | None = None
    unasked: Mapping[int, int] | None = None

    @property
    def is_for_asking(self) -> bool:
        """Whether the item is open only for what stages ask about its rows."""
        return self.unasked is not None and self.state is not ItemState.OPEN

    def unasked_of(self, generation: int) -> int:
        """The unasked rows of a generation."""
        return 0 if self.unasked is None else self.unasked.get(generation, 0)

    @property
    def decided(self) -> int:
        """The rows that stages have already decided about."""
        return self.slots | self.filtered

    @property
    def begun(self) -> int:
        """Likewise, and those that they have dropped and that are to be made again."""
        decided = self.slots | self.filtered
        return decided | sum(1 << number for number in self.dropped) if self.dropped else decided

    def lacks_none_of(self, num_rows: int) -> bool:
        """Whether each of so many rows was made."""
        every = (1 << num_rows) - 1
        return self.begun & every == every

    @property
    def rows_written(self) -> int:
        return self.slots.bit_count()


class ItemsMark(NamedTuple):
    """What a ledger says of its items: the last run that began on it (None with earlier versions), how many there are, the newest id.

    Items are only added, by runs, and never get another key. So the same mark means the same items.
    """

    opening: str | None
    number: int
    newest: int


@dataclass(slots=True)
class CallRow:
    """A paid reply in its wire format. Token counts are None if the provider gave none, the cost if the price is not known. Where it was
    dropped once it was not needed any more, `raw` is empty."""

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
    format: str = DEFAULT_FORMAT
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    is_dropped: bool = False

    def settle(self, usage: Usage | None, cost_usd: float | None) -> None:
        """Adds the usage that its reply states."""
        if usage is not None:
            # Numbers that SQLite cannot hold must not prevent a reply from being saved.
            self.input_tokens = min(usage.input_tokens, _MAX_COUNT)
            self.output_tokens = min(usage.output_tokens, _MAX_COUNT)
            self.cached_tokens = min(usage.cached_tokens, _MAX_COUNT)
        self.cost_usd = cost_usd


@dataclass(slots=True)
class Append:
    """One append to the JSONL: `size` bytes from `start`, with the rows `slots` (a bit mask) of one item."""

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
    """A recorded reply, with its provider, its model and the generation of its item."""

    generation: int
    raw: bytes
    provider: str
    model_id: str
    format: str = DEFAULT_FORMAT


class Charge(NamedTuple):
    """The most that a request can have cost. `id` is its number among all requests of this output."""

    id: int
    provider: str
    usd: float
    tokens: int
    at: float


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Why rows of an item have failed for good."""

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
    """A row that a stage has dropped. `row` is the line that would have been written, without its newline. `place` is the id of the append
    of its item that would have had it. `generation`: how often it was made before. `hidden`: it does not count, because another generation
    of it does, is in the file, or is still to come."""

    item: int
    number: int
    stage: str
    reason: str
    row: bytes
    at: float
    place: int | None = None
    score: float | None = None
    generation: int = 0
    hidden: bool = False


class Place(NamedTuple):
    """Where an item is in the plan, its key, and how many rows it is asked for; 0 where it is not in the plan."""

    position: int
    key: bytes
    num_rows: int


class PlacedRow(NamedTuple):
    """A dropped row with its place; `id` is its own among dropped rows."""

    id: int
    place: int
    number: int
    stage: str
    reason: str
    score: float | None
    row: bytes
    generation: int = 0


class FilteredLine(NamedTuple):
    """A dropped row with the position of its item in the plan."""

    id: int
    item: int
    position: int
    key: bytes
    number: int
    stage: str
    reason: str
    score: float | None
    row: bytes
    at: float
    generation: int = 0
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """All calls made for this output. `cost_usd` is None if the price of a call is not known."""

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
    """What happened to the rows of the plan: `requested = written + filtered + failed + pending`.

    `removed` rows are in the file too, but their items are not in the plan any more.
    """

    requested: int
    written: int
    filtered: int
    failed: int
    removed: int = 0

    @property
    def pending(self) -> int:
        return max(0, self.requested - self.written - self.filtered - self.failed)


class Bound(NamedTuple):
    """The most that one request can cost."""

    usd: float
    tokens: int

    def at(self, part: float) -> Bound:
        """The same at this part of the price."""
        return self._replace(usd=self.usd * part)


class Sizes(NamedTuple):
    """The sizes of replies: how many, and the tokens of the largest and of all."""

    replies: int
    largest: int
    total: int


class Spent(NamedTuple):
    """What was used before this run.

    Attributes:
        unknown: replies that state no usage and are charged nothing, as none was reserved for them.
        open_calls: calls in open batches. They are charged at the most that they can cost.
    """

    usd: float
    calls: int
    tokens: int
    unknown: int = 0
    open_calls: int = 0

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        usd, calls, tokens = self.usd + other.usd, self.calls + other.calls, self.tokens + other.tokens
        return Spent(usd, calls, tokens, self.unknown + other.unknown, self.open_calls + other.open_calls)
