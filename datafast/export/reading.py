"""How rows read: as a text, as messages, as a question and its answer, as a preference. Formats work from this alone.

A row model says it by its methods, as far as it can:

    as_text() -> str                 a text to go on writing
    as_messages() -> list of messages
    as_pair() -> Pair                what is asked, and what is answered
    as_preference() -> Preference    what is asked, a better answer and a worse one
    as_steps() -> Steps              what is asked, and steps of an answer, each right or wrong
    as_label() -> str                the class of the text

What follows from others need not be said: messages from a pair, the last answer from messages, the better answer from a preference.
`prompt_document` names a field that can stand before the prompt; `answer_part` says whose reasoning is that of the answer.
Models without such methods (those of columns, of pipelines, and of other people's files) are read by the names of their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Literal

import orjson
from pydantic import BaseModel

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.types import Messages, Pair, Preference, Steps

__all__ = ["READINGS", "Reader", "Reading", "Row", "Unfit"]

Row = Mapping[str, Any]
Reading = Literal["row", "text", "messages", "prompt", "pair", "preference", "steps", "label"]
READINGS: tuple[Reading, ...] = ("row", "text", "messages", "prompt", "pair", "preference", "steps", "label")

# Names of columns that other people give, the most telling ones first.
_MESSAGES = ("messages", "conversations", "conversation")
_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("input", "output"),
    ("text", "label"),
)
_PROMPTS = ("prompt", "question", "instruction", "query")
_PREFERENCES = (("chosen", "rejected"), ("chosen_response", "rejected_response"))
_ROLES = {"human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"}


class Unfit(Exception):
    """A row that cannot be read this way, and why; it is left out and counted."""


class Reader:
    """How the rows of one model read.

    Args:
        row_model: the model.
        with_document: put the document that a row is about before its prompt.
        read_as: columns by the names that they are read by, like `{"prompt": "topic"}`; what the model says is then left aside.

    Raises:
        ConfigError: `with_document`, and the rows have none; or there is no such column.
    """

    def __init__(
        self,
        row_model: type[BaseModel],
        *,
        with_document: bool = False,
        read_as: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._model = row_model
        self._fields = row_model.model_fields
        for column in read_as.values():
            if column not in self._fields:
                hint = did_you_mean(column, self._fields)
                raise ConfigError(f"read_as: The rows have no column {column!r}. {hint}", key="read_as")
        self._document: str | None = None
        if with_document:
            self._document = getattr(row_model, "prompt_document", None)
            if self._document is None:
                raise ConfigError(
                    f"with_document: Rows with {', '.join(self._fields)} have no document beside their prompt. Leave it out.",
                    key="with_document",
                )
        own = {} if read_as else self._declared()
        ways = own or self._by_columns([*read_as] or self._fields)
        if read_as:
            ways = {way: _renamed(read, read_as) for way, read in ways.items()}
        self._ways: dict[Reading, Callable[[Row], Any]] = {"row": lambda row: row, **_derived(ways)}

    @property
    def can(self) -> Collection[Reading]:
        """The ways in which these rows can be read."""
        return [way for way in READINGS if way in self._ways]

    def read(self, way: Reading, row: Row) -> Any:
        """A row, read in one of these ways. Raises Unfit."""
        return self._ways[way](row)

    def tools(self, row: Row) -> list[dict[str, Any]]:
        """The tools that the assistant of a row has, in OpenAI's schema."""
        tools = _parsed(row.get("tools")) if "tools" in self._fields else None
        return [_tool(_parsed(tool)) for tool in tools] if isinstance(tools, list) else []

    def _declared(self) -> dict[Reading, Callable[[Row], Any]]:
        """What the model's own methods say."""
        model = self._model
        ways: dict[Reading, Callable[[Row], Any]] = {}

        def way(method: str) -> Callable[[Row], Any]:
            call = getattr(model, method)

            def read(row: Row) -> Any:
                found = call(model.model_construct(**row))
                if found is None:
                    raise Unfit("has nothing of this kind")
                return self._completed(found, row)

            return read

        for name in READINGS[1:]:
            if name != "prompt" and hasattr(model, f"as_{name}"):
                ways[name] = way(f"as_{name}")
        return ways

    def _completed(self, found: Any, row: Row) -> Any:
        """What was read, with the document before its prompt, and with what the model thought before its answer."""
        if isinstance(found, list):
            return self._with_thought([_message(one) for one in found], row)
        if isinstance(found, Pair):
            prompt = self._after_document(found.prompt, row)
            answer = found.completion
            thought = self._thought(row, declared=True) if isinstance(answer, str) else None
            if thought is not None:
                answer = [{"role": "assistant", "reasoning_content": thought, "content": answer}]
            return Pair(prompt, answer)
        if isinstance(found, Preference):
            return Preference(self._after_document(found.prompt, row), found.chosen, found.rejected)
        return found

    def _after_document(self, prompt: str | Messages, row: Row) -> str | Messages:
        if self._document is None:
            return prompt
        document = str(row[self._document])
        if isinstance(prompt, str):
            return f"{document}\n\n{prompt}"
        first = next(number for number, message in enumerate(prompt) if message["role"] == "user")
        told = {**prompt[first], "content": f"{document}\n\n{prompt[first]['content']}"}
        return [*prompt[:first], told, *prompt[first + 1 :]]

    def _with_thought(self, messages: Messages, row: Row) -> Messages:
        """The messages with the field `reasoning` of the row as the reasoning of its answer. Where there are several answers it is not
        known which of them it belongs to, and where an answer has its own, that stands."""
        thought = self._thought(row)
        answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        if thought is None or len(answers) != 1:
            return messages
        only = answers[0]
        return [*messages[:only], {"reasoning_content": thought, **messages[only]}, *messages[only + 1 :]]

    def _thought(self, row: Row, *, declared: bool = False) -> str | None:
        """What the model thought before its answer. `declared`: only where the model says that it is about the answer."""
        told = row.get("reasoning")
        if isinstance(told, Mapping):
            told = told.get(getattr(self._model, "answer_part", ""))
        elif declared and not hasattr(self._model, "answer_part"):
            return None
        return told if isinstance(told, str) and told else None

    # -- by the names of columns

    def _by_columns(self, columns: Collection[str]) -> dict[Reading, Callable[[Row], Any]]:
        names = dict.fromkeys(columns)
        ways: dict[Reading, Callable[[Row], Any]] = {}
        if any(name in names for name in _MESSAGES):
            talk = next(name for name in _MESSAGES if name in names)
            ways["messages"] = lambda row: self._with_thought(_talk(_given(row, talk), row), row)
        if pair := next((pair for pair in _PAIRS if names.keys() >= set(pair)), None):
            ways["pair"] = lambda row: _pair(row, *pair)
        if asked := next((name for name in _PROMPTS if name in names), None):
            ways["prompt"] = lambda row: _asked(row, asked)
        if compared := getattr(self._model, "compared", None):
            if asked is not None and asked not in compared:
                ways["preference"] = lambda row: _preferred(row, asked, compared)
        elif two := next((two for two in _PREFERENCES if names.keys() >= set(two)), None):
            ways["preference"] = lambda row: _preference(row, asked, *two)
        if names.keys() >= {"prompt", "completions", "labels"}:
            ways["steps"] = _steps
        if "text" in names:
            ways["text"] = lambda row: _text(row, "text")
        if names.keys() >= {"text", "label"}:
            ways["label"] = lambda row: _given(row, "label")
        return ways


def _renamed(read: Callable[[Row], Any], names: Mapping[str, str]) -> Callable[[Row], Any]:
    """Reads a row by other names for its columns."""
    return lambda row: read({name: row.get(column) for name, column in names.items()})


def _derived(ways: dict[Reading, Callable[[Row], Any]]) -> dict[Reading, Callable[[Row], Any]]:
    """The ways with those that follow from them."""
    if "messages" in ways and "pair" not in ways:
        talk = ways["messages"]
        ways["pair"] = lambda row: _last_answer(talk(row))
    if "preference" in ways and "pair" not in ways:
        judged = ways["preference"]
        ways["pair"] = lambda row: _better(judged(row))
    if "pair" in ways:
        asked = ways["pair"]
        ways.setdefault("messages", lambda row: as_prompt((pair := asked(row)).prompt) + as_answer(pair.completion))
        ways.setdefault("prompt", lambda row: asked(row).prompt)
    return ways


def as_prompt(prompt: str | Messages) -> Messages:
    """What is asked, as messages."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def as_answer(answer: str | Messages) -> Messages:
    """What is answered, as messages."""
    return [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer


def _better(judged: Preference) -> Pair:
    return Pair(judged.prompt, judged.chosen)


def _last_answer(messages: Messages) -> Pair:
    """The last question with all before it, and what follows it: the answer, with its calls of tools."""
    asked = max((number for number, one in enumerate(messages) if one["role"] == "user"), default=-1)
    if asked < 0 or asked + 1 == len(messages):
        raise Unfit("ends without an answer")
    return Pair(messages[: asked + 1], messages[asked + 1 :])


def _given(row: Row, name: str) -> Any:
    value = row.get(name)
    if value is None:
        raise Unfit(f"has no {name}")
    return value


def _text(row: Row, name: str) -> str:
    value = _given(row, name)
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else str(value)


def _said(row: Row, name: str) -> str | Messages:
    """A text or messages, whatever a column holds."""
    value = _given(row, name)
    return _talk(value, {}) if isinstance(value, list) else _text(row, name)


def _asked(row: Row, name: str) -> str | Messages:
    """A prompt, after its system message if there is one; an instruction with its input."""
    prompt = _said(row, name)
    if name == "instruction" and isinstance(prompt, str) and row.get("input"):
        prompt = f"{prompt}\n\n{_text(row, 'input')}"
    system = row.get("system")
    if isinstance(system, str) and system and isinstance(prompt, str):
        return [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return prompt


def _pair(row: Row, asked: str, answered: str) -> Pair:
    return Pair(_asked(row, asked), _said(row, answered))


def _preferred(row: Row, asked: str, compared: tuple[str, str]) -> Preference:
    one, other = compared
    if row.get("preferred") not in compared:
        raise Unfit("prefers neither text")
    first = row["preferred"] == one
    return Preference(_asked(row, asked), _text(row, one if first else other), _text(row, other if first else one))


def _preference(row: Row, asked: str | None, better: str, worse: str) -> Preference:
    chosen, rejected = _said(row, better), _said(row, worse)
    if asked is not None:
        return Preference(_asked(row, asked), chosen, rejected)
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise Unfit("has no prompt")
    shared = next((n for n, two in enumerate(zip(chosen, rejected, strict=False)) if two[0] != two[1]), 0)
    if not shared or shared == min(len(chosen), len(rejected)):
        raise Unfit("has answers that do not follow one prompt")
    return Preference(chosen[:shared], chosen[shared:], rejected[shared:])


def _steps(row: Row) -> Steps:
    completions, labels = _given(row, "completions"), _given(row, "labels")
    if not isinstance(completions, list) or not isinstance(labels, list) or len(completions) != len(labels):
        raise Unfit("has another number of labels than of steps")
    if not all(isinstance(step, str) for step in completions) or not all(isinstance(label, bool) for label in labels):
        raise Unfit("has steps that are not texts, or labels that are not true or false")
    return Steps(_text(row, "prompt"), completions, labels)


def _talk(turns: Any, row: Row) -> Messages:
    """Messages, from those of OpenAI's or ShareGPT's form."""
    if not isinstance(turns, list) or not turns:
        raise Unfit("has no messages")
    messages = [_message(turn) for turn in turns]
    system = row.get("system")
    if isinstance(system, str) and system and messages and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """One message, without nulls, with the arguments of calls as objects."""
    if not isinstance(turn, Mapping):
        raise Unfit("has a message that is not an object")
    if "role" not in turn:
        return _of_sharegpt(turn)
    message = {key: value for key, value in turn.items() if value is not None}
    if not isinstance(message.get("role"), str):
        raise Unfit("has a message without a role")
    calls = message.get("tool_calls")
    if calls and not isinstance(calls, list):
        raise Unfit("has calls that are not a list")
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    elif "tool_calls" in message:
        del message["tool_calls"]
    if not isinstance(message.setdefault("content", ""), str | list):
        raise Unfit("has a message that is not text")
    return message


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Unfit("has a call without a function")
    return {**call, "function": {**function, "arguments": _parsed(function.get("arguments"))}}


def _of_sharegpt(turn: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(turn.get("value"), str) or "from" not in turn:
        raise Unfit("has a message without a role")
    speaker, said = str(turn["from"]), turn["value"]
    if speaker == "function_call":
        thought, told = _after_thought(said)
        found = _parsed(told)
        calls = found if isinstance(found, list) else [found]
        if not calls or not all(isinstance(call, Mapping) and isinstance(call.get("name"), str) for call in calls):
            raise Unfit("has a call that is not JSON")
        return {"role": "assistant", "content": thought, "tool_calls": [_called(call) for call in calls]}
    return {"role": _ROLES.get(speaker, speaker), "content": said}


def _after_thought(said: str) -> tuple[str, str]:
    """What stands in <think> tags before a call, and the call."""
    thought, ended, told = said.strip().partition("</think>")
    return (thought.removeprefix("<think>").strip(), told) if ended and thought.startswith("<think>") else ("", said)


def _called(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": call["name"], "arguments": _parsed(call.get("arguments", {}))}}


def _tool(tool: Any) -> dict[str, Any]:
    """A tool in OpenAI's schema, also one that is its function alone."""
    if isinstance(tool, Mapping) and isinstance(tool.get("function"), Mapping):
        return dict(tool)
    if isinstance(tool, Mapping) and isinstance(tool.get("name"), str):
        return {"type": "function", "function": dict(tool)}
    raise Unfit("has a tool without a function")


def _parsed(value: Any) -> Any:
    """JSON text as what it stands for; other text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
