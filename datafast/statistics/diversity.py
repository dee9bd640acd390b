"""How much texts differ from each other. All of it is deterministic: the same texts in the same order give the same numbers.

* distinct-n: different runs of n words by all runs of n words. Li, Galley, Brockett, Gao, Dolan (2016), A Diversity-Promoting Objective
  Function for Neural Conversation Models, arXiv:1510.03055. It falls with the number of words, so compare equal amounts of text.
* compression ratio: the bytes of all texts, one a line, by their bytes after gzip. Shaib, Barrow, Sun, Siu, Wallace, Nenkova (2024),
  Standardizing the Measurement of Text Diversity, arXiv:2403.00553.
* self-BLEU: the mean BLEU-4 of each text with all others as its references. Zhu, Lu, Zheng, Guo, Zhang, Wang, Yu (2018), Texygen: A
  Benchmarking Platform for Text Generation Models, arXiv:1802.01886. Smoothed as there (method 1 of Chen and Cherry 2014: an n-gram order
  without a match counts as a tenth of a match). It rises with the number of texts, of which at most `SELF_BLEU_ROWS` are used.

Cost: linear in the words. For self-BLEU that is so because a count is clipped by the largest one in any other text, and for each n-gram
only its two largest counts over all texts have to be known.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datafast.statistics.models import Diversity
from datafast.statistics.words import words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

__all__ = ["ROWS", "SELF_BLEU_ROWS", "Texts"]

SELF_BLEU_ROWS = 500
ROWS = 1_000
"""Rows of a group that are looked at, so that large groups are measured on the same amount."""
_ORDERS = 4
_SMOOTHING = 0.1


class Texts:
    """Texts, prepared so that the diversity of any selection of them is quick to tell. A run of words never crosses two texts.

    Memory: some 20 bytes a word.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np

        self._texts = texts
        vocabulary: dict[str, int] = {}
        lengths, ids = [], []
        for text in texts:
            words = words_of(text)
            lengths.append(len(words))
            ids.append(np.fromiter((vocabulary.setdefault(word, len(vocabulary)) for word in words), np.int32))
        self._lengths = np.array(lengths, np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        flat = np.concatenate(ids) if ids else np.zeros(0, np.int32)
        self._orders = [flat]
        left = np.repeat(self._starts[1:], self._lengths) - np.arange(
            len(flat)
        )  # words from here to the end of the text
        for size in range(2, _ORDERS + 1):
            self._orders.append(_longer(self._orders[-1], flat, left >= size, len(vocabulary), size))

    def diversity(self, chosen: Sequence[int]) -> Diversity | None:
        """The diversity of the first 1,000 of these texts, by their numbers; None if there are none."""
        import numpy as np

        rows = np.array(chosen[:ROWS], np.int64)
        words = int(self._lengths[rows].sum())
        if not words:
            return None
        distinct = [self._distinct(rows, size) for size in (1, 2, 3)]
        some = rows[self._lengths[rows] > 0][:SELF_BLEU_ROWS]
        return Diversity(
            rows=len(rows),
            words=words,
            distinct_1=distinct[0],
            distinct_2=distinct[1],
            distinct_3=distinct[2],
            compression_ratio=self._compression(chosen[:ROWS]),
            self_bleu=self._self_bleu(some),
            self_bleu_rows=len(some) if len(some) > 1 else 0,
        )

    def _runs(self, rows: Numbers, size: int) -> tuple[Numbers, Numbers]:
        """The runs of so many words in these texts, and which of the texts each is in."""
        import numpy as np

        lengths = np.maximum(self._lengths[rows] - (size - 1), 0)
        owner = np.repeat(np.arange(len(rows)), lengths)
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._orders[size - 1][self._starts[rows][owner] + offsets], owner

    def _distinct(self, rows: Numbers, size: int) -> float | None:
        import numpy as np

        runs, _ = self._runs(rows, size)
        return len(np.unique(runs)) / len(runs) if len(runs) else None

    def _compression(self, rows: Sequence[int]) -> float:
        data = "\n".join(self._texts[number] for number in rows).encode("utf-8", "surrogatepass")
        return len(data) / len(gzip.compress(data, 9, mtime=0))

    def _self_bleu(self, rows: Numbers) -> float | None:
        import numpy as np

        if len(rows) < 2:
            return None
        logs = np.zeros(len(rows))
        matched_words = np.zeros(len(rows))
        for size in range(1, _ORDERS + 1):
            matched = _matches(*self._runs(rows, size), len(rows))
            if size == 1:
                matched_words = matched
            of = np.maximum(self._lengths[rows] - (size - 1), 1)
            logs += np.log(np.where(matched > 0, matched, _SMOOTHING) / of)
        scores = np.exp(logs / _ORDERS) * _brevity(self._lengths[rows])
        return float(np.where(matched_words > 0, scores, 0.0).mean())


def _longer(runs: Any, words: Any, whole: Any, num_words: int, size: int) -> Any:
    """The runs of one word more, from those that end a word earlier, as small numbers. Those that are not `whole` mean nothing."""
    import numpy as np

    longer = np.full(len(words), -1, np.int32)
    starts = np.flatnonzero(whole)
    codes = runs[starts].astype(np.int64) * max(1, num_words) + words[starts + size - 1]
    longer[starts] = np.unique(codes, return_inverse=True)[1]
    return longer


def _matches(runs: Any, owner: Any, num_texts: int) -> Any:
    """How many runs of each text another text has, each counted as often as it is in that one of the others which has it most."""
    import numpy as np

    if not len(runs):
        return np.zeros(num_texts)
    codes, counts = np.unique(runs.astype(np.int64) * num_texts + owner, return_counts=True)
    run, text = codes // num_texts, codes % num_texts
    order = np.lexsort((-counts, run))  # within a run the largest count first
    run, text, counts = run[order], text[order], counts[order]
    first = np.flatnonzero(np.concatenate([[True], run[1:] != run[:-1]]))
    sizes = np.diff(np.concatenate([first, [len(run)]]))
    second = np.where(sizes > 1, counts[np.minimum(first + 1, len(run) - 1)], 0)
    most_of_others = np.repeat(counts[first], sizes)
    most_of_others[first] = second
    return np.bincount(text, np.minimum(counts, most_of_others), num_texts)


def _brevity(lengths: Any) -> Any:
    """The penalty for a text that is shorter than the one of the others whose length is nearest, of two the shorter."""
    import numpy as np

    order = np.argsort(lengths, kind="stable")
    ranked = lengths[order].astype(float)
    below = np.concatenate([[-np.inf], ranked[:-1]])
    above = np.concatenate([ranked[1:], [np.inf]])
    nearest = np.where(ranked - below <= above - ranked, below, above)
    penalty = np.where(ranked < nearest, np.exp(1 - nearest / ranked), 1.0)
    found = np.empty(len(lengths))
    found[order] = penalty
    return found
