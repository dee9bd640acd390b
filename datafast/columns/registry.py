"""Types of column by name. Built-in ones and those of other packages enter by the same door.

A package offers one by an entry point of the group `datafast.columns`, here in its pyproject.toml:

    [project.entry-points."datafast.columns"]
    length = "my_package.columns:LengthColumn"

In a script, `register(LengthColumn)` does the same for this process. Nothing is imported before a type is asked for by its name.
"""

from __future__ import annotations

from typing import Annotated

from datafast._util.by_name import ByName, ModelDoor
from datafast.columns.base import Column
from datafast.registry import BUILT_IN

__all__ = ["COLUMNS", "AnyColumn", "column_types", "load_column", "register"]


COLUMNS: ModelDoor[Column] = ModelDoor(
    "datafast.columns",
    noun="type of column",
    built_in=BUILT_IN["datafast.columns"],
    base=Column,
    home="datafast.columns.Column",
    tag="type",
    key="type",
)


def column_types() -> list[str]:
    """The names of all types of column. Imports none of them."""
    return COLUMNS.names()


def register(column: type[Column]) -> type[Column]:
    """Makes a type of column known in this process, under the default of its field `type`. Can be used as a decorator.

    Raises:
        ConfigError: the class has no such name, or it is taken.
    """
    return COLUMNS.add(column)


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
