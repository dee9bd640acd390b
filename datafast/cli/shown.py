"""`generate --view`: a run is shown in the browser while it works, by a viewer in a thread of this process.

In a terminal its pages stay until Ctrl-C, so that they can be read in peace. Anywhere else nobody would press it: they end with the run, as
soon as those that are open know how it has ended.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from datafast.cli.display.question import interruptible
from datafast.engine.control import RunControl
from datafast.engine.events import Event, EventCallback
from datafast.engine.live import LiveRun
from datafast.view.outputs import Outputs
from datafast.view.serving import ViewerServer
from datafast.view.viewer import Viewer

__all__ = ["ShownRun"]

_END_S = 3.0  # for pages to learn of the end


class ShownRun:
    """A run that is shown, between `with` and its end.

    Args:
        say: prints a line on stderr.
        opens: open a browser.
        max_rows: rows that the run can bring the file to at most (`--limit`); None for all.

    Attributes:
        control: of the run; its pages use it.
        live: takes the events of the run.
    """

    def __init__(
        self, file: Path, ledger: Path | None, *, say: Callable[[str], None], opens: bool, max_rows: int | None = None
    ) -> None:
        self.control = RunControl()
        self.live = LiveRun(self.control, max_rows=max_rows)
        self._say = say
        self._opens = opens
        outputs = Outputs(file, ledger=ledger, is_coming=True)
        self._viewer = Viewer(outputs, permits=["control"], run=self.live)

    def __enter__(self) -> Self:
        self._server = ViewerServer(self._viewer)
        self._say(f"{'viewing':<10}{self._server.address}")
        if self._opens and not self._server.open_browser():
            self._say("There is no browser here. Open the address in one.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.live.end(None, str(error) or type(error).__name__)
        until = time.monotonic() + _END_S
        while self._viewer.watchers and time.monotonic() < until:
            time.sleep(0.05)
        self._server.stop()

    def also(self, on_event: EventCallback) -> EventCallback:
        """A callback that takes each event here and hands it on."""

        def both(event: Event) -> None:
            self.live.take(event)
            on_event(event)

        return both

    def stay(self) -> None:
        """In a terminal, keeps the pages until Ctrl-C."""
        if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
            return
        try:
            with interruptible():
                self._say("The pages stay. Ctrl-C ends the viewer.")
                self._server.wait()
        except KeyboardInterrupt:
            self._say("The viewer has ended.")
