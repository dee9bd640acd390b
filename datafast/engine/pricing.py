"""What recorded replies have cost, for those that a crash left without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datafast.engine.routes import labels_of
from datafast.llms.prices import cost_usd
from datafast.llms.replies.formats import usage_of

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider
    from datafast.store.unrecorded import Pricing
    from datafast.types import Usage

__all__ = ["pricing_of"]


def pricing_of(providers: Sequence[LLMProvider]) -> Pricing:
    """Prices replies by what these providers cost, and those of others by the price list."""
    labels = labels_of(providers)
    by_label = {labels[id(provider)]: provider for provider in providers}

    def price(label: str, raw: bytes, wire_format: str) -> tuple[Usage | None, float | None]:
        usage, provider = usage_of(raw, wire_format), by_label.get(label)
        if usage is None or provider is not None:
            return usage, provider.cost_usd(usage) if provider and usage is not None else None
        name, _, model_id = label.partition("#")[0].partition("/")
        return usage, cost_usd(usage, provider_name=name, model_id=model_id)

    return price
