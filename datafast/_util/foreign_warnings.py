"""Keeps warnings of other packages from failing a call of ours, whatever the host does with warnings.

`python -W error`, a test runner's `filterwarnings = error` and the like turn a warning into an exception, in the midst of
the package that gives it: a call to a model would fail because that package's own dependency deprecates something.

Guarantee: inside `foreign_warnings_ignored()`, in the tasks and `asyncio.to_thread` calls that start there, and in threads
that the packages of `_WITH_THREADS` start meanwhile, warnings of other packages are neither raised nor shown; a
`DatafastWarning` still is. In every other task and thread the host's filters decide, as before. It may stand around an
`await`: what it sets is a context variable and no state of the process.
Cost: two microseconds, and one entry in front of the host's filters from the first use on, which matches nothing elsewhere.
Limits: a plain thread of ours starts with an empty context, so its function needs it too. A filter that the host puts in
front while a call is under way comes before ours until the next call.
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

# Their thread pools do part of what we ask for, in threads that know nothing of the context they were started from.
_WITH_THREADS = frozenset(["datasets", "huggingface_hub", "litellm", "transformers"])

_inside: ContextVar[bool] = ContextVar("datafast_calls_others", default=False)
_open: deque[None] = deque()  # an entry for each use that has not ended, in whatever thread


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
    """Every category of warnings while this task or thread is inside `foreign_warnings_ignored()`, no category elsewhere.

    A filter matches by `issubclass`. The module that a warning is attributed to cannot tell whose it is: litellm's are
    often pydantic's by name, and the host uses pydantic too.
    """


@contextmanager
def foreign_warnings_ignored() -> Iterator[None]:
    """For what other packages do on our behalf; also a decorator of plain functions."""
    # Whoever changes the filters puts theirs in front, and `catch_warnings` takes ours away when it ends.
    if not warnings.filters or warnings.filters[0][2] is not ForeignWarning:
        warnings.simplefilter("ignore", ForeignWarning)
    token = _inside.set(True)
    _open.append(None)
    try:
        yield
    finally:
        _open.pop()
        with suppress(ValueError):  # a coroutine that is thrown away ends in another context; its own is gone
            _inside.reset(token)
