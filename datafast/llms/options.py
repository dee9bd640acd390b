"""The parameters that every provider takes, and what their values may be.

Guarantee: a value out of range or a name that does not exist is refused when the provider is made, naming the
parameter, before anything is sent. None means not set, and what is not set is not sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import orjson

from datafast._util.notify import nearest
from datafast.errors import ConfigError
from datafast.llms.prices import Price

__all__ = ["ProviderOptions", "check_options"]

# These make up the request itself; setting them behind the back of the kind would break every reply.
_RESERVED_EXTRA = frozenset({"messages", "model", "stream"})


class ProviderOptions(TypedDict, total=False):
    """Keyword parameters of every provider.

    api_key: the key; by default the provider's environment variable is read when a run starts.
    api_key_env: another environment variable to read it from, which must then be set.
    api_base: address of the server; by default `<NAME>_BASE_URL`, then `<NAME>_API_BASE`, then the provider's own. A
    trailing
        `/v1` may be there or not.
    temperature: 0 to 2. top_p: 0 to 1. frequency_penalty: -2 to 2.
    max_completion_tokens: most tokens of one reply, reasoning included.
    reasoning_effort: as the model names it: "minimal", "low", "medium", "high"...
    rpm_limit, tpm_limit: requests and tokens per minute that a run may use.
    timeout: seconds for one request from sending to the last byte; 600 by default.
    max_concurrency: requests of this provider in flight at once, a further cap below the run's own.
    weight: share of the prompts it gets where a run splits them among providers; 1 by default.
    extra: further fields for the request body, as the server names them.
    extra_headers: further HTTP headers.
    ssl_ca: path of a PEM file with certificate authorities to trust beside the system's.
    name: tells two entries apart that are otherwise the same model with the same parameters.
    price: a `Price` (or mapping with its fields), where the price list does not know the model or you pay something
    else.
    """

    api_key: str | None
    api_key_env: str | None
    api_base: str | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    max_completion_tokens: int | None
    reasoning_effort: str | None
    rpm_limit: float | None
    tpm_limit: float | None
    timeout: float
    max_concurrency: int | None
    weight: float
    extra: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    ssl_ca: str | Path | None
    name: str | None
    price: Price | Mapping[str, Any] | None


def check_options(options: Mapping[str, Any], *, own: Sequence[str] = ()) -> dict[str, Any]:
    """The options with every name present, checked and in canonical form.

    Args:
        options: as the user gave them.
        own: further parameters that the provider's class takes itself; what is unknown may be meant for one of them.

    Raises:
        ConfigError: an unknown name or a value out of range; `key` is the name.
    """
    known = list(_CHECKS)
    for key in options:
        if key not in known:
            valid = sorted(["model_id", *own, *known])
            near = nearest(key, valid)
            hint = f"Did you mean {near!r}?" if near else f"Valid names: {', '.join(valid)}."
            raise ConfigError(f"{key}: a provider has no such parameter. {hint}", key=key)
    checked: dict[str, Any] = {}
    for key, check in _CHECKS.items():
        value = options.get(key)
        checked[key] = None if value is None else check(key, value)
    checked["timeout"] = checked["timeout"] or 600.0
    checked["weight"] = checked["weight"] or 1.0
    return checked


def _refused(key: str, expected: str, value: object) -> ConfigError:
    return ConfigError(f"{key}: expected {expected}, got {value!r}.", key=key)


def _number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str, object], float]:
    expected = f"a number above {low:g}" if above else f"a number from {low:g} to {high:g}"

    def check(key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise _refused(key, expected, value)
        if not low <= value <= high or (above and value == low):
            raise _refused(key, expected, value)
        return value

    return check


def _count(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refused(key, "a whole number, 1 or more", value)
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _refused(key, "a text that is not empty", value)
    return value.strip()


def _api_key(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{key}: expected a text, got {type(value).__name__}.", key=key)
    cleaned = value.strip()
    if not cleaned:
        raise ConfigError(f"{key}: the text is empty. Leave it out to read the environment variable.", key=key)
    return cleaned


def _path(key: str, value: object) -> Path:
    if not isinstance(value, (str, Path)):
        raise _refused(key, "the path of a PEM file", value)
    return Path(value)


def _headers(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _refused(key, "a mapping of header names to texts", value)
    for name, text in value.items():
        # Values are not shown: they are often keys.
        if not isinstance(name, str) or not isinstance(text, str) or "\n" in name + text or "\r" in name + text:
            raise ConfigError(f"{key}: name and value of header {name!r} must be texts of one line.", key=key)
    return dict(value)


def _extra(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(key, "a mapping of request fields", value)
    reserved = sorted(_RESERVED_EXTRA & value.keys())
    if reserved:
        raise ConfigError(f"{key}: {', '.join(reserved)} cannot be set here; datafast fills it in.", key=key)
    try:
        orjson.dumps(dict(value))
    except TypeError as error:
        raise ConfigError(f"{key}: expected values that can be written as JSON ({error}).", key=key) from error
    return dict(value)


def _price(key: str, value: Any) -> Price | None:
    try:
        return Price.of(value)
    except ConfigError as error:
        raise ConfigError(str(error), key=key) from error


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "api_key": _api_key,
    "api_key_env": _text,
    "api_base": _text,
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "frequency_penalty": _number(-2, 2),
    "max_completion_tokens": _count,
    "reasoning_effort": _text,
    "rpm_limit": _number(0, above=True),
    "tpm_limit": _number(0, above=True),
    "timeout": _number(0, above=True),
    "max_concurrency": _count,
    "weight": _number(0, above=True),
    "extra": _extra,
    "extra_headers": _headers,
    "ssl_ca": _path,
    "name": _text,
    "price": _price,
}
