"""Routes: who answers, as plans, keys and users name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from datafast.engine.settings import FanOut

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["identities", "labels_of", "providers_of", "route_identities"]


def identities(providers: Sequence[object]) -> list[str]:
    """The identity of each provider in a fan-out: equal ones are numbered. Any object will do where only counts matter."""
    seen: Counter[str] = Counter()
    result = []
    for provider in providers:
        plain = str(getattr(provider, "identity", type(provider).__qualname__))
        seen[plain] += 1
        result.append(plain if seen[plain] == 1 else f"{plain}#{seen[plain]}")
    return result


def route_identities(routes: Sequence[object], *, fan_out: FanOut) -> list[str]:
    """The identities of the plan's routes: who answers, where that is part of what an item is."""
    if fan_out != "all":
        return [fan_out]
    plain = [route for route in routes if not isinstance(route, Mapping)]
    numbered = iter(identities(plain))
    return [_roles_identity(route) if isinstance(route, Mapping) else next(numbered) for route in routes]


def _roles_identity(roles: Mapping[str, object]) -> str:
    return "\n".join(f"{role}={identities([roles[role]])[0]}" for role in sorted(roles))


def providers_of(routes: Sequence[LLMProvider | Mapping[str, LLMProvider]]) -> list[LLMProvider]:
    """Every provider of some routes once, in their order."""
    found: dict[int, LLMProvider] = {}
    for route in routes:
        for provider in route.values() if isinstance(route, Mapping) else (route,):
            found.setdefault(id(provider), provider)
    return list(found.values())


def labels_of(providers: Sequence[LLMProvider]) -> dict[int, str]:
    """How users see each provider, by its `id`: its name or `provider/model_id`, numbered where two would look alike."""
    seen: Counter[str] = Counter()
    labels = {}
    for provider in providers:
        plain = provider.name or provider.label
        seen[plain] += 1
        labels[id(provider)] = plain if seen[plain] == 1 else f"{plain}#{seen[plain]}"
    return labels
