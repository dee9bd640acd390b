"""Batch mode on the command line: sending, coming back later in another process, looking, and giving up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from datafast.engine.batches import lookup, service
from datafast.store.lock import take_locks
from datafast.store.paths import OutputPaths
from tests.servers.batch_server import KEY, BatchServer
from tests.support import ROOT, rows_of

Run = Callable[..., Result]
CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [note]
topics: [%s]
num_samples_per_prompt: 1
providers:
  - {provider: openai, model_id: %s, api_base: "%s/v1", api_key_env: BATCH_KEY, price: %s}
"""
TOPICS = "tides, moons, winds, reefs"
PRICE = "{input_usd_per_million: 1000, output_usd_per_million: 1000, batch_discount: 0.5}"
UNKNOWN = "{input_usd_per_million: 1000, output_usd_per_million: 1000}"


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(service, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(lookup, "ON_ITS_WAY_S", 0.3)


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: BatchServer) -> Run:
    """Writes c.yaml into an empty folder and calls `datafast`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCH_KEY", KEY)

    def call(*arguments: Any, model: str = "tiny", price: str = PRICE, topics: str = TOPICS, more: str = "") -> Result:
        Path("c.yaml").write_text(CONFIG % (topics, model, server.url, price) + more, encoding="utf-8")
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return call


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`datafast` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "datafast", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# -- generate


def test_batch_mode_makes_the_rows_at_the_batch_price(run: Run, server: BatchServer) -> None:
    server.faults.polls = 3
    done = run("generate", "c.yaml", "--batch", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["written"], server.online) == (0, 4, 0)
    tokens = report["input_tokens"] + report["output_tokens"]
    assert report["cost_usd"] == pytest.approx(tokens * 1000 / 1e6 / 2)
    assert "openai/tiny: batch batch_" in done.stderr
    assert "is submitted, with 4 calls." in done.stderr
    assert "has ended: 4 calls answered, cost $" in done.stderr


def test_the_mode_stands_in_the_config_and_the_command_line_wins(run: Run, server: BatchServer) -> None:
    more = 'run: {mode: batch, batch_deadline: "18:00"}\n'
    assert run("generate", "c.yaml", "--limit", 2, more=more).exit_code == 0
    assert (len(server.jobs), server.online) == (1, 0)
    assert run("generate", "c.yaml", "--online", more=more).exit_code == 0
    assert (len(server.jobs), server.online) == (1, 2)


def test_what_is_not_back_at_the_deadline_is_asked_online_and_a_line_says_so(run: Run, server: BatchServer) -> None:
    server.faults.polls, server.faults.partly = 5, 0.25
    assert run("generate", "c.yaml", "--batch", "--no-wait").exit_code == 4
    done = run("generate", "c.yaml", "--batch", more="run: {batch_deadline: 0.0001m}\n")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("run.batch_deadline has come: what is not back is cancelled, and asked online") == 1
    assert (server.online, set(server.bought.values())) == (3, {1})


def test_a_preview_asks_online_whatever_the_config_says(run: Run, server: BatchServer) -> None:
    done = run("preview", "c.yaml", "-n", 1, more="run: {mode: batch}\n")
    assert done.exit_code == 0
    assert (len(server.jobs), server.online) == (0, 1)
    assert "datafast generate c.yaml   (make the rest" in done.stderr


def test_another_process_collects_what_one_has_sent(run: Run, server: BatchServer) -> None:
    server.faults.polls = 2
    run("schema", "raw")  # writes the config
    sent = process("generate", "c.yaml", "--batch", "--no-wait")
    assert sent.returncode == 4
    assert "mode      batch: replies come within 24 h, at a lower price; Ctrl-C cancels nothing" in sent.stderr
    assert "stopped   1 batch is under way at openai/tiny (4 calls)" in sent.stderr
    assert (
        "datafast generate c.yaml --batch --no-wait   (collect what is back; nothing is paid for twice)" in sent.stderr
    )
    assert "datafast batches rows.jsonl" in sent.stderr
    assert process("generate", "c.yaml", "--batch", "--no-wait").returncode == 4
    collected = process("generate", "c.yaml", "--no-wait", "--json")
    assert collected.returncode == 0, collected.stderr
    assert json.loads(collected.stdout)["written"] == 4
    assert (len(rows_of(Path("rows.jsonl"))), server.online) == (4, 0)
    assert set(server.bought_ids.values()) == {1}


def test_while_a_run_waits_its_batches_are_shown_and_not_cancelled(run: Run, server: BatchServer) -> None:
    server.faults.polls = 1000
    run("schema", "raw")
    with subprocess.Popen(
        [sys.executable, "-m", "datafast", "generate", "c.yaml", "--batch"],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as started:
        assert started.stderr is not None
        line = " "
        while line and "is submitted" not in line:
            line = started.stderr.readline()
        shown = run("batches", "rows.jsonl").stdout
        refused = run("batches", "rows.jsonl", "--cancel")
        started.kill()
        started.communicate()
    assert "note      a run is waiting for them now" in shown
    assert "next " not in shown
    assert refused.exit_code == 2
    assert "Stop it first: Ctrl-C there cancels nothing." in refused.stderr
    server.faults.polls = 5
    assert list(Path().glob("*-batch-*"))
    assert run("batches", "rows.jsonl", "--cancel").exit_code == 0
    assert not list(Path().glob("*-batch-*"))
    assert run("generate", "c.yaml").exit_code == 0
    assert set(server.bought.values()) == {1}


def test_ctrl_c_cancels_nothing_and_says_so(run: Run, server: BatchServer) -> None:
    server.faults.polls = 1000
    run("schema", "raw")
    with subprocess.Popen(
        [sys.executable, "-m", "datafast", "generate", "c.yaml", "--batch"],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as started:
        assert started.stderr is not None
        said = ""
        while "is submitted" not in said:
            line = started.stderr.readline()
            assert line, said
            said += line
        started.send_signal(signal.SIGINT)
        said = started.stderr.read()
    assert started.returncode == 130
    assert "Stopping. Nothing that is in a batch is cancelled. Ctrl-C again leaves now." in said
    assert "stopped   interrupted; 1 batch is under way at openai/tiny (4 calls)" in said
    assert "datafast generate c.yaml --batch   (go on; nothing is paid for twice)" in said
    server.faults.polls = 1
    assert run("generate", "c.yaml", "--batch").exit_code == 0
    assert (len(server.jobs), set(server.bought_ids.values())) == (1, {1})


def test_the_events_of_batches_go_into_the_event_file(run: Run, server: BatchServer) -> None:
    server.faults.polls = 3
    assert run("generate", "c.yaml", "--batch", "--events", "e.jsonl").exit_code == 0
    events = [json.loads(line) for line in Path("e.jsonl").read_text(encoding="utf-8").splitlines()]
    batches = [event for event in events if event["type"].startswith("batch_")]
    assert [event["type"] for event in batches] == [
        "batch_submitted",
        "batch_progress",
        "batch_progress",
        "batch_ended",
    ]
    assert batches[1]["next_look_s"] > 0
    assert (batches[3]["answered"], batches[3]["not_answered"]) == (4, 0)


def test_simulated_models_are_asked_online_and_one_line_says_so(run: Run) -> None:
    done = run("generate", "c.yaml", "--batch", "--offline")
    assert done.exit_code == 0
    assert "mode  " not in done.stderr
    assert done.stderr.count("has no batches, so it is asked online.") == 1


def test_topics_are_grown_in_batches_too(run: Run, server: BatchServer) -> None:
    server.faults.polls = 2
    run("schema", "raw")
    config = f"""\
kind: conversation
output_file: rows.jsonl
topics: {{topic_prompt: the sea, degree: 2, depth: 1}}
providers:
  - {{provider: openai, model_id: tiny, api_base: "{server.url}/v1", api_key_env: BATCH_KEY}}
"""
    Path("t.yaml").write_text(config, encoding="utf-8")
    sent = CliRunner().invoke(cli, ["topics", "build", "t.yaml", "--batch", "--no-wait"])
    assert sent.exit_code == 4
    assert "1 batch is under way at openai/tiny (1 call)" in sent.stderr
    listed = CliRunner().invoke(cli, ["batches", "rows.jsonl.topics.json", "--no-call"])
    assert "openai/tiny: batch batch_" in listed.stdout


# -- looking


def test_an_output_without_batches_has_none(run: Run) -> None:
    run("generate", "c.yaml")
    done = run("batches", "rows.jsonl")
    assert (done.exit_code, done.stdout.splitlines()[0].startswith("rows.jsonl has no batches.")) == (0, True)
    assert json.loads(run("batches", "rows.jsonl", "--json").stdout)["batches"] == []


def test_the_list_says_how_far_batches_are_and_what_came_of_others(run: Run, server: BatchServer) -> None:
    run("generate", "c.yaml", "--batch", "--limit", 1)
    server.faults.polls = 9
    run("generate", "c.yaml", "--batch", "--no-wait")
    shown = run("batches", "rows.jsonl").stdout.splitlines()
    assert shown[0].startswith("open      openai/tiny: batch batch_")
    assert "3 calls, submitted 0 s ago: under way, 0 of 3 answered" in shown[0]
    assert "1 of 1 call answered, after " in shown[1]
    assert shown[1].startswith("ended     openai/tiny: batch batch_")
    assert "cost $" in shown[1]
    assert shown[2] == "next      datafast generate c.yaml --batch --no-wait   (collect what is back, and go on)"
    assert "datafast batches rows.jsonl --cancel" in shown[3]
    found = json.loads(run("batches", "rows.jsonl", "--json").stdout)
    ended, waiting = found["batches"]
    assert (ended["phase"], ended["answered"], waiting["phase"], waiting["state"]) == (
        "closed",
        1,
        "submitted",
        "under way",
    )
    assert (waiting["done"], waiting["cost_usd"], ended["cost_usd"] > 0) == (0, None, True)


def test_without_a_key_the_list_says_why_it_knows_no_more(
    run: Run, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults.polls = 9
    run("generate", "c.yaml", "--batch", "--no-wait")
    monkeypatch.delenv("BATCH_KEY")
    asked = len(server.requests)
    done = run("batches", "rows.jsonl")
    assert (done.exit_code, len(server.requests)) == (0, asked)
    assert "openai/tiny needs an API key. Set BATCH_KEY" in done.stdout


def test_nobody_is_asked_with_no_call(run: Run, server: BatchServer) -> None:
    server.faults.polls = 9
    run("generate", "c.yaml", "--batch", "--no-wait")
    asked = len(server.requests)
    done = run("batches", "rows.jsonl", "--no-call")
    assert (done.exit_code, len(server.requests)) == (0, asked)
    assert "4 calls, submitted" in done.stdout


def test_status_tells_of_batches_under_way(run: Run, server: BatchServer) -> None:
    server.faults.polls = 9
    run("generate", "c.yaml", "--batch", "--no-wait")
    shown = run("status", "rows.jsonl").stdout
    assert "note      1 batch is under way at openai/tiny (4 calls)" in shown
    assert "datafast batches rows.jsonl   (how far the batches are" in shown
    assert json.loads(run("status", "rows.jsonl", "--json").stdout)["batches"]["calls"] == 4


# -- giving up


def test_what_was_answered_before_a_batch_is_cancelled_is_collected_and_used(run: Run, server: BatchServer) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    done = run("batches", "rows.jsonl", "--cancel")
    assert done.exit_code == 0, done.output
    assert "2 of 4 calls answered, 2 not answered, after " in done.stdout
    paid = done.stdout.splitlines()[-1]
    assert paid.startswith("paid      $")
    assert paid.endswith(" for 2 calls that were answered; the replies are kept, and the next run uses them")
    assert run("generate", "c.yaml").exit_code == 0
    assert (server.online, set(server.bought.values())) == (2, {1})
    assert run("batches", "rows.jsonl", "--cancel").stdout == "No batch is under way for rows.jsonl.\n"


def test_batches_are_cancelled_although_the_config_has_the_provider_no_longer(run: Run, server: BatchServer) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    before = Path("rows.jsonl").read_bytes()
    refused = run("generate", "c.yaml", "--yes", model="other")
    assert refused.exit_code == 2
    assert "the config has this provider no longer" in refused.stderr
    assert "`datafast batches rows.jsonl --cancel`" in refused.stderr
    assert Path("rows.jsonl").read_bytes() == before
    assert run("batches", "rows.jsonl", "--cancel", model="other").exit_code == 0
    assert run("generate", "c.yaml", "--yes", model="other").exit_code == 0
    assert len(rows_of(Path("rows.jsonl"))) == 4


def test_a_refused_start_moves_no_row(run: Run, server: BatchServer) -> None:
    run("generate", "c.yaml", "--limit", 2)
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    before = Path("rows.jsonl").read_bytes()
    assert run("generate", "c.yaml", "--yes", model="other").exit_code == 2
    assert Path("rows.jsonl").read_bytes() == before
    assert not list(Path().glob("rows.jsonl.stale-*"))


def test_an_output_is_started_over_once_its_batches_are_given_up(run: Run, server: BatchServer) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    refused = run("generate", "c.yaml", "--fresh")
    assert refused.exit_code == 2
    assert "`datafast batches rows.jsonl --cancel`" in refused.stderr
    assert run("batches", "rows.jsonl", "--cancel").exit_code == 0
    assert run("generate", "c.yaml", "--fresh").exit_code == 0


def test_what_cannot_be_cancelled_says_why_and_stays_open(
    run: Run, server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    monkeypatch.setenv("BATCH_KEY", "sk-another-key-0123456789")
    done = run("batches", "rows.jsonl", "--cancel")
    assert done.exit_code == 4
    assert "401" in done.stdout
    assert "sk-another" not in done.output
    monkeypatch.setenv("BATCH_KEY", KEY)
    assert run("batches", "rows.jsonl", "--cancel").exit_code == 0


def test_a_config_names_the_provider_where_the_ledger_does_not(run: Run, server: BatchServer) -> None:
    """A key that was given in Python is not for the address that another key would be sent to."""
    from datafast.errors import RunStopped
    from datafast.llms import OpenAIProvider
    from tests.support import raw

    server.faults.polls = 5
    dataset = raw(Path(), run={"mode": "batch"})
    with pytest.raises(RunStopped):
        dataset.generate([OpenAIProvider("tiny", api_key=KEY, api_base=f"{server.url}/v1")], wait=False)
    done = run("batches", "out.jsonl", "--cancel")
    assert done.exit_code == 4
    assert "Name a config that has it with --config" in done.stdout
    assert run("batches", "out.jsonl", "--cancel", "--config", "c.yaml").exit_code == 0


def test_no_secret_stands_in_the_ledger(run: Run, server: BatchServer) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    assert KEY.encode() not in Path("rows.jsonl.ledger").read_bytes()


@pytest.mark.parametrize("arguments", [["--cancel", "--no-call"], ["--no-wait"]])
def test_options_that_contradict_each_other_are_refused(run: Run, arguments: list[str]) -> None:
    run("generate", "c.yaml")
    assert run("batches", "rows.jsonl", *arguments).exit_code == 2


# -- before anything is sent


def test_a_plan_says_what_batches_cost_instead(run: Run) -> None:
    shown = run("plan", "c.yaml", "-n", 0).stdout
    (told,) = [line for line in shown.splitlines() if line.startswith("batch ")]
    assert " instead of $" in told
    assert told.endswith(", up to 24 h (with --batch, or run: {mode: batch})")
    online = json.loads(run("plan", "c.yaml", "--json").stdout)["estimate"]
    batch = json.loads(run("plan", "c.yaml", "--json", more="run: {mode: batch}\n").stdout)["estimate"]
    assert (online["mode"], batch["mode"]) == ("online", "batch")
    assert online["cost_usd"] == online["online_cost_usd"] == batch["online_cost_usd"]
    assert batch["cost_usd"] == batch["batch_cost_usd"] == online["batch_cost_usd"]
    assert batch["cost_usd"]["expected"] == pytest.approx(online["cost_usd"]["expected"] / 2)


def test_a_batch_price_that_is_not_known_stays_unknown(run: Run) -> None:
    shown = run("plan", "c.yaml", "-n", 0, price=UNKNOWN, more="run: {mode: batch}\n").stdout
    assert "the batch price of openai/tiny is not known ($" in shown
    estimate = json.loads(run("plan", "c.yaml", "--json", price=UNKNOWN, more="run: {mode: batch}\n").stdout)[
        "estimate"
    ]
    assert estimate["cost_usd"] is None
    assert estimate["online_cost_usd"]["expected"] > 0
    assert "batch  " not in run("plan", "c.yaml", "-n", 0, price=UNKNOWN).stdout


def test_a_budget_bounds_requests_at_the_batch_price(run: Run) -> None:
    def at_first(mode: str) -> int:
        more = f"run: {{mode: {mode}, budget_usd: 40, max_concurrency: 100}}\n"
        price, topics = f"{PRICE}, max_completion_tokens: 8000", ", ".join(f"t{number}" for number in range(50))
        shown = run("plan", "c.yaml", "--json", price=price, topics=topics, more=more).stdout
        found: int = json.loads(shown)["estimate"]["in_flight"]
        return found

    online, batch = at_first("online"), at_first("batch")
    assert 1 <= online < batch <= 2 * online + 1


def test_calls_in_open_batches_count_as_bought(run: Run, server: BatchServer) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    estimate = json.loads(run("plan", "c.yaml", "--json").stdout)["estimate"]
    assert (estimate["rows"], estimate["calls"], estimate["in_batches"]) == (4, 0, 4)
    assert "4 more are in batches under way" in run("plan", "c.yaml", "-n", 0).stdout


def test_a_changed_config_says_which_calls_in_batches_are_used_and_which_are_not(run: Run, server: BatchServer) -> None:
    server.faults.polls = 5
    run("generate", "c.yaml", "--batch", "--no-wait")
    Path("d.yaml").write_text(Path("c.yaml").read_text().replace("winds, reefs", "sands"), encoding="utf-8")
    change = json.loads(CliRunner().invoke(cli, ["plan", "d.yaml", "--json"]).stdout)["estimate"]["change"]
    assert (change["calls_unused_in_batches"], change["rows_leaving"]) == (2, 0)
    shown = CliRunner().invoke(cli, ["plan", "d.yaml", "-n", "0"]).stdout
    assert "Calls in batches under way that are not used any more: 2." in shown
    assert "3 rows from 3 prompts, 1 call; 2 more are in batches under way" in shown
    done = CliRunner().invoke(cli, ["generate", "d.yaml"])
    assert "To make: 3 rows with 1 call and 2 calls that batches under way will answer, cost $" in done.stderr
    assert (done.exit_code, server.online) == (0, 1)


# -- help


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["generate"], ["--batch / --online", "--no-wait", "or batches are under way"]),
        (["topics", "build"], ["--batch / --online", "--no-wait"]),
        (["batches"], ["--cancel", "--no-call", "--config CONFIG.yaml", "--json"]),
    ],
)
def test_help_tells_of_batches(command: list[str], said: list[str]) -> None:
    shown = CliRunner().invoke(cli, [*command, "--help"]).stdout
    assert all(part in shown for part in said), shown


def test_the_batches_of_all_shards_are_shown_and_cancelled(run: Run, server: BatchServer) -> None:
    server.faults.polls = 1000
    topics = ", ".join(f"topic {number}" for number in range(12))
    for number in (1, 2):
        done = run("generate", "c.yaml", "--batch", "--no-wait", "--shard", f"{number}/2", topics=topics)
        assert done.exit_code == 4, done.output
    found = json.loads(run("batches", "rows.jsonl", "--json", topics=topics).stdout)
    assert [(batch["shard"], batch["phase"]) for batch in found["batches"]] == [
        ("1/2", "submitted"),
        ("2/2", "submitted"),
    ]
    assert sum(batch["calls"] for batch in found["batches"]) == 12
    assert found["resume"]["2/2"] == "datafast generate c.yaml --shard 2/2 --batch --no-wait"
    shown = run("batches", "rows.jsonl", topics=topics).stdout
    assert shown.startswith("shard 1/2\nopen ")
    assert "\nshard 2/2\nopen " in shown
    status = json.loads(run("status", "rows.jsonl", "--json", topics=topics).stdout)
    assert (status["batches"]["open"], status["batches"]["calls"]) == (2, 12)
    assert "2 batches are under way at openai/tiny (12 calls)" in status["batches"]["under_way"]
    server.faults.polls = 5
    shard = OutputPaths.of(Path("rows.jsonl/shard-00001-of-00002.jsonl"))
    with take_locks(shard):
        refused = run("batches", "rows.jsonl", "--cancel", topics=topics)
    assert refused.exit_code == 2
    assert "A run on rows.jsonl/shard-00001-of-00002.jsonl is going on" in refused.stderr
    assert refused.stdout.startswith("shard 2/2\nended ")
    assert json.loads(run("status", "rows.jsonl", "--json", topics=topics).stdout)["batches"]["open"] == 1
    assert run("batches", "rows.jsonl", "--cancel", topics=topics).exit_code == 0
    assert json.loads(run("status", "rows.jsonl", "--json", topics=topics).stdout)["batches"]["open"] == 0
