"""A schema that changes, a process that dies: cells that are there are not bought again."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast.columns.types.computed import FunctionColumn
from datafast.llms.simulated.provider import SimulatedProvider
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    columns,
    fork_server,
    requests_in,
    rows_of,
)

SCHEMA: dict[str, Any] = {
    "id": {"type": "uuid"},
    "topic": {"type": "choice", "values": ["tides", "moons", "winds"], "mode": "balanced"},
    "question": {"type": "text", "prompt": "Ask about {topic}"},
    "short": {"type": "text", "prompt": "Answer briefly: {question}"},
    "long": {"type": "text", "prompt": "Answer at length: {question}"},
    "verdict": {"type": "judge", "prompt": "{short} {long}", "provider": "judge"},
}
CALLS = 4
ROWS = 12


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def run(
    folder: Path, schema: dict[str, Any], log: Path, *, rows: int = ROWS, judge: str = "m", **options: Any
) -> list[dict[str, Any]]:
    """Runs a schema to its end; the rows by the id that each has."""
    dataset = columns(folder, schema, rows=rows, run=options.pop("run", None))
    providers = {name: CountingProvider(judge if name == "judge" else "m", log=log) for name in dataset.config.roles}
    dataset.generate(providers, **options)
    report = assert_balanced(dataset.report)
    assert report.pending == report.failed == 0
    return sorted(rows_of(dataset.config.output_file), key=lambda row: row["id"])


def bought(log: Path, before: int = 0) -> Counter[str]:
    """New requests by the beginning of their prompts."""
    return Counter(prompt.split(" ")[0] for _, prompt in requests_in(log)[before:])


def test_a_second_run_buys_nothing(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    assert len(requests_in(log)) == CALLS * ROWS
    assert run(tmp_path, SCHEMA, log) == first
    assert len(requests_in(log)) == CALLS * ROWS


def test_a_new_column_buys_that_column_only(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    before = len(requests_in(log))
    found = run(tmp_path, {**SCHEMA, "title": {"type": "text", "prompt": "Title for {long}"}}, log)
    assert bought(log, before) == {"Title": ROWS}
    assert [{name: row[name] for name in SCHEMA} for row in found] == first


def test_a_new_column_in_front_that_others_do_not_need_buys_nothing_of_them(tmp_path: Path, log: Path) -> None:
    run(tmp_path, SCHEMA, log)
    before = len(requests_in(log))
    run(tmp_path, {"extra": {"type": "text", "prompt": "Extra"}, **SCHEMA}, log)
    assert bought(log, before) == {"Extra": ROWS}


def test_a_changed_column_is_bought_again_with_what_depends_on_it(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    before = len(requests_in(log))
    found = run(tmp_path, {**SCHEMA, "long": {"type": "text", "prompt": "Explain: {question}"}}, log)
    new = requests_in(log)[before:]
    assert len(new) == 2 * ROWS
    assert bought(log, before)["Explain:"] == ROWS
    assert [row["short"] for row in found] == [row["short"] for row in first]
    assert all(row["long"] != old["long"] for row, old in zip(found, first, strict=True))


def test_a_changed_root_buys_all_that_depends_on_it(tmp_path: Path, log: Path) -> None:
    run(tmp_path, SCHEMA, log)
    before = len(requests_in(log))
    run(tmp_path, {**SCHEMA, "question": {"type": "text", "prompt": "Wonder about {topic}"}}, log)
    assert len(requests_in(log)) - before == CALLS * ROWS


def test_a_changed_sampler_buys_the_rows_whose_value_it_changes(tmp_path: Path, log: Path) -> None:
    column = {"type": "choice", "values": ["tides", "moons", "winds"], "mode": "round_robin"}
    schema = {"id": {"type": "uuid"}, "topic": column, "question": {"type": "text", "prompt": "Ask about {topic}"}}
    run(tmp_path, schema, log)
    before = len(requests_in(log))
    run(tmp_path, {**schema, "topic": {**column, "values": ["tides", "moons", "rains"]}}, log)
    assert [prompt for _, prompt in requests_in(log)[before:]] == ["Ask about rains"] * (ROWS // 3)


def test_removed_and_reordered_columns_buy_nothing_and_coming_back_is_free(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    fewer = {name: SCHEMA[name] for name in ("id", "topic", "question")}
    assert run(tmp_path, fewer, log) == [{name: row[name] for name in fewer} for row in first]
    turned = dict(reversed(SCHEMA.items()))
    found = run(tmp_path, turned, log)
    assert found == first
    assert list(found[0]) == list(turned)
    assert run(tmp_path, SCHEMA, log) == first
    assert len(requests_in(log)) == CALLS * ROWS


def test_more_rows_buy_the_new_rows_only_and_leave_the_file_as_it_begins(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    data = (tmp_path / "out.jsonl").read_bytes()
    found = run(tmp_path, SCHEMA, log, rows=ROWS + 5)
    assert len(requests_in(log)) == CALLS * (ROWS + 5)
    assert (tmp_path / "out.jsonl").read_bytes().startswith(data)
    assert all(row in found for row in first)
    assert run(tmp_path, SCHEMA, log, rows=ROWS) == first
    assert run(tmp_path, SCHEMA, log, rows=ROWS + 5) == found
    assert len(requests_in(log)) == CALLS * (ROWS + 5)


def test_another_judge_buys_only_the_judging(tmp_path: Path, log: Path) -> None:
    run(tmp_path, SCHEMA, log)
    before = len(requests_in(log))
    run(tmp_path, SCHEMA, log, judge="other")
    assert {model for model, _ in requests_in(log)[before:]} == {"simulated/other"}
    assert len(requests_in(log)) - before == ROWS


def test_several_changes_in_a_row_still_find_what_the_first_bought(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    extra: dict[str, Any] = {}
    for number in range(3):
        extra[f"extra{number}"] = {"type": "text", "prompt": f"Extra{number} {{topic}}"}
        found = run(tmp_path, {**SCHEMA, **extra}, log)
    assert len(requests_in(log)) == (CALLS + 3) * ROWS
    (tmp_path / "out.jsonl").unlink()
    assert run(tmp_path, {**SCHEMA, **extra}, log) == found
    assert [{name: row[name] for name in SCHEMA} for row in found] == first
    assert len(requests_in(log)) == (CALLS + 3) * ROWS


@pytest.mark.parametrize(
    "change",
    [
        {"question": {"type": "text", "prompt": "Ask about {topic}", "on_error": "null"}},
        {"verdict": {**SCHEMA["verdict"], "when": "topic != 'x'"}},
    ],
)
def test_what_changes_no_prompt_buys_nothing(tmp_path: Path, log: Path, change: dict[str, Any]) -> None:
    first = run(tmp_path, SCHEMA, log)
    assert run(tmp_path, {**SCHEMA, **change}, log) == first
    assert len(requests_in(log)) == CALLS * ROWS


def test_another_seed_draws_anew_and_coming_back_is_free(tmp_path: Path, log: Path) -> None:
    first = run(tmp_path, SCHEMA, log)
    other = run(tmp_path, SCHEMA, log, run={"seed": 9})
    assert {row["id"] for row in other}.isdisjoint(row["id"] for row in first)
    before = len(requests_in(log))
    assert run(tmp_path, SCHEMA, log) == first
    assert len(requests_in(log)) == before


def test_a_source_that_has_moved_is_the_same_and_one_that_has_grown_buys_what_is_new(tmp_path: Path, log: Path) -> None:
    lines = [f'{{"q": "question {number}"}}\n' for number in range(ROWS)]
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"

    def schema(path: Path) -> dict[str, Any]:
        source = {"type": "source", "source": str(path), "column": "q", "shuffle": False}
        return {"id": {"type": "uuid"}, "q": source, "x": {"type": "text", "prompt": "{q}"}}

    one.write_text("".join(lines))
    two.write_text("".join(lines))
    first = run(tmp_path, schema(one), log)
    data = (tmp_path / "out.jsonl").read_bytes()
    assert run(tmp_path, schema(two), log) == first
    assert (tmp_path / "out.jsonl").read_bytes() == data
    two.write_text("".join([*lines, '{"q": "one more"}\n']))
    run(tmp_path, schema(two), log, rows=ROWS + 1)
    assert [prompt for _, prompt in requests_in(log)[ROWS:]] == ["one more"]


def test_a_function_stands_for_its_version_or_what_it_does(tmp_path: Path, log: Path) -> None:
    calls = tmp_path / "calls"

    def schema(**options: Any) -> dict[str, Any]:
        def call() -> int:
            with calls.open("ab", buffering=0) as file:
                return file.write(b"x")

        return {"id": {"type": "uuid"}, "x": FunctionColumn(function=call, **options)}

    run(tmp_path, schema(version="1"), log)
    assert calls.stat().st_size == ROWS
    run(tmp_path, schema(version="1"), log)
    assert calls.stat().st_size == ROWS
    run(tmp_path, schema(version="2"), log)
    assert calls.stat().st_size == 2 * ROWS
    run(tmp_path, schema(), log)
    run(tmp_path, schema(), log)
    assert calls.stat().st_size == 3 * ROWS


# -- kill -9


pytest_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest_fork
def test_kills_between_the_cells_of_a_row_repeat_only_what_was_in_flight(
    tmp_path: Path, server: ForkServer, log: Path
) -> None:
    chance, count, concurrency = random.Random(4), 40, 8
    kills = 0
    for _ in range(12):
        delay = chance.uniform(0.005, 0.08)
        code = server.run(
            "tests.support:counting_columns_run",
            folder=str(tmp_path),
            log=str(log),
            kill_after_s=delay,
            schema=SCHEMA,
            rows=count,
        )
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    assert kills > 3
    found = run(tmp_path, SCHEMA, log, rows=count)
    assert found == run(tmp_path / "uncut", SCHEMA, tmp_path / "other", rows=count)
    assert CALLS * count <= len(requests_in(log)) <= CALLS * count + kills * concurrency


@pytest_fork
def test_a_schema_that_was_changed_after_a_kill_still_finds_the_cells_that_were_paid_for(
    tmp_path: Path, server: ForkServer, log: Path
) -> None:
    chance, count, kills = random.Random(5), 30, 0
    grown = {**SCHEMA, "title": {"type": "text", "prompt": "Title for {long}"}}
    turned = dict(reversed(grown.items()))
    for number in range(12):
        code = server.run(
            "tests.support:counting_columns_run",
            folder=str(tmp_path),
            log=str(log),
            kill_after_s=chance.uniform(0.01, 0.06),
            schema=(SCHEMA, grown, turned)[number % 3],
            rows=count,
        )
        kills += code == -signal.SIGKILL
    assert kills > 3
    found = run(tmp_path, grown, log, rows=count)
    assert found == run(tmp_path / "uncut", grown, tmp_path / "other", rows=count)
    needed = (CALLS + 1) * count
    assert needed <= len(requests_in(log)) <= needed + kills * 8


def test_a_run_that_was_interrupted_leaves_cells_that_are_used(tmp_path: Path, log: Path) -> None:
    class Stop(Exception):
        pass

    def stop(event: Any) -> None:
        if event.type == "call_finished" and len(requests_in(log)) > 10:
            raise Stop

    dataset = columns(tmp_path, SCHEMA, rows=ROWS)
    with pytest.raises(Stop):
        dataset.generate({name: CountingProvider("m", log=log) for name in dataset.config.roles}, on_event=stop)
    assert 0 < len(requests_in(log)) < CALLS * ROWS
    run(tmp_path, {**SCHEMA, "n": {"type": "constant", "value": 1}}, log)
    assert len(requests_in(log)) == CALLS * ROWS


def test_simulated_and_uncut_are_what_a_killed_run_is_compared_with(tmp_path: Path, log: Path) -> None:
    plain = columns(tmp_path / "plain", SCHEMA, rows=3)
    plain.generate(dict.fromkeys(plain.config.roles, SimulatedProvider("m")))
    assert run(tmp_path, SCHEMA, log, rows=3) == sorted(rows_of(plain.config.output_file), key=lambda row: row["id"])
