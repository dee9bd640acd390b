"""What a function does, as bytes that are the same in every process: its code, its constants, and the values that it reaches.

Of a module that the user wrote counts what the function names of it (`helpers.find`). Limits: modules, classes and functions of
packages count by their names, and versions are not looked at. Modules that are imported within a function are not looked into. Of objects
without plain values nothing is known: what reaches one is taken for another thing each time.
"""

from __future__ import annotations

import functools
import re
import secrets
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID

from pydantic import BaseModel

__all__ = ["code_of"]

_DEEPEST = 40
_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
_WRITTEN_OUT = (Decimal, date, timedelta, UUID, PurePath, re.Pattern, Enum, range)
_OF_EVERY_CLASS = frozenset(
    ["__dict__", "__weakref__", "_abc_impl", "__class_getitem__", "__annotate_func__", "__annotate__"]
)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def code_of(function: Any) -> tuple[str, bool]:
    """A text that stands for what a function does, and whether it does so in every process."""
    reader = _Reader()
    state = blake2b(digest_size=16)
    for part in reader.told(function, 0):
        state.update(len(part).to_bytes(8, "little") + part)
    return state.hexdigest(), reader.is_lasting


class _Reader:
    def __init__(self) -> None:
        self.is_lasting = True
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # as long as ids are compared

    def told(self, value: Any, depth: int) -> Iterator[bytes]:
        if isinstance(value, _PLAIN):
            yield f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
            return
        if id(value) in self._seen or depth > _DEEPEST:
            yield b"again %d" % self._seen.get(id(value), -1)
            return
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        yield type(value).__qualname__.encode()
        for part in self._parts(value):
            yield from self.told(part, depth + 1)

    def _parts(self, value: Any) -> Iterable[Any]:
        ways: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
            (_WRITTEN_OUT, lambda value: [repr(value)]),
            (functools.partial, lambda value: [value.func, value.args, value.keywords]),
            (MethodType, lambda value: [value.__func__, value.__self__]),
            (FunctionType, self._function),
            (CodeType, self._code),
            (ModuleType, lambda value: [value.__name__]),
            (BuiltinFunctionType, _builtin),
            (type, self._class),
            (property, lambda value: [value.fget, value.fset, value.fdel]),
            ((staticmethod, classmethod), lambda value: [value.__func__]),
            (functools.cached_property, lambda value: [value.func]),
            (defaultdict, lambda value: [value.default_factory, *_entries(value)]),
            (Mapping, lambda value: [*_entries(value), *_own_type(value)]),
            ((list, tuple), lambda value: [*value, *_own_type(value)]),
            ((set, frozenset), lambda value: sorted(map(repr, value))),
            (object, self._object),
        )
        return next(parts for kinds, parts in ways if isinstance(value, kinds))(value)

    def _function(self, function: FunctionType) -> list[Any]:
        if _is_of_a_package(function):
            return [function.__qualname__]
        cells = [_content(cell) for cell in function.__closure__ or ()]
        names = {name for code in _codes(function.__code__) for name in code.co_names}
        reached = _named(function.__globals__, names, set())
        attributes = {name: value for name, value in vars(function).items() if name != "__wrapped__"}
        told = [function.__code__, function.__defaults__, function.__kwdefaults__, cells, reached]
        return [*told, attributes] if attributes else told

    def _code(self, code: CodeType) -> list[Any]:
        # What names and places of lines it has does not change what it does.
        return [code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_flags]

    def _class(self, kind: type) -> list[Any]:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if _is_of_a_package(kind) or kind.__module__ == "builtins":
            return [name]
        bases = [base for base in kind.__bases__ if base is not object]
        return [name, _own_attributes(kind), *bases, *([] if type(kind) is type else [type(kind)])]

    def _object(self, value: Any) -> list[Any]:
        if isinstance(value, BaseModel):
            return [type(value), value.model_dump()]
        if hasattr(type(value), "__get__") and _is_of_a_package(type(value)):
            return []  # what a class of the user's has by its form: slots, fields of named tuples
        state = getattr(value, "__dict__", None)
        if state is not None and not _is_of_a_package(type(value)):
            return [type(value), state]
        self.is_lasting = False
        return [type(value).__qualname__, secrets.token_hex(8)]


def _own_attributes(kind: type) -> dict[str, Any]:
    """What a class of the user's has by itself, without what Python and pydantic keep in it."""
    functions = (FunctionType, staticmethod, classmethod, property)
    own = {
        key: value
        for key, value in vars(kind).items()
        if key not in _OF_EVERY_CLASS and (isinstance(value, functions) or not key.startswith("__"))
    }
    if issubclass(kind, Enum):
        methods = {key: value for key, value in own.items() if isinstance(value, functions) and not key.startswith("_")}
        return {**methods, **{name: member.value for name, member in kind.__members__.items()}}
    if issubclass(kind, BaseModel):
        methods = {key: value for key, value in own.items() if isinstance(value, functions)}
        return {**methods, **{name: repr(field) for name, field in kind.model_fields.items()}}
    return own


def _entries(value: Mapping[Any, Any]) -> list[Any]:
    return [item for pair in value.items() for item in pair]


def _own_type(value: Any) -> list[Any]:
    """The class of a container, where the user wrote it."""
    kind = type(value)
    return [] if kind.__module__ == "builtins" or _is_of_a_package(kind) else [kind]


def _builtin(function: Any) -> list[Any]:
    owner = function.__self__
    return [function.__qualname__, function.__module__, None if isinstance(owner, ModuleType) else owner]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of all functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named(namespace: Mapping[str, Any], names: set[str], seen: set[int]) -> dict[str, Any]:
    """What the names mean in a namespace; and, for the sake of `helpers.find(...)`, in modules there that the user wrote."""
    found = {name: namespace[name] for name in sorted(names) if name in namespace}
    for name, value in found.items():
        if isinstance(value, ModuleType) and not _is_installed(value):
            inner = {} if id(value) in seen else _named(vars(value), names, seen | {id(value)})
            found[name] = [value.__name__, inner]
    return found


def _is_of_a_package(thing: Any) -> bool:
    """Whether it belongs to Python or an installed package, which the user did not write."""
    module = sys.modules.get(getattr(thing, "__module__", "") or "")
    return module is not None and _is_installed(module)


def _is_installed(module: ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if path is None:
        return module.__name__ in sys.stdlib_module_names and module.__name__ != "__main__"
    return any(Path(path).is_relative_to(folder) for folder in _LIBRARIES)
