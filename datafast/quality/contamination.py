"""Drops rows that share words with texts that a model will be tested on.

quality:
  - {stage: contamination, against: {source: benchmark.jsonl, column: question}}
  - {stage: contamination, against: {source: "tests/*.parquet", column: prompt}, ngram: 8, max_share: 0.1}
  - {stage: contamination, against: [benchmark.jsonl, {source: more.csv, column: question}]}

Method: runs of `ngram` words, without punctuation and case, after Brown et al. (2020), Language Models are Few-Shot Learners,
arXiv:2005.14165, appendix C. A text of the test that is shorter than a run counts as a whole. In scripts without spaces letters count in
the place of words. Memory: 8 bytes for each run of the test, and some times as much while it is read.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, Field, PrivateAttr

from datafast._util.config_model import Accepts
from datafast.quality.base import KEEP, TextStage, Verdict, drop
from datafast.quality.known_texts import KnownInput, KnownTexts

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["ContaminationStage"]

_WORDS = re.compile(r"[^\W_]+")
_LONG_WORD = 12  # letters a word, on average, above which a text has no spaces between words
_LETTERS = 2  # that stand for a word there
_LEAST = 4  # words; a shorter text of a test is in many others by chance


_BASE = 0x9E3779B97F4A7C15  # odd, and its bits look drawn

Words: TypeAlias = "np.ndarray[Any, np.dtype[np.uint64]]"
"""Words or runs of them, as hashes of this process alone."""


class ContaminationStage(TextStage):
    """Drops rows that share words with texts that a model will be tested on."""

    stage: Literal["contamination"] = "contamination"
    """Drops rows that share runs of words with texts that a model will be tested on."""

    against: Accepts[Annotated[KnownTexts, KnownInput()], Iterable[Any] | Path]
    """The texts of the test: a file, a source with its column, or a list of these and of texts."""
    ngram: int = Field(default=13, ge=4, le=50)
    """The number of words in a run."""
    max_share: float = Field(default=0.0, ge=0, lt=1)
    """The share of a row's runs that may be in the test."""

    _known: list[tuple[str, _Runs]] | None = PrivateAttr(default=None)

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        self._known = [(name, _Runs(texts, self.ngram)) for name, texts in self.against.named]

    def files(self) -> Iterator[Path]:
        yield from self.against.files

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "against": self.against.digest}

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        known = self._known
        if known is None:
            self.check(type(row))
            known = self._known
            assert known is not None  # noqa: S101 - check has just made it
        words = [_hashed(_words(text)) for text in self.texts(row)]
        shares = [(max(map(runs.share_in, words), default=0.0), name) for name, runs in known]
        most, name = max(shares, key=itemgetter(0))
        return KEEP if most <= self.max_share else drop(f"words of {name}", round(most, 3))


class _Runs:
    """The runs of words of many texts, as sorted hashes. Those are of this process alone, and nothing is written of them."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        self._size = size
        hashes = array("Q")
        short: dict[int, set[int]] = {}
        for text in texts:
            words = _hashed(_words(text))
            if len(words) >= size:
                hashes.frombytes(_runs(words, size).tobytes())
            elif len(words) >= _LEAST:
                short.setdefault(len(words), set()).update(_runs(words, len(words)).tolist())
        self._long = np.unique(np.frombuffer(hashes, np.uint64))
        self._short = {length: frozenset(found) for length, found in short.items()}

    def share_in(self, words: Words) -> float:
        """The share of the runs of a text's words that are known; 1 if it holds a whole short text."""
        for length, known in self._short.items():
            if not known.isdisjoint(_runs(words, length).tolist()):
                return 1.0
        runs = _runs(words, self._size)
        if not len(runs) or not len(self._long):
            return 0.0
        places = self._long.searchsorted(runs)
        return float((self._long.take(places, mode="clip") == runs).mean())


def _words(text: str) -> list[str]:
    words = _WORDS.findall(text.casefold())
    if words and sum(map(len, words)) > _LONG_WORD * len(words):
        letters = "".join(words)
        return [letters[start : start + _LETTERS] for start in range(len(letters) - 1)]
    return words


def _hashed(words: Sequence[str]) -> Words:
    return np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)


def _runs(words: Words, size: int) -> Words:
    """A hash for each run of so many words: the sum of those of its words, each times a power of an odd number by its place, modulo 2**64.

    Each is the difference of two sums from the beginning, divided by the power of the place where it begins (Karp and Rabin 1987).
    """
    if len(words) < size:
        return words[:0]
    powers, inverses = _powers(1 << len(words).bit_length())
    sums = np.zeros(len(words) + 1, np.uint64)
    np.cumsum(words * powers[: len(words)], out=sums[1:])
    return (sums[size:] - sums[:-size]) * inverses[: len(words) - size + 1]


@lru_cache(maxsize=8)
def _powers(count: int) -> tuple[Words, Words]:
    """So many powers of an odd number modulo 2**64, and of its inverse."""
    inverse = pow(_BASE, -1, 1 << 64)
    return tuple(
        np.cumprod(np.append(np.ones(1, np.uint64), np.full(count - 1, base, np.uint64))) for base in (_BASE, inverse)
    )  # type: ignore[return-value]
