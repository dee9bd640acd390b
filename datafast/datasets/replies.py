"""Reply models of several kinds. Bounds on counts are sent to the model, but a shorter reply is kept, not refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, Field, create_model, field_validator
from pydantic.config import JsonDict

from datafast.llms.reply_model import ReplyModel, exactly, with_first_words

__all__ = ["ReplyText", "Texts", "counted_model", "texts_model", "unnumbered"]


def _not_blank(text: str) -> str:
    if not (text := text.strip()):
        raise ValueError("is blank")
    return text


ReplyText = Annotated[str, Field(min_length=1), AfterValidator(_not_blank)]
"""A text without outer whitespace, and not blank."""

M = TypeVar("M", bound=ReplyModel)

_NUMBER = re.compile(r"\s*(\d{1,4})[.)]\s+(?=\S)")


def unnumbered(texts: Sequence[str]) -> list[str]:
    """The texts of a list without their numbers ("1. ", "2. "), which a model writes in front of all of them or of none."""
    found = [_NUMBER.match(text) for text in texts]
    numbers = [int(number[1]) for number in found if number is not None]
    if len(texts) < 2 or len(numbers) < len(texts) or any(one >= other for one, other in pairwise(numbers)):
        return list(texts)
    return [text[number.end() :] for text, number in zip(texts, found, strict=True) if number is not None]


def counted_model(base: type[M], count: int, *, of: str, listed: Any = None) -> type[M]:
    """A reply model whose schema asks for exactly `count` of what its first list holds.

    Args:
        of: what these are called: "questions".
        listed: the type of the list, if it is not that of `base`.
    """
    # Only the schema states the bounds. Servers that decode by grammar then give the right number, and a shorter reply
    # still validates, is kept, and its missing rows are counted.
    (name, *_) = base.elements
    bounds: JsonDict = {"minItems": count, "maxItems": count}
    info = Field(min_length=1, description=exactly(count, of), json_schema_extra=bounds)
    fields: dict[str, Any] = {name: (listed or base.model_fields[name].annotation, info)}
    return create_model(f"{base.__name__}{count}", __base__=base, **fields)


class Texts(ReplyModel):
    """A list of texts."""

    elements: ClassVar[tuple[str, ...]] = ("texts",)

    texts: list[str] = Field(min_length=1)

    @field_validator("texts")
    @classmethod
    def _not_all_blank(cls, texts: list[str]) -> list[str]:
        if not any(text.strip() for text in texts):
            raise ValueError("every text is blank")
        return texts

    def usable(self) -> list[str]:
        """The texts without outer whitespace. A blank one is not a row."""
        return [text.strip() for text in self.texts if text.strip()]


@cache
def texts_model(count: int, *, of: str = "texts") -> type[Texts]:
    """`Texts` whose schema asks for exactly `count` texts."""
    items: JsonDict = {"type": "string", "minLength": 1}
    bounds: JsonDict = {"minItems": count, "maxItems": count, "items": items}
    texts = (list[str], Field(min_length=1, description=exactly(count, of), json_schema_extra=bounds))
    model = create_model(f"Texts{count}", __base__=Texts, texts=texts)
    return with_first_words(model, {"texts": f"exactly {count} {of}"})
