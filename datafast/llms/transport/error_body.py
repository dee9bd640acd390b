"""What the body of an error says, whichever vendor wrote it: its codes, the parameter it is about, its message.

Guarantee: nothing in a body raises. Known are the shapes of OpenAI and of most servers that copy it, Azure, Anthropic, Google
(also as a list), OpenRouter (with what the provider behind it said in `metadata.raw`, and errors within a choice), FastAPI's
`detail`, MiniMax's `base_resp`, Zhipu's and Qianfan's numbers, and a bare code with a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from datafast.errors import ErrorKind

__all__ = ["ErrorBody", "error_of_choice", "error_within", "read_error"]

_READ_BYTES = 256 * 1024
_SHOWN_PLACES = 3
_HUMP = re.compile(r"[A-Z]")
_OPTIONS = {
    "max_output_tokens": "max_completion_tokens",
    "thinking_config": "reasoning_effort",
}  # options by Google's names
_MESSAGES = ("message", "msg", "error_msg", "status_msg", "detail", "error")
# Numbers that stand for more than the status beside them, by the name of the field that they stand in.
_NUMBERS: dict[str, dict[int, ErrorKind]] = {
    # MiniMax, in base_resp
    "status_code": {
        1001: ErrorKind.TIMEOUT,
        1002: ErrorKind.RATE_LIMITED,
        1004: ErrorKind.AUTHENTICATION,
        1008: ErrorKind.QUOTA,
        1026: ErrorKind.CONTENT_FILTER,
        1027: ErrorKind.CONTENT_FILTER,
        1039: ErrorKind.RATE_LIMITED,
        1041: ErrorKind.RATE_LIMITED,
        1042: ErrorKind.BAD_REQUEST,
        2013: ErrorKind.BAD_REQUEST,
        2049: ErrorKind.AUTHENTICATION,
        2056: ErrorKind.QUOTA,
    },
    # Zhipu
    "code": {
        1000: ErrorKind.AUTHENTICATION,
        1001: ErrorKind.AUTHENTICATION,
        1002: ErrorKind.AUTHENTICATION,
        1003: ErrorKind.AUTHENTICATION,
        1004: ErrorKind.AUTHENTICATION,
        1113: ErrorKind.QUOTA,
        1211: ErrorKind.MODEL_NOT_FOUND,
        1214: ErrorKind.BAD_REQUEST,
        1220: ErrorKind.PERMISSION,
        1261: ErrorKind.CONTEXT_LENGTH,
        1301: ErrorKind.CONTENT_FILTER,
        1302: ErrorKind.RATE_LIMITED,
        1303: ErrorKind.RATE_LIMITED,
        1304: ErrorKind.QUOTA,
        1305: ErrorKind.RATE_LIMITED,
        1308: ErrorKind.QUOTA,
        1309: ErrorKind.QUOTA,
    },
    # Qianfan
    "error_code": {
        17: ErrorKind.QUOTA,
        18: ErrorKind.RATE_LIMITED,
        19: ErrorKind.QUOTA,
        110: ErrorKind.AUTHENTICATION,
        111: ErrorKind.AUTHENTICATION,
    },
}
# What an error within a success would have had for a status, where it says so by a name alone.
_STATUS_BY_NAME = {
    "aborted": 409,
    "api_error": 500,
    "authentication_error": 401,
    "badrequesterror": 400,
    "billing_error": 402,
    "deadline_exceeded": 504,
    "failed_precondition": 400,
    "internal": 500,
    "invalid_argument": 400,
    "invalid_request_error": 400,
    "not_found": 404,
    "not_found_error": 404,
    "notfounderror": 404,
    "overloaded_error": 529,
    "permission_denied": 403,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "resource_exhausted": 429,
    "timeout_error": 504,
    "too_many_requests": 429,
    "unauthenticated": 401,
    "unavailable": 503,
}
_STATUS_BY_KIND = {
    ErrorKind.AUTHENTICATION: 401,
    ErrorKind.QUOTA: 402,
    ErrorKind.PERMISSION: 403,
    ErrorKind.MODEL_NOT_FOUND: 404,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.TIMEOUT: 504,
}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error says. `number` is a status or a vendor's own code, `kind` what the latter is known to mean."""

    codes: tuple[str, ...] = ()
    param: str | None = None
    message: str = ""
    delay: str | None = None
    number: int | None = None
    kind: ErrorKind | None = None

    @property
    def status(self) -> int:
        """The status of an error that came within a success; 502 where it does not say: the server behind it broke."""
        if self.number is not None and 400 <= self.number < 600:
            return self.number
        if self.kind is not None:
            return _STATUS_BY_KIND.get(self.kind, 400)
        return next((_STATUS_BY_NAME[code.lower()] for code in self.codes if code.lower() in _STATUS_BY_NAME), 502)


def read_error(body: bytes | str) -> ErrorBody:
    """What the body of an error status says."""
    text = body.encode("utf-8", errors="replace") if isinstance(body, str) else body
    try:
        data = orjson.loads(text[:_READ_BYTES])
    except orjson.JSONDecodeError:
        return ErrorBody()
    if isinstance(data, list) and data:
        data = data[0]
    return _of(_place(data) or data) if isinstance(data, dict) else ErrorBody()


def error_within(data: object) -> ErrorBody | None:
    """The error in the decoded body of a success, None where there is none."""
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return None
    place = _place(data)
    if place is None:
        found = _of(data)
        return found if found.message and ((found.number or 0) >= 400 or found.kind is not None) else None
    return _of(place)


def _place(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The mapping in which an error is told, None where it is not told in one of its own."""
    for found in (error_of_choice(_first(data.get("choices"))), data.get("error"), _first(data.get("errors"))):
        if isinstance(found, dict) and any(found.get(name) for name in ("message", "code", "type", "status")):
            return found
        if isinstance(found, str) and found:
            return {**data, "message": found}
    told = data.get("base_resp")
    return told if isinstance(told, dict) and _number(told.get("status_code")) else None


def error_of_choice(choice: Mapping[str, Any]) -> object:
    """What stands as an error in a choice; where litellm puts it, too."""
    beside = choice.get("provider_specific_fields")
    return choice.get("error") or (beside.get("error") if isinstance(beside, dict) else None)


def _of(error: Mapping[str, Any]) -> ErrorBody:
    told = error.get("details")
    details = [detail for detail in (_list(told) or [told]) if isinstance(detail, dict)]
    inner = error.get("innererror")
    named = [error.get("code"), error.get("type"), error.get("status")]
    named += (detail.get(name) for detail in details for name in ("reason", "error_code"))
    named.append(inner.get("code") if isinstance(inner, dict) else None)
    codes = tuple(value for value in named if isinstance(value, str) and value and not value.isdigit())
    number, kind = _numbers(error)
    param = error.get("param")
    found = ErrorBody(
        codes=codes,
        param=param if isinstance(param, str) else _violated(details),
        message=next((text for name in _MESSAGES if isinstance(text := error.get(name), str) and text), ""),
        delay=next((detail["retryDelay"] for detail in details if isinstance(detail.get("retryDelay"), str)), None),
        number=number,
        kind=ErrorKind.QUOTA if _is_of_the_day(details) else kind,
    )
    return _with_upstream(_with_places(_with_filters(found, inner), error.get("detail")), error.get("metadata"))


def _with_filters(found: ErrorBody, inner: object) -> ErrorBody:
    """With the content filters that held on Azure, and how grave they found it."""
    result = inner.get("content_filter_result") if isinstance(inner, dict) else None
    verdicts = result.items() if isinstance(result, dict) else ()
    held = [
        f"{name} ({verdict['severity']})" if isinstance(verdict.get("severity"), str) else name
        for name, verdict in verdicts
        if isinstance(verdict, dict) and verdict.get("filtered") is True
    ]
    return replace(found, message=f"{found.message} Filtered for {', '.join(held)}.".lstrip()) if held else found


def _violated(details: list[dict[str, Any]]) -> str | None:
    """The setting that Google refuses by its name (`generation_config.topP`), as options are named; another field as it stands."""
    field = next((_first(detail.get("fieldViolations")).get("field") for detail in details), None)
    if not isinstance(field, str):
        return None
    parts = field.split(".")
    if parts[0] not in {"generation_config", "generationConfig"} or len(parts) == 1:
        return field
    name = _HUMP.sub(lambda hump: f"_{hump[0].lower()}", parts[1])
    return _OPTIONS.get(name, name)


def _is_of_the_day(details: list[dict[str, Any]]) -> bool:
    """Whether Google says that a quota of the whole day is used up. The wait that it names beside that is far too short."""
    violations = (violation for detail in details for violation in _list(detail.get("violations")))
    return any("PerDay" in str(violation.get("quotaId")) for violation in violations if isinstance(violation, dict))


def _with_places(found: ErrorBody, detail: object) -> ErrorBody:
    """With the fields of the request that FastAPI names, and the one parameter where it is one."""
    places = [entry for entry in _list(detail) if isinstance(entry, dict)]
    if not places:
        return found
    told = [
        f"{'.'.join(map(str, _list(entry.get('loc'))))}: {entry.get('msg', '')}" for entry in places[:_SHOWN_PLACES]
    ]
    first = _list(places[0].get("loc"))
    param = first[1] if len(first) == 2 and first[0] == "body" and isinstance(first[1], str) else None
    return replace(found, message="; ".join(told), param=found.param or param)


def _with_upstream(found: ErrorBody, metadata: object) -> ErrorBody:
    """With what the provider behind a gateway said."""
    if not isinstance(metadata, dict):
        return found
    if metadata.get("flagged_input"):
        return replace(found, codes=("content_filter", *found.codes))
    raw = metadata.get("raw")
    said = raw if isinstance(raw, str) else orjson.dumps(raw).decode() if isinstance(raw, dict) else ""
    if not said:
        return found
    below = read_error(said)
    who = metadata.get("provider_name")
    told = f"{who if isinstance(who, str) else 'the provider behind it'}: {below.message or said}"
    return replace(
        found,
        codes=(*found.codes, *below.codes),
        param=found.param or below.param,
        delay=found.delay or below.delay,
        message=f"{found.message} ({told})" if found.message else told,
    )


def _numbers(error: Mapping[str, Any]) -> tuple[int | None, ErrorKind | None]:
    for name in ("code", "status_code", "error_code", "status"):
        number = _number(error.get(name))
        if number:
            return number, _NUMBERS.get(name, {}).get(number)
    return None, None


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 8:
        value = int(value)
    return value if type(value) is int else None


def _first(value: object) -> dict[str, Any]:
    first = next(iter(_list(value)), None)
    return first if isinstance(first, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
