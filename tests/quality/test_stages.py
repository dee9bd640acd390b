"""Stages: what they drop is an outcome of its own, counted everywhere, recorded with its reason, and never bought again."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ValidationError

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.engine.events import ItemDone, RunStarted
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms.base import Request
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, drop
from datafast.quality.length import LengthStage
from datafast.quality.registry import STAGES
from datafast.schema.config import RawDatasetConfig
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    fork_server,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
)

SHORT = [{"stage": "length", "min_words": 3}]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def even_ones_are_long(request: Request) -> str:
    """Two texts: of even topics both are long, of odd ones the first is short."""
    prompt = request.messages[-1]["content"]
    number = int(prompt.split("topic ")[-1].split(".")[0])
    texts = [f"short {number}" if number % 2 else f"a long text {number}", f"another long text {number}"]
    if "exactly 1." in prompt:
        return json.dumps({"texts": texts[:1]})
    return json.dumps({"texts": texts})


def provider(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log, reply=even_ones_are_long)


def dataset(folder: Path, quality: list[dict[str, Any]] | None = None, *, topics: int = 4, **fields: Any) -> RawDataset:
    """A dataset of four items with two rows each, of which two are short."""
    settings = {"num_samples_per_prompt": 2, "quality": SHORT if quality is None else quality, **fields}
    return raw(folder, topics=topics, **settings)


def counts(report: Any) -> tuple[int, int, int, int]:
    checked = assert_balanced(report)
    return checked.written, checked.filtered, checked.failed, checked.pending


def filtered_in(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        return database.execute("SELECT number, stage, reason, row FROM filtered ORDER BY row").fetchall()


# -- what becomes of rows


def test_a_dropped_row_is_filtered_and_not_written(tmp_path: Path, log: Path) -> None:
    made = dataset(tmp_path).generate([provider(log)])
    assert counts(made.report) == (6, 2, 0, 0)
    assert made.report is not None
    assert made.report.filtered_by_stage == {"length": {"fewer than 3 words": 2}}
    assert all(not row["text"].startswith("short") for row in rows_of(tmp_path / "out.jsonl"))


def test_the_ledger_has_the_row_with_the_stage_and_the_reason(tmp_path: Path, log: Path) -> None:
    made = dataset(tmp_path).generate([provider(log)])
    kept = {row.uuid for row in made.data_rows}
    found = filtered_in(tmp_path)
    assert [(number, stage, reason) for number, stage, reason, _ in found] == [(0, "length", "fewer than 3 words")] * 2
    rows = [json.loads(row) for *_, row in found]
    assert sorted(row["text"] for row in rows) == ["short 1", "short 3"]
    assert not kept & {row["uuid"] for row in rows}


def test_a_filtered_row_is_never_bought_again(tmp_path: Path, log: Path) -> None:
    dataset(tmp_path).generate([provider(log)])
    asked = requests_in(log)
    for options in ({}, {"retry_failed": True}):
        report = dataset(tmp_path, run={"top_up": True}).generate([provider(log)], **options).report  # type: ignore[arg-type]
        assert counts(report) == (6, 2, 0, 0)
    assert requests_in(log) == asked


def test_lost_rows_are_rebuilt_without_the_filtered_ones(tmp_path: Path, log: Path) -> None:
    dataset(tmp_path).generate([provider(log)])
    before, filtered = rows_of(tmp_path / "out.jsonl"), filtered_in(tmp_path)
    (tmp_path / "out.jsonl").unlink()
    made = dataset(tmp_path).generate([provider(log)])
    assert counts(made.report) == (6, 2, 0, 0)
    assert same_rows(rows_of(tmp_path / "out.jsonl"), before)
    assert filtered_in(tmp_path) == filtered
    assert len(requests_in(log)) == 4


def test_written_filtered_and_failed_rows_of_one_item_are_told_apart(tmp_path: Path, log: Path) -> None:
    """Three rows are asked for: the first is dropped, the second written, the third never came."""
    reply = json.dumps({"texts": ["too short", "this one is long enough"]})
    whole = json.dumps({"texts": ["this came much later"]})

    def answers(request: Request) -> str:
        return reply if "exactly 3." in request.messages[-1]["content"] else whole

    settings: dict[str, Any] = {"topics": ["tides"], "num_samples_per_prompt": 3, "quality": SHORT}
    made = raw(tmp_path, **settings).generate([CountingProvider("m", log=log, reply=answers)])
    assert counts(made.report) == (1, 1, 1, 0)
    (failed,) = made.failed_items
    assert failed.rows == 1
    dropped = json.loads(filtered_in(tmp_path)[0][-1])
    assert failed.uuids
    assert dropped["uuid"] not in failed.uuids
    again = raw(tmp_path, **settings).generate([CountingProvider("m", log=log, reply=answers)], retry_failed=True)
    assert counts(again.report) == (2, 1, 0, 0)
    assert len(requests_in(log)) == 2
    assert {row.uuid for row in again.data_rows} > {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")[:1]}
    assert len(filtered_in(tmp_path)) == 1


def test_stages_decide_in_order_and_the_first_one_that_drops_counts(tmp_path: Path, log: Path) -> None:
    stages = [{"stage": "length", "max_characters": 8}, *SHORT]
    with pytest.warns(DatafastWarning, match="All 8 rows"):
        report = dataset(tmp_path, stages).generate([provider(log)]).report
    assert report is not None
    assert report.filtered_by_stage == {"length": {"more than 8 characters": 6, "fewer than 3 words": 2}}


def test_ordered_rows_keep_their_order_around_filtered_ones(tmp_path: Path, log: Path) -> None:
    dataset(tmp_path, run={"ordered": True}).generate([provider(log)])
    texts = [row["text"] for row in rows_of(tmp_path / "out.jsonl")]
    assert [text.split()[-1] for text in texts] == ["0", "0", "1", "2", "2", "3"]


def test_rows_of_a_kind_with_roles_are_filtered_too(tmp_path: Path, log: Path) -> None:
    made = preference(tmp_path, quality=[{"stage": "length", "field": "question", "min_words": 10_000}])
    with pytest.warns(DatafastWarning, match="All 8 rows were filtered"):
        made.generate_roles(roles(CountingProvider("m", log=log)))
    assert counts(made.report) == (0, 8, 0, 0)


def test_a_filtered_row_that_leaves_the_plan_is_decided_anew_when_it_returns(tmp_path: Path, log: Path) -> None:
    dataset(tmp_path).generate([provider(log)])
    assert counts(dataset(tmp_path, topics=1).generate([provider(log)]).report) == (2, 0, 0, 0)
    report = dataset(tmp_path, []).generate([provider(log)]).report
    assert counts(report) == (8, 0, 0, 0)
    assert len(requests_in(log)) == 4


# -- settings


def test_settings_of_stages_are_in_no_key(tmp_path: Path) -> None:
    plain, filtering = dataset(tmp_path, []).plan(["m"]), dataset(tmp_path).plan(["m"])
    assert plain.fingerprint == filtering.fingerprint
    keys = list(plain.keys())
    assert len(keys) == 4
    assert keys == list(filtering.keys())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"stage": "lenght", "min_words": 3}, "length"),
        ({"min_words": 3}, "The stage is missing"),
        ("length", "expected a mapping"),
        ({"stage": "length"}, "There is no bound in it"),
        ({"stage": "length", "min_words": 5, "max_words": 4}, "no row would be left"),
        ({"stage": "length", "min_wrods": 5}, "Did you mean 'min_words'"),
        ({"stage": "length", "min_words": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, given: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        raw(tmp_path, quality=[given])


def test_a_field_that_rows_do_not_have_is_refused_before_anything_is_sent(tmp_path: Path, log: Path) -> None:
    with pytest.raises(ConfigError, match=r"quality\[0\]: field: Rows have no field 'txt'"):
        dataset(tmp_path, [{"stage": "length", "field": "txt", "min_words": 3}]).generate([provider(log)])
    assert requests_in(log) == []


def test_a_config_is_dumped_and_loaded_with_its_stages(tmp_path: Path) -> None:
    config = dataset(tmp_path).config
    again = RawDatasetConfig.model_validate_json(config.model_dump_json())
    assert again.quality == config.quality == [LengthStage(min_words=3)]


# -- stages of others


class NoSecond(Stage):
    """Drops what begins with `another`."""

    stage: Literal["no_second"] = "no_second"
    fails: bool = False

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        if self.fails:
            raise RuntimeError("no idea")
        return drop(f"second of {item.num_rows}") if row.text.startswith("another") else KEEP  # type: ignore[attr-defined]


@pytest.fixture
def no_second() -> Iterator[None]:
    STAGES.register("no_second", NoSecond)
    yield
    del STAGES._registered["no_second"]


@pytest.mark.usefixtures("no_second")
def test_a_stage_of_the_users_own_decides(tmp_path: Path, log: Path) -> None:
    report = dataset(tmp_path, [{"stage": "no_second"}]).generate([provider(log)]).report
    assert report is not None
    assert report.filtered_by_stage == {"no_second": {"second of 2": 4}}


@pytest.mark.usefixtures("no_second")
def test_a_stage_that_raises_fails_its_item_and_loses_no_reply(tmp_path: Path, log: Path) -> None:
    made = dataset(tmp_path, [{"stage": "no_second", "fails": True}]).generate([provider(log)])
    assert counts(made.report) == (0, 0, 8, 0)
    assert {item.category for item in made.failed_items} == {"stage_error"}
    report = dataset(tmp_path).generate([provider(log)], retry_failed=True).report
    assert counts(report) == (6, 2, 0, 0)
    assert len(requests_in(log)) == 4


@pytest.mark.usefixtures("no_second")
def test_a_stage_that_raises_buys_nothing_from_the_next_provider(tmp_path: Path, log: Path) -> None:
    broken = [{"stage": "no_second", "fails": True}]
    providers = [provider(log), CountingProvider("other", log=log, reply=even_ones_are_long)]
    made = dataset(tmp_path, broken, run={"fan_out": "fallback"}).generate(providers)
    assert counts(made.report) == (0, 0, 8, 0)
    assert len(requests_in(log)) == 4


class Careless(Stage):
    """Gives what is no verdict."""

    stage: Literal["careless"] = "careless"
    gives: Any = None

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return drop(self.gives) if isinstance(self.gives, int) else self.gives


@pytest.mark.parametrize("gives", [None, "keep", 5])
def test_a_stage_that_gives_no_verdict_fails_its_items_and_is_named(tmp_path: Path, log: Path, gives: Any) -> None:
    made = dataset(tmp_path, [Careless(gives=gives)]).generate([provider(log)])
    assert counts(made.report) == (0, 0, 8, 0)
    (error,) = {item.error for item in made.failed_items}
    assert error.startswith("TypeError: The stage 'careless' gave ")
    assert error.endswith("or drop(reason) with a text.")


# -- what is shown


CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves]
num_samples_per_prompt: 2
providers: [{provider: simulated, model_id: a}]
quality: [{stage: length, %s}]
"""


def command(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments))


class Odd(Stage):
    """Raises what no stage should, in one of its methods."""

    stage: Literal["odd"] = "odd"
    where: str

    def check(self, row_model: type[BaseModel]) -> None:
        if self.where == "check()":
            raise KeyError("nothing there")

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return drop("because " * 100)

    def settings(self) -> dict[str, Any]:
        if self.where == "settings()":
            raise KeyError("nothing there")
        return {"odd": {1, 2}} if self.where == "settings() too" else {}


@pytest.mark.parametrize("where", ["check()", "settings()", "settings() too"])
def test_a_stage_that_raises_oddly_is_named_before_anything_is_sent(tmp_path: Path, log: Path, where: str) -> None:
    with pytest.raises(ConfigError, match=rf"test_stages\.Odd raised \w+ in {re.escape(where.removesuffix(' too'))}: "):
        raw(tmp_path, quality=[Odd(where=where)]).generate([provider(log)])
    assert not requests_in(log)


def test_a_long_reason_is_cut(tmp_path: Path, log: Path) -> None:
    dataset = raw(tmp_path, quality=[Odd(where="")])
    with pytest.warns(DatafastWarning, match="All 6 rows were filtered"):
        dataset.generate([provider(log)])
    ((reason, rows),) = assert_balanced(dataset.report).filtered_by_stage["odd"].items()
    assert rows == 6
    assert len(reason) == 120
    assert reason.endswith("...")


def test_all_rows_filtered_is_no_failure_but_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG % "min_words: 100000", encoding="utf-8")
    result = command("generate", "c.yaml")
    assert result.exit_code == 0
    assert "4 rows requested: 0 written, 4 filtered, 0 failed, 0 pending" in result.stderr
    assert "All 4 rows were filtered" in result.stderr
    assert "4 fewer than 100,000 words" in result.stderr


def test_status_counts_filtered_rows_by_stage_and_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG % "min_words: 100000", encoding="utf-8")
    command("generate", "c.yaml")
    status = json.loads(command("status", "rows.jsonl", "--json").stdout)
    assert (status["requested"], status["written"], status["filtered"], status["failed"], status["pending"]) == (
        4,
        0,
        4,
        0,
        0,
    )
    assert status["filtered_by_stage"] == {"length": {"fewer than 100,000 words": 4}}
    shown = command("status", "rows.jsonl").stdout
    assert "by length: 4 fewer than 100,000 words" in shown
    assert "next" not in shown


def test_events_count_filtered_rows(tmp_path: Path, log: Path) -> None:
    events: list[Any] = []
    dataset(tmp_path).generate([provider(log)], on_event=events.append)
    done = [event for event in events if isinstance(event, ItemDone)]
    assert (sum(event.rows for event in done), sum(event.filtered for event in done)) == (6, 2)
    events.clear()
    dataset(tmp_path).generate([provider(log)], on_event=events.append)
    (started,) = (event for event in events if isinstance(event, RunStarted))
    assert (started.written, started.filtered, started.failed) == (6, 2, 0)


def test_an_estimate_does_not_count_filtered_rows_as_missing(tmp_path: Path, log: Path) -> None:
    dataset(tmp_path).generate([provider(log)])
    assert dataset(tmp_path).estimate([provider(log)]).rows == 0


# -- what counts as text


class Talk(BaseModel):
    """A row with everything that a row may have."""

    messages: list[dict[str, Any]]
    label: str
    language: str
    model_id: str
    chosen_model_id: str
    uuid: str
    score: int
    metadata: dict[str, Any]


TALK = Talk(
    messages=[{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}],
    label="some label",
    language="en",
    model_id="m m m",
    chosen_model_id="m m m",
    uuid="u",
    score=3,
    metadata={"topic": "a b c"},
)


@pytest.mark.parametrize(("bounds", "kept"), [({"min_words": 3, "max_words": 3}, True), ({"min_words": 4}, False)])
def test_what_is_said_about_a_row_is_none_of_its_texts(bounds: dict[str, int], kept: bool) -> None:
    assert LengthStage(**bounds).decide(TALK, None).keeps is kept  # type: ignore[arg-type]


def test_one_field_alone_can_count() -> None:
    stage = LengthStage(field="label", min_characters=10, max_characters=10)
    assert stage.decide(TALK, None).keeps  # type: ignore[arg-type]


# -- a process that dies


KILLED_AT = [
    ("datafast.store.filtered:FilteredTable.put", "before"),
    ("datafast.store.filtered:FilteredTable.put", "after"),
    ("datafast.store.append_file:AppendFile.append", "after"),
    ("datafast.store.writer:Store.finish_item", "after"),
    ("datafast.store.writer:Store.close", "before"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize(("point", "when"), KILLED_AT)
def test_a_killed_run_comes_to_the_same_outcome(
    tmp_path: Path, log: Path, server: ForkServer, point: str, when: str, nth: int
) -> None:
    fields: dict[str, Any] = {
        "topics": 20,
        "run": {"max_concurrency": 4},
        "quality": [{"stage": "length", "min_characters": 305}],
    }
    crash = {"folder": str(tmp_path), "log": str(log), "point": point, "when": when, "nth": nth, **fields}
    assert server.run("tests.support:crashing_run", **crash) in (0, 9)
    report = raw(tmp_path, **fields).generate([CountingProvider("m", log=log)]).report
    uncut = raw(tmp_path / "uncut", **fields).generate([CountingProvider("m", log=tmp_path / "other")])
    assert counts(report) == counts(uncut.report)
    assert 0 < counts(report)[1] < 20
    assert same_rows(rows_of(tmp_path / "out.jsonl"), rows_of(tmp_path / "uncut/out.jsonl"))
    assert filtered_in(tmp_path) == filtered_in(tmp_path / "uncut")
    assert len(requests_in(log)) <= 20 + 4
