"""Reports of outputs for a page that stays open: each is made by a process of its own, and made again when its file has changed.

Guarantee: one report is made at a time, and no request waits for it. The viewer's process takes a report as JSON, whatever memory and
time its making needs. What was made stays until there is a newer one.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from datafast.view.outputs import FileState, Output

if TYPE_CHECKING:
    from datafast.report import Contents

__all__ = ["Made", "Reports"]

_LEAST_PAUSE_S = 3.0
_PAUSE = 3  # times as long as it took, between two reports of a file that changes all the time
_TELLS = 2_000  # characters of an error
# The working directory is no place for modules: it may be the folder that is shown.
_STARTED = "import sys; sys.path.append(sys.argv.pop(1)); import runpy; runpy.run_module('datafast', run_name='__main__', alter_sys=True)"
_PACKAGES = Path(__file__).parents[2]


class Made(NamedTuple):
    """A report that was made, or why there is none.

    Attributes:
        number: differs for each.
        state: of the files that it is about.
        at: when it was made, in seconds since 1970.
        took_s: how long that took.
        problem: why there is none; '' if there is one.
    """

    number: int
    state: FileState
    at: float
    took_s: float
    contents: Contents | None
    rows: int | None = None
    problem: str = ""


class _Job:
    def __init__(self, output: Output) -> None:
        self.output = output
        self.made: Made | None = None
        self.begun: float | None = None
        """When its making has begun; None where it is not being made."""
        self.ended = 0.0


class Reports:
    """The reports of the outputs that are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._one = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._children: set[subprocess.Popen[bytes]] = set()
        self._number = 0
        self._is_closed = False

    def of(self, output: Output) -> tuple[Made | None, float | None]:
        """The newest report of an output, and for how many seconds another is being made; None if none is."""
        state = output.state
        now = time.monotonic()
        with self._lock:
            job = self._jobs.setdefault(output.id, _Job(output))
            if job.begun is None and self._is_due(job, state, now) and not self._is_closed:
                job.begun = now
                threading.Thread(target=self._make, args=(job, state), name="datafast-view-report", daemon=True).start()
            return job.made, None if job.begun is None else now - job.begun

    def close(self) -> None:
        """Ends what is being made."""
        with self._lock:
            self._is_closed = True
            children = list(self._children)
        for child in children:
            child.kill()

    def _is_due(self, job: _Job, state: FileState, now: float) -> bool:
        if job.made is None:
            return True
        pause = max(_LEAST_PAUSE_S, _PAUSE * job.made.took_s)
        return job.made.state != state and now - job.ended >= pause

    def _make(self, job: _Job, state: FileState) -> None:
        with self._one:
            begun = time.monotonic()
            try:
                contents, rows, problem = self._made(job.output)
            except (OSError, ValueError) as error:  # there is no room for a process, or what it says is no report
                contents, rows, problem = None, None, f"The report could not be made: {str(error)[:_TELLS]}."
        now = time.monotonic()
        with self._lock:
            self._number += 1
            job.made = Made(self._number, state, time.time(), now - begun, contents, rows, problem)
            job.begun, job.ended = None, now

    def _made(self, output: Output) -> tuple[Contents | None, int | None, str]:
        """What a page shows of the report of an output, its rows, and what is wrong where there is none."""
        command = [sys.executable, "-P", "-c", _STARTED, str(_PACKAGES), "report", str(output.path), "--json"]
        if output.has_ledger:
            command += ["--ledger", str(output.paths.ledger)]
        with self._lock:
            if self._is_closed:
                return None, None, "The viewer has stopped."
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 - our own command
            self._children.add(child)
        try:
            told, log = child.communicate()
        finally:
            with self._lock:
                self._children.discard(child)
        if child.returncode:
            return None, None, _problem(told, log)
        from datafast.report import Report, contents_of  # a viewer starts faster without

        report = Report.model_validate_json(told)
        return contents_of(report, rows_at=f"/o/{output.id}/rows"), report.statistics.total.rows, ""


def _problem(told: bytes, log: bytes) -> str:
    try:
        return str(orjson.loads(told)["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        last = log.decode(errors="replace").strip().rpartition("\n")[2]
        return f"The report could not be made: {last[:_TELLS] or 'its process was ended'}."
