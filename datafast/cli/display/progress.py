"""What a run shows while it works: a live display on a terminal, a line every few seconds anywhere else. All on stderr.

Guarantee: text that comes from a model or a server is shown as text (no markup, control characters escaped), and log
lines go through the same console, so nothing breaks the display. NO_COLOR is honoured.
Cost: an event adds to counters; drawing happens a few times a second in a thread of its own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datafast._util.amounts import duration, money, share
from datafast._util.notify import plain_text
from datafast.engine.events import CallFinished, Event, ItemDone, ItemFailed, PreparationStarted, Retry, RunStarted
from datafast.logger_config import redirect_console

__all__ = ["RunDisplay"]

_LINE_S = 5.0
_REFRESHES_PER_S = 5
_RATE_WINDOW_S = 30.0
_CATEGORIES = 3


class RunDisplay:
    """Shows a run from its events, between `with` and its end.

    Args:
        max_rows: rows that this run can bring the file to at most (`--limit`); None for all.
        quiet: no progress, only what is printed and logged.
    """

    def __init__(self, *, max_rows: int | None = None, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._max_rows = max_rows
        self._quiet = quiet
        self._counts = _Counts()
        self._samples: deque[_Sample] = deque()
        self._live: Live | None = None
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None
        self._is_paused = False

    def __enter__(self) -> Self:
        redirect_console(self._write_log)
        if self.console.is_terminal and not self._quiet:
            self._live = Live(
                get_renderable=self._drawing,
                console=self.console,
                refresh_per_second=_REFRESHES_PER_S,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        elif not self._quiet:
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

    def on_event(self, event: Event) -> None:
        """Takes an event of the run, on the run's thread."""
        self._counts.take(event)

    @property
    def new_rows(self) -> int:
        """Rows added so far."""
        return self._counts.new_rows

    def say(self, message: str) -> None:
        """Prints one line above the display."""
        self.console.print(Text(plain_text(message)))

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

    def _write_log(self, message: str) -> None:
        text = Text(plain_text(message.rstrip("\n")))  # it may quote what a server said
        text.highlight_regex(r"\bWARNING\b", "yellow")
        text.highlight_regex(r"\bERROR\b", "bold red")
        self.console.print(text)

    # -- drawing

    def _rates(self) -> _Rates:
        """What happened a second over the last half minute."""
        counts = self._counts
        now = _Sample(
            time.monotonic(),
            counts.new_rows,
            counts.new_rows + counts.new_filtered + counts.failures.total(),
            counts.input_tokens + counts.output_tokens,
        )
        self._samples.append(now)
        while self._samples[0].at < now.at - _RATE_WINDOW_S:
            self._samples.popleft()
        then = self._samples[0]
        elapsed = now.at - then.at or 1.0  # of one and the same sample
        return _Rates(*((count - before) / elapsed for count, before in zip(now[1:], then[1:], strict=True)))

    def _total(self) -> int:
        requested = self._counts.requested
        return requested if self._max_rows is None else min(requested, self._max_rows)

    def _left(self, ended_per_s: float) -> str:
        left = self._total() - self._counts.written - self._counts.filtered - self._counts.failed
        return f"about {duration(left / ended_per_s)} left" if ended_per_s and left > 0 else ""

    def progress(self) -> str:
        """How the run goes, in one line."""
        counts = self._counts
        rates = self._rates()
        facts = [
            f"{counts.filtered:,} filtered" if counts.filtered else "",
            counts.failed_words(),
            f"{rates.rows:,.1f} rows/s" if rates.rows else "",
            f"{counts.calls:,} calls",
            f"{counts.num_retries:,} retries ({_words(counts.retries)})" if counts.retries else "",
            f"{counts.input_tokens + counts.output_tokens:,} tokens",
            f"{rates.tokens:,.0f} tokens/s" if rates.tokens else "",
            "" if counts.simulated else f"cost {money(counts.cost_usd)}",
            self._left(rates.ended),
        ]
        done = min(counts.written, self._total())
        return ", ".join([f"{done:,}/{self._total():,} rows", *(fact for fact in facts if fact)])

    def _drawing(self) -> Table | Text:
        counts = self._counts
        if not counts.requested:
            return Text(plain_text(self._before_the_run()))
        grid = Table.grid(padding=(0, 1))
        done = min(counts.written, self._total())
        bar = ProgressBar(total=self._total(), completed=done, width=30)
        grid.add_row(bar, Text(plain_text(self.progress())))
        return grid

    def _before_the_run(self) -> str:
        counts = self._counts
        return f"{counts.preparing}: {counts.calls:,} calls" if counts.preparing else "opening the output ..."

    def _tick(self) -> None:
        while not self._over.wait(_LINE_S):
            if self._is_paused:
                continue
            if self._counts.requested:
                self.say(self.progress())
            elif self._counts.preparing:
                self.say(self._before_the_run())


class _Sample(NamedTuple):
    """Counts at a moment (monotonic seconds). Rows have ended that were written, were filtered or have failed."""

    at: float
    rows: int
    ended: int
    tokens: int


class _Rates(NamedTuple):
    """The same a second; 0 before the first ones came."""

    rows: float
    ended: float
    tokens: float


class _Counts:
    """What has happened so far. Written by the run's thread, read by those that draw."""

    def __init__(self) -> None:
        self.requested = 0
        self.written = 0
        self.new_rows = 0
        self.filtered = 0
        self.new_filtered = 0
        self.failed = 0
        self.failed_before = 0
        self.failures: Counter[str] = Counter()
        self.calls = 0
        self.retries: Counter[str] = Counter()
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd: float | None = 0.0
        self.simulated = False
        self.preparing = ""

    def take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.requested, self.written, self.failed = event.requested, event.written, event.failed
                self.filtered, self.failed_before = event.filtered, event.failed
                self.simulated = event.simulated
            case PreparationStarted():
                self.preparing = event.what
            case CallFinished():
                self._take_call(event)
            case ItemDone():
                self.written += event.rows
                self.new_rows += event.rows
                self.filtered += event.filtered
                self.new_filtered += event.filtered
            case ItemFailed():
                self.failed += event.rows
                self.failures[event.category] += event.rows
            case Retry():
                self.retries[event.reason] += 1

    @property
    def num_retries(self) -> int:
        return self.retries.total()

    def failed_words(self) -> str:
        """How many rows have failed and why, and the share that came well in this run; nothing while none has failed."""
        if not self.failed:
            return ""
        earlier = [f"{self.failed_before:,} in earlier runs"] if self.failed_before else []
        why = ", ".join([_words(self.failures), *earlier] if self.failures else earlier)
        now = self.new_rows + self.failures.total()
        good = f", {share(self.new_rows, now)} of this run's rows good" if self.failures else ""
        return f"{self.failed:,} failed ({why}){good}"

    def _take_call(self, event: CallFinished) -> None:
        self.calls += 1
        self.input_tokens += event.input_tokens
        self.output_tokens += event.output_tokens
        self.cost_usd = None if self.cost_usd is None or event.cost_usd is None else self.cost_usd + event.cost_usd


def _words(counts: Counter[str]) -> str:
    """Counts by category, most first, the rarer ones added up."""
    most = counts.copy().most_common()  # the run's thread goes on counting
    shown = [f"{count:,} {name}" for name, count in most[:_CATEGORIES]]
    rest = sum(count for _, count in most[_CATEGORIES:])
    return ", ".join([*shown, f"{rest:,} other"] if rest else shown)
