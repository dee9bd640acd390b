"""The benchmarks run and give the lines they promise. Never how long anything took: that depends on the machine."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks.cases import CASES, FULL, Sizes, measure, schema
from benchmarks.child import Failed, run
from benchmarks.export import FORMATS
from benchmarks.scale import simulated
from benchmarks.stages import STAGES
from benchmarks.table import COLUMNS, Line, as_markdown, as_text, update

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read Linux's /proc")

TINY = Sizes(
    repeats=1,
    rows=20,
    warm_up=2,
    topics=20,
    budget_rows=20,
    budget_times=3.0,
    waves=1,
    widths=((4, 1.06),),
    litellm_calls=4,
    litellm_width=4,
    litellm_wait_s=2.0,
    memory_early=5,
    memory_rows=20,
    axis=5,
    samples=3,
    local_calls=4,
    local_layers=1,
    said_calls=66,
    silent_calls=70,
    chance_calls=32,
    knee_calls=100,
    batch_calls=(20, 40),
    stage_rows=(30, 20),
    near_rows=40,
    live_rows=20,
    statistics_rows=40,
    export_rows=40,
    viewer_rows=60,
    large_items=200,
    large_rows=60,
    scale=((1, 1), (4, 2)),
    scale_s=1.0,
    scale_replies=50,
)
EXPECTED = {
    "zero-latency": ["CPU a row, 20 rows, 64 in flight", "rows a second"],
    "columns": ["CPU a call, 20 rows of 12 columns, 4 calls each, 64 in flight"],
    "topics": ["CPU a conversation, 20 topics, 64 in flight"],
    "latency": ["wall time / ideal 1 s, 4 in flight at 1 s each", "most in flight at the server, set to 4"],
    "pace": [
        *(
            f"{figure}: 64 at once and {quota}"
            for quota in ("120 a minute, 66 prompts, Retry-After", "600 a minute, 70 prompts, nothing said")
            for figure in ("wall time / ideal", "requests a call", "most requests for one call")
        ),
        *(f"wall time / ideal 0.2 s, {share} % refused by chance" for share in (2, 5, 10)),
        "time / that of the best fixed number in flight, max_concurrency: auto, 100 calls, 24 useful in flight",
        "in flight that auto settles at, 24 are useful",
    ],
    "budget": [
        "wall time of 20 rows, 64 in flight at 0.2 s each, budget of the estimate",
        "wall time of 20 rows, 64 in flight at 0.2 s each, budget of 3.0 times the cost",
    ],
    "native": [f"CPU a row, 20 rows, 64 in flight, {vendor}" for vendor in ("anthropic", "gemini")],
    "streamed": [f"CPU a row, 20 rows, 64 in flight, {form}" for form in ("chat completions", "anthropic", "gemini")],
    "litellm": ["CPU a call, 4 calls, 64 in flight", "most in flight at the server, set to 4"],
    "memory": ["RSS after 20 rows"],
    "batches": ["peak RSS, 40 calls in batches of 20,000", "CPU a call, 40 calls in batches of 20,000"],
    "start": [
        "process start to first request, 25 prompts",
        "process start to first request, 3 of 10**12 combinations",
        "process start to first request, 5 prompts, beside Jupyter's packages",
    ],
    "resume": [
        "first request, 25 rows done, same config",
        "peak RSS, 25 rows done, same config",
        "first request, 25 rows done, one more topic",
        "peak RSS, 25 rows done, one more topic",
    ],
    "large": [
        *(
            f"{figure}, 200 items done of 10**9"
            for figure in (
                "`datafast status`",
                "peak RSS of it",
                "first request",
                "peak RSS until then",
                "ledger without replies",
            )
        ),
        *(
            f"{figure}, a row of 100 words, 60 rows"
            for figure in (
                "JSONL",
                "journal until it is emptied",
                "ledger, replies: keep",
                "ledger after `datafast compact --replies compress`",
            )
        ),
        "CPU of that a row, 60 rows",
        "ledger, replies: compress, a row of 100 words, 60 rows",
        "ledger, replies: drop, a row of 100 words, 60 rows",
    ],
    "local": ["wall time of 4 replies of 64 tokens, batches of 8"],
    "stages": [
        "CPU a row, 30 rows of 100 words, all 12",
        "peak RSS, 30 rows of 100 words, all 12",
        *(f"CPU a row, 20 rows of 100 words, `{name}`" for name in STAGES),
        "wall time of 20 rows made, 64 in flight at 0.5 s each, 9 stages",
        "delay of the event loop (99 %), 20 rows made, 64 in flight at 0.5 s each, 9 stages",
    ],
    "duplicates": [
        "CPU a row, 40 rows of 100 words, `near_duplicates`",
        "peak RSS, 40 rows of 100 words, `near_duplicates`",
    ],
    "statistics": [
        f"{figure}, 40 rows of 100 words, {what}"
        for what in ("an output with its ledger", "a file without one")
        for figure in ("CPU", "peak RSS")
    ],
    "report": [
        f"{figure}, 40 rows of 100 words, {what}"
        for what in ("an output with its ledger", "a file without one")
        for figure in ("CPU", "peak RSS")
    ],
    "export": [f"{figure}, 40 rows as `{form}`" for form in FORMATS for figure in ("rows a second of CPU", "peak RSS")],
    "viewer": [
        "first page of the table, 60 rows of 100 words",
        "peak RSS of the server, 60 rows of 100 words",
        *(
            f"MB a second of CPU, 60 rows of 100 words, {what}"
            for what in (
                "counted",
                "searched for a text that none has",
                "values counted for all facets",
                "taken to be ordered by the length of a column",
            )
        ),
    ],
    "scale": [
        "CPU of a row in a local run without HTTP",
        "CPU of it the journal",
        "CPU of it the ledger and the JSONL",
        "CPU of reading a reply from a message",
        "CPU of a message and its answer",
        "CPU of an ask and its grant",
        *(
            f"{figure}, {at}"
            for at in ("1 node of 64 in flight at 2 s each, 1 driver", "4 nodes of 64 in flight at 2 s each, 2 drivers")
            for figure in ("replies a second", "time of a driver", "of it the broker", "journal of a driver")
        ),
        "replies a second, 4 nodes, one lost every 5 s and back after 10 s",
        "requests repeated for each loss, 4 nodes, one lost every 5 s",
        "replies a second, 4 nodes, an rpm limit",
        "most in a minute, 4 nodes",
    ],
}


@pytest.mark.parametrize("case", [name for name in CASES if name not in {"litellm", "local"}])
def test_the_smallest_run_of_a_case_gives_the_lines_it_promises(case: str) -> None:
    lines = CASES[case](TINY)
    assert [line.measured for line in lines] == EXPECTED[case]
    assert {line.case for line in lines} == {case}
    assert all(value > 0 for line in lines for value in [*line.ours, *line.peer])


@pytest.mark.slow
def test_the_smallest_run_through_litellm_gives_the_lines_it_promises() -> None:
    assert [line.measured for line in CASES["litellm"](TINY)] == EXPECTED["litellm"]


@pytest.mark.slow
def test_the_smallest_run_of_a_local_model_gives_the_lines_it_promises() -> None:
    if missing := [name for name in ("torch", "transformers", "llguidance") if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    assert [line.measured for line in CASES["local"](TINY)] == EXPECTED["local"]


def test_a_cluster_runs_the_same_way_each_time() -> None:
    costs = {"row_s": 1e-4, "decode_s": 2e-6, "message_s": 4e-5, "broker_s": 4e-5}
    size: dict[str, Any] = {"nodes": 5, "slots": 8, "reply_s": 0.5, "seconds": 12.0, "costs": costs}

    first, again = (simulated(**size, death_every_s=4.0, seed=3) for _ in range(2))
    other = simulated(**size, death_every_s=4.0, seed=4)

    assert first == again
    assert first != other
    assert first["done"] > 0.5 * first["ideal"]
    assert 0 < first["lost"] <= 40 / 3


def test_every_case_is_expected_here() -> None:
    assert list(CASES) == list(EXPECTED)


def test_ours_and_the_floor_send_the_same_number_of_requests_of_the_same_size() -> None:
    ours = measure("ours:fan_out", items=20, in_flight=4)
    floor = measure("floor:fan_out", items=20, in_flight=4, schema=schema())
    assert (ours["total"], ours["body_bytes"]) == (floor["total"], floor["body_bytes"])
    assert ours["total"] == 20


def test_the_server_never_sees_more_in_flight_than_were_allowed() -> None:
    assert measure("ours:fan_out", items=12, in_flight=4, latency_s=0.4)["peak"] == 4


def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(Failed, match="no_such_thing"):
        run("floor:no_such_thing")


# -- the table

LINE = Line(case="c", measured="m", unit="ms", ours=[3.0, 1.0, 2.0], peer=[1.0, 1.0, 1.0], limit=1.8, rule="ratio")


def test_a_line_shows_medians_with_their_spread_and_the_ratio_of_the_medians() -> None:
    assert LINE.cells() == ("c", "m", "2.00 ms [1.00 .. 3.00]", "1.00 ms (floor)", "2.00", "ratio <= 1.80", "NO")


@pytest.mark.parametrize(
    ("rule", "limit", "ok"),
    [("ours", 2.0, True), ("ours", 1.9, False), ("growth", 1.0, True), ("growth", 0.9, False), ("exactly", 2.0, False)],
)
def test_a_line_holds_to_its_rule(rule: Any, limit: float, ok: bool) -> None:
    assert replace(LINE, rule=rule, limit=limit).ok is ok


def test_a_figure_without_a_target_gets_no_verdict() -> None:
    line = replace(LINE, limit=None)
    assert line.ok is None
    assert line.cells()[-2:] == ("", "")


def test_both_tables_have_all_columns_and_lines() -> None:
    assert as_text([LINE, LINE]).splitlines()[0].split("  ")[0] == COLUMNS[0]
    assert len(as_text([LINE, LINE]).splitlines()) == 3
    assert as_markdown([LINE]).splitlines()[0] == f"| {' | '.join(COLUMNS)} |"


def test_updating_a_page_replaces_the_lines_of_the_same_case_and_keeps_the_others(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- benchmarks -->\n<!-- benchmarks -->\nafter\n")
    update(page, [LINE, replace(LINE, case="other")], heading="first")
    update(page, [replace(LINE, measured="anew")], heading="second")
    text = page.read_text()
    assert text.startswith("before\n<!-- benchmarks -->\nsecond\n")
    assert text.endswith("<!-- benchmarks -->\nafter\n")
    assert [line.split(" | ")[:2] for line in text.splitlines() if line.startswith(("| c", "| other"))][1:] == [
        ["| c", "anew"],
        ["| other", "m"],
    ]


def test_the_program_prints_one_table_and_writes_every_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "FULL", TINY)
    assert program.main(["start", "--json", str(tmp_path / "all.json")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[0] == "case"
    written = json.loads((tmp_path / "all.json").read_text())
    assert [line["measured"] for line in written["lines"]] == EXPECTED["start"]


def test_the_full_sizes_are_those_of_the_documented_targets() -> None:
    assert FULL.widths == ((512, 1.06), (2_048, 1.20))
    assert FULL.axis**2 == 10**6
