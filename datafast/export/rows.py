"""Rows as they are, in each container, and columns that a user's templates make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from datafast.errors import ConfigError
from datafast.export.formats import Format, Options, Record, Row, Rows
from datafast.export.reading import Reader
from datafast.templates.base import RenderError
from datafast.templates.parse import parse_template
from datafast.templates.values import follow, steps_of

__all__ = ["ArrowRows", "CsvRows", "Custom", "JsonRows", "JsonlRows", "ParquetRows", "SavedRows"]


class ParquetRows(Rows):
    """Rows as they are, in Parquet files, typed by the row model."""

    containers = ("parquet",)


class CsvRows(Rows):
    """Rows as they are, in a table of comma-separated values with a header."""

    containers = ("csv",)


class JsonRows(Rows):
    """Rows as they are, in one JSON list."""

    containers = ("json",)


class JsonlRows(Rows):
    """Rows as they are, in JSON Lines."""

    containers = ("jsonl",)


class ArrowRows(Rows):
    """Rows as they are, in an Arrow stream, typed by the row model."""

    containers = ("arrow",)


class SavedRows(Rows):
    """Rows as they are, in a folder for `datasets.load_from_disk`."""

    containers = ("save_to_disk",)


_ONE_FIELD = re.compile(r"\s*(?:\{\{\s*([^{}|()\s]+)\s*\}\}|\{([^{}|()\s]+)\})\s*")


class Custom(Format):
    """Columns of your own, each made by a template over the row."""

    reads = "row"

    def __init__(self, row_model: type[BaseModel], reader: Reader, options: Options) -> None:
        super().__init__(row_model, reader, options)
        if not options.custom:
            raise ConfigError(
                'custom: There is no column. Give a template for each, like {"prompt": "{{ question }}"}.', key="custom"
            )
        self._types: dict[str, Any] = {}
        self._made = {name: self._cell(name, template) for name, template in options.custom.items()}

    def _cell(self, name: str, template: str) -> Callable[[Row], Any]:
        """What makes the value of a column. A template that is one field alone keeps its type."""
        names = self.row_model.model_fields
        parsed = parse_template(template, names=names, field=f"custom.{name}")
        if (one := _ONE_FIELD.fullmatch(template)) and parsed.names:
            column, steps = steps_of(one[1] or one[2])
            if column in names:
                self._types[name] = Any if steps else names[column]
                return lambda row: follow(row.get(column), steps) if steps else row.get(column)
        self._types[name] = str
        return parsed.render

    def columns(self) -> Mapping[str, Any]:
        return self._types

    def records(self, read: Any, row: Row) -> Iterator[Record]:
        record = {}
        for name, make in self._made.items():
            try:
                record[name] = make(row)
            except (RenderError, LookupError) as error:
                why = str(error.args[0] if error.args else error).rstrip(".")
                raise ConfigError(f"custom.{name}: The template cannot be filled: {why}.", key="custom") from error
        yield record
