"""Removes API keys from text before it is stored or shown.

Guarantee: a configured secret is replaced wherever it stands whole, cut (its first or last eight characters and more),
or with its middle masked, as some providers echo it (`sk-ab***yz`). One of fewer than eight characters is replaced where
it stands as a word, one of fewer than four is none: it would be found in every text. Also as JSON writes it, in a text
within a text too.
Cost: none until an error is reported; then a few microseconds per kB; for a reply, one search for each secret. Limits:
other encoded forms (base64, a hash) are not recognised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

__all__ = [
    "MASK",
    "address_shown",
    "is_secret_name",
    "looks_like_a_key",
    "redact",
    "secrets_in",
    "without_keys",
    "without_secrets",
    "written_keys",
]

MASK = "[redacted]"
_FRAGMENT_CHARS = 8
_LONGEST_FRAGMENT = 256
_MASKED_ECHO = re.compile(r"([\w-]{0,40})(?:[*•…]+|\.{3,})([\w-]{0,40})")
_SHORTEST, _SHORTEST_ANYWHERE, _SHORTEST_IN_REPLIES = 4, 8, 16
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = frozenset(
    [
        "apikey",
        "auth",
        "authentication",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "oauth",
        "passphrase",
        "passwd",
        "password",
        "pwd",
        "secret",
        "secrets",
        "sig",
        "signature",
    ]
)
_SECRET_LAST_WORDS = frozenset(["key", "pat", "session", "token"])
_SECRET_ENDINGS = ("cookie", "credential", "credentials", "key", "password", "secret", "token")
_SECRET_PLURAL = re.compile(r"(?:api|access|auth|private|secret)[_-]?(?:keys|tokens)$", re.IGNORECASE)
_IN_QUERY = re.compile(r"([?&;])([^=&;#]+)=([^&;#]*)")
_IN_AUTHORITY = re.compile(r"(?<=//)[^/?#\s@]+(?=@)")
_BETWEEN_PARTS = re.compile(r"[\s;,=\"']+")
_SHORTEST_PART = 12
# A digit tells credentials and keys from words.
_WITH_SCHEME = re.compile(r"(?:basic|bearer|digest|key|token)\s+((?=\S*\d)\S{8,})", re.IGNORECASE)
# What the keys of vendors begin with.
_OF_VENDORS = re.compile(
    r"(?<![\w-])(?:sk-|pk-|csk-|gsk_|hf_|xai-|AIza|AKIA|gh[opsu]_|github_pat_|glpat-|nvapi-|pplx-|eyJ)"
    r"(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*",
    re.ASCII,
)


def redact(text: str, secrets: Sequence[str]) -> str:
    """`text` without the secrets and without recognisable pieces of them."""
    long_enough = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    for secret in sorted(long_enough, key=len, reverse=True):
        if len(secret) < _SHORTEST_ANYWHERE:
            text = re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", MASK, text)
            continue
        text = text.replace(secret, MASK)
        if len(secret) > _FRAGMENT_CHARS:
            text = _fragments(secret).sub(MASK, text)
            text = _MASKED_ECHO.sub(lambda echo, secret=secret: _without_echo(echo, secret), text)  # type: ignore[misc]
    return text


def written_keys(secrets: Iterable[str]) -> list[bytes]:
    """The secrets as they may stand in the JSON of a reply, for `without_keys`; not those that may be words of its text."""
    return [form.encode() for secret in secrets if len(secret) >= _SHORTEST_IN_REPLIES for form in _forms(secret)]


def without_keys(raw: bytes, keys: Sequence[bytes]) -> bytes:
    """A reply without the keys that its server may have repeated."""
    for key in keys:
        if key in raw:
            raw = raw.replace(key, MASK.encode())
    return raw


def looks_like_a_key(text: str) -> bool:
    """Whether a text is written like a vendor's key (`sk-...`, `hf_...`)."""
    return _OF_VENDORS.search(text) is not None


def is_secret_name(name: str) -> bool:
    """Whether a header or parameter of this name holds a secret (`X-Auth`, `aws_session_token`, `apiKey`)."""
    words = [word.lower() for word in _WORD.findall(name)]
    return (
        name.lower().endswith(_SECRET_ENDINGS)
        or not _SECRET_WORDS.isdisjoint(words)
        or bool(words and words[-1] in _SECRET_LAST_WORDS)
        or _SECRET_PLURAL.search(name) is not None
    )


def secrets_in(value: object, *, named: bool = False) -> Iterator[str]:
    """The texts that stand under names of secrets, however deep, and the credentials in them: behind a scheme, in a cookie. Under
    other names: what says of itself that it is one, by a scheme, in an address, or by the way it is written.

    Args:
        value: what a user configured: a mapping of names to values, a list of such, a text.
        named: whether `value` itself stands under such a name.
    """
    if isinstance(value, str):
        yield from _parts(value) if named else _standing_out(value)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from secrets_in(inner, named=named or is_secret_name(str(name)))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secrets_in(inner, named=named)


def without_secrets(value: Any, *, named: bool = False) -> Any:
    """What a user configured, as it may be shown and stored: with `MASK` in the place of each text that `secrets_in` finds.

    Args:
        value: a mapping, a list, a text, or anything else, which is left as it is.
        named: whether it stands under the name of a secret.
    """
    if isinstance(value, str):
        return MASK if named else redact(value, list(_standing_out(value)))
    if isinstance(value, Mapping):
        return {name: without_secrets(inner, named=named or is_secret_name(str(name))) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(inner, named=named) for inner in value]
    return value


def address_shown(address: str) -> tuple[str, list[str]]:
    """An address as it may be shown, and the secrets in it: user or password, parameters such as `?api-key=`, keys in its path."""
    found: list[str] = []

    def masked(match: re.Match[str]) -> str:
        if not (is_secret_name(match[2]) or match[2] == "code"):
            return match[0]
        found.extend((match[3], unquote(match[3])))
        return f"{match[1]}{match[2]}=..."

    for credentials in _IN_AUTHORITY.findall(address):
        user, _, password = credentials.partition(":")
        found.extend((password or user, unquote(password or user)))
    shown = _IN_QUERY.sub(masked, re.sub(r"(?<=//)[^/?#]*@", "...@", address))
    found.extend(_OF_VENDORS.findall(shown))
    return _OF_VENDORS.sub("...", shown), found


def _forms(secret: str) -> list[str]:
    """A secret as it is, as a JSON text has it, and as one within another has it. Servers may escape slashes and letters or not."""
    forms = {secret: None}
    for ascii_only in (False, True):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        for form in (once, once.replace("/", "\\/")):
            forms |= {form: None, json.dumps(form, ensure_ascii=ascii_only)[1:-1]: None}
    return list(forms)


def _parts(secret: str) -> Iterator[str]:
    yield from (secret, secret.rpartition(" ")[2])
    # A digit tells a credential from the name in front of it.
    parts = _BETWEEN_PARTS.split(secret)
    yield from (part for part in parts if len(part) >= _SHORTEST_PART and any(map(str.isdigit, part)))


def _standing_out(text: str) -> Iterator[str]:
    if found := _WITH_SCHEME.fullmatch(text.strip()):
        yield from (text, found[1])
    yield from address_shown(text)[1]


def _without_echo(echo: re.Match[str], secret: str) -> str:
    head, tail = echo[1], echo[2]
    echoed = (len(head) > 1 and secret.startswith(head)) or (len(tail) > 1 and secret.endswith(tail))
    return MASK if echoed else echo[0]


@lru_cache(maxsize=64)
def _fragments(secret: str) -> re.Pattern[str]:
    longest = min(len(secret), _LONGEST_FRAGMENT)
    sizes = range(longest, _FRAGMENT_CHARS - 1, -1)
    heads = (secret[:size] for size in sizes)
    tails = (secret[-size:] for size in sizes)
    return re.compile("|".join(map(re.escape, [*heads, *tails])))
