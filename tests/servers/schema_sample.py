"""One value that a JSON schema allows, for servers that stand in for a model. Written apart from the package's own
simulation."""

from __future__ import annotations

from typing import Any

__all__ = ["sample"]

_DEFAULT_ITEMS = 3


def sample(schema: dict[str, Any], label: str, *, root: dict[str, Any] | None = None) -> Any:
    """A value of the schema; its texts begin with `label`, so that different calls can give different values."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return sample(target, label, root=root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][sum(label.encode()) % len(schema["enum"])]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return sample(schema[several][0], label, root=root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    return _OF_TYPE[kind](schema, label, root)


def _object(schema: dict[str, Any], label: str, root: dict[str, Any]) -> dict[str, Any]:
    return {name: sample(of, f"{label} {name}", root=root) for name, of in schema.get("properties", {}).items()}


def _array(schema: dict[str, Any], label: str, root: dict[str, Any]) -> list[Any]:
    items = schema.get("minItems") or min(_DEFAULT_ITEMS, schema.get("maxItems", _DEFAULT_ITEMS))
    return [sample(schema.get("items", {}), f"{label} {number}", root=root) for number in range(items)]


def _string(schema: dict[str, Any], label: str, root: dict[str, Any]) -> str:
    return label.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _number(schema: dict[str, Any], label: str, root: dict[str, Any]) -> int:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
    return int(low)


_OF_TYPE = {
    "array": _array,
    "boolean": lambda schema, label, root: True,
    "integer": _number,
    "null": lambda schema, label, root: None,
    "number": _number,
    "object": _object,
    "string": _string,
}
