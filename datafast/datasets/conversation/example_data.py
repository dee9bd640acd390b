"""`example_data` in a config: the user's own rows, shown in prompts as examples."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, ValidationInfo, WithJsonSchema

from datafast.errors import ConfigError
from datafast.sources import SourceRows, open_source
from datafast.sources.field import is_source_spec, said_in_one, spool_of
from datafast.sources.source import RowSource

__all__ = ["ExampleData"]

_MAX_WRITTEN = 1000


def _read(value: Any, info: ValidationInfo) -> Any:
    if value is None:
        return None
    folder = (info.context or {}).get("folder")
    with said_in_one():
        if is_source_spec(value):
            given = RowSource.model_validate(value)
            if given.key is not None or given.keep_row:
                raise ConfigError(f"{'key' if given.key else 'keep_row'}: Nothing is made of an example. Leave it out.")
            rows = given.rows(field="source", folder=folder, spool=spool_of(info))
        else:
            rows = open_source(value, field="source", folder=folder, spool=spool_of(info))
        rows.check(rows.columns, field="source")
    return rows


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
                {"type": "object", "description": "source, and which of its rows"},
                {"type": "null"},
            ]
        }
    ),
]
