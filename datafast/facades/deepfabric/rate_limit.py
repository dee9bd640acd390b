"""The `rate_limit` of a `DataSetGenerator` and of configs, in the names of its documents and of its code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from datafast._util.config_model import ConfigModel
from datafast._util.notify import warn_user

__all__ = ["RateLimit"]

_OTHER_NAMES = {
    "base_delay": "initial_retry_delay",
    "max_delay": "max_retry_delay",
    "requests_per_minute": "max_requests_per_minute",
    "tokens_per_minute": "max_tokens_per_minute",
}
_ALWAYS: dict[str, Any] = {
    "backoff_strategy": "exponential_jitter",
    "exponential_base": 2,
    "jitter": True,
    "respect_retry_after": True,
}
"""What waits are like, whatever is asked for."""
_UNUSED = {
    "check_credits",
    "check_headers",
    "gradual_rampup",
    "preemptive_backoff",
    "retry_on_exceptions",
    "retry_on_status_codes",
    "token_bucket_aware",
}


class RateLimit(ConfigModel):
    """Limits and retries."""

    max_requests_per_minute: float | None = Field(default=None, gt=0)
    """Requests that are sent in any minute at most."""

    max_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Tokens, of prompts and replies, that are used in any minute at most."""

    max_retries: int | None = Field(default=None, ge=0, le=100)
    """How often one request is sent again; wins over the generator's `max_retries`."""

    initial_retry_delay: float | None = Field(default=None, gt=0, le=3600)
    """Seconds to wait at most before the first repeat; each further one waits up to twice as long."""

    max_retry_delay: float | None = Field(default=None, gt=0, le=86_400)
    """The most seconds that this wait grows to."""

    @model_validator(mode="before")
    @classmethod
    def _in_these_names(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        idle = [
            name
            for name, value in given.items()
            if name in _UNUSED or (name in _ALWAYS and value is not None and value != _ALWAYS[name])
        ]
        if idle:
            warn_user(
                f"rate_limit: {', '.join(idle)} has no effect. Waits are random, double up to max_retry_delay, and are never shorter than "
                f"the server asks for. Leave it out."
            )
        kept = {name: value for name, value in given.items() if name not in _UNUSED and name not in _ALWAYS}
        return {_OTHER_NAMES.get(name, name): value for name, value in kept.items()}
