"""`python -m benchmarks.accuracy`: what the stages find of faults that are known, and what they drop without need.

Recall is the share of the faulty texts that are dropped; precision the share of what is dropped that is faulty. Beside each stage stands
what a line of Python does. Only figures of the development half come with the texts behind them (`--misses`).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from benchmarks.duplicates import COPIES, ORIGINALS
from benchmarks.faults import FAULTS as OF_ONE_ROW
from benchmarks.faults import Text, blind_texts, clean_texts, test_texts
from benchmarks.heads import found_by
from datafast.plan.expansion import Variant
from datafast.plan.items import WorkItem
from datafast.plan.template import Template
from datafast.quality import echo, refusals
from datafast.quality.base import Stage, WalkStage
from datafast.quality.registry import AnyStage

__all__ = ["BASELINES", "BLIND", "CURVES", "FAULTS", "Figures", "as_markdown", "figures", "main", "update"]

LEAST_RECALL, LEAST_PRECISION = 0.9, 0.95
_MARK = "<!-- accuracy -->"

FAULTS: Mapping[str, Callable[[], Iterable[Text]]] = {**OF_ONE_ROW, **COPIES}
"""Texts that each stage should drop."""

BLIND = ("refusals", "echo", "pii")
"""The stages with texts by another hand as well. Their figures are told, and have no target."""

Drops = Callable[[Text], bool]


class _Row(BaseModel):
    text: str
    language: str


@dataclass(frozen=True)
class Figures:
    """How many of the faulty and of the clean texts were dropped."""

    faulty: int
    found: int
    clean: int
    wrong: int

    @property
    def recall(self) -> float:
        return self.found / self.faulty

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found else 0.0

    @property
    def ok(self) -> bool:
        return self.recall >= LEAST_RECALL and self.precision >= LEAST_PRECISION

    def __str__(self) -> str:
        return f"{self.recall:.2f} / {self.precision:.2f}"


def figures(name: str, drops: Drops, *, held_out: bool, blind: bool = False) -> Figures:
    """The figures of a stage, or of a baseline, over one half of the texts, or of those by another hand."""
    both = (blind_texts(name), blind_texts("clean")) if blind else (_faulty(name), _clean(name))
    faulty, clean = ([text for text in texts if text.held_out == held_out] for texts in both)
    return Figures(len(faulty), sum(map(drops, faulty)), len(clean), sum(map(drops, clean)))


@cache
def _faulty(name: str) -> Sequence[Text]:
    return list(FAULTS[name]())


@cache
def _clean(name: str) -> Sequence[Text]:
    return list(ORIGINALS[name]()) if name in ORIGINALS else clean_texts(labelled=name == "language")


def by_stage(name: str, **settings: Any) -> Drops:
    """What a stage with these settings drops."""
    needed = {"against": test_texts()} if name == "contamination" else {}
    stage: Stage | WalkStage[Any] = TypeAdapter(AnyStage).validate_python({"stage": name, **needed, **settings})
    stage.check(_Row)
    if isinstance(stage, WalkStage):
        return _by_walk(stage)
    return lambda text: not stage.decide(_Row(text=text.text, language=text.language), _item(text.prompt)).keeps


def _by_walk(stage: WalkStage[Any]) -> Drops:
    """What a stage drops that is shown first all texts that are no copies, and then the copies."""
    texts = [*_clean(stage.name), *_faulty(stage.name)]
    walk = stage.walk()
    dropped = set()
    rows = [_Row(text=text.text, language=text.language) for text in texts]
    for text, features in zip(texts, stage.features(rows), strict=True):
        if walk.decide(features).keeps:
            walk.keep(features)
        else:
            dropped.add(id(text))
    return lambda text: id(text) in dropped


def _item(prompt: str) -> WorkItem:
    template = Template.parse(prompt or "Write.", mandatory=())
    return WorkItem(0, b"", b"", 1, 1, {}, template, Variant(0, {}, 0), 0, 0)


_STOP_WORDS = {
    "en": "the of and a is to in that was it",
    "fr": "le la les et de des un une est que",
    "de": "der die das und ein eine ist nicht zu den",
    "es": "el la los y de una que no se las",
    "pt": "o a os e de uma que não se as",
    "it": "il la i e di una che non si le",
    "nl": "de het een en van is dat niet te in",
    "pl": "i w na się nie z że do jest to",
    "ru": "и в на не что с по он за из",
    "zh": "的 了 我 是 在",
    "ja": "の は を に です",
    "ar": "في من على أن إلى",
}


def _in_another_language(text: Text) -> bool:
    words = re.findall(r"\w+", text.text.casefold())
    counts = {
        language: sum(word in text.text if language in ("zh", "ja") else words.count(word) for word in listed.split())
        for language, listed in _STOP_WORDS.items()
    }
    most = max(counts, key=lambda language: counts[language])
    return counts[most] > 0 and most != text.language


def _has_a_common_word(text: Text) -> bool:
    words = text.text.casefold().split()
    return len(words) > 10 and max(map(words.count, words)) / len(words) > 0.2


def _like_one_before(name: str, alike: Callable[[str, str], bool]) -> Drops:
    def drops(text: Text) -> bool:
        for other in (*_clean(name), *_faulty(name)):
            if other is text:
                return False
            if alike(text.text, other.text):
                return True
        return False

    return drops


@cache
def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def _share_half(one: str, other: str) -> bool:
    return 2 * len(_words(one) & _words(other)) >= len(_words(one) | _words(other))


BASELINES: Mapping[str, tuple[str, Drops]] = {
    "refusals": (
        '"I\'m sorry" or "as an AI" in it',
        lambda text: bool(re.search("i'm sorry|as an ai", text.text, re.I)),
    ),
    "echo": (
        'the prompt, "Sure!" or "[Your" in it',
        lambda text: any(part in text.text for part in (text.prompt, "Sure!", "[Your")),
    ),
    "language": ("most stop words of ten", _in_another_language),
    "repetition": ("one word makes up a fifth", _has_a_common_word),
    "pii": ('"@" in it', lambda text: "@" in text.text),
    "contamination": ("a text of the test in it", lambda text: any(part in text.text for part in test_texts())),
    "exact_duplicates": ("`==`", _like_one_before("exact_duplicates", str.__eq__)),
    "near_duplicates": (
        "the same letters",
        _like_one_before("near_duplicates", lambda one, other: _letters(one) == _letters(other)),
    ),
    "semantic_duplicates": ("half of the words", _like_one_before("semantic_duplicates", _share_half)),
}
"""By stage: what the baseline is, and what it drops."""

CURVES: Mapping[str, tuple[str, Sequence[float]]] = {
    "echo": ("max_copied", (0.1, 0.2, 0.4, 0.6, 0.8)),
    "language": ("min_confidence", (0.1, 0.3, 0.5, 0.7, 0.9)),
    "repetition": ("max_share", (0.1, 0.15, 0.25, 0.35, 0.5)),
    "contamination": ("ngram", (6, 8, 10, 13, 16)),
    "contamination, ngram 8": ("max_share", (0.0, 0.1, 0.3, 0.5, 0.8)),
    "near_duplicates, ngram 1": ("threshold", (0.5, 0.6, 0.7, 0.8, 0.9)),
    "near_duplicates": ("threshold", (0.5, 0.6, 0.7, 0.8, 0.9)),
    "near_duplicates, ngram 3": ("threshold", (0.5, 0.6, 0.7, 0.8, 0.9)),
    "semantic_duplicates": ("threshold", (0.5, 0.6, 0.65, 0.7, 0.8)),
}
"""By stage: its threshold, and five values."""


def _by_embeddings(name: str) -> Drops:
    """What a stage drops with `engine: embeddings`: what patterns find, and what a head finds that was not fitted to the text."""
    patterns, (head, passages) = by_stage(name), PASSAGES[name]
    return lambda text: patterns(text) or found_by(head, passages(text.text))


PASSAGES: Mapping[str, tuple[str, Callable[[str], Sequence[str]]]] = {
    "refusals": ("refusals", refusals.passages),
    "echo": ("talk", echo.passages),
}
"""By stage with a head: its name, and the passages of a text that it looks at."""

OTHER_ENGINES: Mapping[str, tuple[str, Callable[[], Drops]]] = {
    "refusals": ("embeddings", partial(_by_embeddings, "refusals")),
    "echo": ("embeddings", partial(_by_embeddings, "echo")),
    "pii": ("presidio", partial(by_stage, "pii", engine="presidio")),
}
"""By stage: another engine in the place of its own rules, and what it drops. Its figures are told, and have no target."""


def as_markdown(stages: Iterable[str] = FAULTS) -> str:
    """Two tables: the figures of the stages, and the curves of their thresholds."""
    wanted = list(stages)
    head = ("stage", "texts, faulty + clean", "development", "held out", "ok?", "a plain baseline, held out")
    rows = [head, ("---",) * len(head), *(row for name in wanted for row in _rows_of(name))]
    curves = [("threshold", *(f"value {n}" for n in range(1, 6))), ("---",) * 6]
    curves += [_curve(name) for name in CURVES if name.partition(",")[0] in wanted]
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in table) for table in (rows, curves))


def _rows_of(name: str) -> Iterable[tuple[str, ...]]:
    said, plain = BASELINES[name]
    ours = _halves(name)
    texts = f"{len(_faulty(name))} + {len(_clean(name))}"
    ok = "yes" if all(half.ok for half in ours) else "NO"
    yield f"`{name}`", texts, str(ours[0]), str(ours[1]), ok, f"{figures(name, plain, held_out=True)} ({said})"
    if name in BLIND:
        yield from _blind_row(name, "", by_stage(name))
    if name in OTHER_ENGINES:
        engine, made = OTHER_ENGINES[name]
        drops = made()
        halves = [str(figures(name, drops, held_out=half)) for half in (False, True)]
        yield f"`{name}`, `engine: {engine}`", texts, *halves, "", ""
        if name in PASSAGES:
            yield from _blind_row(name, f", `engine: {engine}`", drops)


def _blind_row(name: str, engine: str, drops: Drops) -> Iterable[tuple[str, ...]]:
    """The figures over texts by another hand; a half that there is not has none."""
    texts = blind_texts(name)
    halves = [
        str(figures(name, drops, held_out=half, blind=True)) if any(text.held_out == half for text in texts) else ""
        for half in (False, True)
    ]
    yield f"`{name}`{engine}, by another hand", f"{len(texts)} + {len(blind_texts('clean'))}", *halves, "", ""


def _halves(name: str) -> tuple[Figures, Figures]:
    drops = by_stage(name)
    return figures(name, drops, held_out=False), figures(name, drops, held_out=True)


def _curve(name: str) -> tuple[str, ...]:
    threshold, values = CURVES[name]
    stage, _, fixed = name.partition(", ngram ")
    more = {"ngram": int(fixed)} if fixed else {}
    found = [figures(stage, by_stage(stage, **{**more, threshold: value}), held_out=False) for value in values]
    shown = [f"{value:g}: {each}" for value, each in zip(values, found, strict=True)]
    return f"`{stage}`, `{threshold}`{f' with ngram {fixed}' if fixed else ''}", *shown


def update(page: Path, tables: str) -> None:
    """Puts the tables into a page, between its marks."""
    before, *old, after = page.read_text(encoding="utf-8").split(_MARK)
    if len(old) != 1:
        raise SystemExit(f"{page}: There must be two lines {_MARK}. The tables are put between them.")
    page.write_text(f"{before}{_MARK}\n\n{tables}\n\n{_MARK}{after}", encoding="utf-8")


def _misses(name: str) -> Iterable[str]:
    drops = by_stage(name)
    blind = (blind_texts(name), blind_texts("clean")) if name in BLIND else ([], [])
    for faulty, texts in ((True, [*_faulty(name), *blind[0]]), (False, [*_clean(name), *blind[1]])):
        for text in texts:
            if not text.held_out and drops(text) != faulty:
                yield f"{'kept' if faulty else 'dropped'} ({text.sort}): {replace(text, prompt='').text[:160]!r}"


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a stage misses its target."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description="Recall and precision of stages."
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", choices=[[], *FAULTS], help=f"of: {', '.join(FAULTS)}")
    parser.add_argument("--misses", action="store_true", help="show what is decided wrongly of the development half")
    parser.add_argument("--update", type=Path, metavar="PAGE", help="put the tables into this page, between its marks")
    options = parser.parse_args(arguments)
    names = options.stages or list(FAULTS)
    if options.misses:
        print("\n".join(f"{name}: {miss}" for name in names for miss in _misses(name)))
        return 0
    tables = as_markdown(names)
    print(tables)
    if options.update:
        update(options.update, tables)
    return int("| NO |" in tables)


if __name__ == "__main__":
    sys.exit(main())
