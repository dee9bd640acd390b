"""Result files of batches: lines of JSON, each about one request.

Guarantee: memory is bounded by one line of the size that is allowed, and all that is read by `most`. A line that is larger, or cannot be
read, is told with the custom id that stands near its beginning or end; the rest is read.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import orjson

from datafast.llms.replies.find import lenient_json
from datafast.llms.transport.faults import AnswerTooLarge

__all__ = ["Line", "read_lines"]

_GZIP = b"\x1f\x8b"  # no line of JSON begins so; some servers compress although nobody asked
_SEARCHED = 64 * 1024
_PIECE = 2**20


class Line(NamedTuple):
    """A line of a result file.

    Attributes:
        data: what it says; None where it is too large or cannot be read.
        custom_id: the request that it is about, '' where that cannot be told.
        raw: the line, or its beginning and end.
        too_large: whether that is why there is no data.
    """

    data: dict[str, Any] | None
    custom_id: str
    raw: bytes
    too_large: bool = False


def read_lines(path: Path, *, max_bytes: int, most: int, id_field: str) -> Iterator[Line]:
    """The lines of a file, empty ones left out.

    Args:
        max_bytes: of a line; `most` of all.
        id_field: the field with the custom id.

    Raises:
        OSError, EOFError, zlib.error: the file is too large, or its compression broken.
    """
    with _opened(path) as file:
        while raw := file.readline(max_bytes + 1):
            if file.tell() > most:
                raise AnswerTooLarge(f"the results are larger than {most / 2**20:,.0f} MiB")
            if len(raw) > max_bytes and not raw.endswith(b"\n"):
                yield _unread(raw[:_SEARCHED] + b" ... " + _rest(file, raw), id_field, too_large=True)
            elif raw := raw.strip():
                yield _line(raw, id_field)


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def _rest(file: IO[bytes], raw: bytes) -> bytes:
    """The end of a line whose beginning was read."""
    end = raw[-_SEARCHED:]
    while not end.endswith(b"\n") and (more := file.readline(_PIECE)):
        end = (end + more)[-_SEARCHED:]
    return end


def _line(raw: bytes, id_field: str) -> Line:
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        data = lenient_json(raw)
    if not isinstance(data, dict):
        return _unread(raw, id_field)
    custom_id = data.get(id_field)
    return Line(data, custom_id if isinstance(custom_id, str) else "", raw)


def _unread(raw: bytes, id_field: str, *, too_large: bool = False) -> Line:
    """What is known of a line without reading it. Quotes within texts are escaped, so the field's name cannot stand in one."""
    found = set(re.findall(rb'"%b"\s*:\s*"([\w-]{1,64})"' % id_field.encode(), raw))
    return Line(None, found.pop().decode() if len(found) == 1 else "", raw, too_large)
