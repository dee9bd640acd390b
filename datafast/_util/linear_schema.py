"""JSON Schema whose patterns are matched in linear time: texts of models meet patterns of users, and neither may hold up a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

__all__ = ["check_patterns", "linear_validator"]


@lru_cache(maxsize=1)
def linear_validator() -> Any:
    """The dialect's own validator, whose patterns are matched in linear time: texts of models meet them."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {"pattern": _pattern, "patternProperties": _properties, "additionalProperties": _others}
    return extend(Draft202012Validator, own)  # type: ignore[no-untyped-call]


def _pattern(validator: Any, wanted: str, text: Any, schema: Any) -> Iterator[Any]:
    if isinstance(text, str) and not _matches(wanted, text):
        yield _invalid(f"{text!r} does not match {wanted!r}")


def _properties(validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    for wanted, inner in patterns.items() if isinstance(value, dict) else ():
        for name in (name for name in value if _matches(wanted, name)):
            yield from validator.descend(value[name], inner, path=name, schema_path=wanted)


def _others(validator: Any, allowed: Any, value: Any, schema: Any) -> Iterator[Any]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in value if isinstance(value, dict) else ():
        if name in known or any(_matches(wanted, name) for wanted in patterns):
            continue
        if allowed is False:
            yield _invalid(f"additional properties are not allowed, and {name!r} is one")
        elif isinstance(allowed, Mapping):
            yield from validator.descend(value[name], allowed, path=name)


def _invalid(message: str) -> Any:
    from jsonschema.exceptions import ValidationError as Invalid

    return Invalid(message)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> SchemaValidator:
    # pydantic's engine is Rust's regex, whose time is linear in the text whatever the pattern.
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def _matches(pattern: str, text: str) -> bool:
    try:
        _compiled(pattern).validate_python(text)
    except ValidationError:
        return False
    return True


def check_patterns(node: Any) -> None:
    """Raises ValueError where a pattern cannot be matched in linear time, or its matches are asked for in other ways than ours."""
    if isinstance(node, list):
        for part in node:
            check_patterns(part)
    if not isinstance(node, Mapping):
        return
    by_name = node.get("patternProperties")
    patterns = [node.get("pattern"), *(by_name if isinstance(by_name, Mapping) else ())]
    for pattern in patterns:
        try:
            _compiled(pattern) if isinstance(pattern, str) else None
        except SchemaError as error:
            why = str(error).strip().splitlines()[-1].removeprefix("error: ").rstrip(".")
            raise ValueError(
                f"The pattern {pattern!r} cannot be used: {why}. Write it without look-around and back-references."
            ) from None
    if by_name and "unevaluatedProperties" in node:
        raise ValueError(
            "patternProperties and unevaluatedProperties cannot stand together. Write additionalProperties."
        )
    for part in node.values():
        check_patterns(part)
