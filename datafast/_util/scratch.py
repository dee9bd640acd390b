"""Folders for files that nobody has named a place for.

A folder stays on the disk until it is told to go: at once, with the end of the process, or with an object. So what was paid for outlives
whatever goes wrong. A folder with a name is the same one in every process of this user, and of nobody else.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import weakref
from pathlib import Path

__all__ = ["Scratch"]


class Scratch:
    """A folder below the system's for temporary files.

    Args:
        name: the same folder for the same name; a new one where none is given, or where the system's is not safe.

    Attributes:
        folder: where it is. A named one may not be there yet, or hold what an earlier process has left.
    """

    def __init__(self, name: str | None = None) -> None:
        root = _own_root() if name is not None else None
        self.folder = root / name if root is not None and name is not None else _new()
        self._goes_at_exit = False

    def remove(self) -> None:
        """Removes it now."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_at_exit(self) -> None:
        """Removes it when the process ends, unless `keep` is called before."""
        if not self._goes_at_exit:
            atexit.register(self.remove)
            self._goes_at_exit = True

    def keep(self) -> None:
        """Leaves it on the disk when the process ends."""
        atexit.unregister(self.remove)
        self._goes_at_exit = False

    def remove_with(self, owner: object) -> None:
        """Removes it when nobody uses `owner` any more."""
        # Not a TemporaryDirectory, which warns when it goes with its owner, as this one is meant to.
        weakref.finalize(owner, shutil.rmtree, self.folder, ignore_errors=True)


def _new() -> Path:
    return Path(tempfile.mkdtemp(prefix="datafast-"))


def _own_root() -> Path | None:
    """A folder that belongs to this user alone; None where there is none to be had."""
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    root = Path(tempfile.gettempdir()) / f"datafast-{user}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        found = root.lstat()
    except OSError:
        return None
    foreign = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
    return None if not stat.S_ISDIR(found.st_mode) or foreign else root  # somebody else made it, who could read along
