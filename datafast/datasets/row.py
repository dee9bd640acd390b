"""What the rows of several kinds have in common."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID, uuid5

import orjson
from pydantic import BaseModel, Field, create_model
from typing_extensions import TypedDict

from datafast.datasets.config import Metadata
from datafast.engine.reasoning import KEY, METADATA, Place
from datafast.errors import ConfigError
from datafast.types import Messages

__all__ = ["COMPARED", "ChatMessage", "TalkRow", "uuid_of_content", "with_reasoning"]

COMPARED = "compared"
"""The attribute of a row model that names its two compared columns, of which formats for preferences make a better and a worse answer."""
_DESCRIPTION = "What the model thought before it answered."
_METADATA = "The values that the row was made of, and what the model thought."
_NAMESPACE = UUID("7d7d5d0c-3a0c-5f5e-9d0a-2f6c1c1f4b52")


class ChatMessage(TypedDict):
    """One message."""

    role: str
    content: str


class TalkRow(BaseModel):
    """What all rows with messages can do."""

    answer_part: ClassVar[str] = "assistant"
    """Whose reasoning, of those who made the row, is that of the answer."""

    def as_messages(self) -> Messages:
        return list(vars(self)["messages"])


def uuid_of_content(fields: dict[str, Any]) -> str:
    """The uuid of a row that comes without one, from its fields before it: the same whenever and wherever it is read."""
    return str(uuid5(_NAMESPACE, orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()))


@lru_cache(maxsize=256)
def with_reasoning(row_model: type[BaseModel], place: Place, *, by_part: bool) -> type[BaseModel]:
    """The rows of this model with a place for what models thought; the same class for the same rows.

    Args:
        by_part: it is a mapping of what was asked (a role, a column) to texts; else one text.

    Raises:
        ConfigError: the rows have a field of that name already.
    """
    fields = row_model.model_fields
    if place == "drop" or (place == METADATA and METADATA in fields and fields[METADATA].annotation == Metadata):
        return row_model
    if (name := METADATA if place == METADATA else KEY) in fields:
        other = "field" if place == METADATA else METADATA
        raise ConfigError(
            f"reasoning: The rows have a field {name} of their own. Write reasoning: {other}, or give that field another name.",
            key="reasoning",
        )
    # Rows that were made before it was asked for have none.
    kinds: dict[str, Any] = {
        METADATA: (Metadata, Field(default_factory=dict, description=_METADATA)),
        KEY: (dict[str, str] | None if by_part else str | None, Field(None, description=_DESCRIPTION)),
    }
    return create_model(row_model.__name__, __base__=row_model, **{name: kinds[name]})
