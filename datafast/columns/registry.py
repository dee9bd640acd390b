"""Types of column by name. Built-in ones and those of other packages enter by the same door.

A package offers one by an entry point of the group `datafast.columns`, here in its pyproject.toml:

    [project.entry-points."datafast.columns"]
    length = "my_package.columns:LengthColumn"

In a script, `register(LengthColumn)` does the same for this process. Nothing is imported before a type is asked for by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from datafast._util.notify import nearest
from datafast.columns.base import Column
from datafast.errors import ConfigError

__all__ = ["GROUP", "AnyColumn", "column_types", "load_column", "register"]

GROUP = "datafast.columns"

_HOMES = {
    "choice": "samplers:ChoiceColumn",
    "constant": "samplers:ConstantColumn",
    "datetime": "moments:DatetimeColumn",
    "expression": "expression:ExpressionColumn",
    "function": "expression:FunctionColumn",
    "judge": "models:JudgeColumn",
    "person": "person:PersonColumn",
    "range": "samplers:RangeColumn",
    "source": "source:SourceColumn",
    "structured": "models:StructuredColumn",
    "text": "models:TextColumn",
    "uuid": "samplers:UuidColumn",
}
_BUILT_IN = [EntryPoint(name, f"datafast.columns.{home}", GROUP) for name, home in _HOMES.items()]
_registered: dict[str, type[Column]] = {}


def column_types() -> list[str]:
    """The names of all types of column. Imports none of them."""
    return list(dict.fromkeys([*(point.name for point in _points()), *_registered]))


def register(column: type[Column]) -> type[Column]:
    """Makes a type of column known in this process, under the default of its field `type`. Can be used as a decorator.

    Raises:
        ConfigError: the class has no such name, or it is taken.
    """
    name = column.model_fields["type"].default
    if not isinstance(name, str) or not name:
        raise ConfigError(f'{column.__name__} has no name; give it a field `type: Literal["..."] = "..."`')
    if name in column_types() and _registered.get(name) is not column:
        raise ConfigError(f"there is a type of column {name!r} already; give {column.__name__} another name")
    _registered[name] = column
    return column


def load_column(name: str) -> type[Column]:
    """The class of a type of column.

    Raises:
        ConfigError: there is none (with the nearest name), two packages claim the name, or it cannot be loaded.
    """
    if name in _registered:
        return _registered[name]
    found = {point.value: point for point in _points() if point.name == name}
    if not found:
        near = nearest(name, column_types())
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(column_types())}"
        raise ConfigError(f"there is no type of column {name!r}; {hint}", key="type")
    if len(found) > 1:
        claims = ", ".join(sorted(found))
        raise ConfigError(f"the type of column {name!r} is offered more than once ({claims})", key="type")
    (point,) = found.values()
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the type of column {name!r} cannot be loaded from {point.value}: {error}", key="type"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Column) and loaded.model_fields["type"].default == name):
        raise ConfigError(f"{point.value} is no column of the type {name!r}", key="type")
    return loaded


def _points() -> list[EntryPoint]:
    return [*_BUILT_IN, *entry_points(group=GROUP)]


class _ByType:
    """Validates a column with the class that its `type` names."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _validated, serialization=core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        # A function cannot stand in a file.
        models = [load_column(name) for name in column_types() if name != "function"]
        return {"oneOf": [handler(model.__pydantic_core_schema__) for model in models]}


AnyColumn = Annotated[Column, _ByType()]
"""A column of whatever type, as a field of a config."""


def _validated(given: Any, info: core_schema.ValidationInfo) -> Column:
    if isinstance(given, Column):
        return given.model_copy()  # what it learns of its schema must not reach another one
    if not isinstance(given, Mapping):
        raise PydanticCustomError(
            "column",
            "expected a mapping like {type: choice, values: [...]}, got {got}",
            {"got": type(given).__name__},
        )
    name = given.get("type")
    if not isinstance(name, str):
        raise PydanticCustomError(
            "column", "the type is missing; write type: and one of {types}", {"types": ", ".join(column_types())}
        )
    try:
        model = load_column(name)
    except ConfigError as error:
        raise PydanticCustomError("column", "type: {why}", {"why": str(error)}) from None
    return model.model_validate(dict(given), context=info.context)


def _dumped(column: Column, info: core_schema.SerializationInfo) -> Any:
    return column.model_dump(mode=info.mode, exclude_none=info.exclude_none, exclude_unset=info.exclude_unset)
