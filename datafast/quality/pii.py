# ruff: noqa: E501 - words in many languages
"""Drops rows with data of persons, or masks it: addresses for mail, numbers of phones, cards and accounts, keys.

quality:
  - {stage: pii}
  - {stage: pii, kinds: [email, phone]}
  - {stage: pii, action: mask}                 # <EMAIL>, <PHONE>, ... in their place
  - {stage: pii, engine: presidio, model: models/en_core_web_sm, kinds: [person, email, phone]}

Found by patterns, with the checksums of cards (Luhn, ISO/IEC 7812-1) and bank accounts (modulo 97, ISO 13616), or by Presidio, which also
finds names where it has a model. Numbers that states give to persons count where their check digits are right. Limits: postal addresses
are not looked for; numbers of persons, wallets and keys are found by patterns in any case. For patterns, what is reserved for examples is no person's: domains of RFC 2606 and RFC 6761, addresses of RFC 5737,
numbers with 555-01.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, PrivateAttr, ValidationInfo, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.quality.base import KEEP, TextStage, Verdict, change, drop, with_texts
from datafast.quality.national_ids import SHORTEST_WALLET, national_ids, wallets
from datafast.quality.secret_keys import LEAST, secret_keys
from datafast.quality.signs import has_any, long_words

if TYPE_CHECKING:
    from datafast.plan.items import WorkItem
    from datafast.quality.presidio import Presidio

__all__ = ["PiiKind", "PiiStage"]

PiiKind = Literal[
    "email", "phone", "card", "iban", "us_ssn", "national_id", "ip", "wallet", "key", "person", "location"
]

_PATTERN_KINDS: tuple[PiiKind, ...] = ("email", "phone", "card", "iban", "us_ssn", "national_id", "ip", "wallet", "key")
_BY_PATTERNS: tuple[PiiKind, ...] = ("national_id", "wallet", "key")  # whatever the engine
_LEAST_SCORE = 0.4

_EMAIL = re.compile(r"(?<![\w.+'-])[\w.+'-]{1,64}@((?:[\w-]{1,63}\.)+[^\W\d_]{2,24})\b")
_SPELLED = re.compile(
    r"[\w.+-]{1,64} ?[\[(](?:at|ät|arroba|chez)[\])] ?"
    r"((?:[a-z0-9-]{1,63}(?:\.| ?[\[(](?:dot|punkt|point|punto|ponto)[\])] ?))+[a-z]{2,24})\b",
    re.IGNORECASE,
)
_SPOKEN = re.compile(
    r"\b[\w.+-]{1,64} (?:at|arroba|chez|chiocciola) ([\w-]{1,63}(?: (?:dot|punkt|point|punto|ponto) [\w-]{1,63})*? (?:dot|punkt|point|punto|ponto)"
    r" (?:com|org|net|edu|gov|info|eu|uk|de|at|ch|fr|be|es|it|pt|br|nl|pl|io))\b",
    re.IGNORECASE,
)
_SPELLED_SIGNS = ("(at", "[at", "(ät", "(arroba", "[arroba", "(chez")
_SPOKEN_DOTS = (" dot ", " DOT ", " punkt ", " point ", " punto ", " ponto ")
_EXAMPLE = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost|local)$", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w.,/-])(?<!\d )(?:\+\d{1,3}[ .-]?(?:\(0?\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){6,11}"
    r"|00\d{1,3}[ .-]?\d(?:[ .-]?\d){6,11}|\(0\d{1,4}\) ?\d{3,4}(?:[ -]?\d{2,4}){1,2}|\([1-9]\d\) ?9?\d{4}-\d{4}|[1-9]\d 9\d{4}-\d{4}"
    r"|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|0\d{1,4}(?: ?/ ?|[ -])\d{3,4}[ -]?\d{2,5}(?:[ -]?\d{2,4})?|0\d(?:[ .]\d\d){4}|0\d{2,4} ?/ ?\d\d(?: ?\d\d){2,4}"
    r"|[679]\d\d(?: \d\d){3}|1[3-9]\d[ -]\d{4}[ -]\d{4}|8[ -]?\(?[3-9]\d\d\)?[ -]?\d{3}-\d\d-\d\d|[6-9]\d{4} \d{5})(?![\w/-]|[.,]\d)"
)
# A number that is called one of a phone, whatever its form, or at which somebody is to be called, in a form that phones have.
_CALLED = re.compile(
    r"(?:\b(?:(?P<named>tel|phone|telephone|telefon\w*|téléphone|teléfono|mobile|handy|cell|cellulare|móvil|portable|whatsapp|celular|telemóvel|gsm|fax|call me|тел\w*)"
    r"|call|dial|ring|reach|phoned|rufe?n?|ruft|anruf\w*|erreich\w*|wähl\w*|appel\w*|composez|joindre|joignable|répond|llam\w*|llám\w*|marque|marcar|marca|marcando|atiend\w*|contact\w*|chiam\w*|rispond\w*"
    r"|ligue|ligar|ligando|liga|disque|atend\w*|bel|bellen|bereik\w*|zadzwoń|dzwoń\w*|позвон\w*|звонит\w*|arayın|numéro|número|numero|number|nummer)\b|(?P<cjk>电话|電話|手机|手機|拨打|致电|携帯|연락처|전화))"
    r"(?P<between>[^\d+(\n]{0,40}?)(?<![\d.,/-])(?P<number>[+(]?\d(?:[ ./()-]{0,3}\d){6,13})(?![\w/-]|[.,:]\d| ?[€$£¥%])",
    re.IGNORECASE,
)
_OF_CALLED = (
    "tel", "phone", "tél", "mobile", "handy", "cell", "móvil", "portable", "whatsapp", "celular", "gsm", "fax", "call", "тел", "dial", "ring", "reach", "ruf", "erreich", "wähl", "appel", "composez", "joi",
    "répond", "llam", "llám", "marque", "marca", "atend", "atiend", "contact", "chiam", "rispond", "lig", "disque", "bel", "bereik", "zadzwoń", "dzwoń", "позвон", "звон", "arayın", "numéro", "número",
    "numero", "number", "nummer", "电话", "電話", "手机", "手機", "拨打", "致电", "携帯", "연락처", "전화",
)  # fmt: skip
_LINK = re.compile(r"(?:\W|\b(?:is|ist|number|nr|no|est|es|at|on|el|le|la|é|en|al|the|my|mein|a)\b)*", re.IGNORECASE)
_SHAPE = re.compile(
    r"[+(0]|\d{3} \d{3} \d{3}\Z|\d{3} \d\d \d\d \d\d\Z|\d\d \d{4}[ -]\d{4}\Z|[6-9]\d{8,9}\Z|1[3-9]\d{9}\Z|\d{3}[ -]\d{3}[ -]\d\d[ -]?\d\d\Z|8[ -]?\(?9"
)
_DATE = re.compile(
    r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|(?:19|20)\d\d[./-]\d{1,2}[./-]\d{1,2}|(?:19|20)\d\d ?- ?(?:19|20)\d\d"
)
_CARD_RUN = re.compile(r"\d[\d -]{12,}")
_CARD = re.compile(r"(?<![\d.,])\d(?:[ -]?\d){12,18}(?![\d.,]\d|\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_RUN = re.compile(r"\d[\d .()/-]{6,}")
_BEFORE = 60  # letters, in which a number is called one of a phone
_LONG = re.compile(r"\d(?:[ ./()-]{0,3}\d){6}")
_SSN = re.compile(r"\d{3}(?<!000)(?<!666)(?<!9\d\d)(?<![\d-]\d\d\d)-(?!00)\d\d-(?!0000)\d{4}(?![\d-])")
_IP = re.compile(
    r"(?<![\w.])(?<![A-Za-z]/)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)"
)
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}|:):[0-9A-Fa-f:]{2,35}(?:%\w+)?(?![\w:])")
_HOST = re.compile(
    r"\b(?:ip|ipv4|host|server|address|adresse|dirección|indirizzo|endereço|ping|dns|gateway|router|login|client)\b",
    re.IGNORECASE,
)
_LARGE = 32  # few hosts have smaller parts alone before the last, and few versions a larger one before their build
_NO_HOST = re.compile(
    r"(?:0|127|255)\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\."
)
# What stands before a number that is one of a thing or a firm, whatever it looks like.
_OF_THINGS = re.compile(
    r"(?:\b(?:order|tracking|shipment|parcel|part|serial|model|case|docket|invoice|ticket|item|article|ratio|orcid|isni|doi|isbn|issn|ean|gtin|upc|sku|imei|siret|siren|rcs|p\. ?iva|partita iva|cnpj|vat|version|firmware|build|release|section|chapter|clause|paragraph"
    r"|bestell\w*|sendungs\w*|rechnungs?\w*|auftrags\w*|kundennummer|artikel\w*|serien\w*|aktenzeichen|az\.|steuernummer|ust-id\w*|abs\.|facture|commande|colis|référence|dossier|pedido|factura|expediente|referencia|seguimiento|ordine|fattura|spedizione|matricola|encomenda|fatura|processo)|§ ?\d+)"
    r"\s?(?:number|no|nr|nº|n[°º]|núm|num|id|code|nummer|numéro|número|numero|de suivi|#)?\W{0,3}(?:(?:is|was|ist|lautet|est|es|è|é) )?\W{0,2}\Z",
    re.IGNORECASE,
)
_BEHIND = 40  # letters, in which such a word stands
_NOBODY = re.compile(r"(?:git|hg|no-?reply|do-?not-?reply)\Z", re.IGNORECASE)
_FILES = re.compile(r"\.(?:png|jpe?g|webp|svg|gif|css|js)\Z", re.IGNORECASE)
_CARD_FORM = re.compile(
    r"4\d{12}(?:\d{3}){0,2}\Z|(?:5[0-8]|6\d|35)\d{14,17}\Z|2[2-7]\d{14}\Z|3[47]\d{13}\Z|3[0689]\d{12}(?:\d\d)?\Z"
)
_MASKINGS = 5  # a mask may put in a new light what stands beside it

Span = tuple[int, int]


class PiiStage(TextStage):
    """Drops rows with data of persons, or masks it."""

    stage: Literal["pii"] = "pii"
    """Drops rows with data of persons, or masks it."""

    kinds: list[PiiKind] = Field(default=[*_PATTERN_KINDS], min_length=1)
    """What is looked for. person and location, which are names, need the engine presidio and a model."""
    engine: Literal["patterns", "presidio"] = "patterns"
    """What finds it: patterns, or Presidio, which needs the extra `pii`."""
    model: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """For presidio: the folder of a spaCy model, to find names by."""
    min_score: float = Field(default=_LEAST_SCORE, ge=0, le=1)
    """For presidio: how sure it has to be."""
    action: Literal["drop", "mask"] = "drop"
    """Whether such rows are dropped, or what is found is masked by `<EMAIL>`, `<PHONE>`, `<CARD>`, `<IBAN>`, `<SSN>`, `<ID>`, `<IP>`,
    `<WALLET>`, `<KEY>`, `<PERSON>` or `<LOCATION>`."""

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
        kinds = frozenset(kind for text in self.texts(row) for kind in self._found_in(text))
        for kind in self.kinds if kinds else ():
            if kind in kinds:
                return drop(_NAMES[kind]) if self.action == "drop" else self._masking(row)
        return KEEP

    def _found_in(self, text: str) -> Iterator[PiiKind]:
        for kind in _possible(text, self.kinds):
            if next(_FINDERS[kind](text), None):
                yield kind

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
        for sure in _BY_PATTERNS:
            if sure in self.kinds and any(next(_FINDERS[sure](text), None) for text in texts):
                return drop(_NAMES[sure])
        found = [one for text in texts if (one := self.presidio.found(text, self.min_score)) is not None]
        if not found:
            return KEEP
        kind, score = max(found, key=lambda one: one[1])
        return drop(_NAMES[kind], round(score, 3))

    def _masked_by_presidio(self, text: str) -> str:
        text, _ = _masked(text, [kind for kind in _BY_PATTERNS if kind in self.kinds])
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
        if kind in kinds and kind in _FINDERS and (spans := list(_FINDERS[kind](text))):
            text = _with_masks(text, ((start, end, kind) for start, end in spans))
            found.add(kind)
    return text, found


def _emails(text: str) -> Iterator[Span]:
    found = list(_EMAIL.finditer(text)) if "@" in text else []
    if ("(" in text or "[" in text) and has_any(text, _SPELLED_SIGNS):
        found += _SPELLED.finditer(text)
    if has_any(text, _SPOKEN_DOTS):
        found += _SPOKEN.finditer(text)
    return (each.span() for each in found if not _EXAMPLE.search(each[1]) and _is_mailbox(each))


def _is_mailbox(found: re.Match[str]) -> bool:
    """Whether an address may be a person's: not one of a machine, and not the name of a file."""
    return not _NOBODY.match(found[0].partition("@")[0]) and not _FILES.search(found[1])


def _of_thing(text: str, start: int) -> bool:
    return _OF_THINGS.search(text[max(0, start - _BEHIND) : start]) is not None


def _phones(text: str) -> Iterator[Span]:
    end = 0
    for run in _RUN.finditer(text):
        if not _LONG.search(run[0]):
            continue
        until = run.end() + 3
        start = max(end, run.start() - 1)  # at a plus or a bracket
        found = [(each[0], each.span()) for each in _PHONE.finditer(text, start, until)]
        if not found and has_any(text[max(end, run.start() - _BEFORE) : run.start()].lower(), _OF_CALLED):
            named = _CALLED.finditer(text, max(end, run.start() - _BEFORE), until)
            found = [(each["number"], each.span("number")) for each in named if _is_called(each)]
        for number, span in found:
            if "555-01" not in number.replace(" ", "-").replace(".", "-") and not _of_thing(text, span[0]):
                yield span
        end = run.end()


class _Looks(NamedTuple):
    """What a first look at a text shows.

    Attributes:
        text: the text.
        numbers: its numbers, a line each.
        lettered: whether one of them follows capital letters.
        longest: the characters of the longest word that is not of letters alone.
    """

    text: str
    numbers: str
    lettered: bool
    longest: int


def _possible(text: str, kinds: Collection[PiiKind]) -> Iterator[PiiKind]:
    """The kinds that a text may have, by its signs: most texts have nothing of the sort, and need not be searched for each."""
    longest = max((end - start for start, end in long_words(text, LEAST)), default=0)
    numbers = "\n".join(_NUMBERS.findall(text))
    looks = _Looks(text, numbers, bool(numbers) and _LETTERED.search(text) is not None, longest)
    for kind in kinds:
        if kind not in _SIGNS or _SIGNS[kind](looks):
            yield kind


def _may_have_long(looks: _Looks) -> bool:
    return _LONG.search(looks.numbers) is not None


def _is_called(found: re.Match[str]) -> bool:
    number = found["number"]
    if _DATE.match(number):
        return False
    named = (found["named"] or found["cjk"]) and _LINK.fullmatch(found["between"])
    return bool(named or _SHAPE.match(number))


def _cards(text: str) -> Iterator[Span]:
    for run in _CARD_RUN.finditer(text):
        found = _CARD.finditer(text, run.start(), run.end() + 2)
        for each in found:
            digits = re.sub(r"\D", "", each[0])
            if (
                _CARD_FORM.match(digits)
                and _is_luhn(digits)
                and not _is_ean(digits)
                and not _of_thing(text, each.start())
            ):
                yield each.span()


def _is_luhn(digits: str) -> bool:
    if len(set(digits)) < 3 or digits[0] == "0":
        return False
    doubled = [int(digit) for digit in digits[::-1]]
    return (
        sum(digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(doubled)) % 10 == 0
    )


def _is_ean(digits: str) -> bool:
    """Whether 13 digits are right for the code of a product, which few numbers of cards are."""
    return len(digits) == 13 and sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(digits)) % 10 == 0


def _ibans(text: str) -> Iterator[Span]:
    return (found.span() for found in _IBAN.finditer(text) if _is_iban(found[0].replace(" ", "")))


def _is_iban(account: str) -> bool:
    if not 15 <= len(account) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in account[4:] + account[:4])) % 97 == 1


def _ssns(text: str) -> Iterator[Span]:
    return (found.span() for found in _SSN.finditer(text) if not _of_thing(text, found.start()))


def _ips(text: str) -> Iterator[Span]:
    for found in _IP.finditer(text):
        if not _NO_HOST.match(found[0]) and _may_be_host(text, found) and not _of_thing(text, found.start()):
            yield found.span()
    if "::" in text or text.count(":") > 6:
        yield from (found.span() for found in _IPV6.finditer(text) if _is_ipv6(found[0]))


def _may_be_host(text: str, found: re.Match[str]) -> bool:
    """Whether four numbers are an address: one before the last is large, or it is called one. Those of sections and versions are small."""
    large = any(int(part) >= _LARGE for part in found[0].split(".")[:-1])
    return large or _HOST.search(text, max(0, found.start() - _BEHIND), found.start()) is not None


def _is_ipv6(written: str) -> bool:
    """Whether it is the address of a host: not a time, nor one for examples or within a network."""
    try:
        address = IPv6Address(written.partition("%")[0])
    except AddressValueError:
        return False
    return address.is_global and sum(1 for part in written.split(":") if part) > 2


_FINDERS: dict[str, Callable[[str], Iterator[Span]]] = {
    "email": _emails,
    "phone": _phones,
    "card": _cards,
    "iban": _ibans,
    "us_ssn": _ssns,
    "national_id": national_ids,
    "ip": _ips,
    "wallet": wallets,
    "key": secret_keys,
}
_MASKS: dict[str, str] = {
    "key": "<KEY>",
    "email": "<EMAIL>",
    "iban": "<IBAN>",
    "card": "<CARD>",
    "us_ssn": "<SSN>",
    "national_id": "<ID>",
    "wallet": "<WALLET>",
    "ip": "<IP>",
    "phone": "<PHONE>",
    "person": "<PERSON>",
    "location": "<LOCATION>",
}
_NUMBERS = re.compile(r"\d[\d ./()-]*")
_LETTERED = re.compile(r"\d\d(?:(?<=[A-Z]..)|(?<=[A-Z] ..))")
_FOUR_NUMBERS = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")
_CODE = re.compile(r"[A-Z]{2}(?: ?\d\d){3}|[A-Z]{6}\d\d")
_OF_SSN = re.compile(r"\d{3}-\d\d-\d")
_SIGNS: Mapping[str, Callable[[_Looks], bool]] = {
    "phone": _may_have_long,
    "card": _may_have_long,
    "iban": lambda looks: looks.lettered,
    "us_ssn": lambda looks: _OF_SSN.search(looks.numbers) is not None,
    "national_id": lambda looks: _may_have_long(looks) or (looks.lettered and _CODE.search(looks.text) is not None),
    "ip": lambda looks: _FOUR_NUMBERS.search(looks.numbers) is not None or looks.text.count(":") > 2,
    "wallet": lambda looks: looks.longest >= SHORTEST_WALLET,
    "key": lambda looks: looks.longest >= LEAST or "PRIVATE KEY" in looks.text,
}
_NAMES: dict[str, str] = {
    "email": "an address for mail",
    "phone": "a phone number",
    "card": "the number of a card",
    "iban": "the number of a bank account",
    "us_ssn": "a social security number",
    "national_id": "the number of a person",
    "wallet": "the address of a wallet",
    "ip": "the address of a computer",
    "key": "a secret key",
    "person": "the name of a person",
    "location": "the name of a place",
}
