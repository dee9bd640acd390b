"""litellm as a package: its import, its replies and its errors. No other module imports it.

Guarantee: no global of litellm is changed if the host uses litellm itself; its import loads nothing from the network. Errors are
classified by status, body and class, never by their words.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.errors import ErrorKind, ProviderError, ReplyError
from datafast.llms.replies.endings import Ending, ending_of
from datafast.llms.replies.formats import decode_reply
from datafast.llms.transport.certificates import trusting
from datafast.llms.transport.errors import (
    chain,
    excerpt,
    from_answer,
    from_transport,
    is_transport_fault,
)
from datafast.llms.transport.redaction import redact
from datafast.llms.transport.retry_after import own_names

if TYPE_CHECKING:
    from pathlib import Path

    from datafast.llms.transport.origin import Origin

__all__ = ["as_json", "error_of", "head_of", "import_litellm", "own_client", "own_reply"]

# Read by litellm at its import. Without them it loads price maps and headers from the network, and its pool has at most
# 500 connections to a host, fewer than a run may have. 0 would not mean unlimited.
_ENVIRONMENT = {
    "AIOHTTP_CONNECTOR_LIMIT": "4000",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_OFFLINE_MODE": "true",
}

# What fails in code that reads an answer.
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, StopIteration)

# By what tells a vendor's own format: its name.
_OWN_FORMATS = {'"stop_reason"': "anthropic_messages", '"finishReason"': "gemini_generate_content"}

_LATE = ("litellm.proxy.openai_files_endpoints.common_utils", "litellm._service_logger")
"""What litellm imports within its first call, for a second on the event loop, in which no other provider would get on."""
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
    for name in _LATE:
        with suppress(ImportError):  # not every version has it
            import_module(name)
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


def head_of(reply: Any) -> list[tuple[bytes, bytes]]:
    """The headers of a server's answer, as far as litellm keeps them."""
    hidden = getattr(reply, "_hidden_params", None)
    kept = hidden.get("additional_headers") if isinstance(hidden, dict) else None
    if not isinstance(kept, dict):
        return []
    named = own_names({str(name): str(value) for name, value in kept.items()})
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in named.items()]


def own_reply(said: object, raw: bytes) -> tuple[bytes, str] | None:
    """A reply as its server sent it, and the name of its format, where litellm tells another ending than the server did: it says "stop"
    where the call of a tool was cut off, and where it does not know the reason. None where it tells the same.

    Args:
        said: what litellm has logged of the answer.
        raw: the reply as litellm tells it.
    """
    if not isinstance(said, str):
        return None
    wire = next((name for mark, name in _OWN_FORMATS.items() if mark in said), None)
    if wire is None:
        return None
    own = said.encode("utf-8", "surrogatepass")
    try:
        return (own, wire) if _ending(own, wire) is not _ending(raw, "chat_completions") else None
    except ReplyError:
        return None


def _ending(raw: bytes, wire: str) -> Ending:
    """How a reply ended. That a tool is called is an ending as good as any: litellm makes a text of what it is called with."""
    completion = decode_reply(raw, wire)
    ending = ending_of(completion.finish_reason, completion.native_finish_reason)
    return Ending.WHOLE if ending is Ending.TOOL_CALL else ending


def error_of(origin: Origin, error: Exception, *, sent: bool) -> ProviderError:
    """The error for an exception of litellm or of a package below it.

    Args:
        sent: whether litellm got as far as sending the request.
    """
    if is_transport_fault(error):
        return from_transport(origin, error)
    links = list(chain(error))
    headers = _headers(links)
    answer = _answer(links)
    if answer is not None:
        return from_answer(origin, status=answer[0], body=answer[1], headers=headers)
    # The SDK's base class itself is raised for wrong settings: there are no credentials.
    no_credentials = any(type(link).__module__ == "openai" and type(link).__name__ == "OpenAIError" for link in links)
    if no_credentials or not (sent or any(map(_is_answer, links))):
        return _before_sending(origin, 401 if no_credentials else _status(error), str(error))
    statuses = [status for link in links if (status := _status(link)) is not None]
    if 200 in statuses or (isinstance(links[-1], _UNREADABLE) and not any(map(_is_answer, links))):
        # A success that litellm could not read. It says 422 or 500 then; what it kept may have been paid for.
        return _inside(
            origin,
            "litellm cannot read what the server answered. If it never answers otherwise, check api_base.",
            str(error),
            kind=ErrorKind.NO_COMPLETION,
        )
    status = next((status for status in statuses if status >= 400), 500)
    return from_answer(origin, status=status, body=str(error), headers=headers)


def _before_sending(origin: Origin, status: int | None, text: str) -> ProviderError:
    """The error for a request that litellm itself refused or could not make."""
    if status == 401:
        advice, kind = "Set the credentials that it looks for, or pass api_key.", ErrorKind.AUTHENTICATION
    else:
        advice = "Check the model's name, its parameters, and whether a package that it needs is installed."
        kind = ErrorKind.BAD_REQUEST
    return _inside(origin, f"litellm itself failed, and sent nothing. {advice}", text, kind=kind)


def _inside(origin: Origin, what: str, text: str, *, kind: ErrorKind) -> ProviderError:
    """The error for a failure of litellm's own. It bears no status, since no server gave one."""
    said = redact(_without_traceback(text), origin.secrets)
    return ProviderError(
        f"{origin.label}: {what}{excerpt(said, after='Its error')}",
        kind=kind,
        body=said,
        maybe_paid=kind is ErrorKind.NO_COMPLETION,
    )


def _without_traceback(text: str) -> str:
    """What an exception of litellm says, without the traceback that some of them hold."""
    return text.partition("Traceback (most recent call last)")[0].strip()


def _is_answer(link: BaseException) -> bool:
    """Whether an exception stands for a server's answer. litellm's own ones bear responses that it made up."""
    status = _status(getattr(link, "response", None))
    return status is not None and status >= 300 and not type(link).__module__.startswith("litellm")


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
