"""Going through the rows of a file in the background, while somebody wants to know what comes of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Generic, Protocol, TypeVar

from datafast.view.index import Lines, RowIndex

__all__ = ["Pass", "Taker", "answering"]

_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.25


class Taker(Protocol):
    """What takes rows in order. `rows` and `end`: how many it has taken, and the byte at which the next one begins."""

    rows: int
    end: int

    def take(self, lines: Lines, /) -> None: ...


T = TypeVar("T", bound=Taker)


class _Answering:
    """Requests that are being answered. Passes wait for them, since Python runs one thread at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1

    def wait(self) -> None:
        """Waits until none is, for a quarter of a second at most."""
        until = time.monotonic() + _LONGEST_WAIT_S
        while self._count and time.monotonic() < until:
            time.sleep(_WAIT_S)


answering = _Answering()
"""`with answering():` around what a reader waits for."""


class Pass(Generic[T]):
    """Takes the rows of a file to its end, in a thread of its own; goes on from there when the file has grown.

    Args:
        taker: takes them. Nothing else may call its `take`.
        is_enough: whether it wants no more rows.
        at_end: called in the thread when all rows were taken, with what tells whether it is to stop.
        pause_s: seconds that it rests when it is done, before it takes the rows that have come.

    Attributes:
        error: why it cannot go on, in sentences; None while it can.
    """

    def __init__(
        self,
        index: RowIndex,
        taker: T,
        *,
        is_enough: Callable[[], bool] = lambda: False,
        at_end: Callable[[Callable[[], bool]], None] = lambda stopped: None,
        pause_s: float = 0.0,
    ) -> None:
        self.taker = taker
        self.error: str | None = None
        self._is_broken = False
        self._index = index
        self._generation = index.generation
        self._is_enough = is_enough
        self._at_end = at_end
        self._pause_s = pause_s
        self._rests_until = 0.0
        self._ended_at = -1  # the size of the file when all rows were taken
        self._stop = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    @property
    def is_done(self) -> bool:
        """Whether all rows were taken that there are, or enough."""
        return self._ended_at == self._index.size or (self._ended_at >= 0 and self._is_enough())

    @property
    def share(self) -> float:
        """Of the file that was gone through."""
        return 1.0 if self.is_done else min(1.0, self.taker.end / max(1, self._index.size))

    def go_on(self) -> None:
        """Starts, or goes on after a stop or where the file has grown. Costs nothing if there is nothing to do."""
        with self._lock:
            is_running = self._thread is not None and self._thread.is_alive() and not self._stop.is_set()
            is_resting = self._is_broken or time.monotonic() < self._rests_until
            if is_running or is_resting or self.is_done or self._index.generation != self._generation:
                return
            self._stop = Event()
            self._thread = Thread(target=self._run, args=(self._stop, self._thread), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stops after some milliseconds, as if it waited for `go_on`."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Waits until it has stopped or is done."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, stop: Event, before: Thread | None) -> None:
        if before is not None:
            before.join()

        def stopped() -> bool:
            return stop.is_set() or self._index.generation != self._generation

        try:
            size = self._through(stopped)
        except OSError as error:
            self.error = f"The file cannot be read: {error.strerror or error}."
        except sqlite3.Error as error:  # there is no room for the temporary file
            self.error = f"There is no room for a temporary file of its values: {error}. Free some space."
            self._is_broken = True
        else:
            self.error = None
            if not stopped():
                self._at_end(stopped)
            if not stopped():
                self._ended_at = size
                self._rests_until = time.monotonic() + self._pause_s

    def _through(self, stopped: Callable[[], bool]) -> int:
        """Takes rows to the end of the file; gives its size."""
        self._index.refresh()
        size = self._index.size
        for lines in self._index.scan(self.taker.rows, self.taker.end):
            answering.wait()
            if stopped() or self._is_enough():
                break
            self.taker.take(lines)
        return size
