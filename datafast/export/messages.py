"""Types of the messages that formats write: what the row model says of them, or what a pass over them finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NotRequired, get_args, get_type_hints

from pydantic import BaseModel
from typing_extensions import TypedDict, is_typeddict

from datafast._util.kinds import common_kind, kind_of
from datafast.types import AsJson

__all__ = ["TalkKinds", "Tools", "has_call_objects", "is_talk", "message_list"]

Tools = Annotated[list[dict[str, Any]] | None, AsJson]
"""Tools in OpenAI's schema; one JSON text where columns are typed, because their keys differ from one to another."""

_TURNS = ("role", "from")


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
    """The type of the messages that rows of this model are read as: a list of messages with the keys that any of them may have. `Any`
    where the model does not say it, so that a pass over the messages has to."""
    fields: dict[str, Any] = {"role": str, "content": str}
    declared = [way for way in ("messages", "pair", "preference") if hasattr(row_model, f"as_{way}")]
    known = _known(row_model) if declared else None
    if known is None:
        return Any
    if reasoning and ("reasoning_content" in known or "reasoning" in row_model.model_fields):
        fields["reasoning_content"] = NotRequired[str]
    if "tool_calls" in known:
        fields |= _called(arguments_as_text=arguments_as_text)
    return list[_typed(fields)]  # type: ignore[misc]  # made of what the rows may have


def _typed(fields: Mapping[str, Any]) -> Any:
    return TypedDict("message", dict(fields))  # type: ignore[operator]  # made of what the rows may have


def _called(*, arguments_as_text: bool) -> dict[str, Any]:
    calls: Any = list[_TextCall] if arguments_as_text else list[_Call]
    return {"tool_calls": NotRequired[calls], "name": NotRequired[str], "tool_call_id": NotRequired[str]}


def _known(row_model: type[BaseModel]) -> Mapping[str, Any] | None:
    """The keys that messages of such rows are declared to have; None where anything may be in them."""
    info = row_model.model_fields.get("messages")
    if info is None:
        return {}
    (item,) = get_args(info.annotation) or (Any,)
    return get_type_hints(item) if is_typeddict(item) else None


def has_call_objects(kind: Any) -> bool:
    """Whether a type has calls of tools whose arguments are objects, which typed columns hold as JSON text."""
    if kind is _Call:
        return True
    inner = get_type_hints(kind).values() if is_typeddict(kind) else get_args(kind)
    return any(has_call_objects(one) for one in inner)


def is_talk(value: Any) -> bool:
    """Whether a value is a list of messages, or of turns as ShareGPT has them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, Mapping) and any(key in turn for key in _TURNS) for turn in value)
    )


class TalkKinds:
    """What the keys of many messages hold."""

    def __init__(self) -> None:
        self._kinds: dict[str, set[Any]] = {}
        self._arguments: set[type] = set()

    def note(self, messages: Sequence[Mapping[str, Any]]) -> None:
        for message in messages:
            for key, value in message.items():
                if value is not None:
                    self._kinds.setdefault(key, set()).add(kind_of(value))
            for call in message.get("tool_calls") or ():
                self._arguments.add(type((call.get("function") or {}).get("arguments")))

    @property
    def type(self) -> Any:
        """The type of such a list of messages."""
        fields = {key: NotRequired[common_kind(kinds) or _mixed(key, kinds)] for key, kinds in self._kinds.items()}
        if "tool_calls" in fields:
            fields["tool_calls"] = _called(arguments_as_text=self._arguments <= {str})["tool_calls"]
        return list[_typed(fields)]  # type: ignore[misc]


def _mixed(key: str, kinds: Collection[Any]) -> Any:
    """The type of what has none in common: any, but for what is said. As JSON text that would be trained on with its quotes, so texts
    beside parts are refused."""
    return str if key in ("content", "value") and str in kinds else Any
