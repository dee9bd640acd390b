"""One HTTP/1.1 connection: a request is written, its answer is parsed by llhttp (through httptools) and kept within limits.

Guarantee: an answer is whole or it is an OSError. Its head has at most 64 KiB, its body at most `max_bytes`, as it came and
decompressed; what decompresses to more than a hundred times its size may have 4 MiB.
Read although the standard forbids it: lines that end in LF alone, folded headers, spaces after chunk sizes, deflate without its
zlib header.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple, cast

from httptools import HttpParserError, HttpResponseParser

from datafast.llms.transport.faults import AnswerTooLarge

__all__ = ["Connection", "HttpAnswer"]

_NOTHING = memoryview(b"")
_HEAD_BYTES = 64 * 1024
_RATIO, _ANY_RATIO_BYTES = 100, 4 * 2**20
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
# Less than the five seconds after which many servers close idle connections, so that none closes under a request.
_KEEPALIVE_S, _LONGEST_KEEPALIVE_S = 4.0, 60.0
_KEEPALIVE_TOLD = re.compile(rb"(?i)(?:^|[\s,;])timeout\s*=\s*\"?(\d{1,9})")
_EVENTS = b"text/event-stream"
_LINGER_S = 2.0  # that a server may leave its answer open behind the end mark
_MISDIRECTED = 421  # this connection leads to a server that will never answer; another one may


class HttpAnswer(NamedTuple):
    """A whole answer."""

    status: int
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By names in lower case; of a repeated one the last value counts."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}


class Connection(asyncio.BufferedProtocol):
    """One connection: one exchange at a time.

    Attributes:
        usable: whether another request may be sent; not later than `keepalive_s` after `idle_since` (monotonic seconds).
        was_heard: whether anything came since the newest request was sent.
        heard_at: loop time of the newest bytes of an answer that may be a stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview, *, max_bytes: int) -> None:
        self._loop = loop
        self._buffer = buffer
        self._max_bytes = max_bytes
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[HttpAnswer] | None = None
        self.idle_since = 0.0
        self.keepalive_s = _KEEPALIVE_S
        self.was_heard = False
        self.deadline = 0.0
        self.heard_at = 0.0
        self.usable = True
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_optional_lf_after_cr=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._begin()

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._in_body = False
        self._length_is_told = False
        self._is_stream = False
        self._encoding = b""
        self._read, self._readable = 0, _HEAD_BYTES

    def send(
        self,
        data: bytes,
        *,
        deadline: float,
        ends_with_head: bool = False,
        take: Callable[[bytes], bool] | None = None,
        takes: bytes = _EVENTS,
    ) -> asyncio.Future[HttpAnswer]:
        """Sends a request.

        Args:
            deadline: loop time at which the answer must be whole.
            ends_with_head: its answer has no body whatever its head says (CONNECT).
            take: given the body of a success that is a stream of events as it comes, which then is not in the answer; first of all
                b"". Returns whether nothing more has to come.
            takes: what the content type of such a body begins with; b"" for any body, as it comes: compressed, where it is.
        """
        self.deadline = deadline
        self.was_heard = False
        self._take, self._takes = take, takes
        if take is not None:
            self.heard_at = self._loop.time()
        self._ends_with_head = ends_with_head
        self.answer = self._loop.create_future()
        cast("asyncio.Transport", self.transport).write(data)
        return self.answer

    async def write(self, data: bytes) -> None:
        """Sends a piece of the body of a request that was begun by `send`, and waits until more can be taken, or its answer has come."""
        cast("asyncio.Transport", self.transport).write(data)
        await self._may_write.wait()

    def abort(self) -> None:
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer  # shared by all connections: what is read is parsed before anything else is read

    def buffer_updated(self, nbytes: int) -> None:
        if self.answer is None or self.answer.done():
            self.abort()  # bytes that nobody has asked for
            return
        self.was_heard = True
        self._read += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except HttpParserError as error:
            self._fail(ConnectionResetError(f"the answer is not HTTP: {error}"))
            self.abort()
        if self._take is not None:
            self.heard_at = self._loop.time()
            if self._is_stream:
                self._hand_on()
        if self._read > self._readable:
            self._fail(self._too_large())
            self.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._buffer = (
            _NOTHING  # the parser and we hold each other, and the buffer would stay until cycles are looked for
        )
        if self._in_body and not self._length_is_told:
            self.on_message_complete()  # such a body ends where the connection does
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection was closed"))

    def _hand_on(self) -> None:
        """Gives the body that has come so far to whoever reads it as a stream."""
        data = b"".join(self._body)
        self._body.clear()
        if self._take is not None and self._take(data):
            self.deadline = min(self.deadline, self._loop.time() + _LINGER_S)

    def _too_large(self) -> AnswerTooLarge:
        if not self._in_body:
            return AnswerTooLarge(f"the answer's head is larger than {_HEAD_BYTES // 1024} KiB")
        return AnswerTooLarge(f"the answer is larger than {self._max_bytes / 2**20:g} MiB")

    def _fail(self, error: OSError) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    # -- httptools' callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        lower = name.lower()
        if lower in _LENGTHS:
            self._length_is_told = True
        elif lower == b"content-encoding":
            self._encoding = value.strip().lower()
        elif lower == b"keep-alive" and (told := _KEEPALIVE_TOLD.search(value)):
            self.keepalive_s = min(int(told[1]) - 1.0, _LONGEST_KEEPALIVE_S)

    def on_headers_complete(self) -> None:
        # What was read may go beyond the head, so its size is counted where it may matter alone.
        if (
            self._read > _HEAD_BYTES
            and sum(map(len, (part for header in self._headers for part in header))) > _HEAD_BYTES
        ):
            return  # what was read is still more than is readable of a head
        self._in_body = True
        self._readable = _HEAD_BYTES + self._max_bytes
        if (
            self._take is not None
            and 200 <= self._parser.get_status_code() < 300
            and not (self._encoding and self._takes)
        ):
            types = [value for name, value in self._headers if name.lower() == b"content-type"]
            self._is_stream = (types[-1].strip().lower() if types else b"").startswith(self._takes)
        if self._ends_with_head:
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._read > self._readable:
            return  # told when the parser is done
        if status < 200:  # an interim answer; the real one follows
            self._begin()
            return
        if self._is_stream:
            self._hand_on()
        self.usable = self.usable and self._length_is_told and self._parser.should_keep_alive()
        self.usable = self.usable and status != _MISDIRECTED
        headers, encoding = self._headers, b"" if self._is_stream else self._encoding
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._begin()
        if self.answer is None or self.answer.done():
            return
        try:
            self.answer.set_result(HttpAnswer(status, headers, _plain(encoding, body, self._max_bytes)))
        except AnswerTooLarge as error:
            self._fail(error)
        except zlib.error as error:
            self._fail(ConnectionResetError(f"the answer's compression is broken: {error}"))


def _plain(encoding: bytes, body: bytes, max_bytes: int) -> bytes:
    """The body without compression; we ask for none, but some gateways know better."""
    if encoding in {b"gzip", b"x-gzip"}:
        return _decompressed(body, 31, max_bytes)
    if encoding != b"deflate":
        return body
    try:
        return _decompressed(body, 15, max_bytes)
    except zlib.error:
        return _decompressed(body, -15, max_bytes)  # without the header that the standard wants


def _decompressed(body: bytes, wbits: int, max_bytes: int) -> bytes:
    most = min(max_bytes, max(_ANY_RATIO_BYTES, _RATIO * len(body)))
    stream = zlib.decompressobj(wbits)
    plain = stream.decompress(body, most + 1)
    if len(plain) > most:
        raise AnswerTooLarge(f"{len(body):,} bytes decompress to more than {most / 2**20:g} MiB")
    if not stream.eof:
        raise zlib.error("it ends too early")
    return plain
