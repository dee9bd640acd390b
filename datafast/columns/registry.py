"""Types of column by name. Built-in ones and those of other packages enter by the same door.

A package offers one by an entry point of the group `datafast.columns`, here in its pyproject.toml:

    [project.entry-points."datafast.columns"]
    length = "my_package.columns:LengthColumn"

In a script, `register(LengthColumn)` does the same for this process. Nothing is imported before a type is asked for by its name.
"""

from __future__ import annotations

from typing import Annotated, Any

from datafast._util.by_name import ByName
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


# A function cannot stand in a file.
AnyColumn = Annotated[
    Column, ByName(COLUMNS, Column, tag="type", example="{type: choice, values: [...]}", hidden=["function"])
]
"""A column of whatever type, as a field of a config."""
