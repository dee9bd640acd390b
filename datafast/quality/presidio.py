"""Data of persons by presidio-analyzer, for `{stage: pii, engine: presidio}`.

Presidio's own recognizers with their checksums, `phonenumbers` for numbers of phones and, with a spaCy model, names of persons and places.
Nothing is fetched: the list of domains is the one that comes with tldextract. About 0.5 ms a text of 100 words without a model.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from datafast._util.digest import digest
from datafast.errors import ConfigError, MissingExtraError

__all__ = ["NAMED", "Presidio", "model_digest"]

NAMED = ("person", "location")
"""The kinds that need a model."""

_ENTITIES: dict[str, str] = {
    "email": "EMAIL_ADDRESS",
    "phone": "PHONE_NUMBER",
    "card": "CREDIT_CARD",
    "iban": "IBAN_CODE",
    "us_ssn": "US_SSN",
    "ip": "IP_ADDRESS",
    "person": "PERSON",
    "location": "LOCATION",
}
_KINDS = {entity: kind for kind, entity in _ENTITIES.items()}
_LANGUAGE = "en"  # what Presidio calls the one that it is given; the recognizers are those of all languages
_MOST_LETTERS = 1_000_000_000


class Presidio:
    """Finds data of persons.

    Args:
        kinds: what is looked for; those that it does not know are left out.
        model: the folder of a spaCy model, for names.

    Raises:
        ConfigError: the model cannot be read.
        MissingExtraError: presidio-analyzer is not installed.
    """

    def __init__(self, kinds: Collection[str], model: Path | None) -> None:
        self._entities = [_ENTITIES[kind] for kind in kinds if kind in _ENTITIES]
        self._engine = _engine(model)

    def found(self, text: str, min_score: float) -> tuple[str, float] | None:
        """The kind and the score of what it is surest of in a text; None if there is nothing."""
        best = max(self._results(text, min_score), key=lambda each: each.score, default=None)
        return None if best is None else (_KINDS[best.entity_type], float(best.score))

    def spans(self, text: str, min_score: float) -> list[tuple[int, int, str]]:
        """All that it finds in a text: first and last letter, and the kind."""
        return [(each.start, each.end, _KINDS[each.entity_type]) for each in self._results(text, min_score)]

    def _results(self, text: str, min_score: float) -> Sequence[Any]:
        if not self._entities:
            return ()
        given = {"language": _LANGUAGE, "entities": self._entities, "score_threshold": min_score}
        found: Sequence[Any] = self._engine.analyze(text, **given)
        return found


def _engine(model: Path | None) -> Any:
    try:
        import spacy
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer import predefined_recognizers as known
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError:
        raise MissingExtraError(
            "engine: presidio-analyzer, which finds data of persons, is not installed. Run: pip install 'datafast[pii]'"
        ) from None
    nlp = spacy.blank("xx") if model is None else _loaded(spacy, model)
    nlp.max_length = _MOST_LETTERS
    domains = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)

    class Emails(known.EmailRecognizer):  # type: ignore[misc]  # presidio's own one fetches the list of domains
        def validate_result(self, pattern_text: str) -> bool:
            return bool(domains(pattern_text).fqdn)

    class Pipeline(SpacyNlpEngine):  # type: ignore[misc]  # presidio's own one downloads what is not there
        def load(self) -> None:
            self.nlp = {_LANGUAGE: nlp}

    recognizers = [
        Emails(),
        known.CreditCardRecognizer(),
        known.IbanRecognizer(),
        known.IpRecognizer(),
        known.PhoneRecognizer(),
        known.UsSsnRecognizer(),
    ]
    pipeline = Pipeline(models=[{"lang_code": _LANGUAGE, "model_name": str(model)}])
    pipeline.load()
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=[_LANGUAGE])
    if model is not None:
        registry.add_nlp_recognizer(nlp_engine=pipeline)
    return AnalyzerEngine(registry=registry, nlp_engine=pipeline, supported_languages=[_LANGUAGE])


def _loaded(spacy: Any, model: Path) -> Any:
    if not (model / "config.cfg").is_file():
        raise ConfigError(
            f"model: {model} is not the folder of a spaCy model, which has a config.cfg. Get one with `spacy download en_core_web_sm`, "
            "and give the folder that it lies in."
        )
    try:
        return spacy.load(model)
    except Exception as error:  # whatever a pipeline of somebody else raises
        raise ConfigError(f"model: {model} cannot be loaded: {type(error).__name__}: {error}") from error


def model_digest(model: Path) -> str:
    """Stands for a model: what it says of itself, and the sizes of its files."""
    try:
        sizes = sorted(
            f"{file.relative_to(model).as_posix()} {file.stat().st_size}" for file in model.rglob("*") if file.is_file()
        )
        return digest((model / "meta.json").read_bytes(), *sizes).hex()
    except OSError as error:
        raise ConfigError(f"model: {model} cannot be read: {error}. Give the folder of a spaCy model.") from None
