"""`example_data` in a config: the user's own rows, shown in prompts as examples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, ValidationInfo, WithJsonSchema

from datafast.errors import ConfigError
from datafast.sources import SourceRows, open_source

__all__ = ["ExampleData"]

_MAX_WRITTEN = 1000


def _read(value: Any, info: ValidationInfo) -> Any:
    if value is None:
        return None
    try:
        return open_source(value, field="example_data", folder=(info.context or {}).get("folder"))
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("example_data: ")) from error


def _written(value: SourceRows | None) -> Any:
    """The rows if they are few, else their name, because the config is written into ledgers and cards."""
    if value is None or len(value) > _MAX_WRITTEN:
        return value and value.name
    return list(value)


ExampleData = Annotated[
    InstanceOf[SourceRows] | None,
    BeforeValidator(_read),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "object"}},
                {"type": "string", "description": "a JSONL, JSON, CSV or Parquet file, or a dataset on the Hub"},
                {"type": "null"},
            ]
        }
    ),
]
