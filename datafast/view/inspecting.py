"""The viewer as `dataset.inspect()` opens it: from a script until Ctrl-C, from an interpreter or a notebook until the process ends."""

from __future__ import annotations

import atexit
import html
import sys
import threading
from pathlib import Path
from random import SystemRandom
from typing import Any

from pydantic import BaseModel

from datafast.engine.notebook import in_notebook
from datafast.plain import plain_text
from datafast.store.paths import OutputPaths
from datafast.store.rows import RowSequence
from datafast.view.outputs import Outputs
from datafast.view.serving import ViewerServer
from datafast.view.viewer import Viewer

__all__ = ["show"]

_servers: dict[tuple[Path, Path], ViewerServer] = {}
_lock = threading.Lock()


def show(paths: OutputPaths, row_model: type[BaseModel], *, random: bool = False) -> None:
    """Opens the viewer on an output.

    In a notebook it puts a link below the cell; else it opens the browser. A script waits until Ctrl-C and then goes on.

    Args:
        random: on a row drawn at random.
    """
    outputs = Outputs(paths.rows, ledger=paths.ledger)
    (output,) = outputs.all()
    first = f"/o/{output.id}/rows"
    if random and (count := len(RowSequence(paths.rows, row_model))):
        first = f"{first}/{SystemRandom().randrange(count) + 1}"
    server = _server(paths, outputs)
    if in_notebook():
        _link(server.address_of(first), paths.rows.name)
        return
    is_script = not hasattr(sys, "ps1") and not sys.flags.interactive
    ends = "Ctrl-C ends it, and the script goes on." if is_script else "It ends with this process."
    try:
        sys.stdout.write(f"Viewer of {plain_text(paths.rows.name)}: {server.address_of(first)}\n{ends}\n")
        sys.stdout.flush()
        server.open_browser(first)
        if is_script:
            server.wait()
    except KeyboardInterrupt:
        _end(paths)
        if not is_script:
            raise


def _server(paths: OutputPaths, outputs: Outputs) -> ViewerServer:
    """One server for an output, however often it is looked at."""
    with _lock:
        key = _key(paths)
        if key not in _servers:
            if not _servers:
                atexit.register(_end_all)
            _servers[key] = ViewerServer(Viewer(outputs))
        return _servers[key]


def _key(paths: OutputPaths) -> tuple[Path, Path]:
    return paths.rows.absolute(), paths.ledger.absolute()


def _end(paths: OutputPaths) -> None:
    with _lock:
        server = _servers.pop(_key(paths))
    server.stop()


def _end_all() -> None:
    with _lock:
        servers = list(_servers.values())
        _servers.clear()
    for server in servers:
        server.stop()


def _link(address: str, name: str) -> None:
    """Puts a link below the cell."""
    display: Any = sys.modules["IPython.display"]
    shown = html.escape(plain_text(name))
    display.display(
        display.HTML(
            f'<p><a href="{html.escape(address)}" target="_blank" rel="noopener">Open the viewer of {shown}</a>, on the machine on which '
            f"this notebook runs, as long as it does.</p>"
        )
    )
