"""litellm as a package: how it is imported, what is read out of its replies, and what its errors mean. Nothing else imports it.

Guarantee: no global of litellm is changed where the host uses litellm itself; nothing is fetched from the network at its import. Errors
are told by status, body and class, never by their words.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.llms.transport.certificates import trusting
from datafast.llms.transport.errors import chain, from_answer, from_transport, is_transport_fault, no_completion

if TYPE_CHECKING:
    from pathlib import Path

    from datafast.errors import ProviderError
    from datafast.llms.transport.origin import Origin

__all__ = ["as_json", "error_of", "import_litellm", "own_client"]

# Read by litellm at its import. Without them it fetches price maps and headers from the network, and its pool ends at
# 500 connections to a host, below what a run may be allowed. 0 would not mean unlimited.
_ENVIRONMENT = {
    "AIOHTTP_CONNECTOR_LIMIT": "4000",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_OFFLINE_MODE": "true",
}

_imported_by_us = False


def import_litellm() -> tuple[Any, bool]:
    """litellm, and whether the host had imported it before."""
    global _imported_by_us
    by_host = "litellm" in sys.modules and not _imported_by_us
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import litellm

    if not by_host and not _imported_by_us:
        # Otherwise it prints help texts to stdout at each error, where a report in JSON may be on its way.
        litellm.suppress_debug_info = True
        _imported_by_us = True
    return litellm, by_host


def own_client(ssl_ca: Path | None, *, timeout_s: float) -> Any:
    """A client for one provider: it trusts that provider's certificates, which litellm would take per process only, and
    follows no redirect, which litellm's would, with the key in a header that goes along to any other host."""
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    handler = AsyncHTTPHandler(timeout=timeout_s, ssl_verify=trusting(ssl_ca) if ssl_ca is not None else None)
    handler.client.follow_redirects = False
    return handler


@foreign_warnings_ignored()
def as_json(reply: Any) -> bytes:
    """A reply of litellm as a chat completion."""
    # Its object may hold values its own model does not declare, which pydantic would remark on.
    try:
        encoded: str = reply.model_dump_json(warnings=False)
    except ValueError:
        # Half a surrogate pair, which JSON can only hold escaped. Whatever it is, it was paid for.
        encoded = json.dumps(reply.model_dump(warnings=False), default=str)
    return encoded.encode()


def error_of(origin: Origin, error: Exception) -> ProviderError:
    """The error that an exception of litellm, or of what is below it, stands for."""
    if is_transport_fault(error):
        return from_transport(origin, error)
    links = list(chain(error))
    headers = _headers(links)
    answer = _answer(links)
    if answer is not None:
        return from_answer(origin, status=answer[0], body=answer[1], headers=headers)
    if any(type(link).__module__ == "openai" and type(link).__name__ == "OpenAIError" for link in links):
        # The SDK's base class, raised for itself, is about its set-up: there are no credentials, and nothing was
        # sent.
        return from_answer(origin, status=401, body=str(error), headers=headers)
    statuses = [status for link in links if (status := _status(link)) is not None]
    if 200 in statuses or any(isinstance(link, ValueError) for link in links):
        # A success that litellm could not read. It says 422 or 500 then; what it kept may have been paid for.
        return no_completion(origin, str(error).encode(errors="replace"))
    status = next((status for status in statuses if status >= 400), 500)
    return from_answer(origin, status=status, body=str(error), headers=headers)


def _status(error: object) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _answer(links: list[BaseException]) -> tuple[int, str] | None:
    """Status and body of an error as the server sent them, where litellm kept them. It renumbers some statuses
    itself."""
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
