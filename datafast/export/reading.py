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
from typing import Any

from pydantic import BaseModel

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.export.by_columns import NAMES, Reading, Row, ways_by_columns
from datafast.export.talk import Unfit, message_of, parsed, to_last_question, tool_of
from datafast.types import Messages, Pair, Preference

__all__ = ["READINGS", "Reader", "Reading", "Row", "Unfit"]

READINGS: tuple[Reading, ...] = ("row", "text", "messages", "prompt", "pair", "preference", "steps", "label")


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
        for name, column in read_as.items():
            if name not in NAMES:
                hint = did_you_mean(name, NAMES)
                raise ConfigError(f"read_as: Nothing is read by the name {name!r}. {hint}", key="read_as")
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
        tools = parsed(row.get("tools")) if "tools" in self._fields else None
        return [tool_of(parsed(tool)) for tool in tools] if isinstance(tools, list) else []

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
            return self._with_thought([message_of(one) for one in found], row)
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

    def _by_columns(self, columns: Collection[str]) -> dict[Reading, Callable[[Row], Any]]:
        """What the names of columns say."""
        ways: dict[Reading, Callable[[Row], Any]] = ways_by_columns(columns, getattr(self._model, "compared", None))
        if "messages" in ways:
            talk = ways["messages"]
            ways["messages"] = lambda row: self._with_thought(talk(row), row)
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
    asked = to_last_question(messages)
    if asked == len(messages):
        raise Unfit("ends without an answer")
    return Pair(messages[:asked], messages[asked:])
