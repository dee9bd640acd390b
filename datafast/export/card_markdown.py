"""Markdown in which no text of a config, a model or a row means anything: escaped, on one line, fenced, without secrets."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

__all__ = ["excerpt", "fence", "inline", "one_line", "redactor", "table", "with_code"]

_SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
_CODE = re.compile(r"(`[A-Za-z_][\w.]*`)")
_MAX_TEXT = 80  # of one value: what is longer is likely to be data, not a setting
_JOINERS = "\u200c\u200d"  # unprintable, and part of Persian words and of emoji


def excerpt(value: object) -> str:
    """A value on one line, cut where it is long."""
    text = one_line(str(value))
    if Path(text).is_absolute():
        return Path(text).name  # of a file, the folders are this machine's business
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 4]} ..."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are escaped already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fence(text: str, language: str) -> str:
    """A block of code, whatever is in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def one_line(text: str) -> str:
    """Text on one line, without characters that cannot be printed."""
    return " ".join("".join(char if char.isprintable() or char in _JOINERS else " " for char in text).split())


def inline(text: str) -> str:
    """Text on one line in which no character means anything to Markdown or HTML."""
    escaped = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", html.escape(one_line(text), quote=False))
    return re.sub(r"^([-+])", r"\\\1", escaped)


def with_code(text: str) -> str:
    """The same, but names between backticks are code."""
    parts = _CODE.split(one_line(text))
    return "".join(part if number % 2 else _padded(part) for number, part in enumerate(parts))


def _padded(part: str) -> str:
    return f"{' ' * part.startswith(' ')}{inline(part)}{' ' * (len(part) > 1 and part.endswith(' '))}"


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Takes secrets out of a text: these, and the values of environment variables that are named like secrets."""
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)} | set(secrets)
    # As they are (in templates) and escaped (elsewhere, and in pictures); very short values are not secrets.
    forms = {form for value in found if len(value) >= 8 for form in (value, inline(value), html.escape(value))}
    if not forms:
        return lambda text: text
    # Longest first, or a key that contains another would leave its rest behind.
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: pattern.sub("[redacted]", text)
