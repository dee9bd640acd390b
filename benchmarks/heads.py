"""`python -m benchmarks.heads`: fits the heads of `datafast.quality.heads` anew, and prints how they do on other texts.

A head is fitted to texts of `benchmarks/planted`: all of `blind.ndjson` and `training.txt`, and the development halves of the others. What
is held out there is not looked at. The figures are of cross-validation: passages that say nearly the same, translations for instance, are
left out together. `other hand` is the harder test: texts of one file, by a head that was fitted to those of all others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults import FAULTS, blind_texts, clean_texts, planted_lines
from datafast.quality.heads import head
from datafast.quality.refusals import passages as refusal_passages
from datafast.quality.sentence_model import sentence_model, unit_length

__all__ = ["HEADS", "fitted", "found_by", "left_out", "main"]

_FOLDER = Path(__file__).resolve().parent.parent / "datafast/quality/heads"
_LAMBDA = 1.0
_SHIFT = 0.1  # a fault that is missed costs more than a text that is dropped: a row can be made again
_FOLDS = 5
_ALIKE = 0.65  # cosine
_SEED = 20_240_517

Numbers = NDArray[np.float64]


class Passage(NamedTuple):
    """A passage of a text.

    Attributes:
        text: what is embedded.
        faulty: whether it has the fault.
        source: the file that it is from.
        language: its language.
    """

    text: str
    faulty: bool
    source: str
    language: str


def _refusals() -> Iterator[Passage]:
    for text, faulty, source, language in _texts("refusals"):
        yield from (Passage(part, faulty, source, language) for part in refusal_passages(text)[:1])


def _texts(fault: str) -> Iterator[tuple[str, bool, str, str]]:
    """Texts with a fault and without: each with whether it has it, the file that it is from, and its language."""
    for sort in (fault, *_OTHERS.get(fault, ()), "clean"):
        source = "blind" if sort in (fault, "clean") else f"blind, {sort}"
        yield from ((text.text, sort == fault, source, text.language) for text in blind_texts(sort))
    for text in (*FAULTS[fault](), *clean_texts()):
        if not text.held_out:
            yield text.text, text.sort != "clean", "planted", text.language
    for heading, line, _ in planted_lines("training"):
        sort, language = heading.split()
        if sort in (fault, "clean"):
            yield line, sort == fault, "training", language


_OTHERS = {"refusals": ("echo", "pii")}  # texts with another fault, but not with this one
HEADS: Mapping[str, Callable[[], Iterable[Passage]]] = {"refusals": _refusals}
"""By head: the passages."""


@cache
def _embedded(name: str) -> tuple[list[Passage], Numbers, Numbers]:
    """The passages of a head, their embeddings, and +1 or -1 for each."""
    passages = list(HEADS[name]())
    vectors = unit_length(sentence_model("")([passage.text for passage in passages]))
    return passages, vectors.astype(np.float64), np.array([1.0 if passage.faulty else -1.0 for passage in passages])


def _ridge(vectors: Numbers, wanted: Numbers) -> Numbers:
    table = np.c_[vectors, np.ones(len(vectors))]
    found: Numbers = np.linalg.solve(table.T @ table + _LAMBDA * np.eye(table.shape[1]), table.T @ wanted)
    found[-1] += _SHIFT
    return found


def fitted(name: str) -> list[float]:
    """The numbers of a head."""
    _, vectors, wanted = _embedded(name)
    return [round(float(number), 4) for number in _ridge(vectors, wanted)]


def _parts(vectors: Numbers) -> NDArray[np.intp]:
    """The part of each passage; such as say nearly the same are in the same part."""
    alike = vectors @ vectors.T > _ALIKE
    group = np.full(len(vectors), -1)
    for first in range(len(vectors)):
        waiting = [first] if group[first] < 0 else []
        while waiting:
            new = alike[waiting.pop()] & (group < 0)
            group[new] = first
            waiting += np.flatnonzero(new).tolist()
    return np.random.default_rng(_SEED).integers(0, _FOLDS, len(vectors))[group]


def left_out(name: str, parts: Sequence[Any] | None = None) -> list[float]:
    """The score of each passage by a head that was fitted without its part."""
    _, vectors, wanted = _embedded(name)
    of_each = np.array(_parts(vectors) if parts is None else parts)
    scores = np.zeros(len(vectors))
    for part in set(of_each.tolist()):
        out = of_each == part
        scores[out] = np.c_[vectors[out], np.ones(out.sum())] @ _ridge(vectors[~out], wanted[~out])
    return [float(score) for score in scores]


@cache
def _known(name: str) -> dict[str, float]:
    return {passage.text: score for passage, score in zip(_embedded(name)[0], left_out(name), strict=True)}


def found_by(name: str, passages: Sequence[str]) -> bool:
    """Whether a head finds its fault in one of these passages. About those that it was fitted to, heads that were not decide."""
    known = _known(name)
    new = [passage for passage in passages if passage not in known]
    scores = [known[passage] for passage in passages if passage in known] + (head(name).scores(new) if new else [])
    return max(scores, default=-1.0) >= 0


def _shown(passages: Sequence[Passage], scores: Sequence[float]) -> str:
    found = sum(score >= 0 for passage, score in zip(passages, scores, strict=True) if passage.faulty)
    wrong = sum(score >= 0 for passage, score in zip(passages, scores, strict=True) if not passage.faulty)
    faulty = sum(passage.faulty for passage in passages)
    return f"recall {found / faulty:.3f}, precision {found / max(1, found + wrong):.3f} ({faulty} of {len(passages)} faulty)"


def _report(name: str) -> Iterator[str]:
    passages = _embedded(name)[0]
    sources = [passage.source for passage in passages]
    ways = {
        "cross-validated": left_out(name),
        "other language": left_out(name, [passage.language for passage in passages]),
        "other hand": left_out(name, [source.partition(",")[0] for source in sources]),
    }
    for way, scores in ways.items():
        for source in sorted(set(sources)):
            chosen = [number for number, each in enumerate(sources) if each == source]
            if any(passages[number].faulty for number in chosen):
                told = _shown([passages[number] for number in chosen], [scores[number] for number in chosen])
                yield f"{name}, {way}, {source}: {told}"


def main(arguments: list[str] | None = None) -> int:
    """Writes the heads, and prints their figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description="Fits the heads anew.")
    parser.add_argument("heads", nargs="*", metavar="HEAD", choices=[[], *HEADS], help=f"of: {', '.join(HEADS)}")
    parser.add_argument("--to", type=Path, default=_FOLDER, help="the folder that they are written to")
    options = parser.parse_args(arguments)
    for name in options.heads or list(HEADS):
        numbers = fitted(name)
        lines = (", ".join(map(str, numbers[at : at + 16])) for at in range(0, len(numbers), 16))
        (options.to / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        print("\n".join(_report(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
