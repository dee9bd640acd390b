"""Turns a reply into a validated model or a text, or into an error that says why not.

Guarantee: a value is accepted only as the model wrote it. Reasoning, fences and chatter around it are left out, broken
punctuation is repaired if that provably loses nothing, "4" becomes 4. Nothing is clamped, guessed, completed or made up.
Errors are short and name the fields, so that they can be sent back to the model. Functions here are pure: no clock, no
network, and no argument is changed.
Cost: a valid reply is parsed twice (orjson, then pydantic), a few microseconds per kB.
Limits: one reply has one object; several different ones are refused, because it is not known which one is meant.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.repair import after_reasoning, json_values
from datafast.llms.schema import ResponseSchema
from datafast.llms.strict_schema import lossy_number
from datafast.types import Message

__all__ = ["correction", "parse_reply", "parse_text"]

_MAX_PROBLEMS = 4
_MAX_INPUT_CHARS = 60
_MAX_MESSAGE_CHARS = 600
_MAX_PREVIOUS_CHARS = 6_000


def correction(error: ReplyError, previous: str) -> list[Message]:
    """The two messages that ask again: what the model said (shortened if it is very long), and what was wrong with it."""
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
    """A free-text reply, without a leading reasoning block and outer whitespace.

    Raises:
        ReplyError: TRUNCATED, REFUSED or EMPTY; INVALID if the server broke the reply off.
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

    Also accepted: one value in chatter, in fences or after reasoning; a bare list if the model has only one field and it
    is a list; a list of one object; an object below the schema's name. A reply that stopped at the token limit is
    accepted only if it is complete JSON.

    Raises:
        ReplyError: TRUNCATED, REFUSED or EMPTY; INVALID if the reply does not match, with the fields and the reasons.
    """
    text = _whole_text(completion)
    if not schema.numeric:
        # Nearly every reply ends here; the others are examined below.
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
    # Prose may contain lists ("as in [1]", "[ ] to do"), which are not the answer if they are empty or there is an object.
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
    """The value as an instance, as it is or with one level of wrapping corrected.

    `text` is the JSON of the value, if there is any. pydantic validates JSON rather than objects, so that strict models
    also accept dates, enums and tuples in their JSON form.
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
    """The object that is meant by a bare list, by a list of one object, or by an object below the schema's name."""
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
