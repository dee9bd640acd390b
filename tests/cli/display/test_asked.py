"""The form of a reply in one line."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from datafast.cli.display.asked import form_of
from datafast.llms.schema import ResponseSchema


class Texts(BaseModel):
    texts: list[str] = Field(min_length=3, max_length=3)


class Verdict(BaseModel):
    grade: Literal["good", "bad"]
    score: int | None
    sure: bool


class Verdicts(BaseModel):
    verdicts: list[Verdict]


class Nested(BaseModel):
    inner: list[Nested]


class Wide(BaseModel):
    name: Literal["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"]


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (Texts, '{"texts": [text, 3 of them]}'),
        (Verdict, '{"grade": good | bad, "score": whole number | null, "sure": true | false}'),
        (Verdicts, '{"verdicts": [{"grade": good | bad, "score": whole number | null, "sure": true | false}]}'),
        (Wide, '{"name": a | b | c | d | e | f | g | h | i | j | k | l | ...}'),
    ],
)
def test_a_schema_reads_as_one_line(model: type[BaseModel], form: str) -> None:
    assert form_of(ResponseSchema.of(model).json_schema) == form


def test_a_schema_that_contains_itself_ends() -> None:
    assert form_of(Nested.model_json_schema()).count("inner") < 10


@pytest.mark.parametrize("schema", [{}, {"$ref": "#/$defs/nowhere"}, {"type": "array"}, {"type": ["string", "null"]}])
def test_any_schema_has_a_form(schema: dict[str, object]) -> None:
    assert form_of(schema)
