"""The rows of conversation datasets, and the forms in which they can be written.

conversational   {"messages": [{"role": "system", ...}, {"role": "user", ...}, {"role": "assistant", ...}]}, and for agents their tools
instruction      {"instruction": "...", "response": "..."} and nothing else
a mapping        a field for each entry, its text from a template over the row: {"prompt": "Q: {instruction}", ...}
none of them     the messages with everything about their origin: model, language, uuid, metadata

Tools and the arguments of calls are objects, as chat templates take them (`tokenizer.apply_chat_template(row["messages"],
tools=row["tools"])`). Outputs of version 0.1.0 have them as JSON text; the row models read both, also rows of Parquet files, where
they are JSON text because their keys differ from row to row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, NotRequired

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from typing_extensions import TypedDict

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.datasets.config import Metadata
from datafast.datasets.conversation.first_rows import FirstAgentMessagesRow, FirstAgentRow
from datafast.datasets.conversation.replies import Conversation, Style
from datafast.datasets.conversation.tools import Tools
from datafast.datasets.row import ChatMessage, TalkRow
from datafast.errors import ConfigError
from datafast.plan.template import Template
from datafast.types import AsJson, Pair

__all__ = [
    "FIELD_NAMES",
    "AgentConversationRow",
    "ConversationRow",
    "InstructionFormatRow",
    "MessagesRow",
    "ReasonedConversationRow",
    "RowFormat",
    "ToolConversationRow",
    "call_id",
    "called",
]

FIELD_NAMES = ("instruction", "response", "reasoning", "system", "messages", "tools", "topic", "topic_path", "language")
"""The names that templates of an output format may use, besides the placeholders of the prompts."""


class ReasonedMessage(ChatMessage):
    """One message; an assistant's message with its reasoning."""

    reasoning_content: NotRequired[str]


def _present(messages: Any) -> Any:
    """Messages without the nulls that a table has for keys that other messages have."""
    if not isinstance(messages, list):
        return messages
    return [
        {key: value for key, value in message.items() if value is not None} if isinstance(message, dict) else message
        for message in messages
    ]


def _parsed(value: Any) -> Any:
    """JSON text as what it stands for."""
    return orjson.loads(value) if isinstance(value, str) else value


def _all_parsed(value: Any) -> Any:
    value = _parsed(value)
    return [_parsed(entry) for entry in value] if isinstance(value, list) else value


ToolSpecs = Annotated[list[dict[str, Any]], BeforeValidator(_all_parsed), AsJson]
"""Tools in OpenAI's schema. One text in Parquet files, which trainers parse."""


class _Function(TypedDict):
    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_parsed)]


class _Call(TypedDict):
    id: str
    type: str
    function: _Function


class AgentMessage(ChatMessage):
    """One message. An assistant's has its tool calls or, without tools, its steps in words; a tool's has the name and id of its call."""

    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[_Call]]
    name: NotRequired[str]
    tool_call_id: NotRequired[str]


class Step(TypedDict):
    """One step of an agent. `exchange` counts from 0; the action is a text, or a tool call as JSON."""

    exchange: int
    thought: str
    action: str
    observation: str


class MessagesRow(TalkRow):
    """A row of the format `conversational`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: list[ChatMessage]
    """The conversation, message by message."""


class ReasonedMessagesRow(TalkRow):
    """The same, with reasoning."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: Annotated[list[ReasonedMessage], BeforeValidator(_present)]
    """The conversation, message by message."""


class AgentMessagesRow(TalkRow):
    """The same, with tool calls and the tools."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: Annotated[list[AgentMessage], BeforeValidator(_present)]
    """The conversation, message by message."""
    tools: ToolSpecs = Field(default_factory=list)
    """The tools that the assistant can call, in OpenAI's schema. Outputs of version 0.1.0 have none."""


class InstructionFormatRow(BaseModel):
    """A row of the format `instruction`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    instruction: str
    """What the user asks."""
    response: str
    """The last answer, with its reasoning in front if there is any."""

    def as_pair(self) -> Pair:
        return Pair(self.instruction, self.response)


class ConversationRow(TalkRow):
    """A row of a conversation dataset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: list[ChatMessage]
    """The conversation, message by message."""
    model_id: str
    """The model that wrote the row, as it was asked for."""
    language: str
    """The code of the language that the row was asked for in."""
    uuid: str
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""


class ReasonedConversationRow(TalkRow):
    """A row of a conversation dataset with reasoning in words, one text for each answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: Annotated[list[ReasonedMessage], BeforeValidator(_present)]
    """The conversation, message by message."""
    reasoning: list[str]
    """The reasoning before each answer, one text an answer."""
    model_id: str
    """The model that wrote the row, as it was asked for."""
    language: str
    """The code of the language that the row was asked for in."""
    uuid: str
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""


class AgentConversationRow(TalkRow):
    """A row of a conversation dataset of an agent. `tools` are those that it could call."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: Annotated[list[AgentMessage], BeforeValidator(_present)]
    """The conversation, message by message."""
    steps: list[Step]
    """The steps of the agent: thought, action and observation."""
    tools: ToolSpecs
    """The tools that the assistant can call, in OpenAI's schema."""
    model_id: str
    """The model that wrote the row, as it was asked for."""
    language: str
    """The code of the language that the row was asked for in."""
    uuid: str
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""


class ToolMessagesRow(TalkRow):
    """A row of the format `conversational` of conversations with tools."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: Annotated[list[AgentMessage], BeforeValidator(_present)]
    """The conversation, message by message."""
    tools: ToolSpecs
    """The tools that the assistant can call, in OpenAI's schema."""


class ToolConversationRow(TalkRow):
    """A row of a conversation dataset of an assistant that calls `tools` where it needs them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: Annotated[list[AgentMessage], BeforeValidator(_present)]
    """The conversation, message by message."""
    tools: ToolSpecs
    """The tools that the assistant can call, in OpenAI's schema."""
    model_id: str
    """The model that wrote the row, as it was asked for."""
    language: str
    """The code of the language that the row was asked for in."""
    uuid: str
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""


_PLAIN: dict[Style, type[BaseModel]] = {
    "basic": ConversationRow,
    "freetext": ReasonedConversationRow,
    "agent": AgentConversationRow,
    "tools": ToolConversationRow,
}
_MESSAGES: dict[Style, type[BaseModel]] = {
    "basic": MessagesRow,
    "freetext": ReasonedMessagesRow,
    "agent": AgentMessagesRow,
    "tools": ToolMessagesRow,
}


class RowFormat:
    """Turns a validated conversation into a row.

    Args:
        style: the style of the conversations.
        system: the system message of every row; None for none.
        output_format: see the module.
        tools: the agent's tools.
        placeholders: more names that templates may use.
        first: whether rows are as version 0.1.0 wrote them.

    Raises:
        ConfigError: a template names something that does not exist.
    """

    def __init__(
        self,
        style: Style,
        *,
        system: str | None,
        output_format: str | Mapping[str, str] | None,
        tools: Tools | None,
        placeholders: Sequence[str] = (),
        first: bool = False,
    ) -> None:
        self._style = style
        self._system = system
        first = first and style != "tools"  # they came later
        self._first = first
        self._tools = tools.specs if tools else []
        if not first:  # some chat templates need a description of every tool
            self._tools = [{**spec, "function": {"description": "", **spec["function"]}} for spec in self._tools]
        self._format = output_format
        self._templates: dict[str, Template] = {}
        if isinstance(output_format, Mapping):
            _check_names(output_format)
            self._templates = {name: _template(name, text, placeholders) for name, text in output_format.items()}

    @property
    def system(self) -> str | None:
        """The system message of every row; None for none."""
        return self._system

    @cached_property
    def row_model(self) -> type[BaseModel]:
        """The model of the rows."""
        if self._templates:
            told = "Made of the conversation by the field's template in output_format."
            texts: Any = {name: (str, Field(description=told)) for name in self._templates}
            with foreign_warnings_ignored():  # a field may be called `json` or `copy`
                return create_model("CustomRow", __config__=ConfigDict(protected_namespaces=()), **texts)
        if self._format == "instruction":
            return InstructionFormatRow
        alone = self._format == "conversational"
        if self._style == "agent" and self._first:
            return FirstAgentMessagesRow if alone else FirstAgentRow
        if alone and not self._tools and self._style == "agent":
            return ReasonedMessagesRow
        return _MESSAGES[self._style] if alone else _PLAIN[self._style]

    def row(
        self,
        conversation: Conversation,
        *,
        model_id: str,
        language: str,
        uuid: str,
        metadata: Metadata,
    ) -> BaseModel:
        """The row of a conversation."""
        exchanges = conversation.exchanges
        if self._format == "instruction":
            return InstructionFormatRow(instruction=exchanges[0].user, response=self._answer(exchanges[-1]))
        more: dict[str, Any] = {}
        if self._style == "freetext":
            more["reasoning"] = [exchange.reasoning for exchange in exchanges]
        if self._style == "agent":
            more["steps"] = _steps(exchanges)
        return self._row(
            self._messages(exchanges),
            reasoning="\n\n".join(filter(None, map(self._thinking, exchanges))) if self._templates else "",
            more=more,
            model_id=model_id,
            language=language,
            uuid=uuid,
            metadata=metadata,
        )

    def row_of_messages(
        self, messages: list[dict[str, Any]], *, model_id: str, language: str, uuid: str, metadata: Metadata
    ) -> BaseModel:
        """The row of a conversation with tools."""
        return self._row(
            messages, reasoning="", more={}, model_id=model_id, language=language, uuid=uuid, metadata=metadata
        )

    def _row(
        self,
        messages: list[dict[str, Any]],
        *,
        reasoning: str,
        more: Mapping[str, Any],
        model_id: str,
        language: str,
        uuid: str,
        metadata: Metadata,
    ) -> BaseModel:
        if self._templates:
            values = self._values(messages, reasoning, language, metadata)
            return self.row_model(**{name: template.render(values) for name, template in self._templates.items()})
        tools = [orjson.dumps(spec).decode() for spec in self._tools] if self._first else self._tools
        fields: dict[str, Any] = {"messages": messages}
        if self._format is None:
            fields |= {"model_id": model_id, "language": language, "uuid": uuid, "metadata": metadata, **more}
            if self._style in ("agent", "tools"):
                fields["tools"] = tools
        elif tools and not self._first:
            fields["tools"] = tools
        return self.row_model.model_construct(**fields)

    def _values(
        self, messages: list[dict[str, Any]], reasoning: str, language: str, metadata: Metadata
    ) -> dict[str, str]:
        shaped = {name: "" if value is None else str(value) for name, value in metadata.items()}
        return {
            **shaped,
            "instruction": next(message["content"] for message in messages if message["role"] == "user"),
            "response": messages[-1]["content"],
            "reasoning": reasoning,
            "system": self._system or "",
            "messages": orjson.dumps(messages).decode(),
            "tools": f"[{', '.join(orjson.dumps(spec).decode() for spec in self._tools)}]",
            "language": language,
        }

    def _answer(self, exchange: Any) -> str:
        """An answer with the reasoning in front, if there is any: a format of two texts has no other place for it."""
        return "\n\n".join(filter(None, [self._thinking(exchange), exchange.assistant]))

    def _thinking(self, exchange: Any) -> str:
        if self._style == "freetext":
            return str(exchange.reasoning)
        if self._style == "agent":
            return "\n".join(
                f"Thought: {step.thought}\nAction: {_action(step)}\nObservation: {step.observation}"
                for step in exchange.steps
            )
        return ""

    def _messages(self, exchanges: Sequence[Any]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": self._system}] if self._system else []
        calls = 0
        for exchange in exchanges:
            messages.append({"role": "user", "content": exchange.user})
            answer: dict[str, Any] = {"role": "assistant", "content": exchange.assistant}
            if self._tools:
                for step in exchange.steps:
                    messages += (_first_call_messages if self._first else _call_messages)(step, calls)
                    calls += 1
            elif self._style != "basic":
                answer["reasoning_content"] = self._thinking(exchange)
            messages.append(answer)
        return messages


def _template(name: str, text: str, placeholders: Sequence[str]) -> Template:
    return Template.parse(
        text,
        mandatory=(),
        optional=FIELD_NAMES,
        placeholders=placeholders,
        field=f"output_format.{name}",
        closed=True,
    )


def _check_names(fields: Mapping[str, str]) -> None:
    if not fields:
        raise ConfigError(
            'output_format: The mapping is empty. Give at least one field, like {"prompt": "{instruction}"}.'
        )
    for name in fields:
        if not name.strip() or name.startswith("_") or name == "model_config":
            raise ConfigError(
                f"output_format: A field cannot be called {name!r}. Give it a name that begins with a letter."
            )


def call_id(number: int) -> str:
    """The id of a conversation's call: nine letters and digits, which is what Mistral's templates take."""
    return f"call{number:05}"


def called(calls: Sequence[Mapping[str, Any]], *, first: int, content: str = "") -> dict[str, Any]:
    """The message of an assistant that calls tools. `first` is the number of the first call in its conversation."""
    # No content is "" and not null, which some chat templates render as the word None.
    tool_calls = [
        {
            "id": call_id(number),
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for number, call in enumerate(calls, start=first)
    ]
    return {"role": "assistant", "content": content, "tool_calls": tool_calls}


def _call_messages(step: Any, number: int) -> list[dict[str, Any]]:
    return [
        called([step.action], first=number, content=step.thought),
        {"role": "tool", "content": step.observation, "name": step.action["name"], "tool_call_id": call_id(number)},
    ]


def _first_call_messages(step: Any, number: int) -> list[dict[str, Any]]:
    """The same as version 0.1.0 wrote it."""
    called, result = _call_messages(step, number)
    (call,) = called["tool_calls"]
    call["id"] = result["tool_call_id"] = f"call_{number}"
    call["function"]["arguments"] = orjson.dumps(call["function"]["arguments"]).decode()
    del result["name"]
    return [called, result]


def _steps(exchanges: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"exchange": number, "thought": step.thought, "action": _action(step), "observation": step.observation}
        for number, exchange in enumerate(exchanges)
        for step in exchange.steps
    ]


def _action(step: Any) -> str:
    return step.action if isinstance(step.action, str) else orjson.dumps(step.action).decode()
