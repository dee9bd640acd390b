"""One door for everything that other packages may add: entry points, a group for each sort of thing.

Built-in things stand in a table of the same shape (`name -> "module:attribute"`), so that finding one of them reads no metadata.

Guarantee: nothing is imported before it is asked for by its name, and then that alone. A package that is broken harms nothing but
what it offers, and is named. Cost: the metadata of the installed packages is read once a process, a few milliseconds, and only for a
name that is not built in or for a list of all names. Limits: a name belongs to one package. Where two packages claim a name, using it is
refused with both named; the name of a built-in thing stays with the built-in thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError

__all__ = ["Door", "installed"]

T = TypeVar("T")


class Door(Generic[T]):
    """The things of one group.

    Args:
        group: the entry-point group.
        noun: what one thing is called in messages ("kind").
        built_in: where each built-in thing is found, by name.
        check: says what is wrong with a loaded thing under this name ("a class derived from ... is expected"), or None.
        key: the config field that errors are about.
    """

    def __init__(
        self,
        group: str,
        *,
        noun: str,
        built_in: Mapping[str, str],
        check: Callable[[str, Any], str | None],
        key: str | None = None,
    ) -> None:
        self.group = group
        self.noun = noun
        self.key = key
        self._built_in = {name: EntryPoint(name, value, group) for name, value in built_in.items()}
        self._check = check
        self._registered: dict[str, T] = {}

    def names(self) -> list[str]:
        """All names: built-in ones first, then those of installed packages, then those of this process. Imports none of them."""
        offered = (point.name for point in installed(self.group))
        return list(dict.fromkeys([*self._built_in, *offered, *self._registered]))

    def is_built_in(self, name: str) -> bool:
        return name in self._built_in

    def register(self, name: str, thing: T) -> None:
        """Makes a thing known in this process.

        Raises:
            ConfigError: the name is taken by another one.
        """
        if name in self.names() and self._registered.get(name) is not thing:
            raise ConfigError(f"There is a {self.noun} {name!r} already. Choose another name.", key=self.key)
        self._registered[name] = thing

    def load(self, name: str) -> T:
        """The thing of a name.

        Raises:
            ConfigError: there is no such name (with the nearest one), two packages claim it, or what a package offers
                cannot be imported or is not what it should be (with the package named).
        """
        if name in self._registered:
            return self._registered[name]
        point = self._built_in.get(name) or self._of_a_package(name)
        try:
            thing = point.load()
        except Exception as error:
            raise ConfigError(
                f"The {self.noun} {name!r} of {_package(point)} cannot be loaded from {point.value}: "
                f"{type(error).__name__}: {error}. Reinstall or update that package.",
                key=self.key,
            ) from error
        if (wrong := self._check(name, thing)) is not None:
            raise ConfigError(
                f"{point.value} of {_package(point)} is not a {self.noun} named {name!r}: {wrong}.", key=self.key
            )
        loaded: T = thing
        return loaded

    def _of_a_package(self, name: str) -> EntryPoint:
        found = {point.value: point for point in installed(self.group) if point.name == name}
        if not found:
            hint = did_you_mean(name, self.names())
            raise ConfigError(f"There is no {self.noun} {name!r}. {hint}", key=self.key)
        if len(found) > 1:
            claims = " and ".join(f"{_package(found[value])} ({value})" for value in sorted(found))
            raise ConfigError(
                f"The {self.noun} {name!r} is offered more than once: by {claims}. Uninstall all but one of them.",
                key=self.key,
            )
        (point,) = found.values()
        return point


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """What installed packages offer in a group; read once a process (`installed.cache_clear()` reads it anew)."""
    return tuple(entry_points(group=group))


def _package(point: EntryPoint) -> str:
    if point.dist is not None:
        return f"the package {point.dist.name}"
    return "datafast" if point.value.startswith("datafast.") else f"the package {point.value.partition('.')[0]}"
