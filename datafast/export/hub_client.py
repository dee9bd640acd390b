"""The Hub's client, called so that whatever it raises is told by what it carries, and what passes is tried again.

Each of its releases has error classes of its own, on top of another HTTP library: requests, httpx or httpx2. So an error is read by the
answer that it holds (status, Retry-After, RateLimit) and by the general class that it belongs to, never by the client's own names or words.

Uploads go by LFS, over plain HTTP. Xet, the client's other way, is a compiled library with requests of its own, which these tries do not
reach and no test of ours covers; it is used where the environment variable HF_HUB_DISABLE_XET is 0 (or false, no, off), which asks for it.

Limits: releases from 1.0 on try uploads again by themselves, and wait for as long as the Hub says. The client has no time limit of its own:
a Hub that takes a request and never answers is waited for.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["DELAYS_S", "Fault", "Hub", "HubFailed", "asked", "chain", "delays", "pause", "told", "without_xet"]

DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0)

_MAX_WAIT_S = 310.0  # the Hub counts requests by windows of five minutes
_RATE_LIMIT = re.compile(r"r\s*=\s*0\s*;\s*t\s*=\s*(\d+)")
_NO = frozenset(["0", "false", "no", "off"])
_PASSING = frozenset([408, 425, 429])
_CONFLICTS = frozenset([409, 412])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong between us and the Hub: HTTP status (None: no answer) and seconds to wait, if it said so.

    Attributes:
        passes: the same request may succeed later.
        conflicts: the repository was changed by others meanwhile.
    """

    status: int | None
    retry_after_s: float | None
    passes: bool

    @property
    def conflicts(self) -> bool:
        return self.status in _CONFLICTS

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        from huggingface_hub.errors import OfflineModeIsEnabled

        links = chain(error)
        response = next((found for link in links if (found := getattr(link, "response", None)) is not None), None)
        if response is not None:
            status = int(response.status_code)
            passes = status in _PASSING or status >= 500
            return cls(status=status, retry_after_s=_wait_asked_for(response.headers), passes=passes)
        # An answer that is not JSON comes from a gateway before the Hub.
        is_offline = any(isinstance(link, OfflineModeIsEnabled) for link in links)
        passes = not is_offline and any(
            isinstance(link, (OSError, JSONDecodeError)) or _is_a("TransportError", link) for link in links
        )
        return cls(status=None, retry_after_s=None, passes=passes)


class HubFailed(Exception):
    """The client raised something. It never reaches the user."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
        self.fault = Fault.of(error)


def asked(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a function of the client returns.

    Whatever it raises is told by what it carries, because each of its releases has classes of its own: HTTP and connection
    errors of requests, httpx or httpx2, RuntimeError around a failed upload, ValueError and KeyError of answers that it
    cannot read.
    """
    try:
        return function(*arguments, **options)
    except HubFailed:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        raise HubFailed(error) from None


def delays() -> Iterator[float | None]:
    """Seconds to wait after each try; None after the last one."""
    yield from DELAYS_S
    yield None


def pause(failed: HubFailed, delay_s: float | None) -> None:
    """Waits before the next try, as long as the Hub says, else `delay_s`.

    Raises:
        HubFailed: there is no next try (None), or the Hub wants a longer wait than a push is worth.
    """
    asked_for = failed.fault.retry_after_s
    if delay_s is None or (asked_for or 0.0) > _MAX_WAIT_S:
        raise failed
    time.sleep(delay_s if asked_for is None else asked_for)


class Hub:
    """A Hub as the holder of a token meets it."""

    def __init__(self, endpoint: str, token: str) -> None:
        from huggingface_hub import HfApi

        self.endpoint = endpoint
        self.api: HfApi = HfApi(endpoint=endpoint, token=token)

    def ask(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a function of the client returns, tried again while its failures pass.

        Raises:
            HubFailed: it fails for good.
        """
        waits = delays()
        while True:
            try:
                return asked(function, *arguments, **options)
            except HubFailed as failed:
                if not failed.fault.passes:
                    raise
                pause(failed, next(waits))


class _WithoutXet:
    """Uploads go by LFS inside, unless Xet is asked for. The client has one switch for the whole process: it is off
    while any push is under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        from huggingface_hub import constants

        if os.environ.get("HF_HUB_DISABLE_XET", "").strip().lower() in _NO:
            yield
            return
        with self._lock:
            if not self._inside:
                self._before = constants.HF_HUB_DISABLE_XET
                constants.HF_HUB_DISABLE_XET = True
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    constants.HF_HUB_DISABLE_XET = self._before


without_xet = _WithoutXet()


def chain(error: BaseException) -> list[BaseException]:
    """The error and what led to it, nearest first."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


def told(error: BaseException) -> str:
    said = str(error).strip()
    return f"{type(error).__name__}: {said}" if not said or isinstance(error, LookupError) else said


def _is_a(name: str, error: BaseException) -> bool:
    """Whether an error is of a class of that name. The client's HTTP library is requests, httpx or httpx2, by its
    release, and the classes of one are unknown to the others; the names stay."""
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds, by Retry-After or, where none of the requests of a window is left, by the rest of the window."""
    try:
        if given := headers.get("Retry-After"):
            return max(0.0, float(given))
    except ValueError:
        return None  # a date: the Hub sends seconds, and our own delay does for the rest
    spent = _RATE_LIMIT.search(headers.get("RateLimit") or "")
    return float(spent[1]) if spent else None
