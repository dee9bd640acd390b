"""Everything that other packages may add: entry points, with a group for each sort of thing.

Built-in things are in a table of the same shape (`name -> "module:attribute"`), so finding one of them reads no metadata.

Guarantee: a thing is imported when it is asked for by name, and only that one. A broken package affects only the things that it offers,
and errors name it. Cost: the metadata of the installed packages is read once a process, in a few milliseconds, and only for a name that
is not built in or for a list of all names. Limits: a name belongs to one package. If two packages claim a name, using it is refused, and
the error names both. Names of built-in things cannot be claimed; a list of all names warns of packages that try.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, NamedTuple, TypeVar

from datafast._util.notify import did_you_mean, warn_user
from datafast.errors import ConfigError, DatafastError

__all__ = ["Door", "Offered", "blaming", "installed", "without_door"]

T = TypeVar("T")


class Offered(NamedTuple):
    """What stands behind one entry point: the thing itself, or why it cannot be used."""

    point: EntryPoint
    thing: Any
    problem: str | None


class Door(Generic[T]):
    """The things of one group.

    Args:
        group: the entry-point group.
        noun: what one thing is called in messages ("kind").
        built_in: the place of each built-in thing, by name.
        check: says what is wrong with a loaded thing of this name ("a class derived from ... is expected"), or None.
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
        self._told: set[tuple[str, str]] = set()

    def names(self) -> list[str]:
        """All names: built-in ones first, then those of installed packages, then those of this process. Imports none of them.

        Warns once a process of each thing that cannot be used because its name is built in.
        """
        offered = installed(self.group)
        for point in offered:
            if point.name in self._built_in:
                self._tell_of_hidden(point)
        return list(dict.fromkeys([*self._built_in, *(point.name for point in offered), *self._registered]))

    def is_built_in(self, name: str) -> bool:
        return name in self._built_in

    def register(self, name: str, thing: T) -> None:
        """Adds a thing in this process. A definition that is run again, as in a notebook, replaces the former, and a thing that its
        package also offers by an entry point is one thing.

        Raises:
            ConfigError: another thing has the name.
        """
        before = self._registered.get(name)
        is_same = _home(before) == _home(thing) if before is not None else self._is_offered(name, thing)
        if name in self.names() and not is_same:
            raise ConfigError(f"There already is a {self.noun} {name!r}. Choose another name.", key=self.key)
        self._registered[name] = thing

    def _is_offered(self, name: str, thing: T) -> bool:
        """Whether a thing is what its own package offers under a name, perhaps by way of another of its modules."""
        module, qualname = _home(thing)
        package = module.partition(".")[0]
        offers = [point for point in installed(self.group) if point.name == name]
        return name not in self._built_in and all(
            (point.module.partition(".")[0], point.attr) == (package, qualname) for point in offers
        )

    def load(self, name: str) -> T:
        """The thing with this name.

        Raises:
            ConfigError: there is no such name (the error gives the nearest one), two packages claim it, or the thing cannot
                be imported or is of the wrong sort (the error names the package).
        """
        if name in self._registered:
            return self._registered[name]
        point = self._built_in.get(name) or self._of_a_package(name)
        try:
            thing = point.load()
        except (Exception, SystemExit) as error:  # an imported module may call sys.exit
            raise ConfigError(
                f"The {self.noun} {name!r} of {_package(point)} cannot be loaded from {point.value}: "
                f"{type(error).__name__}: {error}. Reinstall or update that package.",
                key=self.key,
            ) from error
        if (wrong := _left_open(thing) or self._check(name, thing)) is not None:
            raise ConfigError(
                f"{point.value} of {_package(point)} is not a {self.noun} named {name!r}: {wrong}.", key=self.key
            )
        loaded: T = thing
        return loaded

    def loaded(self) -> dict[str, T]:
        """All things that can be loaded, by name; warns of the others."""
        things: dict[str, T] = {}
        for name in self.names():
            try:
                things[name] = self.load(name)
            except ConfigError as error:
                warn_user(f"{error} It is left out here.")
        return things

    def offered(self) -> list[Offered]:
        """What datafast and the installed packages offer, each loaded, and what cannot be used with the reason."""
        packaged = {(point.name, point.value): point for point in installed(self.group)}
        return [
            *(self._offered(point) for point in self._built_in.values()),
            *(
                Offered(point, None, self._hidden(point)) if point.name in self._built_in else self._offered(point)
                for point in packaged.values()
            ),
        ]

    def _offered(self, point: EntryPoint) -> Offered:
        try:
            return Offered(point, self.load(point.name), None)
        except ConfigError as error:
            return Offered(point, None, str(error))

    def _tell_of_hidden(self, point: EntryPoint) -> None:
        claim = f"{_package(point)} ({point.value})"
        if (claim, point.name) not in self._told:
            self._told.add((claim, point.name))
            warn_user(self._hidden(point))

    def _hidden(self, point: EntryPoint) -> str:
        return (
            f"The {self.noun} {point.name!r} of {_package(point)} ({point.value}) cannot be used, because datafast has a built-in "
            f"one of that name. Ask the author of the package for another name."
        )

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


@contextmanager
def blaming(thing: object, where: str) -> Iterator[None]:
    """Names a thing of another package that raises what it should not. Our own go on as they are: bugs, with their traceback.

    Raises:
        ConfigError: it raised an error that is neither this one nor about its values.
    """
    kind = thing if isinstance(thing, type) else type(thing)
    try:
        yield
    except Exception as error:
        from pydantic import ValidationError  # imported here, because the start needs none of it

        if isinstance(error, DatafastError | ValidationError) or kind.__module__.partition(".")[0] == "datafast":
            raise
        raise ConfigError(
            f"{kind.__module__}.{kind.__qualname__} raised {type(error).__name__} in {where}: {error}. "
            f"Ask its author to mend it, or leave it out."
        ) from error


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """What installed packages offer in a group; read once a process (`installed.cache_clear()` makes it read again)."""
    return tuple(entry_points(group=group))


def without_door(groups: Collection[str]) -> list[Offered]:
    """What installed packages offer in groups of our name that are none of these: a misspelt one would be missed without a word."""
    found = []
    for group in sorted(entry_points().groups):
        if group.startswith("datafast.") and group not in groups:
            hint = did_you_mean(group, groups)
            found += [Offered(point, None, f"There is no group {group!r}. {hint}") for point in installed(group)]
    return found


def _home(thing: Any) -> tuple[str, str]:
    """Where a thing is defined; the same for a definition that is run again."""
    return getattr(thing, "__module__", ""), getattr(thing, "__qualname__", repr(thing))


def _left_open(thing: Any) -> str | None:
    if inspect.isabstract(thing):
        return f"it does not define {', '.join(sorted(thing.__abstractmethods__))}"
    return None


def _package(point: EntryPoint) -> str:
    if point.dist is not None:
        return f"the package {point.dist.name}"
    return "datafast" if point.value.startswith("datafast.") else f"the package {point.value.partition('.')[0]}"
