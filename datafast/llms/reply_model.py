"""The base of this package's own reply models, and the keys of their schemas.

The user's words (in a response model, a JSON Schema) are part of the keys of calls, because other words ask for something else. The
words of our own reply models (docstrings, descriptions) are not, so they can be improved and nothing is paid for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, ClassVar, TypeVar, get_args

import orjson
from pydantic import BaseModel

from datafast.llms.strict_schema import inlined_schema, strict_schema, wordless_schema

__all__ = ["ReplyModel", "exactly", "former_key_of", "key_of", "with_first_words"]


class ReplyModel(BaseModel):
    """Base of our own reply models. Keys distinguish them only by their structure."""

    first_words: ClassVar[Mapping[str, str]] = {}
    """The words in keys of version 1: of the class under '', of fields by name. They never change."""

    elements: ClassVar[tuple[str, ...]] = ()
    """The fields that are lists of things that stand for themselves: one that does not validate is left out, and the others are kept.
    The first of them is what the reply is for, and its first field: what stands in it before a cut is kept too."""

    simulated: ClassVar[Mapping[str, str]] = {}
    """What simulated models write into the texts of fields, by name, where no other text would be valid. No real model is shown it."""


M = TypeVar("M", bound=type[ReplyModel])


def with_first_words(model: M, words: Mapping[str, str]) -> M:
    """Sets the `first_words` of a model that was made at run time, and returns it."""
    model.first_words = words
    return model


def exactly(count: int, things: str) -> str:
    """How many of something, in plain words: "exactly 3 texts", "exactly one text"."""
    return f"exactly {count} {things}" if count != 1 else f"exactly one {things.removesuffix('s')}"


def key_of(model: type[BaseModel], schema: Mapping[str, Any]) -> bytes:
    """16 bytes for a model's strict schema in keys."""
    if issubclass(model, ReplyModel):
        schema = wordless_schema(inlined_schema(dict(schema)))
    return _digest(schema)


def former_key_of(model: type[BaseModel], schema: Mapping[str, Any]) -> bytes:
    """The same in keys of version 1."""
    if not issubclass(model, ReplyModel):
        return _digest(schema)
    first = model.model_json_schema()
    nodes = {model.__name__: first, **first.get("$defs", {})}
    for found in _models(model):
        if issubclass(found, ReplyModel) and found.__name__ in nodes:
            _reword(nodes[found.__name__], found.first_words)
    return _digest(strict_schema(first))


def _reword(node: dict[str, Any], words: Mapping[str, str]) -> None:
    for name, part in (("", node), *node.get("properties", {}).items()):
        part.pop("description", None)
        if name in words:
            part["description"] = words[name]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type, including itself. Reply models do not refer to themselves."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for part in get_args(annotation):
        yield from _models(part)


def _digest(schema: Mapping[str, Any]) -> bytes:
    return blake2b(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
