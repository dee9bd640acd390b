"""Turns every failure to get a usable answer into a `ProviderError` that says what to do about it.

Guarantee: the kind follows from the status, the machine fields of the body (code, type, param, status, reason) and the
class of a transport fault, never from prose, so it does not depend on a provider's wording or language. Configured
secrets are removed from all that is kept. Cost: only for failures.
Limits: a provider that reports an exhausted balance in prose alone counts as a bad request.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from datafast.errors import ErrorKind, ProviderError
from datafast.llms.transport.redaction import redact
from datafast.llms.transport.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datafast.llms.transport.origin import Origin

__all__ = [
    "CONNECT_TIMEOUT_S",
    "chain",
    "from_answer",
    "from_transport",
    "hidden_status",
    "is_transport_fault",
]

CONNECT_TIMEOUT_S = 30.0
_BODY_CHARS = 16_000
_EXCERPT_CHARS = 300

_BY_STATUS = {
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.QUOTA,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.MODEL_NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.SERVER,
    425: ErrorKind.SERVER,
    429: ErrorKind.RATE_LIMITED,
    504: ErrorKind.TIMEOUT,
    524: ErrorKind.TIMEOUT,
}
# Fields that say more than their status.
_BY_FIELD = {
    "API_KEY_INVALID": ErrorKind.AUTHENTICATION,
    "ResponsibleAIPolicyViolation": ErrorKind.CONTENT_FILTER,
    "billing_error": ErrorKind.QUOTA,
    "billing_hard_limit_reached": ErrorKind.QUOTA,
    "billing_not_active": ErrorKind.QUOTA,
    "content_filter": ErrorKind.CONTENT_FILTER,
    "content_policy_violation": ErrorKind.CONTENT_FILTER,
    "context_length_exceeded": ErrorKind.CONTEXT_LENGTH,
    "exceed_context_size_error": ErrorKind.CONTEXT_LENGTH,
    "insufficient_quota": ErrorKind.QUOTA,
    "invalid_api_key": ErrorKind.AUTHENTICATION,
    "model_not_found": ErrorKind.MODEL_NOT_FOUND,
}
# Gateways pass on the causes of 4xx. A 5xx with one of these fields is still from a server that may recover.
_FIELD_STATUSES = range(400, 500)


@dataclass(frozen=True, slots=True)
class _Fields:
    """The machine fields of an error body, in the shape of any provider."""

    codes: tuple[str, ...] = ()
    param: str | None = None
    message: str = ""
    delay: str | None = None


def from_answer(origin: Origin, *, status: int, body: bytes | str, headers: Mapping[str, str]) -> ProviderError:
    """The error for an HTTP answer that is not a success.

    Args:
        status: HTTP status, not 2xx.
        body: the answer's body or a part of it.
        headers: the answer's headers, with names in any case.
    """
    text = body if isinstance(body, str) else body[: 4 * _BODY_CHARS].decode("utf-8", errors="replace")
    text = redact(text[:_BODY_CHARS], origin.secrets)
    fields = _fields(text)
    kind = _kind(status, fields)
    said = " ".join((fields.message or text).split())
    excerpt = said if len(said) <= _EXCERPT_CHARS else f"{said[:_EXCERPT_CHARS]}..."
    if not excerpt.endswith((".", "!", "?")):
        excerpt += "."
    return ProviderError(
        f"{origin.label}: {_advice(kind, status, origin)}" + (f" The server said: {excerpt}" if said else ""),
        kind=kind,
        status=status,
        code=fields.codes[0] if fields.codes else None,
        param=fields.param,
        retry_after_s=retry_after_s(headers, status=status, delay=fields.delay),
        body=text,
    )


def hidden_status(body: bytes) -> int | None:
    """The status that an answer of 200 should have had: gateways send an error in it if the model behind them failed.

    Returns:
        None for everything but a JSON object with an `error` and without `choices`.
    """
    if b'"error"' not in body or b'"choices"' in body:
        return None
    try:
        error = orjson.loads(body).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if not error:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else 0
    if 400 <= status < 600:
        return status
    return 400 if any(name in _BY_FIELD for name in _fields(body.decode()).codes) else 502


def from_transport(origin: Origin, error: BaseException) -> ProviderError:
    """The error for a request without an answer: refused, reset, cut off, timed out, not trusted."""
    links = list(chain(error))
    kind, advice = _transport(origin, links)
    detail = redact(" ".join(str(error).split()), origin.secrets)[:_EXCERPT_CHARS]
    named = f" ({type(error).__name__}{': ' + detail if detail else ''})"
    return ProviderError(f"{origin.label}: {advice}{named}.", kind=kind, maybe_paid=_may_have_arrived(kind, links))


def is_transport_fault(error: BaseException) -> bool:
    """Whether an error or one of its causes means that no complete answer came."""
    return any(isinstance(link, OSError) or _is_timeout(link) or _is_cut(link) for link in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause, the cause of that, and so on."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _transport(origin: Origin, links: list[BaseException]) -> tuple[ErrorKind, str]:
    if any(getattr(link, "errno", None) in {errno.EMFILE, errno.ENFILE} for link in links):
        return (
            ErrorKind.LOCAL_RESOURCES,
            "this machine allows no more open connections. Raise the limit (ulimit -n) or lower max_concurrency",
        )
    import ssl  # slow to import, and only needed after failures

    if any(isinstance(link, ssl.SSLCertVerificationError) or "Certificate" in type(link).__name__ for link in links):
        # Trying again does not help, and the key is not to blame: this provider cannot be used as it is configured.
        return (
            ErrorKind.PERMISSION,
            f"the TLS certificate of {origin.address} is not trusted. If a company proxy or your own authority signed "
            "it, pass ssl_ca= with the path of its CA file",
        )
    if any(_is_timeout(link) for link in links):
        return ErrorKind.TIMEOUT, _timeout_advice(origin, links)
    if any(isinstance(link, socket.gaierror) for link in links):
        return ErrorKind.CONNECTION, f"the host of {origin.address} is not known here. Check api_base and the network"
    if any(isinstance(link, ConnectionRefusedError) for link in links):
        return ErrorKind.CONNECTION, f"nothing accepts connections at {origin.address}. Is the server running?"
    return ErrorKind.CONNECTION, f"the connection to {origin.address} broke before the whole answer had come"


def _may_have_arrived(kind: ErrorKind, links: list[BaseException]) -> bool:
    """Whether the request may have reached the server; not if there was no connection."""
    if kind not in {ErrorKind.TIMEOUT, ErrorKind.CONNECTION}:
        return False
    unconnected = (socket.gaierror, ConnectionRefusedError)
    names = {"ConnectTimeout", "ConnectError", "ClientConnectorError", "ConnectionTimeoutError"}
    return not any(isinstance(link, unconnected) or type(link).__name__ in names for link in links)


def _timeout_advice(origin: Origin, links: list[BaseException]) -> str:
    if any("Connect" in type(link).__name__ for link in links if _is_timeout(link)):
        limit_s = min(CONNECT_TIMEOUT_S, origin.timeout_s)
        return f"no connection to {origin.address} within {limit_s:g} s. Check api_base, the network and proxies"
    return f"no whole answer within timeout={origin.timeout_s:g} s. Raise the provider's timeout= if it needs longer"


def _is_timeout(link: BaseException) -> bool:
    # Time-outs of httpx and of the openai SDK are not TimeoutErrors, and neither package may be imported here. One with
    # a status is an answer of the server (408, 504).
    if isinstance(link, TimeoutError):
        return True
    return "Timeout" in type(link).__name__ and getattr(link, "response", None) is None and not _is_litellm(link)


def _is_cut(link: BaseException) -> bool:
    module = type(link).__module__.partition(".")[0]
    if module == "aiohttp":
        return True
    return module in {"httpx", "httpcore"} and type(link).__name__.endswith(
        ("ProtocolError", "ReadError", "ConnectError")
    )


def _is_litellm(link: BaseException) -> bool:
    return type(link).__module__.startswith("litellm")


def _kind(status: int, fields: _Fields) -> ErrorKind:
    if status in _FIELD_STATUSES:
        for code in fields.codes:
            if code in _BY_FIELD:
                return _BY_FIELD[code]
    if status < 400:
        # Redirects are not followed (the key would go elsewhere), so this address will never answer.
        return ErrorKind.MODEL_NOT_FOUND
    return _BY_STATUS.get(status, ErrorKind.SERVER if status >= 500 else ErrorKind.BAD_REQUEST)


def _advice(kind: ErrorKind, status: int, origin: Origin) -> str:
    if status < 400:
        return f"HTTP {status}: {origin.address} redirects elsewhere. Set api_base to the address that answers itself."
    key = f"the value of {origin.key_variable}" if origin.key_variable else "api_key"
    held = f"the key in {origin.key_variable}" if origin.key_variable else "api_key"
    known = {
        ErrorKind.AUTHENTICATION: f"the API key was refused (HTTP {status}). Check {key}.",
        ErrorKind.PERMISSION: f"access was denied (HTTP {status}). Check what {held} may use.",
        ErrorKind.QUOTA: f"the quota or balance is used up (HTTP {status}). Check the account's billing.",
        ErrorKind.MODEL_NOT_FOUND: (
            f"model {origin.model_id!r} was not found (HTTP {status}). Check model_id, and api_base if it is yours: "
            f"the request went to {origin.address}."
        ),
        ErrorKind.CONTEXT_LENGTH: f"the prompt does not fit into the model's context (HTTP {status}). Shorten it.",
        ErrorKind.CONTENT_FILTER: f"the provider's content filter refused the prompt (HTTP {status}).",
        ErrorKind.RATE_LIMITED: f"rate limited (HTTP {status}).",
    }
    return known.get(kind, f"HTTP {status}.")


def _fields(text: str) -> _Fields:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _Fields()
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return _Fields()
    error = data.get("error")
    if not isinstance(error, dict):
        message = error if isinstance(error, str) else data.get("message") or data.get("detail")
        error = {**data, "message": message}
    details = [detail for detail in _list(error.get("details")) if isinstance(detail, dict)]
    inner = error.get("innererror")
    named = [error.get("code"), error.get("type"), error.get("status"), *(detail.get("reason") for detail in details)]
    named.append(inner.get("code") if isinstance(inner, dict) else None)
    codes = [value for value in named if isinstance(value, str) and value and not value.isdigit()]
    message = error.get("message")
    return _Fields(
        codes=tuple(codes),
        param=error["param"] if isinstance(error.get("param"), str) else None,
        message=message if isinstance(message, str) else "",
        delay=next((detail["retryDelay"] for detail in details if isinstance(detail.get("retryDelay"), str)), None),
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
