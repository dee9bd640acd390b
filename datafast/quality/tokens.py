"""How many tokens a row has, as a trainer counts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datafast._util.digest import digest
from datafast._util.tokenizer import load_tokenizer, tokenizer_file
from datafast.errors import ConfigError
from datafast.templates.chat_template import ChatTemplate

__all__ = ["TokenCounter", "messages_of"]


class TokenCounter:
    """Counts by the tokenizer of a `tokenizer.json`, or of a folder with one.

    Raises:
        ConfigError: the file cannot be read.
        MissingExtraError: tokenizers is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._tokenizer = load_tokenizer(path)
        self._file = tokenizer_file(path)

    @cached_property
    def template(self) -> ChatTemplate:
        """The chat template beside the tokenizer. Raises ConfigError if there is none."""
        return ChatTemplate(self._file.parent)

    def of_texts(self, texts: Iterable[str]) -> int:
        """Tokens of texts, each with the special tokens that the tokenizer adds to it."""
        return sum(len(self._tokenizer.encode(text).ids) for text in texts)

    def of_messages(self, messages: Sequence[Mapping[str, Any]], tools: Any = None) -> int:
        """Tokens of messages in the form that the chat template gives them.

        Raises:
            RefusedByTemplate: the chat template refuses them.
        """
        text = self.template.render(messages, tools if isinstance(tools, list) else None)
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    @property
    def digest(self) -> str:
        """Stands for all that its counts depend on."""
        try:
            template = self.template.written
        except ConfigError:
            template = ""
        try:
            return digest(self._file.read_bytes(), template).hex()
        except OSError as error:
            raise ConfigError(f"tokenizer: {self._file} cannot be read: {error}. Give the file of a model.") from None


def messages_of(value: Any) -> list[dict[str, Any]] | None:
    """A value as the messages of a conversation; None if it is not one."""
    if isinstance(value, list | tuple) and value:
        told = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in value]
        if all(isinstance(each, Mapping) and "role" in each for each in told):
            return [dict(each) for each in told]
    return None
