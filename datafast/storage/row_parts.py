"""The JSONL in parts: cutting it, sealing what is new, putting small parts together.

A part holds whole lines and is never changed. What is new is sealed at each upload, so there are many small parts at first; eight of the
same level that stand behind each other become one of the next, up to some 16 MB. So each byte is uploaded a few times at most, and
the number of parts stays small.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from datafast.errors import OutputError
from datafast.storage.manifest import RowsPart
from datafast.storage.objects import Objects

__all__ = ["JSONL", "Codec", "Jsonl", "put_together", "sealed", "still_true"]

MOST = 16 << 20
_TOGETHER = 8
_READ = 1 << 20


class Codec(Protocol):
    """What the object of a part looks like. `decode` gives back the very bytes."""

    suffix: str

    def encode(self, lines: bytes) -> bytes: ...

    def decode(self, data: bytes) -> bytes: ...


class Jsonl:
    """The lines themselves."""

    suffix = ".jsonl"

    def encode(self, lines: bytes) -> bytes:
        return lines

    def decode(self, data: bytes) -> bytes:
        return data


JSONL = Jsonl()


def still_true(file: BinaryIO, parts: Sequence[RowsPart], end: int) -> list[RowsPart]:
    """The first of these parts that are in a file as they were, within its first `end` bytes."""
    found: list[RowsPart] = []
    start = 0
    for part in parts:
        if start + part.bytes > end or _hash(file, start, part.bytes) != part.sha256:
            break
        found.append(part)
        start += part.bytes
    return found


def sealed(objects: Objects, file: BinaryIO, start: int, end: int, codec: Codec) -> Iterator[RowsPart]:
    """Uploads the bytes of a file from `start` to `end`, which are whole lines, as new parts."""
    while start < end:
        lines = _lines(file, start, end)
        yield _put(objects, lines, codec, level=0)
        start += len(lines)


def put_together(objects: Objects, file: BinaryIO, parts: list[RowsPart], codec: Codec) -> list[RowsPart]:
    """The parts with small ones at the end put together, as long as there are enough of the same level."""
    while True:
        last = parts[-_TOGETHER:]
        size = sum(part.bytes for part in last)
        if len(last) < _TOGETHER or len({part.level for part in last}) > 1 or size > MOST:
            return parts
        start = sum(part.bytes for part in parts[:-_TOGETHER])
        file.seek(start)
        lines = file.read(size)
        if len(lines) != size:
            raise OutputError("The file of rows was cut while it was uploaded.")
        parts = [*parts[:-_TOGETHER], _put(objects, lines, codec, level=last[0].level + 1)]


def _put(objects: Objects, lines: bytes, codec: Codec, *, level: int) -> RowsPart:
    data = codec.encode(lines)
    digest = hashlib.sha256(lines).hexdigest()
    # A name of its own each time: nobody else ever writes it, and it says nothing of its place.
    name = f"rows/{digest[:16]}-{secrets.token_hex(4)}{codec.suffix}"
    objects.put(name, data)
    return RowsPart(name, len(lines), lines.count(b"\n"), digest, len(data), level)


def _lines(file: BinaryIO, start: int, end: int) -> bytes:
    """Whole lines from a place on, as many as make a part."""
    file.seek(start)
    data = file.read(min(end - start, MOST))
    cut = data.rfind(b"\n") + 1
    if start + len(data) < end and cut:
        return data[:cut]
    while start + len(data) < end and not cut:
        more = file.readline()
        data += more
        cut = len(data)
    if not data:
        raise OutputError("The file of rows was cut while it was uploaded.")
    return data[: end - start]


def _hash(file: BinaryIO, start: int, size: int) -> str:
    digest = hashlib.sha256()
    file.seek(start, os.SEEK_SET)
    while size > 0 and (data := file.read(min(size, _READ))):
        digest.update(data)
        size -= len(data)
    return "" if size else digest.hexdigest()
