"""Models that are loaded in this process, each once for all runs.

Guarantee: runs that want the same model at the same time share it. A model stays loaded after its run, so the next run
does not wait for it. `release_models` frees models that no run uses, and the end of the process frees all. Loading runs
in a thread of its own and never blocks an event loop.
Cost: the memory of the models, until they are released. Limits: a forked child loads its own.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from datafast._util.daemon_thread import in_daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Lease", "Loadable", "acquire", "release_models"]


class Loadable(Protocol):
    """A loaded model."""

    def close(self) -> None:
        """Frees its memory. Called once, in any thread; must not take long."""
        ...


M = TypeVar("M", bound=Loadable)


@dataclass(slots=True, eq=False)
class _Entry:
    """One model of the cache. `loading` is held while it is loaded or replaced."""

    loading: threading.Lock = field(default_factory=threading.Lock)
    model: Loadable | None = None
    users: int = 0


@dataclass(slots=True, eq=False)
class Lease(Generic[M]):
    """The right to use a loaded model, until `release`."""

    model: M
    _entry: _Entry
    _held: bool = True

    def release(self) -> None:
        """Ends the use. The model stays loaded. Further calls do nothing."""
        with _lock:
            if self._held:
                self._held = False
                self._entry.users -= 1


_lock = threading.Lock()
_entries: dict[Hashable, _Entry] = {}
_of_parent: list[_Entry] = []


async def acquire(key: Hashable, load: Callable[[], M], *, fits: Callable[[M, int], bool] | None = None) -> Lease[M]:
    """The model with this key, which `load` loads if it is not there yet.

    Args:
        key: users with an equal key share one model.
        load: makes the model; it runs in a thread.
        fits: given a loaded model and the number of its users, says whether it can be used; if not, it is closed and
            loaded again.
    """
    future = in_daemon_thread(lambda: _take(key, load, fits), name="datafast-load-model")
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.add_done_callback(_give_back)  # the caller does not wait any more
        raise


def release_models() -> int:
    """Frees the loaded models that no run uses, and their memory.

    Returns:
        How many were freed.
    """
    with _lock:
        idle = [(key, entry) for key, entry in _entries.items() if not entry.users and not entry.loading.locked()]
        for key, _ in idle:
            del _entries[key]
    models = [entry.model for _, entry in idle if entry.model is not None]
    for model in models:
        model.close()
    return len(models)


def _take(key: Hashable, load: Callable[[], M], fits: Callable[[M, int], bool] | None) -> Lease[M]:
    with _lock:
        entry = _entries.setdefault(key, _Entry())
        entry.users += 1  # from now on it cannot be released
    try:
        with entry.loading:
            model: M | None = entry.model  # type: ignore[assignment]  # one key, one class
            if model is not None and fits is not None and not fits(model, entry.users - 1):
                entry.model = None
                model.close()
                model = None
            if model is None:
                entry.model = model = load()
    except BaseException:
        with _lock:
            entry.users -= 1
        raise
    return Lease(model, entry)


def _give_back(future: concurrent.futures.Future[Lease[M]]) -> None:
    if future.exception() is None:
        future.result().release()


def _close_all() -> None:
    with _lock:
        entries = list(_entries.values())
        _entries.clear()
    for entry in entries:
        if entry.model is not None:
            entry.model.close()


def _forget_after_fork() -> None:
    # The child has no threads of the models, and must not close the parent's processes.
    global _lock
    _of_parent.extend(_entries.values())
    _entries.clear()
    _lock = threading.Lock()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
