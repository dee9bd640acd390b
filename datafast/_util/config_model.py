"""The base of every config model: unknown fields are refused with the nearest valid name, fields are described."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from datafast._util.notify import did_you_mean

__all__ = ["ConfigModel", "NonBlank"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


NonBlank = Annotated[str, AfterValidator(_not_blank)]


class ConfigModel(BaseModel):
    """A pydantic model that forbids unknown fields and validates assignments."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_nearest_field(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            details = [cls._explained(detail) for detail in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, details) from None

    @classmethod
    def _explained(cls, detail: Any) -> InitErrorDetails:
        loc = detail["loc"]
        if detail["type"] == "extra_forbidden" and len(loc) == 1:
            known = list(cls.model_fields)
            hint = did_you_mean(str(loc[0]), known)
            kind = PydanticCustomError("unknown_field", "There is no such field. {hint}", {"hint": hint})
            return InitErrorDetails(type=kind, loc=loc, input=detail["input"])
        context = detail.get("ctx")
        # Errors are raised again from their finished text, because custom ones would lose their message.
        kind = PydanticCustomError(detail["type"], "{message}", {**(context or {}), "message": detail["msg"]})
        return InitErrorDetails(type=kind, loc=loc, input=detail["input"])
