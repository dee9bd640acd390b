"""Turns pydantic's JSON Schemas into the form of strict structured output, and checks numbers against it.

Guarantee: every object lists all its properties as required and allows no others; titles and defaults are removed;
constraints that strict mode refuses are in the description instead. Arguments are not changed in place. Cost: once per
model class.
Limits: an object with free keys (`dict[str, ...]`) cannot be strict; `is_strict` says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

__all__ = [
    "has_numbers",
    "has_text_bounds",
    "inlined_schema",
    "is_strict",
    "lossy_number",
    "mapped_schema",
    "member_names",
    "portable_schema",
    "strict_schema",
    "tell",
    "wordless_schema",
]

Schema = dict[str, Any]

_DROPPED = {"default", "discriminator", "examples", "title"}
_MAPS = ("properties", "$defs")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "additionalProperties")
_TOLD_IN_WORDS = ("minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties", "propertyNames")
_TEXT_BOUNDS = ("minLength", "maxLength")
_REF = "#/$defs/"


def strict_schema(schema: Mapping[str, Any]) -> Schema:
    """The schema with every constraint kept, ready to be shown to a model.

    Args:
        schema: the result of `BaseModel.model_json_schema()`.
    """
    defs: Mapping[str, Any] = schema.get("$defs", {})
    root = {key: value for key, value in schema.items() if key != "$defs"}
    if "$ref" in root:
        # Strict mode requires an object at the root, but a model that refers to itself is a bare reference.
        root = {**defs[root["$ref"].removeprefix(_REF)]}
    result = _tidy(root, defs, frozenset())
    used = _referenced(result, defs)
    if used:
        result["$defs"] = {name: _tidy(defs[name], defs, frozenset({name})) for name in sorted(used)}
    return result


def portable_schema(schema: Mapping[str, Any], *, text_bounds: bool = False) -> Schema:
    """The schema for `response_format`: constraints that strict mode refuses are moved into descriptions.

    Args:
        text_bounds: keep the bounds on lengths of texts, for servers that use them.
    """
    kept = _TEXT_BOUNDS if text_bounds else ()
    return mapped_schema(
        schema, lambda node: tell(node, [key for key in _TOLD_IN_WORDS if key in node and key not in kept])
    )


def mapped_schema(schema: Mapping[str, Any], change: Callable[[Schema], None]) -> Schema:
    """A copy of the schema in which `change` has changed each node in place, the innermost first."""
    node = _rebuilt(schema, lambda sub: mapped_schema(sub, change))
    change(node)
    return node


def tell(node: Schema, keywords: Collection[str]) -> None:
    """Moves keywords of a node, which are in it, into its description."""
    values = {key: node.pop(key) for key in keywords}
    if values:
        words = ", ".join(f"{key}: {value}" for key, value in values.items())
        node["description"] = f"{node.get('description', '')} ({words})".strip()


def inlined_schema(schema: Schema) -> Schema:
    """The schema with its references replaced by their definitions; unchanged if one refers to itself."""
    defs: Mapping[str, Any] = schema.get("$defs", {})

    def put(node: Mapping[str, Any], above: frozenset[str]) -> Schema:
        name = str(node.get("$ref", "")).removeprefix(_REF)
        if name in above:
            raise RecursionError(name)
        return put(defs[name], above | {name}) if name else _rebuilt(node, lambda sub: put(sub, above))

    try:
        return put({key: value for key, value in schema.items() if key != "$defs"}, frozenset())
    except RecursionError:
        return schema


def wordless_schema(schema: Mapping[str, Any]) -> Schema:
    """The schema without its descriptions."""
    node = _rebuilt(schema, wordless_schema)
    node.pop("description", None)
    return node


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether it has no objects with free keys and no values of any type."""
    for node in _nodes(schema):
        free = node.get("additionalProperties") is not False if node.get("type") == "object" else False
        if free or not ({"type", "anyOf", "$ref", "enum", "const", "allOf"} & set(node)):
            return False
    return True


def has_text_bounds(schema: Mapping[str, Any]) -> bool:
    """Whether it has bounds on lengths of texts."""
    return any(key in node for node in _nodes(schema) for key in _TEXT_BOUNDS)


def has_numbers(schema: Mapping[str, Any]) -> bool:
    """Whether it has numbers."""
    return any(_is_number(node) for node in _nodes(schema))


def member_names(schema: Mapping[str, Any]) -> set[str]:
    """The names of all members of the objects in it."""
    return {name for node in _nodes(schema) for name in node.get("properties", {})}


def lossy_number(value: object, schema: Mapping[str, Any]) -> str | None:
    """The path of the first value that would lose its meaning as a number: true, NaN or infinity. None if there is none.

    pydantic would read `true` as 1 and "nan" as a float, which a reply never means.
    """
    return _lossy(value, schema, schema.get("$defs", {}), "")


def _tidy(node: Mapping[str, Any], defs: Mapping[str, Any], inlined: frozenset[str]) -> Schema:
    kept = {key: value for key, value in node.items() if key not in _DROPPED}
    name = str(kept.get("$ref", "")).removeprefix(_REF)
    if name and len(kept) > 1:
        # Strict mode refuses other keywords next to a reference, so it is replaced by its target, unless that never ends.
        if name in inlined:
            return {"$ref": kept["$ref"]}
        kept.pop("$ref")
        return _tidy({**defs[name], **kept}, defs, inlined | {name})
    result = _rebuilt(kept, lambda sub: _tidy(sub, defs, inlined))
    if "oneOf" in result:
        result["anyOf"] = result.pop("oneOf")
    if "properties" in result:
        result["required"] = list(result["properties"])
        result["additionalProperties"] = False
    return result


def _rebuilt(node: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Schema]) -> Schema:
    """A copy of a node with `change` applied to each schema directly below it."""
    result = dict(node)
    for key in _MAPS:
        if key in result:
            result[key] = {name: change(sub) for name, sub in result[key].items()}
    for key in _LISTS:
        if key in result:
            result[key] = [change(sub) for sub in result[key]]
    for key in _SINGLES:
        if isinstance(result.get(key), Mapping):
            result[key] = change(result[key])
    return result


def _children(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key in _MAPS:
        yield from node.get(key, {}).values()
    for key in _LISTS:
        yield from node.get(key, [])
    for key in _SINGLES:
        if isinstance(node.get(key), Mapping):
            yield node[key]


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in _children(node):
        yield from _nodes(child)


def _referenced(root: Mapping[str, Any], defs: Mapping[str, Any]) -> set[str]:
    """Names of the definitions that are reachable from the root."""
    used: set[str] = set()
    waiting = [root]
    while waiting:
        for node in _nodes(waiting.pop()):
            name = str(node.get("$ref", "")).removeprefix(_REF)
            if name and name not in used:
                used.add(name)
                waiting.append(_tidy(defs[name], defs, frozenset({name})))
    return used


def _is_number(node: Mapping[str, Any]) -> bool:
    return node.get("type") in {"integer", "number"}


def _lossy(value: object, schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> str | None:
    if "$ref" in schema:
        return _lossy(value, defs[schema["$ref"].removeprefix(_REF)], defs, path)
    if "anyOf" in schema:
        found = [_lossy(value, branch, defs, path) for branch in schema["anyOf"] if _may_be(value, branch, defs)]
        return found[0] if found and all(found) else None
    if _is_number(schema):
        return (path or "the reply") if _loses(value) else None
    if isinstance(value, dict):
        rest = schema.get("additionalProperties")
        pairs = [(key, sub, schema.get("properties", {}).get(key, rest)) for key, sub in value.items()]
    elif isinstance(value, list):
        pairs = [(str(number), sub, schema.get("items")) for number, sub in enumerate(value)]
    else:
        return None
    checks = (
        _lossy(sub, below, defs, f"{path}.{key}" if path else str(key))
        for key, sub, below in pairs
        if isinstance(below, Mapping)
    )
    return next((found for found in checks if found), None)


def _may_be(value: object, branch: Mapping[str, Any], defs: Mapping[str, Any]) -> bool:
    """Whether a branch of an anyOf is about this sort of value."""
    if "$ref" in branch:
        return _may_be(value, defs[branch["$ref"].removeprefix(_REF)], defs)
    kind = branch.get("type")
    return not (kind == "null" or ((kind == "array") is not isinstance(value, list) and kind in {"array", "object"}))


def _loses(value: object) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, (str, float)):
        try:
            return not math.isfinite(float(value))
        except ValueError:
            return False  # not a number; validation has a better message for it
    return False
