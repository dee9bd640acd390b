"""`FILE.reviews`: what people have decided about the rows of a file, one record a line, which is only ever added to.

Guarantee: when `add` has returned, its records are on the disk, also after a power cut. Several processes may write: each takes the lock of
the file (`FILE.reviews-lock`) for the moment of writing, and first reads what others have added. A last line that the death of a process
has cut short was never told to be saved, and goes when the file is next written to; readers leave it out.
Cost: one append and one fsync for the records of an `add`. Memory: about 1 KB a record.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from datafast._util.atomic_write import force
from datafast.errors import OutputError, OutputInUseError, OutputWriteError
from datafast.store.append_file import AppendFile
from datafast.store.review_records import ReviewRecord, read_record

__all__ = ["ReviewFile", "lock_of", "records_of"]

_WAIT_S = 5.0


def lock_of(path: Path) -> Path:
    """The lock of such a file."""
    return path.with_name(f"{path.name}-lock")


class ReviewFile:
    """The decisions about the rows of one file. There need not be any yet.

    Args:
        wait_s: how long others that write are waited for.

    Attributes:
        records: those that were read so far, in the order of the file.
        times_replaced: how often another file was found in its place, or none any more, so that `records` began anew.
    """

    def __init__(self, path: Path, *, wait_s: float = _WAIT_S) -> None:
        self.path = path
        self.records: list[ReviewRecord] = []
        self._wait_s = wait_s
        self.times_replaced = 0
        self._read_to = 0
        self._lines = 0
        self._newest = 0.0
        self._opened: tuple[int, int] | None = None

    def refresh(self) -> Sequence[ReviewRecord]:
        """Reads what was added since, and returns it. Where the file was replaced by another one, all of it is read again.

        Raises:
            OutputError: a line is no record, or the file cannot be read.
        """
        try:
            file = self.path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            self._forget()
            return ()
        except OSError as error:
            raise OutputWriteError(
                f"Cannot read {self.path}: {error.strerror}. Make it readable, or move it away."
            ) from error
        with file:
            found = os.fstat(file.fileno())
            if self._opened != (found.st_dev, found.st_ino) or found.st_size < self._read_to:
                self._forget()
                self._opened = found.st_dev, found.st_ino
            if found.st_size == self._read_to:
                return ()
            file.seek(self._read_to)
            return self._take(file)

    def read(self) -> Sequence[ReviewRecord]:
        """All records, for those who do not write: also that of a last line that is whole but for its newline. Raises as `refresh` does."""
        self.refresh()
        last = self._unended()
        return self.records if last is None else [*self.records, last]

    def _unended(self) -> ReviewRecord | None:
        """The record of a last line without its newline, as editors leave it; None where there is none, or one that was cut short."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self.path.open("rb") as file:
            file.seek(self._read_to)
            tail = file.read()
            if tail.strip():
                with contextlib.suppress(OutputError):
                    return read_record(tail, str(self.path))
        return None

    def _take(self, lines: Iterable[bytes]) -> Sequence[ReviewRecord]:
        first = len(self.records)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            if line.strip():
                record = read_record(line, f"{self.path}: line {self._lines + 1}")
                self._newest = max(self._newest, record.at)
                self.records.append(record)
            self._lines += 1
            self._read_to += len(line)
        return self.records[first:]

    def _forget(self) -> None:
        self.times_replaced += bool(self._read_to)
        self.records, self._read_to, self._lines, self._newest, self._opened = [], 0, 0, 0.0, None

    def add(self, make: Callable[[], Iterable[ReviewRecord]]) -> Sequence[ReviewRecord]:
        """Adds records, and returns them. They are never older than those before them, whatever the clock says.

        Args:
            make: gives them, when all that others have added is in `records`. It may raise; then nothing is written.

        Raises:
            OutputInUseError: another process has been writing for too long.
            OutputError: the file cannot be written or read.
        """
        with self.locked():
            return self._write([self._dated(record) for record in make()])

    def merge(self, records: Iterable[ReviewRecord]) -> Sequence[ReviewRecord]:
        """Adds those of other records that are not there yet, as they are, and returns them; raises as `add` does."""
        with self.locked():
            known = {record.id for record in self.records}
            new: dict[str, ReviewRecord] = {}
            for record in records:
                if record.id not in known:
                    new.setdefault(record.id, record)
            return self._write(list(new.values()))

    def _dated(self, record: ReviewRecord) -> ReviewRecord:
        self._newest = max(self._newest, record.at)
        return record if record.at == self._newest else replace(record, at=self._newest)

    def _write(self, records: Sequence[ReviewRecord]) -> Sequence[ReviewRecord]:
        if not records:
            return ()
        is_new = not self.path.exists()
        with contextlib.closing(AppendFile(self.path, what="decisions")) as file:
            if file.size > self._read_to:
                file.cut(self._read_to)  # a line that was cut short
            file.append(b"".join(record.line() for record in records))
            file.sync()
            if is_new:
                with contextlib.suppress(OSError):  # where the system can
                    force(self.path.parent)
        self.refresh()
        return records

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock, with all that others have added in `records`."""
        lock = FileLock(lock_of(self.path), timeout=self._wait_s, thread_local=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise OutputInUseError(
                f"Another process is writing to {self.path}. Nothing was saved; try again when it has ended."
            ) from None
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write the decisions {self.path}: {error.strerror}. Choose a file in a folder that you may write to."
            ) from error
        try:
            self.refresh()
            self._mend()
            yield
        finally:
            lock.release()

    def _mend(self) -> None:
        """Ends a last line that is whole but for its newline. What is not whole goes with the next write."""
        if self._unended() is None:
            return
        with contextlib.closing(AppendFile(self.path, what="decisions")) as end:
            end.append(b"\n")
            end.sync()
        self.refresh()


def records_of(files: Iterable[Path]) -> list[ReviewRecord]:
    """What several such files say, oldest first. Raises OutputError if one cannot be read."""
    found: list[ReviewRecord] = []
    for path in files:
        found += ReviewFile(path).read()
    return sorted(found, key=lambda record: record.at)
