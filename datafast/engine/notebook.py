"""Live progress of a run in a notebook: one table under the cell, renewed twice a second, the report at the end.

Guarantee: outside of a notebook nothing happens and nothing is imported: IPython is looked for among the modules that are there already.
All text is escaped. Cost: a thread that draws twice a second.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from datafast.engine.events import Event, EventCallback, RunEnded
from datafast.engine.open_batches import BATCH_HEADINGS, BatchLine
from datafast.engine.progress import Line, Progress
from datafast.html import paragraph, table

if TYPE_CHECKING:
    from datafast.types import RunReport

__all__ = ["in_notebook", "shown_in_notebook"]

_EVERY_S = 0.5


def in_notebook() -> bool:
    """Whether things can be shown under a cell."""
    return _display() is not None


@contextlib.contextmanager
def shown_in_notebook(
    on_event: EventCallback | None, *, in_flight: Callable[[], dict[str, int]], max_rows: int | None
) -> Iterator[EventCallback | None]:
    """Shows a run as long as the context lasts, if this is a notebook. Gives the callback that takes the run's events.

    Args:
        on_event: who else gets the events.
        in_flight: gives the requests without an answer, by provider.
        max_rows: rows that this run can bring the file to at most; None for all.
    """
    display = _display()
    if display is None:
        yield on_event
        return
    with _Shown(display, Progress(max_rows=max_rows), in_flight) as shown:

        def take(event: Event) -> None:
            shown.take(event)
            if on_event is not None:
                on_event(event)

        yield take


def _display() -> Any:
    """The module that shows things under a cell; None outside of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return sys.modules.get("IPython.display") if getattr(shell, "kernel", None) is not None else None


class _Shown:
    """A display under the cell that runs now, between `with` and its end."""

    def __init__(self, display: Any, progress: Progress, in_flight: Callable[[], dict[str, int]]) -> None:
        self._display = display
        self._progress = progress
        self._in_flight = in_flight
        self._report: RunReport | None = None
        self._over = threading.Event()
        # The output goes to the cell whose context this is.
        run = contextvars.copy_context().run
        self._ticker = threading.Thread(target=run, args=(self._tick,), name="datafast-notebook", daemon=True)

    def __enter__(self) -> _Shown:
        self._handle = self._display.display(self._display.HTML(self._html()), display_id=True)
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._ticker.join()
        self._draw()  # what it came to; nothing if it never began

    def take(self, event: Event) -> None:
        self._progress.take(event)
        if isinstance(event, RunEnded):
            self._report = event.report

    def _tick(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._draw()

    def _draw(self) -> None:
        self._handle.update(self._display.HTML(self._html()))

    def _html(self) -> str:
        progress = self._progress
        if self._report is not None:
            return self._report._repr_html_()
        if not progress.requested:
            return "" if self._over.is_set() else paragraph(progress.before_the_run())
        headings = Line._fields[2:]
        lines = progress.lines(self._in_flight())
        names = ["", progress.unit, *(_HEADINGS.get(name, name) for name in headings)]
        names[2] = f"{progress.unit}/s"
        bar = f'<progress value="{min(progress.written, progress.total)}" max="{max(progress.total, 1)}"></progress>'
        remarks = "".join(map(paragraph, progress.remarks()))
        waiting = progress.batches.lines()
        batches = table([BATCH_HEADINGS[name] for name in BatchLine._fields], waiting) if waiting else ""
        return f"{table(names, lines)}{bar}{paragraph(progress.state())}{batches}{remarks}"


_HEADINGS = {"in_flight": "in flight", "tokens": "tokens/s", "note": ""}
