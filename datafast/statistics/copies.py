"""How much of a prompt stands in the text that was made with it.

* share: the words of the prompt that the text has too, each as often as both have it, by all words of the prompt: the recall of ROUGE-1,
  with the prompt as the reference. Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries.
* longest run: the most words that stand in both in the same order without a gap: the longest extractive fragment of Grusky, Naaman, Artzi
  (2018), Newsroom, arXiv:1804.11283.

A prompt and a text about the same thing have words in common without copying, so compare prompts with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from datafast.plan.items import WorkItem
from datafast.statistics.words import words_of

__all__ = ["Copied", "copied", "prompt_of"]

_MOST_WORDS = 1_000


class Copied(NamedTuple):
    share: float
    longest_run: int


def prompt_of(item: WorkItem) -> str:
    """The prompt template of an item with the item's values. What only its kind fills in is left out."""
    values = item.shown_values
    template = item.template
    return template.render(dict.fromkeys({*template.kind_names, *template.placeholder_names}, "") | values)


def copied(prompt: str, text: str) -> Copied | None:
    """What a text has of the first 1,000 words of a prompt; None if the prompt has no words."""
    of = _prepared(prompt)
    if not of.counts:
        return None
    words = words_of(text)
    both = (Counter(words) & of.counts).total()
    of.matcher.set_seq1(words)
    match = of.matcher.find_longest_match()
    return Copied(both / of.counts.total(), match.size)


class _Prompt(NamedTuple):
    counts: Counter[str]
    matcher: SequenceMatcher[str]


@lru_cache(maxsize=64)
def _prepared(prompt: str) -> _Prompt:
    words: Sequence[str] = words_of(prompt)[:_MOST_WORDS]
    return _Prompt(Counter(words), SequenceMatcher(None, [], words, autojunk=False))
