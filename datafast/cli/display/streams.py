"""stdout and stderr of a command whose reader may go away or whose disk may be full.

Guarantee: what cannot be written to stderr is dropped, so that a run that is being paid for goes on without its display. What cannot be
written to stdout was asked for: it is told once, as a `StdoutError`, or as a `BrokenPipeError` where the reader has gone.
"""

from __future__ import annotations

import io
import sys
from typing import Any

__all__ = ["StdoutError", "guard_streams"]


class StdoutError(OSError):
    """stdout took nothing more, other than because its reader has gone."""


class _Guarded(io.RawIOBase):
    """The bytes of a stream. After the first failure everything is dropped: Python writes the rest again when it ends."""

    def __init__(self, raw: Any, *, is_told: bool) -> None:
        self._raw = raw
        self._is_told = is_told
        self._has_failed = False

    def write(self, data: Any) -> int | None:
        if self._has_failed:
            return len(data)
        try:
            written: int | None = self._raw.write(data)
        except OSError as error:
            self._has_failed = True
            if not self._is_told:
                return len(data)
            if isinstance(error, BrokenPipeError):
                raise
            raise StdoutError(error.errno, error.strerror) from error
        return written

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def isatty(self) -> bool:
        return bool(self._raw.isatty())


def guard_streams() -> None:
    """Puts guarded streams in the place of `sys.stdout` and `sys.stderr`.

    A character that a terminal cannot show is written as an escape: it must not end a run either.
    """
    sys.stdout = _guarded(sys.stdout, is_told=True)
    sys.stderr = _guarded(sys.stderr, is_told=False)


def _guarded(stream: Any, *, is_told: bool) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # closed (None), or somebody else's
    stream.flush()
    raw = _Guarded(getattr(stream.buffer, "raw", stream.buffer), is_told=is_told)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
