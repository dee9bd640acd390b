# ruff: noqa: E501 - one form of an option after the other
"""Drops rows that hold what belongs to the prompt: copies of its words, placeholders that nobody filled, marks of chat formats, the
number of a text among others.

quality:
  - {stage: echo}
  - {stage: echo, max_copied: 0.3}
  - {stage: echo, action: strip}      # "Sure! Here is your text:" goes, and the text stays
  - {stage: echo, engine: embeddings}

Method: the share of a text's words that lie in runs of six words of the item's prompt template. Texts of the user's own that a prompt
shows, documents for instance, are not part of the template, so quoting them is no echo. Placeholders, marks of chat formats and talk are
found by patterns.

Method, embeddings: also a head (`datafast.quality.head`) that looks at the first sentence and the last line of each text, for talk in words
of its own. Cost: 1 to 3 ms a row. Limits: the 16 languages of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, Verdict, change, drop, with_texts
from datafast.quality.echo_marks import has_gap, is_marked, is_numbered
from datafast.quality.echo_talk import ABOUT, ABOUT_BEGINS, CLOSING, NOTE, OF_ABOUT, OF_CLOSINGS, OF_NOTES, OPENING
from datafast.quality.head_stage import HeadStage
from datafast.quality.signs import has_any

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["EchoStage", "passages", "word_runs"]

_RUN = 6
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile("[一-鿿ぁ-ヿ]")
_ENDS = re.compile(r"[.!?。！？](?:\s|\Z)")
_SENTENCE_END = re.compile(r"[.!?][\"”»’)*]*\s+|[。！？]")
_LEAST = 10  # characters of a sentence
_FEW_LETTERS = 4
PASSAGE = 200
"""The characters of a sentence that embeddings are made of."""
_LAST = 300  # characters, in which a closing stands


class EchoStage(HeadStage):
    """Drops rows that hold what belongs to the prompt, or to the talk around an answer; the latter may be taken away."""

    head_name: ClassVar[str] = "talk"
    stage: Literal["echo"] = "echo"
    """Drops rows that hold words of the prompt, unfilled placeholders, marks of chat formats, or talk around what was asked for. The talk may
    be taken away."""

    max_copied: float = Field(default=0.1, ge=0, le=1)
    """The share of a text's words that may lie in runs of six words of the prompt template."""

    action: Literal["drop", "strip"] = "drop"
    """Whether rows with talk around what was asked for are dropped, or lines of their own with it are taken away. What stands in one line
    with a text, placeholders, marks and copies are dropped all the same."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        talks = "messages" in type(row).model_fields  # in a conversation it is a part of what was asked for
        if self.action == "drop" or talks:
            return self._verdict(self.texts(row), item, talks=talks)
        stripped = [_stripped(text) for text in self.texts(row)]
        verdict = self._verdict(stripped, item, talks=False)
        return change(with_texts(row, _stripped, self.field)) if verdict.keeps else verdict

    def _verdict(self, texts: Sequence[str], item: WorkItem, *, talks: bool) -> Verdict:
        runs, names = _of_prompt(item.template.text) if item is not None else (frozenset(), None)
        for text in texts:
            lowered = text.lower()
            if is_marked(text):
                return drop("a mark of a chat format")
            if is_numbered(text):
                return drop("the number of a text among others")
            if has_gap(text) or (names is not None and names.search(text)):
                return drop("a placeholder that is not filled")
            if not talks and _talks(text, lowered):
                return drop("talk around what was asked for")
            if runs and (share := _copied(text, runs)) > self.max_copied:
                return drop("copied from the prompt", round(share, 3))
        score = None if talks else self.head_score([part for text in texts for part in passages(text)])
        return KEEP if score is None else drop("reads like talk around what was asked for", score)


def passages(text: str) -> list[str]:
    """Where a text may talk: the first sentence of its first line, and its last line, or the last sentence of a text in one line."""
    bare = text.strip()
    if len(bare) < _FEW_LETTERS:
        return []
    first = bare.partition("\n")[0]
    end = next((found.end() for found in _SENTENCE_END.finditer(first, _LEAST - 1)), len(first))
    if end == len(bare):
        return [bare[:PASSAGE]]
    last = bare.rpartition("\n")[2]
    start = 0
    if len(last) == len(bare):
        near = max(end, len(bare) - 2 * PASSAGE)
        start = max((found.end() for found in _SENTENCE_END.finditer(bare, near - 1, len(bare) - _LEAST)), default=near)
    return [first[:end].strip()[:PASSAGE], last[start:].strip()[:PASSAGE]]


def _stripped(text: str) -> str:
    """A text without the lines before and behind it that are talk around it, and nothing else. The same text if nothing would be left."""
    left = text
    while _talks(left, left.lower()):
        shorter = _without_a_line(left)
        if not shorter.strip():
            return text
        if shorter == left:
            return left
        left = shorter
    return left


def _without_a_line(text: str) -> str:
    if opening := OPENING.search(text):
        heading = opening[0].rstrip('"“*#-')
        if "\n" in heading[len(heading.rstrip()) :]:  # else the text begins in the same line
            return text[opening.start() + len(heading) :].lstrip("\n")
    if closing := CLOSING.search(text[-_LAST:]):
        start = max(0, len(text) - _LAST) + closing.start()
        line = text.rfind("\n", 0, start) + 1
        if line and not _ENDS.search(text[line:start]):
            return text[:line].rstrip()
    if note := NOTE.search(text):
        start = note.start() + len(note[0]) - len(note[0].lstrip())
        end = text.find("\n", note.end())
        return (text[:start].rstrip() + ("" if end < 0 else text[end:])).strip("\n")
    return text


def _talks(text: str, lowered: str) -> bool:
    """Whether a text begins or ends with what is said around an answer."""
    if OPENING.search(text) or any(map(_is_about, passages(lowered))):
        return True
    if has_any(lowered[-_LAST:], OF_CLOSINGS) and CLOSING.search(text[-_LAST:]):
        return True
    return has_any(lowered, OF_NOTES) and NOTE.search(text) is not None


def _is_about(passage: str) -> bool:
    if ABOUT_BEGINS.match(passage):
        return True
    return (
        bool(not OF_ABOUT.isdisjoint(_WORD.findall(passage)) or _UNSPACED.search(passage))
        and ABOUT.search(passage) is not None
    )


@lru_cache(maxsize=256)
def _of_prompt(template: str) -> tuple[frozenset[tuple[str, ...]], re.Pattern[str] | None]:
    """The runs of words of a template, and a pattern for its placeholders."""
    found = set(re.findall(r"<<([^<>\n]+)>>|\{\{?(\w[\w.-]*)\}?\}", template))
    names = [re.escape(one or other) for one, other in sorted(found)]
    listed = "|".join(names)
    pattern = re.compile(rf"<<(?:{listed})>>|\{{(?:{listed})\}}") if names else None
    return frozenset(_runs(template)), pattern


def word_runs(text: str) -> list[tuple[str, ...]]:
    """Every six words on end of a text, without case and punctuation."""
    words = _WORD.findall(text.casefold())
    return list(zip(*(words[start:] for start in range(_RUN)), strict=False))


def _runs(text: str) -> list[tuple[str, ...]]:
    """The runs of a text; where a script has no spaces between words, each of its signs counts as one."""
    return word_runs(_UNSPACED.sub(r" \g<0> ", text) if _UNSPACED.search(text) else text)


def _copied(text: str, runs: frozenset[tuple[str, ...]]) -> float:
    """The share of a text's words that lie in one of these runs."""
    own = _runs(text)
    if runs.isdisjoint(own):
        return 0.0
    covered, until = 0, 0
    for start, run in enumerate(own):
        if run in runs:
            covered += start + _RUN - max(start, until)
            until = start + _RUN
    return covered / (len(own) + _RUN - 1) if own else 0.0
