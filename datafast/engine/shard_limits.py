"""The part that a shard has of the limits of a config.

Shards know nothing of each other, so each keeps a part of what holds for all of them together: budgets, and requests and tokens per minute.
Parts of whole numbers are whole, differ by at most one and add up to the limit, so that it holds in every minute; those of `budget_usd` are
rounded down to a millionth of a dollar.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datafast.engine.routes import Route, replaced
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError
from datafast.store.shards import ShardName

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["part_of_count", "routes_of_shard", "settings_of_shard"]

_MILLIONTHS = 10**6


def part_of_count(limit: int, shard: ShardName) -> int:
    """The part of a whole number that a shard has."""
    return limit // shard.of + (shard.number <= limit % shard.of)


def settings_of_shard(settings: RunConfig, shard: ShardName) -> RunConfig:
    """The settings of a run, with the shard's part of the budgets.

    Raises:
        ConfigError: there is nothing left for it of one of them.
    """
    parts: dict[str, float] = {}
    if settings.budget_usd is not None:
        parts["budget_usd"] = math.floor(settings.budget_usd * _MILLIONTHS / shard.of) / _MILLIONTHS
    for name, limit in (("max_calls", settings.max_calls), ("max_tokens", settings.max_tokens)):
        if limit is not None:
            parts[name] = part_of_count(limit, shard)
    for name, part in parts.items():
        _refuse_nothing(f"run.{name}", getattr(settings, name), part, shard, key="run")
    return settings.model_copy(update=parts) if parts else settings


def routes_of_shard(routes: Sequence[Route[LLMProvider]], shard: ShardName) -> Sequence[Route[LLMProvider]]:
    """The routes with providers that have the shard's part of their limits per minute. Those without such limits stay as they are.

    Raises:
        ConfigError: there is nothing left for it of one of them.
    """

    def with_part(provider: LLMProvider) -> LLMProvider:
        limits = {name: limit for name in ("rpm_limit", "tpm_limit") if (limit := getattr(provider, name)) is not None}
        if not limits:
            return provider
        made = copy.copy(provider)
        for name, limit in limits.items():
            part = part_of_count(int(limit), shard) if limit == int(limit) else limit / shard.of
            _refuse_nothing(f"{provider.label}: {name}", limit, part, shard, key=name)
            setattr(made, name, part)
        return made

    return replaced(routes, with_part)


def _refuse_nothing(what: str, limit: float, part: float, shard: ShardName, *, key: str) -> None:
    if part <= 0:
        raise ConfigError(
            f"{what} is {limit:,.12g} for all {shard.of:,} shards together, which leaves nothing for shard {shard}. Raise it, or use fewer "
            f"shards.",
            key=key,
        )
