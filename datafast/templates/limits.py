"""Bounds on what one rendering of a template may use: steps, time and size."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import date, time
from decimal import Decimal
from time import monotonic
from typing import Any

from jinja2 import Undefined

from datafast.templates.values import to_text

__all__ = [
    "MAX_CHARS",
    "MAX_SECONDS",
    "TooMuch",
    "allow",
    "bounded_text",
    "checked",
    "rendering",
    "size",
    "step",
    "write",
]

MAX_CHARS = 1_000_000
"""Characters of a rendered text, and of any value made on the way."""
MAX_SECONDS = 1.0
_MAX_STEPS = 100_000


class TooMuch(Exception):
    """A template wanted more time or room than any prompt needs."""


class _Budget:
    """What one rendering may still use; the longer a template, the fewer steps, since each may repeat all of it."""

    __slots__ = ("chars", "ends_at", "steps")

    def __init__(self, length: int) -> None:
        self.steps = min(_MAX_STEPS, 20 * MAX_CHARS // max(1, length))
        self.chars = 4 * MAX_CHARS
        self.ends_at = monotonic() + MAX_SECONDS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise TooMuch("too many loop steps and calls")
        if monotonic() > self.ends_at:
            raise TooMuch(f"longer than {MAX_SECONDS:g} s")

    def write(self, text: str) -> None:
        self.chars -= len(text)
        if self.chars < 0:
            raise TooMuch(f"more than {4 * MAX_CHARS:,} characters of inserted values")
        if monotonic() > self.ends_at:
            raise TooMuch(f"longer than {MAX_SECONDS:g} s")


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


class rendering:  # noqa: N801 - used as a `with` statement
    """Everything inside is one rendering, with one budget, of a template of so many characters."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __enter__(self) -> None:
        self._token = _budget.set(_Budget(self._length))

    def __exit__(self, *_: object) -> None:
        _budget.reset(self._token)


def step() -> None:
    """One more turn of a loop, call or operation. Raises TooMuch."""
    budget = _budget.get()
    if budget is not None:
        budget.step()


def size(value: Any) -> int:
    """Characters and elements of a value when it is written out; stops counting beyond `MAX_CHARS`.

    What lists and objects share is counted wherever it stands, so that nothing grows by holding itself twice.
    """
    total, waiting = 0, [value]
    while waiting and total <= MAX_CHARS:
        part = waiting.pop()
        total += 1
        if isinstance(part, str):
            total += len(part)
        elif isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple):
            waiting += part
    return total


def bounded_text(value: Any) -> str:
    """A value as text. Raises TooMuch, and TypeError where it has no text that is the same every time."""
    if type(value) is not str:
        allow(size(value))
        checked(value)
    return to_text(value)


def checked(value: Any) -> Any:
    """The value itself. Raises TypeError where anything in it is not plain: a method, a macro, a view, a generator."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, Undefined):
            str(part)  # raises what is missing
        elif not isinstance(part, str | int | float | Decimal | date | time | None):
            what = getattr(part, "__name__", type(part).__name__)
            hint = f"call it: {what}()" if callable(part) else "add | list or | join"
            raise TypeError(f"{what} is not a value that can be written; {hint}")
    return value


def write(value: Any) -> str:
    """A value as the text that goes into a rendering, counted."""
    text = bounded_text(value)
    budget = _budget.get()
    if budget is not None:  # constants are written when a template is compiled
        budget.write(text)
    return text


def allow(length: int) -> None:
    """Raises TooMuch where a value would get so long."""
    if length > MAX_CHARS:
        raise TooMuch(f"a value of {length:,} characters or elements; at most {MAX_CHARS:,}")
