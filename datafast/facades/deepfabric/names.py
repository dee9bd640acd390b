"""Models by the names that DeepFabric's users give: a provider and a model, or both in one."""

from __future__ import annotations

from datafast.llms.registry import PROVIDERS

__all__ = ["parted"]


def parted(provider: str | None, model: str | None) -> tuple[str | None, str | None]:
    """Provider and model; `openai/gpt-4` alone is both, if there is such a provider."""
    if provider is None and isinstance(model, str):
        first, slash, rest = model.partition("/")
        if slash and first in PROVIDERS:
            return first, rest
    return provider, model
