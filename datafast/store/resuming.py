"""How a run is gone on with, as its ledger knows it."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datafast.store.ledger import Ledger

__all__ = ["resume_command"]


def resume_command(ledger: Ledger) -> str | None:
    """The command that goes on with an output, also from another folder; None where a script made it."""
    command, directory = ledger.meta("command") or None, ledger.meta("directory") or None
    if command is None:
        return None
    with contextlib.suppress(OSError):  # a working directory that was deleted
        if directory and Path(directory) != Path.cwd():
            return f"cd {shlex.quote(directory)} && {command}"
    return str(command)
