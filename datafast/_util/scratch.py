"""Folders for files that the user has not named a place for.

A folder stays on the disk until it is removed: at once, at the end of a process that ends well, or with an object. So an error loses
nothing that was paid for. A folder with a name is the same in every process of this user, and no other user's.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sys
import tempfile
import weakref
from pathlib import Path

from datafast._util.notify import warn_user

__all__ = ["Scratch"]


class Scratch:
    """A folder below the system's folder for temporary files.

    Args:
        name: the same name gives the same folder; a new folder if there is no name, or if the system's folder is not safe.

    Attributes:
        name: as given.
        folder: its path. A named folder may not exist yet, or may hold files of an earlier process.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        root = _own_root() if name is not None else None
        self.folder = root / name if root is not None and name is not None else _new()
        self._goes_at_exit = False

    def remove(self) -> None:
        """Removes it now."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_at_exit(self) -> None:
        """Removes it when this process ends, unless a script ends with an error, or `keep` is called before."""
        if not self._goes_at_exit:
            self._process = os.getpid()
            atexit.register(self._at_exit)
            self._goes_at_exit = True

    def keep(self) -> None:
        """Leaves it on the disk when the process ends."""
        atexit.unregister(self._at_exit)
        self._goes_at_exit = False

    def _at_exit(self) -> None:
        if os.getpid() != self._process:
            return  # a forked child ends before its parent, which goes on using it
        if _has_crashed() and self.folder.exists():
            warn_user(
                f"The script ended with an error. Its rows are kept in {self.folder}: run again, it gets them without a call."
            )
            return
        self.remove()

    def remove_with(self, owner: object) -> None:
        """Removes it when `owner` is no longer used."""
        # Not a TemporaryDirectory, which warns when it is removed with its owner.
        weakref.finalize(owner, _remove_of, os.getpid(), self.folder)


def _remove_of(process: int, folder: Path) -> None:
    if os.getpid() == process:  # a forked child ends before its parent, which goes on using it
        shutil.rmtree(folder, ignore_errors=True)


def _has_crashed() -> bool:
    """Whether the process ends with an error that nobody caught. In a session at a prompt, errors are no end."""
    return not hasattr(sys, "ps1") and (hasattr(sys, "last_exc") or hasattr(sys, "last_value"))


def _new() -> Path:
    return Path(tempfile.mkdtemp(prefix="datafast-"))


def _own_root() -> Path | None:
    """A folder that belongs only to this user; None if it cannot be made."""
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    root = Path(tempfile.gettempdir()) / f"datafast-{user}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        found = root.lstat()
    except OSError:
        return None
    foreign = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077)
    return None if not stat.S_ISDIR(found.st_mode) or foreign else root  # another user made it and could read the files
