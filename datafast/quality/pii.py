"""Drops rows with data of persons, or masks it: addresses for mail, numbers of phones, cards and accounts, keys.

quality:
  - {stage: pii}
  - {stage: pii, kinds: [email, phone]}
  - {stage: pii, action: mask}                 # <EMAIL>, <PHONE>, ... in their place
  - {stage: pii, engine: presidio, model: models/en_core_web_sm, kinds: [person, email, phone]}

Found by patterns, with the checksums of cards (Luhn, ISO/IEC 7812-1) and bank accounts (modulo 97, ISO 13616), or by Presidio, which also
finds names where it has a model. Limits: postal addresses are not looked for, and Presidio knows no keys, so those are found by patterns
in any case. For patterns, what is reserved for examples is no person's: domains of RFC 2606 and RFC 6761, addresses of RFC 5737,
numbers with 555-01.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationInfo, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.quality.base import KEEP, TextStage, Verdict, change, drop, with_texts

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem
    from datafast.quality.presidio import Presidio

__all__ = ["PiiKind", "PiiStage"]

PiiKind = Literal["email", "phone", "card", "iban", "us_ssn", "ip", "key", "person", "location"]

_LEAST_SCORE = 0.4

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@((?:[a-z0-9-]{1,63}\.)+[a-z]{2,24})\b", re.IGNORECASE)
_SPELLED = re.compile(
    r"[\w.+-]{1,64} ?[\[(](?:at|ät|arroba|chez)[\])] ?"
    r"((?:[a-z0-9-]{1,63}(?:\.| ?[\[(](?:dot|punkt|point|punto|ponto)[\])] ?))+[a-z]{2,24})\b",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost|local)$", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w.,/-])(?<!\d )(?:\+\d{1,3}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,11}"
    r"|00\d{1,3}[ .-]?\d(?:[ .-]?\d){6,11}|\(0\d{1,4}\) ?\d{3,4}(?:[ -]?\d{2,4}){1,2}"
    r"|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|0\d{1,4}(?: ?/ ?|[ -])\d{3,4}[ -]?\d{2,5}(?:[ -]?\d{2,4})?|0\d(?:[ .]\d\d){4})(?![\w/-]|[.,]\d)"
)
# Whatever its form, a number that is called one of a phone.
_CALLED = re.compile(
    r"(?:\b(?:tel|phone|telephone|telefon\w*|téléphone|teléfono|mobile|handy|cell|cellulare|móvil|portable|whatsapp"
    r"|fax|call me (?:on|at)|тел\w*)\b|电话|電話)"
    r"[^\w+(\n]{0,4}(?:(?:is|ist|number|nr|no|est|es|at|on)\b\W{1,2}){0,3}(?P<number>[+(]?\d(?:[ ./()-]{0,2}\d){6,13})(?![\w])",
    re.IGNORECASE,
)
_CARD = re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,18}(?![\d.,]\d|\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
# Most texts have nothing of the sort, and need not be searched for each.
_NUMBERS = re.compile(r"\d[\d .()/-]{5}|[A-Z]{2}\d\d ?[A-Z]")
_OF_PHONES = (
    "tel", "phone", "mobil", "handy", "cell", "móvil", "portable", "whatsapp", "fax", "call me", "télé", "telé", "тел", "电话", "電話"
)  # fmt: skip
_OF_KEYS = ("sk-", "AKIA", "_", "glpat-", "pypi-", "AIza", "SG.", "xox", "eyJ", "ya29", "PRIVATE KEY")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])")
_IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)")
_NO_HOST = re.compile(
    r"(?:0|127|255)\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\."
)
_KEY = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|AIza[A-Za-z0-9_-]{30,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|ya29\.[A-Za-z0-9_-]{20,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
)


# What follows the first line of a private key.
_KEY_BODY = re.compile(r"(?:(?s:.){0,20000}?-----END (?:[A-Z]+ )?PRIVATE KEY-----|(?:\s*[A-Za-z0-9+/=]{16,})*)")
_MASKINGS = 5  # a mask may put in a new light what stands beside it

Span = tuple[int, int]


class PiiStage(TextStage):
    """Drops rows with data of persons, or masks it."""

    stage: Literal["pii"] = "pii"
    """Drops rows with data of persons, or masks it."""

    kinds: list[PiiKind] = Field(default=["email", "phone", "card", "iban", "us_ssn", "ip", "key"], min_length=1)
    """What is looked for. person and location, which are names, need the engine presidio and a model."""
    engine: Literal["patterns", "presidio"] = "patterns"
    """What finds it: patterns, or Presidio, which needs the extra `pii`."""
    model: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """For presidio: the folder of a spaCy model, to find names by."""
    min_score: float = Field(default=_LEAST_SCORE, ge=0, le=1)
    """For presidio: how sure it has to be."""
    action: Literal["drop", "mask"] = "drop"
    """Whether such rows are dropped, or what is found is masked by `<EMAIL>`, `<PHONE>`, `<CARD>`, `<IBAN>`, `<SSN>`, `<IP>`, `<KEY>`,
    `<PERSON>` or `<LOCATION>`."""

    _folder: Path | None = PrivateAttr(default=None)
    _presidio: Presidio | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _by_engine(self, info: ValidationInfo) -> PiiStage:
        self._folder = (info.context or {}).get("folder", self._folder)
        self._presidio = None
        named = [kind for kind in self.kinds if kind not in _FINDERS]
        if self.engine == "patterns":
            if self.model is not None or self.min_score != _LEAST_SCORE:
                field = "min_score" if self.model is None else "model"
                raise ValueError(f"{field}: It is for the engine presidio alone. Write engine: presidio.")
            if named:
                raise ValueError(f"kinds: Patterns do not find names ({', '.join(named)}). Write engine: presidio.")
        elif named and self.model is None:
            raise ValueError(
                f"model: Names ({', '.join(named)}) need a spaCy model. Give the folder of one, like en_core_web_sm."
            )
        return self

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        if self.engine == "presidio":
            _ = self.presidio

    def settings(self) -> dict[str, Any]:
        if self.model is None:
            return super().settings()
        from datafast.quality.presidio import model_digest

        return {**super().settings(), "model": model_digest(self._at(self.model))}

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        if self.engine == "presidio":
            return self._by_presidio(row)
        texts = self.texts(row)
        with_numbers = [text for text in texts if _NUMBERS.search(text)]
        for kind in self.kinds:
            finds = _FINDERS[kind]
            if any(next(finds(text), None) for text in (with_numbers if kind in _OF_NUMBERS else texts)):
                return drop(_NAMES[kind]) if self.action == "drop" else self._masking(row)
        return KEEP

    def _masking(self, row: BaseModel) -> Verdict:
        left: set[str] = set()

        def masked(text: str) -> str:
            for _ in range(_MASKINGS):
                text, found = _masked(text, self.kinds)
                if not found:
                    return text
            left.update(found)
            return text

        fields = with_texts(row, masked, self.field)
        return drop(_NAMES[min(left)]) if left else change(fields)

    def _by_presidio(self, row: BaseModel) -> Verdict:
        if self.action == "mask":
            return change(with_texts(row, self._masked_by_presidio, self.field))
        texts = self.texts(row)
        if "key" in self.kinds and any(next(_keys(text), None) for text in texts):
            return drop(_NAMES["key"])
        found = [one for text in texts if (one := self.presidio.found(text, self.min_score)) is not None]
        if not found:
            return KEEP
        kind, score = max(found, key=lambda one: one[1])
        return drop(_NAMES[kind], round(score, 3))

    def _masked_by_presidio(self, text: str) -> str:
        if "key" in self.kinds:
            text, _ = _masked(text, ["key"])
        return _with_masks(text, self.presidio.spans(text, self.min_score))

    @property
    def presidio(self) -> Presidio:
        """The library, made when it is first used. Raises ConfigError if it or its model is not there."""
        if self._presidio is None:
            from datafast.quality.presidio import Presidio

            self._presidio = Presidio(self.kinds, None if self.model is None else self._at(self.model))
        return self._presidio

    def _at(self, path: Path) -> Path:
        return (self._folder or Path()) / path


def _with_masks(text: str, found: Iterable[tuple[int, int, str]]) -> str:
    """A text with masks at these places, which may overlap."""
    parts, last = [], 0
    for start, end, kind in sorted(found):
        if start >= last:
            parts += [text[last:start], _MASKS[kind]]
        last = max(last, end)  # two patterns may find the same, or more of it
    return "".join([*parts, text[last:]])


def _masked(text: str, kinds: Collection[str]) -> tuple[str, set[str]]:
    """A text with masks, and what was found. What says most is looked for first: a number of an account may look like one of a phone."""
    found: set[str] = set()
    for kind in _MASKS:
        if kind not in kinds or kind not in _FINDERS or (kind in _OF_NUMBERS and not _NUMBERS.search(text)):
            continue
        if spans := list(_FINDERS[kind](text)):
            text = _with_masks(text, ((start, end, kind) for start, end in spans))
            found.add(kind)
    return text, found


def _emails(text: str) -> Iterator[Span]:
    found = list(_EMAIL.finditer(text)) if "@" in text else []
    if "[at" in text or "(at" in text or "(ät" in text or "[arroba" in text or "(arroba" in text or "(chez" in text:
        found += _SPELLED.finditer(text)
    return (each.span() for each in found if not _EXAMPLE.search(each[1]))


def _phones(text: str) -> Iterator[Span]:
    found = [(each[0], each.span()) for each in _PHONE.finditer(text)]
    lowered = text.lower()
    if any(sign in lowered for sign in _OF_PHONES):
        found += [(each["number"], each.span("number")) for each in _CALLED.finditer(text)]
    return (span for number, span in found if "555-01" not in number.replace(" ", "-").replace(".", "-"))


def _cards(text: str) -> Iterator[Span]:
    return (found.span() for found in _CARD.finditer(text) if _is_luhn(re.sub(r"\D", "", found[0])))


def _is_luhn(digits: str) -> bool:
    if len(set(digits)) < 3 or digits[0] == "0":
        return False
    doubled = [int(digit) for digit in digits[::-1]]
    return (
        sum(digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(doubled)) % 10 == 0
    )


def _ibans(text: str) -> Iterator[Span]:
    return (found.span() for found in _IBAN.finditer(text) if _is_iban(found[0].replace(" ", "")))


def _is_iban(account: str) -> bool:
    if not 15 <= len(account) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in account[4:] + account[:4])) % 97 == 1


def _ssns(text: str) -> Iterator[Span]:
    return (found.span() for found in _SSN.finditer(text))


def _ips(text: str) -> Iterator[Span]:
    # Numbers of one digit each are those of a section or a version.
    return (found.span() for found in _IP.finditer(text) if not _NO_HOST.match(found[0]) and len(found[0]) > 7)


def _keys(text: str) -> Iterator[Span]:
    for found in _KEY.finditer(text) if any(sign in text for sign in _OF_KEYS) else ():
        body = _KEY_BODY.match(text, found.end()) if found[0].startswith("-----") else None
        yield found.start(), body.end() if body else found.end()


_FINDERS: dict[str, Callable[[str], Iterator[Span]]] = {
    "email": _emails,
    "phone": _phones,
    "card": _cards,
    "iban": _ibans,
    "us_ssn": _ssns,
    "ip": _ips,
    "key": _keys,
}
_MASKS: dict[str, str] = {
    "key": "<KEY>",
    "email": "<EMAIL>",
    "iban": "<IBAN>",
    "card": "<CARD>",
    "us_ssn": "<SSN>",
    "ip": "<IP>",
    "phone": "<PHONE>",
    "person": "<PERSON>",
    "location": "<LOCATION>",
}
_OF_NUMBERS = frozenset({"phone", "card", "iban", "us_ssn", "ip"})
_NAMES: dict[str, str] = {
    "email": "an address for mail",
    "phone": "a phone number",
    "card": "the number of a card",
    "iban": "the number of a bank account",
    "us_ssn": "a social security number",
    "ip": "the address of a computer",
    "key": "a secret key",
    "person": "the name of a person",
    "location": "the name of a place",
}
