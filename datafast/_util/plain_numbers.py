"""Numbers and switches of configs as they are meant: no text is taken for a number, and neither true for 1 nor 1 for true.

A whole number may be written as a float (`1e6`).
"""

from __future__ import annotations

from typing import Any

from pydantic_core import CoreSchema, PydanticKnownError, core_schema

__all__ = ["with_plain_numbers"]

_SCHEMAS = ("schema", "items_schema", "values_schema", "choices", "fields", "steps", "definitions")


def with_plain_numbers(schema: Any, model: type) -> CoreSchema:
    """The schema of a model, in which numbers and switches are taken for nothing else. Models within it are left as they are."""
    changed: CoreSchema = _changed(schema, model)
    return changed


def _changed(schema: Any, model: type) -> Any:
    if isinstance(schema, list):
        return [_changed(part, model) for part in schema]
    if isinstance(schema, tuple):  # of a choice, with its label
        return (_changed(schema[0], model), *schema[1:])
    if not isinstance(schema, dict) or (schema.get("type") == "model" and schema["cls"] is not model):
        return schema
    match schema.get("type"):
        case "int":
            return core_schema.no_info_before_validator_function(_whole, schema)
        case "float":
            return core_schema.no_info_before_validator_function(_number, schema)
        case "bool":
            return {**schema, "strict": True}
    found = {**schema}
    for name in _SCHEMAS:
        part = found.get(name)
        if name in ("fields", "choices") and isinstance(part, dict):
            found[name] = {key: _changed(value, model) for key, value in part.items()}
        elif isinstance(part, dict | list):
            found[name] = _changed(part, model)
    return found


def _whole(given: Any) -> Any:
    if isinstance(given, bool | str | bytes):
        raise PydanticKnownError("int_type")
    return given


def _number(given: Any) -> Any:
    if isinstance(given, bool | str | bytes):
        raise PydanticKnownError("float_type")
    return given
