"""TRL's dataset types: the columns that its trainers look for.

    language_modeling   {"text": ...}
    trl_conversational  {"messages": [...], "tools": [...]}, also called trl
    prompt_only         {"prompt": ..., "tools": [...]}
    prompt_completion   {"prompt": ..., "completion": ..., "tools": [...]}
    dpo                 {"prompt": ..., "chosen": ..., "rejected": ...}
    dpo_implicit        {"chosen": ..., "rejected": ...}, both with the prompt in front
    kto                 {"prompt": ..., "completion": ..., "label": ...}, two rows a pair: the better answer is true, the worse one false
    stepwise            {"prompt": ..., "completions": [...], "labels": [...]}

Prompts and answers are messages, to which a trainer applies the chat template, or texts with the option `texts`, for models without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from datafast.errors import ConfigError
from datafast.export.formats import Format, Options, Record, Row
from datafast.export.messages import Tools
from datafast.export.reading import Reader, Unfit, as_answer, as_prompt
from datafast.types import Messages, Pair, Preference, Steps

__all__ = [
    "Dpo",
    "DpoImplicit",
    "Kto",
    "LanguageModeling",
    "PromptCompletion",
    "PromptOnly",
    "Stepwise",
    "TrlConversational",
]


class LanguageModeling(Format):
    """A text to go on writing (TRL: language modeling)."""

    reads = "text"

    def columns(self) -> Mapping[str, Any]:
        return {"text": str}

    def records(self, read: str, row: Row) -> Iterator[Record]:
        yield {"text": read}


class TrlFormat(Format):
    """What formats with messages or texts and with tools share."""

    def told(self, *names: str) -> dict[str, Any]:
        """Columns of messages or texts of these names, and of tools where rows have some."""
        kind = str if self.options.texts else self.message_list()
        return {**dict.fromkeys(names, kind), **self.tools_column()}

    def tools_column(self) -> dict[str, Any]:
        return {"tools": Tools} if "tools" in self.row_model.model_fields else {}

    def tools_of(self, row: Row) -> dict[str, Any]:
        tools = self.reader.tools(row)
        return {"tools": tools} if tools else {}

    def prompt(self, prompt: str | Messages) -> str | Messages:
        return _one_text(prompt, "user") if self.options.texts else as_prompt(prompt)

    def answer(self, answer: str | Messages) -> str | Messages:
        return _one_text(answer, "assistant") if self.options.texts else as_answer(answer)


def _one_text(said: str | Messages, role: str) -> str:
    if isinstance(said, str):
        return said
    if len(said) == 1 and said[0]["role"] == role and "tool_calls" not in said[0]:
        content = said[0]["content"]
        if isinstance(content, str):
            return content
    raise Unfit("is more than one text for a prompt and one for its answer")


class TrlConversational(TrlFormat):
    """Conversations with their tools, for chat templates (TRL: conversational)."""

    reads = "messages"

    def __init__(self, row_model: type[BaseModel], reader: Reader, options: Options) -> None:
        super().__init__(row_model, reader, options)
        if options.texts:
            raise ConfigError(
                "texts: This format has messages. Leave it out, or choose prompt_completion.", key="texts"
            )

    def columns(self) -> Mapping[str, Any]:
        return self.told("messages")

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        yield {"messages": read, **self.tools_of(row)}


class PromptOnly(TrlFormat):
    """What is asked, without an answer (TRL: prompt-only; for GRPO, RLOO and the like)."""

    reads = "prompt"

    def columns(self) -> Mapping[str, Any]:
        return self.told("prompt")

    def records(self, read: str | Messages, row: Row) -> Iterator[Record]:
        yield {"prompt": self.prompt(read), **self.tools_of(row)}


class PromptCompletion(TrlFormat):
    """What is asked and what is answered (TRL: prompt-completion)."""

    reads = "pair"

    def columns(self) -> Mapping[str, Any]:
        return self.told("prompt", "completion")

    def records(self, read: Pair, row: Row) -> Iterator[Record]:
        yield {"prompt": self.prompt(read.prompt), "completion": self.answer(read.completion), **self.tools_of(row)}


class Dpo(TrlFormat):
    """A better and a worse answer to an explicit prompt (TRL: preference; for DPO and reward models)."""

    reads = "preference"

    def columns(self) -> Mapping[str, Any]:
        return self.told("prompt", "chosen", "rejected")

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        yield {
            "prompt": self.prompt(read.prompt),
            "chosen": self.answer(read.chosen),
            "rejected": self.answer(read.rejected),
            **self.tools_of(row),
        }


class DpoImplicit(TrlFormat):
    """A better and a worse conversation that begin alike (TRL: preference with an implicit prompt)."""

    reads = "preference"

    def columns(self) -> Mapping[str, Any]:
        return self.told("chosen", "rejected")

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        whole = {"chosen": self._whole(read.prompt, read.chosen), "rejected": self._whole(read.prompt, read.rejected)}
        yield {**whole, **self.tools_of(row)}

    def _whole(self, prompt: str | Messages, answer: str | Messages) -> str | Messages:
        if self.options.texts:
            return f"{_one_text(prompt, 'user')}\n\n{_one_text(answer, 'assistant')}"
        return as_prompt(prompt) + as_answer(answer)


class Kto(TrlFormat):
    """Answers that are good or bad, two rows a pair (TRL: unpaired preference; for KTO)."""

    reads = "preference"

    def columns(self) -> Mapping[str, Any]:
        return {**self.told("prompt", "completion"), "label": bool}

    def records(self, read: Preference, row: Row) -> Iterator[Record]:
        for answer, label in ((read.chosen, True), (read.rejected, False)):
            told = {"prompt": self.prompt(read.prompt), "completion": self.answer(answer), "label": label}
            yield {**told, **self.tools_of(row)}


class Stepwise(Format):
    """Steps of an answer, each right or wrong (TRL: stepwise supervision; for process reward models)."""

    reads = "steps"

    def columns(self) -> Mapping[str, Any]:
        return {"prompt": str, "completions": list[str], "labels": list[bool]}

    def records(self, read: Steps, row: Row) -> Iterator[Record]:
        yield {"prompt": read.prompt, "completions": read.completions, "labels": read.labels}
