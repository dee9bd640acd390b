"""Removes API keys from text before it is stored or shown.

Guarantee: a configured secret is replaced wherever it is complete, cut (its first or last eight characters and more),
or masked in the middle, as some providers echo it (`sk-ab***yz`).
Cost: none until an error is reported; then a few microseconds per kB. Limits: encoded forms (base64, a hash) are not
recognised.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MASK", "is_secret_name", "redact"]

MASK = "[redacted]"
_FRAGMENT_CHARS = 8
_LONGEST_FRAGMENT = 256
_MASKED_ECHO = re.compile(r"([\w-]{0,40})(?:[*•…]+|\.{3,})([\w-]{0,40})")
_SECRET_ENDINGS = ("authorization", "cookie", "credential", "credentials", "key", "password", "secret", "token")


def redact(text: str, secrets: Sequence[str]) -> str:
    """`text` without the secrets and recognisable parts of them."""
    for secret in sorted({secret for secret in secrets if secret}, key=len, reverse=True):
        text = text.replace(secret, MASK)
        if len(secret) > _FRAGMENT_CHARS:
            text = _fragments(secret).sub(MASK, text)
            text = _MASKED_ECHO.sub(lambda echo, secret=secret: _without_echo(echo, secret), text)  # type: ignore[misc]
    return text


def is_secret_name(name: str) -> bool:
    """Whether a header or parameter of this name contains a secret (`Authorization`, `aws_session_token`, `x-api-key`)."""
    return name.lower().replace("-", "_").endswith(_SECRET_ENDINGS)


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
