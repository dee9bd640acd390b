"""One event loop in one daemon thread, for everything in this process that waits on the network.

Guarantee: synchronous calls work the same in scripts, in threads, in notebooks and below a running loop; asyncio is not
patched, and no other loop is touched. A forked child starts its own loop. At exit, running tasks are cancelled and the
loop is closed, without "loop is closed" warnings.
Cost: the thread starts with the first use; a call costs two thread switches, tens of microseconds.
Limits: a coroutine that runs on this loop must not call `run`; it awaits instead.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["call_soon", "on_loop_thread", "run", "submit"]

T = TypeVar("T")

# A wait without limit cannot be interrupted by Ctrl-C on Windows.
_WAIT_SLICE_S = 1.0
_JOIN_S = 5.0


class _LoopThread:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._main, name="datafast-loop", daemon=True)
        self.thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self._wind_up()
            asyncio.set_event_loop(None)
            self.loop.close()

    def _wind_up(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=_JOIN_S))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_JOIN_S)


_lock = threading.Lock()
_current: _LoopThread | None = None


def submit(coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Starts `coro` on the background loop. Cancelling the future cancels the coroutine."""
    return asyncio.run_coroutine_threadsafe(coro, _running().loop)


def call_soon(function: Callable[[], object]) -> None:
    """Calls `function` on the background loop as soon as possible."""
    _running().loop.call_soon_threadsafe(function)


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Runs `coro` on the background loop and waits for it. Its exceptions are raised unchanged.

    If the waiting is interrupted (Ctrl-C), the coroutine is cancelled and the interruption is raised.

    Raises:
        RuntimeError: called on the background loop itself, where waiting would never end.
    """
    if on_loop_thread():
        coro.close()
        raise RuntimeError(
            "A synchronous call on datafast's own event loop would wait for itself. Await the asynchronous one instead."
        )
    future = submit(coro)
    try:
        while not concurrent.futures.wait((future,), timeout=_WAIT_SLICE_S).done:
            pass
    except BaseException:  # an interruption must not leave the work running
        future.cancel()
        raise
    return future.result()


def on_loop_thread() -> bool:
    """Whether the caller runs on the background loop, where waiting would never end."""
    return threading.current_thread() is _running().thread


def _running() -> _LoopThread:
    global _current
    with _lock:
        if _current is None or not _current.thread.is_alive():
            _current = _LoopThread()
        return _current


def _stop_at_exit() -> None:
    global _current
    with _lock:
        stopping, _current = _current, None
    if stopping is not None and stopping.thread.is_alive():
        stopping.stop()


def _forget_after_fork() -> None:
    # The child has no thread, and nobody would release a lock there. The parent's loop object is kept alive on
    # purpose: closing it here could close file descriptors that the child has reused.
    global _current, _lock, _of_parent
    _of_parent = _current
    _current, _lock = None, threading.Lock()


_of_parent: _LoopThread | None = None
atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
