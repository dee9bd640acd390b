"""Drops rows that are too short or too long.

quality:
  - {stage: length, min_words: 40}
  - {stage: length, field: question, max_characters: 300}
  - {stage: length, max_tokens: 2048, tokenizer: models/smollm2}

Tokens are counted as a trainer does that calls transformers: a text with the special tokens that the tokenizer adds, messages (in the
field `messages`, or in `field`) in the form that the chat template beside the tokenizer gives them, with the row's `tools`.
Limits: of a row with messages nothing else counts; what a trainer adds or cuts by itself is not known.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationInfo, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.quality.base import KEEP, TextStage, Verdict, drop

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem
    from datafast.quality.tokens import TokenCounter

_MESSAGES = "messages"

__all__ = ["LengthStage"]


class LengthStage(TextStage):
    """Drops rows by their number of words, characters or tokens, counted over all texts of a row or over one field."""

    stage: Literal["length"] = "length"
    """Drops rows by their number of words, characters or tokens."""

    min_words: int | None = Field(default=None, ge=1)
    """Fewer words are too few. Words are what spaces and line breaks part: Chinese, Japanese and Thai have next to none, so count
    characters there."""
    max_words: int | None = Field(default=None, ge=1)
    """More words are too many."""
    min_characters: int | None = Field(default=None, ge=1)
    """Fewer characters are too few."""
    max_characters: int | None = Field(default=None, ge=1)
    """More characters are too many."""
    min_tokens: int | None = Field(default=None, ge=1)
    """Fewer tokens are too few."""
    max_tokens: int | None = Field(default=None, ge=1)
    """More tokens are too many: the longest that a trainer takes, for instance. Messages count in the form that the chat template of the
    tokenizer gives them; those that it refuses are dropped."""
    tokenizer: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """The tokenizer.json of a model, or the folder that it is in with the chat template, to count tokens by."""

    _folder: Path | None = PrivateAttr(default=None)
    _counter: TokenCounter | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _bounds(self, info: ValidationInfo) -> LengthStage:
        self._folder = (info.context or {}).get("folder", self._folder)
        self._counter = None
        pairs = (
            ("words", self.min_words, self.max_words),
            ("characters", self.min_characters, self.max_characters),
            ("tokens", self.min_tokens, self.max_tokens),
        )
        if all(bound is None for _, *bounds in pairs for bound in bounds):
            raise ValueError(
                "There is no bound in it. Give min_words, max_words, min_characters, max_characters, min_tokens or max_tokens."
            )
        if self._counts_tokens != (self.tokenizer is not None):
            raise ValueError("tokenizer: It goes together with min_tokens or max_tokens. Give both.")
        for what, least, most in pairs:
            if least is not None and most is not None and least > most:
                raise ValueError(
                    f"min_{what}: {least} is more than max_{what}, {most}, so no row would be left. Change one of them."
                )
        return self

    @property
    def _counts_tokens(self) -> bool:
        return self.min_tokens is not None or self.max_tokens is not None

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        if not self._counts_tokens:
            return
        counter, messages = self.counter, row_model.model_fields.get(_MESSAGES)
        if messages is not None and messages.annotation is not Any and self.field in (None, _MESSAGES):
            _ = counter.template  # without it they cannot be counted

    def settings(self) -> dict[str, Any]:
        if not self._counts_tokens:
            return super().settings()
        return {**super().settings(), "tokenizer": self.counter.digest}

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        texts = self.texts(row)
        if self.min_words is not None or self.max_words is not None:
            words = sum(len(text.split()) for text in texts)
            if verdict := _outside(words, self.min_words, self.max_words, "words"):
                return verdict
        if self.min_characters is not None or self.max_characters is not None:
            characters = sum(map(len, texts))
            if verdict := _outside(characters, self.min_characters, self.max_characters, "characters"):
                return verdict
        return self._by_tokens(row, texts) if self._counts_tokens else KEEP

    def _by_tokens(self, row: BaseModel, texts: list[str]) -> Verdict:
        from datafast.quality.tokens import messages_of
        from datafast.templates.chat_template import RefusedByTemplate

        count, messages = self.counter, messages_of(getattr(row, self.field or _MESSAGES, None))
        try:
            tokens = (
                count.of_texts(texts) if messages is None else count.of_messages(messages, getattr(row, "tools", None))
            )
        except RefusedByTemplate:
            return drop("refused by the chat template")
        return _outside(tokens, self.min_tokens, self.max_tokens, "tokens") or KEEP

    @property
    def counter(self) -> TokenCounter:
        """What counts tokens. Raises ConfigError if the tokenizer cannot be read."""
        if self._counter is None:
            from datafast.quality.tokens import TokenCounter

            assert self.tokenizer is not None  # noqa: S101 - _bounds has seen to it
            self._counter = TokenCounter((self._folder or Path()) / self.tokenizer)
        return self._counter


def _outside(count: int, least: int | None, most: int | None, what: str) -> Verdict | None:
    if least is not None and count < least:
        return drop(f"fewer than {least:,} {what}", count)
    if most is not None and count > most:
        return drop(f"more than {most:,} {what}", count)
    return None
