"""Columns that are computed from others."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, get_type_hints

from pydantic import PrivateAttr, field_serializer, field_validator, model_validator

from datafast._util.function_code import code_of
from datafast._util.notify import did_you_mean, nearest
from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.errors import ConfigError
from datafast.templates.base import Expression, Template
from datafast.templates.values import plain, to_text

__all__ = ["ExpressionColumn", "FunctionColumn"]

_KINDS: Mapping[str, Any] = {"text": str, "integer": int, "number": float, "boolean": bool, "json": Any}
_WHOLE_ROW = ("row", "ctx", "context", "values")


class ExpressionColumn(Column):
    """A value computed from other columns, in a sandbox."""

    type: Literal["expression"] = "expression"
    """A value computed from other columns."""

    expression: NonBlank | None = None
    """A Jinja expression, like `score.score >= 4`; its value is the cell."""

    template: NonBlank | None = None
    """In its place: a template; its text is the cell."""

    returns: Literal["text", "integer", "number", "boolean", "json"] | None = None
    """What the value is; anything else fails the cell. text for a template, json (anything) for an expression by default."""

    _expression: Expression = PrivateAttr()
    _template: Template | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_of_two(self) -> ExpressionColumn:
        if (self.expression is None) == (self.template is None):
            raise ValueError("expression: expected an expression, or a template in its place, and not both.")
        return self

    @property
    def _kind(self) -> str:
        return self.returns or ("text" if self.template is not None else "json")

    def prepare(self, setup: Setup) -> None:
        if self.expression is not None:
            self._expression = setup.expression(self.expression, "expression")
        self._template = None if self.template is None else setup.template(self.template, "template")

    def make(self, cell: Cell) -> Any:
        if self._template is not None:
            return self._checked(cell.rendered(self._template, "template"))
        return self._checked(cell.evaluated(self._expression, "expression"))

    def _checked(self, value: Any) -> Any:
        kind = self._kind
        try:
            found = plain(value)
            if kind == "text":
                return to_text(found)
            if kind == "json":
                return found
            if isinstance(found, str):
                found = _READ[kind](found.strip())
        except (KeyError, TypeError, ValueError, OverflowError):
            raise CellError(f"expected a value of the sort {kind!r}, got {to_text(value)[:80]!r}") from None
        wanted = (int, float) if kind == "number" else _KINDS[kind]
        if found is not None and (not isinstance(found, wanted) or isinstance(found, bool) is not (kind == "boolean")):
            raise CellError(f"expected a value of the sort {kind!r}, got {to_text(value)[:80]!r}")
        return float(found) if kind == "number" and found is not None else found

    def row_type(self) -> Any:
        kind = _KINDS[self._kind]
        return kind if kind in (Any, str) else kind | None


_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": lambda text: plain(float(text)),
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}


class FunctionColumn(Column):
    """A value that a Python function gives. Only in Python, never in YAML.

    What it returns is not recorded: rows that are not finished, and those of a changed schema, call it again.
    """

    type: Literal["function"] = "function"
    """A value that a Python function gives."""
    waits = True

    function: Any
    """A function, sync or async. Its parameters are columns by name; a single one that is not a column gets a mapping of all
    columns that do not need this one. A sync function is called in a thread, several at once."""

    inputs: list[NonBlank] | None = None
    """The columns that it is given, in the order of its parameters, whatever these are called."""

    version: NonBlank | None = None
    """Stands for what the function does: change it when the function changes. By default its code and the values that it reaches."""

    _wants_row: bool = PrivateAttr(default=False)
    _is_async: bool = PrivateAttr(default=False)

    @field_validator("function")
    @classmethod
    def _callable(cls, given: Any) -> Any:
        if not callable(given):
            what = type(given).__name__
            raise ValueError(f"expected a function, got {what}. A fixed value is a constant column.")  # noqa: TRY004 - pydantic's
        return given

    @field_serializer("function")
    def _described(self, function: Any) -> str:
        return _name_of(function)

    def prepare(self, setup: Setup) -> None:
        self._is_async = _is_async(self.function)
        if self.inputs is not None:
            for name in self.inputs:
                setup.require(name, "inputs")
            return
        names = _parameters(self.function)
        others = setup.columns.keys() - {setup.name}
        if len(names) == 1 and names[0] not in others and (names[0] in _WHOLE_ROW or not nearest(names[0], others)):
            self._wants_row = True
            before = list(setup.columns)[: list(setup.columns).index(setup.name)]
            setup.needs |= dict.fromkeys(before)
            return
        for name in names:
            if name not in setup.columns:
                hint = f"{did_you_mean(name, setup.columns)} Or name its columns with inputs=[...]."
                raise ConfigError(f"function: Its parameter {name!r} is not a column. {hint}")
            setup.needs[name] = None
        self.inputs = names

    @property
    def wants_row(self) -> bool:
        return self._wants_row

    async def make(self, cell: Cell) -> Any:
        arguments: list[Any] = (
            [{name: cell.values[name] for name in self.needs}]
            if self._wants_row
            else [cell.values[name] for name in self.inputs or ()]
        )
        try:
            if self._is_async:
                value = await self.function(*arguments)
            else:
                value = await asyncio.to_thread(self.function, *arguments)
                if inspect.isawaitable(value):
                    value = await value
            return plain(value)
        except Exception as error:  # the user's own code: whatever it raises is about this cell
            raise CellError(f"{_name_of(self.function)}: {type(error).__name__}: {error}") from error

    def row_type(self) -> Any:
        try:
            hint = get_type_hints(self.function).get("return", Any)
        except (TypeError, NameError, AttributeError):
            return Any
        return hint if hint in (str, int, float, bool) else Any

    def identity(self) -> Any:
        return {**self.model_dump(mode="json", exclude={"function"}), "code": self.version or self._code[0]}

    def former_identity(self) -> Any:
        code = self.version or _source_of(self.function)
        return {**self.model_dump(mode="json", exclude={"function"}), "code": code}

    @property
    def lasting_code(self) -> str | None:
        """What stands for the function in every process; None where that is not known."""
        code, is_lasting = (self.version, True) if self.version is not None else self._code
        return code if is_lasting else None

    @cached_property
    def _code(self) -> tuple[str, bool]:
        code, is_lasting = code_of(self.function)
        return f"{_name_of(self.function)} {code}", is_lasting


def _is_async(function: Any) -> bool:
    inner = function.func if isinstance(function, functools.partial) else function
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)


def _parameters(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ConfigError("function: Its parameters are not known. Name its columns with inputs=[...].") from None
    if any(parameter.kind in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY) for parameter in parameters):
        raise ConfigError("function: It takes *args or keyword-only parameters. Name its columns with inputs=[...].")
    return [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]


def _name_of(function: Any) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    owner = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{getattr(owner, '__module__', '')}.{owner.__qualname__}"


def _source_of(function: Any) -> str:
    """The function's name and the text of its source, as version 0.1.0 had it in keys."""
    inner = function.func if isinstance(function, functools.partial) else function
    try:
        source = inspect.getsource(inner if hasattr(inner, "__code__") else type(inner))
    except (OSError, TypeError):
        return _name_of(function)
    return f"{_name_of(function)} {hashlib.blake2b(source.encode(), digest_size=16).hexdigest()}"
