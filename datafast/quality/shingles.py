"""Texts as sets of shingles: runs of a few words, as hashes of 32 bits.

Words are runs of letters, marks and digits, without case and compatibility forms (NFKC). In Chinese and Japanese, which have no spaces,
each letter counts as a word; in Thai, Lao, Khmer, Burmese and other scripts that have no spaces and few letters, each letter with the two
behind it. Punctuation and symbols do not count. A text that is shorter than a shingle is one by itself; a text without words has none.

The hashes are the same in every process, on every platform and in every version of numpy. Two shingles share one by chance in one of four
billion cases, so similarities that are computed from them differ from those of the words by less than is shown, also in long texts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from datafast._util.mixed import mixed

__all__ = ["Shingles", "shingles"]

Shingles = NDArray[np.uint32]
"""The shingles of a row, sorted, each once."""

_U64 = np.uint64
_FACTOR = 0x9E3779B97F4A7C15
_STEP = _U64(_FACTOR)
_PAD = _U64(0x5851F42D4C957F2D)  # stands for the words that a short text does not have
_AT_ONCE = 1 << 15  # letters; what is computed of them takes some 50 bytes each
_LONG = 1 << 16  # letters of a text

_SEPARATOR, _MARK, _LETTER, _WORD, _PART = range(5)
_SORTS = {"L": _LETTER, "N": _LETTER, "M": _MARK}
_WORDS = (
    (0x3005, 0x3007), (0x3040, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
    (0x16FE0, 0x18DFF), (0x1AFF0, 0x1B2FF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Where Unicode has letters that are words: kana, Bopomofo, Han, Tangut, Nushu, Khitan."""
_PARTS = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F), (0xA980, 0xA9FF),
    (0xAA60, 0xAADF),
)  # fmt: skip
"""Where it has letters of scripts that have few of them and no spaces: Thai, Lao, Burmese, Khmer, Tai, Balinese, Javanese."""


def shingles(rows: Iterable[Sequence[str]], size: int) -> list[Shingles]:
    """The shingles of each row. None goes over the end of a text.

    Args:
        rows: the texts of each.
        size: words in a shingle.
    """
    found: list[Shingles] = []
    batch: list[Sequence[str]] = []
    letters = 0
    for texts in rows:
        batch.append(texts)
        letters += sum(map(len, texts))
        if letters >= _AT_ONCE:
            found += _of_batch(batch, size)
            batch, letters = [], 0
    return found + _of_batch(batch, size) if batch else found


def _of_batch(rows: Sequence[Sequence[str]], size: int) -> list[Shingles]:
    words, counts = _words_of([text for texts in rows for text in texts])
    hashes, text_of_run = _runs(words, counts, size)
    row_of_text = np.repeat(np.arange(len(rows), dtype=_U64), [len(texts) for texts in rows])
    # A row and a shingle in one number: sorting these sorts the shingles of every row.
    keyed = np.sort((row_of_text[text_of_run] << _U64(32)) | (hashes >> _U64(32)))
    keyed = keyed[np.concatenate(([True], keyed[1:] != keyed[:-1]))[: len(keyed)]]
    places = np.searchsorted(keyed, np.arange(len(rows) + 1, dtype=_U64) << _U64(32)).tolist()
    found = keyed.astype(np.uint32)
    return [found[start:end] for start, end in pairwise(places)]


def _words_of(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashes of the words of all texts, and how many each text has."""
    if max(map(len, texts), default=0) <= _LONG:
        return _words(texts)
    parts = [[_words([part])[0] for part in _parts(text)] for text in texts]
    words = np.concatenate([part for of_text in parts for part in of_text])
    return words, np.array([sum(map(len, of_text)) for of_text in parts])


def _parts(text: str) -> Iterator[str]:
    """A text, or parts of it, of which none is long."""
    start = 0
    while start < len(text):
        end = start + _LONG
        if end < len(text):
            end = text.rfind(" ", start, end) + 1 or end
        yield text[start:end]
        start = end


def _words(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    plain = [_plain(text) for text in texts]
    letters = np.frombuffer("\n".join([*plain, ""]).encode("utf-32-le", "surrogatepass") or bytes(4), dtype=np.uint32)
    sorts = _sorts(letters)
    before = np.concatenate(([_SEPARATOR], sorts[:-1]))
    is_in = sorts != _SEPARATOR
    begins = is_in & ((before == _SEPARATOR) | (sorts >= _WORD) | ((sorts == _LETTER) & (before >= _WORD)))
    starts = np.flatnonzero(begins)
    stops = np.flatnonzero(is_in & np.concatenate((begins[1:] | ~is_in[1:], [True])))
    powers, inverses = _powers(len(letters))
    sums = np.concatenate((np.zeros(1, _U64), np.cumsum(mixed(letters.astype(_U64)) * powers)))
    words = mixed((sums[stops + 1] - sums[starts]) * inverses[starts])
    ends = np.searchsorted(starts, np.cumsum([len(text) + 1 for text in plain], dtype=np.int64))
    return _joined(words, sorts[starts] == _PART, ends), np.diff(ends, prepend=0)


def _joined(words: NDArray[np.uint64], are_parts: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The words of texts, where those that are parts have the two behind them in the same text joined to them."""
    if not are_parts.any():
        return words
    found = words
    for step in (1, 2):
        behind = np.concatenate((words[step:], np.full(step, _PAD)))
        for last in range(1, step + 1):
            behind[ends[ends >= last] - last] = _PAD
        found = mixed(found * _STEP + behind[: len(words)])
    return np.where(are_parts, found, words)


def _plain(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


_sort_of = np.zeros(0x110000, np.uint8)
_known = np.zeros(0x1100, bool)


def _sorts(letters: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Which are letters of a word, words by themselves, marks, or none of these. Looked up 256 at a time, when one of them is met."""
    blocks = letters >> 8
    if not _known[blocks].all():
        for block in np.unique(blocks).tolist():
            for letter in range(block << 8, (block + 1) << 8):
                _sort_of[letter] = _sort(letter)
            _known[block] = True
    return _sort_of[letters]


def _sort(letter: int) -> int:
    sort = _SORTS.get(unicodedata.category(chr(letter))[0], _SEPARATOR)
    if sort != _LETTER:
        return sort
    if any(first <= letter <= last for first, last in _WORDS):
        return _WORD
    return _PART if any(first <= letter <= last for first, last in _PARTS) else _LETTER


_powers_of: list[NDArray[np.uint64]] = [np.ones(1, _U64), np.ones(1, _U64)]


def _powers(count: int) -> list[NDArray[np.uint64]]:
    """Of a number, modulo 2**64, and those of its inverse."""
    if len(_powers_of[0]) < count:
        for number, base in enumerate((_FACTOR, pow(_FACTOR, -1, 1 << 64))):
            factors = np.full(count, base, _U64)
            factors[0] = 1
            _powers_of[number] = np.cumprod(factors)
    return [powers[:count] for powers in _powers_of]


def _runs(
    words: NDArray[np.uint64], counts: NDArray[np.int64], size: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashes of all runs of words, and the text of each."""
    room = np.where(counts > 0, np.maximum(counts, size), 0)
    text_of_place = np.repeat(np.arange(len(counts)), room)
    padded = np.full(len(text_of_place), _PAD)
    moved = (np.cumsum(room) - room) - (np.cumsum(counts) - counts)
    padded[np.arange(len(words)) + np.repeat(moved, counts)] = words
    last = len(padded) - size + 1
    if last <= 0:
        return np.empty(0, _U64), np.empty(0, np.int64)
    run = padded[:last]
    for place in range(1, size):
        run = mixed(run * _STEP + padded[place : last + place])
    whole = text_of_place[:last] == text_of_place[size - 1 :]
    return run[whole], text_of_place[:last][whole]
