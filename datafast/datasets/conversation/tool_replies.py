"""The reply models of conversations with tools: what the user says, the assistant's next step, and what its calls bring.

{"next": {"calls": [{"name": "tide_level", "arguments": {"station": "Husum"}}]}}
{"next": {"answer": "It is 0.7 m."}}
{"result_1": "0.7 m, falling"}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Discriminator, Field, Tag, create_model, field_validator, model_validator
from pydantic.config import JsonDict

from datafast.datasets.conversation.replies import Said
from datafast.datasets.conversation.tools import ToolCall, ToolResult, Tools
from datafast.llms.reply_model import ReplyModel, exactly

__all__ = ["Answer", "Calls", "Message", "Openings", "Step", "ToolReplies"]


class Message(ReplyModel):
    """What the user says next."""

    message: Said = Field(description="what the user says")


class Openings(ReplyModel):
    """The first messages of several conversations."""

    elements: ClassVar[tuple[str, ...]] = ("messages",)

    messages: list[Said] = Field(min_length=1)


class Calls(ReplyModel):
    """Calls of tools."""

    calls: list[Any] = Field(min_length=1)

    @field_validator("calls")
    @classmethod
    def _each_once(cls, calls: list[Any]) -> list[Any]:
        if len({orjson.dumps(call, option=orjson.OPT_SORT_KEYS) for call in calls}) < len(calls):
            raise ValueError("the same call is there twice")
        return calls


class Answer(ReplyModel):
    """The answer to the user."""

    answer: Said = Field(description="what the assistant answers")


class Step(ReplyModel):
    """One step of the assistant."""

    next: Any

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_around_it(cls, said: Any) -> Any:
        return {"next": said} if isinstance(said, dict) and "next" not in said else said


class ToolReplies:
    """The reply models for a set of tools.

    Args:
        max_parallel_calls: calls in one step, at most.

    Attributes:
        calling: a step that has to call tools. answering: one that has to answer. either: one that may do either.
    """

    def __init__(self, tools: Tools, *, max_parallel_calls: int) -> None:
        self._tools = tools
        call = Annotated[dict[str, Any], ToolCall(tools)]
        listed: Any = (list[call], Field(min_length=1, max_length=max_parallel_calls))
        calls = create_model("Calls", __base__=Calls, calls=listed)
        either: Any = Annotated[Annotated[calls, Tag("calls")] | Annotated[Answer, Tag("answer")], Discriminator(_sort)]
        self.calling = create_model("Calling", __base__=Step, next=(calls, ...))
        self.answering = create_model("Answering", __base__=Step, next=(Answer, ...))
        self.either = create_model("CallingOrAnswering", __base__=Step, next=(either, ...))
        self._openings: dict[int, type[Openings]] = {}
        self._results: dict[tuple[str, ...], type[ReplyModel]] = {}

    def openings(self, count: int) -> type[Openings]:
        """The model whose schema asks for exactly `count` messages. A shorter reply is kept, not refused."""
        if count not in self._openings:
            bounds: JsonDict = {"minItems": count, "maxItems": count}
            about = exactly(count, "messages")
            listed: Any = (list[Said], Field(min_length=1, description=about, json_schema_extra=bounds))
            self._openings[count] = create_model(f"Openings{count}", __base__=Openings, messages=listed)
        return self._openings[count]

    def results(self, names: Sequence[str]) -> type[ReplyModel]:
        """The model of what calls of these tools bring, in a field for each: a text, or what fits the tool's output schema."""
        key = tuple(name if self._tools.output_schema(name) else "" for name in names)
        if key not in self._results:
            fields: dict[str, Any] = {
                f"result_{number}": (
                    Annotated[Any, ToolResult(self._tools, name)] if name else Said,
                    Field(description=f"what call {number} brings"),
                )
                for number, name in enumerate(key, start=1)
            }
            self._results[key] = create_model(f"Results{len(key)}", __base__=ReplyModel, **fields)
        return self._results[key]


def _sort(said: Any) -> str:
    """Which of both a step is."""
    calls = said.get("calls") if isinstance(said, dict) else getattr(said, "calls", None)
    return "calls" if calls else "answer"
