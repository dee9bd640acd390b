"""litellm as a package: its import, its replies and its errors. No other module imports it.

Guarantee: no global of litellm is changed if the host uses litellm itself; its import loads nothing from the network. Errors are
classified by status, body and class, never by their words.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.errors import ErrorKind, ProviderError
from datafast.llms.transport.certificates import trusting
from datafast.llms.transport.errors import chain, from_answer, from_transport, is_transport_fault, no_completion

if TYPE_CHECKING:
    from pathlib import Path

    from datafast.llms.transport.origin import Origin

__all__ = ["as_json", "error_of", "import_litellm", "own_client"]

# Read by litellm at its import. Without them it loads price maps and headers from the network, and its pool has at most
# 500 connections to a host, fewer than a run may have. 0 would not mean unlimited.
_ENVIRONMENT = {
    "AIOHTTP_CONNECTOR_LIMIT": "4000",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_OFFLINE_MODE": "true",
}

_OWN_MODULES = frozenset(
    {"builtins", "litellm.exceptions"}
)  # an answer of a server is told by an error of some HTTP client too
_SHOWN_CHARS = 300

_imported_by_us = False


def import_litellm() -> tuple[Any, bool]:
    """litellm, and whether the host had imported it before."""
    global _imported_by_us
    by_host = "litellm" in sys.modules and not _imported_by_us
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import litellm

    if not by_host and not _imported_by_us:
        # Otherwise it prints help texts to stdout at each error, in the middle of a report in JSON perhaps.
        litellm.suppress_debug_info = True
        _imported_by_us = True
    return litellm, by_host


def own_client(ssl_ca: Path | None, *, timeout_s: float) -> Any:
    """A client for one provider. It trusts the provider's certificates, which litellm takes only for the whole process,
    and follows no redirects; litellm's client would follow them and send the key to any other host."""
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    handler = AsyncHTTPHandler(timeout=timeout_s, ssl_verify=trusting(ssl_ca) if ssl_ca is not None else None)
    handler.client.follow_redirects = False
    return handler


@foreign_warnings_ignored()
def as_json(reply: Any) -> bytes:
    """A reply of litellm as a chat completion."""
    # Its object may have values that its model does not declare, of which pydantic would warn.
    try:
        encoded: str = reply.model_dump_json(warnings=False)
    except ValueError:
        # Half a surrogate pair, which JSON can only hold escaped. The reply was paid for.
        encoded = json.dumps(reply.model_dump(warnings=False), default=str)
    return encoded.encode()


def error_of(origin: Origin, error: Exception) -> ProviderError:
    """The error for an exception of litellm or of a package below it."""
    if is_transport_fault(error):
        return from_transport(origin, error)
    links = list(chain(error))
    headers = _headers(links)
    answer = _answer(links)
    if answer is not None:
        return from_answer(origin, status=answer[0], body=answer[1], headers=headers)
    if any(type(link).__module__ == "openai" and type(link).__name__ == "OpenAIError" for link in links):
        # The SDK's base class itself is raised for wrong settings: there are no credentials, and nothing was sent.
        return from_answer(origin, status=401, body=str(error), headers=headers)
    statuses = [status for link in links if (status := _status(link)) is not None]
    if 200 in statuses or any(isinstance(link, ValueError) for link in links):
        # A success that litellm could not read. It says 422 or 500 then; what it kept may have been paid for.
        return no_completion(origin, str(error).encode(errors="replace"))
    status = next((status for status in statuses if status >= 400), 500)
    refused = from_answer(origin, status=status, body=str(error), headers=headers)
    inside = all(type(link).__module__ in _OWN_MODULES for link in links)
    return _inside(origin, refused, links) if inside and refused.kind is not ErrorKind.AUTHENTICATION else refused


def _inside(origin: Origin, refused: ProviderError, links: list[BaseException]) -> ProviderError:
    """The error for a call that failed within litellm: it refuses what it would have to send, or has a bug.

    Args:
        refused: the same as an answer of the server.
    """
    said = " ".join(refused.body.partition("Traceback (most recent call last)")[0].split())
    return ProviderError(
        f"{origin.label}: litellm itself failed, and the server said nothing. litellm said: {said[:_SHOWN_CHARS]}",
        kind=refused.kind,
        body=refused.body,
        maybe_paid=any(type(link).__module__ == "builtins" for link in links),
    )


def _status(error: object) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _answer(links: list[BaseException]) -> tuple[int, str] | None:
    """Status and body of an error as the server sent them, if litellm kept them. It changes some statuses."""
    for link in reversed(links):
        response = getattr(link, "response", None)
        status = _status(response)
        try:
            text = getattr(response, "text", None)
        except Exception:  # noqa: BLE001 - httpx raises its own for bodies that were streamed and never read: none to show
            text = None
        if status is not None and status >= 300 and isinstance(text, str) and (text or status < 400):
            return status, text
    return None


def _headers(links: list[BaseException]) -> dict[str, str]:
    found: dict[str, str] = {}
    for link in links:
        for headers in (
            getattr(getattr(link, "response", None), "headers", None),
            getattr(link, "litellm_response_headers", None),
        ):
            if headers is not None:
                found |= {str(name): str(value) for name, value in headers.items()}
    return found
