"""The models of a pipeline's replies: new columns, each of the type that the config gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictInt, create_model

from datafast._util.config_model import NonBlank
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.datasets.replies import ReplyText, counted_model
from datafast.llms.reply_model import ReplyModel

__all__ = ["Entries", "OutputType", "entry_model", "reply_model", "told", "type_of"]

OutputType = Literal["text", "integer", "number", "boolean", "texts"] | list[NonBlank] | list[StrictInt]
"""What a column holds: a type, or one of a list of texts or whole numbers."""

_TYPES: Mapping[str, tuple[Any, str]] = {
    "text": (ReplyText, "a text"),
    "integer": (int, "a whole number"),
    "number": (Annotated[float, Field(allow_inf_nan=False)], "a number"),
    "boolean": (bool, "true or false"),
    "texts": (list[ReplyText], "a list of texts"),
}
"""The type of each, and how prompts call it."""


class Entries(ReplyModel):
    """The new columns of one or several rows."""

    elements: ClassVar[tuple[str, ...]] = ("entries",)

    entries: list[Any] = Field(min_length=1)


def told(kind: OutputType) -> str:
    """What a column holds, as prompts say it."""
    return f"one of: {'; '.join(map(str, kind))}" if isinstance(kind, list) else _TYPES[kind][1]


def type_of(kind: OutputType) -> Any:
    """The type of a column; of a list one of its elements."""
    return Literal[tuple(kind)] if isinstance(kind, list) else _TYPES[kind][0]


def entry_model(outputs: Mapping[str, OutputType]) -> type[BaseModel]:
    """The new columns of one row. What is chosen from a list may be written in other case, a number as text."""
    fields: dict[str, Any] = {
        name: (
            Annotated[type_of(kind), BeforeValidator(_chosen(kind))] if isinstance(kind, list) else type_of(kind),
            ...,
        )
        for name, kind in outputs.items()
    }
    with (
        foreign_warnings_ignored()
    ):  # of columns with the name of an old method of pydantic's models, like `copy` or `json`
        return create_model("Entry", **fields)


def _chosen(choices: list[str] | list[int]) -> Callable[[Any], Any]:
    """Reads a text as the one of these that it is, apart from case and outer space."""
    meant: dict[str, list[str | int]] = {}
    for choice in choices:
        meant.setdefault(str(choice).strip().casefold(), []).append(choice)

    def read(given: Any) -> Any:
        found = meant.get(given.strip().casefold(), ()) if isinstance(given, str) and given not in choices else ()
        return found[0] if len(found) == 1 else given

    return read


def reply_model(entry: type[BaseModel], count: int) -> type[Entries]:
    """`Entries` whose schema asks for exactly `count` of them; a shorter reply is kept."""
    return counted_model(Entries, count, of="rows", listed=list[entry])  # type: ignore[valid-type]  # made at run time
