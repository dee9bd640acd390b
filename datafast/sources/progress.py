"""How far a source has been read, on a terminal, if it takes more than a moment."""

from __future__ import annotations

import sys
from time import monotonic

__all__ = ["Progress"]

_AFTER_S = 2.0
_EVERY_S = 0.5
_MIB = 2**20


class Progress:
    """A line on stderr that is written over and removed in the end. Where stderr is not a terminal, nothing is shown.

    Args:
        name: of what is read.
        total: its bytes, where they are known.
    """

    def __init__(self, name: str, total: int | None = None) -> None:
        self._name = name
        self._total = total
        self._shows_at = monotonic() + _AFTER_S if sys.stderr is not None and sys.stderr.isatty() else float("inf")
        self._is_shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def at(self, done: int) -> None:
        """So many bytes are read."""
        if self._is_due():
            of = f" of {self._total / _MIB:,.0f}" if self._total else ""
            self._show(f"{done / _MIB:,.0f}{of} MiB")

    def at_row(self, count: int) -> None:
        """So many rows are read."""
        if self._is_due():
            self._show(f"{count:,} rows")

    def waits(self) -> None:
        """Another process reads it, and this one waits."""
        if self._is_due():
            self._show("another run is copying it")

    def _is_due(self) -> bool:
        return monotonic() >= self._shows_at

    def _show(self, words: str) -> None:
        self._shows_at = monotonic() + _EVERY_S
        self._is_shown = True
        sys.stderr.write(f"\r{'reading':<10}{self._name}: {words}\x1b[K")
        sys.stderr.flush()
