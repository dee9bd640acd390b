"""Types of column by name. Built-in ones and those of other packages enter by the same door.

A package offers one by an entry point of the group `datafast.columns`, here in its pyproject.toml:

    [project.entry-points."datafast.columns"]
    length = "my_package.columns:LengthColumn"

In a script, `register(LengthColumn)` does the same for this process. Nothing is imported before a type is asked for by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from datafast._util.plugins import Door
from datafast.columns.base import Column
from datafast.errors import ConfigError
from datafast.registry import BUILT_IN

__all__ = ["COLUMNS", "AnyColumn", "column_types", "load_column", "register"]


def _check(name: str, column: Any) -> str | None:
    if isinstance(column, type) and issubclass(column, Column) and column.model_fields["type"].default == name:
        return None
    return f'a class derived from datafast.columns.Column with a field `type: Literal["{name}"] = "{name}"` is expected'


COLUMNS: Door[type[Column]] = Door(
    "datafast.columns", noun="type of column", built_in=BUILT_IN["datafast.columns"], check=_check, key="type"
)


def column_types() -> list[str]:
    """The names of all types of column. Imports none of them."""
    return COLUMNS.names()


def register(column: type[Column]) -> type[Column]:
    """Makes a type of column known in this process, under the default of its field `type`. Can be used as a decorator.

    Raises:
        ConfigError: the class has no such name, or it is taken.
    """
    name = column.model_fields["type"].default
    if not isinstance(name, str) or not name:
        raise ConfigError(f'{column.__name__} has no name. Give it a field `type: Literal["..."] = "..."`.')
    COLUMNS.register(name, column)
    return column


def load_column(name: str) -> type[Column]:
    """The class of a type of column.

    Raises:
        ConfigError: as `Door.load` says.
    """
    return COLUMNS.load(name)


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
        models = [model for name, model in COLUMNS.loaded().items() if name != "function"]
        return {"oneOf": [handler(model.__pydantic_core_schema__) for model in models]}


AnyColumn = Annotated[Column, _ByType()]
"""A column of whatever type, as a field of a config."""


def _validated(given: Any, info: core_schema.ValidationInfo) -> Column:
    if isinstance(given, Column):
        return given.model_copy()  # what it learns of its schema must not reach another one
    if not isinstance(given, Mapping):
        raise PydanticCustomError(
            "column",
            "expected a mapping like {type: choice, values: [...]}, got {got}.",
            {"got": type(given).__name__},
        )
    name = given.get("type")
    if not isinstance(name, str):
        raise PydanticCustomError(
            "column", "The type is missing. Write type: and one of {types}.", {"types": ", ".join(column_types())}
        )
    try:
        model = load_column(name)
    except ConfigError as error:
        raise PydanticCustomError("column", "type: {why}", {"why": str(error)}) from None
    return model.model_validate(dict(given), context=info.context)


def _dumped(column: Column, info: core_schema.SerializationInfo) -> Any:
    return column.model_dump(mode=info.mode, exclude_none=info.exclude_none, exclude_unset=info.exclude_unset)
