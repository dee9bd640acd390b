"""What the prompts of every kind are paired with: personas, and seed texts.

personas: [a nurse on night shifts who answers in half sentences, ...]      seed_texts: {source: forum.jsonl, column: post}
pair: all | random | cycle

Both are fields of `PromptDatasetConfig`, so a kind has them without a line of its own: its plan gets them as a dimension, its
prompts as `{persona}` and `{seed_text}`, its rows in their metadata, and its default prompts get a sentence that tells them.

What a kind may add:

* Templates besides the expanded ones are parsed with `config.filled(names)` in the place of `names`, filled with `given(item)` besides
  the values that the kind has, and named by `other_templates` of the config.
* Sentences of its own stand in its default texts, under `persona` and `seed_text`; it may start from `SENTENCES`.
* A kind that overrides `preparations` or `other_ledgers` of its dataset adds what `super()` gives: the run that grows personas.
* A kind that is about personas may declare `personas` again, with a default or a description of its own, and as mandatory a name in
  prompts as it likes; the rest stays. `item.values["persona"]` is the item's. What `paired_fields` of its config leaves out is not
  paired, and for the kind to use.
* Where a kind does without expanded prompts, or answers questions that are given, `tells_given` of its config is False, and it puts the
  sentences into other default texts by `config.with_given(text, edition)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from datafast.datasets.inputs import texts_dimension
from datafast.plan.dimensions import Dimension
from datafast.plan.items import WorkItem
from datafast.plan.pairing import Pairing

__all__ = ["ASKING", "NAMES", "SENTENCES", "Pair", "check_pair", "given", "given_names", "paired", "way_of"]

Pair: TypeAlias = Literal["all", "random", "cycle"]

NAMES: Mapping[str, str] = {"personas": "persona", "seed_texts": "seed_text"}
"""The fields, and what one of their values is called: in prompts, in metadata, and as a dimension of plans."""

_GIVEN = tuple(NAMES.values())

SENTENCES: Mapping[str, Sequence[str]] = {
    "persona": ["Write as this person would, in content and tone, without naming or describing them:\n\n{persona}"],
    "seed_text": ["Let this text inspire you in subject and style, and do not repeat what it says:\n\n{seed_text}"],
}
"""What default prompts say about them."""

ASKING: Mapping[str, Sequence[str]] = {
    "persona": [
        "Ask what this person would want to know, in words of theirs, without naming or describing them:\n\n{persona}"
    ],
    "seed_text": ["Let this text inspire you in what to ask and how, and do not ask about it:\n\n{seed_text}"],
}
"""The same where questions are asked."""


class Pairs(Protocol):
    """The fields of a config."""

    @property
    def paired_fields(self) -> Sequence[str]: ...
    @property
    def pair(self) -> Any: ...


def given_names(config: Pairs) -> list[str]:
    """What a config gives, by the names in prompts."""
    return [NAMES[field] for field in config.paired_fields]


def given(item: WorkItem) -> dict[str, str]:
    """What an item is paired with, by the names in prompts."""
    found = {}
    for name in _GIVEN:
        if name in item.values:
            found[name] = item.values[name]
    return found


def way_of(config: Pairs, field: str) -> Pair:
    """How the values of a field meet the other dimensions."""
    way: Pair | None = config.pair.get(field) if isinstance(config.pair, Mapping) else config.pair
    return way or "all"


def paired(config: Pairs, values: Mapping[str, Sequence[str]], *, seed: int) -> tuple[list[Dimension], list[Pairing]]:
    """What is given as axes of a plan, and as what its prompts get besides.

    Args:
        values: by field.
        seed: of draws.
    """
    axes: list[Dimension] = []
    pairings: list[Pairing] = []
    for field, texts in values.items():
        dimension, way = texts_dimension(NAMES[field], texts), way_of(config, field)
        if way == "all":
            axes.append(dimension)
        else:
            in_turn = sum(other.way == "cycle" for other in pairings)
            pairings.append(Pairing(dimension, way, seed=seed, number=in_turn))
    return axes, pairings


def check_pair(config: Pairs) -> None:
    """Raises ValueError where `pair` speaks of what is not given."""
    pair = config.pair
    if pair is None:
        return
    if not given_names(config):
        raise ValueError("pair: There is nothing to pair prompts with. Give personas or seed_texts, or leave it out.")
    for field in pair if isinstance(pair, Mapping) else ():
        if getattr(config, field) is None:
            raise ValueError(f"pair.{field}: There are no {field}. Give some, or leave it out.")
