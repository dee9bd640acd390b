"""The texts that a kind comes with, in versions, and the editions of keys that follow from them.

A bettered default buys nothing again by itself: items that were begun with an earlier version are found under their former keys and
finished with the text that they were begun with. Texts are keyed by their name and version, those of version 1 by their words, as
version 0.1.0 did: the words of version 1 never change.

To better a default, write the new texts as the next version and put the old object into its `former`:

    DEFAULTS = DefaultPrompts("raw", version=2, texts={"prompts": [...]}, former=[DefaultPrompts("raw", version=1, ...)])

Limits: all versions have the same number of texts, with the same placeholders, so that a plan has the same shape in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["KEY_VERSION", "DefaultPrompts", "Edition", "PromptText", "editions"]

KEY_VERSION = 2
"""1: version 0.1.0, which keyed columns by all of their fields, and calls by the words of reply models."""

_PLACEHOLDER = re.compile(r"\{\w+\}")


class PromptText(NamedTuple):
    """The text of a template, and what stands for it in keys where that is not the text itself."""

    text: str
    key: str | None = None

    @property
    def keyed(self) -> str:
        return self.text if self.key is None else self.key

    @classmethod
    def joined(cls, parts: Sequence[PromptText], separator: str) -> PromptText:
        """One text of several. What has no key of its own counts by its words."""
        by_words = all(part.key is None for part in parts)
        key = None if by_words else separator.join(part.keyed for part in parts)
        return cls(separator.join(part.text for part in parts), key)


class DefaultPrompts:
    """One version of all texts that a kind comes with.

    Args:
        name: the kind.
        version: counts up with every change of any text.
        texts: by field, in an order that stays.
        former: the earlier versions, newest first, without `former` of their own.
    """

    def __init__(
        self,
        name: str,
        *,
        version: int,
        texts: Mapping[str, Sequence[str]],
        former: Sequence[DefaultPrompts] = (),
    ) -> None:
        self.name = name
        self.version = version
        self.former = tuple(former)
        self._texts = {field: tuple(given) for field, given in texts.items()}
        newest_first = [self, *self.former]
        if [one.version for one in newest_first] != list(range(version, 0, -1)):
            raise ValueError(
                f"{name}: versions {version} to 1 are expected, newest first. Put all earlier ones into former."
            )
        if any(one._shape() != self._shape() for one in self.former):
            raise ValueError(
                f"{name}: all versions need the same fields, as many texts in each, and the same placeholders."
            )

    def __getitem__(self, field: str) -> tuple[str, ...]:
        return self._texts[field]

    def _shape(self) -> list[tuple[str, list[set[str]]]]:
        return [(field, [set(_PLACEHOLDER.findall(text)) for text in texts]) for field, texts in self._texts.items()]


@dataclass(frozen=True, slots=True)
class Edition:
    """What the keys of a plan are made with: the version of keys, and that of the kind's default texts."""

    keys: int = KEY_VERSION
    prompts: DefaultPrompts | None = None

    @property
    def label(self) -> str:
        """How a ledger names it."""
        if self.keys == 1:
            return "1"
        return f"{self.keys}" if self.prompts is None else f"{self.keys}/{self.prompts.version}"

    def texts(self, field: str) -> list[PromptText]:
        """The default texts of a field."""
        assert self.prompts is not None, "this kind has no default texts"  # noqa: S101 - a kind asks for its own fields
        name, version = self.prompts.name, self.prompts.version
        texts = self.prompts[field]
        if version == 1:
            return [PromptText(text) for text in texts]  # as version 0.1.0 keyed them
        # No text of a user begins like this: what cannot be typed stands in front.
        return [PromptText(text, f"\0{name}.{field}.{number} {version}") for number, text in enumerate(texts)]


def editions(prompts: DefaultPrompts | None = None) -> list[Edition]:
    """All editions that items of a kind with these default texts may have been keyed with, the current one first."""
    if prompts is None:
        return [Edition(), Edition(keys=1)]
    versions = [prompts, *prompts.former]
    return [*(Edition(prompts=version) for version in versions), Edition(keys=1, prompts=versions[-1])]
