"""The `rate_limit` of a `DataSetGenerator`, with any of five keys."""

from __future__ import annotations

from pydantic import Field

from datafast._util.config_model import ConfigModel

__all__ = ["RateLimit"]


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
