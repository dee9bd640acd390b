"""A real notebook's kernel: progress under the cell, what objects look like, and what an interruption does."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.servers.notebook import Notebook, Published

SETUP = """
from datafast import RawDataset, RawDatasetConfig, SimulatedProvider

def raw(name, **options):
    config = RawDatasetConfig(
        document_types=["<script>alert(1)</script>"],
        topics=[f"topic {number}" for number in range(20)],
        num_samples_per_prompt=1,
        output_file=name,
    )
    return RawDataset(config), [SimulatedProvider("a", **options), SimulatedProvider("b", **options)]
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with Notebook(tmp_path_factory.mktemp("notebook")) as kernel:
        kernel.run(SETUP)
        yield kernel


def pages(published: Published, *kinds: str) -> list[str]:
    return [content["data"]["text/html"] for kind, content in published if kind in kinds]


def test_a_run_shows_a_line_for_each_provider_under_its_cell_and_ends_with_the_report(notebook: Notebook) -> None:
    published = notebook.run(
        "from datafast.engine import notebook\n"
        "notebook._EVERY_S = 0.05\n"
        "dataset, both = raw('live.jsonl', latency_s=0.15, max_concurrency=2)\n"
        "x = dataset.generate(both)\n"
        "notebook._EVERY_S = 0.5"
    )
    (first,) = [content for kind, content in published if kind == "display_data"]
    updates = [content for kind, content in published if kind == "update_display_data"]
    assert {content["transient"]["display_id"] for content in updates} == {first["transient"]["display_id"]}
    during, last = pages(published, "update_display_data")[:-1], pages(published, "update_display_data")[-1]
    assert any("simulated/a" in page and "simulated/b" in page and "of 40 rows" in page for page in during)
    assert "40 rows requested: 40 written" in last


def test_a_run_below_the_running_loop_of_a_cell_works_and_leaves_the_loop_free(notebook: Notebook) -> None:
    published = notebook.run(
        "import asyncio, threading\n"
        "dataset, both = raw('async.jsonl', latency_s=0.01, max_concurrency=5)\n"
        "seen = threading.Event()\n"  # the run waits until somebody has seen that the loop is free
        "task = asyncio.ensure_future(dataset.generate_async(both, on_event=lambda event: seen.wait(60)))\n"
        "await asyncio.sleep(0.05)\n"
        "print('free', task.done())\n"
        "seen.set()\n"
        "done = await task\n"
    )
    assert "".join(content["text"] for kind, content in published if kind == "stream") == "free False\n"
    assert "40 written" in pages(published, "update_display_data")[-1]


def test_progress_can_be_turned_off(notebook: Notebook) -> None:
    published = notebook.run("dataset, both = raw('quiet.jsonl')\nx = dataset.generate(both, progress=False)")
    assert pages(published, "display_data", "update_display_data") == []


@pytest.mark.parametrize(("given", "shown"), [("", True), (", progress=True", True), (", progress=False", False)])
def test_a_frame_shows_its_run_under_the_cell_unless_told_not_to(notebook: Notebook, given: str, shown: bool) -> None:
    published = notebook.run(
        "from datafast import dataset, generator\n"
        "ds = dataset({'a': generator(SimulatedProvider('m'))('Of tides.')})\n"
        f"x = await ds.generate(n=3{given})"
    )
    assert bool(pages(published, "display_data")) is shown
    assert not [content for kind, content in published if kind == "stream" and content["name"] == "stderr"]


def test_events_are_the_caller_s_own_progress(notebook: Notebook) -> None:
    published = notebook.run(
        "dataset, both = raw('events.jsonl')\nasync for event in dataset.generate_events(both): pass"
    )
    assert pages(published, "display_data") == []


@pytest.mark.parametrize("what", ["dataset", "dataset.data_rows", "dataset.report", "dataset.estimate(both)"])
def test_datasets_rows_reports_and_estimates_are_tables_without_a_script(notebook: Notebook, what: str) -> None:
    (page,) = pages(
        notebook.run(f"dataset, both = raw('shown.jsonl')\nx = dataset.generate(both, progress=False)\n{what}"),
        "execute_result",
    )
    assert page.count("<table>") >= 1
    assert "<script>" not in page
    if what.startswith("dataset.data"):
        assert "&lt;script&gt;" in page


@pytest.mark.skipif(sys.platform == "win32", reason="Windows delivers the interruption in another way")
@pytest.mark.parametrize(
    ("call", "error"),
    [("dataset.generate(both)", "KeyboardInterrupt"), ("await dataset.generate_async(both)", "CancelledError")],
)
def test_an_interruption_saves_what_is_in_flight_and_running_the_cell_again_goes_on(
    notebook: Notebook, call: str, error: str
) -> None:
    made = f"dataset, both = raw('{error}.jsonl', latency_s=0.4, max_concurrency=1)"
    published = notebook.run(f"{made}\nx = {call}", interrupt=True)
    assert [content["ename"] for kind, content in published if kind == "error"] == [error]
    written, pending, calls = ast.literal_eval(
        notebook.value("dataset.report.written, dataset.report.pending, dataset.report.calls")
    )
    assert written == calls > 0
    assert pending > 0
    assert written + pending == 40
    again = f"{made.replace('0.4', '0')}\nx = {call}\n(dataset.report.written, dataset.report.calls)"
    assert ast.literal_eval(notebook.value(again)) == (40, 40 - calls)
