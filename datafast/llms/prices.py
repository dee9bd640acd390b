"""The cost of a reply in USD.

Guarantee: a price that is not known gives None, never 0. A provider's own `price=` comes first, then the price list in
the package `genai-prices`; nothing is loaded from the network. Cost: about 1 us per reply of a known model, about 50 us
for models whose price depends on the time or on the prompt's length.
Limits: text tokens only; no batch discounts; reasoning costs what plain output does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import nearest
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.types import Usage

__all__ = ["Price", "context_window", "cost_usd", "nearest_model"]


# What Anthropic asks for tokens that are written to its prompt cache, in relation to other input.
_WRITTEN, _WRITTEN_FOR_LONG = 1.25, 2.0


@dataclass(frozen=True, slots=True)
class Price:
    """List price of one model, in USD per million tokens.

    Without `cached_input_usd_per_million`, input tokens read from a prompt cache cost as much as others. Tokens written to one cost
    `cache_write_usd_per_million`, by default 1.25 times as much as others, and 1.6 times that where they are kept for an hour.
    `batch_discount` is the part of all this that requests in batches save, 0.5 for half, where datafast does not know it.

    Raises:
        ConfigError: a price is negative or not a finite number, or the discount is not from 0 to 1.
    """

    input_usd_per_million: float
    output_usd_per_million: float
    cached_input_usd_per_million: float | None = None
    cache_write_usd_per_million: float | None = None
    batch_discount: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            expected, most = "USD per million tokens as a number >= 0", math.inf
            if field.name == "batch_discount":
                expected, most = "a number from 0 to 1, such as 0.5 for half the price", 1.0
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not is_number or not 0 <= value <= most:
                raise ConfigError(f"price.{field.name}: expected {expected}, got {value!r}.", key="price")

    @classmethod
    def of(cls, value: Price | Mapping[str, Any] | None) -> Price | None:
        """Takes a `Price`, or a mapping with its fields as in YAML; None stays None."""
        if value is None or isinstance(value, Price):
            return value
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or not set(names[:2]) <= set(value) <= set(names):
            raise ConfigError(
                f"price: expected {names[0]} and {names[1]} (and, if they differ, {', '.join(names[2:])}), got {value!r}.",
                key="price",
            )
        return cls(**value)

    def cost_usd(self, usage: Usage) -> float:
        """USD for this many tokens."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        cached_rate = self.cached_input_usd_per_million
        if cached_rate is None:
            cached_rate = self.input_usd_per_million
        usd = (
            (usage.input_tokens - cached) * self.input_usd_per_million
            + cached * cached_rate
            + usage.output_tokens * self.output_usd_per_million
        )
        if usage.cache_write_tokens:
            usd += self._beyond_input(usage)
        return usd / 1_000_000

    def _beyond_input(self, usage: Usage) -> float:
        """What tokens that are written to a prompt cache cost beyond plain input, times a million."""
        rate = self.cache_write_usd_per_million
        if rate is None:
            rate = self.input_usd_per_million * _WRITTEN
        written = min(usage.cache_write_tokens, usage.input_tokens)
        kept_long = min(usage.long_cache_write_tokens, written)
        weighed = written - kept_long + kept_long * _WRITTEN_FOR_LONG / _WRITTEN
        return weighed * rate - written * self.input_usd_per_million


_FREE = Price(0.0, 0.0)


class _Varying:
    """Marks a model whose price depends on the time of day or on the prompt's length."""


def cost_usd(usage: Usage, *, provider_name: str, model_id: str, price: Price | None = None) -> float | None:
    """The cost of a model's tokens.

    Args:
        usage: tokens of one reply. Not of several together, because prices may depend on a prompt's length.
        provider_name: the name of the provider: "openai", "anthropic", "gemini", "ollama"...
        model_id: the model, as in the config.
        price: the user's own price; overrides the list.

    Returns:
        USD, or None if the price is not known. Models that run on the user's own Ollama, and simulated ones, cost
        0.0.
    """
    if price is not None:
        return price.cost_usd(usage)
    listed = _listed_price(provider_name, model_id)
    if listed is None:
        return None
    return _varying_cost_usd(usage, provider_name, model_id) if isinstance(listed, _Varying) else listed.cost_usd(usage)


@lru_cache(maxsize=1024)
def _listed_price(provider_name: str, model_id: str) -> Price | _Varying | None:
    if provider_name == "simulated" or model_id.startswith("simulated/"):
        return _FREE
    if provider_name == "ollama":
        # Ollama's hosted models are paid by subscription, not by token.
        return None if model_id.endswith(("-cloud", ":cloud")) else _FREE
    if provider_name == "openai_compatible":
        # Any server may use any name, and the price list would mistake a known name for the original.
        return None
    return _from_price_list(provider_name, model_id)


@lru_cache(maxsize=1024)
@foreign_warnings_ignored()
def context_window(provider_name: str, model_id: str) -> int | None:
    """The size of the model's context in tokens, if the price list has it. It is an upper bound of a reply."""
    if provider_name == "openai_compatible":  # as for prices: its name says nothing
        return None
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, model = get_snapshot().find_provider_model(model_id, None, provider_name, None)
    except LookupError:
        return None
    window: int | None = model.context_window
    return window


@lru_cache(maxsize=256)
@foreign_warnings_ignored()
def nearest_model(provider_name: str, model_id: str) -> str | None:
    """The provider's model whose name `model_id` is most likely a slip for; None where it is known, or nothing is close."""
    if provider_name in {"azure", "openai_compatible"}:  # names of deployments, and of any server
        return None
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    try:
        provider = snapshot.find_provider(None, provider_name, None)
    except LookupError:
        return None
    if provider.find_model(model_id) is not None:
        return None
    return nearest(model_id, (model.id for model in provider.models))


@foreign_warnings_ignored()
def _from_price_list(provider_name: str, model_id: str) -> Price | _Varying | None:
    from genai_prices import Usage as ListUsage
    from genai_prices import calc_price

    try:
        found = calc_price(ListUsage(input_tokens=1, output_tokens=1), model_id, provider_id=provider_name)
    except LookupError:
        return None
    rates = {name: value for name, value in vars(found.model_price).items() if value is not None}
    if "input_mtok" not in rates or "output_mtok" not in rates:
        return None
    plain = all(isinstance(rate, Decimal) for rate in rates.values())
    if "requests_kcount" in rates or not plain or isinstance(found.model.prices, list):
        return _Varying()
    given = float(rates["input_mtok"])
    # Who lists no price for tokens of a cache asks none but that of other input.
    cached, written = (float(rates.get(name, given)) for name in ("cache_read_mtok", "cache_write_mtok"))
    return Price(given, float(rates["output_mtok"]), cached, written)


@foreign_warnings_ignored()
def _varying_cost_usd(usage: Usage, provider_name: str, model_id: str) -> float:
    from genai_prices import Usage as ListUsage
    from genai_prices import calc_price

    read = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - read)
    counts = ListUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        # Of models without a price for it they are plain input.
        **(
            {"cache_write_tokens": written, "cache_write_1h_tokens": min(usage.long_cache_write_tokens, written)}
            if written
            else {}
        ),
    )
    return float(calc_price(counts, model_id, provider_id=provider_name).total_price)
