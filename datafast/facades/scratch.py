"""Where the files of a dataset lie that was given no output file: a folder that goes when the process ends.

A run that ended early leaves its folder, and the same schema finds it again, in this process or another: what was paid for is not
bought twice. Limits: another schema, seed or provider is another folder; give an output file to change a schema and keep its cells.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path

from datafast.store.lock import is_running
from datafast.store.paths import OutputPaths

__all__ = ["Scratch"]


class Scratch:
    """A folder for what has this name. It is removed at the end of the process unless a run in it ended early."""

    def __init__(self, name: str) -> None:
        self.folder = _own_folder(name)
        if is_running(OutputPaths.of(self.output_file)):
            self.folder = Path(tempfile.mkdtemp(prefix="datafast-"))
        self._registered = False

    @property
    def output_file(self) -> Path:
        return self.folder / "rows.jsonl"

    def keep(self) -> None:
        """A run began, or ended early: the folder must stay."""
        atexit.unregister(self._remove)
        self._registered = False

    def finished(self) -> None:
        """A run came to its end: the folder may go with the process."""
        if not self._registered:
            atexit.register(self._remove)
            self._registered = True

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _own_folder(name: str) -> Path:
    """A folder below the system's for temporary files that belongs to this user alone."""
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    root = Path(tempfile.gettempdir()) / f"datafast-{user}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        found = root.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="datafast-"))
    foreign = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
    if not stat.S_ISDIR(found.st_mode) or foreign:
        return Path(tempfile.mkdtemp(prefix="datafast-"))  # somebody else made it, who could read along
    return root / name
