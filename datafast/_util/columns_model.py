"""Models of rows whose columns have any names."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from datafast._util.foreign_warnings import foreign_warnings_ignored

__all__ = ["columns_model"]


def columns_model(
    name: str,
    columns: Mapping[str, tuple[Any, Any]],
    *,
    base: type[BaseModel] | None = None,
    config: ConfigDict | None = None,
) -> type[BaseModel]:
    """A model with these columns, in their order: for each its type, and its default or its `FieldInfo`.

    Pydantic has no fields with names like `_id` or `model_config`, which files of other tools may have. They are in `model_fields` all the
    same, and a row that is validated keeps what it holds there, unchecked.

    Args:
        base: what the model derives from.
        config: of the model; not with a base.
    """
    fields: dict[str, Any] = {column: given for column, given in columns.items() if not _is_odd(column)}
    given: dict[str, Any] = (
        {"__base__": base} if base else {"__config__": {"protected_namespaces": (), **(config or {})}}
    )
    if len(fields) < len(columns) and not base:
        given["__config__"]["extra"] = "allow"
    with foreign_warnings_ignored():  # a column may be called `json` or `copy`
        made: type[BaseModel] = create_model(name, **given, **fields)
    if len(fields) < len(columns):
        known = dict(made.model_fields)
        odd = {column: _info(*columns[column]) for column in columns if column not in fields}
        made.__pydantic_fields__ = {column: odd.get(column) or known[column] for column in [*columns, *known]}
    return made


def _is_odd(name: str) -> bool:
    return name.startswith("_") or name == "model_config"


def _info(kind: Any, told: Any) -> FieldInfo:
    info = copy(told) if isinstance(told, FieldInfo) else FieldInfo(default=told)
    info.annotation = kind
    return info
