"""A batch that is being gathered: its requests go into a file, and what the ledger has to know of them is kept until it is announced."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from datafast.engine.batches.waiting import Waiters
from datafast.store.append_file import AppendFile
from datafast.store.batches import Gathered

if TYPE_CHECKING:
    from datafast.engine.batches.service import Service

__all__ = ["Gathering", "custom_id"]

_MOST_CALLS = 50_000  # whatever a service takes: the calls of a batch that is being gathered are in memory
_WRITE_AT = 1 << 20


def custom_id(tag: str, number: int) -> str:
    """The name of a request in its batch."""
    return f"{tag}-{number}"


class Gathering:
    """A batch that is being gathered for one service."""

    def __init__(self, service: Service, path: Path) -> None:
        self.service = service
        self.tag = secrets.token_hex(12)
        self.waiters = Waiters()
        self._calls: dict[tuple[int, bytes], Gathered] = {}
        path.unlink(missing_ok=True)
        self._file = AppendFile(path, what="file of a batch")
        self._buffer: list[bytes] = []
        self._buffered = 0
        self.size = 0

    def __contains__(self, call: tuple[int, bytes]) -> bool:
        """Whether a call, as the id of its item and its key, is in it."""
        return call in self._calls

    @property
    def calls(self) -> Collection[Gathered]:
        return self._calls.values()

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def next_id(self) -> str:
        """The name of the next request."""
        return custom_id(self.tag, len(self._calls))

    def has_room_for(self, line: bytes) -> bool:
        limits = self.service.backend.limits
        return len(self._calls) < min(limits.requests, _MOST_CALLS) and self.size + len(line) + 1 <= limits.size

    def add(self, call: Gathered, line: bytes) -> None:
        """Adds a request as it stands in the upload.

        Raises:
            OutputWriteError: there is no room for it on the disk.
        """
        self._calls[call.item, call.key] = call
        self._buffer += (line, b"\n")
        self._buffered += len(line) + 1
        self.size += len(line) + 1
        if self._buffered >= _WRITE_AT:
            self._write()

    def _write(self) -> None:
        self._file.append(b"".join(self._buffer))
        self._buffer, self._buffered = [], 0

    def finish(self) -> None:
        """Writes the rest into the file, and closes it."""
        self._write()
        self._file.close()

    def drop(self) -> None:
        """Removes it. Its calls were not sent."""
        self._file.close()
        self.path.unlink(missing_ok=True)
