"""A reply model from a JSON Schema that a user wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import RootModel, model_validator

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.linear_schema import check_patterns, check_schema, linear_validator, without_booleans
from datafast.errors import ConfigError

__all__ = ["SchemaReply", "schema_model", "schema_parts"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class SchemaReply(RootModel[dict[str, Any]]):
    """A reply that is checked against a JSON Schema. `schema_model` makes one class for each schema."""

    given: ClassVar[Mapping[str, Any]]
    checker: ClassVar[Any]

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        return dict(cls.given)

    @model_validator(mode="after")
    @foreign_warnings_ignored()
    def _matches(self) -> SchemaReply:
        problems = [_shown(error) for error in self.checker.iter_errors(self.root)]
        if problems:
            raise ValueError("; ".join(problems[:4]))
        return self


def _shown(error: Any) -> str:
    path = ".".join(map(str, error.absolute_path))
    text = error.message if len(error.message) <= 200 else f"{error.message[:97]} ... {error.message[-97:]}"
    return f"{path}: {text}" if path else str(text)


@foreign_warnings_ignored()
def schema_model(schema: Mapping[str, Any], *, name: str) -> type[SchemaReply]:
    """The model of replies that match a schema.

    Raises:
        ConfigError: it is not a JSON Schema, or not one of an object.
    """
    check_schema(schema, "json_schema")
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), Mapping):
        raise ConfigError("json_schema: expected `type: object` with `properties`. A cell of this column is an object.")
    definitions = schema.get("$defs", {})
    for reference in _references(schema):
        if not reference.startswith("#/$defs/") or reference.removeprefix("#/$defs/") not in definitions:
            raise ConfigError(f"json_schema: The $ref {reference!r} leads nowhere. Put the definition under $defs.")
    try:
        check_patterns(schema)
    except ValueError as error:
        raise ConfigError(f"json_schema: {error}") from None
    checker = linear_validator(schema)
    return type(name, (SchemaReply,), {"given": without_booleans(schema), "checker": checker, "__module__": __name__})


def schema_parts(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """The properties of an object, where no others are possible."""
    properties = schema.get("properties")
    return frozenset(properties) if isinstance(properties, Mapping) else None


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for part in node.values():
            yield from _references(part)
    elif isinstance(node, list):
        for part in node:
            yield from _references(part)
