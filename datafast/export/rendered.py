"""Conversations as one text, by the chat template that a model's tokenizer comes with.

    chat_template   {"text": "<|im_start|>user\\n..."}

The text has all that the template writes, often with a token for its beginning: a trainer that adds one by itself is to be told not to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from datafast._util.tokenizer import tokenizer_file
from datafast.errors import ConfigError
from datafast.export.formats import Format, Options, Record, Row
from datafast.export.reading import Reader, Unfit
from datafast.templates.chat_template import ChatTemplate, RefusedByTemplate
from datafast.types import Messages

__all__ = ["Rendered"]


class Rendered(Format):
    """Each conversation as one text, with its tools, by the chat template of a model."""

    reads = "messages"

    def __init__(self, row_model: type[BaseModel], reader: Reader, options: Options) -> None:
        super().__init__(row_model, reader, options)
        if options.tokenizer is None:
            raise ConfigError(
                "tokenizer: The format chat_template needs a chat template. Give the folder of a model.",
                key="tokenizer",
            )
        if not options.tokenizer.exists():
            raise ConfigError(
                f"tokenizer: There is no {options.tokenizer}. Give the folder of a model.", key="tokenizer"
            )
        self._template = ChatTemplate(tokenizer_file(options.tokenizer).parent)

    def columns(self) -> Mapping[str, Any]:
        return {"text": str}

    def records(self, read: Messages, row: Row) -> Iterator[Record]:
        if self._template.leaves_calls_away and any(message.get("tool_calls") for message in read):
            raise Unfit("has calls of tools, which the chat template leaves away")
        try:
            yield {"text": self._template.render(read, self.reader.tools(row))}
        except RefusedByTemplate as error:
            raise Unfit(f"is refused by the chat template: {error}") from error
