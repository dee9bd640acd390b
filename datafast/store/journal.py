"""An append-only file to which each raw reply is written at once, before anything else is done with it.

Guarantee: when `record` has returned, the reply survives the death of the process. A record that was cut
short by a crash is recognised by its length and checksum, and ignored. One that was damaged later is left out and told, and those
after it are read.

Record: one line of JSON (the header, with the body's `size` and `crc`), the body as raw bytes, a newline.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from datafast.store.append_file import AppendFile

__all__ = ["Journal", "encoded_record", "read_journal"]

_MARK = b'"crc":'  # in every header


class Journal(AppendFile):
    """The journal of one run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, what="journal")

    def record(self, header: dict[str, Any], body: bytes) -> None:
        """Appends one record.

        Raises:
            OutputWriteError: the record could not be written completely.
        """
        self.append(encoded_record(header, body))


def encoded_record(header: dict[str, Any], body: bytes) -> bytes:
    """One record as it stands in a journal. The header gets the size and the checksum of the body."""
    header["size"] = len(body)
    header["crc"] = zlib.crc32(body)
    return b"".join((orjson.dumps(header), b"\n", body, b"\n"))


def read_journal(path: Path, on_damage: Callable[[], None] | None = None) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The complete records of a journal in the order in which they were written; none if there is no file.

    Args:
        on_damage: called once for each place that is damaged. A record that was cut short at the end is not: the process died then.
            One whose size was damaged looks like it; it is told if whole ones stand behind it, and these are not read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        end = path.stat().st_size
        while file.tell() < end:
            start = file.tell()
            found = _record(file, end)
            if found is not None:
                yield found
                continue
            is_torn = file.tell() == end
            at = _next_record(file, start, end)
            if on_damage is not None and (at is not None or not is_torn):
                on_damage()
            if at is None or is_torn:  # in what was cut short may stand what looks like a record
                return
            file.seek(at)


def _record(file: BinaryIO, end: int) -> tuple[dict[str, Any], bytes] | None:
    """The record that begins here, None if it is not whole. The file then stands behind it, or at its end if it may have been cut short
    there."""
    line = file.readline()
    try:
        header = orjson.loads(line)
        size, crc = header["size"], header["crc"]
        if not 0 <= size < end - file.tell():
            file.seek(end)
            return None
        body = file.read(size)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    whole = file.read(1) == b"\n" and zlib.crc32(body) == crc
    return (header, body) if whole else None


def _next_record(file: BinaryIO, start: int, end: int) -> int | None:
    """Where the next whole record begins after one that is not, at `start`: behind its body, else at the beginning of any line."""
    file.seek(start)
    line = file.readline()
    behind = file.tell()
    with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        after: int = behind + orjson.loads(line)["size"] + 1
        if behind < after < end:
            file.seek(after)
            if _record(file, end) is not None:
                return after
    file.seek(behind)
    while (at := file.tell()) < end:
        if _MARK in (line := file.readline()):
            after = file.tell()
            file.seek(at)
            if _record(file, end) is not None:
                return at
            file.seek(after)
    return None
