"""Stages that ask models: their calls are recorded with the item of a row, and no row is written that they have not decided about."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from datafast.datasets import RawDataset
from datafast.engine.generate import Generate
from datafast.errors import ErrorKind, ProviderError, RunStopped
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, ModelStage, Stage, Verdict, drop
from datafast.schema.config import RawDatasetConfig
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")


class Grade(BaseModel):
    grade: int


class GradesStage(ModelStage):
    """Drops rows with a low grade."""

    stage: Literal["grades"] = "grades"
    least: int = 3
    question: str = "Grade this"

    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict:
        text: str = row.text  # type: ignore[attr-defined]
        said = await generate.gather(*(generate(role, f"{self.question}: {text}", Grade) for role in self.roles))
        mean = sum(one.grade for one in said) / len(said)
        return KEEP if mean >= self.least else drop("a low grade", mean)


class NoDigit(Stage):
    """Drops texts with a digit."""

    stage: Literal["no_digit"] = "no_digit"
    digit: str

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return drop("a digit") if self.digit in row.text else KEEP  # type: ignore[attr-defined]


def writes(request: Request) -> str:
    number = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    return json.dumps({"texts": [f"text {number} {place}" for place in "abc"]})


def grades(request: Request) -> str:
    """The first letter's rows have a low grade."""
    return json.dumps({"grade": 1 if request.messages[-1]["content"].endswith("a") else 5})


class Bench:
    """An output in a folder, with a writer and a judge who count their requests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = CountingProvider("writer", log=folder / "requests", reply=writes)
        self.judge = CountingProvider("judge", log=folder / "requests", reply=grades)

    def dataset(self, *stages: Stage, **fields: Any) -> RawDataset:
        return raw(self.folder, topics=6, num_samples_per_prompt=3, quality=list(stages), **fields)

    def generate(self, *stages: Stage, run: dict[str, Any] | None = None, **options: Any) -> Any:
        dataset = self.dataset(*stages, run=run)
        with suppress(RunStopped):
            dataset.generate([self.writer], **options)
        return assert_balanced(dataset.report)

    def grades(self, **fields: Any) -> GradesStage:
        return GradesStage(providers=[self.judge], **fields)

    @property
    def requests(self) -> Counter[str]:
        return Counter(model for model, _ in requests_in(self.folder / "requests"))

    @property
    def texts(self) -> list[str]:
        return sorted(row["text"] for row in rows_of(self.folder / "out.jsonl"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def roles_in(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        return Counter(dict(database.execute("SELECT role, count(*) FROM calls GROUP BY 1").fetchall()))


def test_a_row_is_written_if_the_models_that_are_asked_about_it_say_so(bench: Bench) -> None:
    report = bench.generate(bench.grades())
    assert (report.written, report.filtered, report.calls) == (12, 6, 6 + 18)
    assert report.filtered_by_stage == {"grades": {"a low grade": 6}}
    assert [text[-1] for text in bench.texts].count("a") == 0
    assert bench.requests == {"simulated/writer": 6, "simulated/judge": 18}
    assert sorted(roles_in(bench.folder).values()) == [6, 18]
    assert bench.generate(bench.grades()).calls == 0


def test_rows_that_were_lost_are_decided_about_by_recorded_replies(bench: Bench) -> None:
    bench.generate(bench.grades())
    before = bench.texts
    (bench.folder / "out.jsonl").write_text("")
    report = bench.generate(bench.grades())
    assert (report.calls, bench.texts) == (0, before)


def test_a_row_that_an_earlier_stage_drops_is_not_asked_about(bench: Bench) -> None:
    report = bench.generate(NoDigit(digit="3"), bench.grades(), NoDigit(digit="4"))
    assert (report.written, report.filtered) == (8, 10)
    assert bench.requests["simulated/judge"] == 15


def test_stages_that_ask_the_same_share_the_answer(bench: Bench) -> None:
    report = bench.generate(bench.grades(), bench.grades(least=2), bench.grades(question="And this"))
    assert bench.requests["simulated/judge"] == 18 + 12
    assert report.written == 12


def test_a_row_that_no_answer_came_about_has_failed_and_is_asked_about_again_in_a_retry(bench: Bench) -> None:
    bench.judge.reply = lambda request: (
        "?" if request.messages[1:] or "text 2 b" in str(request.messages) else grades(request)
    )
    report = bench.generate(bench.grades(), run={"max_parse_retries": 1})
    assert (report.written, report.filtered, report.failed) == (11, 6, 1)
    assert "text 2 b" not in bench.texts
    assert bench.generate(bench.grades()).failed == 1
    bench.judge.reply = grades
    bought = bench.requests.total()
    report = bench.generate(bench.grades(), retry_failed=True)
    assert (report.written, report.failed) == (12, 0)
    assert bench.requests.total() == bought + 1


def test_rows_wait_for_an_outage_of_the_model_that_is_asked_about_them(bench: Bench) -> None:
    def down(request: Request) -> Exception:
        return ProviderError("down", kind=ErrorKind.SERVER, status=503)

    bench.judge.reply = down
    run = {"max_stall_s": 0.05, "retry_delay_s": 0.01, "max_retry_delay_s": 0.01, "max_concurrency": 2}
    report = bench.generate(bench.grades(), run=run)
    assert (report.written, report.failed, report.filtered, report.pending) == (0, 0, 0, 18)
    bench.judge.reply = grades
    report = bench.generate(bench.grades())
    assert (report.written, report.filtered, report.pending) == (12, 6, 0)
    assert bench.requests["simulated/writer"] == 6


def test_calls_of_stages_count_for_a_budget(bench: Bench) -> None:
    report = bench.generate(bench.grades(), run={"max_calls": 11, "max_concurrency": 1})
    assert report.calls == 11
    assert report.written + report.filtered == 6
    report = bench.generate(bench.grades(), run={"max_calls": 24})
    assert (report.calls, report.pending) == (13, 0)


def test_replies_in_any_order_keep_the_same_rows(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        bench = Bench(tmp_path / str(seed))
        bench.writer.latency_jitter_s = bench.judge.latency_jitter_s = 0.01 * seed
        bench.generate(bench.grades())
        found.append(bench.texts)
    assert found[0] == found[1]


def test_two_judges_are_asked_in_roles_of_their_own(bench: Bench) -> None:
    other = CountingProvider("judge", temperature=0.5, log=bench.folder / "requests", reply=grades)
    stage = GradesStage(providers=[bench.judge, other])
    assert len(set(stage.roles)) == 2
    bench.generate(stage)
    assert bench.requests["simulated/judge"] == 36
    assert len(roles_in(bench.folder)) == 3


def test_one_model_with_other_options_in_two_stages_is_refused() -> None:
    stages = [GradesStage(providers=[SimulatedProvider("judge", max_completion_tokens=most)]) for most in (100, 200)]
    with pytest.raises(ValidationError, match=r"quality\[1\]\.providers\[0\]: simulated/judge is named before"):
        RawDatasetConfig(document_types=["a"], topics=["b"], output_file="x.jsonl", quality=stages)


class Threads(Stage):
    """Keeps all rows, and notes where it decides."""

    stage: Literal["threads"] = "threads"

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        SEEN.append(threading.current_thread().name)
        return KEEP


SEEN: list[str] = []


def test_stages_do_not_hold_up_the_event_loop(bench: Bench) -> None:
    SEEN.clear()
    bench.generate(Threads())
    assert SEEN[0].startswith("datafast-stages")
