"""`--events FILE`: the events of a run as JSON lines, for whatever watches it.

Guarantee: every event is handed to the operating system as one whole line before the run goes on, so `tail -f` and a reader after a crash
see whole lines. Lines are appended; each run begins with `run_started` and ends with `run_ended`. A line that cannot be written ends
the run as a row that cannot be written does: everything is saved. Cost: one write an event.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import orjson

from datafast.engine.events import Event, event_to_dict
from datafast.errors import ConfigError, OutputWriteError

__all__ = ["EventFile"]


class EventFile:
    """An open file, or stdout for `-`. Use it with `with`; calling it writes an event.

    Args:
        path: the file; its folder must exist.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_stdout = str(path) == "-"
        self._file: IO[bytes] = sys.stdout.buffer if self._is_stdout else _opened(path)
        self.error: OutputWriteError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_stdout:
            return
        # What could not be written is tried once more by closing, and has been told already.
        with contextlib.suppress(OSError) if self.error else contextlib.nullcontext():
            self._file.close()

    def __call__(self, event: Event) -> None:
        """Writes one line.

        Raises:
            OutputWriteError: it cannot be written; the run is to stop.
        """
        if self.error is not None:
            raise self.error
        try:
            self._file.write(orjson.dumps(event_to_dict(event)) + b"\n")
            self._file.flush()
        except OSError as error:
            self.error = OutputWriteError(
                f"Cannot write events to {self._path}: {error.strerror}. The same command goes on."
            )
            raise self.error from error


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("ab")
    except OSError as error:
        raise ConfigError(
            f"--events: Cannot write {path}: {error.strerror}. Give a file that can be written."
        ) from error
