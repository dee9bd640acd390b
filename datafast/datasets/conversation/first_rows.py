"""Rows of agents as version 0.1.0 wrote them: tools and arguments as JSON text. What it has begun is finished in this form."""

from __future__ import annotations

from typing import NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from datafast.datasets.config import Metadata
from datafast.datasets.row import TalkRow

__all__ = ["FirstAgentMessagesRow", "FirstAgentRow"]


class _Function(TypedDict):
    name: str
    arguments: str


class _Call(TypedDict):
    id: str
    type: str
    function: _Function


class _Message(TypedDict):
    role: str
    content: str
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[_Call]]
    tool_call_id: NotRequired[str]


class _Step(TypedDict):
    exchange: int
    thought: str
    action: str
    observation: str


class FirstAgentMessagesRow(TalkRow):
    """The messages alone."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: list[_Message]
    """The conversation, message by message."""


class FirstAgentRow(TalkRow):
    """The messages with everything about their origin."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    messages: list[_Message]
    """The conversation, message by message."""
    steps: list[_Step]
    """The steps of the agent: thought, action and observation."""
    tools: list[str]
    """The tools that the agent can call, each as JSON text."""
    model_id: str
    """The model that wrote the row, as it was asked for."""
    language: str
    """The code of the language that the row was asked for in."""
    uuid: str
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""
