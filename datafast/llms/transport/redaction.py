"""Removes API keys from text before it is stored or shown.

Guarantee: a configured secret is replaced wherever it stands whole, cut (its first or last eight characters and more),
or with its middle masked, as some providers echo it (`sk-ab***yz`). One of fewer than eight characters is replaced where
it stands as a word, one of fewer than four is none: it would be found in every text.
Cost: none until an error is reported; then a few microseconds per kB. Limits: encoded forms (base64, a hash) are not
recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["MASK", "address_shown", "is_secret_name", "redact", "secrets_in"]

MASK = "[redacted]"
_FRAGMENT_CHARS = 8
_LONGEST_FRAGMENT = 256
_MASKED_ECHO = re.compile(r"([\w-]{0,40})(?:[*•…]+|\.{3,})([\w-]{0,40})")
_SHORTEST, _SHORTEST_ANYWHERE = 4, 8
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
_IN_QUERY = re.compile(r"([?&;])([^=&;#]+)=([^&;#]*)")


def redact(text: str, secrets: Sequence[str]) -> str:
    """`text` without the secrets and without recognisable pieces of them."""
    for secret in sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True):
        if len(secret) < _SHORTEST_ANYWHERE:
            text = re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", MASK, text)
            continue
        text = text.replace(secret, MASK)
        if len(secret) > _FRAGMENT_CHARS:
            text = _fragments(secret).sub(MASK, text)
            text = _MASKED_ECHO.sub(lambda echo, secret=secret: _without_echo(echo, secret), text)  # type: ignore[misc]
    return text


def is_secret_name(name: str) -> bool:
    """Whether a header or parameter of this name holds a secret (`X-Auth`, `aws_session_token`, `apiKey`)."""
    words = [word.lower() for word in _WORD.findall(name)]
    return (
        name.lower().endswith(_SECRET_ENDINGS)
        or not _SECRET_WORDS.isdisjoint(words)
        or bool(words and words[-1] in _SECRET_LAST_WORDS)
    )


def secrets_in(value: object, *, named: bool = False) -> Iterator[str]:
    """The texts that stand under names of secrets, however deep, and the credentials alone of those with a scheme before them.

    Args:
        value: what a user configured: a mapping of names to values, a list of such, a text.
        named: whether `value` itself stands under such a name.
    """
    if isinstance(value, str) and named:
        yield from (value, value.rpartition(" ")[2])
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from secrets_in(inner, named=named or is_secret_name(str(name)))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secrets_in(inner, named=named)


def address_shown(address: str) -> tuple[str, list[str]]:
    """An address as it may be shown, and the secrets that stand in it: user, password, and parameters such as `?api-key=`."""
    found: list[str] = []

    def masked(match: re.Match[str]) -> str:
        if not (is_secret_name(match[2]) or match[2] == "code"):
            return match[0]
        found.extend((match[3], unquote(match[3])))
        return f"{match[1]}{match[2]}=..."

    return _IN_QUERY.sub(masked, re.sub(r"(?<=//)[^/?#]*@", "...@", address)), found


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
