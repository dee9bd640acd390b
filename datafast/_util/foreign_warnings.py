"""Keeps warnings of other packages from failing our calls, whatever filters the host has set.

`python -W error`, a test runner's `filterwarnings = error` and the like turn a warning into an exception inside the package
that gives it. A call to a model would then fail because a dependency of that package deprecates something.

Guarantee: inside `foreign_warnings_ignored()`, in the tasks and `asyncio.to_thread` calls that start there, and in threads
that the packages of `_WITH_THREADS` start meanwhile, warnings of other packages are neither raised nor shown; a
`DatafastWarning` still is. In every other task and thread the host's filters decide. The block may contain `await`: it
sets a context variable, not a state of the process.
Cost: two microseconds, and from the first use on one entry in front of the host's filters, which matches nothing elsewhere.
Limits: a plain thread of ours starts with an empty context, so its function needs it too. A filter that the host puts in
front during a call comes before ours until the next call.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from datafast.errors import DatafastWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ForeignWarning", "foreign_warnings_ignored"]

# Their thread pools do part of the work, in threads that do not inherit the context.
_WITH_THREADS = frozenset(["datasets", "huggingface_hub", "litellm", "transformers"])

_inside: ContextVar[bool] = ContextVar("datafast_calls_others", default=False)
_open: deque[None] = deque()  # an entry for each use that has not ended, in any thread


class _WhileInside(type):
    def __subclasscheck__(cls, category: type) -> bool:
        return DatafastWarning not in category.__mro__ and (_inside.get() or (bool(_open) and _in_their_code()))


def _in_their_code() -> bool:
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__", "").partition(".")[0] in _WITH_THREADS:
            return True
    return False


class ForeignWarning(Warning, metaclass=_WhileInside):
    """Stands for every category of warnings inside `foreign_warnings_ignored()`, in this task or thread; for none elsewhere.

    A filter matches by `issubclass`. It cannot go by the module that a warning is attributed to: litellm's warnings are
    often attributed to pydantic, which the host uses too.
    """


@contextmanager
def foreign_warnings_ignored() -> Iterator[None]:
    """Ignores warnings of other packages while they work for us; also a decorator of plain functions."""
    # New filters are put in front of ours, and `catch_warnings` removes ours when it ends.
    if not warnings.filters or warnings.filters[0][2] is not ForeignWarning:
        warnings.simplefilter("ignore", ForeignWarning)
    token = _inside.set(True)
    _open.append(None)
    try:
        yield
    finally:
        _open.pop()
        with suppress(ValueError):  # a discarded coroutine ends in another context
            _inside.reset(token)
