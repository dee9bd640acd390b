"""The events of a run: small typed values, passed to `on_event` in the order in which they happen.

Callbacks run on the run's own thread and should return quickly. If one raises, the run stops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from datafast.types import RunReport

__all__ = [
    "AlarmRaised",
    "BatchDelayed",
    "BatchEnded",
    "BatchProgress",
    "BatchSubmitted",
    "BudgetReached",
    "CallFinished",
    "ConcurrencyChanged",
    "Event",
    "EventCallback",
    "ItemDone",
    "ItemFailed",
    "LimitChanged",
    "PreparationStarted",
    "ProviderPaused",
    "ProviderResumed",
    "ProviderStopped",
    "QualityFigures",
    "Retry",
    "RoundStarted",
    "RowsDecided",
    "RowsSettled",
    "RunEnded",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "event_to_dict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run begins. Rows that are already in the file count as `written`, rows that stages have dropped as `filtered`.
    `target` are the rows that are to be accepted, with `target_rows`. `compares`: rows are compared with each other before the run ends,
    and some of those that it writes may then leave the file."""

    type: ClassVar[str] = "run_started"
    requested: int
    written: int
    filtered: int
    failed: int
    output_file: str
    providers: list[str]
    simulated: bool
    target: int | None = None
    compares: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStarted:
    """Further rows are drawn for `target_rows`. The numbers are those of the whole output, as in `RunStarted`."""

    type: ClassVar[str] = "round_started"
    requested: int
    written: int
    filtered: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationStarted:
    """A run in front begins, because the run itself cannot be planned yet: growing a topic tree, for instance."""

    type: ClassVar[str] = "preparation_started"
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """A reply arrived and is in the ledger."""

    type: ClassVar[str] = "call_finished"
    provider: str
    role: str
    latency_s: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A request is sent again after `wait_s` seconds. 0: the model is asked again because its reply was not usable."""

    type: ClassVar[str] = "retry"
    provider: str
    reason: str
    attempt: int
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDone:
    """An item is done: `rows` of it are being written, `filtered` were dropped. `item` is its key, 32 hexadecimal digits."""

    type: ClassVar[str] = "item_done"
    item: str
    provider: str
    rows: int
    filtered: int
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed:
    """`rows` of an item have failed for good. Comes right after the `item_done` of its other rows, if there are any."""

    type: ClassVar[str] = "item_failed"
    item: str
    provider: str
    category: str
    error: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged:
    """A provider's limit of requests in flight has fallen after rate limiting, rises again after that or a pause, or was found (`auto`)."""

    type: ClassVar[str] = "limit_changed"
    provider: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyChanged:
    """Somebody has set the most requests in flight at a provider (`RunControl.set_concurrency`)."""

    type: ClassVar[str] = "concurrency_changed"
    provider: str
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    """Nothing new begins, until `RunResumed` or the end of the run. What is in flight lands. `alarm` is the name of the alarm that has
    paused the run; null where somebody has (`RunControl.pause`)."""

    type: ClassVar[str] = "run_paused"
    alarm: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """The run goes on after a pause of so many seconds."""

    type: ClassVar[str] = "run_resumed"
    paused_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached:
    """The next request could exceed a limit of the config, so no more are sent."""

    type: ClassVar[str] = "budget_reached"
    limit: str
    used: float
    allowed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPaused:
    """A provider does not work at present. Nothing is sent to it for `wait_s` seconds, then one request; its items wait."""

    type: ClassVar[str] = "provider_paused"
    provider: str
    reason: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderResumed:
    """A paused provider has answered. Its limit of requests in flight rises with each answer to what it was."""

    type: ClassVar[str] = "provider_resumed"
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStopped:
    """Nothing more is sent to a provider in this run. Its items stay pending."""

    type: ClassVar[str] = "provider_stopped"
    provider: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSubmitted:
    """A provider has taken a batch of `calls`. `batch` is its id there. For `next_look_s` see `BatchProgress`."""

    type: ClassVar[str] = "batch_submitted"
    provider: str
    batch: str
    calls: int
    next_look_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """A batch was looked at, and is not back yet. Of its `calls`, `done` are answered, as far as the provider says.

    It is looked at again in `next_look_s` seconds; None if this run looks no more.
    """

    type: ClassVar[str] = "batch_progress"
    provider: str
    batch: str
    state: str
    calls: int
    done: int
    failed: int
    age_s: float
    next_look_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDelayed:
    """Something about a batch did not work, and is tried again in `wait_s` seconds. `batch` is empty before it is submitted."""

    type: ClassVar[str] = "batch_delayed"
    provider: str
    batch: str
    reason: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnded:
    """A batch is back and in the ledger. `not_answered` calls were cancelled or have expired; they are asked again.

    `cost_usd` is None if the price or the discount is not known.
    """

    type: ClassVar[str] = "batch_ended"
    provider: str
    batch: str
    answered: int
    failed: int
    not_answered: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsDecided:
    """Stages decide about recorded rows: at the start because they have changed, at the end because they compare rows. `done` of about
    `rows` are decided about. Comes twice a second, and not at all if that takes no longer."""

    type: ClassVar[str] = "rows_decided"
    done: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsSettled:
    """The rows were compared with each other at the end of the run: `dropped` ones left the file, `returned` ones came back. `written` and
    `filtered` are counted over the whole output."""

    type: ClassVar[str] = "rows_settled"
    dropped: int
    returned: int
    written: int
    filtered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFigures:
    """What became of the last rows, as shares; null where nothing was measured. `rows` have ended in this run. `duplicates` is an estimate.
    Comes about once a second, where there are stages or alarms."""

    type: ClassVar[str] = "quality_figures"
    rows: int
    acceptance: float | None
    refused: float | None
    duplicates: float | None
    failed: float | None
    truncated: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRaised:
    """What became of the last `rows` rows (or replies) has set off the alarm of this name: their `share` is above the `limit`. The run
    goes on (`warn`), is paused until it is allowed to go on (`pause`), or ends (`stop`)."""

    type: ClassVar[str] = "alarm"
    alarm: str
    share: float
    limit: float
    rows: int
    reason: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over, and everything is saved."""

    type: ClassVar[str] = "run_ended"
    report: RunReport = field(repr=False)


Event = (
    RunStarted
    | RoundStarted
    | PreparationStarted
    | CallFinished
    | Retry
    | ItemDone
    | ItemFailed
    | LimitChanged
    | ConcurrencyChanged
    | RunPaused
    | RunResumed
    | BudgetReached
    | ProviderPaused
    | ProviderResumed
    | ProviderStopped
    | BatchSubmitted
    | BatchProgress
    | BatchDelayed
    | BatchEnded
    | RowsDecided
    | RowsSettled
    | QualityFigures
    | AlarmRaised
    | RunEnded
)
"""Whatever a run tells while it works."""
EventCallback = Callable[[Event], None]
"""What `on_event` takes: a function that gets each event on the run's own thread."""


def event_to_dict(event: Event, at: datetime | None = None) -> dict[str, Any]:
    """An event as plain values: its `type`, the UTC time `at` in ISO 8601, and its fields; a report becomes a mapping.

    Args:
        at: when it happened; by default now.
    """
    moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
    return {"type": event.type, "at": moment.replace("+00:00", "Z"), **asdict(event)}
