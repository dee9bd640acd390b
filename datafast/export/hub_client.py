"""The Hub's client, called so that whatever it raises is told by what it carries.

Each of its releases has error classes of its own, on top of another HTTP library: requests, httpx or httpx2. So an error is read by the
answer that it holds (status, Retry-After) and by the general class that it belongs to, never by the client's own names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

__all__ = ["Fault", "HubFailed", "asked", "chain", "told"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong between us and the Hub: HTTP status (None: no answer) and seconds to wait, if it said so."""

    status: int | None
    retry_after_s: float | None
    passes: bool

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        from huggingface_hub.errors import OfflineModeIsEnabled

        links = chain(error)
        response = next((found for link in links if (found := getattr(link, "response", None)) is not None), None)
        if response is not None:
            status = int(response.status_code)
            passes = status in (408, 412, 429) or status >= 500
            return cls(status=status, retry_after_s=_seconds(response.headers.get("Retry-After")), passes=passes)
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
    except Exception as error:  # noqa: BLE001 - see above
        raise HubFailed(error) from None


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


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None  # a date: the Hub sends seconds, and our own delay does for the rest
