"""A file that only grows, by whole records. If it cannot be written, `OutputWriteError` is raised."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from datafast.errors import OutputWriteError
from datafast.store.in_place import altered, leads_to

__all__ = ["AppendFile"]


class AppendFile:
    """An append-only descriptor. One writer; calls are synchronous and take microseconds.

    When `append` has returned, its data survives the death of the process; after `sync` also a power cut.
    """

    def __init__(self, path: Path, *, what: str, keeps_hash: bool = False) -> None:
        self.path = path
        self._what = what
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise self._error(error) from error
        self.size = os.fstat(self._fd).st_size
        self._hash = hashlib.sha256() if keeps_hash and not self.size else None

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of all that was appended, if it was empty when it was opened and is asked to keep one."""
        return None if self._hash is None else self._hash.hexdigest()

    def append(self, data: bytes) -> None:
        """Appends all of `data`, in one write if the system allows it.

        Raises:
            OutputWriteError: not everything could be written (the disk is full, for instance).
        """
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
        except OSError as error:
            self.cut(self.size)  # a part of a record would hide every record after it
            raise self._error(error) from error
        self.size += len(data)
        if self._hash is not None:
            self._hash.update(data)

    def cut(self, size: int) -> None:
        """Removes the bytes beyond `size` after an error. If even this fails, the next start repairs the file."""
        self._hash = None
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, size)
            self.size = size

    def sync(self) -> None:
        """Forces the appended data to the disk."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._error(error) from error

    @property
    def is_in_place(self) -> bool:
        """Whether its path still leads to it."""
        return leads_to(self.path, os.fstat(self._fd))

    @property
    def is_cut(self) -> bool:
        """Whether it is shorter than what was appended."""
        return os.fstat(self._fd).st_size < self.size

    def require_unaltered(self) -> None:
        """Raises OutputWriteError if it is not as long as what was appended. One look at the disk."""
        found = os.fstat(self._fd).st_size
        if found != self.size:
            raise altered(self.path, found=found, expected=self.size)

    def clear(self) -> None:
        """Empties the file."""
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            raise self._error(error) from error
        self.size = 0

    def close(self) -> None:
        """Closes the file. Does nothing the second time."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _error(self, error: OSError) -> OutputWriteError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return OutputWriteError(
                f"There is no room on the disk for the {self._what} {self.path}: {error.strerror}. Free some space and start again. "
                f"Nothing that was paid for is lost."
            )
        return OutputWriteError(
            f"Cannot write the {self._what} {self.path}: {error.strerror}. "
            f"Check its folder, its permissions and the space on its disk."
        )
