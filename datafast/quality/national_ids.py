# ruff: noqa: E501 - one form of a number after the other
"""Where a text holds the number that a state has given a person, by its form and its check digits; and the address of a wallet.

Numbers of the United Kingdom have no check digit, so their form decides. Numbers of eleven digits or fewer, which many other numbers look
like, count only behind the name that they have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256

from datafast.quality.signs import has_any, long_words

__all__ = ["SHORTEST_WALLET", "national_ids", "wallets"]

Span = tuple[int, int]

_IDS = re.compile(
    r"(?<![\w.-])(?:(?P<es>\d{8}[- ]?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z])"
    r"|(?P<fr>[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d)"
    r"|(?P<br>\d{3}\.\d{3}\.\d{3}-\d\d)"
    r"|(?P<uk>(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D])"
    r"|(?P<cn>[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx])"
    r"|(?P<de>\d\d ?\d{6} ?[A-Z] ?\d{3})"
    r"|(?P<ch>756\.\d{4}\.\d{4}\.\d\d))(?![\w-])"
)
_RUN = re.compile(r"\d[\dA-Z .-]{5,}(?![a-z])")
_BEFORE = 80  # letters, in which the name of a number stands
_MAY_BE_ID = re.compile(r"[A-Z]|(?:\d\D{0,2}){11}")
_LONG = re.compile(r"\d(?:[ ./-]?\d){8}")
_OF_IT = re.compile(r"\d\d(?<=[A-Z]{6}..)")
_IT = re.compile(r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]\b")
_NAMED = re.compile(
    r"\b(?P<name>steuer-?id(?:entifikationsnummer|entnummer)?|idnr|cpf|pesel|bsn|burgerservicenummer|ssn|social security (?:number|no\.?)"
    r"|nif|contribuinte|nis|pis|pasep|nuss|seguridad social|afiliación|svnr|sv-nummer|(?:sozial)?versicherungsnummer)\b[^\d\n]{0,30}(?P<number>\d(?:[ ./-]?\d){8,11})(?!\d)",
    re.IGNORECASE,
)
_OF_NAMED = (
    "steuer",
    "idnr",
    "cpf",
    "pesel",
    "bsn",
    "burgerservice",
    "ssn",
    "social sec",
    "nif",
    "contribuinte",
    "nis",
    "pis",
    "pasep",
    "nuss",
    "seguridad social",
    "afiliación",
    "svnr",
    "sv-nummer",
    "versicherungsnummer",
)
_PASSPORT = re.compile(r"\b(?:P[A-Z<][A-Z]{3}|[AIC][A-Z<][A-Z]{3})[A-Z0-9<]{25,39}(?:\s+[A-Z0-9<]{30,44}){1,2}")
_WALLETS = re.compile(r"\b(?:(?P<coin>[13][1-9A-HJ-NP-Za-km-z]{25,34})|0x[a-fA-F0-9]{40}|bc1[02-9ac-hj-np-z]{38,60})\b")
SHORTEST_WALLET = 26
"""The characters of the shortest address of a wallet."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def national_ids(text: str) -> Iterator[Span]:
    """First and last letter of each."""
    end = 0
    for run in _RUN.finditer(text):
        if not _MAY_BE_ID.search(run[0]):
            continue
        for found in _IDS.finditer(text, max(end, run.start() - 3), run.end() + 3):
            if _VALID[found.lastgroup or ""](re.sub(r"[ .-]", "", found[0]).upper()):
                yield found.span()
        end = run.end()
    if _OF_IT.search(text):
        yield from (found.span() for found in _IT.finditer(text) if _is_italian(found[0]))
    if "<" in text:
        yield from (found.span() for found in _PASSPORT.finditer(text) if "<<" in found[0])
    if any(
        has_any(text[max(0, run.start() - _BEFORE) : run.start()].lower(), _OF_NAMED) for run in _LONG.finditer(text)
    ):
        for found in _NAMED.finditer(text):
            if _is_named(found["name"].lower(), re.sub(r"\D", "", found["number"])):
                yield found.span("number")


def wallets(text: str) -> Iterator[Span]:
    """First and last letter of each address of Bitcoin or Ethereum."""
    for start, end in long_words(text, SHORTEST_WALLET):
        for found in _WALLETS.finditer(text, start, end):
            if not found["coin"] or _is_coin(found["coin"]):
                yield found.span()


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _is_spanish(number: str) -> bool:
    digits = number[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == number[-1]


def _is_french(number: str) -> bool:
    digits = number[:-2].replace("2A", "19").replace("2B", "18") if number[5:7] in ("2A", "2B") else number[:-2]
    return 97 - int(digits) % 97 == int(number[-2:])


def _is_brazilian(number: str) -> bool:
    if len(set(number)) == 1:
        return False
    checks = [_weighted(number, range(size + 1, 1, -1)) * 10 % 11 % 10 for size in (9, 10)]
    return number[9:] == "".join(map(str, checks))


def _is_chinese(number: str) -> bool:
    weights = [2**power % 11 for power in range(17, 0, -1)]
    return "10X98765432"[_weighted(number[:17], weights) % 11] == number[17]


def _is_swiss(number: str) -> bool:
    return _weighted(number, [1, 3] * 6 + [1]) % 10 == 0


def _is_italian(code: str) -> bool:
    odd = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", _ODD, strict=True))
    even = {sign: value for signs in ("0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ") for value, sign in enumerate(signs)}
    total = sum(even[sign] if place % 2 else odd[sign] for place, sign in enumerate(code[:15]))
    return chr(ord("A") + total % 26) == code[15]


_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)  # fmt: skip


def _is_named(name: str, number: str) -> bool:
    size, valid = next((rule for names, rule in _BY_NAME.items() if name.startswith(names)), (11, _is_german))
    return len(number) == size and valid(number)


def _is_american(number: str) -> bool:
    return not number.startswith(("000", "666", "9"))


def _is_dutch(number: str) -> bool:
    return (_weighted(number, range(9, 1, -1)) - int(number[-1])) % 11 == 0


def _by_eleven(number: str, weights: Sequence[int]) -> bool:
    """Whether the last digit is what is lacking to a multiple of eleven, or 0 where that has two digits."""
    rest = _weighted(number[:-1], weights) % 11
    return int(number[-1]) == (0 if rest < 2 else 11 - rest)


def _is_portuguese(number: str) -> bool:
    return number[0] in "123" and _by_eleven(number, range(9, 1, -1))


def _is_brazilian_worker(number: str) -> bool:
    return len(set(number)) > 1 and _by_eleven(number, (3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


def _is_spanish_insured(number: str) -> bool:
    short = number[:2] + number[3:10] if number[2] == "0" else number[:10]
    return int(short) % 97 == int(number[10:])


def _is_austrian(number: str) -> bool:
    return _weighted(number, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(number[3])


def _is_german_insured(number: str) -> bool:
    digits = f"{number[:8]}{ord(number[8]) - 64:02}{number[9:11]}"
    products = [int(digit) * weight for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)]
    is_day = 1 <= int(number[2:4]) % 50 <= 31 and 1 <= int(number[4:6]) <= 12
    return is_day and sum(product // 10 + product % 10 for product in products) % 10 == int(number[11])


def _is_polish(number: str) -> bool:
    return _weighted(number, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 == 0


def _is_german(number: str) -> bool:
    product = 10
    for digit in number[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[10])


def _is_coin(address: str) -> bool:
    value = 0
    for sign in address:
        value = value * 58 + _BASE58.index(sign)
    if value >= 1 << 200:
        return False
    whole = value.to_bytes(25, "big")
    return sha256(sha256(whole[:21]).digest()).digest()[:4] == whole[21:]


_VALID: Mapping[str, Callable[[str], bool]] = {
    "es": _is_spanish,
    "fr": _is_french,
    "br": _is_brazilian,
    "uk": lambda _: True,
    "cn": _is_chinese,
    "ch": _is_swiss,
    "de": _is_german_insured,
}
# How many digits a number has that is called so, and whether they are right.
_BY_NAME: Mapping[tuple[str, ...], tuple[int, Callable[[str], bool]]] = {
    ("cpf",): (11, _is_brazilian),
    ("pesel",): (11, _is_polish),
    ("bsn", "burgerservice"): (9, _is_dutch),
    ("ssn", "social"): (9, _is_american),
    ("nif", "contribuinte"): (9, _is_portuguese),
    ("nis", "pis", "pasep"): (11, _is_brazilian_worker),
    ("nuss", "seguridad", "afiliación"): (12, _is_spanish_insured),
    ("svnr", "sv-", "sozial", "versicherung"): (10, _is_austrian),
}
