"""Drops rows in which a model apologises or refuses in the place of what was asked for.

quality:
  - {stage: refusals}
  - {stage: refusals, field: answer}
  - {stage: refusals, engine: embeddings}

Method, patterns: the first sentences of each text are searched for the ways in which assistants refuse, in the languages of `LANGUAGES`:
somebody who cannot or will not do what is asked of an assistant (to write, to answer, to help) with what it is asked for (this request,
such content), a model that speaks of itself as one, and rules that forbid it; in thirteen of them also other ways, as that
the text to work on is missing. Limits: a refusal in another language, or in other words, is not found. A letter that refuses a request in
its first sentence is found, speech in quotation marks is not.

Method, embeddings: what patterns find, and what a head (`datafast.quality.head`) finds in the first and the last paragraph: refusals in
words of their own, questions for a text that is missing, advice to ask somebody else in the place of an answer. Cost: 1 to 4 ms a row.
Limits: the 16 languages of the model; people who refuse ("I can't open the attachment.") may be taken for models.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, Verdict, drop
from datafast.quality.head_stage import HeadStage
from datafast.quality.refusal_sayings import (
    AS_MODEL,
    MACHINES,
    OF_MODELS,
    OF_RULES,
    RULES,
    SAYS,
    SAYS_UNSPACED,
    UNSPACED_MODEL,
)
from datafast.quality.refusal_words import ANY_SCRIPT, SCRIPTS, SIGNS, TURKISH, TURKISH_SIGNS, WORDS
from datafast.quality.signs import has_any

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["LANGUAGES", "PASSAGE", "RefusalsStage", "is_refusal", "passages"]


LANGUAGES = (*WORDS, "no")
"""The languages in which refusals are known. Norwegian is written closely enough to Danish."""
_UNSPACED = frozenset({"zh", "ja", "ko", "th"})

_WORD = re.compile(r"\w+")
_BEGINNING = 300  # characters: who refuses does so at once
_SENTENCES = 2
_END = re.compile(r"[.!?:;。！？؟…\n।]+\s*")
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*[”“]|«[^»\n]*»|»[^«\n]*«|„[^“”\n]*[“”]|「[^」\n]*」")
_SPEECH = re.compile(r"\s*[\"'“”„«»「『‹‘—–-]")


def _one_of(words: str, language: str) -> str:
    return f"(?:{words})" if language in _UNSPACED else rf"(?<!\w)(?:{words})"


# Without an apology, a short sentence with one of these and with whom or what they are about is enough: "No puedo ayudarte con eso."
_HELP = re.compile(
    r"(?<!\w)(?:help|assist|answer|comply|aider|répondre|helfen|weiterhelfen|beantworten|ayudar|responder|aiutar|risponder|ajud|helpen|assisteren"
    r"|beantwoord|pomóc|odpowied|помо[чг]|ответ|допом|hjälp|hjælp|svar|autta|vasta|pomo[ci]|odpověd|yardım|cevap)"
)
_DECLINES = re.compile("declin|refus|ablehn|rechaz|rifiut|recus|weiger|odmaw|отказ|お断り|拒")
_FEW_WORDS = 8
_PARAGRAPH = re.compile(r"\n\s*\n")
_JSON = re.compile(r'\A\s*[\[{]+\s*"\w+"\s*:\s*"')
_FEW_LETTERS = 4
PASSAGE = 300
"""The characters of a passage that embeddings are made of; more cost time and say little more."""


class _Parts(NamedTuple):
    """The patterns of one language."""

    unable: re.Pattern[str]
    verbs: re.Pattern[str]
    things: re.Pattern[str]
    these: re.Pattern[str]
    sorry: re.Pattern[str]


_PARTS = {
    language: _Parts(*(re.compile(_one_of(part, language)) for part in words)) for language, words in WORDS.items()
}


def _says(beginning: str, words: frozenset[str]) -> bool:
    ends = [found.start() for found in islice(_END.finditer(beginning), _SENTENCES + 1)]
    beginning = beginning[: ends[_SENTENCES]] if len(ends) > _SENTENCES else beginning
    for needed, pattern in SAYS:
        if not any(map(words.isdisjoint, needed)) and pattern.search(beginning):
            return True
    return not beginning.isascii() and SAYS_UNSPACED.search(beginning) is not None


class RefusalsStage(HeadStage):
    """Drops rows in which a model apologises or refuses."""

    head_name: ClassVar[str] = "refusals"
    stage: Literal["refusals"] = "refusals"
    """Drops rows in which a model apologises or refuses in the place of what was asked for."""

    max_characters: int = Field(default=1200, ge=1)
    """Longer texts are taken for answers, whatever they begin with."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        texts = [text for text in self.texts(row) if len(text) <= self.max_characters]
        if any(map(is_refusal, texts)):
            return drop("a refusal")
        score = self.head_score([part for text in texts for part in passages(text)])
        return KEEP if score is None else drop("reads like a refusal", score)

    def finds(self, row: BaseModel) -> bool:
        """Whether a row reads as a refusal, by patterns."""
        return any(len(text) <= self.max_characters and is_refusal(text) for text in self.texts(row))


def passages(text: str) -> list[str]:
    """Where a text may refuse: its first paragraph and its last, without what JSON has around them. None if there is nothing but a mark or
    a letter."""
    bare = _JSON.sub("", text).strip()
    if len(bare) < _FEW_LETTERS:
        return []
    paragraphs = _PARAGRAPH.split(bare)
    last = paragraphs[-1][-PASSAGE:] if len(paragraphs) > 1 or len(bare) > PASSAGE else ""
    return [paragraphs[0][:PASSAGE], *([last] if len(last) >= _FEW_LETTERS else [])]


def is_refusal(text: str) -> bool:
    """Whether a text begins with a refusal."""
    beginning = _JSON.sub("", text[:_BEGINNING]).strip().replace("’", "'").lower()
    if _SPEECH.match(beginning):
        return False
    beginning = _QUOTED.sub("", beginning)
    words = frozenset(_WORD.findall(beginning))
    languages = _languages(beginning, words)
    of_models = (
        not MACHINES.isdisjoint(words)
        or has_any(beginning, OF_MODELS)
        or (not beginning.isascii() and UNSPACED_MODEL.search(beginning) is not None)
    )
    of_rules = has_any(beginning, OF_RULES)
    if _says(beginning, words):
        return True
    if not (languages or of_models or of_rules):
        return False
    sentences = [part for part in _END.split(beginning) if part][:_SENTENCES]
    # An apology may stand by itself: "I'm sorry. I can't help with that."
    return any(
        (of_models and AS_MODEL.search(sentence))
        or (of_rules and RULES.search(sentence))
        or any(_is_unable(sentence, sentences[0], _PARTS[language]) for language in languages)
        for sentence in sentences
    )


def _languages(beginning: str, words: frozenset[str]) -> list[str]:
    """In which a text may refuse, by its words and its script."""
    found = [language for language, signs in SIGNS.items() if not signs.isdisjoint(words)]
    if TURKISH.search(beginning) or has_any(beginning, TURKISH_SIGNS):
        found.append("tr")
    if not beginning.isascii() and ANY_SCRIPT.search(beginning):
        found += [language for language, script in SCRIPTS.items() if script.search(beginning)]
    return found


def _is_unable(sentence: str, first: str, parts: _Parts) -> bool:
    """Whether a sentence says that what is asked of an assistant cannot be done; `first` is where an apology may stand."""
    unable = parts.unable.search(sentence)
    if unable is None:
        return False
    is_sorry = parts.sorry.search(first) is not None
    verb = parts.verbs.search(sentence)
    if verb is None:
        return is_sorry and not sentence[unable.end() :].strip(" ,")  # "I'm sorry, but I cannot."
    if parts.things.search(sentence):
        return True
    if len(sentence.split()) <= _FEW_WORDS and _DECLINES.search(unable[0]) and not sentence[unable.end() :].strip():
        return True
    points = parts.these.search(sentence) is not None
    after = len(sentence[verb.end() :].split())  # "I'd rather not answer.", but not "I can't help it."
    if len(sentence.split()) <= _FEW_WORDS and _HELP.search(sentence) and (points or after == 0):
        return True
    return is_sorry and (points or after <= 1)
