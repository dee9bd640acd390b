"""Messages to the user: logged if the library's log is on, else shown as a Python warning; and text made safe to show.

Leaf module, no cost at import.
"""

from __future__ import annotations

import difflib
import re
import sys
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING

from datafast.errors import DatafastWarning, plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

__all__ = ["did_you_mean", "nearest", "plain_text", "relayed_to", "warn_user"]

_MOST_NAMES = 40
_LIKE = 0.7
_WORD_LIKE = 0.6
_SURELY = 0.85
_ELSEWHERE = {
    "base_url": "api_base",
    "labels": "classes",
    "llms": "providers",
    "max_new_tokens": "max_completion_tokens",
    "max_output_tokens": "max_completion_tokens",
    "max_tokens": "max_completion_tokens",
}
"""What other libraries call what is known here by another name."""
_SHORT = 3
_OURS = frozenset(["contextlib", "datafast", "pydantic"])  # the other two call functions of ours
_THREADS = frozenset(["asyncio", "concurrent", "threading"])  # what stands below the code of a thread


_relay: ContextVar[Callable[[str], None] | None] = ContextVar("relay", default=None)


def relayed_to(show: Callable[[str], None]) -> None:
    """Lets `show` have all messages in this context: those of a process that nobody looks at."""
    _relay.set(show)


def warn_user(message: str) -> None:
    """Shows `message`: logged if `configure_logger` was called, else as a `DatafastWarning` at the user's line that led to it."""
    if (show := _relay.get()) is not None:
        show(message)
        return
    from datafast import logger_config  # imported here so that leaves stay free of loguru

    if logger_config.is_configured():
        logger_config.logger.opt(depth=1).warning(message)
        return
    level = _users_level()
    if level is None:
        warnings.warn_explicit(message, DatafastWarning, filename="datafast", lineno=0)
    else:
        warnings.warn(message, DatafastWarning, stacklevel=level)


def _users_level() -> int | None:
    """The `stacklevel` at which the caller names the code that called into this package; None on a thread of ours, which nobody called."""
    level, frame = 1, sys._getframe(1)
    while (name := _package(frame)) in _OURS:
        if frame.f_back is None:
            return None
        level, frame = level + 1, frame.f_back
    return None if name in _THREADS else level


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely meant for, or None if none is close. Letter case is ignored.

    It is a name with the same words, each written much the same (`max_turn`, not `max_tokens`, is `max_turns`), one that has all
    words of the name and more (`max_tokens` is `max_completion_tokens`), or what other libraries call so.
    """
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    given = name.strip().casefold()
    if _ELSEWHERE.get(given) in folded:
        return folded[_ELSEWHERE[given]]
    score, found = max(((_likeness(given, candidate), candidate) for candidate in folded), default=(0.0, ""))
    return folded[found] if score >= _LIKE else None


def _likeness(given: str, candidate: str) -> float:
    """0 to 1: how likely one name is meant by another."""
    if abs(len(given) - len(candidate)) > max(len(given), 24):
        return 0.0
    whole = _ratio(given, candidate)
    words, others = _words(given), _words(candidate)
    if len(words) == len(others):
        same = all(_alike(*pair) for pair in zip(words, others, strict=True))
        return whole if same or whole >= _SURELY else 0.0
    if len(words) < len(others) and all(max(_ratio(word, other) for other in others) >= _SURELY for word in words):
        return max(whole, _LIKE + whole / 100)
    return whole if whole >= _SURELY else 0.0


def _alike(word: str, other: str) -> bool:
    """Whether a word is much like another; of two short ones (`de`, `dd`) the first letter tells."""
    short = max(len(word), len(other)) <= _SHORT
    return _ratio(word, other) >= _WORD_LIKE or (short and word[:1] == other[:1])


def _words(name: str) -> list[str]:
    return re.split(r"[\s_/-]+", name)


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence for a message about an unknown name: the nearest known name, or all (at most forty)."""
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"Did you mean {near!r}?"
    if not names:
        return "There are none."
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"Known: {', '.join(names[:_MOST_NAMES])}{more}."
