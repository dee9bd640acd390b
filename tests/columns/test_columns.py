"""Columns: what each type gives, who needs whom, what a cell that fails means, and that a seed decides everything drawn."""

from __future__ import annotations

import asyncio
import re
import threading
import warnings
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from datafast.columns import Cell, Column, Setup, register, registry
from datafast.columns.types.computed import FunctionColumn
from datafast.errors import ConfigError, ErrorKind, ProviderError, RunStopped
from datafast.llms.simulated.provider import SimulatedProvider
from tests.support import CountingProvider, assert_balanced, columns, requests_in, rows_of

SIM = SimulatedProvider("m")


def rows(
    folder: Path, schema: dict[str, Any], *, count: int = 6, provider: Any = SIM, seed: int = 0
) -> list[dict[str, Any]]:
    """The rows of a dataset in the order of their numbers: with one request at a time they come in it."""
    dataset = columns(folder, schema, rows=count, run={"seed": seed, "max_concurrency": 1})
    dataset.generate(dict.fromkeys(dataset.config.roles, provider))
    assert assert_balanced(dataset.report).failed == 0
    return rows_of(dataset.config.output_file)


def values(folder: Path, column: dict[str, Any], *, count: int = 6, seed: int = 0) -> list[Any]:
    return [row["x"] for row in rows(folder, {"x": column}, count=count, seed=seed)]


def refusal(folder: Path, schema: dict[str, Any], **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        columns(folder, schema, **options)
    return "\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in caught.value.errors())


# -- what is drawn


def test_a_choice_is_drawn_from_its_values(tmp_path: Path) -> None:
    found = Counter(values(tmp_path, {"type": "choice", "values": ["a", "b", "c"]}, count=300))
    assert set(found) == {"a", "b", "c"}
    assert min(found.values()) > 60


def test_a_weighted_choice_follows_its_weights(tmp_path: Path) -> None:
    found = Counter(values(tmp_path, {"type": "choice", "values": {"a": 0.9, "b": 0.1, "never": 0}}, count=400))
    assert set(found) == {"a", "b"}
    assert 15 < found["b"] < 75


def test_a_balanced_choice_gives_each_value_as_often_in_an_order_of_its_own(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "choice", "values": ["a", "b", "c"], "mode": "balanced"}, count=60)
    assert Counter(found) == {"a": 20, "b": 20, "c": 20}
    assert all(set(found[start : start + 3]) == {"a", "b", "c"} for start in range(0, 60, 3))
    assert len({tuple(found[start : start + 3]) for start in range(0, 60, 3)}) > 3


def test_a_balanced_choice_with_whole_weights_comes_out_exactly_in_every_block(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "choice", "values": {"a": 3, "b": 1}, "mode": "balanced"}, count=40)
    assert all(Counter(found[start : start + 4]) == {"a": 3, "b": 1} for start in range(0, 40, 4))


def test_a_balanced_choice_with_fractions_is_off_by_one_at_most_in_a_hundred_rows(tmp_path: Path) -> None:
    found = Counter(
        values(tmp_path, {"type": "choice", "values": {"a": 0.25, "b": 0.75}, "mode": "balanced"}, count=100)
    )
    assert found["a"] == pytest.approx(25, abs=1)


def test_two_balanced_columns_do_not_go_together(tmp_path: Path) -> None:
    column = {"type": "choice", "values": list("ab"), "mode": "balanced"}
    found = Counter((row["x"], row["y"]) for row in rows(tmp_path, {"x": column, "y": column}, count=80))
    assert len(found) == 4


def test_round_robin_takes_the_values_in_turn(tmp_path: Path) -> None:
    assert values(tmp_path, {"type": "choice", "values": [1, 2, 3], "mode": "round_robin"}, count=7) == [
        1,
        2,
        3,
        1,
        2,
        3,
        1,
    ]


def test_a_choice_may_depend_on_another_column(tmp_path: Path) -> None:
    given = {"sea": ["tides"], "sky": {"moon": 1, "stars": 0}, "1": ["one"]}
    schema = {
        "topic": {"type": "choice", "by": "field", "values": given},
        "field": {"type": "choice", "values": ["sea", "sky", 1]},
    }
    pairs = {(row["field"], row["topic"]) for row in rows(tmp_path, schema, count=30)}
    assert pairs == {("sea", "tides"), ("sky", "moon"), (1, "one")}


def test_a_choice_from_an_expression(tmp_path: Path) -> None:
    schema = {"list": {"type": "constant", "value": ["a", "b"]}, "x": {"type": "choice", "values": "list + ['c']"}}
    assert {row["x"] for row in rows(tmp_path, schema, count=40)} == {"a", "b", "c"}


def test_uuids_are_unique_and_the_seed_decides_them(tmp_path: Path) -> None:
    one, two, other = (
        values(tmp_path / name, {"type": "uuid"}, count=50, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == two
    assert not set(one) & set(other)
    assert len(set(one)) == 50
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value) for value in one
    )


@pytest.mark.parametrize(
    ("column", "possible"),
    [
        ({"start": 1, "end": 3}, {1, 2, 3}),
        ({"start": 0, "end": 10, "step": 5}, {0, 5, 10}),
        ({"start": 0, "end": 11, "step": 5}, {0, 5, 10}),
        ({"start": 0.1, "end": 0.4, "step": 0.1}, {0.1, 0.2, 0.3, 0.4}),
        ({"start": -1, "end": -1}, {-1}),
    ],
)
def test_a_range_includes_both_ends(tmp_path: Path, column: dict[str, Any], possible: set[Any]) -> None:
    found = values(tmp_path, {"type": "range", **column}, count=60)
    assert set(found) == possible
    assert {type(value) for value in found} == {type(next(iter(possible)))}


def test_a_range_of_fractions_is_rounded_if_asked(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "range", "start": 0, "end": 1.5, "decimals": 2}, count=50)
    assert all(0 <= value <= 1.5 and round(value, 2) == value for value in found)
    assert len(set(found)) > 20


def test_a_range_may_depend_on_another_column(tmp_path: Path) -> None:
    schema = {
        "low": {"type": "range", "start": 1, "end": 100},
        "high": {"type": "range", "start": "low", "end": "low + 5"},
    }
    assert all(row["low"] <= row["high"] <= row["low"] + 5 for row in rows(tmp_path, schema, count=40))


def test_datetimes_lie_between_their_bounds(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "datetime", "start": "2024-01-30", "end": "2024-02-01T06:00:00"}, count=50)
    moments = [datetime.fromisoformat(text) for text in found]
    assert all(datetime(2024, 1, 30) <= moment <= datetime(2024, 2, 1, 6) for moment in moments)
    assert len(set(moments)) == 50


def test_datetimes_in_whole_days_and_in_a_format_and_after_another(tmp_path: Path) -> None:
    schema = {
        "day": {"type": "datetime", "start": date(2024, 1, 1), "end": date(2024, 1, 3), "unit": "day"},
        "later": {"type": "datetime", "start": "{day}", "end": "2024-01-05", "unit": "day"},
        "written": {"type": "datetime", "start": "2024-01-01", "end": "2024-01-01", "format": "%d.%m.%y"},
    }
    found = rows(tmp_path, schema, count=30)
    assert {row["day"] for row in found} == {"2024-01-01", "2024-01-02", "2024-01-03"}
    assert all(row["day"] <= row["later"] <= "2024-01-05" for row in found)
    assert {row["written"] for row in found} == {"01.01.24"}


def test_people_have_what_was_asked_for(tmp_path: Path) -> None:
    schema = {
        "who": {"type": "person", "locale": ["de_DE", "ja_JP"], "min_age": 20, "max_age": 30},
        "name": {"type": "person", "field": "name", "sex": "female"},
        "place": {"type": "person", "fields": ["city", "email"]},
    }
    found = rows(tmp_path, schema, count=20)
    assert all(20 <= row["who"]["age"] <= 30 for row in found)
    assert all(row["who"]["email"].split("@")[1].startswith("example.") for row in found)
    assert len({row["name"] for row in found}) > 10
    assert all(set(row["place"]) == {"city", "email"} for row in found)
    assert found == rows(tmp_path / "again", schema, count=20)


def test_a_person_stays_the_same_when_one_more_field_is_asked_for(tmp_path: Path) -> None:
    few = values(tmp_path / "a", {"type": "person", "fields": ["name", "city"]})
    more = values(tmp_path / "b", {"type": "person", "fields": ["name", "city", "job", "phone"]})
    assert few == [{"name": person["name"], "city": person["city"]} for person in more]


SOURCE = [{"q": f"question {number}", "a": f"answer {number}", "n": number} for number in range(5)]


def test_columns_of_one_source_come_from_the_same_row(tmp_path: Path) -> None:
    for mode in ("cycle", "random"):
        schema = {name: {"type": "source", "source": SOURCE, "column": name, "mode": mode} for name in ("q", "a", "n")}
        found = rows(tmp_path / mode, schema, count=20)
        assert all(row in SOURCE for row in found)
        assert len({row["n"] for row in found}) == 5


def test_a_source_is_gone_through_once_before_it_begins_again(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "source", "source": SOURCE, "column": "n"}, count=15)
    assert all(sorted(found[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert len({tuple(found[start : start + 5]) for start in (0, 5, 10)}) > 1


def test_a_source_in_its_own_order(tmp_path: Path) -> None:
    assert values(tmp_path, {"type": "source", "source": SOURCE, "column": "n", "shuffle": False}, count=7) == [
        0,
        1,
        2,
        3,
        4,
        0,
        1,
    ]


def test_a_whole_row_of_a_source_and_what_stands_for_null(tmp_path: Path) -> None:
    source = [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    schema = {
        "row": {"type": "source", "source": source, "shuffle": False},
        "b": {"type": "source", "source": source, "column": "b", "shuffle": False, "default": "none"},
        "text": {"type": "expression", "template": "{row.a}"},
    }
    assert rows(tmp_path, schema, count=2) == [
        {"row": source[0], "b": "none", "text": "1"},
        {"row": source[1], "b": "x", "text": "2"},
    ]


def test_once_needs_as_many_rows_as_there_are(tmp_path: Path) -> None:
    column = {"type": "source", "source": SOURCE, "column": "n", "mode": "once"}
    assert sorted(values(tmp_path, column, count=5)) == [0, 1, 2, 3, 4]
    assert "6 rows are asked for and the list has 5" in refusal(tmp_path, {"x": column}, rows=6)


def test_constants_and_expressions(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "constant", "value": 3},
        "deep": {"type": "constant", "value": {"a": [1, None]}},
        "twice": {"type": "expression", "expression": "n * 2", "returns": "integer"},
        "big": {"type": "expression", "expression": "n > 2", "returns": "boolean"},
        "half": {"type": "expression", "expression": "n / 2", "returns": "number"},
        "text": {"type": "expression", "template": "{n} and {deep.a[0]}"},
        "any": {"type": "expression", "expression": "deep.a"},
        "read": {"type": "expression", "template": " {n} ", "returns": "integer"},
    }
    expected = {
        "n": 3,
        "deep": {"a": [1, None]},
        "twice": 6,
        "big": True,
        "half": 1.5,
        "text": "3 and 1",
        "any": [1, None],
        "read": 3,
    }
    assert rows(tmp_path, schema, count=1) == [expected]


# -- the seed


DRAWN = {
    "id": {"type": "uuid"},
    "choice": {"type": "choice", "values": list("abcdef")},
    "balanced": {"type": "choice", "values": list("abcdef"), "mode": "balanced"},
    "number": {"type": "range", "start": 0, "end": 1.0},
    "when_": {"type": "datetime", "start": "2020-01-01", "end": "2024-01-01"},
    "person": {"type": "person"},
    "source": {"type": "source", "source": SOURCE, "column": "q"},
    "text": {"type": "text", "prompt": "{choice} {person.name}"},
    "last": {"type": "text", "prompt": "{text} {id}"},
}
DRAWN["whenever"] = DRAWN.pop("when_")


def test_a_seed_decides_every_row_whatever_the_concurrency_and_the_order_of_replies(tmp_path: Path) -> None:
    expected = rows(tmp_path / "one", DRAWN, count=30, seed=5)
    jittery = SimulatedProvider("m", latency_s=0.001, latency_jitter_s=0.02)
    dataset = columns(tmp_path / "many", DRAWN, rows=30, run={"seed": 5, "max_concurrency": 32})
    dataset.generate({"default": jittery})
    found = rows_of(dataset.config.output_file)
    assert found != expected  # in another order
    assert sorted(found, key=lambda row: row["id"]) == sorted(expected, key=lambda row: row["id"])


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    one, two = rows(tmp_path / "a", DRAWN, seed=1), rows(tmp_path / "b", DRAWN, seed=2)
    assert all(
        first[name] != second[name]
        for first, second in zip(one, two, strict=True)
        for name in ("id", "number", "whenever", "last")
    )


def test_a_column_draws_the_same_whatever_other_columns_there_are(tmp_path: Path) -> None:
    alone = {name: DRAWN[name] for name in ("choice", "number")}
    assert rows(tmp_path / "a", alone) == [{name: row[name] for name in alone} for row in rows(tmp_path / "b", DRAWN)]


# -- what models write


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
    assert_balanced(dataset.report)
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


# -- functions


def test_functions_sync_and_async_take_columns_by_name_or_a_whole_row(tmp_path: Path) -> None:
    async def later(word: str, n: int) -> str:
        await asyncio.sleep(0)
        return word * n

    schema = {
        "n": {"type": "constant", "value": 2},
        "size": FunctionColumn(function=lambda text: len(text)),
        "text": {"type": "text", "prompt": "x"},
        "word": {"type": "constant", "value": "ab"},
        "twice": FunctionColumn(function=later),
        "names": FunctionColumn(function=lambda row: sorted(row)),
        "renamed": FunctionColumn(function=lambda a, b: f"{a}{b}", inputs=["word", "n"]),
    }
    dataset = columns(tmp_path, schema, rows=3)
    dataset.generate({"default": SIM})
    assert_balanced(dataset.report)
    for row in dataset.data_rows:
        assert row.size == len(row.text)
        assert (row.twice, row.renamed) == ("abab", "ab2")
        assert row.names == ["n", "size", "text", "twice", "word"]
    assert dataset.row_model.model_fields["twice"].annotation is str


def test_a_function_that_blocks_does_not_hold_back_others(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)
    dataset = columns(tmp_path, {"x": FunctionColumn(function=lambda: both.wait() >= 0)}, rows=2)
    dataset.generate()
    assert assert_balanced(dataset.report).written == 2


def test_a_function_that_raises_or_returns_what_is_no_json_fails_its_row(tmp_path: Path) -> None:
    def fussy(n: int) -> Any:
        if n == 1:
            raise KeyError("one")
        return object() if n == 2 else float("nan") if n == 3 else n

    schema = {
        "n": {"type": "choice", "values": [0, 1, 2, 3], "mode": "round_robin"},
        "x": FunctionColumn(function=fussy),
    }
    dataset = columns(tmp_path, schema, rows=4)
    dataset.generate()
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (1, {"column_error": 3})
    assert any("KeyError: 'one'" in item.error for item in dataset.failed_items)


def test_a_function_whose_parameters_are_no_columns_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"topic": {"type": "uuid"}, "x": FunctionColumn(function=lambda topci: topci)})
    assert "columns.x.function: its parameter 'topci' is no column; did you mean 'topic'?" in message


# -- conditions and dependencies


def test_where_a_condition_is_false_the_cell_is_null_and_costs_nothing(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    schema = {
        "n": {"type": "choice", "values": [1, 2], "mode": "round_robin"},
        "x": {"type": "text", "when": "n == 1", "prompt": "x"},
        "y": {"type": "text", "prompt": "[{x}]"},
    }
    found = rows(tmp_path, schema, count=4, provider=CountingProvider("m", log=log))
    assert [row["x"] is None for row in found] == [False, True, False, True]
    assert Counter(prompt for _, prompt in requests_in(log))["x"] == 2
    assert [prompt for _, prompt in requests_in(log)].count("[]") == 2


def test_independent_columns_of_a_row_are_asked_for_at_once(tmp_path: Path, fault_server: Any) -> None:
    from datafast.llms import OpenAICompatibleProvider
    from tests.servers.fault_server import Answer as Reply

    fault_server.respond = lambda request: Reply(delay_s=0.2)
    schema = {name: {"type": "text", "prompt": name} for name in "abcd"}
    dataset = columns(tmp_path, schema, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    assert fault_server.max_in_flight == 4


def test_a_cell_does_not_wait_for_cells_that_it_does_not_need(tmp_path: Path, fault_server: Any) -> None:
    from datafast.llms import OpenAICompatibleProvider
    from tests.servers.fault_server import Answer as Reply

    fault_server.respond = lambda request: Reply(text=request.prompt, delay_s=0.4 if request.prompt == "slow" else 0.0)
    schema = {
        "slow": {"type": "text", "prompt": "slow"},
        "b": {"type": "text", "prompt": "{a}b"},
        "a": {"type": "text", "prompt": "a"},
    }
    dataset = columns(tmp_path, schema, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    at = {request.prompt: request.at_s for request in fault_server.requests}
    assert at["ab"] - at["slow"] < 0.35
    assert list(rows_of(dataset.config.output_file)[0]) == ["slow", "b", "a"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"a": "{b}", "b": "{c}", "c": "{a}"}, "a -> b -> c -> a"),
        ({"a": "{a}"}, "a -> a"),
        ({"x": "y", "a": "{b} {x}", "b": "{a}"}, "a -> b -> a"),
    ],
)
def test_a_circle_is_named(tmp_path: Path, schema: dict[str, str], words: str) -> None:
    message = refusal(tmp_path, {name: {"type": "text", "prompt": prompt} for name, prompt in schema.items()})
    assert words in message


def test_a_circle_through_a_condition_is_named_too(tmp_path: Path) -> None:
    schema = {"a": {"type": "text", "prompt": "x", "when": "b"}, "b": {"type": "choice", "values": "[a]"}}
    assert "a -> b -> a" in refusal(tmp_path, schema)


# -- failures


def failing(*prompts: str) -> Any:
    """A reply that refuses what begins with one of these."""
    error = ProviderError("no", kind=ErrorKind.CONTENT_FILTER, status=400)
    return lambda request: error if request.messages[-1]["content"].startswith(prompts) else None


SIX = {"n": {"type": "choice", "values": [0, 1, 2, 3, 4, 5], "mode": "round_robin"}}


def test_a_failing_dependency_declared_after_its_dependant_fails_only_its_row(tmp_path: Path) -> None:
    schema = {
        "after": {"type": "text", "prompt": "after {first}"},
        "first": {"type": "text", "prompt": "first {n}"},
        **SIX,
    }
    provider = CountingProvider("m", log=tmp_path / "requests", reply=failing("first 3"))
    dataset = columns(tmp_path, schema)
    dataset.generate({"default": provider})
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (5, 1)
    (item,) = dataset.failed_items
    assert item.error.startswith("first: ")
    assert item.values == {"row": "3"}
    assert (item.category, item.prompt) == ("content_filter", "first 3")
    assert 3 not in {row["n"] for row in rows_of(dataset.config.output_file)}


def test_nothing_more_is_bought_for_a_row_that_has_failed_and_what_it_has_is_kept_for_a_retry(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    schema = {
        **SIX,
        "good": {"type": "text", "prompt": "good {n}"},
        "bad": {"type": "text", "prompt": "bad {good}"},
        "end": {"type": "text", "prompt": "end {bad}"},
    }
    dataset = columns(tmp_path, schema)
    dataset.generate({"default": CountingProvider("m", log=log, reply=failing("bad"))})
    assert assert_balanced(dataset.report).failed == 6
    assert Counter(prompt.split()[0] for _, prompt in requests_in(log)) == {"good": 6, "bad": 6}
    dataset.generate({"default": CountingProvider("m", log=log)}, retry_failed=True)
    assert assert_balanced(dataset.report).written == 6
    assert Counter(prompt.split()[0] for _, prompt in requests_in(log)) == {"good": 6, "bad": 12, "end": 6}


def test_a_null_in_place_of_a_failed_cell_keeps_its_row(tmp_path: Path) -> None:
    schema = {
        **SIX,
        "x": {"type": "text", "prompt": "x {n}", "on_error": "null"},
        "y": {"type": "expression", "expression": "x | length", "on_error": None},
        "z": {"type": "expression", "expression": "n", "returns": "integer"},
    }
    dataset = columns(tmp_path, schema)
    dataset.generate({"default": CountingProvider("m", log=tmp_path / "requests", reply=failing("x 2"))})
    assert assert_balanced(dataset.report).written == 6
    nulls = [row for row in rows_of(dataset.config.output_file) if row["x"] is None]
    assert nulls == [{"n": 2, "x": None, "y": None, "z": 2}]


def test_a_cell_that_must_not_fail_ends_the_run_and_the_next_run_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    schema = {**SIX, "x": {"type": "text", "prompt": "x {n}", "on_error": "stop"}}
    dataset = columns(tmp_path, schema, run={"max_concurrency": 1})
    with pytest.raises(RunStopped) as caught:
        dataset.generate({"default": CountingProvider("m", log=log, reply=failing("x 2"))})
    report = caught.value.report
    assert (report.written, report.failed, report.pending) == (2, 1, 3)
    assert "x: " in (report.stop_reason or "")
    assert "on_error is stop" in (report.stop_reason or "")
    dataset.generate({"default": CountingProvider("m", log=log)}, retry_failed=True)
    assert assert_balanced(dataset.report).written == 6
    assert len(requests_in(log)) == 7


def test_a_prompt_that_is_empty_in_a_row_is_not_sent(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    schema = {
        "n": {"type": "choice", "values": ["", "a"], "mode": "round_robin"},
        "x": {"type": "text", "prompt": "{n}"},
    }
    dataset = columns(tmp_path, schema, rows=2)
    dataset.generate({"default": CountingProvider("m", log=log)})
    assert assert_balanced(dataset.report).failures == {"column_error": 1}
    assert len(requests_in(log)) == 1


def test_a_template_that_fails_in_one_row_fails_that_row(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "choice", "values": [0, 1, 2], "mode": "round_robin"},
        "x": {"type": "expression", "template": "{{ 6 / n }}"},
    }
    dataset = columns(tmp_path, schema, rows=3)
    dataset.generate()
    assert assert_balanced(dataset.report).failures == {"column_error": 1}
    assert {row["x"] for row in rows_of(dataset.config.output_file)} == {"6.0", "3.0"}


# -- what is refused when a config is made


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"x": {"type": "choise", "values": ["a"]}},
            "columns.x: type: there is no type of column 'choise'; did you mean 'choice'?",
        ),
        ({"x": {"values": ["a"]}}, "columns.x: the type is missing"),
        ({"x": 3}, "columns.x: expected a mapping like {type: choice, values: [...]}, got int"),
        ({"x": {"type": "choice", "valeus": ["a"]}}, "did you mean 'values'?"),
        ({"x": {"type": "choice", "values": []}}, "columns.x.values: the list is empty"),
        ({"x": {"type": "choice", "values": {"a": -1}}}, "columns.x.values: the weight of 'a' is -1"),
        ({"x": {"type": "choice", "values": {"a": 0}}}, "columns.x.values: every weight is 0"),
        ({"x": {"type": "choice", "values": {"a": ["b"]}, "by": "z"}}, "columns.x.by: there is no column 'z'"),
        (
            {"z": {"type": "choice", "values": ["a", "b"]}, "x": {"type": "choice", "values": {"a": [1]}, "by": "z"}},
            "there is nothing for 'b'",
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
            "columns.x.locale: there is no locale 'de_DD'; did you mean 'de_DE'?",
        ),
        ({"x": {"type": "person", "field": "name", "fields": ["name"]}}, "remove one of them"),
        ({"x": {"type": "source", "source": [{"a": 1}], "column": "aa", "mode": "once"}}, "has no column 'aa'"),
        ({"x": {"type": "source", "source": "nowhere.csv"}}, "columns.x.source: there is no file nowhere.csv"),
        ({"x": {"type": "text", "prompt": " "}}, "must not be blank"),
        ({"x": {"type": "text", "prompt": "{y}", "variables": {"x": 1}}}, "'x' is a column as well"),
        ({"x": {"type": "structured", "prompt": "p"}}, "json_schema: expected the form"),
        (
            {"x": {"type": "structured", "prompt": "p", "json_schema": {"type": "array"}}},
            "columns.x.json_schema: expected `type: object`",
        ),
        (
            {"x": {"type": "structured", "prompt": "p", "json_schema": {"type": "objekt"}}},
            "columns.x.json_schema.type: this is no JSON Schema",
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
        ({"x": {"type": "judge", "prompt": "p", "max": 1.5}}, "write scale: number"),
        ({"x": {"type": "judge", "prompt": "p", "rubric": {9: "x"}}}, "rubric: 9 is not between"),
        ({"x": {"type": "expression"}}, "expected an expression, or a template"),
        ({"x": {"type": "expression", "expression": "1 +"}}, "columns.x.expression: '1 +' is no expression"),
        ({"x": {"type": "text", "prompt": "p", "when": "y > 1"}}, "columns.x.when: there is no column 'y'"),
        (
            {"j": {"type": "judge", "prompt": "p"}, "x": {"type": "text", "prompt": "{j.scroe}"}},
            "has no 'scroe'; did you mean 'score'?",
        ),
        ({"not": {"type": "uuid"}}, "is a word of the template language"),
        ({"two words": {"type": "uuid"}}, "letters, digits and underscores"),
        ({"_x": {"type": "uuid"}}, "letters, digits and underscores"),
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


# -- values that nothing refers to


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
    assert len(caught) == 1
    assert "no column refers to original, and prompt asks the same in every row" in str(caught[0].message)
    assert caught[0].filename == __file__ or "support" in caught[0].filename


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


# -- types of column of others


class LengthColumn(Column):
    type: Literal["length"] = "length"
    of: str

    def prepare(self, setup: Setup) -> None:
        setup.require(self.of, "of")

    def make(self, cell: Cell) -> int:
        return len(cell.values[self.of])

    def row_type(self) -> Any:
        return int


def test_a_type_of_column_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    register(LengthColumn)
    assert rows(tmp_path, {"n": {"type": "length", "of": "t"}, "t": {"type": "constant", "value": "abc"}}, count=1) == [
        {"n": 3, "t": "abc"}
    ]
    assert "columns.n.of: there is no column 'u'" in refusal(tmp_path, {"n": {"type": "length", "of": "u"}})
    with pytest.raises(ConfigError, match="already"):
        register(type("ChoiceColumn", (Column,), {"__annotations__": {"type": Literal["choice"]}, "type": "choice"}))


# -- what comes of it


def test_the_row_model_has_the_types_of_the_columns(tmp_path: Path) -> None:
    from datafast.export.features import row_schema

    schema = {
        **DRAWN,
        "x": {"type": "text", "prompt": "p", "when": "number > 2"},
        "j": {"type": "judge", "prompt": "{text}"},
    }
    found = {column.name: column.label for column in row_schema(columns(tmp_path, schema).row_model).columns}
    assert found == {
        "id": "string",
        "choice": "string",
        "balanced": "string",
        "number": "float64",
        "person": "JSON text",
        "source": "string",
        "text": "string",
        "last": "string",
        "whenever": "string",
        "x": "string",
        "j": "struct of reason, score",
    }


def test_rows_can_be_exported_as_the_hub_gets_them(tmp_path: Path) -> None:
    from datafast.export.parquet import export_parquet

    dataset = columns(tmp_path, DRAWN, rows=10)
    dataset.generate({"default": SIM})
    folder = tmp_path / "export"
    folder.mkdir()
    exported = export_parquet(
        dataset.config.output_file, folder, row_model=dataset.row_model, train_size=0.8, seed=1, shuffle=True
    )
    assert [split.num_rows for split in exported.splits] == [8, 2]


def test_an_estimate_counts_what_conditions_leave_out(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "choice", "values": [1, 2], "mode": "round_robin"},
        "x": {"type": "text", "prompt": "p", "when": "n == 1"},
    }
    estimate = columns(tmp_path, schema, rows=1000).estimate({"default": SIM})
    assert 300 < estimate.calls < 700


def test_a_million_rows_are_begun_soon_and_none_is_no_fault(tmp_path: Path) -> None:
    dataset = columns(tmp_path, {"x": {"type": "text", "prompt": "p"}}, rows=1_000_000)
    assert dataset.get_num_expected_rows() == 1_000_000
    dataset.generate({"default": SIM}, limit=3)
    report = dataset.report
    assert report is not None
    assert (report.written, report.pending) == (3, 999_997)
    empty = columns(tmp_path / "none", {"x": {"type": "uuid"}}, rows=0)
    empty.generate()
    assert assert_balanced(empty.report).requested == 0


def test_events_and_async_generation(tmp_path: Path) -> None:
    async def main() -> list[str]:
        dataset = columns(tmp_path, {"x": {"type": "text", "prompt": "p"}}, rows=2)
        await dataset.generate_async({"default": SIM})
        return [event.type async for event in dataset.generate_events({"default": SIM})]

    assert asyncio.run(main()) == ["run_started", "run_ended"]
