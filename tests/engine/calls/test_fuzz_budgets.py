"""Budgets against models of many habits, by the model's own books. `DATAFAST_FUZZ=20` tries twenty times as many."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError, RunStopped
from datafast.llms import OpenAICompatibleProvider
from datafast.types import RunReport
from tests.servers.bank import PRICES, SHAPES, TOLD, Bank, Habits
from tests.servers.fault_server import FaultServer
from tests.support import ForkServer, assert_balanced, columns, die_at, fork_server, preference, raw, roles
from tests.topics.support import talk

MANY = int(os.environ.get("DATAFAST_FUZZ", "1"))
CASES = 24 * MANY

MOMENTS = ("datafast.store.journal:Journal.record", "datafast.store.calls:CallTables.put_charges")
KINDS = ("raw", "raw", "all", "split", "fallback", "columns", "preference", "grown")
COLUMNS = {
    "row": {"type": "range", "start": 0, "end": 10_000, "step": 1},
    "topic": {"type": "choice", "values": ["tides", "ice", "cranes"]},
    "question": {"type": "text", "provider": "writer", "prompt": "Ask number {{ row }} about {topic}."},
    "form": {
        "type": "structured",
        "provider": "writer",
        "prompt": "Answer {question}",
        "json_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    },
    "score": {"type": "judge", "provider": "judge", "prompt": "{form}", "rubric": {1: "bad", 5: "good"}},
}


def provider(url: str, model: str = "m", **options: Any) -> OpenAICompatibleProvider:
    price_in, price_out = PRICES[model]
    price = {"input_usd_per_million": price_in, "output_usd_per_million": price_out}
    return OpenAICompatibleProvider(model, api_base=url, price=price, **options)


def run(kind: str, folder: Path, url: str, settings: dict[str, Any]) -> RunReport:
    """A run to its end, or to the end of its budget."""
    settings = {"retry_delay_s": 0.01, "max_retry_delay_s": 0.02, **settings}
    dataset: Any
    given: Any
    if kind == "columns":
        dataset = columns(folder, COLUMNS, rows=60, run=settings)
        given = {"writer": provider(url), "judge": provider(url, "cheap")}
    elif kind == "preference":
        dataset = preference(folder, documents=20, run=settings)
        given = roles(provider(url), judge=provider(url, "dear"))
    elif kind == "grown":
        topics = {"topic_prompt": "sea", "degree": 3, "depth": 2}
        dataset = talk(folder, topics, num_rows=60, run=settings)
        given = [provider(url)]
    else:
        dataset = raw(folder, topics=150, run=settings if kind == "raw" else {**settings, "fan_out": kind})
        given = [provider(url)] if kind == "raw" else [provider(url, "cheap"), provider(url, "dear")]
    try:
        dataset.generate(given)
    except RunStopped:
        assert dataset.report.stop_cause == "budget", dataset.report
        if not (folder / "out.jsonl").exists():  # the budget ended while topics grew
            assert dataset.report.written == 0
            return dataset.report
    return assert_balanced(dataset.report)


def any_habits(rng: random.Random) -> dict[str, Any]:
    return {
        "lengths": rng.choice([(5, 60), (30, 400), (300, 1500)]),
        "has_long": rng.random() < 0.4,
        "grows_at": rng.choice([None, None, 10, 30]),
        "times": rng.choice([10, 10, 100]),
        "limited": rng.choice([0.0, 0.0, 0.05]),
        "broken": rng.choice([0.0, 0.0, 0.05]),
        "dropped": rng.choice([0.0, 0.0, 0.03]),
        "delay_s": rng.choice([0.0, 0.01]),
    }


@pytest.mark.parametrize("number", range(CASES))
def test_no_budget_is_passed_by_the_models_own_books(tmp_path: Path, number: int) -> None:
    rng = random.Random(f"passing {number}")
    concurrency = rng.choice([1, 2, 5, 16, 64])
    habits = Habits(
        shapes=tuple(rng.sample(SHAPES, rng.randint(1, 4))),
        obeys=rng.random() < 0.7,
        hidden=rng.choice([0, 0, 0, 3000]),
        longest=rng.choice([None, None, 4000]),
        refuses_above=rng.random() < 0.5,
        **any_habits(rng),
    )
    limits: dict[str, Any] = rng.choice(
        [{"budget_usd": rng.uniform(0.05, 1.5)}, {"max_tokens": rng.randint(5_000, 90_000)}]
    )
    with FaultServer() as server:
        server.respond = bank = Bank(number, habits, concurrency)
        try:
            report = run(rng.choice(KINDS), tmp_path, server.url, {"max_concurrency": concurrency, **limits})
        except ConfigError as error:
            refusal = str(error)
            assert "does not allow a single request: it is" in refusal
            assert bank.arrived == 0
            return
    told = f"{number}: {limits} {bank} {report}"
    assert bank.charged_usd <= limits.get("budget_usd", 1e9) + bank.passing_usd + 1e-9, told
    assert bank.tokens <= limits.get("max_tokens", 10**9) + bank.passing_tokens, told
    if habits.longest is None:
        assert not report.failures, told


@pytest.mark.parametrize("number", range(CASES // 2))
def test_a_budget_above_the_cost_ends_with_all_rows(tmp_path: Path, number: int) -> None:
    rng = random.Random(f"enough {number}")
    # The prompts of conversations are too long beside their replies here: their bytes are reserved as tokens.
    kind, concurrency = rng.choice(KINDS[:-1]), rng.choice([1, 2, 5, 16, 64])
    shapes = tuple(rng.sample(sorted(TOLD), rng.randint(1, 4)))
    habits = Habits(**{**any_habits(rng), "shapes": shapes, "dropped": 0.0, "times": 10})
    if kind == "fallback":  # what the dear one gives in the cheap one's place is beyond what it cost before
        habits = replace(habits, broken=0.0)
    above = 2.0 if habits.has_long or habits.grows_at else 1.2  # replies that are cut are paid for, too
    settings = {"max_concurrency": concurrency}
    with FaultServer() as server:
        server.respond = bank = Bank(number, habits, concurrency)
        run(kind, tmp_path / "1", server.url, settings)
        limit: dict[str, Any] = rng.choice(
            [{"budget_usd": bank.charged_usd * above}, {"max_tokens": int(bank.tokens * above)}]
        )
        server.respond = again = Bank(number, habits, concurrency)
        report = run(kind, tmp_path / "2", server.url, {**settings, **limit})
    assert report.written == report.requested, f"{number}: {kind} {limit} {again} {report}"


def killed_run(kind: str, folder: str, url: str, settings: dict[str, Any], point: str, when: str, nth: int) -> None:
    """A run whose process is gone in a chosen moment."""
    die_at(point, when, nth)
    run(kind, Path(folder), url, settings)


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.parametrize("number", range(CASES // 6))
def test_kills_pass_no_budget(tmp_path: Path, forks: ForkServer, number: int) -> None:
    """A request that was sent and not settled stays charged, and what was learned is not forgotten."""
    rng = random.Random(f"killed {number}")
    kind, concurrency = rng.choice(KINDS), rng.choice([2, 16, 64])
    habits = Habits(
        shapes=tuple(rng.sample(SHAPES, 3)), obeys=rng.random() < 0.5, hidden=rng.choice([0, 3000]), **any_habits(rng)
    )
    settings = {"max_concurrency": concurrency, "budget_usd": rng.uniform(1.0, 5.0)}
    with FaultServer() as server:
        server.respond = bank = Bank(number, habits, concurrency)
        for _ in range(3):
            given = {"kind": kind, "folder": str(tmp_path), "url": server.url, "settings": settings}
            moment = {"point": rng.choice(MOMENTS), "when": rng.choice(["before", "after"]), "nth": rng.randint(1, 40)}
            assert forks.run(f"{__name__}:killed_run", **given, **moment) in {0, 1, 9}
            bank.begins_again()
        with contextlib.suppress(ConfigError):
            run(kind, tmp_path, server.url, settings)
    assert bank.charged_usd <= settings["budget_usd"] + bank.passing_usd + 1e-9, f"{number}: {kind} {settings} {bank}"
