"""The structure of a reply, made once of a pydantic class and put into the request.

Cost: a schema is built once per model class.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from datafast.llms.strict_schema import (
    has_numbers,
    has_text_bounds,
    is_strict,
    member_names,
    portable_schema,
    strict_schema,
)
from datafast.types import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

__all__ = ["ReplyMode", "ResponseSchema", "ask"]


class ReplyMode(StrEnum):
    """How a reply's structure is asked for, best first. The mode that works is learned per provider."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True, eq=False)
class ResponseSchema:
    """The structure of a reply. Made by `ResponseSchema.of`, once per model class.

    Attributes:
        model: the pydantic class that validates replies.
        name: the class's name in a form that every provider accepts ([A-Za-z0-9_-], 1 to 64 characters).
        json_schema: JSON Schema with all constraints, strict style.
        wire: the complete `response_format` value as JSON, for a body with `orjson.Fragment`.
        bounded_wire: the same with bounds on lengths of texts; None if there are none.
        digest: 16 bytes that change when `json_schema` does.
        key: 16 bytes for it in the keys of calls.
        list_field: the name of the model's only field if it is a list, else None.
        elements: the fields whose elements stand for themselves; see `ReplyModel`.
        numeric: whether it has numbers.
        free: whether it has values of any type, or objects with any keys.
        names: the names of members in it, each in quotes as JSON has them.
    """

    model: type[BaseModel]
    name: str
    json_schema: dict[str, Any]
    wire: bytes
    bounded_wire: bytes | None
    digest: bytes
    key: bytes
    list_field: str | None
    elements: tuple[str, ...]
    numeric: bool
    free: bool
    names: tuple[str, ...]

    @staticmethod
    def of(model: type[BaseModel]) -> ResponseSchema:
        """The schema of a model class; the same object for the same class."""
        return _response_schema(model)

    @property
    def former_key(self) -> bytes:
        """Its key in keys of version 1."""
        return _former_key(self)

    def examples(self, pattern: str) -> Sequence[str]:
        """The texts that are given as examples beside a pattern. No model is shown them."""
        return _examples(self.model).get(pattern, ())

    @property
    def simulated(self) -> Mapping[str, str]:
        """What simulated models write into the texts of fields, by name; see `ReplyModel`."""
        found: Mapping[str, str] = getattr(self.model, "simulated", None) or {}
        return found

    def instructions(self) -> str:
        """The schema as an instruction, for a model whose server does not enforce it."""
        schema = orjson.dumps(self.json_schema).decode()
        return (
            "Answer with one JSON object and nothing else: no words before or after it, no code fence. "
            f"Fill in every field. The object must match this JSON Schema:\n{schema}"
        )


@lru_cache(maxsize=512)
def _response_schema(model: type[BaseModel]) -> ResponseSchema:
    # It loads pydantic, which describing a provider does not need.
    from datafast.llms.reply_model import ReplyModel, key_of

    schema = strict_schema(model.model_json_schema())
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", model.__name__).strip("_")[:64] or "reply"
    properties = schema.get("properties", {})
    only = next(iter(properties)) if len(properties) == 1 else None
    return ResponseSchema(
        model=model,
        name=name,
        json_schema=schema,
        wire=_wire(name, portable_schema(schema)),
        bounded_wire=_wire(name, portable_schema(schema, text_bounds=True)) if has_text_bounds(schema) else None,
        digest=blake2b(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS), digest_size=16).digest(),
        key=key_of(model, schema),
        list_field=only if only is not None and properties[only].get("type") == "array" else None,
        elements=model.elements if issubclass(model, ReplyModel) else (),
        numeric=has_numbers(schema),
        free=not is_strict(schema),
        names=tuple(sorted(f'"{name}"' for name in member_names(schema))),
    )


@lru_cache(maxsize=512)
def _former_key(schema: ResponseSchema) -> bytes:
    from datafast.llms.reply_model import former_key_of

    return former_key_of(schema.model, schema.json_schema)


@lru_cache(maxsize=512)
def _examples(model: type[BaseModel]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    waiting: list[Any] = [model.model_json_schema()]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict) and isinstance(node.get("pattern"), str) and isinstance(node.get("examples"), list):
            found.setdefault(node["pattern"], []).extend(text for text in node["examples"] if isinstance(text, str))
        waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return found


def _wire(name: str, schema: dict[str, Any]) -> bytes:
    described = {"name": name, "strict": is_strict(schema), "schema": schema}
    return orjson.dumps({"type": "json_schema", "json_schema": described})


def ask(messages: Sequence[Message], schema: ResponseSchema, mode: ReplyMode) -> list[Message]:
    """The messages for a reply in the schema's form.

    If the server does not get the schema itself, the system message contains it; the other messages do not change.
    """
    asked = list(messages)
    if mode is ReplyMode.JSON_SCHEMA:
        return asked
    if asked and asked[0]["role"] in {"system", "developer"}:
        told = asked[0].copy()
        told["content"] = f"{told['content']}\n\n{schema.instructions()}"
        return [told, *asked[1:]]
    return [Message(role="system", content=schema.instructions()), *asked]
