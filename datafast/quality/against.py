"""Rows that there are already, with which the rows of a dataset are compared.

against: [earlier.jsonl]                                       outputs of earlier runs, or any file of rows
against: {source: articles.parquet, column: body, where: "lang == 'en'"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, PrivateAttr, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from datafast._util.config_model import Accepts, default_of, described
from datafast.errors import ConfigError
from datafast.quality.base import TextWalkStage, texts_of
from datafast.sources.field import is_source_spec, said_in_one
from datafast.sources.opening import is_source, open_source
from datafast.sources.source import Source

__all__ = ["AgainstStage", "EarlierInput", "EarlierRows", "are_rows"]

_AT_ONCE = 512


class EarlierRows:
    """The rows of one source, read when they are asked for.

    Attributes:
        name: what the source is called in messages.
        settings: what says which texts these are.
        written: what stands for it where a config is written.
        files: that the rows are in, if they are in some.
    """

    def __init__(self, source: Source, folder: Path | None) -> None:
        self._rows = open_source(source.source, field="source", folder=folder, **source.reading)
        self._column = source.column
        if self._column is not None and self._column not in self._rows.columns:
            raise ConfigError(f"column: {self._none_like(self._column)}")
        self.name = self._rows.name
        self.settings = [self._rows.digest.hex(), *([source.column] if source.column else [])]
        told = source.model_dump(mode="json", exclude_defaults=True)
        self.files = files = self._rows.files
        self.written = {**told, "source": str(files[0].resolve())} if len(files) == 1 else told

    def check(self, field: str | None) -> None:
        """Raises ConfigError if the rows do not have the field that is looked at, and no other column is named."""
        if self._column is None and field is not None and field not in self._rows.columns:
            raise ConfigError(f"against: {self._none_like(field)}")

    def texts(self, row_model: type[BaseModel], field: str | None) -> Iterator[list[str]]:
        """The texts of each row: those of the named column; else those of the one field; else those of the fields that rows of this model
        have too; else all of them."""
        column = self._column or field
        shared = [name for name in row_model.model_fields if name in self._rows.columns]
        is_like_rows = any(texts_of(_made(row_model, dict.fromkeys(shared, "text"))))
        for row in self._rows:
            if column is not None:
                yield texts_of(_Value(value=row.get(column)))
            elif is_like_rows:
                yield texts_of(_like(row_model, row))
            else:
                yield texts_of(_Value(value=row))

    def _none_like(self, column: str) -> str:
        names = ", ".join(self._rows.columns)
        return f"{self._rows.name} has no column {column!r}. Name the one with the texts, as in {{source: ..., column: ...}}: {names}."

    def __repr__(self) -> str:
        return f"<{len(self._rows)} rows of {self.name}>"


class _Value(BaseModel):
    value: Any


def _like(row_model: type[BaseModel], row: Mapping[str, Any]) -> BaseModel:
    """A row of a file as one of this model, with the types of its fields; one of an earlier version, or of another tool, as it is."""
    try:
        return row_model.model_validate({name: row[name] for name in row_model.model_fields if name in row})
    except ValidationError:
        return _made(row_model, row)


def _made(row_model: type[BaseModel], row: Mapping[str, Any]) -> BaseModel:
    made = row_model.model_construct()
    for name in row_model.model_fields:
        made.__dict__[name] = row.get(name)
    return made


class EarlierInput:
    """The annotation of a field that takes one source of rows, or a list of them. It reads as a list of `EarlierRows`."""

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(self._written)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        one = [
            {"type": "string", "description": "a file or a dataset with rows"},
            described(Source, handler),
        ]
        return {"anyOf": [{"type": "array", "items": {"anyOf": one}}, *one]}

    def _read(self, value: Any, info: ValidationInfo) -> list[EarlierRows]:
        folder = (info.context or {}).get("folder")
        given = value if isinstance(value, list | tuple) and not are_rows(value) else [value]
        return [_earlier(one, folder) for one in given]

    @staticmethod
    def _written(value: list[EarlierRows]) -> list[dict[str, Any]]:
        return [earlier.written for earlier in value]


def are_rows(values: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list holds rows, rather than sources of rows."""
    return any(isinstance(value, Mapping) and not is_source_spec(value) for value in values)


def _earlier(given: Any, folder: Path | None) -> EarlierRows:
    if isinstance(given, EarlierRows):
        return given
    if isinstance(given, str) and not is_source(given, folder):
        raise ValueError(f"expected a file or a dataset with rows, got {given!r:.60}. Write the texts into a file.")
    with said_in_one():
        return EarlierRows(Source.model_validate(given if is_source_spec(given) else {"source": given}), folder)


F = TypeVar("F")


class AgainstStage(TextWalkStage[F], Generic[F]):
    """Base of stages that compare the texts of rows with those of other files too."""

    against: Accepts[Annotated[list[EarlierRows], EarlierInput()], Any] = default_of([])
    """Rows that there are already, which rows must not resemble either: a file, or a list of files and other sources, like outputs of
    earlier runs. Of each the fields count that rows have too, or its `column`."""

    _row_model: type[BaseModel] = PrivateAttr(default=BaseModel)

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        for earlier in self.against:
            earlier.check(self.field)
        self._row_model = row_model

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "against": [earlier.settings for earlier in self.against]}

    def files(self) -> Iterator[Path]:
        for earlier in self.against:
            yield from earlier.files

    def earlier(self) -> Iterator[tuple[str, Iterator[list[list[str]]]]]:
        """The sources of `against`: of each its name, and the texts of its rows, some hundred rows at a time."""
        for one in self.against:
            yield one.name, _batches(one.texts(self._row_model, self.field))


def _batches(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while batch := list(islice(rows, _AT_ONCE)):
        yield batch
