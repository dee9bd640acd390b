"""Copies of texts, exact, edited and in other words, beside texts that look like copies and are none.

Documents are made of the lines of `planted/clean.txt` and `planted/duplicates.txt`, some 25 to 120 words in 13 languages. Edited copies
have a known similarity: the Jaccard similarity of their runs of two words, split at white space (of letters in Chinese and Japanese),
which is counted here and not by what is measured. Those of at least 0.85 are copies, those of at most 0.65 are other texts. Paraphrases
are written by hand.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from benchmarks.faults import Text, clean_texts, planted_lines

__all__ = ["COPIES", "ORIGINALS", "similarity"]

_SEED = 20_261_126
_UNSPACED = ("zh", "ja")
_LINES = {"en": 3, "hi": 1}  # of a document
_SENTENCE = re.compile(r"(?<=[.!?。！？।؟])\s*(?=\S)")
_COPIES, _OTHERS = (0.95, 0.9, 0.85), (0.65, 0.5)


def similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """Of the runs of two words."""
    first, second = set(pairwise(one)), set(pairwise(other))
    return len(first & second) / len(first | second) if first or second else 1.0


def _documents() -> list[Text]:
    lines = [*planted_lines("clean"), *(line for line in planted_lines("duplicates") if line[0] == "hi")]
    found = []
    for language in dict.fromkeys(language for language, _, _ in lines):
        for half in (False, True):
            own = [
                text
                for name, text, where in lines
                if (name, where) == (language, half) and not re.search(r"[{}<>|=_]", text)
            ]
            size = _LINES.get(language, 2)
            parts = [own[start : start + size] for start in range(0, len(own) - size + 1, size)]
            gap = "" if language in _UNSPACED else " "
            found += [Text(gap.join(part).replace("\n", " "), "document", half, language) for part in parts]
    return found


def _units(text: Text) -> list[str]:
    return list(text.text) if text.language in _UNSPACED else text.text.split()


def _text_of(units: Sequence[str], language: str) -> str:
    return ("" if language in _UNSPACED else " ").join(units)


def _edited(text: Text, other: Text, wanted: float, rng: random.Random) -> str:
    """A copy with words of another document in the place of some of its own, until it is just above a similarity, or just below one under
    0.8."""
    units, theirs = _units(text), _units(other)
    places = rng.sample(range(len(units)), len(units))
    made = list(units)
    for place in places:
        before, made[place] = made[place], rng.choice(theirs)
        if similarity(units, made) < wanted:
            if wanted >= 0.8:
                made[place] = before
            break
    return _text_of(made, text.language)


def _sentences_moved(text: str, rng: random.Random) -> str:
    parts = _SENTENCE.split(text)
    at = rng.randrange(1, len(parts)) if len(parts) > 3 else 0
    return " ".join(parts[at:] + parts[:at])


def _in_other_signs(text: str, rng: random.Random) -> str:
    """Without some punctuation, in other case, with other white space."""
    kept = "".join(letter for letter in text if unicodedata.category(letter)[0] != "P" or rng.random() < 0.5)
    return kept.upper() if rng.random() < 0.3 else kept.replace(" ", "\n", 3)


_CHANGES: Mapping[str, Callable[[str, random.Random], str]] = {
    "sentences moved": _sentences_moved,
    "case and punctuation": _in_other_signs,
    "something before it": lambda text, rng: f"{rng.choice(('Sure:', 'Answer:', '1.', 'Note'))} {text}",
    "an end missing": lambda text, rng: text[: len(text) - len(text) // rng.randint(12, 25)],
}


def _variants(heading: str) -> Iterator[Text]:
    """Texts that have a frame in common, with other words in its gaps."""
    for name, frame, half in planted_lines("duplicates"):
        if name == heading:
            gaps = [gap.split("|") for gap in re.findall(r"\{(.*?)\}", frame)]
            for number in range(max(map(len, gaps))):
                chosen = iter([options[number % len(options)] for options in gaps])
                yield Text(re.sub(r"\{.*?\}", lambda _, chosen=chosen: next(chosen), frame), heading, half)


def _near_copies() -> Iterator[Text]:
    rng = random.Random(f"{_SEED} near")
    documents = _documents()
    for text, other in zip(documents, _others(documents), strict=True):
        made = {f"similarity {wanted}": _edited(text, other, wanted, rng) for wanted in _COPIES}
        made |= {sort: change(text.text, rng) for sort, change in _CHANGES.items()}
        yield from (Text(copy, sort, text.held_out, text.language) for sort, copy in made.items() if copy != text.text)
    for text in _variants("short"):
        yield Text(f" {text.text.upper().rstrip('?.')} ", "short", text.held_out)


def _near_originals() -> Iterator[Text]:
    rng = random.Random(f"{_SEED} others")
    documents = _documents()
    yield from documents
    for text, other in zip(documents, _others(documents), strict=True):
        for wanted in _OTHERS:
            yield Text(_edited(text, other, wanted, rng), f"similarity {wanted}", text.held_out, text.language)
    yield from _variants("frame")
    yield from _variants("short")


def _others(documents: Sequence[Text]) -> list[Text]:
    """For each document another one of its language."""
    by_language: dict[str, list[Text]] = {}
    for text in documents:
        by_language.setdefault(text.language, []).append(text)
    return [next(other for other in reversed(by_language[text.language]) if other != text) for text in documents]


def _exact_copies() -> Iterator[Text]:
    changes: Mapping[str, Callable[[str], str]] = {
        "the same": str,
        "other case": str.upper,
        "other space": lambda text: f" {text.replace(' ', '  ')}\n",
        "decomposed": lambda text: unicodedata.normalize("NFD", text),
    }
    for text in clean_texts(labelled=True):
        for sort, change in changes.items():
            if sort == "the same" or change(text.text) != text.text:
                yield Text(change(text.text), sort, text.held_out, text.language)


def _exact_originals() -> Iterator[Text]:
    seen = set()
    for text in clean_texts(labelled=True):
        yield text
        for other in (text.text + "!", text.text.replace(".", ",", 1), text.text[1:]):
            if other not in seen and other != text.text:
                seen.add(other)
                yield Text(other, "a sign more or less", text.held_out, text.language)


def _in_other_words() -> Iterator[Text]:
    for language, text, half in planted_lines("paraphrases"):
        yield Text(text.split(" => ")[1], "in other words", half, language)


def _other_statements() -> Iterator[Text]:
    for language, text, half in planted_lines("paraphrases"):
        statement, _, another = text.split(" => ")
        yield Text(statement, "statement", half, language)
        yield Text(another, "another statement", half, language)


COPIES: Mapping[str, Callable[[], Iterator[Text]]] = {
    "exact_duplicates": _exact_copies,
    "near_duplicates": _near_copies,
    "semantic_duplicates": _in_other_words,
}
"""By stage: texts that it should drop."""

ORIGINALS: Mapping[str, Callable[[], Iterator[Text]]] = {
    "exact_duplicates": _exact_originals,
    "near_duplicates": _near_originals,
    "semantic_duplicates": _other_statements,
}
"""By stage: texts before them, none of which it should drop."""
