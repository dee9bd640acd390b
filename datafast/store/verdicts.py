"""What stages say about recorded rows: the words that the store and the engine have for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from datafast.store.records import Place, Recorded

__all__ = [
    "BEHIND",
    "Abandoned",
    "CallsOf",
    "Decides",
    "Deciding",
    "Dropped",
    "Key",
    "PlaceIn",
    "RecordedRow",
    "Reversed",
    "Said",
]


class Dropped(NamedTuple):
    """The stage that drops a row, why, and the number that it decided by, if there is one."""

    stage: str
    reason: str
    score: float | None = None


BEHIND = Dropped("", "")
"""What keeps a row out of the file that an earlier generation of it is in, or that is one more than there may be."""


class Said(NamedTuple):
    """What stages say about a row: what drops it, if anything does; its line as they leave it, and which of them have changed it.
    `is_undecided`: one of them could not say anything, or, if the row `is_unasked`, a model has to be asked first; what was said before
    stands."""

    drops: Dropped | None
    line: bytes
    changed_by: tuple[str, ...] = ()
    is_undecided: bool = False
    is_unasked: bool = False


Key = tuple[int, int, int]
"""A row: its item's id, its number and its generation."""


class Abandoned(Exception):
    """Deciding was given up before anything was changed."""


class RecordedRow(NamedTuple):
    """A row with its item's id and place in the plan.

    Attributes:
        line: as it is now; `original`: as it was made, and `changed_by`: the stages that have changed it since.
        before: what has dropped it.
        filtered: its id among dropped rows; 0 for none.
        generation: how often it was made before, because stages had dropped it.
    """

    item: int
    number: int
    place: Place
    line: bytes
    before: Dropped | None = None
    filtered: int = 0
    original: bytes = b""
    changed_by: tuple[str, ...] = ()
    generation: int = 0

    @property
    def key(self) -> Key:
        return self.item, self.number, self.generation

    @property
    def as_it_is(self) -> Said:
        """What was said about it before."""
        return Said(self.before, self.line, self.changed_by)


class Deciding(Protocol):
    """One pass of verdicts about recorded rows.

    Attributes:
        walks: whether rows are shown in the order of a walk.
    """

    walks: bool

    def expect(self, rows: int) -> None:
        """Says how many rows there are about."""

    def draw(self, position: int) -> int:
        """The number of the draw that the item at a position of the plan belongs to; see `Plan`."""

    def verdicts(self, rows: Sequence[RecordedRow]) -> Sequence[Said]:
        """What stages say about each of these rows. The generations of a row come in their order. Raises `Abandoned`."""


class Decides(Protocol):
    """The stages of a run.

    Attributes:
        settings: of the stages that look at one row, as JSON.
        walks: of those that compare rows, as JSON.
        walk_names: the names of these.
        most_replaced: how often a row that they drop is made again; not if it is one of `for_good` that has dropped it.
        num_rows: how many rows the plan asks for.
        beyond: of the last pass, dropped rows that could not be in the file if they were made again either, because others fill their
            targets, as bit masks by the ids of their items; None if there are targets and there was no pass yet.
        unasked: of the last pass, the rows about which models have to be asked first, as bit masks by the ids of their items and by
            generation.
        reviewed: which decisions of reviewers are heard, as it is noted; empty where there are none.
        asked_in_vain: those of these items about which models were asked, and gave no usable answer.
    """

    settings: str
    walks: str
    walk_names: frozenset[str]
    most_replaced: int
    for_good: frozenset[str]
    num_rows: int
    reviewed: str

    @property
    def beyond(self) -> Mapping[int, int] | None: ...
    @property
    def unasked(self) -> Mapping[int, Mapping[int, int]]: ...
    @property
    def asked_in_vain(self) -> Collection[int]: ...

    def only_reviewed(self, stages: str, reviewed: str) -> Collection[str] | None:
        """The uuids of the rows that alone may be decided about otherwise, where nothing is new but decisions of reviewers; None for all
        rows.

        Args:
            stages, reviewed: the settings, and the decisions that were heard, when rows were last decided about.
        """

    def anew(
        self,
        *,
        each: bool,
        former_walks: Collection[str],
        calls_of: CallsOf,
        tries_again: bool = False,
        only: Collection[str] | None = None,
    ) -> Deciding:
        """A pass of verdicts.

        Args:
            each: whether the stages that look at one row decide anew; else what they have decided stands.
            only: if they do: about the rows of these uuids alone; None for all.
            former_walks: the names of stages by which rows were ever compared. What these have decided never stands.
            calls_of: gives what models have answered.
            tries_again: whether models are to be asked again that gave no usable answer.
        """


CallsOf = Callable[[int], Iterable[tuple[bytes, Recorded]]]
"""Given the id of an item: its recorded replies with the keys of their calls, oldest first."""

PlaceIn = Callable[[int], tuple[int, int]]
"""Given the id of an item: its position in a plan, and how many rows that asks it for; 0 where it is not in it."""


@dataclass
class Reversed:
    """How many rows have another verdict than before: `dropped` ones were kept, `returned` ones dropped, and `changed` ones are in the file
    as before, with another text. `decided` are all rows, `undecided` those of them about which no verdict could be given, and `unasked`
    those about which models have to be asked first. `to_replace` are to be made again, because stages drop them."""

    dropped: int = 0
    returned: int = 0
    changed: int = 0
    decided: int = 0
    undecided: int = 0
    unasked: int = 0
    to_replace: int = 0

    def __bool__(self) -> bool:
        return bool(self.dropped or self.returned or self.changed)
