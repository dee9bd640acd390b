"""Stages that compare rows: the kept rows are those of one walk in an order that is always the same, whatever came when."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.engine import winding_up
from datafast.engine.events import Event, RowsDecided, RowsSettled
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms.base import Request
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, Walk, WalkStage, drop
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    die_after,
    fork_server,
    raw,
    requests_in,
    rows_of,
)

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")

TOPICS = 12
EACH = 3
ROWS = TOPICS * EACH


class NearStage(WalkStage[int]):
    """Drops texts whose number is at most so far from that of an earlier row that was kept."""

    stage: Literal["near"] = "near"
    within: int = 1
    fails_at: tuple[int, ...] = ()

    def features(self, rows: Sequence[BaseModel]) -> list[int]:
        found = [number_of(row.text) for row in rows]  # type: ignore[attr-defined]
        if not set(self.fails_at).isdisjoint(found):
            raise RuntimeError("no idea")
        return found

    def walk(self) -> Walk[int]:
        return _Numbers(self.within)


class _Numbers:
    def __init__(self, within: int) -> None:
        self.within = within
        self.kept: list[int] = []

    def decide(self, features: int) -> Verdict:
        least = min((abs(features - other) for other in self.kept), default=self.within + 1)
        return KEEP if least > self.within else drop("near an earlier row", least)

    def keep(self, features: int) -> None:
        self.kept.append(features)


class EvenStage(Stage):
    """Drops texts whose number is a multiple of something."""

    stage: Literal["even"] = "even"
    of: int = 7

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return drop("a multiple") if number_of(row.text) % self.of == 0 else KEEP  # type: ignore[attr-defined]


def number_of(text: str) -> int:
    return int(text.rsplit(" ", 1)[1])


def numbers(request: Request) -> str:
    """Three texts, each with a number at its end that depends on the topic alone. They are near each other by chance."""
    topic = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    chance = random.Random(topic)
    return json.dumps({"texts": [f"of {topic} at {place}: {chance.randrange(60)}" for place in range(EACH)]})


def provider(folder: Path, *, latency: random.Random | None = None) -> CountingProvider:
    jitter = 0.003 if latency is None else latency.uniform(0, 0.02)
    return CountingProvider("m", log=folder / "requests", reply=numbers, latency_jitter_s=jitter)


def dataset(folder: Path, *quality: Any, topics: int = TOPICS, run: dict[str, Any] | None = None) -> RawDataset:
    settings: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": EACH, "quality": list(quality)}
    return raw(folder, run={"max_concurrency": 4, **(run or {})}, **settings)


def generate(folder: Path, *quality: Any, limit: int | None = None, **fields: Any) -> Any:
    made = dataset(folder, *quality, **fields).generate([provider(folder)], limit=limit)
    return assert_balanced(made.report)


def file_of(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def texts(folder: Path) -> set[str]:
    return {row["text"] for row in rows_of(folder / "out.jsonl")}


def dropped(folder: Path) -> dict[str, tuple[str, str]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        found = database.execute(
            "SELECT row, stage, reason FROM filtered JOIN items ON items.id = item WHERE state != 3"
        ).fetchall()
    return {json.loads(row)["text"]: (stage, reason) for row, stage, reason in found}


def in_order(folder: Path) -> list[str]:
    """The texts of all recorded rows in the order of the walk, which is that of their items' keys here."""
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        keys = dict(database.execute("SELECT position, key FROM items WHERE state = 1"))
    found = []
    for _, position in sorted((key, position) for position, key in keys.items()):
        chance = random.Random(position)
        found += [f"of {position} at {place}: {chance.randrange(60)}" for place in range(EACH)]
    return found


def oracle(folder: Path, *stages: Any) -> dict[str, str]:
    """The stage that drops each text; '' for those that are kept."""
    walks = {stage.name: stage.walk() for stage in stages if isinstance(stage, NearStage)}
    found: dict[str, str] = {}
    for text in in_order(folder):
        number = number_of(text)
        by_row = [stage.name for stage in stages if isinstance(stage, EvenStage) and number % stage.of == 0]
        by_walk = [name for name, walk in walks.items() if not by_row and not walk.decide(number).keeps]
        found[text] = next(iter([*by_row, *by_walk]), "")
        for walk in walks.values() if not found[text] else ():
            walk.keep(number)
    return found


def assert_as_the_oracle(folder: Path, *stages: Any) -> None:
    expected = oracle(folder, *stages)
    assert texts(folder) == {text for text, stage in expected.items() if not stage}
    assert {text: stage for text, (stage, _) in dropped(folder).items()} == {
        text: stage for text, stage in expected.items() if stage
    }


def test_rows_near_an_earlier_kept_one_are_filtered_at_the_end_of_the_run(tmp_path: Path) -> None:
    report = generate(tmp_path, NearStage())
    assert_as_the_oracle(tmp_path, NearStage())
    assert 0 < report.filtered == report.dropped_at_end < ROWS
    assert report.filtered_by_stage == {"near": {"near an earlier row": report.filtered}}
    again = generate(tmp_path, NearStage())
    assert (again.dropped_at_end, again.returned_at_end, again.calls) == (0, 0, 0)


def test_stages_that_look_at_one_row_decide_first_wherever_they_stand(tmp_path: Path) -> None:
    generate(tmp_path, NearStage(), EvenStage())
    assert_as_the_oracle(tmp_path, NearStage(), EvenStage())


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_replies_and_early_ends_do_not_matter(tmp_path: Path, seed: int) -> None:
    generate(tmp_path / "whole", NearStage(within=2))
    chance = random.Random(seed)
    for limit in (*sorted(chance.sample(range(1, TOPICS), 3)), None):
        asked = provider(tmp_path / "parts", latency=chance)
        made = dataset(tmp_path / "parts", NearStage(within=2), run={"seed": 0}).generate([asked], limit=limit)
        assert_balanced(made.report)
        assert texts(tmp_path / "parts") <= set(in_order(tmp_path / "parts"))
    assert texts(tmp_path / "parts") == texts(tmp_path / "whole")
    assert dropped(tmp_path / "parts") == dropped(tmp_path / "whole")


@pytest.mark.parametrize("ordered", [True, False])
def test_settings_changed_and_changed_back_give_the_same_file_and_no_call(tmp_path: Path, ordered: bool) -> None:
    run = {"ordered": ordered}
    generate(tmp_path, NearStage(), run=run)
    first = file_of(tmp_path)
    for other in ([NearStage(within=4)], [EvenStage(), NearStage()], [], [EvenStage(of=1)], [NearStage(within=0)]):
        changed = generate(tmp_path, *other, run=run)
        assert changed.calls == 0
        assert_as_the_oracle(tmp_path, *other)
        report = generate(tmp_path, NearStage(), run=run)
        assert (report.calls, report.dropped_at_end, report.returned_at_end) == (0, 0, 0)
        assert file_of(tmp_path) == first
    assert len(requests_in(tmp_path / "requests")) == TOPICS


def test_a_settled_output_is_not_written_again(tmp_path: Path) -> None:
    generate(tmp_path, NearStage())
    before = (tmp_path / "out.jsonl").stat()
    generate(tmp_path, NearStage())
    dataset(tmp_path, NearStage()).generate([provider(tmp_path)], decide_only=True)
    after = (tmp_path / "out.jsonl").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_rows_that_leave_the_plan_are_compared_with_none(tmp_path: Path) -> None:
    run = {"removed": "keep"}
    generate(tmp_path, NearStage(within=3), run=run)
    report = dataset(tmp_path, NearStage(within=3), topics=5, run=run).generate([provider(tmp_path)]).report
    assert report is not None
    assert report.calls == 0
    expected = {text for text, stage in oracle(tmp_path, NearStage(within=3)).items() if not stage}
    assert {text for text in texts(tmp_path) if int(text.split()[1]) < 5} == expected
    assert report.removed == len(texts(tmp_path)) - len(expected)
    generate(tmp_path, NearStage(within=3), run=run)
    assert_as_the_oracle(tmp_path, NearStage(within=3))


def test_rows_lost_from_the_file_come_back_and_are_compared(tmp_path: Path) -> None:
    generate(tmp_path, NearStage())
    (tmp_path / "out.jsonl").write_bytes(file_of(tmp_path)[:400])
    report = generate(tmp_path, NearStage())
    assert report.calls == 0
    assert_as_the_oracle(tmp_path, NearStage())


def test_the_first_stage_that_drops_a_row_decides(tmp_path: Path) -> None:
    class OtherStage(NearStage):
        stage: Literal["other"] = "other"  # type: ignore[assignment]

    stages = [NearStage(within=2), OtherStage(within=3)]
    report = generate(tmp_path, *stages)
    assert_as_the_oracle(tmp_path, *stages)
    assert set(report.filtered_by_stage) == {"near", "other"}


def test_a_row_that_a_stage_raises_about_stays_as_it_was(tmp_path: Path) -> None:
    generate(tmp_path, NearStage(within=0))
    before = texts(tmp_path), dropped(tmp_path)
    all_numbers = tuple(range(60))
    with pytest.warns(DatafastWarning, match=rf"{ROWS} recorded rows stay as they were .* RuntimeError: no idea"):
        generate(tmp_path, NearStage(within=2, fails_at=all_numbers))
    assert (texts(tmp_path), dropped(tmp_path)) == before
    generate(tmp_path, NearStage(within=2))
    assert_as_the_oracle(tmp_path, NearStage(within=2))


def test_a_plan_does_not_wait_for_a_comparison_that_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, EvenStage())
    monkeypatch.setattr("datafast.engine.changes._LONGEST_S", 0)
    change = dataset(tmp_path, NearStage()).estimate([provider(tmp_path)]).change
    assert (change.decided_again, change.stages_drop) == (ROWS, None)
    assert change.sentences() == [
        f"The stages under quality have changed and decide about {ROWS} rows again, without a call."
    ]


def test_a_plan_says_how_many_rows_would_move(tmp_path: Path) -> None:
    generate(tmp_path, NearStage())
    change = dataset(tmp_path, NearStage(within=4), EvenStage()).estimate([provider(tmp_path)]).change
    report = generate(tmp_path, NearStage(within=4), EvenStage())
    assert (change.decided_again, change.stages_drop, change.stages_return) == (
        ROWS,
        report.dropped_again,
        report.returned,
    )
    assert report.dropped_again > 0


# -- whatever happens in between


class Killed(BaseException):
    """The end of a process, as far as one can play it."""


def cut_off(folder: Path, *quality: Any, **fields: Any) -> None:
    """A run that ends before it compares its rows, as that of a killed process does."""

    def killed(*_: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(winding_up, "settle", killed)
        with pytest.raises(Killed):
            dataset(folder, *quality, **fields).generate([provider(folder)])


STEPS = st.tuples(
    st.sampled_from(["run", "run", "limit", "cut off", "lose", "decide"]),
    st.sampled_from([None, 0, 1, 2, 5]),
    st.sampled_from([None, 2, 7]),
    st.sampled_from([3, 6, 8]),
    st.booleans(),
)


def stages_of(within: int | None, of: int | None) -> list[Any]:
    return [*([] if of is None else [EvenStage(of=of)]), *([] if within is None else [NearStage(within=within)])]


@settings(max_examples=8, deadline=None)
@given(st.lists(STEPS, min_size=2, max_size=6))
def test_any_sequence_of_runs_comes_to_what_one_walk_keeps(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = 6
        for what, within, of, topics, ordered in [*steps, ("run", 1, 7, 8, True)]:
            quality, run = stages_of(within, of), {"ordered": ordered}
            if what == "lose" and (folder / "out.jsonl").exists():
                data = file_of(folder)
                (folder / "out.jsonl").write_bytes(data[: len(data) // 2])
            if what == "cut off" and within is not None:
                new = not (folder / "out.jsonl").exists() or topics > plan
                if new:
                    plan = topics
                    cut_off(folder, *quality, topics=topics, run=run)
                continue
            if what == "decide" and (folder / "out.jsonl.ledger").exists() and rows_of(folder / "out.jsonl"):
                topics = plan
                made = dataset(folder, *quality, topics=topics, run=run).generate([provider(folder)], decide_only=True)
                assert_balanced(made.report)
                assert_as_the_oracle(folder, *quality)
                continue
            plan = topics
            report = generate(folder, *quality, topics=topics, run=run, limit=2 if what == "limit" else None)
            assert report.calls <= topics
            assert_as_the_oracle(folder, *quality)
        assert len(requests_in(folder / "requests")) == len(set(requests_in(folder / "requests"))) <= 8


def walked_run(folder: str, within: int, kill_after_s: float) -> None:
    """A run to be killed."""
    asked = CountingProvider("m", log=Path(folder) / "requests", reply=numbers, latency_s=0.004, latency_jitter_s=0.01)
    made = dataset(Path(folder), NearStage(within=within), EvenStage(), topics=40, run={"max_concurrency": 2})
    die_after(kill_after_s)
    made.generate([asked])


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


def test_ten_kills_leave_the_rows_that_a_whole_run_keeps(tmp_path: Path, server: ForkServer) -> None:
    chance = random.Random(5)
    for number in range(10):
        how = {"within": chance.choice([0, 1, 2]), "kill_after_s": chance.uniform(0.02, 0.12)}
        assert server.run("tests.quality.test_walks:walked_run", folder=str(tmp_path / "killed"), **how) in (0, -9), (
            number
        )
    for folder in ("killed", "whole"):
        generate(tmp_path / folder, NearStage(), EvenStage(), topics=40)
    assert texts(tmp_path / "killed") == texts(tmp_path / "whole")
    assert dropped(tmp_path / "killed") == dropped(tmp_path / "whole")


def test_a_run_that_was_cut_off_is_compared_by_the_next_even_if_there_is_nothing_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(tmp_path, NearStage())
    shown = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl")]).stdout
    assert "not all rows were compared with each other yet" in shown.replace("\n", " ")
    made = dataset(tmp_path, NearStage()).generate([provider(tmp_path)], decide_only=True)
    assert assert_balanced(made.report).dropped_at_end > 0
    assert_as_the_oracle(tmp_path, NearStage())
    shown = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl")]).stdout
    assert "compared" not in shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (sqlite3.OperationalError("database or disk is full"), "Cannot read the ledger .*: database or disk is full"),
    ],
)
def test_what_raises_at_the_end_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def full(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(winding_up, "settle", full)
        with pytest.warns(DatafastWarning, match=f"could not be compared with each other: {said}"):
            assert generate(tmp_path, NearStage()).written == ROWS
    assert generate(tmp_path, NearStage()).dropped_at_end > 0
    assert_as_the_oracle(tmp_path, NearStage())


class SlowStage(NearStage):
    """Waits for somebody to hear that it has begun, and takes its time with each further row until it may go on."""

    compares_live = False
    stage: Literal["slow"] = "slow"  # type: ignore[assignment]

    def features(self, rows: Sequence[BaseModel]) -> list[int]:
        REACHED.set()
        HEARD.wait(60)
        GOES_ON.wait(0.2)
        return super().features(rows)


REACHED, HEARD, GOES_ON = threading.Event(), threading.Event(), threading.Event()


def interrupted_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RawDataset, threading.Thread]:
    """A dataset whose rows are compared slowly, and the thread that interrupts it when that has begun."""
    monkeypatch.setattr("datafast.engine.stop._LAST_WORK_S", 0.05)
    monkeypatch.setattr("datafast.store.deciding._ROWS_AT_ONCE", 1)  # so that all of them would take seconds
    for event in (REACHED, HEARD, GOES_ON):
        event.clear()
    made = dataset(tmp_path, SlowStage())

    def interrupt() -> None:
        REACHED.wait(60)
        while not GOES_ON.wait(0.01):
            made.executor.stop()
            HEARD.set()

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    return made, thread


def test_an_interruption_abandons_a_long_comparison_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, thread = interrupted_comparison(tmp_path, monkeypatch)
    with (
        pytest.warns(
            DatafastWarning, match=r"not all compared with each other \(slow\), because the run was interrupted"
        ),
        pytest.raises(RunStopped),
    ):
        made.generate([provider(tmp_path)])
    GOES_ON.set()
    thread.join()
    report = assert_balanced(made.report)
    assert (report.written, report.dropped_at_end, report.pending) == (ROWS, 0, 0)
    assert assert_balanced(dataset(tmp_path, SlowStage()).generate([provider(tmp_path)]).report).dropped_at_end > 0
    assert texts(tmp_path) == {text for text, stage in oracle(tmp_path, SlowStage()).items() if not stage}


class PatientStage(NearStage):
    """Waits with the first rows until somebody was told of them."""

    compares_live = False
    stage: Literal["patient"] = "patient"  # type: ignore[assignment]

    def features(self, rows: Sequence[BaseModel]) -> list[int]:
        GOES_ON.wait(60)
        return super().features(rows)


def test_a_long_comparison_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winding_up, "_TOLD_S", 0.02)
    monkeypatch.setattr("datafast.store.deciding._ROWS_AT_ONCE", 4)
    GOES_ON.clear()
    events: list[Event] = []

    def take(event: Event) -> None:
        events.append(event)
        if isinstance(event, RowsDecided):
            GOES_ON.set()

    report = dataset(tmp_path, PatientStage()).generate([provider(tmp_path)], on_event=take).report
    assert report is not None
    told = [event for event in events if isinstance(event, RowsDecided)]
    assert told
    assert {(event.done, event.rows) for event in told[:1]} == {(4, ROWS)}
    (settled,) = [event for event in events if isinstance(event, RowsSettled)]
    assert settled == RowsSettled(
        dropped=report.dropped_at_end, returned=0, written=report.written, filtered=report.filtered
    )


def test_an_interruption_at_the_start_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, EvenStage())
    before = file_of(tmp_path)
    made, thread = interrupted_comparison(tmp_path, monkeypatch)
    with pytest.warns(DatafastWarning, match="because the run was interrupted"), pytest.raises(RunStopped):
        made.generate([provider(tmp_path)])
    GOES_ON.set()
    thread.join()
    assert file_of(tmp_path) == before
    assert len(requests_in(tmp_path / "requests")) == TOPICS
    assert assert_balanced(dataset(tmp_path, SlowStage()).generate([provider(tmp_path)]).report).dropped_again > 0
    assert texts(tmp_path) == {text for text, stage in oracle(tmp_path, SlowStage()).items() if not stage}
