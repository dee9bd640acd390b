"""Asks a process of its own what texts of configs mean, so that no text can hold up or bring down the viewer.

Guarantee: the process reads and writes nothing that `fence` forbids, and has no key. A text that takes too long, or that nobody asks about
any more, ends with it. Cost: 1 to 2 s and about 120 MB for the process, with the first question; after that, 50 ms for a small config.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Planner"]

_LONGEST_S = 30.0
_GRACE_S = 6.0  # for an answer that nobody waits for any more: a new process takes as long to start
_LOOKS_S = 0.05
_KEPT = (
    "APPDATA", "COMSPEC", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOCALAPPDATA", "PATH", "PATHEXT",
    "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT", "TZ", "USERPROFILE", "VIRTUAL_ENV", "WINDIR", "XDG_CACHE_HOME",
)  # fmt: skip
"""What it gets of the environment: no keys, and nothing that says where to send them."""
_STARTED = (
    # Neither the working directory nor a folder that is shown is a place for modules, whatever lies in it.
    "import sys; sys.path[:] = [*(entry for entry in sys.path if entry), sys.argv.pop(1)]; "
    "from datafast.view.config.worker import main; main()"
)
_PACKAGES = Path(__file__).parents[3]
_TOO_MUCH = "This takes more time or memory than a plan in the viewer may have. `datafast plan` in a terminal takes what it needs."


class Planner:
    """Such a process, started when it is needed, and ended with this object.

    Args:
        folders: below which a config may name files.
        longest_s: seconds that an answer may take.
    """

    def __init__(self, folders: Sequence[Path], *, longest_s: float = _LONGEST_S) -> None:
        self._folders = folders
        self._longest_s = longest_s
        self._process: _Process | None = None
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._newest: dict[str, _Question] = {}

    def ask(self, page: str, what: str, **given: Any) -> Iterator[dict[str, Any]]:
        """The parts of an answer; in any thread. A later question of the same page takes the place of one that is not answered yet.

        Args:
            page: a name of the page's own choice.
            what: `plan`, `prompt` or `schema`; see `worker`.
        """
        question = _Question({"what": what, **given, "longest_s": self._longest_s})
        with self._lock:
            self._newest[page] = question
        # In a thread of its own, because a server may leave an answer half taken when the browser has gone, and never close it.
        threading.Thread(target=self._carry_out, args=(page, question), name="datafast-question", daemon=True).start()
        try:
            while (part := question.parts.get()) is not None:
                yield part
        finally:
            question.is_wanted = False

    def _carry_out(self, page: str, question: _Question) -> None:
        def is_wanted() -> bool:
            return question.is_wanted and self._newest.get(page) is question

        try:
            while not self._turn.acquire(timeout=_LOOKS_S):
                if not is_wanted():
                    return
            try:
                self._answer(question, is_wanted)
            finally:
                self._turn.release()
        finally:
            question.parts.put(None)
            with self._lock:
                if self._newest.get(page) is question:
                    del self._newest[page]

    def _answer(self, question: _Question, is_wanted: Callable[[], bool]) -> None:
        if not is_wanted():
            return
        if self._process is None or not self._process.is_alive:
            self._process = _Process(self._folders)
        begun = time.monotonic()
        self._process.send(question.asked)
        while time.monotonic() < begun + self._longest_s:
            if not is_wanted() and time.monotonic() > begun + _GRACE_S:
                break
            try:
                said = self._process.parts.get(timeout=_LOOKS_S)
            except queue.Empty:
                continue
            if said is None:
                break
            if said["part"] == "end":
                return
            if is_wanted():
                question.parts.put(said)
        if is_wanted():
            question.parts.put({"part": "failed", "message": _TOO_MUCH})
        self._process.end()
        self._process = None


class _Question:
    """A question, and the parts of its answer so far; None is the last."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.parts: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.is_wanted = True


class _Process:
    """The process, and what it says.

    Attributes:
        parts: what it has said; None when it has ended.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        scratch = tempfile.mkdtemp(prefix="datafast-view-")
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch)
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": scratch, "PYTHONUTF8": "1"}
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-B", "-c", _STARTED, str(_PACKAGES), *map(str, folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, **temporary, **offline},
        )
        self.parts: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._process, self.parts), name="datafast-plans", daemon=True).start()
        self.end = weakref.finalize(self, _end, self._process, scratch)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def send(self, asked: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # it has ended, which its parts say
            self._process.stdin.write(orjson.dumps(asked) + b"\n")
            self._process.stdin.flush()


def _read(process: subprocess.Popen[bytes], parts: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout:
        for line in process.stdout:
            if line.endswith(b"\n"):
                parts.put(orjson.loads(line))
    parts.put(None)


def _end(process: subprocess.Popen[bytes], scratch: str) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    shutil.rmtree(scratch, ignore_errors=True)
