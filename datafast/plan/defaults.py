"""The default texts of a kind, in versions, and the editions of keys that follow from them.

An improved default does not pay for anything again: items that were begun with an earlier version are found under their former keys
and finished with the earlier text. Texts are keyed by their name and version; texts of version 1 by their words, as in version 0.1.0
of the package, so the words of version 1 never change.

To improve a default, write the new texts as the next version and give it the old object:

    DEFAULTS = DefaultPrompts("raw", version=2, texts={"prompts": [...]}, former=DefaultPrompts("raw", version=1, ...))

Limits: all versions have the same number of texts with the same placeholders, so a plan has the same shape in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["DefaultPrompts", "Edition", "PromptText", "editions"]

_PLACEHOLDER = re.compile(r"\{\w+\}")


class PromptText(NamedTuple):
    """The text of a template, and its key if keys do not contain the text itself."""

    text: str
    key: str | None = None

    @property
    def keyed(self) -> str:
        return self.text if self.key is None else self.key

    @classmethod
    def joined(cls, parts: Sequence[PromptText], separator: str) -> PromptText:
        """Joins several texts into one. A part without a key counts by its words."""
        by_words = all(part.key is None for part in parts)
        key = None if by_words else separator.join(part.keyed for part in parts)
        return cls(separator.join(part.text for part in parts), key)


class DefaultPrompts:
    """One version of all default texts of a kind.

    Args:
        name: the kind.
        version: rises with every change of any text.
        texts: the texts of each field, in an order that never changes.
        former: the previous version.
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
        """This version and all earlier ones, newest first."""
        return [self, *(self.former.versions if self.former else [])]

    def __eq__(self, other: object) -> bool:
        """Versions are told apart by what they are, since another process has objects of its own."""
        if not isinstance(other, DefaultPrompts):
            return NotImplemented
        return (self.name, self.version, self.texts) == (other.name, other.version, other.texts)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __getitem__(self, field: str) -> tuple[str, ...]:
        return self.texts[field]

    def _shape(self) -> list[tuple[str, list[set[str]]]]:
        return [(field, [set(_PLACEHOLDER.findall(text)) for text in texts]) for field, texts in self.texts.items()]


@dataclass(frozen=True, slots=True)
class Edition:
    """What the keys of a plan are made with: a version of the kind's keys, and the default texts of that version.

    Version 1 is that of version 0.1.0 of the package.
    """

    version: int = 1
    prompts: DefaultPrompts | None = None

    def texts(self, field: str) -> list[PromptText]:
        """The default texts of a field."""
        assert self.prompts is not None, "this kind has no default texts"  # noqa: S101 - a kind asks for its own fields
        name, texts = self.prompts.name, self.prompts[field]
        if self.version == 1:
            return [PromptText(text) for text in texts]
        # No user's text begins with a null character.
        return [PromptText(text, f"\0{name}.{field}.{number} {self.version}") for number, text in enumerate(texts)]


def editions(prompts: DefaultPrompts) -> list[Edition]:
    """All editions that items of a kind with these default texts may have in their keys, newest first."""
    return [Edition(version.version, version) for version in prompts.versions]
