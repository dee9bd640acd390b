"""What a driver and a worker tell each other.

One exchange at a time: the driver sends `Orders`, and the worker answers with a `Report` as soon as there is something to tell, or after
a moment. Everything that happened stands in the report's `entries`, in the order in which it happened. All of it can be pickled. Nothing
has a moment in it, only durations, since clocks of two machines differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.events import Event
    from datafast.engine.job import Job
    from datafast.engine.outcomes import Outcome
    from datafast.engine.remote.terms import Ask, Grant, ProviderTerms
    from datafast.errors import DatafastError
    from datafast.plan.items import Context, WorkItem
    from datafast.store.records import CallRow, ItemRecord, Recorded, Sizes

__all__ = [
    "Counted",
    "Ended",
    "Entry",
    "Frozen",
    "Happened",
    "Learned",
    "Order",
    "Orders",
    "ProviderEnded",
    "Refused",
    "Replied",
    "Report",
    "RunFailed",
    "Setup",
    "Started",
    "Warned",
]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a worker needs for one opening of an output.

    Attributes:
        job: without plan, callbacks and what only the driver does; its providers have the keys and addresses that the driver has found.
        terms: the limits of each provider over all workers, by its name for users.
        sizes: the sizes of earlier replies by provider and role; for a budget alone.
        learned: what earlier runs have learned.
        most_donated: see `Store.most_donated`.
        is_heard: whether anybody hears events.
        version: of datafast, which has to be the same on both sides.
    """

    job: Job
    terms: Mapping[str, ProviderTerms]
    sizes: Mapping[str, Mapping[str, Sizes]]
    learned: Mapping[str, str]
    most_donated: int
    is_heard: bool
    version: str


class Order(NamedTuple):
    """An item to work on, with its record, the replies that are recorded for it, and what its rows were made again for.

    What comes for it is added to both, so that whoever gets the item after a loss does not ask again.
    """

    share: int
    item: WorkItem
    record: ItemRecord
    recorded: dict[bytes, list[Recorded]]
    contexts: list[Context]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker is to do.

    Attributes:
        kept: the number of its entries that are safe. Replies among them free their slots.
        widths: how many items of each share it works on at once.
        give_back: how many items of each share that it has not begun others take.
        stop: why the run ends, if it does; what is in flight lands.
        stopped: why nothing more is sent to a provider, by its name. `answered`: the providers that have answered somebody.
        wait_s: for how long it waits at most for something to tell.
        is_end: there is nothing more to do, and what it has booked and not used goes back.
    """

    kept: int
    grant: Grant
    items: Sequence[Order] = ()
    widths: Sequence[int] = ()
    give_back: Sequence[int] = ()
    is_paused: bool = False
    stop: tuple[StopCause, str] | None = None
    stopped: Mapping[str, str] = field(default_factory=dict)
    answered: Sequence[str] = ()
    wait_s: float = 0.1
    is_end: bool = False


class Replied(NamedTuple):
    """A reply came. `is_own`: it is what code of the user's gave back."""

    call: CallRow
    is_own: bool


class Started(NamedTuple):
    """Work on an item has begun."""

    item: int


class Ended(NamedTuple):
    """Work on an item has ended: its outcome without the rows as objects, None where it stays pending."""

    item: int
    outcome: Outcome | None


class Frozen(NamedTuple):
    """What rows of an item are made again for, from now on."""

    item: int
    context: Context


class Refused(NamedTuple):
    """A provider has refused an item, and it is not known whose fault that is."""

    item: int


class Learned(NamedTuple):
    """Something for later runs."""

    name: str
    what: str


class Happened(NamedTuple):
    """An event of the run."""

    event: Event


class Warned(NamedTuple):
    """Something for the user to read."""

    message: str


class ProviderEnded(NamedTuple):
    """Nothing more is to be sent to a provider in this run."""

    provider: str
    reason: str


class RunFailed(NamedTuple):
    """The run has to end."""

    cause: StopCause
    reason: str
    error: DatafastError | None


Entry = Replied | Started | Ended | Frozen | Refused | Learned | Happened | Warned | ProviderEnded | RunFailed


class Counted(NamedTuple):
    """What a worker has counted since it began; see `Tally`."""

    retries: int = 0
    replayed: int = 0
    read: int = 0
    truncated: int = 0
    cut: int = 0
    replaced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What has happened at a worker since its last report.

    Attributes:
        entries: what has happened.
        given_back: the items that it has not begun and gives back.
        waiting: how many items of each share wait without a slot.
        models: replies since its last report, by provider and the model that they name.
        counted: its counts since it began.
    """

    entries: Sequence[Entry]
    ask: Ask
    given_back: Sequence[int] = ()
    waiting: Sequence[int] = ()
    models: Mapping[tuple[str, str], int] = field(default_factory=dict)
    counted: Counted = field(default_factory=Counted)
