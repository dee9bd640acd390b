"""Summaries of many outputs, made in the background and kept as long as their files stay as they are.

Guarantee: a request waits for none. Memory: some hundred bytes an output.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from datafast.store.lock import is_running
from datafast.view.outputs import FileState, Output
from datafast.view.summary import Summary, summary_of

__all__ = ["Changes", "Summaries"]

_WORKERS = 2


class Changes(NamedTuple):
    """What has changed since a version.

    Attributes:
        version: to ask with the next time.
        changed: those that are new, or have changed, with what is known of them.
        gone: the ids of those that are not there any more.
        pending: how many are being looked at.
    """

    version: int
    changed: list[tuple[Output, FileState, Summary | None]]
    gone: list[str]
    pending: int


class _Known:
    """What is known of one output, and since which version."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.state: tuple[FileState, bool] | None = None
        self.summary: Summary | None = None
        self.version = 0
        self.is_waiting = False


class Summaries:
    """The summaries of the outputs that are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._known: dict[str, _Known] = {}
        self._gone: dict[str, int] = {}
        self._waiting: deque[_Known] = deque()
        self._busy = 0
        self._version = 0
        self._workers: list[threading.Thread] = []

    def changes(self, outputs: Sequence[Output], since: int = 0) -> Changes:
        """What has changed of all outputs since a version; 0 for all that there is."""
        states = [(output, (output.state, output.has_ledger and is_running(output.paths))) for output in outputs]
        with self._lock:
            if since > self._version:  # of another viewer that was here before
                since = 0
            for output, state in states:
                known = self._known.setdefault(output.id, _Known(output))
                self._gone.pop(output.id, None)
                if known.state != state:
                    known.state = state
                    known.version = self._next()
                    if not known.is_waiting:
                        known.is_waiting = True
                        self._waiting.append(known)
            self._leave_out({output.id for output in outputs})
            self._start()
            return Changes(
                self._version,
                [
                    (known.output, known.state[0], known.summary)
                    for known in self._known.values()
                    if known.state is not None and known.version > since
                ],
                [name for name, version in self._gone.items() if version > since],
                len(self._waiting) + self._busy,
            )

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _leave_out(self, there: set[str]) -> None:
        for name in self._known.keys() - there:
            del self._known[name]
            self._gone[name] = self._next()

    def _start(self) -> None:
        self._workers = [one for one in self._workers if one.is_alive()]
        while self._waiting and len(self._workers) < min(_WORKERS, len(self._waiting)):
            worker = threading.Thread(target=self._work, name="datafast-view-summaries", daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        """Makes summaries as long as some are asked for."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                known = self._waiting.popleft()
                known.is_waiting = False
                self._busy += 1
            try:
                summary = summary_of(known.output)
                with self._lock:
                    known.summary = summary
                    known.version = self._next()
            finally:
                with self._lock:
                    self._busy -= 1
