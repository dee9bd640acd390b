"""What streams of all wire formats have in common: events in, one reply out.

Guarantee: nothing that a server sends raises, and an event that cannot be read is never left out: then there is no reply. Half a surrogate
pair in one event and its other half in the next are one character. Cost: one orjson parse an event.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from datafast.llms.transport.event_stream import EventStream

__all__ = ["Pieces", "StreamedReply", "add_parts", "differ", "merge", "written"]

_T = TypeVar("_T")

_DONE = b"[DONE]"
_BLANK = b" \t\r\n\xef\xbb\xbf"  # with the bytes of a byte order mark
_LENIENT_BYTES = 2**20
_DEEPEST = 16
_MOST_CHOICES = 256
# Texts that each event repeats or one alone has. All others come in pieces.
_WHOLE = frozenset({"format", "id", "name", "object", "role", "type"})
_PARTED = frozenset({"text", "thinking", "refusal", "output_text", "reasoning.text", "reasoning.summary"})


class Pieces:
    """A text that comes in pieces: joined once, at the end."""

    __slots__ = ("pieces",)

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)

    def __str__(self) -> str:
        return "".join(self.pieces)


class StreamedReply(ABC):
    """A reply as it comes.

    Attributes:
        is_stream: whether the answer turned out to be a stream of events.
        plain: the whole reply as its server answered it in one, where it only called that a stream; b"" where it did not.
        has_content: whether anything of a reply has come, which may have been paid for.
        error: the event with which the server says that it failed; None where it did not.
        is_ended: whether the end mark has come; nothing behind it counts.
    """

    def __init__(self) -> None:
        self._events = EventStream()
        self._unread: bytes | None = None
        self._is_plain: bool | None = None
        self._plain: list[bytes] = []
        self.is_stream = False
        self.has_content = False
        self.error: bytes | None = None
        self.is_ended = False

    def feed(self, data: bytes) -> bool:
        """Takes bytes of the stream. Returns whether nothing more has to come."""
        self.is_stream = True
        if self._is_plain is None and (begun := data.lstrip(_BLANK)):
            self._is_plain = begun.startswith((b"{", b"["))
        if self._is_plain:
            self._plain.append(data)
            return False
        read = self._read
        for event in self._events.feed(data):
            read(event)
        return self.is_ended or self.error is not None

    def finish(self) -> None:
        """Takes what came before the stream ended, however it did."""
        for event in self._events.finish():
            self._read(event)

    @property
    def plain(self) -> bytes:
        return b"".join(self._plain)

    @property
    def is_whole(self) -> bool:
        """Whether this is a whole reply: all of its events could be read, and its end has come."""
        return self._unread is None and (self.is_ended or self._is_finished())

    @property
    def lack(self) -> str:
        """Why it is not whole, in words."""
        if self._unread is None:
            return "the reply is nested too deep" if self.is_whole else "the stream of events ended without an end mark"
        return f"an event of the stream cannot be read: {self._unread[:100].decode('utf-8', errors='replace')}"

    def assembled(self) -> bytes:
        """The reply, as its server would have answered it in one; b"" where it is nested deeper than can be written."""
        return written(self._assembled())

    # -- what a wire format says

    @abstractmethod
    def _take(self, event: dict[str, Any]) -> None:
        """Adds an event, which may be changed, to the reply."""

    def _is_error(self, event: dict[str, Any]) -> bool:
        """Whether an event says that the server failed."""
        return bool(event.get("error")) or event.get("type") == "error"

    def _is_finished(self) -> bool:
        """Whether the reply is whole although no end mark has come."""
        return False

    @abstractmethod
    def _assembled(self) -> dict[str, Any]:
        """The reply, as far as it has come."""

    def _held(self, held: dict[int, _T], index: object, make: Callable[[], _T]) -> _T | None:
        """What has come of the choice with this number; None where there are more than any server gives."""
        number = index if type(index) is int else 0
        if number not in held:
            if len(held) >= _MOST_CHOICES:
                self._unread = self._unread or b"more choices than can be"
                return None
            held[number] = make()
        return held[number]

    # -- events

    def _read(self, data: bytes) -> None:
        if self.is_ended or self.error is not None:
            return
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            self._read_other(data)
            return
        self._accept(value, data)

    def _accept(self, value: Any, data: bytes) -> None:
        if type(value) is not dict:
            self._unread = self._unread or data
        elif self._is_error(value):
            self.error = written(value)
        else:
            self._take(value)

    def _read_other(self, data: bytes) -> None:
        """Takes what is not JSON as it stands."""
        text = data.strip()
        if text == _DONE:
            self.is_ended = True
        elif text:
            values = _leniently(data)
            if not values:
                self._unread = self._unread or data
            for value in values:
                self._accept(value, data)


def written(value: Any) -> bytes:
    """A value as JSON, with the texts that came in pieces; b"" where it is nested deeper than can be written."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError:  # half a surrogate pair, which JSON can hold and orjson does not write
        pass
    try:
        return json.dumps(value, default=str).encode()
    except RecursionError:
        return b""


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two objects differ; those that are nested too deep to be compared count as different."""
    try:
        return one != other
    except RecursionError:
        return True


def _leniently(data: bytes) -> list[Any]:
    """The values of data that orjson refuses: half surrogate pairs, NaN, or several events without empty lines between them."""
    if len(data) > _LENIENT_BYTES:
        return []
    text = data.decode("utf-8", errors="replace")
    for parts in ([text], [line for line in text.split("\n") if line.strip() and line.strip() != _DONE.decode()]):
        try:
            return [json.loads(part) for part in parts]
        except (ValueError, RecursionError):
            continue
    return []


def merge(into: dict[str, Any], more: dict[str, Any], depth: int = 0) -> None:
    """Adds the fields of an event's part to what came before: texts are continued, objects merged, lists extended, the rest replaced."""
    for name, value in more.items():
        mine = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif isinstance(value, str):
            _add_text(into, name, mine, value)
        elif isinstance(value, dict) and isinstance(mine, dict) and depth < _DEEPEST:
            merge(mine, value, depth + 1)
        elif isinstance(value, list) and depth < _DEEPEST:
            held = _as_list(mine)
            add_parts(held, value, depth + 1)
            into[name] = held
        else:
            into[name] = value


def _add_text(into: dict[str, Any], name: str, mine: Any, value: str) -> None:
    if name in _WHOLE:
        into[name] = value or mine or ""
    elif type(mine) is Pieces:
        mine.pieces.append(value)
    elif isinstance(mine, str):
        into[name] = Pieces(mine, value)
    elif isinstance(mine, list):
        add_parts(mine, [{"type": "text", "text": value}] if value else [])
    else:
        into[name] = Pieces(value)


def _as_list(mine: Any) -> list[Any]:
    if isinstance(mine, list):
        return mine
    text = str(mine) if isinstance(mine, (str, Pieces)) else ""
    return [{"type": "text", "text": text}] if text else []


def add_parts(held: list[Any], more: list[Any], depth: int = 0) -> None:
    """Adds parts of a content. Those of a text that follow each other are one."""
    for part in more:
        last = held[-1] if held else None
        if (
            isinstance(part, dict)
            and isinstance(last, dict)
            and part.get("type") == last.get("type")
            and isinstance(kind := part.get("type"), str)
            and kind in _PARTED
            and part.get("index") == last.get("index")
        ):
            merge(last, part, depth)
        else:
            held.append(part)
