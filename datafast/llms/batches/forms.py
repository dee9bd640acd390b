"""Bodies of requests that carry a file, piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["Form", "pieces_of"]

_PIECE = 256 * 1024


def pieces_of(path: Path, *, start: int = 0) -> Iterator[bytes]:
    """A file from a place on, in pieces."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(_PIECE):
            yield piece


class Form:
    """A form with text fields and one file, as multipart/form-data (RFC 7578)."""

    def __init__(self, fields: Mapping[str, str], path: Path, *, filename: str) -> None:
        boundary = f"datafast-{secrets.token_hex(16)}"
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        self._path = path
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n')
        parts.append("Content-Type: application/jsonl\r\n\r\n")
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self._head) + self._path.stat().st_size + len(self._tail)

    def pieces(self) -> Iterator[bytes]:
        yield self._head
        yield from pieces_of(self._path)
        yield self._tail
