"""Routes: who answers in which role.

A fan-out has a route for each provider, which answers in every role. A kind with roles has one route, with a provider for each role.
Beside these, a config may name the providers of further roles itself, such as a judge: they answer on every route.
Routes of providers are made once, when a dataset is asked to generate. A run turns them into routes of endpoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from datafast.engine.settings import FanOut
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = [
    "FurtherRole",
    "Route",
    "call_identities",
    "identities",
    "label_of",
    "labels_of",
    "providers_of",
    "replaced",
    "route_identities",
    "with_further",
]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True, eq=False)
class Route(Generic[T_co]):
    """One member for all roles, or one for each role. Made by `single` or `by_role`.

    Attributes:
        sole: the member that answers in every role; None if each role has its own.
        further: the members of further roles, which stand beside these.
    """

    sole: T_co | None
    _by_role: Mapping[str, T_co]
    further: Mapping[str, T_co] = field(default_factory=lambda: MappingProxyType({}))

    @staticmethod
    def single(answerer: T) -> Route[T]:
        """A route on which one member answers in every role."""
        return Route(answerer, MappingProxyType({}))

    @staticmethod
    def by_role(answerers: Mapping[str, T]) -> Route[T]:
        """A route on which each role has its own member. There may be no roles."""
        return Route(None, MappingProxyType(dict(answerers)))

    def with_further(self: Route[T], members: Mapping[str, T]) -> Route[T]:
        """The route with members of further roles."""
        return replace(self, further=MappingProxyType(dict(members)))

    def of(self, role: str) -> T_co:
        """The member that answers in a role."""
        if role in self.further:
            return self.further[role]
        return self._by_role[role] if self.sole is None else self.sole

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles with a member of their own, in order; none on a single route. Without further ones."""
        return tuple(self._by_role)

    @property
    def own(self) -> list[T_co]:
        """Each member once, in the order of the roles, without those of further roles."""
        everyone = self._by_role.values() if self.sole is None else (self.sole,)
        return list({id(answerer): answerer for answerer in everyone}.values())

    @property
    def members(self) -> list[T_co]:
        """Each member once: the own ones, then those of further roles."""
        return list({id(answerer): answerer for answerer in (*self.own, *self.further.values())}.values())

    def map(self, change: Callable[[T_co], U]) -> Route[U]:
        """The route with `change(member)` for each member. A member with several roles is changed once."""
        changed = {id(member): change(member) for member in self.members}

        def each(members: Mapping[str, T_co]) -> Mapping[str, U]:
            return {role: changed[id(answerer)] for role, answerer in members.items()}

        own = Route.by_role(each(self._by_role)) if self.sole is None else Route.single(changed[id(self.sole)])
        return replace(own, further=each(self.further)) if self.further else own


@dataclass(frozen=True, slots=True)
class FurtherRole:
    """A role that a config asks beside those of its providers, and for which it may name a provider itself.

    Attributes:
        provider: as `datafast.llms.spec` takes it; None where no other one is named.
        like: the role whose provider is asked then, where each has its own.
        place: where the provider stands in the config.
    """

    role: str
    provider: Any
    like: str
    place: tuple[str | int, ...]


def replaced(routes: Sequence[Route[T]], change: Callable[[T], U]) -> list[Route[U]]:
    """The routes with `change(member)` for each member. One that answers on several routes is changed once."""
    made: dict[int, U] = {}

    def once(member: T) -> U:
        if id(member) not in made:
            made[id(member)] = change(member)
        return made[id(member)]

    return [route.map(once) for route in routes]


def with_further(routes: Sequence[Route[LLMProvider]], roles: Sequence[FurtherRole]) -> list[Route[LLMProvider]]:
    """The routes with the providers of further roles. Routes that have them already stay as they are.

    A provider that is named again, with no other options, is the one that is there already, so that its limits hold for both.
    """
    if not roles or all(route.further for route in routes):
        return list(routes)
    from datafast.llms.spec import named_provider

    known, further = providers_of(routes), {}
    for role in roles:
        if role.provider is None:
            continue
        named = named_provider(role.provider)
        same = next((provider for provider in known if named.agrees_with(provider)), named)
        known.append(same)
        further[role.role] = same

    def beside(route: Route[LLMProvider]) -> Route[LLMProvider]:
        others = {role.role: _like(role, route) for role in roles if role.provider is None and route.sole is None}
        return replace(route, further=MappingProxyType({**further, **others}))

    return [beside(route) for route in routes]


def _like(role: FurtherRole, route: Route[T]) -> T:
    if role.like not in route.roles:
        place = ".".join(str(step) for step in role.place)
        raise ConfigError(f"{place}: There is no provider for {role.like!r} who could answer. Name one here.")
    return route.of(role.like)


class Labelled(Protocol):
    """Something with a name for users."""

    @property
    def label(self) -> str: ...


def label_of(route: Route[Labelled]) -> str:
    """The name of a route for users: the labels of its own members, each once."""
    return " + ".join(dict.fromkeys(member.label for member in route.own))


def identities(providers: Sequence[object]) -> list[str]:
    """The identity of each provider in a fan-out; equal ones are numbered. If only counts matter, any objects will do."""
    seen: Counter[str] = Counter()
    result = []
    for provider in providers:
        plain = _identity(provider)
        seen[plain] += 1
        result.append(plain if seen[plain] == 1 else f"{plain}#{seen[plain]}")
    return result


def _identity(provider: object) -> str:
    return str(getattr(provider, "identity", type(provider).__qualname__))


def call_identities(routes: Sequence[Route[LLMProvider]], *, fan_out: FanOut) -> dict[int, str]:
    """The identity of each provider in the keys of its calls, by its `id`.

    Equal providers are numbered only if no role distinguishes them. The identity is empty if it does not matter who answers, so
    that a reply of one provider is not paid for again at another. Those that answer only in further roles are left out: these calls
    have the identity of their provider itself.
    """
    providers = list({id(provider): provider for route in routes for provider in route.own}.values())
    if fan_out != "all":
        found = [""] * len(providers)
    elif any(route.sole is None for route in routes):
        found = [provider.identity for provider in providers]
    else:
        found = identities(providers)
    return {id(provider): identity for provider, identity in zip(providers, found, strict=True)}


def route_identities(routes: Sequence[Route[object]], *, fan_out: FanOut) -> list[str]:
    """The identities of a plan's routes: who answers, if that is part of what an item is."""
    if fan_out != "all":
        return [fan_out]
    numbered = iter(identities([route.sole for route in routes if route.sole is not None]))
    return [next(numbered) if route.sole is not None else _roles_identity(route) for route in routes]


def _roles_identity(route: Route[object]) -> str:
    return "\n".join(f"{role}={_identity(route.of(role))}" for role in sorted(route.roles))


def providers_of(routes: Sequence[Route[LLMProvider]]) -> list[LLMProvider]:
    """Each provider of some routes once, in order: those of further roles after all others."""
    own = [provider for route in routes for provider in route.own]
    further = [provider for route in routes for provider in route.further.values()]
    return list({id(provider): provider for provider in (*own, *further)}.values())


def labels_of(providers: Sequence[LLMProvider]) -> dict[int, str]:
    """The name of each provider for users, by its `id`: its name or `provider/model_id`, numbered if two would look the same."""
    seen: Counter[str] = Counter()
    labels = {}
    for provider in providers:
        plain = provider.name or provider.label
        seen[plain] += 1
        labels[id(provider)] = plain if seen[plain] == 1 else f"{plain}#{seen[plain]}"
    return labels
