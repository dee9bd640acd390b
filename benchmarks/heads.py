"""`python -m benchmarks.heads`: fits the heads of `datafast.quality.head` anew, and prints how they do on other texts.

A head is fitted to texts of `benchmarks/planted`: all of `training.txt`, and of the other files what is for development. What is held out
is not looked at. The figures are of cross-validation: passages that say nearly the same, translations for instance, are
left out together. `other hand` is the harder test: texts of one file, by a head that was fitted to those of all others.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from benchmarks.faults import FAULTS, blind_texts, clean_texts, planted_lines
from datafast.quality import echo, refusals
from datafast.quality.head import head
from datafast.quality.sentence_model import sentence_model, unit_length

__all__ = ["HEADS", "fitted", "found_by", "left_out", "main"]

_FOLDER = Path(__file__).resolve().parent.parent / "datafast/quality/heads"
_LAMBDA = 1.0
_FOLDS = 5
_ALIKE = 0.65  # cosine
_SEED = 20_240_517

_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n")

Numbers = NDArray[np.float64]


class _Row(BaseModel):
    text: str


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
        yield from (Passage(part, faulty, source, language) for part in refusals.passages(text)[:1])


def _texts(fault: str) -> Iterator[tuple[str, bool, str, str]]:
    """Texts with a fault and without: each with whether it has it, the file that it is from, and its language."""
    for sort in (fault, *_OTHERS.get(fault, ()), "clean"):
        source = "blind" if sort in (fault, "clean") else f"blind, {sort}"
        texts = (text for text in blind_texts(sort) if not text.held_out)
        yield from ((text.text, sort == fault, source, text.language) for text in texts)
    for text in (*FAULTS[fault](), *clean_texts()):
        if not text.held_out:
            yield text.text, text.sort != "clean", "planted", text.language
    for heading, line, _ in planted_lines("training"):
        sort, language = heading.split()
        if sort in (fault, "clean"):
            yield line, sort == fault, "training", language


_OTHERS = {"refusals": ("echo", "pii"), "echo": ("pii",)}  # texts with another fault, but not with this one


def _talk() -> Iterator[Passage]:
    """Sentences. Nobody has said which of a faulty text is the talk: it is the one that is most like the talk of `training.txt`. Texts with
    marks, placeholders and copies, which are seen without a head, are left out."""
    surely = [Passage(line, heading.startswith("talk"), "training", heading[-2:]) for heading, line, _ in _lines()]
    for text, faulty, source, language in _texts("echo"):
        surely += [Passage(part, False, source, language) for part in _sentences(text) if not faulty]
    yield from surely
    rough = _ridge(_vectors([passage.text for passage in surely]), _wanted(surely), 2.0)
    for text, faulty, source, language in _texts("echo"):
        reason = _reason(text) if faulty else ""
        if faulty and (not reason or reason.startswith("talk")) and (parts := echo.passages(text)):
            yield Passage(parts[int(_scored(_vectors(parts), rough).argmax())], True, source, language)


def _lines() -> Iterator[tuple[str, str, bool]]:
    return (line for line in planted_lines("training") if line[0].startswith(("talk", "quiet")))


def _sentences(text: str) -> list[str]:
    """What `echo` looks at of a text, and the sentences between."""
    between = [part[: echo.PASSAGE] for part in _SENTENCE.split(text) if len(part) > 15]
    return echo.passages(text) + between[1:-1]


def _reason(text: str) -> str:
    return echo.EchoStage().decide(_Row(text=text), None).reason  # type: ignore[arg-type]  # no prompt is known


class _Plan(NamedTuple):
    """How a head is made.

    Attributes:
        passages: what it is fitted to.
        weight: how much one with the fault counts beside one without.
        shift: what is added to all scores.
    """

    passages: Callable[[], Iterable[Passage]]
    weight: float
    shift: float


HEADS: Mapping[str, _Plan] = {
    # Where texts of one hand are judged by a head of all others, it finds 0.96 at a precision of 0.94.
    "refusals": _Plan(_refusals, 1.0, -0.05),
    # There are few of talk beside the other sentences.
    "talk": _Plan(_talk, 2.0, -0.5),
}


@cache
def _embedded(name: str) -> tuple[list[Passage], Numbers, Numbers]:
    """The passages of a head, their embeddings, and +1 or -1 for each."""
    passages = list(HEADS[name].passages())
    return passages, _vectors([passage.text for passage in passages]), _wanted(passages)


def _vectors(texts: Sequence[str]) -> Numbers:
    found: Numbers = unit_length(sentence_model("")(texts)).astype(np.float64)
    return found


def _wanted(passages: Iterable[Passage]) -> Numbers:
    return np.array([1.0 if passage.faulty else -1.0 for passage in passages])


def _ridge(vectors: Numbers, wanted: Numbers, weight: float, shift: float = 0.0) -> Numbers:
    table = np.c_[vectors, np.ones(len(vectors))]
    weighted = table.T * np.where(wanted > 0, weight, 1.0)
    found: Numbers = np.linalg.solve(weighted @ table + _LAMBDA * np.eye(table.shape[1]), weighted @ wanted)
    found[-1] += shift
    return found


def _scored(vectors: Numbers, numbers: Numbers) -> Numbers:
    found: Numbers = vectors @ numbers[:-1] + numbers[-1]
    return found


def fitted(name: str) -> list[float]:
    """The numbers of a head."""
    _, vectors, wanted = _embedded(name)
    return [round(float(number), 4) for number in _ridge(vectors, wanted, *HEADS[name][1:])]


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
        scores[out] = _scored(vectors[out], _ridge(vectors[~out], wanted[~out], *HEADS[name][1:]))
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
