"""JSON Schema whose patterns are matched in linear time: texts of models meet patterns of users, and neither may hold up a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

from datafast.errors import ConfigError

__all__ = ["check_patterns", "check_references", "check_schema", "linear_validator", "matches", "without_booleans"]


_OF_NAMES = ("properties", "$defs", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "allOf", "oneOf", "prefixItems")
_DYNAMIC = ("$dynamicRef", "$recursiveRef")
_SINGLE = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")


def linear_validator(schema: Mapping[str, Any]) -> Any:
    """The dialect's own validator of a schema, with patterns that are matched in linear time. Nothing is ever fetched for it."""
    from referencing import Registry

    return _linear()(schema, registry=Registry())


@lru_cache(maxsize=1)
def _linear() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {
        "pattern": _pattern,
        "patternProperties": _properties,
        "additionalProperties": _others,
        "uniqueItems": _unique,
    }
    return extend(Draft202012Validator, own)  # type: ignore[no-untyped-call]


def _pattern(validator: Any, wanted: str, text: Any, schema: Any) -> Iterator[Any]:
    if isinstance(text, str) and not matches(wanted, text):
        yield _invalid(f"{text!r} does not match {wanted!r}")


def _properties(validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    for wanted, inner in patterns.items() if isinstance(value, dict) else ():
        for name in (name for name in value if matches(wanted, name)):
            yield from validator.descend(value[name], inner, path=name, schema_path=wanted)


def _others(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in value if isinstance(value, dict) else ():
        if name in known or any(matches(wanted, name) for wanted in patterns):
            continue
        if allowed is False:
            yield _invalid(f"additional properties are not allowed, and {name!r} is one")
        elif isinstance(allowed, Mapping):
            yield from validator.descend(value[name], allowed, path=name)


def _unique(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    # jsonschema compares each object with each other one.
    if wanted is True and isinstance(value, list) and len({_comparable(item) for item in value}) < len(value):
        yield _invalid("the list has the same item twice")


def _comparable(value: Any) -> Any:
    """Equal for values that JSON Schema calls equal: 1 and 1.0, but not 1 and true."""
    if isinstance(value, dict):
        return "object", frozenset((name, _comparable(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_comparable, value))
    return ("boolean", value) if isinstance(value, bool) else value


def _invalid(message: str) -> Any:
    from jsonschema.exceptions import ValidationError as Invalid

    return Invalid(message)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> SchemaValidator:
    # pydantic's engine is Rust's regex, whose time is linear in the text whatever the pattern.
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text; not if it is one that `check_patterns` refuses."""
    try:
        _compiled(pattern).validate_python(text)
    except (ValidationError, SchemaError):
        return False
    return True


def check_schema(schema: Mapping[str, Any], field: str) -> None:
    """Raises ConfigError, which begins with the field and the place in it, where this is not a JSON Schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError as NotASchema

    try:
        Draft202012Validator.check_schema(schema)
    except NotASchema as error:
        place = "".join(f".{step}" for step in error.absolute_path)
        raise ConfigError(f"{field}{place}: This is not a JSON Schema: {error.message}.") from None


def check_references(schema: Mapping[str, Any], field: str) -> None:
    """Raises ConfigError where a $ref leads to no part of the schema itself: nothing is ever fetched."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for node in _mappings(schema):
        if not isinstance(reference := node.get("$ref"), str):
            continue
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise ConfigError(
                f"{field}: The $ref {reference!r} leads nowhere. Put the definition under $defs."
            ) from None


def check_patterns(schema: Any) -> None:
    """Raises ValueError where a pattern cannot be matched in linear time, or its matches are asked for in other ways than ours."""
    by_name, unevaluated = False, False
    for node in _mappings(schema):
        named = node.get("patternProperties")
        for pattern in (node.get("pattern"), *(named if isinstance(named, Mapping) else ())):
            if isinstance(pattern, str):
                _check_pattern(pattern)
        by_name |= isinstance(named, Mapping)
        unevaluated |= "unevaluatedProperties" in node
        if dynamic := [key for key in _DYNAMIC if isinstance(node.get(key), str)]:
            raise ValueError(f"{dynamic[0]} is not possible here. Write a $ref to a definition under $defs.")
        if node is not schema and isinstance(node.get("$schema"), str):
            # Below it jsonschema would match with a validator of its own.
            raise ValueError("Only the whole schema has a $schema. Take it out of its parts.")
    if by_name and unevaluated:
        raise ValueError(
            "patternProperties and unevaluatedProperties cannot stand together. Write additionalProperties."
        )


def without_booleans(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with mappings in the place of `true` and `false` where these stand for whole schemas: whoever reads it meets mappings."""
    made = dict(schema)
    for key in _OF_NAMES:
        if isinstance(made.get(key), Mapping):
            made[key] = {name: _as_mapping(part) for name, part in made[key].items()}
    for key in _LISTED:
        if isinstance(made.get(key), list):
            made[key] = [_as_mapping(part) for part in made[key]]
    for key in _SINGLE:
        if isinstance(made.get(key), Mapping):
            made[key] = without_booleans(made[key])
    return made


def _as_mapping(schema: Any) -> Any:
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    return without_booleans(schema) if isinstance(schema, Mapping) else schema


def _check_pattern(pattern: str) -> None:
    try:
        _compiled(pattern)
    except SchemaError as error:
        why = str(error).strip().splitlines()[-1].removeprefix("error: ").rstrip(".")
        raise ValueError(
            f"The pattern {pattern!r} cannot be used: {why}. Write it without look-around and back-references."
        ) from None


def _mappings(schema: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
