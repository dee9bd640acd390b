"""Messages -> the tokens of a prompt, by the model's own chat template or, if it has none, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from datafast.types import Message

__all__ = ["NoPrompt", "prompt_tokens"]

_SYSTEM = {"developer", "system"}
_NAMES = {"assistant": "Assistant", "user": "User"}


class NoPrompt(Exception):
    """The chat template cannot make a prompt of these messages; the text says why."""


def prompt_tokens(tokenizer: Any, messages: Sequence[Message], template: Mapping[str, Any]) -> list[int]:
    """The tokens of the whole prompt, never cut.

    Args:
        template: more values for the chat template.

    Raises:
        NoPrompt: the template refuses the messages.
    """
    if not tokenizer.chat_template:
        return _tokens(tokenizer, _plain(messages), add_special_tokens=True)
    try:
        text = _rendered(tokenizer, messages, template)
    except TemplateError:
        # Some have no system message, others want the roles to alternate from the first message on.
        text = _rendered_without_system(tokenizer, messages, template)
    return _tokens(tokenizer, text, add_special_tokens=False)  # the template writes them


def _tokens(tokenizer: Any, text: str, *, add_special_tokens: bool) -> list[int]:
    # verbose: we refuse a prompt that is too long, so the tokenizer need not warn.
    tokens: list[int] = tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)["input_ids"]
    return tokens


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, Any]], template: Mapping[str, Any]) -> str:
    arguments: dict[str, Any] = {**template, "tokenize": False, "add_generation_prompt": True}
    text: str = tokenizer.apply_chat_template([dict(message) for message in messages], **arguments)
    return text


def _rendered_without_system(tokenizer: Any, messages: Sequence[Message], template: Mapping[str, Any]) -> str:
    told = [message["content"] for message in messages if message["role"] in _SYSTEM]
    others: list[dict[str, Any]] = [{**message} for message in messages if message["role"] not in _SYSTEM]
    if others:
        others[0]["content"] = "\n\n".join([*told, others[0]["content"]])
    try:
        return _rendered(tokenizer, others, template)
    except TemplateError as error:
        raise NoPrompt(f"the model's chat template refuses the messages: {error}") from error


def _plain(messages: Sequence[Message]) -> str:
    """One question: the texts, one after the other. A conversation: each text with its speaker, and at the end the assistant's."""
    if all(message["role"] != "assistant" for message in messages):
        return "\n\n".join(message["content"] for message in messages) + "\n\n"
    said = [
        f"{_NAMES[message['role']]}: {message['content']}" if message["role"] in _NAMES else message["content"]
        for message in messages
    ]
    return "\n\n".join([*said, "Assistant:"])
