"""What is refused when a schema is made, naming column and field; what is remarked on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError, DatafastWarning
from tests.columns.support import SIM, SOURCE, refusal
from tests.support import columns


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"x": {"type": "choise", "values": ["a"]}},
            "columns.x: type: There is no type of column 'choise'. Did you mean 'choice'?",
        ),
        ({"x": {"values": ["a"]}}, "columns.x: The type is missing"),
        ({"x": 3}, "columns.x: expected a mapping like {type: choice, values: [...]}, got int"),
        ({"x": {"type": "choice", "valeus": ["a"]}}, "Did you mean 'values'?"),
        ({"x": {"type": "choice", "values": []}}, "columns.x.values: The list is empty"),
        ({"x": {"type": "choice", "values": {"a": -1}}}, "columns.x.values: The weight of 'a' is -1"),
        ({"x": {"type": "choice", "values": {"a": 0}}}, "columns.x.values: Every weight is 0"),
        ({"x": {"type": "choice", "values": {"a": ["b"]}, "by": "z"}}, "columns.x.by: There is no column 'z'"),
        (
            {"z": {"type": "choice", "values": ["a", "b"]}, "x": {"type": "choice", "values": {"a": [1]}, "by": "z"}},
            "There is nothing for 'b'",
        ),
        ({"x": {"type": "choice", "values": "[1]", "mode": "balanced"}}, "columns.x.mode: balanced goes over all rows"),
        (
            {"x": {"type": "choice", "values": {"a": 1}, "mode": "round_robin"}},
            "columns.x.mode: round_robin takes a list",
        ),
        ({"x": {"type": "range", "start": 2, "end": 1}}, "start: 2 is larger than end, 1"),
        ({"x": {"type": "range", "start": 1, "end": 2, "step": 0}}, "step: expected a number above 0"),
        ({"x": {"type": "datetime", "start": "yesterday", "end": "2024-01-01"}}, "columns.x.start: expected a date as"),
        ({"x": {"type": "datetime", "start": "2024-02-01", "end": "2024-01-01"}}, "is later than end"),
        ({"x": {"type": "datetime", "start": "2024-01-01T00:00:00Z", "end": "2024-01-02"}}, "time zone"),
        (
            {"x": {"type": "person", "locale": "de_DD"}},
            "columns.x.locale: There is no locale 'de_DD'. Did you mean 'de_DE'?",
        ),
        ({"x": {"type": "person", "field": "name", "fields": ["name"]}}, "Leave one of them out"),
        ({"x": {"type": "source", "source": [{"a": 1}], "column": "aa", "mode": "once"}}, "has no column 'aa'"),
        ({"x": {"type": "source", "source": "nowhere.csv"}}, "columns.x.source: There is no file nowhere.csv"),
        ({"x": {"type": "text", "prompt": " "}}, "must not be blank"),
        ({"x": {"type": "text", "prompt": "{y}", "variables": {"x": 1}}}, "'x' is a column as well"),
        ({"x": {"type": "structured", "prompt": "p"}}, "json_schema: expected the form"),
        (
            {"x": {"type": "structured", "prompt": "p", "json_schema": {"type": "array"}}},
            "columns.x.json_schema: expected `type: object`",
        ),
        (
            {"x": {"type": "structured", "prompt": "p", "json_schema": {"type": "objekt"}}},
            "columns.x.json_schema.type: This is not a JSON Schema",
        ),
        (
            {
                "x": {
                    "type": "structured",
                    "prompt": "p",
                    "json_schema": {"type": "object", "properties": {"a": {"$ref": "#/x"}}},
                }
            },
            "$ref '#/x' leads nowhere",
        ),
        ({"x": {"type": "judge", "prompt": "p", "min": 5, "max": 5}}, "min: 5 is not below max, 5"),
        ({"x": {"type": "judge", "prompt": "p", "max": 1.5}}, "Write scale: number"),
        ({"x": {"type": "judge", "prompt": "p", "rubric": {9: "x"}}}, "rubric: 9 is not between"),
        ({"x": {"type": "expression"}}, "expected an expression, or a template"),
        ({"x": {"type": "expression", "expression": "1 +"}}, "columns.x.expression: '1 +' is not an expression"),
        ({"x": {"type": "text", "prompt": "p", "when": "y > 1"}}, "columns.x.when: There is no column 'y'"),
        (
            {"j": {"type": "judge", "prompt": "p"}, "x": {"type": "text", "prompt": "{j.scroe}"}},
            "has no 'scroe'. Did you mean 'score'?",
        ),
        ({"model_dump": {"type": "uuid"}}, "what every row has already"),
        ({}, "columns: "),
    ],
)
def test_what_cannot_be_meant_is_refused_naming_column_and_field(
    tmp_path: Path, schema: dict[str, Any], words: str
) -> None:
    assert words in refusal(tmp_path, schema)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        {
            "a": {"type": "text", "prompt": "{unknown}"},
            "c": {"type": "choice", "values": []},
            "d": {"type": "text", "prompt": "{nobody}"},
        },
    )
    assert len(message.splitlines()) == 3


def test_names_of_old_methods_of_rows_are_possible(tmp_path: Path) -> None:
    schema = {
        name: {"type": "constant", "value": name}
        for name in ("copy", "json", "dict", "schema", "id", "type", "range", "model_id", "class_")
    }
    dataset = columns(tmp_path, schema, rows=1)
    dataset.generate()
    assert dataset.data_rows[0].copy == "copy"
    assert dataset.data_rows[0].model_dump() == {name: name for name in schema}


def test_providers_that_are_missing_or_not_asked_for_are_named(tmp_path: Path) -> None:
    dataset = columns(tmp_path, {"x": {"type": "text", "prompt": "p", "provider": "writer"}})
    with pytest.raises(ConfigError, match="No provider is given for 'writer'"):
        dataset.generate()
    with pytest.raises(ConfigError, match="Did you mean 'writer'"):
        dataset.generate({"writer": SIM, "writter": SIM})


def test_a_source_that_no_prompt_refers_to_is_remarked_on_once_where_a_prompt_is_the_same_in_every_row(
    tmp_path: Path,
) -> None:
    schema = {
        "original": {"type": "source", "source": SOURCE, "column": "q"},
        "prompt": {"type": "text", "prompt": "write a question about this"},
        "response": {"type": "text", "prompt": "{prompt}"},
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = columns(tmp_path, schema)
        dataset.config.num_rows = 3
    (ours,) = [warning for warning in caught if issubclass(warning.category, DatafastWarning)]
    assert "No column refers to original, and prompt asks the same in every row" in str(ours.message)
    assert ours.filename == __file__ or "support" in ours.filename


@pytest.mark.parametrize(
    "schema",
    [
        {"id": {"type": "uuid"}, "x": {"type": "text", "prompt": "the same"}},
        {"x": {"type": "text", "prompt": "the same"}, "y": {"type": "text", "prompt": "{x}"}},
        {
            "t": {"type": "choice", "values": ["a"]},
            "u": {"type": "choice", "values": ["a"]},
            "x": {"type": "text", "prompt": "{t}"},
        },
    ],
)
def test_columns_that_are_there_for_the_reader_are_not_remarked_on(tmp_path: Path, schema: dict[str, Any]) -> None:
    columns(tmp_path, schema)  # warnings are errors here


def test_an_unknown_filter_is_refused_with_the_names_of_those_that_there_are(tmp_path: Path) -> None:
    said = refusal(tmp_path, {"x": {"type": "expression", "expression": "'a' | center"}})
    assert "There is no filter 'center'. Known: abs, " in said
    assert "__" not in said
