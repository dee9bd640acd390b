"""The base of every config model: unknown fields are refused with the nearest valid name, numbers are numbers, fields are described."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Self, TypeVar, overload

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from datafast._util.field_docs import field_docs
from datafast._util.notify import did_you_mean
from datafast._util.plain_numbers import with_plain_numbers
from datafast._util.user_path import user_path

__all__ = [
    "NO_SET",
    "Accepts",
    "ConfigModel",
    "NonBlank",
    "Seed",
    "UserPath",
    "default_of",
    "described",
    "in_our_words",
]


NO_SET = "expected a list, got a set, whose order is another one in each process. Write sorted(...)."


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


NonBlank = Annotated[str, AfterValidator(_not_blank)]


def _of_64_bits(seed: int) -> int:
    if not -(2**63) <= seed < 2**64:
        raise ValueError("expected a whole number of at most 64 bits.")
    return seed


Seed = Annotated[int, AfterValidator(_of_64_bits)]
"""Of random choices; no JSON document of a ledger holds more bits."""


def _of_a_file(path: Path) -> Path:
    if not path.name:
        raise ValueError("expected the name of a file, for example rows.jsonl.")
    return user_path(path)


UserPath = Annotated[Path, AfterValidator(_of_a_file)]
"""The path of a file, in which `~` is the user's home."""

if TYPE_CHECKING:
    Read = TypeVar("Read", covariant=True)
    Given = TypeVar("Given", contravariant=True)

    class Accepts(Generic[Read, Given]):
        """The type of a field that reads as one type and also takes others: `Accepts[Path, str | Path]`.

        A type checker sees a descriptor, whose `__set__` says what may be given; pydantic sees the first type alone. pydantic's own
        plugin for mypy takes what may be given for what is read where a config inherits the field: `Any` stands there for mappings.
        """

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Read: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: Given) -> None: ...

else:

    class Accepts:
        def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
            return types[0]


def default_of(value: Any) -> Any:
    """The default of a field that `Accepts` more than it reads as."""
    return value


class ConfigModel(BaseModel):
    """A pydantic model that forbids unknown fields and validates assignments. The text below a field says what it means."""

    # Deferred, because a class that others inherit or nest is rarely made by itself.
    model_config = ConfigDict(extra="forbid", validate_assignment=True, defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_plain_numbers(handler(source), cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """With the meaning of each field."""
        found = handler(schema)
        fields = handler.resolve_ref_schema(found).get("properties", {})
        for name, meaning in field_docs(cls).items():
            if name in fields:
                fields[name].setdefault("description", meaning)
        return found

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_nearest_field(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        for name, value in data.items() if isinstance(data, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, set | frozenset) and field is not None and field.annotation is not Any:
                raise ValueError(f"{name}: {NO_SET}")
        try:
            return handler(data)
        except ValidationError as error:
            details = [cls._explained(detail) for detail in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    @classmethod
    def hint_for(cls, name: str) -> str:
        """What to do about a field that does not exist."""
        return did_you_mean(name, cls.model_fields)

    @classmethod
    def _explained(cls, detail: Any) -> InitErrorDetails:
        loc = detail["loc"]
        if detail["type"] == "extra_forbidden" and len(loc) == 1:
            hint = cls.hint_for(str(loc[0]))
            kind = PydanticCustomError("unknown_field", "There is no such field. {hint}", {"hint": hint})
            return InitErrorDetails(type=kind, loc=loc, input=detail["input"])
        context = detail.get("ctx")
        # Errors are raised again from their finished text, because custom ones would lose their message.
        kind = PydanticCustomError(detail["type"], "{message}", {**(context or {}), "message": detail["msg"]})
        return InitErrorDetails(type=kind, loc=loc, input=detail["input"])

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal; what is derived from them is not compared."""
        if type(self) is not type(other):
            return NotImplemented
        return all(_equal(getattr(self, name), getattr(other, name)) for name in type(self).model_fields)


def described(model: type[BaseModel], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """The JSON schema of a model, for that of something else that may be given as one."""
    return model.__get_pydantic_json_schema__(model.__pydantic_core_schema__, handler)


def _equal(one: object, other: object) -> bool:
    if one is other:
        return True
    try:
        return bool(one == other)
    except ValueError:
        return False  # tables compare cell by cell, and then it is not known that they are the same


_INPUT = "Input should be "
_BOUND = re.compile(r"^(greater|less) than or equal to (\S+)$")
_IN_OUR_WORDS = {
    "string": "a text",
    "list": "a list",
    "dictionary": "a mapping",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def in_our_words(message: str) -> str:
    """What pydantic says about a wrong value, as `expected ...`; another message as it is."""
    if message == "Field required":
        return "The field is missing."
    if message.startswith("Input is not a valid path"):
        return "expected a path"
    if not message.startswith(_INPUT):
        return message
    first, comma, rest = message.removeprefix(_INPUT).removeprefix("a valid ").partition(",")
    if first.startswith("dictionary or instance of"):
        first = "dictionary"
    if "unable to" in rest or "fractional part" in rest:
        comma = rest = ""
    expected = _IN_OUR_WORDS.get(first) or _BOUND.sub(r"\2 or \1", first).replace("greater", "more")
    return f"expected {expected}{comma}{rest}"
