"""Forms that users write as JSON Schema, and the texts of models that meet them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.columns.json_schema import schema_model
from datafast.errors import ConfigError


def form(**properties: Any) -> Any:
    return schema_model({"type": "object", "properties": properties}, name="Form")


def test_a_pattern_takes_linear_time_on_whatever_a_model_writes() -> None:
    model = form(x={"type": "string", "pattern": "^(a+)+$"})
    began = time.process_time()
    with pytest.raises(ValidationError, match="does not match"):
        model.model_validate({"x": "a" * 50_000 + "!"})
    assert time.process_time() - began < 60  # with backtracking it would take for ever
    assert model.model_validate({"x": "aaa"}).root == {"x": "aaa"}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"n_1": 2}, None),
        ({"n_1": "x"}, "is not of type 'integer'"),
        ({"other": 1}, "additional properties are not allowed"),
        ({"x": "y"}, None),
    ],
)
def test_patterns_of_names_and_other_properties_are_checked(value: dict[str, Any], problem: str | None) -> None:
    names = {"^n_[0-9]+$": {"type": "integer"}}
    schema = {"type": "object", "properties": {"x": {}}, "patternProperties": names, "additionalProperties": False}
    model = schema_model(schema, name="Form")
    if problem is None:
        assert model.model_validate(value).root == value
    else:
        with pytest.raises(ValidationError, match=problem):
            model.model_validate(value)


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(a)\1", r"(?<!a)b"])
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be used: .*Write it without look-around and back-references"):
        form(x={"type": "string", "pattern": pattern})


def test_a_property_may_be_called_pattern() -> None:
    assert form(pattern={"type": "string"}).model_validate({"pattern": "("}).root == {"pattern": "("}


def test_whether_items_are_unique_is_told_of_long_lists_of_objects() -> None:
    model = form(x={"type": "array", "uniqueItems": True})
    items = [{"a": [number]} for number in range(20_000)]  # more than a minute, were each compared with each other
    began = time.process_time()
    assert model.model_validate({"x": items})
    assert time.process_time() - began < 20
    assert model.model_validate({"x": [1, True, "1", [1], {"a": 1}, {"a": True}, None]})
    for twice in ([1, 1.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], [None, None]):
        with pytest.raises(ValidationError, match="the same item twice"):
            model.model_validate({"x": twice})
