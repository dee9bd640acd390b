"""What makes an evolution fail. The rules are those of Evol-Instruct, put into words that can be looked up:

* nothing is gained: it has fewer than two words that were not there before (or a model says that both ask for the same; see `evolution`);
* it takes up words of the prompt that it was made by: phrases of such prompts, or six words on end of the default one;
* it, or the response to it, has no word that says anything;
* it, or the response to it, is a refusal: it is short, and begins as refusals do (see `datafast.quality.refusals`).

Limits: refusals are told in the languages of the stage `refusals`, words that say nothing in English alone. A refusal that a server marks
as one, in the place of a text, is a failure of the row like others.
"""

from __future__ import annotations

import re
import unicodedata

from datafast.datasets.instruction.rows import Task
from datafast.quality.echo import word_runs
from datafast.quality.refusals import is_refusal

__all__ = ["NOTHING_GAINED", "why_evolution_fails", "why_response_fails"]

NOTHING_GAINED = "nothing is gained"
_MIN_NEW_WORDS = 2
_MAX_REFUSAL_WORDS = 80

# Scripts without spaces between words: a letter stands for a word there.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]|[^\W_]+(?:['’][^\W_]+)*"
)
# English words that alone say nothing.
_EMPTY = """
    a about above after again all also am an and any are as at be because been before being below between both but
    by can could did do does doing down during each few for from further had has have having he her here hers him
    his how i if in into is it its just me more most my of off on once only or other our out over own same she
    should so some such than that the their them then there these they this those through to too under until up very
    was we were what when where which while who whom why will with would you your
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())
_OF_THE_PROMPT = re.compile(
    r"\b(?:given|rewritten|evolved|created|changed|harder) (?:prompt|instruction|task)s?\b|</?(?:task|input|first|second)>|#\w+ prompt#",
    re.IGNORECASE,
)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _says_nothing(text: str) -> bool:
    """Whether there are only words without a meaning of their own, or none."""
    return _words(text) <= _EMPTY_WORDS


def _is_short_refusal(text: str) -> bool:
    return is_refusal(text) and len(text.split()) < _MAX_REFUSAL_WORDS


def why_evolution_fails(before: Task, after: Task, *, prompt: str = "") -> str | None:
    """Why an evolution is dropped without being answered; None if it is not.

    Args:
        prompt: what it was asked for with, of which no six words on end may be in it, unless the task before has them.
    """
    if _says_nothing(after.instruction):
        return "the instruction says nothing"
    if any(found.casefold() not in before.text.casefold() for found in _OF_THE_PROMPT.findall(after.text)):
        return "it has words of the prompt"
    if set(word_runs(prompt)).difference(word_runs(before.text)).intersection(word_runs(after.text)):
        return "it has words of the prompt"
    if _is_short_refusal(after.instruction) and not _is_short_refusal(before.instruction):
        return "the instruction is a refusal"
    if len(_words(after.text) - _words(before.text)) < _MIN_NEW_WORDS:
        return NOTHING_GAINED
    return None


def why_response_fails(response: str) -> str | None:
    """Why an evolution is dropped that was answered like this; None if it is not."""
    if _says_nothing(response):
        return "the response says nothing"
    if _is_short_refusal(response):
        return "the response refuses"
    return None
