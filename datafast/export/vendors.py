"""Tuning files of providers, as their documentation describes them. All are JSON Lines.

    together           {"messages": [...], "tools": [...]}, with reasoning: Together's conversational data
    together_dpo       {"input": {"messages": [...], "tools": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
    mistral            {"messages": [...], "tools": [...]}: mistral-finetune, with ids of calls of nine letters and digits
    gemini             {"systemInstruction": ..., "contents": [...], "tools": [{"functionDeclarations": [...]}]}: tuning on Vertex AI
    bedrock            {"schemaVersion": "bedrock-conversation-2024", "system": [...], "messages": [...]}: Amazon Bedrock
    bedrock_anthropic  {"system": ..., "messages": [...]}: Claude 3 Haiku on Amazon Bedrock

All want turns of the user and the assistant that alternate and end with an answer; other rows are left out, and counted. The formats of
OpenAI are in `chat`. Reasoning has a place in Together's alone.

Sources: https://docs.together.ai/docs/fine-tuning/data-preparation, /function-calling and /reasoning
https://github.com/mistralai/mistral-finetune#instruct
https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare and /tune-function-calling
https://docs.aws.amazon.com/bedrock/latest/userguide/preparing-text-data.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from datafast.export.formats import Format, Record, Row
from datafast.export.messages import Tools
from datafast.export.reading import Unfit, as_answer, as_prompt
from datafast.export.turns import OPENAI_KEYS, Message, content_of, openai_messages, system_and_rest, turns_of
from datafast.types import Messages, Preference

__all__ = ["Bedrock", "BedrockAnthropic", "Gemini", "Mistral", "Together", "TogetherDpo"]

_TOGETHER_KEYS = (*OPENAI_KEYS, "reasoning_content")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NINE = re.compile(r"[a-zA-Z0-9]{9}")


class _Vendor(Format):
    """A file that is uploaded."""

    containers = ("jsonl",)

    def tools_column(self) -> dict[str, Any]:
        return {"tools": Tools} if "tools" in self.row_model.model_fields else {}

    def tools_of(self, row: Row) -> dict[str, Any]:
        tools = self.reader.tools(row)
        return {"tools": tools} if tools else {}


class Together(_Vendor):
    """Conversations as Together's fine-tuning reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"messages": self.message_list(arguments_as_text=True), **self.tools_column()}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        turns_of(system_and_rest(read)[1])
        yield {"messages": openai_messages(read, _TOGETHER_KEYS), **self.tools_of(row)}


class TogetherDpo(_Vendor):
    """A better and a worse answer as Together's preference fine-tuning reads them."""

    reads = "preference"

    def columns(self) -> Mapping[str, Any]:
        return dict.fromkeys(("input", "preferred_output", "non_preferred_output"), Any)

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        prompt = as_prompt(read.prompt)
        turns_of(system_and_rest(prompt)[1], answered=False)
        answers = [openai_messages(as_answer(answer), _TOGETHER_KEYS) for answer in (read.chosen, read.rejected)]
        if any(len(answer) != 1 or answer[0]["role"] != "assistant" for answer in answers):
            raise Unfit("has an answer of more than one message")
        told = {"messages": openai_messages(prompt, _TOGETHER_KEYS), **self.tools_of(row)}
        yield {"input": told, "preferred_output": answers[0], "non_preferred_output": answers[1]}


class Mistral(_Vendor):
    """Conversations as mistral-finetune reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"messages": self.message_list(reasoning=False, arguments_as_text=True), **self.tools_column()}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, rest = system_and_rest(read)
        tools = self.tools_of(row)
        names = [tool["function"]["name"] for tool in tools.get("tools", ())]
        names += [call["function"]["name"] for message in rest for call in message.get("tool_calls") or ()]
        if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
            raise Unfit("has a tool whose name is not letters, digits, _ and -")
        told: Messages = [] if system is None else [{"role": "system", "content": system}]
        calls: Sequence[Mapping[str, Any]] = ()
        for turn in turns_of(rest):
            if turn[0]["role"] == "tool":
                told += _results(turn, calls)
                continue
            calls = turn[0].get("tool_calls") or ()
            told.append(_asked_or_said(turn[0], calls))
        yield {"messages": told, **tools}


def _asked_or_said(message: Message, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A message of the user or the assistant, which has text or calls."""
    (told,) = openai_messages([dict(message)])
    if not calls:
        return {"role": told["role"], "content": content_of(message)}
    if content_of(message).strip():
        raise Unfit("has text beside a call, for which there is no place")
    named = [{**call, "id": _nine(call.get("id"), place)} for place, call in enumerate(told["tool_calls"])]
    return {"role": "assistant", "tool_calls": named}


def _results(turn: Sequence[Message], calls: Sequence[Mapping[str, Any]]) -> Messages:
    """The results of calls, with the names of these."""
    found = []
    for place, (message, call) in enumerate(_with_calls(turn, calls)):
        name = _nine(call.get("id"), place)
        found.append({"role": "tool", "content": content_of(message), "tool_call_id": name})
    return found


def _with_calls(
    turn: Sequence[Message], calls: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Message, Mapping[str, Any]]]:
    """Each result with its call: that of its id, or that in its place. Raises Unfit."""
    if len(turn) != len(calls):
        raise Unfit("has another number of results than of calls")
    by_id = {call.get("id"): call for call in calls}
    known = len(by_id) == len(calls) and {message.get("tool_call_id") for message in turn} == by_id.keys()
    for place, message in enumerate(turn):
        yield message, by_id[message.get("tool_call_id")] if known else calls[place]


def _nine(name: Any, place: int) -> str:
    """The id of a call in nine letters and digits: itself, or what is made of it and is the same for its result."""
    if isinstance(name, str) and _NINE.fullmatch(name):
        return name
    return f"call{place:05}" if name is None else blake2b(str(name).encode(), digest_size=5).hexdigest()[:9]


class Gemini(_Vendor):
    """Conversations as the tuning of Gemini on Vertex AI reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        tools = {"tools": Any} if "tools" in self.row_model.model_fields else {}
        return {"systemInstruction": Any, "contents": Any, **tools}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, rest = system_and_rest(read)
        told: Record = {} if system is None else {"systemInstruction": {"role": "system", "parts": [{"text": system}]}}
        contents: list[dict[str, Any]] = []
        calls: Sequence[Mapping[str, Any]] = ()
        for turn in turns_of(rest):
            if turn[0]["role"] == "tool":
                parts = [_response(message, call) for message, call in _with_calls(turn, calls)]
            else:
                calls = turn[0].get("tool_calls") or ()
                parts = _parts(turn[0], calls)
            contents.append({"role": "model" if turn[0]["role"] == "assistant" else "user", "parts": parts})
        told["contents"] = contents
        if tools := self.reader.tools(row):
            told["tools"] = [{"functionDeclarations": [_declared(tool["function"]) for tool in tools]}]
        yield told


def _parts(message: Message, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    text = content_of(message)
    made = [
        {"functionCall": {"name": call["function"]["name"], "args": _arguments(call["function"]["arguments"])}}
        for call in calls
    ]
    return [*([{"text": text}] if text or not made else []), *made]


def _arguments(arguments: Any) -> dict[str, Any]:
    if not isinstance(arguments, Mapping):
        raise Unfit("has a call whose arguments are not an object")
    return dict(arguments)


def _response(message: Message, call: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a call: an object, or its text as `output` of one."""
    text = content_of(message)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = text
    response = found if isinstance(found, dict) else {"output": found}
    return {"functionResponse": {"name": call["function"]["name"], "response": response}}


def _declared(function: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: function[key] for key in ("name", "description") if function.get(key)}
    if function.get("parameters"):
        told["parameters"] = _schema(function["parameters"])
    return told


def _schema(schema: Any) -> Any:
    """A JSON schema as Gemini's `Schema`: types in capitals, and null as `nullable`."""
    if not isinstance(schema, Mapping):
        return schema
    told = dict(schema)
    kinds = told.get("type")
    if isinstance(kinds, list):
        rest = [kind for kind in kinds if kind != "null"]
        if len(rest) != 1:
            raise Unfit("has a tool with a parameter of several types")
        kinds, told["nullable"] = rest[0], len(rest) < len(kinds)
    if isinstance(kinds, str):
        told["type"] = kinds.upper()
    for name in ("properties", "$defs", "defs"):
        if isinstance(told.get(name), Mapping):
            told[name] = {key: _schema(value) for key, value in told[name].items()}
    if "items" in told:
        told["items"] = _schema(told["items"])
    if isinstance(told.get("anyOf"), list):
        told["anyOf"] = [_schema(one) for one in told["anyOf"]]
    return told


class Bedrock(_Vendor):
    """Conversations as Amazon Bedrock's fine-tuning reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"schemaVersion": str, "system": Any, "messages": Any}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, turns = _texts(read)
        told = {} if system is None else {"system": [{"text": system}]}
        messages = [{"role": role, "content": [{"text": text}]} for role, text in turns]
        yield {"schemaVersion": "bedrock-conversation-2024", **told, "messages": messages}


class BedrockAnthropic(_Vendor):
    """Conversations as the fine-tuning of Claude on Amazon Bedrock reads them."""

    reads = "messages"

    def columns(self) -> Mapping[str, Any]:
        return {"system": str | None, "messages": list[dict[str, str]]}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        system, turns = _texts(read)
        told = {} if system is None else {"system": system}
        yield {**told, "messages": [{"role": role, "content": text} for role, text in turns]}


def _texts(messages: Messages) -> tuple[str | None, list[tuple[str, str]]]:
    """The system message, and who says what, where there are no calls of tools."""
    system, rest = system_and_rest(messages)
    turns = [turn[0] for turn in turns_of(rest)]
    if any(message["role"] == "tool" or message.get("tool_calls") for message in turns):
        raise Unfit("has calls of tools, for which there is no place")
    return system, [(message["role"], content_of(message)) for message in turns]
