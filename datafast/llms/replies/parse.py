"""Turns a reply into a validated model or a text, or into an error that says why not.

Guarantee: a value is accepted only as the model wrote it. Reasoning, fences, chatter and control tokens around it are
left out, punctuation is put right where it can be read in one way only, "4" becomes 4; nothing is clamped, guessed,
completed or made up; a reply counts as whole only where its ending is known to be good. Errors are short and name the
fields, so that they can be sent back to the model; they carry what can be used all the same. Everything here is pure:
no clock, no network, and no argument is changed.
Cost: a valid reply is parsed twice (orjson, then pydantic), a few microseconds per kB; any other takes linear time, and
well below a second.
Limits: a text of more than 1,000,000 characters is refused; one reply holds one object, and several different ones are
refused, since which is meant cannot be known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Set
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion
from datafast.llms.replies.endings import Ending, ending_of
from datafast.llms.replies.find import MAX_CHARS, has_repeated_name, json_values, strict_json
from datafast.llms.replies.framing import answer_in
from datafast.llms.replies.partial import flawed_elements, lossy_elements, values_before_cut, without_elements
from datafast.llms.schema import ResponseSchema
from datafast.llms.strict_schema import lossy_number
from datafast.types import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["check_numbers", "correction", "parse_reply", "parse_text"]

MAX_REPLY_CHARS = 1_000_000
"""The longest text that is looked at: several times what models write at once."""
_MAX_PROBLEMS_READ = 10_000
_MAX_PROBLEMS = 4
_MAX_INPUT_CHARS = 60
_MAX_MESSAGE_CHARS = 600
_MAX_PREVIOUS_CHARS = 6_000
_STRUCTURE_EXPECTED = frozenset(
    ["list_type", "dict_type", "model_type", "model_attributes_type", "tuple_type", "set_type"]
)


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
    """A free-text reply, without what frames it: reasoning, control tokens, whitespace.

    Raises:
        ReplyError: TRUNCATED, with the text that there is; REFUSED or EMPTY; BROKEN where the server broke the reply off; INVALID
            where the model calls a tool instead.
    """
    ending = _checked_ending(completion)
    if ending is Ending.TOOL_CALL:
        raise ReplyError("The reply calls a tool where a text was asked for.")
    answer = (answer_in(_some_text(completion, completion.text), is_json=False) or "").strip()
    if ending is Ending.TRUNCATED:
        raise _truncated(completion, usable=answer or None)
    if not answer:
        raise _only_reasoning()
    return answer


def parse_reply(completion: Completion, schema: ResponseSchema) -> BaseModel:
    """A structured reply as an instance of `schema.model`.

    Accepted beside the plain object: one value in chatter, fences or behind reasoning; a bare list where the model has
    one field and that is a list; a list of one object; an object below the schema's name; what a tool is called with; a
    list or an object that stands as a text where it should stand itself. A reply that stopped at the token limit is
    accepted only if it is complete JSON as it stands.

    Raises:
        ReplyError: TRUNCATED, REFUSED or EMPTY; BROKEN where the server broke the reply off; INVALID where the reply does
            not match, naming the fields and the reasons. Where the model has `elements`, the first and the last of them carry
            an instance of those that are whole and validate.
    """
    plain = completion.finish_reason == "stop" and not (completion.refusal or completion.native_finish_reason)
    if plain and not schema.numeric and len(completion.text) <= MAX_REPLY_CHARS:
        # Nearly every reply ends here; the others are examined below.
        try:
            instance = schema.model.model_validate_json(completion.text)
        except ValidationError:
            instance = None
        if instance is not None and not _repeats_a_name(completion.text, schema):
            return instance
    truncated = _checked_ending(completion) is Ending.TRUNCATED
    text = _some_text(completion, completion.text if completion.text.strip() else completion.structured)
    parsed, value = strict_json(text)
    if parsed:
        return _validated(value, schema, text=text)
    if len(text) > MAX_CHARS:
        if truncated:
            raise _truncated(completion)
        raise ReplyError(
            f"The reply is not valid JSON, and longer than the {MAX_CHARS:,} characters that are searched for it."
        )
    answer = answer_in(text, is_json=True)
    if answer is None or not answer.strip():
        raise _truncated(completion) if truncated else _only_reasoning()
    parsed, value = strict_json(answer)
    if parsed:
        return _validated(value, schema, text=answer)
    if truncated:
        raise _cut(completion, answer, schema)
    return _from_chatter(answer, schema)


def _repeats_a_name(text: str, schema: ResponseSchema) -> bool:
    """Whether an object names a member twice, with different values: the second would silently take the place of the first."""
    return (schema.free or any(text.count(name) > 1 for name in schema.names)) and has_repeated_name(text)


def check_numbers(instance: BaseModel) -> None:
    """Refuses numbers that JSON cannot hold in every language that reads it, and so no row.

    Raises:
        ReplyError: INVALID, naming the field.
    """
    place = _too_large(instance.model_dump(), "")
    if place is not None:
        raise ReplyError(
            f"The reply does not match: {place}: expected a number that a row can hold: whole ones have at most 64 bits, others are "
            "neither NaN nor infinity."
        )


def _too_large(value: Any, place: str) -> str | None:
    """The first place of such a number, None where there is none."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else place
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = (_too_large(part, f"{place}.{name}" if place else str(name)) for name, part in inside)
    return next((where for where in found if where is not None), None)


def _checked_ending(completion: Completion) -> Ending:
    """How the reply ended, where there is anything to be used in it."""
    ending = ending_of(completion.finish_reason, completion.native_finish_reason)
    if completion.refusal:
        raise ReplyError(f"The model refused: {_short(completion.refusal, 200)}", category=ReplyCategory.REFUSED)
    if ending is Ending.REFUSED:
        raise ReplyError(
            f"The provider's content filter held the reply back ({_reason(completion)}).",
            category=ReplyCategory.REFUSED,
        )
    if ending is Ending.BROKEN_OFF:
        raise ReplyError(f"The server broke the reply off ({_reason(completion)}).", category=ReplyCategory.BROKEN)
    return ending


def _reason(completion: Completion) -> str:
    reason, native = completion.finish_reason, completion.native_finish_reason
    told = reason
    if native and native != reason:
        told = native if ending_of(reason) is Ending.WHOLE else f"{reason}: {native}"
    return f"finish_reason {_short(told, _MAX_INPUT_CHARS)!r}"


def _some_text(completion: Completion, text: str) -> str:
    text = text.removeprefix("\ufeff").strip()
    if not text and ending_of(completion.finish_reason, completion.native_finish_reason) is Ending.TRUNCATED:
        raise _truncated(completion)
    if len(text) > MAX_REPLY_CHARS:
        raise ReplyError(f"The reply is longer than the {MAX_REPLY_CHARS:,} characters that are looked at.")
    if not text:
        raise _only_reasoning() if completion.reasoning else _empty("The reply holds no text.")
    return text


def _truncated(completion: Completion, *, usable: object = None, left_out: Sequence[int] = ()) -> ReplyError:
    count = f" after {completion.usage.output_tokens} output tokens" if completion.usage else ""
    thought = completion.reasoning or (completion.usage is not None and completion.usage.reasoning_tokens > 0)
    thinking = " All of them went into reasoning." if not completion.text.strip() and thought else ""
    # A text can be taken as it is, an object only in part.
    ways = (
        ", ask for less, or take cut texts (run.on_truncation: keep)" if isinstance(usable, str) else " or ask for less"
    )
    return ReplyError(
        f"The reply was cut off at the output-token limit{count} ({_reason(completion)}).{thinking} Raise max_completion_tokens{ways}.",
        category=ReplyCategory.TRUNCATED,
        usable=usable,
        left_out=left_out,
    )


def _cut(completion: Completion, answer: str, schema: ResponseSchema) -> ReplyError:
    """The error for an object that was cut, with the elements before the cut."""
    value = values_before_cut(answer, schema)
    if value is None:
        return _truncated(completion)
    try:
        return _truncated(completion, usable=_instance(value, schema))
    except ReplyError as error:
        return _truncated(completion, usable=error.usable, left_out=error.left_out)


def _empty(message: str) -> ReplyError:
    return ReplyError(message, category=ReplyCategory.EMPTY)


def _only_reasoning() -> ReplyError:
    return _empty("The reply holds reasoning only and no answer.")


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
        if len(errors) > 1:
            errors[0].usable = None  # which of them is meant is not known
        raise errors[0]
    fields = ", ".join(schema.json_schema.get("properties", {}))
    what = f"cannot be used: {problem}" if problem else "holds no JSON"
    raise ReplyError(f"The reply {what}. Expected one JSON object with the fields: {fields}.")


def _validated(value: object, schema: ResponseSchema, *, text: str | None = None) -> BaseModel:
    """The value as an instance, as it is or with one level of wrapping corrected.

    `text` is the JSON the value was read from, where it is at hand.
    """
    if isinstance(value, str):
        parsed, inside = strict_json(value)
        value, text = (inside, value) if parsed and isinstance(inside, (dict, list)) else (value, text)
    try:
        return _instance(value, schema, text=text)
    except ReplyError as error:
        inner = _unwrapped(value, schema)
        if inner is None:
            raise
        try:
            return _instance(inner, schema)
        except ReplyError as inner_error:
            raise inner_error from error


def _unwrapped(value: object, schema: ResponseSchema) -> dict[str, Any] | None:
    """The object that is meant by a bare list, by a list of one object, by the only object of a list, or by one below the schema's name."""
    if isinstance(value, list):
        only = value[0] if len(value) == 1 and isinstance(value[0], dict) else None
        if schema.list_field is not None and (only is None or schema.list_field not in only):
            return {schema.list_field: value}
        return only
    if isinstance(value, dict) and value and value.keys() == _fields_of_one(schema):
        return {str(schema.list_field): [value]}
    if isinstance(value, dict) and len(value) == 1:
        (name, inner) = next(iter(value.items()))
        return inner if name.casefold() == schema.name.casefold() and isinstance(inner, dict) else None
    return None


def _fields_of_one(schema: ResponseSchema) -> Set[str] | None:
    """The fields of the only object that a schema asks for in a list; None if it asks for several, or for something else."""
    listed = schema.json_schema.get("properties", {}).get(schema.list_field, {})
    if listed.get("maxItems") != 1:
        return None
    element = listed.get("items", {})
    name = element.get("$ref", "").rpartition("/")[2]
    return schema.json_schema.get("$defs", {}).get(name, element).get("properties", {}).keys()  # type: ignore[no-any-return]


def _instance(value: object, schema: ResponseSchema, *, text: str | None = None) -> BaseModel:
    try:
        instance = _model_of(value, schema, text=text)
    except ValidationError as error:
        problems = _problems(error)
        unpacked = _unpacked(value, problems)
        if unpacked is None:
            raise _flawed(_mismatch(problems), value, schema, flawed_elements(problems, schema)) from error
        value = unpacked
        try:
            instance = _model_of(value, schema)
        except ValidationError as still:
            flawed = flawed_elements(_problems(still), schema)
            raise _flawed(_mismatch(problems), value, schema, flawed) from error
    lossy = lossy_number(value, schema.json_schema) if schema.numeric else None
    if lossy:
        why = f"The reply does not match: {lossy}: expected a number, not true, false, NaN or infinity."
        raise _flawed(why, value, schema, lossy_elements(value, schema))
    return instance


def _problems(error: ValidationError) -> list[ErrorDetails]:
    if error.error_count() > _MAX_PROBLEMS_READ:
        raise ReplyError(f"The reply does not match, in {error.error_count():,} places.")
    return error.errors(include_url=False, include_context=False)


def _flawed(why: str, value: object, schema: ResponseSchema, flawed: Collection[tuple[str, int]] | None) -> ReplyError:
    """The error for a value that does not match, with what is left of it without its flawed elements."""
    if flawed and schema.numeric:
        flawed = {*flawed, *lossy_elements(value, schema)}
    sound = without_elements(value, flawed or (), schema)
    if sound is None:
        return ReplyError(why)
    try:
        return ReplyError(why, usable=_instance(sound.value, schema), left_out=sound.left_out)
    except ReplyError:  # nothing is left, for instance
        return ReplyError(why)


def _model_of(value: object, schema: ResponseSchema, *, text: str | None = None) -> BaseModel:
    # The model reads JSON and not objects: then strict models, too, take dates, enums and tuples in the only form in which
    # JSON can hold them. Half a surrogate pair is not whole in the text, only in the value.
    try:
        text = json.dumps(value) if text is None or "\\u" in text else text
    except RecursionError as error:
        raise ReplyError("The reply is nested too deep.") from error
    return schema.model.model_validate_json(text)


def _unpacked(value: Any, problems: list[ErrorDetails]) -> Any | None:
    """The value with the texts replaced that hold, as JSON, the list or object that should stand in their place; None where no text
    does."""
    places = [
        problem["loc"]
        for problem in problems
        if isinstance(problem["input"], str) and problem["type"] in _STRUCTURE_EXPECTED and problem["loc"]
    ]
    if not places:
        return None
    changed = json.loads(json.dumps(value))
    unpacked = [_unpack(changed, place) for place in places]
    return changed if any(unpacked) else None


def _unpack(root: Any, place: tuple[int | str, ...]) -> bool:
    """Replaces the text at a place by what it holds; False where that is not a list or object, or the place is not in the value."""
    try:
        for step in place[:-1]:
            root = root[step]
        text = root[place[-1]]
    except (KeyError, IndexError, TypeError):
        return False  # unions name their members in the place
    parsed, inside = strict_json(text) if isinstance(text, str) else (False, None)
    if not parsed or not isinstance(inside, (dict, list)):
        return False
    root[place[-1]] = inside
    return True


def _mismatch(problems: list[ErrorDetails]) -> str:
    shown = []
    for problem in problems[:_MAX_PROBLEMS]:
        path = ".".join(str(part) for part in problem["loc"]) or "the reply"
        got = "" if problem["type"] == "missing" else f" (got {_short(repr(problem['input']), _MAX_INPUT_CHARS)})"
        shown.append(f"{path}: {problem['msg'].removeprefix('Value error, ')}{got}")
    more = f"; and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
    return _short(f"The reply does not match: {'; '.join(shown)}{more}.", _MAX_MESSAGE_CHARS)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
