"""How stages decide about rows before they are written, and change them. The stages are in `datafast.quality`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeGuard, TypeVar, runtime_checkable

import orjson

from datafast._util.plugins import blaming
from datafast.errors import DatafastError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem

__all__ = [
    "KEEP",
    "METADATA",
    "STAGE_ERROR",
    "AnyStage",
    "Asks",
    "Decided",
    "Decides",
    "StageRaised",
    "Verdict",
    "Walk",
    "Walks",
    "annotate",
    "asked_verdict",
    "asks",
    "change",
    "checked",
    "drop",
    "said_of_stage",
    "settings_of",
    "told_apart",
    "verdict_of",
]

F_contra = TypeVar("F_contra", contravariant=True)

METADATA = "metadata"
"""The field of a row that `annotate` adds to."""
STAGE_ERROR = "stage_error"
"""The category of items about which no stage could decide: they are open again when the stages change."""
_MAX_REASON = 120  # it is counted and shown in tables
_KEPT_FIELDS = frozenset({"uuid", METADATA})
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Verdict(NamedTuple):
    """A stage's decision about a row. Dropped rows are counted by `reason`, so the reason contains no value of the row; the number that
    was decided by, if there is one, is the `score`. A row that is kept may be changed: `fields` have other values, and `notes` are added to
    its metadata."""

    keeps: bool
    reason: str = ""
    score: float | None = None
    fields: Mapping[str, Any] = _NOTHING
    notes: Mapping[str, Any] = _NOTHING


KEEP = Verdict(True)
"""The row is written as it is."""


def drop(reason: str, score: float | None = None) -> Verdict:
    """The verdict that the row is not written, with a reason like "fewer than 40 words", and the number that led to it."""
    return Verdict(False, reason, score)


def change(fields: Mapping[str, Any] = _NOTHING, /, **more: Any) -> Verdict:
    """The verdict that the row is kept with other values in these fields: `change(text=shorter)`. Later stages see it as it is then."""
    return Verdict(True, fields={**fields, **more})


def annotate(notes: Mapping[str, Any] = _NOTHING, /, **more: Any) -> Verdict:
    """The verdict that the row is kept, and that these values are added to its `metadata`. To change fields too, write
    `change(...)._replace(notes=...)`."""
    return Verdict(True, notes={**notes, **more})


class Decided(NamedTuple):
    """What stages say about a row: which one drops it, if one does, with its verdict; and the row as they leave it.

    Attributes:
        row: as it is to be written, or as the stage that drops it saw it.
        stage: the name of the stage that drops it; empty if none does.
        changed: the fields that have other values than before.
        changed_by: the names of the stages that have changed it, in their order.
        is_accepted: whether a reviewer keeps it, whatever stages say.
    """

    row: BaseModel
    stage: str = ""
    verdict: Verdict = KEEP
    changed: frozenset[str] = frozenset()
    changed_by: tuple[str, ...] = ()
    is_accepted: bool = False


class StageRaised(Exception):
    """A stage has raised an error, which is its cause. The message names both."""

    def __init__(self, stage: AnyStage, error: Exception) -> None:
        told = str(error)
        super().__init__(f"The stage {stage.name!r} raised {type(error).__name__}{told and f': {told}'}")

    @classmethod
    def by(cls, stage: AnyStage, error: Exception) -> Self:
        """As if it was raised from the error."""
        raised = cls(stage, error)
        raised.__cause__ = error
        return raised


def said_of_stage(error: Exception) -> str:
    """What is said of an error by which stages could not decide about a row."""
    return str(error) if isinstance(error, StageRaised) else f"{type(error).__name__}: {error}"


class AnyStage(Protocol):
    """What the engine needs of everything that decides about rows; a stage is also a `Decides` or a `Walks`."""

    @property
    def name(self) -> str: ...
    def settings(self) -> dict[str, Any]: ...


@runtime_checkable
class Decides(AnyStage, Protocol):
    """What the engine needs of a stage that looks at one row."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict: ...


@runtime_checkable
class Asks(Decides, Protocol):
    """What the engine needs of a stage that asks models, or does other things that are recorded like answers: where `asks` is true, `ask`
    decides in the place of `decide`."""

    @property
    def asks(self) -> bool: ...
    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict: ...


def asks(stage: AnyStage) -> TypeGuard[Asks]:
    """Whether a stage decides by `ask`."""
    return isinstance(stage, Asks) and stage.asks


class Walk(Protocol[F_contra]):
    """One walk over rows: what was kept so far, as a stage needs it to decide about the next row."""

    def decide(self, features: F_contra) -> Verdict:
        """Says whether a row is kept, given those that were kept before it."""

    def keep(self, features: F_contra) -> None:
        """Takes in a row that all stages have kept."""


@runtime_checkable
class Walks(AnyStage, Protocol):
    """What the engine needs of a stage that compares rows with those before them."""

    @property
    def compares_live(self) -> bool: ...
    def features(self, rows: Sequence[BaseModel]) -> Sequence[Any]: ...
    def walk(self) -> Walk[Any]: ...


def verdict_of(stages: Sequence[Decides], before: Decided, item: WorkItem) -> Decided:
    """What is said about a row after further stages, none of which asks a model. The first one that drops it decides; each sees it as those
    before have left it.

    Raises:
        TypeError: a stage did not return a verdict.
        ValueError: a stage has changed the row into one that its model does not allow.
        StageRaised: a stage has raised.
    """
    decided = before
    for stage in stages:
        try:
            given = stage.decide(decided.row, item)
        except Exception as error:  # a stage of another package may raise anything
            raise StageRaised(stage, error) from error
        decided = _after(decided, stage, given)
        if not decided.verdict.keeps:
            break
    return decided


async def asked_verdict(stage: Asks, before: Decided, item: WorkItem, generate: Generate) -> Decided:
    """The same of a stage that asks models.

    Raises:
        CallFailed: no usable answer came.
        StageRaised: the stage has raised.
    """
    try:
        given = await stage.ask(before.row, item, generate)
    except DatafastError:
        raise  # of what it asks
    except Exception as error:  # a stage of another package may raise anything
        raise StageRaised(stage, error) from error
    return _after(before, stage, given)


def checked(stage: AnyStage, verdict: Any) -> Verdict:
    """What a stage has decided, as it is recorded.

    Raises:
        TypeError: it is no verdict.
    """
    if not (isinstance(verdict, Verdict) and isinstance(verdict.reason, str)):
        raise TypeError(
            f"The stage {stage.name!r} gave {verdict!r} as its verdict. Return KEEP, change(...), or drop(reason) with a text."
        )
    return verdict if verdict.keeps else drop(_cut(verdict.reason), _number(stage, verdict.score))


def _after(before: Decided, stage: Decides, given: object) -> Decided:
    """What is said about a row after the verdict of a further stage."""
    if given is KEEP:
        return before
    verdict = checked(stage, given)
    if not verdict.keeps:
        return before._replace(stage=stage.name, verdict=verdict)
    row = _changed(before.row, stage, verdict)
    changed = {name for name in type(row).model_fields if getattr(row, name) != getattr(before.row, name)}
    if not changed:
        return before
    return before._replace(row=row, changed=before.changed | changed, changed_by=(*before.changed_by, stage.name))


def _changed(row: BaseModel, stage: Decides, verdict: Verdict) -> BaseModel:
    """The row with what a verdict changes in it, checked by its model."""
    values, known = dict(verdict.fields), type(row).model_fields
    for name in values:
        if name in _KEPT_FIELDS or name not in known:
            why = "is not changed by stages" if name in known else "is not there"
            raise ValueError(
                f"The stage {stage.name!r} changes the field {name!r}, which {why}. Rows have {', '.join(known)}."
            )
    if verdict.notes:
        values[METADATA] = _noted(row, stage, verdict.notes)
    return type(row).model_validate({**row.model_dump(), **values}) if values else row


def _noted(row: BaseModel, stage: Decides, notes: Mapping[str, Any]) -> dict[str, Any]:
    if METADATA not in type(row).model_fields:
        raise ValueError(f"The stage {stage.name!r} adds to the metadata of a row that has none.")
    before = getattr(row, METADATA)
    if before is not None and not isinstance(before, Mapping):
        raise ValueError(
            f"metadata: The stage {stage.name!r} adds to an object, and the row has {before!r:.100} there."
        )
    for name in notes:
        if before and name in before and before[name] != notes[name]:
            raise ValueError(
                f"The stage {stage.name!r} adds metadata.{name}, which the row has already and would lose. Give it another name."
            )
    return {**(before or {}), **notes}


def settings_of(stages: Sequence[AnyStage], *, regenerate: int = 0, reviews: str = "") -> str:
    """The settings of stages as JSON; the same text for the same settings. A stage without any, which nobody can change, is left out.

    Args:
        regenerate: how often a row that they drop is made again.
        reviews: the mark of what reviewers have decided.

    Raises:
        ConfigError: a stage does not give them; names it.
    """
    more = [{name: value} for name, value in (("regenerate", regenerate), ("reviews", reviews)) if value]
    told = [*map(_settings_of, stages), *(orjson.dumps(one).decode() for one in more)]
    return f"[{','.join(filter(None, told))}]"


def told_apart(settings: str) -> tuple[Any, str]:
    """Settings as `settings_of` gives them: those of the stages, and the mark of what reviewers have decided."""
    told = orjson.loads(settings)
    listed = told if isinstance(told, list) else [told]
    marks = [one["reviews"] for one in listed if isinstance(one, dict) and set(one) == {"reviews"}]
    return [one for one in listed if not (isinstance(one, dict) and set(one) == {"reviews"})], "".join(marks)


def _settings_of(stage: AnyStage) -> str:
    with blaming(stage, "settings()"):
        found = stage.settings()
        return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode() if found else ""


def _number(stage: AnyStage, score: Any) -> float | None:
    """A score as the ledger holds it, whatever library its number is of; none where it is not a number (NaN)."""
    if score is None:
        return None
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError) as error:
        told = f"The stage {stage.name!r} gave a score of the type {type(score).__name__} that is no number. "
        raise TypeError(f"{told}Give drop() a number, or no score.") from error
    return None if math.isnan(number) else number


def _cut(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 3]}..."
