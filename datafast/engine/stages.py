"""How stages decide about rows before they are written. The stages are in `datafast.quality`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import orjson

from datafast._util.plugins import blaming

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem

__all__ = ["KEEP", "Asks", "Decides", "Verdict", "asked_verdict", "drop", "settings_of", "verdict_of"]

_MAX_REASON = 120  # it is counted and shown in tables


class Verdict(NamedTuple):
    """A stage's decision about a row. Dropped rows are counted by `reason`, so the reason contains no value of the row; the number that
    was decided by, if there is one, is the `score`."""

    keeps: bool
    reason: str = ""
    score: float | None = None


KEEP = Verdict(True)


def drop(reason: str, score: float | None = None) -> Verdict:
    """The verdict that the row is not written, with a reason like "fewer than 40 words", and the number that led to it."""
    return Verdict(False, reason, score)


class Decides(Protocol):
    """What the engine needs of a stage."""

    @property
    def name(self) -> str: ...
    def decide(self, row: BaseModel, item: WorkItem) -> Verdict: ...
    def settings(self) -> dict[str, Any]: ...


@runtime_checkable
class Asks(Decides, Protocol):
    """What the engine needs of a stage that asks models: `ask` decides, in the place of `decide`."""

    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict: ...


def verdict_of(stages: Sequence[Decides], row: BaseModel, item: WorkItem) -> tuple[str, Verdict]:
    """The first stage that drops a row, with its verdict; `KEEP` if none does. None of the stages asks a model.

    Raises:
        TypeError: a stage did not return a verdict.
        Exception: the error of a stage.
    """
    for stage in stages:
        verdict = _checked(stage, stage.decide(row, item))
        if not verdict.keeps:
            return stage.name, verdict
    return "", KEEP


async def asked_verdict(stage: Asks, row: BaseModel, item: WorkItem, generate: Generate) -> tuple[str, Verdict]:
    """The same of a stage that asks models.

    Raises:
        CallFailed: no usable answer came.
    """
    verdict = _checked(stage, await stage.ask(row, item, generate))
    return ("", KEEP) if verdict.keeps else (stage.name, verdict)


def _checked(stage: Decides, verdict: object) -> Verdict:
    """A stage's verdict as it is recorded."""
    if not (isinstance(verdict, Verdict) and isinstance(verdict.reason, str)):
        raise TypeError(
            f"The stage {stage.name!r} gave {verdict!r} as its verdict. Return KEEP, or drop(reason) with a text."
        )
    return verdict if verdict.keeps else drop(_cut(verdict.reason), _number(stage, verdict.score))


def settings_of(stages: Sequence[Decides]) -> str:
    """The settings of stages as JSON; the same text for the same settings. A stage without any, which nobody can change, is left out.

    Raises:
        ConfigError: a stage does not give them; names it.
    """
    return f"[{','.join(filter(None, map(_settings_of, stages)))}]"


def _settings_of(stage: Decides) -> str:
    with blaming(stage, "settings()"):
        found = stage.settings()
        return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode() if found else ""


def _number(stage: Decides, score: Any) -> float | None:
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
