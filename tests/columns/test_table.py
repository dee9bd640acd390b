"""Columns put together: what the seed decides, who needs whom, what a cell that fails means, and what comes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, ErrorKind, ProviderError, RunStopped
from datafast.llms.simulated.provider import SimulatedProvider
from tests.columns.support import SIM, SOURCE, refusal, rows
from tests.support import CountingProvider, assert_balanced, columns, requests_in, rows_of

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
    assert len(one) == 6
    assert all(
        first[name] != second[name]
        for first, second in zip(one, two, strict=True)
        for name in ("id", "number", "whenever", "last")
    )


def test_a_column_draws_the_same_whatever_other_columns_there_are(tmp_path: Path) -> None:
    alone = {name: DRAWN[name] for name in ("choice", "number", "source")}
    assert rows(tmp_path / "a", alone) == [{name: row[name] for name in alone} for row in rows(tmp_path / "b", DRAWN)]


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

    fault_server.respond = lambda request: Reply(until=lambda: len(fault_server.requests) == 4)
    schema = {name: {"type": "text", "prompt": name} for name in "abcd"}
    dataset = columns(tmp_path, schema, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    assert fault_server.max_in_flight == 4


def test_a_cell_does_not_wait_for_cells_that_it_does_not_need(tmp_path: Path, fault_server: Any) -> None:
    from datafast.llms import OpenAICompatibleProvider
    from tests.servers.fault_server import Answer as Reply

    # The slow one is answered once the other two were asked for.
    fault_server.respond = lambda request: Reply(
        text=request.prompt, until=lambda: request.prompt != "slow" or len(fault_server.requests) == 3
    )
    schema = {
        "slow": {"type": "text", "prompt": "slow"},
        "b": {"type": "text", "prompt": "{a}b"},
        "a": {"type": "text", "prompt": "a"},
    }
    dataset = columns(tmp_path, schema, rows=1)
    dataset.generate({"default": OpenAICompatibleProvider("m", api_base=fault_server.url)})
    assert {request.prompt for request in fault_server.requests} == {"slow", "a", "ab"}
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
    from datafast.export.splits import Splitting
    from datafast.export.splits.rows import SplitRows

    dataset = columns(tmp_path, DRAWN, rows=10)
    dataset.generate({"default": SIM})
    folder = tmp_path / "export"
    folder.mkdir()
    rows = SplitRows.of(dataset.config.output_file, Splitting(0.8, seed=1))
    exported = export_parquet(rows, folder, row_model=dataset.row_model)
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


@pytest.mark.parametrize(
    ("flag", "wanted"), [("false", False), ("False", False), ("", False), ("not so", True), ("x", True)]
)
def test_a_condition_takes_a_text_at_its_word(tmp_path: Path, flag: str, wanted: bool) -> None:
    schema = {"flag": {"type": "constant", "value": flag}, "x": {"type": "uuid", "when": "flag"}}
    assert (rows(tmp_path, schema, count=1)[0]["x"] is not None) is wanted


@pytest.mark.parametrize("flag", ["0", "no", "Off", " null "])
def test_a_text_that_may_mean_no_counts_as_true_and_is_told_of_once(tmp_path: Path, flag: str) -> None:
    schema = {"flag": {"type": "constant", "value": flag}, "x": {"type": "uuid", "when": "flag"}}
    dataset = columns(tmp_path, schema, rows=3)
    with pytest.warns(DatafastWarning) as told:
        dataset.generate()
    (warning,) = told
    assert str(warning.message).startswith(
        f"x.when: The text {flag!r} counts as true: of all texts only 'false' and '' are"
    )
    assert all(row.x for row in dataset.data_rows)
    (tmp_path / "compared").mkdir()
    schema["x"] = {"type": "uuid", "when": f"flag != {flag!r}"}
    assert [row["x"] for row in rows(tmp_path / "compared", schema, count=1)] == [None]


def test_columns_have_whatever_names_the_users_tables_have(tmp_path: Path) -> None:
    schema = {
        "class": {"type": "constant", "value": "bird"},
        "from": {"type": "constant", "value": {"to": "x", "my key": "y"}},
        "my col": {"type": "constant", "value": {"a": [1, 2]}},
        "1st": {"type": "constant", "value": 1},
        "not": {"type": "constant", "value": "n"},
        "v1.0 (b)": {"type": "constant", "value": "dotted"},
        "plain": {
            "type": "expression",
            "template": "{class} {from[to]} {from['my key']} {my col.a[1]} {1st} {not} {v1.0 (b)}",
        },
        "jinja": {
            "type": "expression",
            "template": "{% if class %}{my col.a[0]} {from[to]} {1st}{% endif %}{{ class | upper }}",
        },
        "sum": {"type": "expression", "expression": "{1st} + {my col}.a[1]", "returns": "integer"},
        "asked": {"type": "text", "prompt": "{my col} {1st}", "when": "{1st} == 1"},
    }
    (row,) = rows(tmp_path, schema, count=1)
    assert (row["plain"], row["jinja"], row["sum"]) == ("bird x y 2 1 n dotted", "1 x 1BIRD", 3)
    assert list(row) == list(schema)


@pytest.mark.parametrize("name", ["_x", "", " x", "a{b", "a[0]", 'a"b', "a\nb"])
def test_a_name_that_no_template_could_say_is_refused(tmp_path: Path, name: str) -> None:
    assert "The name of a column has no braces" in refusal(tmp_path, {name: {"type": "uuid"}})


def test_a_column_that_is_changed_in_its_config_counts_as_it_is_now(tmp_path: Path) -> None:
    schema = {
        "n": {"type": "constant", "value": 700},
        "normal": {"type": "normal", "mean": 0, "std": 1},
        "choice": {"type": "choice", "values": "[n]"},
        "text": {"type": "expression", "template": "{n}", "returns": "integer"},
        "whole": {"type": "uuid", "when": "n < 1"},
    }
    dataset = columns(tmp_path, schema, rows=3)
    changes: dict[str, dict[str, Any]] = {
        "normal": {"mean": "n"},
        "choice": {"values": ["x"]},
        "whole": {"when": None},
    }
    for name, fields in changes.items():
        for field, value in fields.items():
            setattr(dataset.config.columns[name], field, value)
    dataset.config.num_rows = 2
    dataset.generate()
    for row in rows_of(tmp_path / "out.jsonl"):
        assert 690 < row["normal"] < 710
        assert (row["choice"], row["text"]) == ("x", 700)
        assert row["whole"] is not None
