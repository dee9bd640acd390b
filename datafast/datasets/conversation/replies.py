"""The reply models of conversations. Their structure says who speaks, and their bounds how often.

So a reply that begins with the assistant, leaves a question open or lacks the reasoning does not validate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, create_model
from pydantic.config import JsonDict

from datafast.datasets.conversation.tools import ToolCall, Tools
from datafast.llms.reply_model import ReplyModel, exactly, with_first_words
from datafast.plan.defaults import PromptText
from datafast.prompt_library.template import PromptTemplate

__all__ = [
    "DEFAULT_STEPS",
    "AgentExchange",
    "AgentStep",
    "Bounds",
    "Conversation",
    "Conversations",
    "Exchange",
    "ReasonedExchange",
    "ReplyModels",
    "Style",
]

Style = Literal["basic", "freetext", "agent", "tools"]

DEFAULT_STEPS = 5


class Bounds(NamedTuple):
    """How many questions a conversation has, and how many steps an agent takes for each of them."""

    min_turns: int = 1
    max_turns: int = 1
    max_steps: int = DEFAULT_STEPS

    def said(self, text: PromptText) -> PromptText:
        """A text that names the default number of steps, with this number instead."""
        if self.max_steps == DEFAULT_STEPS:
            return text
        told = "one step" if self.max_steps == 1 else rf"\g<1> to {self.max_steps} steps"
        said = re.sub(rf"\b(1|one) to {DEFAULT_STEPS} steps", told, text.text)  # "one" in version 1
        return PromptText(said, text.key and f"{text.key} {self.max_steps}")


Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


# Words in keys of version 1; see `ReplyModel.first_words`.
_STEP_WORDS = {"thought": "what to do next and why", "observation": "what came of it"}
_AGENT_WORDS = {"user": "what the user says", "assistant": "the answer that the user sees"}


class Exchange(ReplyModel):
    """A question and its answer."""

    first_words: ClassVar[Mapping[str, str]] = {
        "": "A question and its answer.",
        "user": "what the user says",
        "assistant": "what the assistant answers",
    }

    user: Said = Field(description="what the user says")
    assistant: Said = Field(description="what the assistant answers")


class ReasonedExchange(ReplyModel):
    """A question, how the assistant thinks about it, and its answer."""

    first_words: ClassVar[Mapping[str, str]] = {
        "": "A question, how the assistant thinks about it, and its answer.",
        "user": "what the user says",
        "reasoning": "how the assistant gets to the answer, step by step",
        "assistant": "the answer that the user sees",
    }

    user: Said = Field(description="what the user says")
    reasoning: Said = Field(description="how the assistant gets to the answer, step by step")
    assistant: Said = Field(description="the answer that the user sees")


class AgentStep(ReplyModel):
    """One step of an assistant that works in steps."""

    thought: Said = Field(description="what to do next and why")
    action: Said | dict[str, Any] = Field(description="what is done")
    observation: Said = Field(description="what came of it")


class FreeStep(AgentStep):
    """A step whose action is told in words."""

    first_words: ClassVar[Mapping[str, str]] = {
        "": "A step whose action is told in words.",
        "action": "what is done",
        **_STEP_WORDS,
    }

    action: Said = Field(description="what is done")


class AgentExchange(ReplyModel):
    """A request, the steps in which the assistant works on it, and its answer."""

    first_words: ClassVar[Mapping[str, str]] = {
        "": "A request, the steps in which the assistant works on it, and its answer.",
        **_AGENT_WORDS,
    }

    user: Said = Field(description="what the user says")
    steps: list[FreeStep] = Field(min_length=1, max_length=DEFAULT_STEPS)
    assistant: Said = Field(description="the answer that the user sees")


class Conversation(ReplyModel):
    """A conversation: one or more exchanges."""

    exchanges: list[Any] = Field(min_length=1)


class Conversations(ReplyModel):
    """A list of conversations."""

    elements: ClassVar[tuple[str, ...]] = ("conversations",)

    conversations: list[Any] = Field(min_length=1)


class ReplyModels:
    """The reply models for one style, its bounds and set of tools, by number of conversations.

    Args:
        template: what the answers of each conversation have to have.
    """

    def __init__(
        self, style: Style, bounds: Bounds, tools: Tools | None, template: PromptTemplate | None = None
    ) -> None:
        exchange = _exchange(style, bounds.max_steps, tools)
        length = Field(min_length=bounds.min_turns, max_length=bounds.max_turns)
        listed: Any = list[exchange]  # type: ignore[valid-type]  # made at run time
        if template is not None and template.requires:
            listed = Annotated[listed, AfterValidator(_as_required(template))]
        turns: Any = (listed, length)
        self._conversation = create_model("Conversation", __base__=Conversation, exchanges=turns)
        self._simulated = {"assistant": template.example} if template is not None and template.example else {}
        self._made: dict[int, type[Conversations]] = {}

    def __call__(self, count: int) -> type[Conversations]:
        """The model whose schema asks for exactly `count` conversations. A shorter reply is kept, not refused."""
        if count not in self._made:
            bounds: JsonDict = {"minItems": count, "maxItems": count}
            listed: Any = (
                list[self._conversation],  # type: ignore[name-defined]
                Field(min_length=1, description=exactly(count, "conversations"), json_schema_extra=bounds),
            )
            made = create_model(f"Conversations{count}", __base__=Conversations, conversations=listed)
            made.simulated = self._simulated
            self._made[count] = with_first_words(made, {"conversations": f"exactly {count} conversations"})
        return self._made[count]


def _as_required(template: PromptTemplate) -> Callable[[list[Any]], list[Any]]:
    def check(exchanges: list[Any]) -> list[Any]:
        if reason := template.missing_in([exchange.assistant for exchange in exchanges]):
            raise ValueError(reason)
        return exchanges

    return check


def _exchange(style: Style, max_steps: int, tools: Tools | None) -> type[BaseModel]:
    if style == "basic":
        return Exchange
    if style == "freetext":
        return ReasonedExchange
    if tools is None and max_steps == DEFAULT_STEPS:
        return AgentExchange
    if tools is None:
        free: Any = (list[FreeStep], Field(min_length=1, max_length=max_steps))
        return with_first_words(create_model("AgentExchange", __base__=AgentExchange, steps=free), _AGENT_WORDS)
    call = Annotated[dict[str, Any], ToolCall(tools)]
    step = create_model("ToolStep", __base__=AgentStep, action=(call, Field(description="the call of a tool")))
    with_first_words(step, {**_STEP_WORDS, "action": "the call of a tool"})
    steps: Any = (list[step], Field(min_length=1, max_length=max_steps))  # type: ignore[valid-type]  # made at run time
    return with_first_words(create_model("ToolExchange", __base__=AgentExchange, steps=steps), _AGENT_WORDS)
