"""Messages to the user: logged if the library's log is on, else shown as a Python warning; and text made safe to show.

Leaf module, no cost at import.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from typing import TYPE_CHECKING

from datafast.errors import DatafastWarning, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

__all__ = ["did_you_mean", "nearest", "plain_text", "warn_user"]

_MOST_NAMES = 40
_OURS = frozenset(["contextlib", "datafast", "pydantic"])  # the other two call functions of ours
_THREADS = frozenset(["asyncio", "concurrent", "threading"])  # what stands below the code of a thread


def warn_user(message: str) -> None:
    """Shows `message`: logged if `configure_logger` was called, else as a `DatafastWarning` at the user's line that led to it."""
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
    """The known name that `name` is most likely a typing error of (letter case is ignored), or None if none is close."""
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    found = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.7)
    return folded[found[0]] if found else None


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
