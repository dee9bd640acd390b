"""Results of calls from tables and Python functions."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast import ToolError
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request, Response
from datafast.llms.simulated.provider import SimulatedBackend
from tests.datasets.conversation.support import provider, talk
from tests.datasets.conversation.tool_server import (
    HUSUM,
    LEVEL,
    PIER,
    WIND,
    WITH_TOOLS,
    Cast,
    asked_for,
    cast,
    rows_with,
)
from tests.servers.fault_server import FaultServer
from tests.support import assert_balanced, fork_server, rows_of, same_rows


def results_of(row: dict[str, Any]) -> list[str]:
    return [message["content"] for message in row["messages"] if message["role"] == "tool"]


# -- tables

ROWS = [
    {"station": "Husum", "hour": 5, "result": "0.7 m"},
    {"station": "Husum", "result": {"level": 1}},
    {"arguments": {"station": "Dover"}, "result": 3},
]


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ({"station": "Husum", "hour": 5}, "0.7 m"),
        ({"station": "Husum", "hour": 5.0}, "0.7 m"),
        ({"station": "Husum", "hour": 6}, '{"level":1}'),
        ({"station": "Husum"}, '{"level":1}'),
        ({"station": "Dover", "hour": 1}, "3"),
        ({"station": "Rome"}, '{"error":"not found"}'),
    ],
)
def test_a_call_gets_the_result_of_the_row_with_its_arguments(
    tmp_path: Path, fault_server: FaultServer, arguments: Any, result: str
) -> None:
    made = Cast(calls=[[{"name": "tide_level", "arguments": arguments}]])
    (row,) = rows_with(tmp_path, fault_server, cast=made, tool_results={"tide_level": {"table": ROWS}})
    assert results_of(row) == [result]
    assert [asked_for(request) for request in fault_server.requests] == ["openings", "calls", "either"]


def test_a_table_may_say_what_other_calls_give_and_comes_from_a_file(tmp_path: Path, fault_server: FaultServer) -> None:
    (tmp_path / "levels.jsonl").write_text('{"station": "Dover", "result": 3}\n', encoding="utf-8")
    table = {"table": str(tmp_path / "levels.jsonl"), "default": "no such station"}
    (row,) = rows_with(tmp_path, fault_server, tool_results={"tide_level": table})
    assert results_of(row) == ["no such station"]


def test_who_asks_is_told_what_the_table_knows(tmp_path: Path, fault_server: FaultServer) -> None:
    rows_with(tmp_path, fault_server, 12, tool_results={"tide_level": {"table": ROWS}}, share_without_calls=0.5)
    told = {"tide_level {" in request.prompt for request in fault_server.requests if asked_for(request) == "openings"}
    assert told == {True, False}
    openings = [request for request in fault_server.requests if asked_for(request) == "openings"]
    assert all(("without calling" in request.prompt) is ("tide_level {" not in request.prompt) for request in openings)


def test_the_order_of_a_table_is_in_no_key(tmp_path: Path) -> None:
    made = [
        talk(tmp_path, 3, **WITH_TOOLS, tool_results={"tide_level": {"table": rows}}) for rows in (ROWS, ROWS[::-1])
    ]
    keys = [list(dataset.plan(["m"]).keys()) for dataset in made]
    assert keys[0] == keys[1]


def test_defaults_of_the_schema_count_as_given(tmp_path: Path, fault_server: FaultServer) -> None:
    parameters = {"type": "object", "properties": {"unit": {"type": "string", "default": "m"}, "station": {}}}
    tool = {"name": "tide_level", "parameters": parameters}
    table = {"table": [{"station": "Husum", "unit": "m", "result": "0.7"}]}
    (row,) = rows_with(tmp_path, fault_server, tools=[tool], tool_results={"tide_level": table})
    assert results_of(row) == ["0.7"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], r"tool_results"),
        ([{"station": "Husum"}], r"tool_results.tide_level.table\[0\]: There is no result"),
        (
            [{"sttion": "Husum", "result": 1}],
            r"table\[0\]: tide_level has no argument 'sttion'. Did you mean 'station'",
        ),
        (
            [ROWS[0], {"station": 7, "result": 1}],
            r"table\[1\]: arguments of tide_level.station: 7 is not of type 'string'",
        ),
        ([ROWS[0], {**ROWS[0], "result": 2}], r"table\[1\]: An earlier row has another result for the same arguments"),
        ([{"arguments": {}, "hour": 1, "result": 2}], r"table\[0\]: expected a mapping in `arguments` and nothing but"),
        ([{"arguments": "[]", "result": 2}], r"table\[0\]: expected a mapping in `arguments`"),
    ],
)
def test_a_table_that_does_not_fit_its_tool_is_refused(tmp_path: Path, rows: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        talk(tmp_path, 1, **WITH_TOOLS, tool_results={"tide_level": {"table": rows}})


def test_results_of_a_table_fit_the_output_schema(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"table\[0\]: the result of wind, knots: -1 is less than"):
        talk(tmp_path, 1, **WITH_TOOLS, tool_results={"wind": {"table": [{"place": "pier", "result": {"knots": -1}}]}})


# -- functions


def tide_level(station: str, hour: int = 0) -> str:
    """The level of the water."""
    return f"{station} at {hour}"


def test_a_function_that_is_the_tool_gives_its_result(tmp_path: Path, fault_server: FaultServer) -> None:
    (row,) = rows_with(tmp_path, fault_server, tools=[tide_level], tool_results="function")
    assert results_of(row) == ["Husum at 0"]
    assert [asked_for(request) for request in fault_server.requests] == ["openings", "calls", "either"]


def test_functions_tables_and_a_model_answer_side_by_side(tmp_path: Path, fault_server: FaultServer) -> None:
    tools = [tide_level, WIND, {"name": "depth"}]
    made = Cast(calls=[[PIER, {"name": "depth", "arguments": {}}, HUSUM]], results=["4 m"])
    sources = {"tide_level": "function", "wind": {"table": [{"place": "pier", "result": {"knots": 2}}]}}
    (row,) = rows_with(tmp_path, fault_server, cast=made, tools=tools, tool_results=sources)
    assert results_of(row) == ['{"knots":2}', "4 m", "Husum at 0"]


async def later(station: str, hour: int = 0) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"at": date(2026, 1, 2), "station": station}


def failing(station: str, hour: int = 0) -> str:
    raise ToolError(f"there is no {station}")


async def failing_later(station: str, hour: int = 0) -> str:
    await asyncio.sleep(0)
    raise ToolError(f"there is no {station}")


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (lambda station, hour=0: None, "null"),
        (lambda station, hour=0: [station, 1.5], '["Husum",1.5]'),
        (later, '{"at":"2026-01-02","station":"Husum"}'),
        (failing, '{"error":"there is no Husum"}'),
        (failing_later, '{"error":"there is no Husum"}'),
    ],
)
def test_a_function_for_a_tool_gives_json_or_its_error(
    tmp_path: Path, fault_server: FaultServer, function: Any, result: str
) -> None:
    (row,) = rows_with(tmp_path, fault_server, tool_results={"tide_level": function})
    assert results_of(row) == [result]


def on_a_day(day: date) -> str:
    """What happens on a day."""
    return day.strftime("%A")


def test_arguments_are_what_the_hints_say_and_what_no_schema_can_tell_is_told(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    days = [[{"name": "on_a_day", "arguments": {"day": day}}] for day in ("2026-01-02", "soon")]
    made = Cast(calls=days[:1], either=[days[1], "Friday."])
    (row,) = rows_with(tmp_path, fault_server, cast=made, tools=[on_a_day], tool_results="function")
    friday, error = results_of(row)
    assert friday == "Friday"
    assert json.loads(error)["error"].startswith("day: Input should be a valid date")


def broken(station: str, hour: int = 0) -> str:
    raise KeyError(station)


def unwritable(station: str, hour: int = 0) -> Any:
    return threading.Lock()


def negative(place: str) -> dict[str, int]:
    return {"knots": -1}


def sleeping(station: str, hour: int = 0) -> str:
    threading.Event().wait(1)
    return "late"


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        ({"tide_level": broken}, "broken: KeyError: 'Husum'"),
        ({"tide_level": unwritable}, "unwritable: .*lock"),
        ({"wind": negative}, "negative: ValueError: the result of wind, knots: -1 is less than"),
        ({"tide_level": {"function": sleeping, "timeout_s": 0.01}}, "sleeping: It took longer than 0.01 s"),
    ],
)
def test_any_other_error_fails_the_row(
    tmp_path: Path, fault_server: FaultServer, results: dict[str, Any], problem: str
) -> None:
    made = Cast(calls=[[PIER if "wind" in results else HUSUM]])
    dataset = cast(tmp_path, fault_server, cast=made, tool_results=results)
    assert assert_balanced(dataset.report).failed == 1
    (failed,) = dataset.failed_items
    assert failed.category == "function_error"
    assert re.search(problem, failed.error)


def test_a_row_that_its_function_failed_is_made_by_the_corrected_one_for_what_is_missing(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    works: list[bool] = []

    def level(station: str, hour: int = 0) -> str:
        return f"{station}: 0.7 m" if works else works[0]

    dataset = cast(tmp_path, fault_server, tool_results={"tide_level": {"function": level, "version": "1"}})
    assert (dataset.report.failed, dataset.report.calls) == (1, 2)
    works.append(True)
    report = dataset.generate([provider(fault_server)], retry_failed=True, progress=False).report
    assert (report.written, report.failed, report.calls) == (1, 0, 1)
    assert results_of(rows_of(tmp_path / "out.jsonl")[0]) == ["Husum: 0.7 m"]


def counted(made: Any) -> Callable[[str], str]:
    def tide_level(station: str, hour: int = 0) -> str:
        """Never the same."""
        return f"{station}: {next(made)}"

    return tide_level


def test_what_a_function_gave_is_recorded_and_never_asked_for_again(tmp_path: Path, fault_server: FaultServer) -> None:
    made = count()
    sources = {"tide_level": {"function": counted(made), "version": "1"}}
    dataset = cast(tmp_path, fault_server, 3, tool_results=sources)
    before = rows_of(tmp_path / "out.jsonl")
    assert next(made) == 3
    (tmp_path / "out.jsonl").unlink()
    report = dataset.generate([provider(fault_server)], progress=False).report
    assert (report.calls, report.written) == (0, 3)
    assert next(made) == 4
    assert same_rows(rows_of(tmp_path / "out.jsonl"), before)


def test_functions_are_not_calls_of_models_and_cost_nothing(tmp_path: Path, fault_server: FaultServer) -> None:
    from datafast.types import RunReport

    priced = provider(fault_server, price={"input_usd_per_million": 1, "output_usd_per_million": 1})
    fault_server.respond = Cast()
    dataset = talk(tmp_path, 2, **WITH_TOOLS, tool_results={"tide_level": tide_level})
    report: RunReport = dataset.generate([priced], progress=False).report
    assert report.calls == 6 == len(fault_server.requests)
    assert list(report.usage_by_provider) == [priced.label]
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as ledger:
        assert ledger.execute("SELECT count(*) FROM calls WHERE attempts = 0").fetchone() == (2,)
    from click.testing import CliRunner

    from datafast.cli.main import cli

    status = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl"), "--json"])
    assert json.loads(status.stdout)["calls"] == 6


def test_an_estimate_does_not_run_functions(tmp_path: Path) -> None:
    def never(station: str, hour: int = 0) -> str:
        raise AssertionError

    dataset = talk(tmp_path, 3, **{**WITH_TOOLS, "tools": [LEVEL]}, max_steps=1, tool_results={"tide_level": never})
    assert dataset.estimate([SimulatedProvider("m")]).calls == 9


def test_functions_that_do_the_same_have_the_same_keys_and_others_others(tmp_path: Path) -> None:
    def keys(function: Any) -> list[bytes]:
        return list(talk(tmp_path, 2, **WITH_TOOLS, tool_results={"tide_level": function}).plan(["m"]).keys())

    assert keys(lambda station, hour=0: "a") == keys(lambda station, hour=0: "a")
    assert keys(lambda station, hour=0: "a") != keys(lambda station, hour=0: "b")
    versioned = [
        {"function": lambda station, hour=0: "a", "version": "1"},
        {"function": lambda station, hour=0: "b", "version": "1"},
    ]
    assert keys(versioned[0]) == keys(versioned[1])


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        ("function", "tool_results: The tool tide_level was not given as a Python function. Give it as one, or name"),
        ({"wind": "function"}, "The tool wind was not given as a Python function"),
        ({"wind": {"function": "winds:read"}}, "expected a function, got 'winds:read'. Functions are given in Python"),
        ({"wind": {"function": tide_level, "timeout": 3}}, "There is no such field. Did you mean 'timeout_s'"),
        ({"wind": 3}, "tool_results"),
        (
            {"wind": lambda: 3},
            "tool_results.wind: .* cannot be called with place: got an unexpected keyword argument 'place'",
        ),
        ({"tide_level": lambda station, hour: 3}, "cannot be called with station: missing a required argument: 'hour'"),
    ],
)
def test_results_that_cannot_be_had_are_refused(tmp_path: Path, results: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        talk(tmp_path, 1, **WITH_TOOLS, tool_results=results)


# -- death of the process


def logged_level(log: Path) -> Callable[[str, int], str]:
    """A function that never gives the same and writes down that it was called."""

    def tide_level(station: str, hour: int = 0) -> str:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{station}\n")
        return f"{station} at {time.time_ns()}"

    return tide_level


def run_with_function(folder: str, at: int | None = None) -> None:
    """A run whose process is gone when so many requests were sent."""
    sent, own = count(1), SimulatedBackend.complete

    async def complete(backend: SimulatedBackend, request: Request) -> Response:
        if next(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await own(backend, request)

    if at is not None:
        SimulatedBackend.complete = complete  # type: ignore[method-assign]
    source = {"function": logged_level(Path(folder) / "log"), "version": "1"}
    fields = {**WITH_TOOLS, "tools": [LEVEL], "tool_results": {"tide_level": source}, "max_parallel_calls": 1}
    dataset = talk(Path(folder), 8, **fields, max_turns=2, max_steps=2)
    dataset.generate([SimulatedProvider("m")], max_concurrency=2, progress=False)
    assert assert_balanced(dataset.report).written == 8


def test_a_killed_run_goes_on_with_what_functions_gave(tmp_path: Path) -> None:
    with fork_server() as server:
        for at in (5, 9, 17):
            folder = tmp_path / str(at)
            folder.mkdir()
            died = server.run(
                "tests.datasets.conversation.test_tool_results:run_with_function", folder=str(folder), at=at
            )
            assert died == -signal.SIGKILL
            run_with_function(str(folder))
            rows = rows_of(folder / "out.jsonl")
            results = [result for row in rows for result in results_of(row)]
            called = (folder / "log").read_text(encoding="utf-8").splitlines()
            assert len(results) > 8
            assert len(called) - len(results) in (0, 1)  # one that was running when the process died runs again
            with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as ledger:
                costs = ledger.execute("SELECT count(*), sum(cost_usd), count(cost_usd) FROM calls WHERE attempts = 0")
                assert costs.fetchone() == (len(results), 0.0, len(results))
