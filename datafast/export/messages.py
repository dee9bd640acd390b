"""Types of the messages that formats write, from what rows of a model can have in theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, get_args

from pydantic import BaseModel
from typing_extensions import TypedDict, is_typeddict

from datafast.types import AsJson

__all__ = ["Tools", "message_list"]

Tools = Annotated[list[dict[str, Any]], AsJson]
"""Tools in OpenAI's schema; one JSON text where columns are typed, because their keys differ from one to another."""


class _Function(TypedDict):
    name: str
    arguments: dict[str, Any]


class _Call(TypedDict):
    id: NotRequired[str]
    type: str
    function: _Function


class _TextFunction(TypedDict):
    name: str
    arguments: str


class _TextCall(TypedDict):
    id: NotRequired[str]
    type: str
    function: _TextFunction


def message_list(row_model: type[BaseModel], *, reasoning: bool = True, arguments_as_text: bool = False) -> Any:
    """The type of the messages that rows of this model are read as: a list of messages with the keys that any of them may have."""
    fields: dict[str, Any] = {"role": str, "content": str}
    known = _known(row_model)
    thinks = "reasoning_content" in known or "reasoning" in row_model.model_fields
    if reasoning and thinks:
        fields["reasoning_content"] = NotRequired[str]
    if "tool_calls" in known:
        calls: Any = list[_TextCall] if arguments_as_text else list[_Call]
        fields |= {"tool_calls": NotRequired[calls], "name": NotRequired[str], "tool_call_id": NotRequired[str]}
    message: Any = TypedDict("message", fields)  # type: ignore[misc]  # made of what the rows may have
    return list[message]


def _known(row_model: type[BaseModel]) -> Mapping[str, Any]:
    """The keys that messages of such rows are declared to have."""
    known: dict[str, Any] = {}
    for name in ("messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected"):
        info = row_model.model_fields.get(name)
        for item in get_args(info.annotation) if info is not None else ():
            members = (item, *get_args(item))
            for member in members:
                if is_typeddict(member):
                    known |= member.__annotations__
    return known
