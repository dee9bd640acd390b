"""The texts that a kind comes with, in versions, and the editions of keys that follow from them.

A bettered default buys nothing again by itself: items that were begun with an earlier version are found under their former keys and
finished with the text that they were begun with. Texts are keyed by their name and version, those of version 1 by their words, as
version 0.1.0 did: the words of version 1 never change.

To better a default, write the new texts as the next version and hand it the old object:

    DEFAULTS = DefaultPrompts("raw", version=2, texts={"prompts": [...]}, former=DefaultPrompts("raw", version=1, ...))

Limits: all versions have the same number of texts, with the same placeholders, so that a plan has the same shape in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["DefaultPrompts", "Edition", "PromptText", "editions"]

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
        former: the version before.
    """

    def __init__(
        self, name: str, *, version: int, texts: Mapping[str, Sequence[str]], former: DefaultPrompts | None = None
    ) -> None:
        self.name = name
        self.version = version
        self.former = former
        self.texts = {field: tuple(given) for field, given in texts.items()}
        if version != (former.version if former else 0) + 1:
            raise ValueError(f"{name}: The version before {version} is missing. Give it as former.")
        if former is not None and former._shape() != self._shape():
            raise ValueError(
                f"{name}: All versions need the same fields, as many texts in each, and the same placeholders."
            )

    @property
    def versions(self) -> list[DefaultPrompts]:
        """This version and all before it, newest first."""
        return [self, *(self.former.versions if self.former else [])]

    def __getitem__(self, field: str) -> tuple[str, ...]:
        return self.texts[field]

    def _shape(self) -> list[tuple[str, list[set[str]]]]:
        return [(field, [set(_PLACEHOLDER.findall(text)) for text in texts]) for field, texts in self.texts.items()]


@dataclass(frozen=True, slots=True)
class Edition:
    """What the keys of a plan are made with: the version of a kind's keys, and the default texts that go with it.

    Version 1 is what version 0.1.0 of the package did.
    """

    version: int = 1
    prompts: DefaultPrompts | None = None

    def texts(self, field: str) -> list[PromptText]:
        """The default texts of a field."""
        assert self.prompts is not None, "this kind has no default texts"  # noqa: S101 - a kind asks for its own fields
        name, texts = self.prompts.name, self.prompts[field]
        if self.version == 1:
            return [PromptText(text) for text in texts]
        # No text of a user begins like this: what cannot be typed stands in front.
        return [PromptText(text, f"\0{name}.{field}.{number} {self.version}") for number, text in enumerate(texts)]


def editions(prompts: DefaultPrompts) -> list[Edition]:
    """All editions that items of a kind with these default texts may have been keyed with, the current one first."""
    return [Edition(version.version, version) for version in prompts.versions]
