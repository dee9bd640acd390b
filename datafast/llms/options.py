"""The parameters of every provider, their allowed values, and their description in a config's JSON Schema.

Guarantee: an unknown name or a value out of range is refused when the provider is made, and the error names the
parameter. None means not set; parameters that are not set are not sent.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import orjson

from datafast._util.notify import did_you_mean
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.llms.prices import Price
from datafast.llms.timeouts import TIMEOUT_SCHEMA, checked_timeout
from datafast.llms.transport.redaction import looks_like_a_key

_CONCURRENCY_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
    "description": "Requests of this provider in flight at once; auto: as many as its server can use.",
}


def _concurrency(key: str, value: Any) -> int | str | None:
    if isinstance(value, str):
        if value == "auto":
            return value
        raise ConfigError(f'{key}: expected a whole number of at least 1, or "auto", got {value!r}.', key=key)
    return checked_count(key, value)


__all__ = [
    "NETWORK_OPTIONS",
    "OPTION_SCHEMAS",
    "ProviderOptions",
    "check_key",
    "check_options",
    "checked_count",
    "checked_number",
    "checked_text",
    "count_schema",
    "mapping_schema",
    "number_schema",
    "text_schema",
]

# These make up the request itself; setting them behind the back of the kind would break every reply.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")  # what Latin-1 holds, without control characters
_RESERVED_HEADERS = frozenset({"content-length", "transfer-encoding"})  # they say where the body ends
_MINUTES_OF_A_DAY = 24 * 60
_RESERVED_EXTRA = frozenset({"messages", "model", "stream"})
# What budgets reserve for a request must be what it can use. So these fields, in every server's spelling, have names of ours.
_LIMITS = frozenset(
    [
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"),
        *("maxTokens", "maxOutputTokens", "maxCompletionTokens", "num_predict", "n_predict"),
    ]
)
_SEVERAL = frozenset({"n", "best_of", "candidateCount", "candidate_count", "num_return_sequences"})
_NESTED = frozenset({"extra_body", "generationConfig", "generation_config", "options"})  # objects that hold such fields


NETWORK_OPTIONS = ("api_base", "api_key", "api_key_env", "extra_headers", "max_reply_mb", "ssl_ca", "stream")
"""What a model has no use for that is not called over a network: there is no address, and nobody who asks for a key."""


class ProviderOptions(TypedDict, total=False):
    """Keyword parameters of every provider, besides `api_key`, which may also be given by position.

    api_key_env: another environment variable to read it from, which must then be set.
    api_base: address of the server; by default `<NAME>_BASE_URL`, then `<NAME>_API_BASE`, then the provider's own. A
        trailing `/v1` may be there or not.
    temperature: 0 to 2. top_p: 0 to 1. frequency_penalty: -2 to 2.
    max_completion_tokens: most tokens of one reply, reasoning included.
    reasoning_effort: as the model names it: "minimal", "low", "medium", "high"...
    rpm_limit, tpm_limit: requests and tokens per minute that a run may use.
    stream: replies come as streams of events, so that long ones survive gateways that close quiet connections. What is recorded is the
        same. Off by default; only for chat completions, Anthropic and Gemini.
    timeout: seconds for one request from sending to the last byte, 600 by default; or a mapping: connect_s for making a connection,
        30 by default; total_s for all of it, without a limit by default where replies are streamed; with `stream` idle_s, in which
        nothing comes, 300 by default.
    max_concurrency: requests of this provider in flight at once, a further cap below the run's own; "auto" finds as many as its server
        can use, up to the run's own setting, or to 512 where that is left out.
    weight: share of the prompts it gets where a run splits them among providers; 1 by default.
    extra: further fields for the request body, as the server names them.
    extra_headers: further HTTP headers.
    max_reply_mb: MiB that the body of one answer may have, as it comes and decompressed; 64 by default.
    ssl_ca: path of a PEM file with certificate authorities to trust beside the system's.
    name: tells two entries apart that are otherwise the same model with the same parameters.
    price: a `Price` (or mapping with its fields), where the price list does not know the model or you pay something
        else.
    """

    api_key_env: str | None
    api_base: str | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    max_completion_tokens: int | None
    reasoning_effort: str | None
    rpm_limit: float | None
    tpm_limit: float | None
    stream: bool | None
    timeout: float | Mapping[str, float]
    max_concurrency: int | Literal["auto"] | None
    weight: float
    extra: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    max_reply_mb: float
    ssl_ca: str | Path | None
    name: str | None
    price: Price | Mapping[str, Any] | None


def check_options(options: Mapping[str, Any], *, own: Iterable[str] = (), unused: Iterable[str] = ()) -> dict[str, Any]:
    """All options, checked and in canonical form.

    Args:
        options: as the user gave them.
        own: the class's own parameters, which an unknown name may be meant for.
        unused: names that are useless for the class.

    Raises:
        ConfigError: an unknown name or a value out of range; `key` is the name.
    """
    for key in options:
        if key not in _OPTIONS:
            hint = did_you_mean(key, sorted(["model_id", *own, *_OPTIONS]))
            raise ConfigError(f"{key}: A provider has no such parameter. {hint}", key=key)
    for key in unused:
        if options.get(key) is not None:
            raise ConfigError(
                f"{key}: This model is not called over a network, so this parameter has no use. Leave it out.", key=key
            )
    checked: dict[str, Any] = {}
    for key, option in _OPTIONS.items():
        value = options.get(key)
        checked[key] = None if value is None else option.check(key, value)
    checked["max_reply_mb"] = checked["max_reply_mb"] or 64.0
    checked["weight"] = checked["weight"] or 1.0
    return checked


_MOST = 2**31 - 1

# --- checks: each takes the parameter's name and its value, None if it was not given


def _refused(key: str, expected: str, value: object) -> ConfigError:
    shown = "something that looks like a key" if looks_like_a_key(str(value)) else repr(value)
    return ConfigError(f"{key}: expected {expected}, got {shown}.", key=key)


def _not_a_mapping(key: str, what: str, value: object) -> ConfigError:
    # Without the value, which may be a key.
    return ConfigError(f"{key}: expected a mapping of {what}, got {type(value).__name__}.", key=key)


def checked_number(
    key: str, value: object, *, low: float = 0, high: float = math.inf, above: bool = False
) -> float | None:
    """A number from `low` to `high`; `above`: larger than `low`."""
    if value is None:
        return None
    expected = f"a number from {low:g} to {high:g}" if high < math.inf else f"a number, {low:g} or more"
    if above:
        expected = f"a number above {low:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _refused(key, expected, value)
    if not low <= value <= high or (above and value == low):
        raise _refused(key, expected, value)
    return value


def checked_count(key: str, value: object, *, least: int = 1) -> int | None:
    """A whole number of at least `least`, and not so large that no server and no ledger can hold it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _refused(key, f"a whole number, {least} or more", value)
    if value > _MOST:
        raise ConfigError(f"{key}: expected a whole number of at most {_MOST:,}.", key=key)
    return value


def checked_text(key: str, value: object) -> str | None:
    """A text of one line that is not empty, without the whitespace around it."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _refused(key, "a text that is not empty", value)
    if not value.strip().isprintable():
        raise _refused(key, "a text without control characters", value)
    return value.strip()


def check_key(value: str, *, place: str) -> None:
    """Refuses a key that no header can carry.

    Args:
        place: where it was given, for the message.
    """
    if not (value.isascii() and value.isprintable()):
        raise ConfigError(
            f"{place}: The key has characters that no key has, such as a line break or letters with accents. Copy it again.",
            key="api_key",
        )


def _switch(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refused(key, "true or false", value)
    return value


def _api_key(key: str, value: object) -> str:
    if not isinstance(value, str):
        hint = " Give parameters like temperature by name." if isinstance(value, int | float) else ""
        raise ConfigError(
            f"{key}: expected a text, got {type(value).__name__}.{hint}", key=key
        )  # the value is not shown
    cleaned = value.strip()
    if not cleaned:
        raise ConfigError(f"{key}: The text is empty. Leave it out to read the environment variable.", key=key)
    check_key(cleaned, place=key)
    return cleaned


def _variable(key: str, value: object) -> str | None:
    if isinstance(value, str) and looks_like_a_key(value):
        raise ConfigError(
            f"{key}: This looks like a key itself. Put the key into the environment or secrets.env, and give the name of its "
            "variable here, for example MY_KEY.",
            key=key,
        )  # the value is not shown
    name = checked_text(key, value)
    if name is not None and ("=" in name or " " in name):
        raise ConfigError(f"{key}: expected the name of an environment variable, for example MY_KEY.", key=key)
    return name


def _path(key: str, value: object) -> Path:
    if not isinstance(value, (str, Path)):
        raise _refused(key, "the path of a PEM file", value)
    return user_path(value)


def _headers(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _not_a_mapping(key, "header names to texts", value)
    for name, text in value.items():
        # Values are not shown: they are often keys.
        if not isinstance(name, str) or not isinstance(text, str) or not _HEADER_TEXT.fullmatch(text):
            raise ConfigError(
                f"{key}: The value of header {name!r} must be a text of one line in Latin letters. Write others percent-encoded.",
                key=key,
            )
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise ConfigError(f"{key}: {name!r} is not a header that can be set. Leave it out.", key=key)
    return dict(value)


def _require_one_limited_reply(key: str, fields: Mapping[Any, Any]) -> None:
    limits = sorted(_LIMITS & fields.keys())
    if limits:
        value = fields[limits[0]]
        raise ConfigError(
            f"{key}: {limits[0]} would limit replies without the budget knowing it. Write max_completion_tokens"
            f"{f': {value}' if isinstance(value, int) else ''} beside extra instead.",
            key=key,
        )
    several = sorted(name for name in _SEVERAL & fields.keys() if fields[name] not in (None, 1))
    if several:
        raise ConfigError(
            f"{key}: {several[0]} asks for several replies, of which one would be used and all paid for. Leave it out.",
            key=key,
        )


def _extra(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _not_a_mapping(key, "names of request fields to values", value)
    reserved = sorted(_RESERVED_EXTRA & value.keys())
    if reserved:
        raise ConfigError(
            f"{key}: {', '.join(reserved)} cannot be set here, because datafast sets it. Leave it out.", key=key
        )
    _require_one_limited_reply(key, value)
    for name in _NESTED & value.keys():
        if isinstance(value[name], Mapping):
            _require_one_limited_reply(f"{key}.{name}", value[name])
    try:
        orjson.dumps(dict(value))
        json.dumps(dict(value), allow_nan=False)  # orjson writes null in the place of NaN and Infinity
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: expected values that can be written as JSON ({error}).", key=key) from error
    return dict(value)


def _price(key: str, value: Any) -> Price | None:
    try:
        return Price.of(value)
    except ConfigError as error:
        raise ConfigError(str(error), key=key) from error


# --- descriptions, in the words of JSON Schema


def text_schema(about: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": about}


def count_schema(about: str, *, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "description": about}


def number_schema(about: str, **bounds: float) -> dict[str, Any]:
    return {"type": "number", **bounds, "description": about}


def mapping_schema(about: str, *, of: str | None = None) -> dict[str, Any]:
    """`of`: the type of its values, in the words of JSON Schema."""
    return {"type": "object", **({"additionalProperties": {"type": of}} if of else {}), "description": about}


class _Option(NamedTuple):
    check: Callable[[str, Any], Any]
    schema: dict[str, Any]


def _number(about: str, low: float, high: float) -> _Option:
    return _Option(partial(checked_number, low=low, high=high), number_schema(about, minimum=low, maximum=high))


def _rpm(key: str, value: object) -> float | None:
    limit = checked_number(key, value, above=True)
    if limit is not None and limit * _MINUTES_OF_A_DAY < 1:
        raise ConfigError(
            f"{key}: {limit:g} a minute is less than one request a day. It counts requests a minute: write at least 0.001.",
            key=key,
        )
    return limit


def _positive(about: str) -> _Option:
    return _Option(partial(checked_number, above=True), number_schema(about, exclusiveMinimum=0))


def _count(about: str) -> _Option:
    return _Option(checked_count, count_schema(about))


def _text(about: str) -> _Option:
    return _Option(checked_text, text_schema(about))


_OPTIONS: dict[str, _Option] = {
    "api_key": _Option(_api_key, text_schema("The key. It does not belong in a config.")),
    "api_key_env": _Option(
        _variable, text_schema("The environment variable that holds the key, where it is not the usual one.")
    ),
    "api_base": _text("Address of the server; a trailing /v1 may be there or not."),
    "temperature": _number("Sampling temperature.", 0, 2),
    "top_p": _number("Nucleus sampling.", 0, 1),
    "frequency_penalty": _number("Penalty for repetition.", -2, 2),
    "max_completion_tokens": _count("Most tokens of one reply, reasoning included."),
    "reasoning_effort": _text("As the model names it: minimal, low, medium, high..."),
    "rpm_limit": _Option(_rpm, number_schema("Requests per minute; at least one a day.", exclusiveMinimum=0)),
    "tpm_limit": _positive("Tokens per minute."),
    "stream": _Option(_switch, {"type": "boolean", "description": "Replies come as streams of events."}),
    "timeout": _Option(checked_timeout, TIMEOUT_SCHEMA),
    "max_concurrency": _Option(_concurrency, _CONCURRENCY_SCHEMA),
    "weight": _positive("Its share of the rows where providers share the work."),
    "extra": _Option(_extra, mapping_schema("Further fields of the request body.")),
    "extra_headers": _Option(_headers, mapping_schema("Further HTTP headers.", of="string")),
    "max_reply_mb": _positive("MiB that the body of one answer may have."),
    "ssl_ca": _Option(_path, text_schema("A PEM file with certificate authorities to trust.")),
    "name": _text("Tells two entries apart that are otherwise the same."),
    "price": _Option(_price, mapping_schema("USD per million tokens, where the price list does not know the model.")),
}

OPTION_SCHEMAS: dict[str, dict[str, Any]] = {name: option.schema for name, option in _OPTIONS.items()}
"""The JSON Schema of each of `ProviderOptions` in a config."""
