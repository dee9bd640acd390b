"""When answers to choose from are the same, and what a model writes in front of them that is no part of them.

Guarantee: what says the same apart from case, space, quotes, emphasis, dashes and signs that cannot be seen is the same answer. Signs
within an answer count: "5!" is not "5", and questions about commas have answers that differ in a comma.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

__all__ = ["normalised", "others", "without_labels"]

_OUTER = re.compile(r"^[\s\"'“”„«»`*]+|[\s\"'“”„«».,;:`*]+$")
_DASHES = re.compile(r"\s*[‐‑‒–—―−-]\s*")
_LABEL = re.compile(r"\(?([A-Ha-h]|[1-8])([).:])\s+(?=\S)")


def normalised(answer: str) -> str:
    """An answer as answers are compared: without case, quotes, emphasis, a full stop, and differences of width, space and dashes."""
    told = unicodedata.normalize("NFKC", "".join(sign for sign in answer if unicodedata.category(sign) != "Cf"))
    told = _DASHES.sub("-", " ".join(told.casefold().split()))
    return _OUTER.sub("", told) or told


def others(answers: Sequence[str], right: str) -> Iterator[str]:
    """The answers that are not blank, different from each other and from the right one, without letters in front."""
    seen = {"", normalised(right)}
    for answer in without_labels(answers, right):
        if (told := normalised(answer)) not in seen:
            seen.add(told)
            yield answer.strip()


def without_labels(answers: Sequence[str], right: str) -> Sequence[str]:
    """Answers without "A) ", "B) ", "C) " in front, which would stand beside other letters once the options are in their order.

    Only letters and numbers that all of them have and that follow one another are labels. With a full stop they are letters, and not
    where the right answer has one too: there they are initials.
    """
    found = [_LABEL.match(answer.strip()) for answer in answers]
    labels = [match for match in found if match is not None]
    if len(labels) < max(2, len(answers)) or len({match[2] for match in labels}) > 1:
        return answers
    if any(ord(other[1]) != ord(one[1]) + 1 for one, other in pairwise(labels)):
        return answers
    first = labels[0]
    if first[2] != ")" and (first[1].isdigit() or not right or _LABEL.match(right)):
        return answers
    return [answer.strip()[match.end() :] for answer, match in zip(answers, labels, strict=True)]
