"""An append-only file to which each raw reply is written at once, before anything else is done with it.

Guarantee: when `record` has returned, the reply survives the death of the process. A record that was cut
short by a crash is recognised by its length and checksum, and ignored with everything after it. One whose
body was damaged later is left out, and those after it are read.

Record: one line of JSON (the header, with the body's `size` and `crc`), the body as raw bytes, a newline.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datafast.store.append_file import AppendFile

__all__ = ["Journal", "read_journal"]


class Journal(AppendFile):
    """The journal of one run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, what="journal")

    def record(self, header: dict[str, Any], body: bytes) -> None:
        """Appends one record.

        Raises:
            OutputWriteError: the record could not be written completely.
        """
        header["size"] = len(body)
        header["crc"] = zlib.crc32(body)
        self.append(b"".join((orjson.dumps(header), b"\n", body, b"\n")))


def read_journal(path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The complete records of a journal in the order in which they were written; none if there is no file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        end = path.stat().st_size
        while line := file.readline():
            try:
                header = orjson.loads(line)
                if not 0 <= header["size"] < end - file.tell():
                    return
                body = file.read(header["size"])
                ends = file.read(1) == b"\n"
                whole = ends and zlib.crc32(body) == header["crc"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                return  # a torn header: the process died while it was written
            if whole:
                yield header, body
            elif not ends:
                return  # a torn body. One that ends where it should is damaged, and those behind it are not.
