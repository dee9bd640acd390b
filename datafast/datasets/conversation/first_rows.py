"""Rows of agents as version 0.1.0 wrote them: tools and arguments as JSON text. What it has begun is finished in this form."""

from __future__ import annotations

from typing import NotRequired

from pydantic import Field
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

    messages: list[_Message]


class FirstAgentRow(TalkRow):
    """The messages with everything about their origin."""

    messages: list[_Message]
    steps: list[_Step]
    tools: list[str]
    model_id: str
    language: str
    uuid: str
    metadata: Metadata = Field(default_factory=dict)
