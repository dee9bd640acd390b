"""Turns every failure to get a usable answer into a `ProviderError` that says what to do about it.

Guarantee: the kind follows from the status, the machine fields of the body (code, type, param, status, reason) and the
class of a transport fault, never from prose, so it does not depend on a provider's wording or language. Configured
secrets are removed from all that is kept. Cost: only for failures.
Limits: a provider that reports an exhausted balance in prose alone counts as a bad request.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from datafast.errors import ErrorKind, ProviderError
from datafast.llms.transport.error_body import ErrorBody, error_of_choice, error_within, read_error
from datafast.llms.transport.faults import AnswerTooLarge, ProxyFault, QuietTimeout
from datafast.llms.transport.rate_limits import rate_limits
from datafast.llms.transport.redaction import redact
from datafast.llms.transport.retry_after import own_names, retry_after_s
from datafast.llms.transport.wire_format import CHAT_COMPLETIONS, WireFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datafast.llms.transport.origin import Origin

__all__ = [
    "chain",
    "excerpt",
    "from_answer",
    "from_event",
    "from_success",
    "from_transport",
    "is_transport_fault",
    "no_completion",
]

_BODY_CHARS = 16_000
_EXCERPT_CHARS = 300

_BY_STATUS = {
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.QUOTA,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.MODEL_NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.SERVER,
    420: ErrorKind.RATE_LIMITED,
    421: ErrorKind.SERVER,
    423: ErrorKind.SERVER,
    424: ErrorKind.SERVER,
    425: ErrorKind.SERVER,
    429: ErrorKind.RATE_LIMITED,
    449: ErrorKind.SERVER,
    498: ErrorKind.SERVER,
    499: ErrorKind.SERVER,
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
    "contract_spend_limit_reached": ErrorKind.QUOTA,
    "enforced_spend_limit_reached": ErrorKind.QUOTA,
    "exceed_context_size_error": ErrorKind.CONTEXT_LENGTH,
    "insufficient_quota": ErrorKind.QUOTA,
    "invalid_api_key": ErrorKind.AUTHENTICATION,
    "json_validate_failed": ErrorKind.UNUSABLE_REPLY,
    "linked_organization_spend_limit_reached": ErrorKind.QUOTA,
    "model_not_found": ErrorKind.MODEL_NOT_FOUND,
    "tool_use_failed": ErrorKind.UNUSABLE_REPLY,
}
# Gateways pass on the causes of 4xx. A 5xx with one of these fields is still from a server that may recover.
_FIELD_STATUSES = range(400, 500)


def from_answer(origin: Origin, *, status: int, body: bytes | str, headers: Mapping[str, str]) -> ProviderError:
    """The error for an HTTP answer that is not a success.

    Args:
        status: HTTP status, not 2xx.
        body: the answer's body or a part of it.
        headers: the answer's headers, with names in any case.
    """
    return _refusal(origin, read_error(body), status=status, body=body, headers=headers)


def from_success(
    origin: Origin,
    *,
    status: int,
    body: bytes,
    headers: Callable[[], Mapping[str, str]],
    wire: WireFormat = CHAT_COMPLETIONS,
) -> ProviderError | None:
    """The error that an HTTP success holds, None where it holds none. Costs half a microsecond for a short reply without any.

    Gateways answer 200 with an error where the model behind them failed. Whatever else came may have been paid for: it is recorded
    first, and left to those who read replies of its format.

    Args:
        status: HTTP status, 2xx.
        headers: called where they matter alone.
        wire: the format that replies of this server have.
    """
    if b'"error"' not in body and b'"base_resp"' not in body and wire.pattern.search(body):
        return None  # nearly every answer; it is parsed once, by those who read replies
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        # A stream of events may begin with an error. Everything else is left to those who read replies.
        try:
            data = orjson.loads(_event(body.removeprefix(b"\xef\xbb\xbf").strip()) or b"null")
        except orjson.JSONDecodeError:
            return None
    part = wire.part(data) if isinstance(data, dict) else None
    if part is not None and not error_of_choice(part) and "base_resp" not in data:
        return None  # an error beside it says nothing, or is a warning
    found = error_within(data)
    if found is None:
        return None
    error = _refusal(origin, found, status=found.status, body=body, headers=headers())
    error.maybe_paid = part is not None
    return error


def from_event(origin: Origin, event: bytes, *, maybe_paid: bool) -> ProviderError:
    """The error that a server tells in a stream of events.

    Args:
        event: its data.
        maybe_paid: whether some of a reply came before it.
    """
    try:
        found = error_within(orjson.loads(event)) or ErrorBody()
    except orjson.JSONDecodeError:
        found = ErrorBody()
    error = _refusal(origin, found, status=found.status, body=event, headers={})
    error.maybe_paid = error.maybe_paid or maybe_paid
    return error


def _event(text: bytes) -> bytes | None:
    """The data of the first event, where a stream of events came."""
    if not text.startswith((b"data:", b"event:", b"id:", b":")):
        return None
    lines = (
        line.removeprefix(b"data:").strip() for line in text[:_BODY_CHARS].splitlines() if line.startswith(b"data:")
    )
    return next(lines, b"")


def no_completion(origin: Origin, text: bytes) -> ProviderError:
    """The error for a success with this body, which is something else than a reply."""
    if text.startswith(b"<"):
        what = "with a page in place of a reply"
    elif _event(text) is not None:
        what = "with a stream of events in place of a reply"
    else:
        what = "without a reply" if text else "with nothing in it"
    shown = redact(text[: 4 * _BODY_CHARS].decode("utf-8", errors="replace")[:_BODY_CHARS], origin.secrets)
    return ProviderError(
        f"{origin.label}: the server answered HTTP 200 {what}. If it never answers otherwise, check api_base: the request went "
        f"to {origin.address}.{excerpt(shown)}",
        kind=ErrorKind.NO_COMPLETION,
        status=200,
        body=shown,
        maybe_paid=not text.startswith(b"<"),
    )


def _refusal(
    origin: Origin, found: ErrorBody, *, status: int, body: bytes | str, headers: Mapping[str, str]
) -> ProviderError:
    text = body if isinstance(body, str) else body[: 4 * _BODY_CHARS].decode("utf-8", errors="replace")
    text = redact(text[:_BODY_CHARS], origin.secrets)
    found = replace(
        found,
        codes=tuple(redact(code[:_EXCERPT_CHARS], origin.secrets) for code in found.codes),
        param=redact(found.param[:_EXCERPT_CHARS], origin.secrets) if found.param else None,
        message=redact(found.message[:_BODY_CHARS], origin.secrets),
    )
    kind = _kind(status, found)
    return ProviderError(
        f"{origin.label}: {_advice(kind, status, origin)}{excerpt(found.message or text)}",
        kind=kind,
        status=status,
        code=found.codes[0] if found.codes else None,
        param=found.param,
        retry_after_s=retry_after_s(headers, status=status, delay=found.delay),
        rate_limits=rate_limits(own_names(headers)),
        body=text,
        maybe_paid=kind is ErrorKind.UNUSABLE_REPLY,
    )


def excerpt(text: str, *, after: str = "The server said") -> str:
    """The beginning of what was said, as a sentence for the end of a message; nothing where nothing was."""
    said = " ".join(text.split())
    if not said:
        return ""
    shown = said if len(said) <= _EXCERPT_CHARS else f"{said[:_EXCERPT_CHARS]}..."
    return f" {after}: {shown}" + ("" if shown.endswith((".", "!", "?")) else ".")


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
    if any(isinstance(link, AnswerTooLarge) for link in links):
        return ErrorKind.NO_COMPLETION, "the answer is too large. Raise max_reply_mb= if the server means it"
    if any(isinstance(link, ProxyFault) for link in links):
        return ErrorKind.CONNECTION, f"{_proxy_named(links)} does not work. Check it, or name the host in no_proxy"
    if any(_is_timeout(link) for link in links):
        return ErrorKind.TIMEOUT, _timeout_advice(origin, links)
    if any(isinstance(link, socket.gaierror) for link in links):
        return ErrorKind.CONNECTION, f"the host of {origin.address} is not known here. Check api_base and the network"
    if any(isinstance(link, ConnectionRefusedError) for link in links):
        return ErrorKind.CONNECTION, f"nothing accepts connections at {origin.address}. Is the server running?"
    return ErrorKind.CONNECTION, f"the connection to {origin.address} broke before the whole answer had come"


def _proxy_named(links: list[BaseException]) -> str:
    fault = next(link for link in links if isinstance(link, ProxyFault))
    return f"the proxy {fault.proxy}"


def _may_have_arrived(kind: ErrorKind, links: list[BaseException]) -> bool:
    """Whether the request may have reached the server: not where no connection came about."""
    if kind not in {ErrorKind.TIMEOUT, ErrorKind.CONNECTION, ErrorKind.NO_COMPLETION}:
        return False
    unconnected = (socket.gaierror, ConnectionRefusedError)
    names = {"ConnectTimeout", "ConnectError", "ClientConnectorError", "ConnectionTimeoutError"}
    return not any(isinstance(link, unconnected) or type(link).__name__ in names for link in links)


def _timeout_advice(origin: Origin, links: list[BaseException]) -> str:
    if any("Connect" in type(link).__name__ for link in links if _is_timeout(link)):
        limit_s = origin.timeouts.connect_s
        return f"no connection to {origin.address} within {limit_s:g} s. Check api_base, the network and proxies"
    total_s, idle_s = origin.timeouts.total_s or 0.0, origin.timeouts.idle_s
    if any(isinstance(link, QuietTimeout) for link in links):
        if idle_s is None:  # a file
            return f"nothing went or came for timeout={total_s:g} s. Raise the provider's timeout= if it needs longer"
        return f"nothing came for timeout.idle_s={idle_s:g} s. Raise it if the model is silent for longer"
    return f"no whole answer within timeout={total_s:g} s. Raise the provider's timeout= if it needs longer"


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
    return module.startswith(("httpx", "httpcore")) and type(link).__name__.endswith(
        ("ProtocolError", "ReadError", "ConnectError")
    )


def _is_litellm(link: BaseException) -> bool:
    return type(link).__module__.startswith("litellm")


def _kind(status: int, found: ErrorBody) -> ErrorKind:
    if status in _FIELD_STATUSES:
        for code in found.codes:
            if code in _BY_FIELD:
                return _BY_FIELD[code]
        if found.kind is not None:
            return found.kind
    if status < 400:
        # Redirects are not followed (the key would go elsewhere), so this address will never answer.
        return ErrorKind.MODEL_NOT_FOUND
    return _BY_STATUS.get(status, ErrorKind.SERVER if status >= 500 else ErrorKind.BAD_REQUEST)


def _near_model(origin: Origin) -> str:
    from datafast.llms.prices import nearest_model  # which reads the price list

    near = nearest_model(origin.label.partition("/")[0], origin.model_id)
    return f" Did you mean {near!r}?" if near else ""


def _where_keys_go(origin: Origin) -> str:
    return (
        f"{origin.key_variable} in the environment"
        if origin.key_variable
        else "api_key_env to the variable with the key"
    )


def _advice(kind: ErrorKind, status: int, origin: Origin) -> str:
    if status < 400:
        return f"HTTP {status}: {origin.address} redirects elsewhere. Set api_base to the address that answers itself."
    key = f"the value of {origin.key_variable}" if origin.key_variable else "api_key"
    refused = f"the API key was refused (HTTP {status}). Check {key}."
    if not origin.has_key:
        refused = f"the server wants an API key, and none was sent (HTTP {status}). Set {_where_keys_go(origin)}."
    denied = f"Check what {f'the key in {origin.key_variable}' if origin.key_variable else 'api_key'} may use."
    if not origin.has_key:
        denied = f"No key was sent. Set {_where_keys_go(origin)}."
    near = _near_model(origin) if kind is ErrorKind.MODEL_NOT_FOUND else ""
    known = {
        ErrorKind.AUTHENTICATION: refused,
        ErrorKind.PERMISSION: f"access was denied (HTTP {status}). {denied}",
        ErrorKind.QUOTA: f"the quota or balance is used up (HTTP {status}). Check the account's billing.",
        ErrorKind.MODEL_NOT_FOUND: (
            f"model {origin.model_id!r} was not found (HTTP {status}). Check model_id, and api_base if it is yours: "
            f"the request went to {origin.address}.{near}"
        ),
        ErrorKind.CONTEXT_LENGTH: f"the prompt does not fit into the model's context (HTTP {status}). Shorten it.",
        ErrorKind.CONTENT_FILTER: f"the provider's content filter refused the prompt (HTTP {status}).",
        ErrorKind.UNUSABLE_REPLY: f"the server itself could not use what the model wrote (HTTP {status}).",
        ErrorKind.RATE_LIMITED: f"rate limited (HTTP {status}).",
    }
    return known.get(kind, f"HTTP {status}.")
