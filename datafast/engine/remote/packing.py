"""What is sent in the place of things that cannot be, or that are only of use where they are.

A dataset holds the sources of its config. They are read where the run was started, since their files may be nowhere else; an item has what
it needs of them. So a worker gets their length and name alone.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from datafast.errors import ConfigError
from datafast.sources.part import Part
from datafast.sources.records import Numbers, Records
from datafast.sources.spool import Spool

__all__ = ["Elsewhere", "reduced"]


class Elsewhere(Sequence[Any]):
    """In a worker, what is read where the run was started."""

    def __init__(self, name: str, length: int) -> None:
        self.name = name
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int | slice) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError(
            f"{self.name or 'A source'} is read where the run was started, not by workers. produce() has to take what it needs from "
            "its item."
        )


def reduced(thing: object) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
    """What makes another process's stand-in for a thing: a function and its arguments. None for what is sent as it is."""
    if isinstance(thing, Part):
        return Elsewhere, (thing.name, 0)
    if isinstance(thing, Records | Numbers | Spool):
        return Elsewhere, ("", len(thing))
    if isinstance(thing, functools._lru_cache_wrapper) and inspect.ismethod(thing.__wrapped__):
        return _kept, (thing.__wrapped__, thing.cache_parameters()["maxsize"])
    return None


def _kept(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """A function that keeps its newest results; it has none yet."""
    return functools.lru_cache(maxsize=size)(function)
