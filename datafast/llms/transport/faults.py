"""What can keep an answer from coming, beside what the sockets say themselves. All of it is an OSError."""

from __future__ import annotations

__all__ = ["AnswerTooLarge", "ConnectTimeout", "ProxyFault", "QuietTimeout"]


class ConnectTimeout(TimeoutError):
    """No connection came about in time; nothing was sent."""


class QuietTimeout(TimeoutError):
    """Nothing came for too long of an answer that comes as a stream."""


class ProxyFault(ConnectionRefusedError):
    """The proxy cannot be reached, or does not let the connection through; nothing was sent."""

    def __init__(self, proxy: str, reason: str) -> None:
        super().__init__(f"{proxy}: {reason}")
        self.proxy = proxy


class AnswerTooLarge(ConnectionError):
    """An answer, or its head, is larger than is read."""
