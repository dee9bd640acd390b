"""Rows that are nearly the same, as groups with their texts, and the two different rows that are most alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from datafast.quality.near_duplicates import NearDuplicatesStage
from datafast.quality.near_groups import NearDuplicateGroup
from datafast.quality.shingles import Shingles, shingles
from datafast.report.models import DuplicateGroup, ShownText, SimilarPair
from datafast.report.shown import shown_text

__all__ = ["MOST_PAIRED", "Duplicates", "duplicates_of"]

MOST_PAIRED = 250
"""Rows that are compared with each other, each with each."""
_TEXTS = 4
_NGRAM: int = NearDuplicatesStage.model_fields["ngram"].default
_LETTERS = 1_200
_MOST_LETTERS = 20_000  # of a text that is compared


TextsOf = Callable[[set[int]], Mapping[int, Sequence[str]]]


class Duplicates(NamedTuple):
    groups: list[DuplicateGroup]
    similar: SimilarPair | None


def duplicates_of(groups: Sequence[NearDuplicateGroup], others: Iterable[int], texts_of: TextsOf) -> Duplicates:
    """The groups with the texts of their first rows, and the most similar pair.

    Args:
        groups: the groups to show.
        others: the numbers of more rows in which the pair is looked for.
        texts_of: gives the texts of rows, by their numbers.
    """
    shown = [number for group in groups for number in group.rows[:_TEXTS]]
    paired = list(dict.fromkeys([*shown, *others]))[:MOST_PAIRED]
    texts = texts_of({*shown, *paired})
    return Duplicates(
        [
            DuplicateGroup(
                numbers=[number + 1 for number in group.rows],
                texts=[_shown(texts[number]) for number in group.rows[:_TEXTS] if number in texts],
            )
            for group in groups
        ],
        _most_similar({number: texts[number] for number in paired if number in texts}),
    )


def _shown(texts: Sequence[str]) -> ShownText:
    return shown_text("\n\n".join(texts), _LETTERS)


def _most_similar(texts: Mapping[int, Sequence[str]]) -> SimilarPair | None:
    """Two rows with different texts. None if no two have anything in common."""
    numbers = list(texts)
    sets = shingles(([text[:_MOST_LETTERS] for text in texts[number]] for number in numbers), _NGRAM)
    best: tuple[float, int, int] = (0.0, 0, 0)
    for one, other in combinations(range(len(numbers)), 2):
        similarity = _similarity(sets[one], sets[other], above=best[0])
        if similarity > best[0] and texts[numbers[one]] != texts[numbers[other]]:
            best = similarity, one, other
    if not best[0]:
        return None
    first, second = sorted((numbers[best[1]], numbers[best[2]]))
    return SimilarPair(
        numbers=(first + 1, second + 1), similarity=best[0], texts=(_shown(texts[first]), _shown(texts[second]))
    )


def _similarity(one: Shingles, other: Shingles, *, above: float) -> float:
    """The Jaccard similarity of two sets; 0 if it cannot be more than a number."""
    fewer, more = sorted((len(one), len(other)))
    if not fewer or fewer / more <= above:
        return 0.0
    import numpy as np

    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (fewer + more - common)
