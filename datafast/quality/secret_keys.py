# ruff: noqa: E501 - one form of a key after the other
"""Where a text holds a secret key: by what the services that give them say of their form, or by what it is assigned to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datafast.quality.signs import has_any, long_words

__all__ = ["LEAST", "secret_keys"]

_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{20,}|A(?:KIA|SIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|gl(?:pat|dt|ptt|rt|soat)-[A-Za-z0-9_-]{20,}"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|rubygems_[a-f0-9]{40,}|AIza[A-Za-z0-9_-]{30,}"
    r"|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{20,}|hooks\.slack\.com/services/T\w+/B\w+/\w{16,}"
    r"|shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}|d(?:op|oo|or)_v1_[a-f0-9]{64}|dckr_pat_[A-Za-z0-9_-]{20,}|key-[a-f0-9]{32}|\d{8,10}:AA[A-Za-z0-9_-]{32,35}|[MNO][A-Za-z\d_-]{23,27}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,40}"
    r"|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|ATATT3x[A-Za-z0-9_=-]{40,}|lin_api_[A-Za-z0-9]{30,}|hv[sb]\.[A-Za-z0-9_-]{24,}|r8_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|nvapi-[A-Za-z0-9_-]{40,}"
    r"|pplx-[A-Za-z0-9]{40,}|sntrys_[A-Za-z0-9+/=_-]{40,}|sbp_[a-f0-9]{40}|figd_[A-Za-z0-9_-]{30,}|PMAK-[a-f0-9]{24}-[a-f0-9]{34}|ntn_[A-Za-z0-9]{40,}|NRAK-[A-Z0-9]{27}|dapi[a-f0-9]{32}|AGE-SECRET-KEY-1[A-Z0-9]{50,}"
    r"|AccountKey=[A-Za-z0-9+/]{40,}={0,2}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
)
_PRIVATE = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----")
_OF_KNOWN = (
    "sk-", "AKIA", "ASIA", "_", "glpat-", "gldt-", "glptt-", "glrt-", "glsoat-", "pypi-", "AIza", "GOCSPX-", "ya29", "SG.", "xox", "xapp-", "hooks.slack", "key-", ":AA", "sq0", "ATATT3x", "hvs.", "hvb.",
    "xai-", "nvapi-", "pplx-", "PMAK-", "NRAK-", "dapi", "AGE-SECRET", "AccountKey", "eyJ",
)  # fmt: skip
_DISCORD = re.compile(r"[MNO][A-Za-z\d_-]{23,27}\.[A-Za-z\d_-]{6}\.")
# A long value that something is set to whose name says that it is secret, or that is sent as such.
_ASSIGNED = re.compile(
    r"(?:secret|token|passw(?:or)?d|passwd|pwd|(?:api|access|private|auth|account|encryption)[_-]?key)\w{0,20}[\"']?\s{0,2}(?:=>|:=|[:=])\s{0,2}[\"']?(?P<value>[A-Za-z0-9+/_.~!@#$%^&*=-]{16,})"
    r"|\bbearer\s+(?P<bearer>[A-Za-z0-9+/_.~=-]{20,})",
    re.IGNORECASE,
)
LEAST = 15
"""The characters of the shortest key."""
_VALUE = re.compile(r"[A-Za-z0-9+/_.~!@#$%^&*=-]{16,}")
_BEFORE = 60
# The password within an address: postgres://anna:Kf8...@host/db.
_WITHIN = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{1,64}:(?P<value>[^\s:/@\"'<>]{5,128})@[\w.-]+", re.IGNORECASE
)
_NO_SECRET = re.compile(
    r"your|example|x{4}|\*{3}|change.?me|placeholder|insert|dummy|sample|redacted|secret_?here|^(?:pass|password|passwd|secret|pwd|user|admin|test|postgres|root|guest)\d{0,4}$|\$\{|\{\{|getenv|environ|process\.env|\.\.\.",
    re.IGNORECASE,
)
# What follows the first line of a private key.
_BODY = re.compile(r"(?:(?s:.){0,20000}?-----END (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----|(?:\s*[A-Za-z0-9+/=]{16,})*)")


def secret_keys(text: str) -> Iterator[tuple[int, int]]:
    """First and last letter of each, and of the body of a private key with it."""
    if "PRIVATE KEY" in text:
        for found in _PRIVATE.finditer(text):
            body = _BODY.match(text, found.end())
            yield found.start(), body.end() if body else found.end()
    for start, end in long_words(text, LEAST):
        word = text[start:end]
        if has_any(word, _OF_KNOWN) or _DISCORD.search(word):
            yield from (found.span() for found in _KNOWN.finditer(text, start, end))
        for value in _VALUE.finditer(text, start, end):
            if _is_secret(value[0]):
                yield from _assigned(text, value)
    if "://" in text:
        yield from (found.span("value") for found in _WITHIN.finditer(text) if not _NO_SECRET.search(found["value"]))


def _assigned(text: str, value: re.Match[str]) -> Iterator[tuple[int, int]]:
    """First and last letter of the secret in a value, if what stands before it says that it is one."""
    for found in _ASSIGNED.finditer(text, max(0, value.start() - _BEFORE), value.end()):
        group = "value" if found["value"] else "bearer"
        if found.end() == value.end() and _is_secret(found[group]):
            yield found.span(group)


def _is_secret(value: str) -> bool:
    """Whether a value looks drawn: letters and digits, many different ones, and nothing that stands in for a key."""
    has_both = any(letter.isdigit() for letter in value) and any(letter.isalpha() for letter in value)
    return has_both and len(set(value)) >= 8 and not _NO_SECRET.search(value)
