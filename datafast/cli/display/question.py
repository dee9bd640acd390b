"""What a changed config does to an output, shown before it is done. On a terminal, a question where rows that were paid for leave."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from datafast.cli.display.lines import labelled
from datafast.cli.display.progress import RunDisplay

if TYPE_CHECKING:
    from datafast.engine.estimated import Estimate
    from datafast.engine.events import AlarmRaised

__all__ = ["Question", "interruptible"]


class Question:
    """Shows a change, and asks about it.

    Args:
        is_answered: the answer is yes (`--yes`).
    """

    def __init__(self, display: RunDisplay, *, is_answered: bool) -> None:
        self._display = display
        self._is_answered = is_answered

    def ask(self, ahead: Estimate) -> bool:
        """Whether the run goes on. Without a terminal it does."""
        with self._display.paused():
            for number, sentence in enumerate(ahead.sentences()):
                labelled(self._display.console, "" if number else "change", sentence)
            change = ahead.change
            if change is None or not change.removes_paid_rows or self._is_answered or not _is_terminal():
                return True
            told = "Their replies stay in the ledger: if the config changes back, the rows come back without a call."
            if not change.rows_leaving:
                told = "They are paid for once they are answered; if the config changes back, their replies are used."
            labelled(self._display.console, "", told)
            with interruptible():
                try:
                    return self._answer()
                except KeyboardInterrupt:
                    self._display.console.print()
                    return False

    @property
    def can_be_asked(self) -> bool:
        """Whether there is somebody who answers."""
        return not self._is_answered and _is_terminal()

    def goes_on(self, alarm: AlarmRaised) -> bool:
        """Whether a run goes on that an alarm has paused."""
        with self._display.paused():
            labelled(self._display.console, "alarm", f"{alarm.reason[0].upper()}{alarm.reason[1:]}.")
            labelled(
                self._display.console, "", "Nothing more is sent. If you say no, the run ends, and can be resumed."
            )
            return self._answer()

    def _answer(self) -> bool:
        """What the user types. The end of the input says no."""
        console = self._display.console
        while True:
            console.print("Go on? [y/N] ", end="", markup=False)
            line = sys.stdin.readline()
            if not line.endswith("\n"):
                console.print()
            word = line.strip().casefold()
            if word in {"y", "yes", "", "n", "no"}:
                return word in {"y", "yes"}


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C interrupt what waits for somebody; during a run it does not, nor where the process was started with it ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
