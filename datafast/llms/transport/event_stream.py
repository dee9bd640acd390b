"""Reads a stream of server-sent events, as the HTML standard describes it, from bytes that are cut anywhere.

Guarantee: the same events however the bytes are cut, also within a character or a line end. Lines end in CRLF, LF or CR; comments, ids and
retry times are skipped, a byte order mark is too, and the lines of one event's data are joined by LF. Cost: linear.
Read although the standard drops it: a last event without the empty line behind it.
"""

from __future__ import annotations

__all__ = ["EventStream", "is_event_stream"]

_BOM = b"\xef\xbb\xbf"
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
_MOST_LINES = 100_000
_DATA, _END = b"data: ", b"\n\n"


def is_event_stream(body: bytes) -> bool:
    """Whether a body begins like a stream of events, whatever its server calls it."""
    return body.removeprefix(_BOM).lstrip().startswith(_BEGINNINGS)


class EventStream:
    """Takes the bytes of a stream as they come."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0  # how much of the rest holds no empty line
        self._has_begun = False
        self._ended_in_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of each event that these bytes complete; an event without data is none."""
        if not self._has_begun:
            data = self._without_mark(data)
        if self._ended_in_cr and data:
            self._ended_in_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._ended_in_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        rest = self._rest
        if not rest and data.startswith(_DATA) and data.endswith(_END):
            events = data[len(_DATA) : -len(_END)].split(_END + _DATA)
            if data.count(b"\n") == len(_END) * len(events):
                return events  # nearly every write of nearly every server: whole events of one line
        rest += data
        end = rest.rfind(_END, max(0, self._searched - 1))
        if end < 0:
            self._searched = len(rest)
            return []
        blocks = bytes(rest[:end]).split(_END)
        del rest[: end + len(_END)]
        self._searched = len(rest)
        return [found for block in blocks if (found := _data_of(block)) is not None]

    def finish(self) -> list[bytes]:
        """The data of the last event, where the stream ended in the middle of it."""
        found = _data_of(bytes(self._rest))
        self._rest.clear()
        self._searched = 0
        return [] if found is None else [found]

    def _without_mark(self, data: bytes) -> bytes:
        data = bytes(self._rest) + data
        self._rest.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._rest += data  # it may be the beginning of a mark
            return b""
        self._has_begun = True
        return data.removeprefix(_BOM)


def _data_of(block: bytes) -> bytes | None:
    """The data of the lines between two empty ones; None where there is none."""
    if block.count(b"\n") > _MOST_LINES:
        return block  # which nobody reads as anything
    lines = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines) if lines else None
