"""Columns that a model writes: texts, objects, judgements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tests.columns.support import SIM, rows
from tests.support import assert_balanced, columns, rows_of


def test_a_row_has_exactly_the_columns_of_the_schema_in_their_order(tmp_path: Path) -> None:
    schema = {"z": {"type": "text", "prompt": "{a}"}, "m": {"type": "uuid"}, "a": {"type": "constant", "value": 1}}
    assert [list(row) for row in rows(tmp_path, schema, count=2)] == [["z", "m", "a"]] * 2


def test_a_system_prompt_and_variables_are_templates_too(tmp_path: Path, fault_server: Any) -> None:
    from datafast.llms import OpenAICompatibleProvider

    column = {
        "type": "text",
        "prompt": "{who}: {topic}",
        "system": "You know {topic}. {% if n > 1 %}Much.{% endif %}",
        "variables": {"who": "Ann", "n": 2},
    }
    dataset = columns(tmp_path, {"topic": {"type": "constant", "value": "tides"}, "x": column}, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    assert fault_server.requests[0].json["messages"] == [
        {"role": "system", "content": "You know tides. Much."},
        {"role": "user", "content": "Ann: tides"},
    ]


class Answer(BaseModel):
    title: str
    marks: list[int]


def test_structured_columns_by_schema_and_by_model(tmp_path: Path) -> None:
    schema = {
        "form": {
            "type": "structured",
            "prompt": "x",
            "json_schema": {
                "type": "object",
                "properties": {"tag": {"enum": ["a", "b"]}, "inner": {"$ref": "#/$defs/inner"}},
                "required": ["tag"],
                "$defs": {"inner": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}},
            },
        },
        "model": {"type": "structured", "prompt": "{form.tag}", "response_model": Answer},
        "after": {"type": "expression", "template": "{model.title}: {form.inner.n}"},
    }
    dataset = columns(tmp_path, schema, rows=4)
    dataset.generate({"default": SIM})
    assert assert_balanced(dataset.report).written == 4
    for row in dataset.data_rows:
        assert row.form["tag"] in {"a", "b"}
        assert row.form["inner"]["n"] >= 3
        assert isinstance(row.model, Answer)
        assert row.after == f"{row.model.title}: {row.form['inner']['n']}"


def test_a_structured_reply_that_does_not_match_is_asked_for_again_with_the_reason(
    tmp_path: Path, fault_server: Any
) -> None:
    from datafast.llms import OpenAICompatibleProvider
    from tests.servers.fault_server import Answer as Reply

    form = {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 7}}, "required": ["n"]}
    fault_server.answer_next(Reply(text='{"n": 8}'), Reply(text='{"n": 14}'))
    dataset = columns(tmp_path, {"x": {"type": "structured", "prompt": "p", "json_schema": form}}, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    assert rows_of(dataset.config.output_file) == [{"x": {"n": 14}}]
    assert "n: 8 is not a multiple of 7" in fault_server.requests[1].prompt


def test_a_judge_gives_a_reason_and_a_score_within_its_bounds(tmp_path: Path, fault_server: Any) -> None:
    from datafast.llms import OpenAICompatibleProvider

    schema = {
        "text": {"type": "constant", "value": "a text"},
        "x": {"type": "judge", "prompt": "Text: {text}", "rubric": {1: "poor", 4: "good"}, "max": 4},
        "y": {
            "type": "judge",
            "prompt": "Text: {text}",
            "scale": "number",
            "min": 0,
            "max": 1,
            "rubric": "How {text}?",
        },
    }
    dataset = columns(tmp_path, schema, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    (row,) = dataset.data_rows
    assert 1 <= row.x.score <= 4
    assert 0 <= row.y.score <= 1
    assert row.x.reason
    prompts = sorted(request.prompt for request in fault_server.requests)
    assert any("1: poor\n4: good" in prompt and "from 1 (worst) to 4 (best)" in prompt for prompt in prompts)
    assert any("How a text?" in prompt and "a number from 0 (worst) to 1 (best)" in prompt for prompt in prompts)
