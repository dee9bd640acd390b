"""Names of a package that are imported when they are first asked for.

    if TYPE_CHECKING:
        from datafast.datasets.raw import RawDataset
    else:
        __getattr__, __dir__ = lazy_names(__name__, {"datafast.datasets.raw": ["RawDataset"]})

Names that other packages with such scripts have and this one lacks may be named too, with what to use instead: importing one
says so.

A type checker sees only the first half, so it still refuses unknown names. A test checks that both halves agree. Cost: one
import at the first use of a name; after that it is an ordinary attribute.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["lazy_names"]


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]], *, absent: Mapping[str, str] = MappingProxyType({})
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: the names that come from each module.
        absent: sentences about names that are looked for here and do not exist.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name in absent:
            raise ImportError(f"{package} has no {name}. {absent[name]}", name=package)
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with _without_collection():
            value = getattr(import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return get, names


@contextmanager
def _without_collection() -> Iterator[None]:
    """Holds the garbage collector: what is made while modules are imported stays, and to look through it again and again takes a tenth of
    the start."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
