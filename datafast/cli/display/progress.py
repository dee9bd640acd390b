"""What a run shows while it works: a live display on a terminal, a line now and then anywhere else. All on stderr.

Guarantee: text that comes from a model or a server is shown as text (no markup, control characters escaped), and log
lines go through the same console, so nothing breaks the display. A message that is repeated word for word is shown once, and its
number at the end. NO_COLOR is honoured.
Cost: an event adds to counters; drawing happens a few times a second in a thread of its own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from datafast._util.notify import plain_text
from datafast.cli.display.lines import print_lines
from datafast.cli.display.run_table import run_table
from datafast.engine.events import BatchEnded, BatchSubmitted, Event
from datafast.engine.open_batches import ended_in_words, submitted_in_words
from datafast.engine.progress import Progress
from datafast.engine.steered import Steered, steered_in_words
from datafast.logger_config import redirect_console

__all__ = ["RunDisplay"]

_FIRST_LINE_S = 5.0
_LONGEST_S = 60.0
_LONGEST_WAITING_S = 600.0  # for batches, which are not looked at more often either
_OF_THE_TIME = 0.1  # lines come further apart the longer a run takes: the next one after a tenth of its time
_REFRESHES_PER_S = 5
_MESSAGES = 1_000  # told apart at most; further ones are all shown


class RunDisplay:
    """Shows a run from its events, between `with` and its end.

    Args:
        in_flight: gives the requests without an answer, by provider.
        max_rows: rows that this run can bring the file to at most (`--limit`); None for all.
        verbose: no progress, and every message as often as it comes.
    """

    def __init__(
        self, *, in_flight: Callable[[], dict[str, int]], max_rows: int | None = None, verbose: bool = False
    ) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(max_rows=max_rows)
        self._in_flight = in_flight
        self._verbose = verbose
        self._live: Live | None = None
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None
        self._is_paused = False
        self._messages: Counter[str] = Counter()

    def __enter__(self) -> Self:
        redirect_console(self._write_log)
        if self._verbose:
            return self
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._drawing,
                console=self.console,
                refresh_per_second=_REFRESHES_PER_S,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        else:
            self._ticker = threading.Thread(target=self._tick, name="datafast-progress", daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._live is not None:
            self._live.stop()
        if self._ticker is not None:
            self._ticker.join()
        redirect_console(None)
        for message, count in self._messages.items():
            if count > 1:
                self._print_log(f"{message} ({count:,} times in all)")

    def on_event(self, event: Event) -> None:
        """Takes an event of the run, on the run's thread."""
        self.progress.take(event)
        if self._verbose:
            return  # the log tells it
        if isinstance(event, BatchSubmitted):
            self.say(submitted_in_words(event))
        elif isinstance(event, BatchEnded):
            self.say(ended_in_words(event))
        elif isinstance(event, Steered):
            self.say(steered_in_words(event))

    def say(self, message: str) -> None:
        """Prints a message above the display."""
        print_lines(self.console, Text(plain_text(message)))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Shows no progress as long as the context lasts."""
        self._is_paused = True
        if self._live is not None:
            self._live.stop()
        try:
            yield
        finally:
            self._is_paused = False
            if self._live is not None:
                self._live.start()

    def restore_terminal(self) -> None:
        """Before the process leaves without winding up: makes the cursor visible again."""
        if self._live is not None:
            self.console.show_cursor(True)

    # -- messages

    def _write_log(self, message: str) -> None:
        text = message.rstrip("\n")
        if self._verbose or self._is_new(text):
            self._print_log(text)

    def _is_new(self, message: str) -> bool:
        if message not in self._messages and len(self._messages) >= _MESSAGES:
            return True
        self._messages[message] += 1
        return self._messages[message] == 1

    def _print_log(self, message: str) -> None:
        text = Text(plain_text(message))  # it may quote what a server said
        text.highlight_regex(r"\bWARNING\b", "yellow")
        text.highlight_regex(r"\bERROR\b", "bold red")
        print_lines(self.console, text)

    # -- drawing

    def _drawing(self) -> RenderableType:
        if not self.progress.requested:
            return Text(plain_text(self.progress.before_the_run()))
        return run_table(self.progress, self._in_flight(), self.console)

    def _tick(self) -> None:
        started = time.monotonic()
        while not self._over.wait(self._pause(time.monotonic() - started, waits=self._waits())):
            if self._is_paused:
                continue
            if self.progress.requested:
                self.say(self.progress.line(sum(self._in_flight().values())))
            elif self.progress.preparing or self.progress.deciding:
                self.say(self.progress.before_the_run())

    def _waits(self) -> bool:
        """Whether nothing goes on but batches."""
        return bool(self.progress.batches) and not any(self._in_flight().values())

    @staticmethod
    def _pause(elapsed_s: float, *, waits: bool = False) -> float:
        return min(max(_FIRST_LINE_S, _OF_THE_TIME * elapsed_s), _LONGEST_WAITING_S if waits else _LONGEST_S)
