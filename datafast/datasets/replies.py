"""Reply models of several kinds, and how texts are compared. Bounds on counts are sent to the model; a shorter reply is kept."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import ClassVar

from pydantic import Field, create_model, field_validator
from pydantic.config import JsonDict

from datafast.llms.reply_model import ReplyModel, exactly, with_first_words

__all__ = ["Texts", "normalised", "texts_model"]

_OUTER = re.compile(r"^[\s\"'“”„«»]+|[\s\"'“”„«».,;:]+$")


def normalised(text: str) -> str:
    """A text as it is compared with others: without case, quotes, a full stop, and differences of width and space."""
    told = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return _OUTER.sub("", told) or told


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
    # Only the schema states the bounds. Servers that decode by grammar then give the right number, and a shorter reply
    # still validates, is kept, and its missing rows are counted.
    items: JsonDict = {"type": "string", "minLength": 1}
    bounds: JsonDict = {"minItems": count, "maxItems": count, "items": items}
    texts = (list[str], Field(min_length=1, description=exactly(count, of), json_schema_extra=bounds))
    model = create_model(f"Texts{count}", __base__=Texts, texts=texts)
    return with_first_words(model, {"texts": f"exactly {count} {of}"})
