"""Drops rows that hold what belongs to the prompt: copies of its words, placeholders that nobody filled, marks of chat formats.

quality:
  - {stage: echo}
  - {stage: echo, max_copied: 0.3}

Method: the share of a text's words that lie in runs of six words of the item's prompt template. Texts of the user's own that a prompt
shows, documents for instance, are not part of the template, so quoting them is no echo.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, TextStage, Verdict, drop

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["EchoStage", "word_runs"]

_RUN = 6
_WORD = re.compile(r"\w+")
_MARKS = re.compile(
    r"<\|(?:im_start|im_end|im_sep|system|user|assistant|end|eot_id|endoftext|start_header_id|end_header_id)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|^\s*#{2,3} ?(?:Instruction|Response|Input)s?:",
    re.IGNORECASE | re.MULTILINE,
)
# What stands for something in a form: [Your Name], [insert date here], <insert topic>, {{ company_name }}.
_GAPS = re.compile(
    r"\[(?:your|insert|enter|add|recipient|sender|company|client|customer|date|name|address|phone|email)\b[^\]\[\n]{0,40}\]"
    r"|<(?:insert|your|enter)\s[^<>\n]{1,40}>"
    r"|\{\{\s*[a-z]\w{2,30}\s*\}\}"
    r"|\b(?:XX+|TODO|TBD)\b(?=[:\]]| here\b)",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^.:\n]{0,40}[!.,:]\s*)?"
    r"(?:here(?: is|'s|’s| are)\b[^\n]{0,120}:\s*(?:\n|\Z|[\"“*#-])|(?:below (?:is|are)|the following (?:is|are))\b[^\n]{0,120}:\s*\n)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:let me know if you(?: would|'d|’d)? (?:like|need|want)|i hope this (?:helps|meets)|(?:would you like|do you want) me to)"
    r"[^\n]{0,150}\Z",
    re.IGNORECASE,
)


class EchoStage(TextStage):
    """Drops rows that hold what belongs to the prompt, or to the talk around an answer."""

    stage: Literal["echo"] = "echo"
    """Drops rows that hold words of the prompt, unfilled placeholders, marks of chat formats, or talk around what was asked for."""

    max_copied: float = Field(default=0.4, ge=0, le=1)
    """The share of a text's words that may lie in runs of six words of the prompt template."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        runs, names = _of_prompt(item.template.text) if item is not None else (frozenset(), None)
        talks = "messages" in type(row).model_fields  # in a conversation it is a part of what was asked for
        for text in self.texts(row):
            if _MARKS.search(text):
                return drop("a mark of a chat format")
            if _GAPS.search(text) or (names is not None and names.search(text)):
                return drop("a placeholder that is not filled")
            if not talks and (_OPENING.search(text) or _CLOSING.search(text)):
                return drop("talk around what was asked for")
            if runs and (share := _copied(text, runs)) > self.max_copied:
                return drop("copied from the prompt", round(share, 3))
        return KEEP


@lru_cache(maxsize=256)
def _of_prompt(template: str) -> tuple[frozenset[tuple[str, ...]], re.Pattern[str] | None]:
    """The runs of words of a template, and a pattern for its placeholders."""
    found = set(re.findall(r"<<([^<>\n]+)>>|\{\{?(\w[\w.-]*)\}?\}", template))
    names = [re.escape(one or other) for one, other in sorted(found)]
    listed = "|".join(names)
    pattern = re.compile(rf"<<(?:{listed})>>|\{{(?:{listed})\}}") if names else None
    return frozenset(word_runs(template)), pattern


def word_runs(text: str) -> list[tuple[str, ...]]:
    """Every six words on end of a text, without case and punctuation."""
    words = _WORD.findall(text.casefold())
    return [tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)]


def _copied(text: str, runs: frozenset[tuple[str, ...]]) -> float:
    """The share of a text's words that lie in one of these runs."""
    own = word_runs(text)
    covered, until = 0, 0
    for start, run in enumerate(own):
        if run in runs:
            covered += start + _RUN - max(start, until)
            until = start + _RUN
    return covered / (len(own) + _RUN - 1) if own else 0.0
