"""Which requests are marked for a provider's prompt cache, and in which order they go.

A prefix that comes once is not marked, because writing it to the cache costs more than sending it. From the second time on it is; the first
of the marked requests goes ahead, and the others wait until it has been answered: then the prefix stands in the cache, and they pay the
price of reading it. Requests without a long prefix in common never wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

__all__ = ["PromptCache"]

T = TypeVar("T")

_KEPT_S = 270.0  # Anthropic keeps an entry for five minutes after it was last used
_MOST_PREFIXES = 10_000  # that are remembered


class PromptCache:
    """What stands in the cache of one model, as far as one run knows."""

    def __init__(self) -> None:
        self._used: dict[Hashable, float] = {}  # prefix -> when it was last sent marked, 0.0 where it never was
        self._writing: dict[Hashable, asyncio.Event] = {}

    def is_shared(self, prefix: Hashable) -> bool:
        """Whether a prefix was seen before. It has been from now on."""
        if prefix in self._used:
            return True
        if len(self._used) >= _MOST_PREFIXES:
            self._used.pop(next(iter(self._used)))
        self._used[prefix] = 0.0
        return False

    async def in_turn(self, prefix: Hashable, send: Callable[[], Awaitable[T]]) -> T:
        """Sends a request that is marked behind this prefix, once the prefix stands in the cache or nobody else is writing it."""
        while (other := self._writing.get(prefix)) is not None:
            await other.wait()
        used = self._used.get(prefix, 0.0)
        if used and time.monotonic() - used < _KEPT_S:
            self._used[prefix] = time.monotonic()
            return await send()
        written = self._writing[prefix] = asyncio.Event()
        try:
            answer = await send()
            self._used[prefix] = time.monotonic()
            return answer
        finally:
            del self._writing[prefix]
            written.set()
