"""The SQLite file of a ledger: opening it, transactions, and the errors when it cannot be read or written."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from datafast.errors import OutputError, OutputWriteError
from datafast.store.copied import connect_to_copy
from datafast.store.lock import written_elsewhere

__all__ = ["Transaction", "address_of", "cannot_open", "connect", "unreadable", "unwritable"]

_LEAST_ROOM = 64 * 1024  # SQLite says 'disk I/O error' when its side files find no room
_BUSY_S = 5.0  # another program may hold the file for a moment: a backup, `datafast status`
_PRIMARY_CODE = 0xFF  # the other bits of an error code only give details
_OF_A_FULL_DISK = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})


def connect(path: Path, *, full_durability: bool, read_only: bool) -> sqlite3.Connection:
    """Opens the file. Raises sqlite3.DatabaseError, which `cannot_open` turns into an error for the user."""
    if read_only:
        if (holder := written_elsewhere(_lock_of(path))) is not None:
            return connect_to_copy(path, holder, check_same_thread=False, timeout=_BUSY_S)
        return sqlite3.connect(address_of(path), uri=True, check_same_thread=False, timeout=_BUSY_S)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={'FULL' if full_durability else 'NORMAL'}")
    except BaseException:  # the file must not stay open after any error
        db.close()
        raise
    return db


def address_of(path: Path) -> str:
    """What opens the file for reading alone."""
    # Without a write-ahead log nobody is writing, so the file can be read without making side files.
    still = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    return f"{path.absolute().as_uri()}?mode=ro{still}"


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def cannot_open(path: Path, error: sqlite3.DatabaseError, *, read_only: bool) -> OutputError:
    """The error for a ledger that cannot be opened."""
    if read_only or not isinstance(error, sqlite3.OperationalError):
        return unreadable(path, error)
    if _code_of(error) == sqlite3.SQLITE_IOERR or _without_room(path, error):
        return unreadable(path, error)
    return OutputError(
        f"Cannot open the ledger {path}: {error}. Check that its folder exists and is writable. On a network "
        f"drive, put it on a local disk with `run: {{ledger: PATH}}`."
    )


def unreadable(path: Path, error: sqlite3.Error) -> OutputError:
    """The error for a file that cannot be read: it is damaged, or SQLite finds no room to work in."""
    if _without_room(path, error):
        return unwritable(path, error)
    if (holder := written_elsewhere(_lock_of(path))) is not None:
        return OutputError(
            f"Cannot read the ledger {path} from this machine now: {error}. A run on another machine is writing it ({holder}). Try again "
            f"in a moment, or look at it there."
        )
    return OutputError(
        f"Cannot read the ledger {path}: {error}. Restore the file from a backup, or start over with --fresh (the old files are kept "
        f"aside, and every row is bought again)."
    )


def unwritable(path: Path, error: sqlite3.Error) -> OutputWriteError:
    """The error for a file that cannot be written."""
    if _without_room(path, error):
        return OutputWriteError(
            f"There is no room on the disk for the ledger {path}: {error}. Free some space and start again. "
            f"Nothing that was paid for is lost."
        )
    return OutputWriteError(
        f"Cannot write the ledger {path}: {error}. "
        f"Check the space on its disk, and whether another program has the file open. Then start again."
    )


def _without_room(path: Path, error: sqlite3.Error) -> bool:
    code = _code_of(error)
    if code == sqlite3.SQLITE_FULL:
        return True
    with contextlib.suppress(OSError):
        return code in _OF_A_FULL_DISK and shutil.disk_usage(path.parent).free < _LEAST_ROOM
    return False


def _code_of(error: sqlite3.Error) -> int:
    """The primary code of an error of SQLite; 0 for one of ours."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE


class Transaction:
    """Commits at the end of the block, rolls back on any error. Errors of SQLite become an OutputWriteError."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise unwritable(self._path, error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
        except sqlite3.Error as failed:
            self._roll_back()
            raise unwritable(self._path, failed) from failed
        if error is not None:
            self._roll_back()
        if isinstance(error, sqlite3.Error):
            raise unwritable(self._path, error) from error

    def _roll_back(self) -> None:
        # SQLite rolls back by itself after some errors. If it cannot be done now, it is done when the file is opened again.
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
