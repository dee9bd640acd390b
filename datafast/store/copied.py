"""A ledger that a run of another machine is writing, read from a copy.

SQLite's write-ahead log has an index in memory that processes of one machine share. On a network file system the other machines see an
old one, or none, and would read pages of several moments as one. So a reader there copies the file and its log, and reads the copy.

Guarantee: the copy is the ledger as of one moment, and the run goes on meanwhile. Two of the locks of SQLite's own protocol see to
that: while a reader holds WAL_READ_LOCK(0) nothing is moved from the log into the file, and while one holds another WAL_READ_LOCK the
log does not begin anew (https://sqlite.org/walformat.html#wal_locks). Cost: the time to copy the ledger over the network, and as much
room in the temporary folder while it is read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datafast.errors import OutputError
from datafast.store.holder import Holder

__all__ = ["connect_to_copy"]

_READ_LOCKS = (123, 127)
"""Bytes of the -shm file: WAL_READ_LOCK(0), and the last one, so that the run finds others for itself."""
_WAIT_S = 20.0  # the run has them for itself while it moves the log into the file
_PAUSE_S = 0.02
_one_at_a_time = threading.Lock()  # closing a file gives back all locks that the process has on it


class _Copy(sqlite3.Connection):
    """A connection to a copy, which goes with it."""

    folder: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        super().close()
        if self.folder is not None:
            self.folder.cleanup()


def connect_to_copy(path: Path, holder: Holder, **options: Any) -> sqlite3.Connection:
    """A read-only connection to a copy of a ledger.

    Raises:
        OutputError: it cannot be copied.
    """
    folder = tempfile.TemporaryDirectory(prefix="datafast-")
    try:
        copy = Path(folder.name) / path.name
        _copy(path, copy, holder)
        db = sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True, factory=_Copy, **options)
    except BaseException:
        folder.cleanup()
        raise
    db.folder = folder
    return db


def _copy(path: Path, copy: Path, holder: Holder) -> None:
    try:
        with _one_at_a_time, _log_kept(path.with_name(f"{path.name}-shm"), path, holder):
            shutil.copyfile(path, copy)
            with contextlib.suppress(FileNotFoundError):  # the run has just ended, and all is in the file
                shutil.copyfile(path.with_name(f"{path.name}-wal"), copy.with_name(f"{copy.name}-wal"))
    except OSError as error:
        raise OutputError(
            f"Cannot copy the ledger {path} into {copy.parent}: {error.strerror}. It is read from a copy because a run on another machine "
            f"writes it ({holder}). Look at it there, or set TMPDIR to a folder with room for it."
        ) from error


@contextlib.contextmanager
def _log_kept(index: Path, path: Path, holder: Holder) -> Iterator[None]:
    """Keeps a run from moving its log into the file."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        descriptor = os.open(index, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # the run has just ended
        yield
        return
    try:
        until = time.monotonic() + _WAIT_S
        for byte in _READ_LOCKS:
            while True:
                try:
                    fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, byte)
                    break
                except (BlockingIOError, PermissionError) as error:
                    if time.monotonic() > until:
                        raise OutputError(
                            f"Cannot read the ledger {path} from this machine now: the run that writes it ({holder}) is busy with it. "
                            f"Try again in a moment, or look at it there."
                        ) from error
                    time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)
