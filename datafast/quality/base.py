"""What every stage is: a config model that decides about rows, one at a time.

A stage is one small class:

    class NoQuestions(Stage):
        stage: Literal["no_questions"] = "no_questions"

        def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
            return drop("it asks something") if any("?" in text for text in texts_of(row)) else KEEP

It is found by its name through an entry point of the group `datafast.stages`, or through `register`.

Guarantee: a dropped row is recorded with the reason, counts as `filtered`, and is not paid for again. Settings of stages are in no
key; where they change, all recorded rows are decided about anew, at no cost. Limits: a verdict may depend only on the row and its
item, so that the same stages always keep the same rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from datafast._util.config_model import ConfigModel, NonBlank
from datafast._util.notify import did_you_mean
from datafast.engine.stages import KEEP, Verdict, drop
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["KEEP", "NonBlank", "Stage", "TextStage", "Verdict", "drop", "texts_in", "texts_of"]

_ABOUT_THE_ROW = frozenset({"uuid", "language", "label", "metadata", "role", "tool_call_id", "tools"})
_MODEL_ID = "model_id"


class Stage(ConfigModel):
    """Base of all stages. Subclasses say which rows are dropped."""

    stage: str
    """The name of the stage."""

    @property
    def name(self) -> str:
        return self.stage

    def check(self, row_model: type[BaseModel]) -> None:
        """Checks that the stage can decide about rows of this model. Raises ConfigError; its message may begin with the wrong field."""

    @abstractmethod
    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        """Says whether a row is written: `KEEP`, or `drop(reason)`."""

    def settings(self) -> dict[str, Any]:
        """The settings that its verdicts depend on, as JSON."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"stage": self.stage}


class TextStage(Stage):
    """Base of stages that look at the texts of a row."""

    field: NonBlank | None = None
    """The field that is looked at; all fields that hold text where none is given."""

    def check(self, row_model: type[BaseModel]) -> None:
        if self.field is not None and self.field not in row_model.model_fields:
            hint = did_you_mean(self.field, row_model.model_fields)
            raise ConfigError(f"field: Rows have no field {self.field!r}. {hint}")

    def texts(self, row: BaseModel) -> list[str]:
        """The texts of a row that are looked at."""
        return list(texts_of(row, self.field))


def texts_of(row: BaseModel, field: str | None = None) -> Iterator[str]:
    """The texts of a row, in all fields or in one; without information about the row (ids, language, label, metadata, and the fields
    that the row model itself lists in `about_the_row`)."""
    if field is not None:
        yield from _texts(getattr(row, field))
        return
    about: Collection[str] = getattr(type(row), "about_the_row", ())
    for name in type(row).model_fields:
        if name not in about:
            yield from _texts_under(name, getattr(row, name))


def texts_in(row: Mapping[str, Any], about: Collection[str] = ()) -> Iterator[str]:
    """The same of a row as it stands in a file. `about`: more fields that are about the row."""
    for name, value in row.items():
        if name not in about:
            yield from _texts_under(name, value)


def _texts_under(name: str, value: object) -> Iterator[str]:
    if name not in _ABOUT_THE_ROW and not name.endswith(_MODEL_ID):
        yield from _texts(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        yield from texts_of(value)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts_under(str(name), part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
