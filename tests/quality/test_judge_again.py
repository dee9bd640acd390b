"""Verdicts of judges are a view too: what was asked once is decided by again at no cost, and what was never asked is bought alone."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import RawDataset
from datafast.errors import DatafastWarning, ErrorKind, ProviderError, RunStopped
from datafast.llms.base import Request
from datafast.quality.base import Stage
from datafast.quality.judge import JudgeStage
from datafast.quality.keep_if import KeepIfStage
from datafast.types import StopCause
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")
calls_may_be_missing = pytest.mark.filterwarnings("ignore:quality. .* calls? of stages (is|are) missing")

TOPICS, EACH = 6, 3
ROWS = TOPICS * EACH


def writes(request: Request) -> str:
    number = int(request.messages[-1]["content"].split("topic ")[-1].split(".")[0])
    return json.dumps(
        {"texts": [f"text {number}.{place} worth {(number * 3 + place * 2) % 5 + 1}" for place in range(EACH)]}
    )


def worth(request: Request) -> str:
    score = int(re.findall(r"worth (\d)", request.messages[-1]["content"])[0])
    return json.dumps({"reason": "It says so.", "score": score})


def other_way_round(request: Request) -> str:
    return json.dumps({"reason": "No.", "score": 6 - json.loads(worth(request))["score"]})


class Bench:
    """An output in a folder, with a writer and two judges of opposite tastes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = self.model("gpt-4", writes)
        self.kind, self.strict = self.model("claude", worth), self.model("gemini", other_way_round)

    def model(self, name: str, reply: Any) -> CountingProvider:
        return CountingProvider(name, log=self.folder / "requests", reply=reply, latency_jitter_s=0.002)

    def dataset(self, *stages: Stage, topics: int = TOPICS, run: dict[str, Any] | None = None) -> RawDataset:
        return raw(
            self.folder,
            topics=topics,
            num_samples_per_prompt=EACH,
            quality=list(stages),
            run={"max_concurrency": 4, **(run or {})},
        )

    def generate(self, *stages: Stage, run: dict[str, Any] | None = None, topics: int = TOPICS, **options: Any) -> Any:
        dataset = self.dataset(*stages, run=run, topics=topics)
        with suppress(RunStopped):
            dataset.generate([self.writer], **options)
        report = assert_balanced(dataset.report)
        assert report.written == len(rows_of(self.folder / "out.jsonl"))
        return report

    def judge(self, model: CountingProvider | None = None, at_least: int = 4, **fields: Any) -> JudgeStage:
        return JudgeStage(providers=[model or self.kind], keep_if=f"score >= {at_least}", **fields)

    @property
    def file(self) -> bytes:
        return (self.folder / "out.jsonl").read_bytes()

    @property
    def kept(self) -> set[str]:
        return {row["text"] for row in rows_of(self.folder / "out.jsonl")}

    @property
    def asked(self) -> int:
        return len(requests_in(self.folder / "requests"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def fresh(folder: Path, *stages: Stage) -> set[str]:
    """What the stages keep of rows that are made now."""
    folder.mkdir()
    other = Bench(folder)
    other.generate(*stages)
    return other.kept


def test_another_threshold_and_back_makes_the_same_file_and_no_call(bench: Bench) -> None:
    bench.generate(bench.judge())
    first, bought = bench.file, bench.asked
    for at_least in (2, 5, 1, 4):
        report = bench.generate(bench.judge(at_least=at_least))
        assert report.calls == 0
        assert {int(text[-1]) >= at_least for text in bench.kept} <= {True}
    assert (bench.file, bench.asked) == (first, bought)


def test_another_judge_and_another_rubric_buy_only_the_judging(bench: Bench, tmp_path: Path) -> None:
    bench.generate(bench.judge())
    first = bench.file
    report = bench.generate(bench.judge(bench.strict))
    assert report.calls == ROWS
    assert bench.kept == fresh(tmp_path / "alone", bench.judge(bench.strict))
    report = bench.generate(bench.judge(rubric="Is it worth it?"))
    assert report.calls == ROWS
    assert bench.file == first
    report = bench.generate(bench.judge(bench.strict))
    assert (report.calls, bench.generate(bench.judge()).calls) == (0, 0)
    assert bench.file == first


def test_a_judge_that_comes_to_rows_that_are_there_is_asked_about_them(bench: Bench, tmp_path: Path) -> None:
    bench.generate()
    before = bench.file
    report = bench.generate(bench.judge())
    assert (report.calls, report.written + report.filtered, report.calls_missing) == (ROWS, ROWS, 0)
    assert bench.kept == fresh(tmp_path / "alone", bench.judge())
    assert (bench.generate().calls, bench.file) == (0, before)


def test_rows_of_other_stages_around_a_judge_are_not_judged_twice(bench: Bench) -> None:
    no_three = KeepIfStage(expression="'text 3' not in text")
    bench.generate(no_three, bench.judge())
    assert bench.asked == TOPICS + ROWS - EACH
    assert bench.generate(bench.judge()).calls == EACH
    assert bench.generate(bench.judge(), no_three).calls == 0
    assert bench.generate(no_three, bench.judge(), bench.judge(bench.strict, at_least=1)).calls > 0
    assert bench.generate(bench.judge()).calls == 0


@calls_may_be_missing
def test_a_run_that_ends_early_leaves_rows_as_they_were_and_the_next_one_goes_on(bench: Bench, tmp_path: Path) -> None:
    bench.generate()
    report = bench.generate(bench.judge(), run={"max_calls": TOPICS + 10})
    assert (report.calls, report.calls_missing) == (10, ROWS - 10)
    assert report.pending == 0
    report = bench.generate(bench.judge(), run={"max_calls": TOPICS + ROWS})
    assert (report.calls, report.calls_missing) == (ROWS - 10, 0)
    assert bench.kept == fresh(tmp_path / "alone", bench.judge())
    assert bench.generate(bench.judge()).calls == 0


@calls_may_be_missing
def test_deciding_alone_lists_what_is_missing_and_buys_nothing(bench: Bench) -> None:
    bench.generate()
    before, bought = bench.file, bench.asked
    report = bench.generate(bench.judge(), decide_only=True)
    assert (report.calls, report.calls_missing, bench.asked, bench.file) == (0, ROWS, bought, before)
    report = bench.generate(bench.judge())
    assert (report.calls, report.calls_missing) == (ROWS, 0)


@calls_may_be_missing
def test_a_plan_tells_the_missing_calls_and_what_they_cost(bench: Bench) -> None:
    bench.generate()
    before = bench.file
    found = bench.dataset(bench.judge()).estimate([bench.writer])
    assert (found.calls, found.rows) == (ROWS, 0)
    assert {part.provider.removeprefix("simulated/"): sum(part.calls.values()) for part in found.providers} == {
        "gpt-4": 0,
        "claude": ROWS,
    }
    assert found.change is not None
    assert found.change.calls_missing == ROWS
    assert f"with {ROWS} calls that were never made" in " ".join(found.sentences())
    bench.generate(bench.judge(), run={"max_calls": TOPICS + 10})
    assert bench.dataset(bench.judge()).estimate([bench.writer]).calls == ROWS - 10
    bench.generate(bench.judge())
    assert bench.dataset(bench.judge(at_least=2)).estimate([bench.writer]).calls == 0
    assert len(before)


def test_a_call_that_fails_leaves_the_row_as_it_was_until_a_retry(bench: Bench) -> None:
    bench.generate()
    bench.kind.reply = lambda request: "?" if "text 2.1" in str(request.messages) else worth(request)
    run = {"max_parse_retries": 1}
    with pytest.warns(DatafastWarning, match=r"1 recorded row stays as it was .*gave no usable answer.*--retry-failed"):
        report = bench.generate(bench.judge(at_least=5), run=run)
    assert (report.failed, report.calls, report.calls_missing) == (0, ROWS + 1, 0)
    assert "text 2.1" in {text[:8] for text in bench.kept}
    assert bench.generate(bench.judge(at_least=5), run=run).calls == 0
    bench.kind.reply = worth
    report = bench.generate(bench.judge(at_least=5), run=run, retry_failed=True)
    assert (report.calls, report.calls_missing) == (1, 0)
    assert all(text.endswith("5") for text in bench.kept)


@calls_may_be_missing
def test_an_outage_of_the_judge_leaves_rows_as_they_were(bench: Bench) -> None:
    bench.generate()
    before = bench.file
    bench.kind.reply = lambda request: ProviderError("down", kind=ErrorKind.SERVER, status=503)
    run = {"max_stall_s": 0.05, "retry_delay_s": 0.01, "max_retry_delay_s": 0.01}
    report = bench.generate(bench.judge(), run=run)
    assert (report.written, report.failed, report.calls_missing, bench.file) == (ROWS, 0, ROWS, before)
    assert report.stop_cause is StopCause.PROVIDER
    bench.kind.reply = worth
    assert bench.generate(bench.judge()).filtered > 0


def test_failed_items_are_judged_without_buying_what_failed(bench: Bench) -> None:
    short = json.dumps({"texts": ["text 1.0 worth 5"]})
    bench.writer.reply = lambda request: short if "topic 1" in str(request.messages) else writes(request)
    report = bench.generate()
    assert (report.failed, report.written) == (2, ROWS - 2)
    bought = bench.asked
    report = bench.generate(bench.judge())
    assert (report.failed, report.calls, bench.asked - bought) == (2, ROWS - 2, ROWS - 2)
    assert bench.generate(bench.judge()).calls == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_judges_comes_to_what_the_last_one_alone_keeps(bench: Bench, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    ordered = {"ordered": bool(seed % 2)}
    choices: list[list[Stage]] = [
        [],
        [bench.judge()],
        [bench.judge(bench.strict, at_least=2)],
        [bench.judge(at_least=2), bench.judge(bench.strict, at_least=2)],
        [KeepIfStage(expression="'worth 3' not in text"), bench.judge(at_least=2)],
    ]
    seen: dict[int, bytes] = {}
    bought = 0
    for turn in range(5):
        chosen = chance.randrange(len(choices))
        bought += bench.generate(*choices[chosen], run=ordered).calls
        assert seen.setdefault(chosen, bench.file) == bench.file
        assert bench.kept == fresh(tmp_path / f"alone {turn}", *choices[chosen])
    # each judge was asked once about each row at most
    assert bought <= TOPICS + 2 * ROWS


def test_more_items_and_lost_rows_go_together_with_missing_calls(bench: Bench) -> None:
    bench.generate(topics=4)
    lines = bench.file.splitlines(keepends=True)
    (bench.folder / "out.jsonl").write_bytes(b"".join(lines[:5]))
    report = bench.generate(bench.judge(), topics=TOPICS)
    assert report.calls == 2 + ROWS
    assert report.calls_missing == 0
    assert bench.kept == {text for text in bench.kept if int(text[-1]) >= 4}
    with closing(sqlite3.connect(bench.folder / "out.jsonl.ledger")) as database:
        assert database.execute("SELECT value FROM meta WHERE name = 'unasked'").fetchone()[0] == ""
