"""Column types of a published dataset, derived from the row model and never from the rows.

Guarantee: one row model gives one schema, whatever the rows hold and whatever version of `datasets` is installed.
A column that is null in every row keeps its type, and text that looks like a date stays text.

    str, UUID, date, datetime, time, Decimal   string, as the JSONL spells it
    bool, int, float, int | float              bool, int64, float64, float64
    Enum, Literal                              the type of their values
    X | None                                   the type of X
    list[X], set[X], tuple[X, ...]             list
    nested model, TypedDict                    struct; a key that a TypedDict may leave out is null where it is missing
    dict, Any, other unions, recursive models  JSON text
    what is marked with `AsJson`               JSON text

Why JSON text for free-form values: a struct with the union of all keys would hand every row the keys of all others, as
nulls, and would change with the data; the `Json` feature cannot be loaded by releases of `datasets` before it and loses
the last digits of floats (0.12345678901234568 comes back as 0.12345678901234501). `json.loads` of the text is exactly
what was written, everywhere.

Limits: integers are 64-bit; bytes and other types without a plain JSON form are refused when the schema is built.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import orjson
from pydantic import BaseModel, Field
from typing_extensions import ReadOnly, TypedDict, is_typeddict

from datafast._util.columns_model import columns_model
from datafast.errors import ConfigError
from datafast.types import AsJson

__all__ = ["Column", "RowSchema", "described", "model_of", "row_schema"]

_Encoder = Callable[[Any], Any]

# bool before int, datetime before date: the first match counts, and each is a subclass of the one after it.
_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int64"),
    (float, "float64"),
    (str, "string"),
    (UUID, "string"),
    (datetime, "string"),
    (date, "string"),
    (time, "string"),
    (Decimal, "string"),
)
_LISTS = (list, set, frozenset, tuple)
_ABSTRACT_LISTS: frozenset[Any] = frozenset({AbstractSet, Collection, Iterable, Sequence})
_WRAPPERS = (Annotated, Required, NotRequired, ReadOnly)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type in words, and what the row model says about it ('' where it says nothing)."""

    name: str
    label: str
    description: str


@dataclass(frozen=True, slots=True)
class _Node:
    """A type: `spec` says how its feature is built; `encode` is None where values are stored as they are."""

    label: str
    spec: str | tuple[_Node] | dict[str, _Node]
    encode: _Encoder | None = None


@dataclass(frozen=True, slots=True)
class RowSchema:
    """The columns of one row model.

    Attributes:
        columns: in the order of the model's fields.
        features: the `datasets.Features` that say the same.
    """

    columns: tuple[Column, ...]
    features: Any
    _encoders: Mapping[str, _Encoder]

    def encode(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as `model_dump(mode="json")` gives it -> the values to store, with free-form ones as JSON text."""
        encoders = self._encoders
        return {name: encoders[name](value) if name in encoders else value for name, value in row.items()}


def row_schema(row_model: type[BaseModel]) -> RowSchema:
    """The schema of a row model.

    Raises:
        ConfigError: a field has a type that no column can hold; names the field.
    """
    from datasets import Features

    nodes = {name: _field_node(row_model, name) for name in row_model.model_fields}
    if not nodes:
        raise ConfigError(f"{row_model.__name__} has no fields, so there is nothing to publish.")
    columns = tuple(
        Column(name, node.label, row_model.model_fields[name].description or "") for name, node in nodes.items()
    )
    encoders = {name: node.encode for name, node in nodes.items() if node.encode}
    return RowSchema(columns, Features({name: _feature(node) for name, node in nodes.items()}), encoders)


def described(row_model: type[BaseModel]) -> list[dict[str, Any]]:
    """The columns of a row model as plain values, for a process that does not have the model: `name`, `type` and, if there is one,
    `description`. A type is string, bool, int64, float64 or json (JSON text), a list of one type, or a mapping of names to types.

    Raises:
        ConfigError: a field has a type that no column can hold; names the field.
    """
    told = []
    for name, info in row_model.model_fields.items():
        about = {"description": info.description} if info.description else {}
        told.append({"name": name, "type": _described(_field_node(row_model, name)), **about})
    return told


def _described(node: _Node) -> Any:
    match node.spec:
        case str(name):
            return "json" if node.encode is _to_json else name
        case (item,):
            return [_described(item)]
        case dict(fields):
            return {name: _described(field) for name, field in fields.items()}


def model_of(columns: Iterable[Mapping[str, Any]]) -> type[BaseModel]:
    """A row model with these columns, as `described` has told them; each may be null.

    Raises:
        ConfigError: a type is not one of those.
    """
    fields: dict[str, Any] = {}
    for column in columns:
        kind = _annotation(column["type"])
        told = Field(None, description=column.get("description"))
        fields[column["name"]] = (kind if kind is Any else kind | None, told)
    return columns_model("Row", fields)


_ANNOTATIONS: Mapping[str, Any] = {
    "string": str,
    "bool": bool,
    "int64": int,
    "float64": int | float,  # so that 4 stays 4 where it is written again
    "json": Any,
}


def _annotation(spec: Any) -> Any:
    match spec:
        case str() if spec in _ANNOTATIONS:
            return _ANNOTATIONS[spec]
        case [item]:
            return list[_annotation(item)]  # type: ignore[misc]
        case dict():
            fields = {name: NotRequired[_annotation(kind) | None] for name, kind in spec.items()}
            return TypedDict("struct", fields)  # type: ignore[operator]  # made of what was recorded
    raise ConfigError(f"{spec!r} is not a type of columns. Export the file without its ledger and manifest.")


def _field_node(model: type[BaseModel], name: str) -> _Node:
    if AsJson in model.model_fields[name].metadata:
        return _json()
    try:
        return _node(model.model_fields[name].annotation, frozenset({model}))
    except TypeError as error:
        raise ConfigError(
            f"field {name!r} of {model.__name__} cannot be a column: {error}. "
            "Use str, bool, int, float, an Enum, a list, a nested model or a dict."
        ) from error


def _feature(node: _Node) -> Any:
    from datasets import List, Value

    match node.spec:
        case str(name):
            return Value(name)
        case (item,):
            return List(_feature(item))
        case dict(fields):
            return {name: _feature(field) for name, field in fields.items()}


def _node(annotation: Any, seen: frozenset[type]) -> _Node:
    annotation = _bare(annotation)
    origin = get_origin(annotation) or annotation
    if origin in (Union, types.UnionType):
        return _union([_node(member, seen) for member in get_args(annotation) if member is not types.NoneType])
    if origin is Literal:
        return _values([value for value in get_args(annotation) if value is not None])
    if annotation is Any or annotation is object:
        return _json()
    if not isinstance(origin, type):
        raise TypeError(f"{annotation!r} is not a type that a row can be stored in")
    if issubclass(origin, BaseModel) or is_typeddict(origin):
        return _struct(origin, seen)
    if issubclass(origin, Enum):
        return _values([member.value for member in origin])
    return _scalar(origin) or _container(annotation, origin, seen)


def _bare(annotation: Any) -> Any:
    """Without what changes nothing about the stored value: Annotated, Required, NewType and named aliases."""
    while True:
        if get_origin(annotation) in _WRAPPERS:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__") and not isinstance(annotation, type):
            annotation = annotation.__value__
        else:
            return annotation


def _scalar(kind: type) -> _Node | None:
    name = next((name for base, name in _SCALARS if issubclass(kind, base)), None)
    return _Node(name, name) if name else None


def _container(annotation: Any, origin: type, seen: frozenset[type]) -> _Node:
    if issubclass(origin, Mapping):
        return _json()
    if not issubclass(origin, _LISTS) and origin not in _ABSTRACT_LISTS:
        raise TypeError(f"{getattr(origin, '__name__', origin)} has no plain JSON form")
    members = [_node(member, seen) for member in get_args(annotation) if member is not Ellipsis]
    return _list(_union(members)) if members else _json()


def _values(values: list[Any]) -> _Node:
    kinds = {type(value) for value in values}
    nodes = [_scalar(kind) for kind in kinds]
    return _union([node or _json() for node in nodes])


def _union(members: list[_Node]) -> _Node:
    """The type that holds every member unchanged; JSON text where there is no narrower one."""
    specs = {node.spec for node in members if isinstance(node.spec, str)}
    plain = all(isinstance(node.spec, str) and node.encode is None for node in members)
    if plain and specs == {"int64", "float64"}:
        return _Node("float64", "float64")
    if len(members) == 1 or (plain and len(specs) == 1):
        return members[0]
    return _json()


def _list(item: _Node) -> _Node:
    encode = item.encode
    spec = (item,)
    if encode is None:
        return _Node(f"list of {item.label}", spec)
    return _Node(f"list of {item.label}", spec, lambda values: values and [encode(value) for value in values])


def _model_hints(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def _struct(kind: type, seen: frozenset[type]) -> _Node:
    if kind in seen:
        return _json()
    hints = _model_hints(kind) if issubclass(kind, BaseModel) else get_type_hints(kind)
    fields = {name: _node(hint, seen | {kind}) for name, hint in hints.items()}
    if not fields:
        return _json()
    encoders = {name: node.encode for name, node in fields.items() if node.encode}
    label = "struct of " + ", ".join(fields)
    if not encoders:
        return _Node(label, fields)

    def encode(value: dict[str, Any] | None) -> dict[str, Any] | None:
        return value and {key: encoders[key](item) if key in encoders else item for key, item in value.items()}

    return _Node(label, fields, encode)


def _json() -> _Node:
    return _Node("JSON text", "string", _to_json)


def _to_json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
