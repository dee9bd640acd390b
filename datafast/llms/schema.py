"""Asks for structured replies and turns what came back into a validated model, or into one error that says why not.

Guarantee: a value is accepted only as the model wrote it. Reasoning, fences and chatter around it are left out, broken
punctuation is repaired where that provably loses nothing, "4" becomes 4; nothing is clamped, guessed, completed or
made up. Errors are short and name the fields, so that they can be sent back to the model. Everything here is pure: no
clock, no network, and no argument is changed.
Cost: a valid reply is parsed twice (orjson, then pydantic), a few microseconds per kB; a schema is built once per
model class.
Limits: one reply holds one object; several different ones are refused, since which is meant cannot be known.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ValidationError

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion, StructuredStep
from datafast.llms.replies.repair import after_reasoning, json_values
from datafast.llms.strict_schema import (
    has_numbers,
    has_text_bounds,
    is_strict,
    lossy_number,
    portable_schema,
    strict_schema,
)
from datafast.types import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ResponseSchema", "ask", "correction", "parse_reply", "parse_text"]

_MAX_PROBLEMS = 4
_MAX_INPUT_CHARS = 60
_MAX_MESSAGE_CHARS = 600
_MAX_PREVIOUS_CHARS = 6_000


@dataclass(frozen=True, slots=True, eq=False)
class ResponseSchema:
    """The structure of a reply. Made by `ResponseSchema.of`, once per model class.

    Attributes:
        model: the pydantic class that replies are validated with.
        name: the class's name, made safe for every provider ([A-Za-z0-9_-], 1 to 64 characters).
        json_schema: JSON Schema with all constraints, strict style.
        wire: the complete `response_format` value as JSON, to be spliced into a body with `orjson.Fragment`.
        bounded_wire: the same with the bounds on lengths of texts in it; None where it has none.
        digest: 16 bytes that change when `json_schema` does.
        list_field: the field's name where the model has one field and that is a list, else None.
        numeric: whether it describes any number.
    """

    model: type[BaseModel]
    name: str
    json_schema: dict[str, Any]
    wire: bytes
    bounded_wire: bytes | None
    digest: bytes
    list_field: str | None
    numeric: bool

    @staticmethod
    def of(model: type[BaseModel]) -> ResponseSchema:
        """The schema of a model class; the same object for the same class."""
        return _response_schema(model)

    def instructions(self) -> str:
        """The schema in words, for a model whose server does not enforce it."""
        schema = orjson.dumps(self.json_schema).decode()
        return (
            "Answer with one JSON object and nothing else: no words before or after it, no code fence. "
            f"Fill in every field. The object must match this JSON Schema:\n{schema}"
        )


@lru_cache(maxsize=512)
def _response_schema(model: type[BaseModel]) -> ResponseSchema:
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
        list_field=only if only is not None and properties[only].get("type") == "array" else None,
        numeric=has_numbers(schema),
    )


def _wire(name: str, schema: dict[str, Any]) -> bytes:
    described = {"name": name, "strict": is_strict(schema), "schema": schema}
    return orjson.dumps({"type": "json_schema", "json_schema": described})


def ask(messages: Sequence[Message], schema: ResponseSchema, step: StructuredStep) -> list[Message]:
    """The messages to send so that the reply comes in the schema's form.

    Where the server is not handed the schema itself, it is told in the system message; the other messages stay byte
    for byte.
    """
    asked = list(messages)
    if step is StructuredStep.JSON_SCHEMA:
        return asked
    if asked and asked[0]["role"] in {"system", "developer"}:
        told = asked[0].copy()
        told["content"] = f"{told['content']}\n\n{schema.instructions()}"
        return [told, *asked[1:]]
    return [Message(role="system", content=schema.instructions()), *asked]


def correction(error: ReplyError, previous: str) -> list[Message]:
    """The two messages that ask again: what the model said (shortened where it is huge), and what was wrong with it."""
    if len(previous) > _MAX_PREVIOUS_CHARS:
        half = _MAX_PREVIOUS_CHARS // 2
        previous = f"{previous[:half]}\n[... {len(previous) - 2 * half} characters left out ...]\n{previous[-half:]}"
    # Some servers refuse a message without text.
    said = previous if previous.strip() else "(no text)"
    wrong = (
        f"That reply cannot be used. {error} Send the whole reply again, with this put right, in the form that was "
        "asked for, and nothing before or after it."
    )
    return [Message(role="assistant", content=said), Message(role="user", content=wrong)]


def parse_text(completion: Completion) -> str:
    """A free-text reply, without a leading reasoning block and without whitespace around it.

    Raises:
        ReplyError: TRUNCATED, REFUSED or EMPTY; INVALID where the server broke the reply off.
    """
    text = _whole_text(completion)
    if completion.finish_reason == "length":
        raise _truncated(completion)
    answer = after_reasoning(text, is_json=False)
    if answer is None or not answer.strip():
        raise _only_reasoning()
    return answer.strip()


def parse_reply(completion: Completion, schema: ResponseSchema) -> BaseModel:
    """A structured reply as an instance of `schema.model`.

    Accepted beside the plain object: one value in chatter, fences or behind reasoning; a bare list where the model has
    one field and that is a list; a list of one object; an object below the schema's name. A reply that stopped at the
    token limit is accepted only if it is complete JSON as it stands.

    Raises:
        ReplyError: TRUNCATED, REFUSED or EMPTY; INVALID where the reply does not match, naming the fields and the
            reasons.
    """
    text = _whole_text(completion)
    if not schema.numeric:
        # Nearly every reply ends here; whatever does not is looked at closely below.
        with contextlib.suppress(ValidationError):
            return schema.model.model_validate_json(text)
    parsed, value = _strict_json(text)
    if parsed:
        return _validated(value, schema, text=text)
    answer = after_reasoning(text, is_json=True)
    if answer is None or not answer.strip():
        raise _truncated(completion) if completion.finish_reason == "length" else _only_reasoning()
    parsed, value = _strict_json(answer)
    if parsed:
        return _validated(value, schema, text=answer)
    if completion.finish_reason == "length":
        raise _truncated(completion)
    return _from_chatter(answer, schema)


def _whole_text(completion: Completion) -> str:
    if completion.refusal:
        raise ReplyError(f"The model refused: {_short(completion.refusal, 200)}", category=ReplyCategory.REFUSED)
    if completion.finish_reason == "content_filter":
        raise ReplyError("The provider's content filter held the reply back.", category=ReplyCategory.REFUSED)
    if completion.finish_reason == "error":
        raise ReplyError("The server broke the reply off (finish_reason 'error').")
    text = completion.text.removeprefix("\ufeff").strip()
    if not text and completion.finish_reason == "length":
        raise _truncated(completion)
    if not text:
        raise _only_reasoning() if completion.reasoning else _empty("The reply holds no text.")
    return text


def _truncated(completion: Completion) -> ReplyError:
    count = f" after {completion.usage.output_tokens} output tokens" if completion.usage else ""
    thinking = " All of them went into reasoning." if not completion.text.strip() and completion.reasoning else ""
    return ReplyError(
        f"The reply was cut off at the output-token limit{count} (finish_reason 'length').{thinking} "
        "Raise max_completion_tokens or ask for less.",
        category=ReplyCategory.TRUNCATED,
    )


def _empty(message: str) -> ReplyError:
    return ReplyError(message, category=ReplyCategory.EMPTY)


def _only_reasoning() -> ReplyError:
    return _empty("The reply holds reasoning only and no answer.")


def _strict_json(text: str) -> tuple[bool, Any]:
    try:
        return True, orjson.loads(text)
    except orjson.JSONDecodeError:
        return False, None


def _from_chatter(answer: str, schema: ResponseSchema) -> BaseModel:
    values, problem = json_values(answer)
    # Prose has lists of its own ("as in [1]", "[ ] to do"): beside an object, or empty, they are no answer.
    values = [value for value in values if isinstance(value, dict)] or [value for value in values if value]
    found: BaseModel | None = None
    errors: list[ReplyError] = []
    for value in values:
        try:
            instance = _validated(value, schema)
        except ReplyError as error:
            errors.append(error)
            continue
        if found is not None and instance != found:
            raise ReplyError("The reply holds several different JSON objects where one was asked for.")
        found = instance
    if found is not None and not problem:
        return found
    if errors and not problem:
        raise errors[0]
    fields = ", ".join(schema.json_schema.get("properties", {}))
    what = f"cannot be used: {problem}" if problem else "holds no JSON"
    raise ReplyError(f"The reply {what}. Expected one JSON object with the fields: {fields}.")


def _validated(value: object, schema: ResponseSchema, *, text: str | None = None) -> BaseModel:
    """The value as an instance, as it is or with a wrapping put right that is one level off.

    `text` is the JSON the value was read from, where it is at hand. The model reads JSON and not objects: then strict
    models, too, take dates, enums and tuples in the only form in which JSON can hold them.
    """
    try:
        return _instance(value, text if text is not None else json.dumps(value), schema)
    except ReplyError as error:
        inner = _unwrapped(value, schema)
        if inner is None:
            raise
        try:
            return _instance(inner, json.dumps(inner), schema)
        except ReplyError as inner_error:
            raise inner_error from error


def _unwrapped(value: object, schema: ResponseSchema) -> dict[str, Any] | None:
    """The object that was meant by a bare list, by a list of one object, or by an object below the schema's name."""
    if isinstance(value, list):
        only = value[0] if len(value) == 1 and isinstance(value[0], dict) else None
        if schema.list_field is not None and (only is None or schema.list_field not in only):
            return {schema.list_field: value}
        return only
    if isinstance(value, dict) and len(value) == 1:
        (name, inner) = next(iter(value.items()))
        return inner if name.casefold() == schema.name.casefold() and isinstance(inner, dict) else None
    return None


def _instance(value: object, text: str, schema: ResponseSchema) -> BaseModel:
    try:
        instance = schema.model.model_validate_json(text)
    except ValidationError as error:
        raise ReplyError(_mismatch(error)) from error
    lossy = lossy_number(value, schema.json_schema) if schema.numeric else None
    if lossy:
        raise ReplyError(f"The reply does not match: {lossy}: expected a number, not true, false, NaN or infinity.")
    return instance


def _mismatch(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False)
    shown = []
    for problem in problems[:_MAX_PROBLEMS]:
        path = ".".join(str(part) for part in problem["loc"]) or "the reply"
        got = "" if problem["type"] == "missing" else f" (got {_short(repr(problem['input']), _MAX_INPUT_CHARS)})"
        shown.append(f"{path}: {problem['msg']}{got}")
    more = f"; and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
    return _short(f"The reply does not match: {'; '.join(shown)}{more}.", _MAX_MESSAGE_CHARS)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
