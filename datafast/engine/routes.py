"""Routes: who answers in which role.

A fan-out has a route for each of its providers, and each answers in every role. A kind with roles has one route, with a provider for each
role. Routes of providers are made once, where a dataset is asked to generate; a run turns them into routes of endpoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from datafast.engine.settings import FanOut

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["Route", "identities", "label_of", "labels_of", "providers_of", "route_identities"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, eq=False)
class Route(Generic[T_co]):
    """One answerer for every role, or one for each role. Made by `single` or `by_role`.

    Attributes:
        sole: the one that answers in every role; None where each role has its own.
    """

    sole: T_co | None
    _by_role: Mapping[str, T_co]

    @staticmethod
    def single(answerer: T) -> Route[T]:
        """A route on which one answers in every role."""
        return Route(answerer, MappingProxyType({}))

    @staticmethod
    def by_role(answerers: Mapping[str, T]) -> Route[T]:
        """A route on which each role has its own, or none needs any."""
        return Route(None, MappingProxyType(dict(answerers)))

    def of(self, role: str) -> T_co:
        """Who answers in a role."""
        return self._by_role[role] if self.sole is None else self.sole

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that have an answerer of their own, in their order; none on a single route."""
        return tuple(self._by_role)

    @property
    def members(self) -> list[T_co]:
        """Everyone on the route once, in the order of the roles."""
        everyone = self._by_role.values() if self.sole is None else (self.sole,)
        return list({id(answerer): answerer for answerer in everyone}.values())

    def map(self, change: Callable[[T_co], U]) -> Route[U]:
        """The same route with what `change` gives for each member. Who answers in several roles is changed once."""
        changed = {id(member): change(member) for member in self.members}
        if self.sole is not None:
            return Route.single(changed[id(self.sole)])
        return Route.by_role({role: changed[id(answerer)] for role, answerer in self._by_role.items()})


class Labelled(Protocol):
    """Whatever users know by a name."""

    @property
    def label(self) -> str: ...


def label_of(route: Route[Labelled]) -> str:
    """How users see a route: its members' labels, each once."""
    return " + ".join(dict.fromkeys(member.label for member in route.members))


def identities(providers: Sequence[object]) -> list[str]:
    """The identity of each provider in a fan-out: equal ones are numbered. Any object will do where only counts matter."""
    seen: Counter[str] = Counter()
    result = []
    for provider in providers:
        plain = _identity(provider)
        seen[plain] += 1
        result.append(plain if seen[plain] == 1 else f"{plain}#{seen[plain]}")
    return result


def _identity(provider: object) -> str:
    return str(getattr(provider, "identity", type(provider).__qualname__))


def route_identities(routes: Sequence[Route[object]], *, fan_out: FanOut) -> list[str]:
    """The identities of a plan's routes: who answers, where that is part of what an item is."""
    if fan_out != "all":
        return [fan_out]
    numbered = iter(identities([route.sole for route in routes if route.sole is not None]))
    return [next(numbered) if route.sole is not None else _roles_identity(route) for route in routes]


def _roles_identity(route: Route[object]) -> str:
    return "\n".join(f"{role}={_identity(route.of(role))}" for role in sorted(route.roles))


def providers_of(routes: Sequence[Route[LLMProvider]]) -> list[LLMProvider]:
    """Every provider of some routes once, in their order."""
    return list({id(provider): provider for route in routes for provider in route.members}.values())


def labels_of(providers: Sequence[LLMProvider]) -> dict[int, str]:
    """How users see each provider, by its `id`: its name or `provider/model_id`, numbered where two would look alike."""
    seen: Counter[str] = Counter()
    labels = {}
    for provider in providers:
        plain = provider.name or provider.label
        seen[plain] += 1
        labels[id(provider)] = plain if seen[plain] == 1 else f"{plain}#{seen[plain]}"
    return labels
