"""The reply models of conversations with tools: what the user says, the assistant's next step, and what its calls bring.

{"next": {"calls": [{"name": "tide_level", "arguments": {"station": "Husum"}}]}}
{"next": {"answer": "It is 0.7 m."}}
{"result_1": "0.7 m, falling"}
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from datafast.datasets.conversation.replies import Said
from datafast.datasets.conversation.tools import ToolCall, ToolResult, Tools
from datafast.datasets.said import AssistantsWords, UsersWords, said_anew
from datafast.llms.reply_model import ReplyModel, exactly
from datafast.prompt_library.template import PromptTemplate

__all__ = ["Answer", "Calls", "Message", "Openings", "Step", "StepMay", "ToolReplies"]

StepMay = Literal["call", "answer", "either"]


class Message(ReplyModel):
    """What the user says next."""

    earlier: ClassVar[Collection[str]] = ()
    """What was said before, normalised, where it must not be said again."""

    message: str = Field(min_length=1, description="what the user says")

    @field_validator("message")
    @classmethod
    def _is_said(cls, text: str) -> str:
        return said_anew("user", text, cls.earlier)


class Openings(ReplyModel):
    """The first messages of several conversations."""

    elements: ClassVar[tuple[str, ...]] = ("messages",)

    messages: list[UsersWords] = Field(min_length=1)


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

    answer: AssistantsWords = Field(description="what the assistant answers")


class Step(ReplyModel):
    """One step of the assistant."""

    next: Any

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_around_it(cls, said: Any) -> Any:
        return {"next": said} if isinstance(said, dict) and "next" not in said else said


def _as_text(result: Any) -> Any:
    """What a tool gives back, as text where it is data."""
    return result if result is None or isinstance(result, str) else orjson.dumps(result).decode()


_Result = Annotated[Said, BeforeValidator(_as_text)]


class ToolReplies:
    """The reply models for a set of tools.

    Args:
        max_parallel_calls: calls in one step, at most.
        template: what the answers of each conversation have to have.
    """

    def __init__(self, tools: Tools, *, max_parallel_calls: int, template: PromptTemplate | None = None) -> None:
        self._tools = tools
        self._template = template
        call = Annotated[dict[str, Any], ToolCall(tools, exact=True)]
        listed: Any = (list[call], Field(min_length=1, max_length=max_parallel_calls))
        self._calls = create_model("Calls", __base__=Calls, calls=listed)
        self._steps: dict[tuple[str, bool], type[Step]] = {}
        self._openings: dict[int, type[Openings]] = {}
        self._results: dict[tuple[str, ...], type[ReplyModel]] = {}

    def step(self, may: StepMay, *, is_last: bool) -> type[Step]:
        """The model of a step that has to call tools, has to answer, or may do either.

        Args:
            is_last: whether an answer also has to have what the template requires of one answer in a conversation.
        """
        if (may, is_last) not in self._steps:
            answer = self._answer(is_last=is_last)
            either: Any = Annotated[
                Annotated[self._calls, Tag("calls")] | Annotated[answer, Tag("answer")], Discriminator(_sort)
            ]
            asked: Any = {"call": self._calls, "answer": answer, "either": either}[may]
            made = create_model(f"Step{may.capitalize()}", __base__=Step, next=(asked, ...))
            made.simulated = answer.simulated
            self._steps[may, is_last] = made
        return self._steps[may, is_last]

    def lacks(self, answers: Sequence[str]) -> bool:
        """Whether these answers lack something that the template requires of one of a conversation's."""
        return self._template is not None and self._template.missing_in(answers) is not None

    def _answer(self, *, is_last: bool) -> type[Answer]:
        template = self._template
        if template is None or not template.requires:
            return Answer
        required = template.model_copy(update={"requires": [one for one in template.requires if one.every or is_last]})

        def check(answer: str) -> str:
            if reason := required.missing_in([answer]):
                raise ValueError(reason)
            return answer

        text: Any = (Annotated[AssistantsWords, AfterValidator(check)], Field(description="what the assistant answers"))
        made = create_model("Answer", __base__=Answer, answer=text)
        made.simulated = {"answer": template.example} if template.example else {}
        return made

    def openings(self, count: int) -> type[Openings]:
        """The model whose schema asks for exactly `count` messages. A shorter reply is kept, not refused."""
        if count not in self._openings:
            bounds: JsonDict = {"minItems": count, "maxItems": count}
            about = exactly(count, "messages")
            listed: Any = (list[UsersWords], Field(min_length=1, description=about, json_schema_extra=bounds))
            self._openings[count] = create_model(f"Openings{count}", __base__=Openings, messages=listed)
        return self._openings[count]

    def results(self, names: Sequence[str]) -> type[ReplyModel]:
        """The model of what calls of these tools bring, in a field for each: a text, or what fits the tool's output schema."""
        key = tuple(name if self._tools.output_schema(name) else "" for name in names)
        if key not in self._results:
            fields: dict[str, Any] = {
                f"result_{number}": (
                    Annotated[Any, ToolResult(self._tools, name)] if name else _Result,
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
