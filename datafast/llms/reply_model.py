"""The base of the reply models that this package asks for itself, and what stands for their schemas in keys.

What the user words (a response model, a JSON Schema) is part of the keys of calls as it stands: other words ask for something else.
The words of our own reply models (docstrings, descriptions) are not, so that bettering them buys nothing again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, ClassVar, TypeVar, get_args

import orjson
from pydantic import BaseModel

from datafast.llms.strict_schema import inlined_schema, strict_schema, wordless_schema

__all__ = ["ReplyModel", "former_key_of", "key_of", "with_first_words"]


class ReplyModel(BaseModel):
    """A reply model of ours. Classes derived from it are told apart in keys by their structure alone."""

    first_words: ClassVar[Mapping[str, str]] = {}
    """The words that keys of version 1 had in them, of the class under '', of fields by name. They stay as they are for ever."""


M = TypeVar("M", bound=type[ReplyModel])


def with_first_words(model: M, words: Mapping[str, str]) -> M:
    """A model that was made at run time, with its `first_words`."""
    model.first_words = words
    return model


def key_of(model: type[BaseModel], schema: Mapping[str, Any]) -> bytes:
    """16 bytes that stand for a model's strict schema in keys."""
    if issubclass(model, ReplyModel):
        schema = wordless_schema(inlined_schema(dict(schema)))
    return _digest(schema)


def former_key_of(model: type[BaseModel], schema: Mapping[str, Any]) -> bytes:
    """The same as it was in keys of version 1."""
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
    """The models in a type, itself included. Reply models do not refer to themselves."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for part in get_args(annotation):
        yield from _models(part)


def _digest(schema: Mapping[str, Any]) -> bytes:
    return blake2b(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
