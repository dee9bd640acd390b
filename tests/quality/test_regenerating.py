"""`regenerate`: a dropped row is made again; the first generation that passes is in the file, whatever stages there were in between."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms.base import Request
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, change, drop
from datafast.quality.judge import JudgeStage
from datafast.schema.config import PreferenceDatasetConfig
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")

TOPICS, EACH = 4, 3
LETTERS = "abcdef"


class Ends(Stage):
    """Drops texts that end in one of these letters."""

    stage: Literal["ends"] = "ends"
    drops: str = ""
    word: str = "an"

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return drop(f"{self.word} {row.text[-1]}") if row.text[-1] in self.drops else KEEP


class Upper(Stage):
    """Writes texts that end in one of these letters in capital letters."""

    stage: Literal["upper"] = "upper"
    letters: str = ""

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return change(text=row.text.upper()) if row.text[-1] in self.letters else KEEP


class Writer:
    """Writes texts with a letter at the end: the n-th text about a topic always has the same one, whoever asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked: dict[int, list[int]] = defaultdict(list)

    def __call__(self, request: Request) -> str:
        prompt = request.messages[-1]["content"]
        number = int(prompt.split("topic ")[-1].split(".")[0])
        count = int(prompt.split("exactly ")[1].split(".")[0])
        with self._lock:
            first = sum(self.asked[number])
            self.asked[number].append(count)
        texts = [f"text {number}.{n} {letter_of(number, n)}" for n in range(first, first + count)]
        return json.dumps({"texts": texts})


def letter_of(topic: int, place: int) -> str:
    return random.Random(f"{topic} {place}").choice(LETTERS)


def generate(
    folder: Path,
    stages: Sequence[Stage],
    times: int,
    writer: Writer | None = None,
    *,
    topics: int = TOPICS,
    **options: Any,
) -> Any:
    run = {"max_concurrency": 2, **options.pop("run", {})}
    more = {"tell_why_dropped": True} if options.pop("tell", False) else {}
    fields: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": EACH, "run": run, **more}
    dataset: RawDataset = raw(folder, quality=list(stages), regenerate=times, **fields)
    dataset.generate([CountingProvider("m", log=folder / "requests", reply=writer or Writer())], **options)
    return assert_balanced(dataset.report)


def output(folder: Path) -> bytes:
    return (folder / "out.jsonl").read_bytes()


def ends(folder: Path) -> list[str]:
    return [row["text"][-1] for row in rows_of(folder / "out.jsonl")]


def recorded(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        return database.execute(query).fetchall()


def test_a_dropped_row_is_made_again_until_one_passes(tmp_path: Path) -> None:
    plain = generate(tmp_path / "plain", [], 0)
    writer = Writer()
    report = generate(tmp_path, [Ends(drops="abc")], 50, writer)
    assert (report.written, report.filtered, report.failed) == (TOPICS * EACH, 0, 0)
    assert set(ends(tmp_path)) <= set("def")
    assert plain.written == report.written
    uuids = {row["uuid"] for row in rows_of(tmp_path / "plain" / "out.jsonl")}
    assert {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")} == uuids


def test_only_as_many_rows_as_were_dropped_are_asked_for(tmp_path: Path) -> None:
    writer = Writer()
    generate(tmp_path, [Ends(drops="abc")], 50, writer)
    for topic, asked in writer.asked.items():
        place, left, expected = 0, EACH, []
        while left:
            expected.append(left)
            passed = sum(letter_of(topic, n) in "def" for n in range(place, place + left))
            place, left = place + left, left - passed
        assert asked == expected


def test_a_row_is_made_again_no_more_often_than_asked(tmp_path: Path) -> None:
    writer = Writer()
    report = generate(tmp_path, [Ends(drops=LETTERS)], 2, writer)
    assert (report.written, report.filtered) == (0, TOPICS * EACH)
    assert all(asked == [EACH] * 3 for asked in writer.asked.values())
    found = recorded(tmp_path, "SELECT item, number, generation, hidden FROM filtered ORDER BY 1, 2, 3")
    assert [(generation, hidden) for *_, generation, hidden in found] == [(0, 1), (1, 1), (2, 0)] * (TOPICS * EACH)
    again = generate(tmp_path, [Ends(drops=LETTERS)], 2, writer)
    assert (again.calls, again.filtered) == (0, TOPICS * EACH)


def test_statistics_and_status_count_a_row_once(tmp_path: Path) -> None:
    report = generate(tmp_path, [Ends(drops="abc")], 1)
    assert 0 < report.filtered < TOPICS * EACH
    found = raw(tmp_path, topics=TOPICS, num_samples_per_prompt=EACH).statistics()
    assert (found.written, found.total.filtered) == (report.written, report.filtered)
    status = json.loads(CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl"), "--json"]).output)
    assert (status["written"], status["filtered"]) == (report.written, report.filtered)
    assert sum(status["filtered_by_stage"]["ends"].values()) == report.filtered


def test_dropped_rows_are_listed_with_uuid_and_generation(tmp_path: Path) -> None:
    generate(tmp_path, [Ends(drops="abc")], 1)
    told = CliRunner().invoke(cli, ["dropped", str(tmp_path / "out.jsonl"), "--json"])
    found = json.loads(told.output)
    assert len({(row["uuid"], row["generation"]) for row in found["rows"]}) == len(found["rows"])
    assert {row["generation"] for row in found["rows"]} == {0, 1}
    assert all(row["uuid"] == row["row"]["uuid"] for row in found["rows"])
    assert found["filtered"] == sum(row["generation"] == 1 for row in found["rows"])


def test_another_setting_shows_the_first_generation_that_passes_now_and_back_again(tmp_path: Path) -> None:
    writer = Writer()
    generate(tmp_path, [], 2, writer)
    plain = output(tmp_path)
    generate(tmp_path, [Ends(drops="abc")], 2, writer)
    strict, calls = output(tmp_path), len(requests_in(tmp_path / "requests"))
    assert strict != plain
    for times, stages in (
        (2, []),
        (0, []),
        (0, [Ends(drops="abc")]),
        (1, [Ends(drops="a")]),
        (2, [Upper(letters="abc")]),
    ):
        generate(tmp_path, stages, times, writer, decide_only=True)
        generate(tmp_path, [Ends(drops="abc")], 2, writer)
        assert output(tmp_path) == strict
        generate(tmp_path, [], 2, writer)
        assert output(tmp_path) == plain
    assert len(requests_in(tmp_path / "requests")) == calls


def test_more_generations_are_bought_only_where_none_passes(tmp_path: Path) -> None:
    writer = Writer()
    first = generate(tmp_path, [Ends(drops="abcd")], 1, writer)
    assert first.filtered
    asked = {topic: len(counts) for topic, counts in writer.asked.items()}
    report = generate(tmp_path, [Ends(drops="abcd")], 50, writer)
    assert (report.written, report.filtered) == (TOPICS * EACH, 0)
    missing = {row["uuid"] for row in rows_of(tmp_path / "out.jsonl")}
    assert len(missing) == TOPICS * EACH
    assert all(
        counts[asked[topic] :] == sorted(counts[asked[topic] :], reverse=True) for topic, counts in writer.asked.items()
    )
    assert generate(tmp_path, [Ends(drops="abcd")], 50, writer).calls == 0


def test_fewer_generations_leave_those_out_that_are_more(tmp_path: Path) -> None:
    writer = Writer()
    generate(tmp_path, [Ends(drops="abcd")], 5, writer)
    many = output(tmp_path)
    alone = generate(tmp_path / "alone", [Ends(drops="abcd")], 1)
    report = generate(tmp_path, [Ends(drops="abcd")], 1, writer)
    assert (report.written, report.filtered, report.calls) == (alone.written, alone.filtered, 0)
    generate(tmp_path, [Ends(drops="abcd")], 5, writer)
    assert output(tmp_path) == many


def test_lost_rows_are_rebuilt_from_recorded_replies(tmp_path: Path) -> None:
    writer = Writer()
    generate(tmp_path, [Ends(drops="abc")], 3, writer)
    before = {row["uuid"]: row for row in rows_of(tmp_path / "out.jsonl")}
    for damage in (lambda data: b"", lambda data: data[: len(data) // 2]):
        (tmp_path / "out.jsonl").write_bytes(damage(output(tmp_path)))
        report = generate(tmp_path, [Ends(drops="abc")], 3, writer)
        assert report.calls == 0
        assert {row["uuid"]: row for row in rows_of(tmp_path / "out.jsonl")} == before


class Failing(Writer):
    """Fails when fewer rows are asked for than at first."""

    fails = True

    def __call__(self, request: Request) -> str:
        if self.fails and f"exactly {EACH}." not in request.messages[-1]["content"]:
            return "no texts"
        return super().__call__(request)


def test_where_the_replacement_fails_the_row_has_failed_and_is_tried_again_on_request(tmp_path: Path) -> None:
    writer = Failing()
    report = generate(tmp_path, [Ends(drops="abc")], 50, writer)
    assert report.failed > 0
    assert report.written + report.failed == TOPICS * EACH
    assert generate(tmp_path, [Ends(drops="abc")], 50, writer).calls == 0
    passing = generate(tmp_path, [], 50, writer)
    assert (passing.written, passing.failed) == (TOPICS * EACH, 0)
    failed = generate(tmp_path, [Ends(drops="abc")], 50, writer)
    writer.fails = False
    report = generate(tmp_path, [Ends(drops="abc")], 50, writer, retry_failed=True)
    assert (report.written, report.failed, report.filtered) == (TOPICS * EACH, 0, 0)
    assert failed.failed > 0 or failed.pending > 0 or failed.written


def test_a_run_with_a_limit_makes_the_dropped_rows_of_its_items_again(tmp_path: Path) -> None:
    report = generate(tmp_path, [Ends(drops="abc")], 50, limit=2)
    assert (report.written, report.pending) == (2 * EACH, (TOPICS - 2) * EACH)


chosen = st.lists(
    st.one_of(
        st.builds(Ends, drops=st.text(LETTERS, max_size=4)), st.builds(Upper, letters=st.text(LETTERS, max_size=2))
    ),
    max_size=2,
)


@settings(max_examples=15, deadline=None)
@given(
    sequence=st.lists(st.tuples(chosen, st.integers(0, 3)), min_size=2, max_size=5),
    ordered=st.booleans(),
)
def test_any_sequence_of_stages_shows_the_first_of_the_recorded_generations_that_passes(
    sequence: list[tuple[list[Stage], int]], ordered: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, writer = Path(name), Writer()
        seen: dict[str, bytes] = {}
        for stages, times in [*sequence, *sequence]:
            before = generations(folder)
            report = generate(folder, stages, times, writer, run={"ordered": ordered})
            after = generations(folder)
            rows = {row["uuid"]: row["text"] for row in rows_of(folder / "out.jsonl")}
            for uuid, texts in after.items():
                passing = (made for text in texts[: times + 1] if (made := said(stages, text)) is not None)
                assert rows.get(uuid) == next(passing, None)
                new = texts[len(before.get(uuid, [])) :]
                assert all(said(stages, text) is None for text in texts[:-1]) or len(new) <= (uuid not in before)
                assert len(texts) <= max(times + 1, len(before.get(uuid, [])))
            assert report.pending == 0
            seen[repr((stages, times))] = output(folder)
        calls = len(requests_in(folder / "requests"))
        for stages, times in sequence:
            generate(folder, stages, times, writer, run={"ordered": ordered})
            assert output(folder) == seen[repr((stages, times))]
        assert len(requests_in(folder / "requests")) == calls


def said(stages: Sequence[Stage], text: str) -> str | None:
    for stage in stages:
        if isinstance(stage, Upper) and text[-1] in stage.letters:
            text = text.upper()
        if isinstance(stage, Ends) and text[-1] in stage.drops:
            return None
    return text


def generations(folder: Path) -> dict[str, list[str]]:
    """All generations of each row as they were made, in their order."""
    if not (folder / "out.jsonl.ledger").exists():
        return {}
    original = {
        (item, number, generation): json.loads(row)
        for item, number, generation, row in recorded(folder, "SELECT item, number, generation, original FROM changed")
    }
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for item, number, generation, row in recorded(folder, "SELECT item, number, generation, row FROM filtered"):
        made = original.get((item, number, generation)) or json.loads(row)
        found[made["uuid"]][generation] = made["text"]
    by_uuid = {(row["uuid"], generation): row["text"] for (_, _, generation), row in original.items()}
    for row in rows_of(folder / "out.jsonl"):
        uuid = row["uuid"]
        shown = next(n for n in range(1000) if n not in found[uuid])
        found[uuid][shown] = by_uuid.get((uuid, shown), row["text"])
    return {uuid: [texts[n] for n in range(len(texts))] for uuid, texts in found.items()}


# -- what a model is told


def test_a_model_is_told_why_what_it_wrote_was_dropped(tmp_path: Path) -> None:
    generate(tmp_path, [Ends(drops="abc")], 50, tell=True)
    prompts = [prompt for _, prompt in requests_in(tmp_path / "requests")]
    told = [prompt for prompt in prompts if "was not taken" in prompt]
    assert len(told) == len(prompts) - TOPICS > 0
    assert all("for this reason: an " in prompt for prompt in told)


def test_what_it_was_told_stays_so_that_its_replies_are_found_whatever_stages_say_now(tmp_path: Path) -> None:
    generate(tmp_path, [Ends(drops="abc")], 50, tell=True)
    before = {row["uuid"]: row for row in rows_of(tmp_path / "out.jsonl")}
    (tmp_path / "out.jsonl").unlink()
    report = generate(tmp_path, [Ends(drops="abc", word="it ends in an")], 50, tell=True)
    assert report.calls == 0
    assert {row["uuid"]: row for row in rows_of(tmp_path / "out.jsonl")} == before


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "No dropped row is made again"),
        ({"regenerate": 1, "questions": ["Why?"]}, "With questions, nobody is asked"),
    ],
)
def test_what_nobody_could_be_told_is_refused(fields: dict[str, Any], error: str) -> None:
    documents = {} if "questions" in fields else {"input_documents": ["a"]}
    with pytest.raises(ValidationError, match=error):
        PreferenceDatasetConfig(**documents, **fields, tell_why_dropped=True)


# -- stages that ask models


def judged(
    folder: Path,
    writer: Writer,
    times: int,
    *,
    rubric: str = "Is it good?",
    keep: str = "score >= 4",
    topics: int = TOPICS,
    run: dict[str, Any] | None = None,
) -> Any:
    def score(request: Request) -> str:
        found = request.messages[-1]["content"]
        letter = next(letter for letter in LETTERS if f" {letter}" in found.split("text ")[-1][:12])
        return json.dumps({"reason": "so", "score": 5 if letter in "def" else 1})

    judge = CountingProvider("judge", log=folder / "judged", reply=score)
    stage = JudgeStage(providers=[judge], rubric=rubric, keep_if=keep)
    fields: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": EACH, "run": run or {}}
    dataset: RawDataset = raw(folder, quality=[stage], regenerate=times, **fields)
    dataset.generate([CountingProvider("m", log=folder / "requests", reply=writer)])
    return assert_balanced(dataset.report)


def test_rows_that_judges_drop_are_made_again_and_another_judge_is_asked_about_what_it_decides(tmp_path: Path) -> None:
    writer = Writer()
    report = judged(tmp_path, writer, 50)
    assert (report.written, report.pending) == (TOPICS * EACH, 0)
    strict = output(tmp_path)
    calls = len(requests_in(tmp_path / "requests")), len(requests_in(tmp_path / "judged"))
    judged(tmp_path, writer, 50, keep="score >= 1")
    judged(tmp_path, writer, 50)
    assert output(tmp_path) == strict
    assert calls == (len(requests_in(tmp_path / "requests")), len(requests_in(tmp_path / "judged")))
    other = judged(tmp_path, writer, 50, rubric="Is it better?")
    assert (other.written, other.pending) == (TOPICS * EACH, 0)
    assert output(tmp_path) == strict
    assert len(requests_in(tmp_path / "requests")) == calls[0]
    assert len(requests_in(tmp_path / "judged")) == 2 * calls[1]


@pytest.mark.parametrize("times", [1, 50])
def test_a_judge_is_asked_in_the_same_run_about_generations_that_count_only_where_it_drops_others(
    tmp_path: Path, times: int
) -> None:
    writer = Writer()
    generate(tmp_path, [Ends(drops="abcde")], times, writer)  # makes generations
    generate(tmp_path, [], 0, writer)  # of which the first ones count
    report = judged(tmp_path, writer, times)
    assert (report.pending, report.calls_missing) == (0, 0)
    shown = output(tmp_path)
    again = judged(tmp_path, writer, times)
    assert (again.calls, again.calls_missing, output(tmp_path)) == (0, 0, shown)
    assert set(ends(tmp_path)) <= set("def")


@pytest.mark.parametrize("asked", range(1, EACH))
@pytest.mark.filterwarnings("ignore:quality. .* calls? of stages (is|are) missing")
def test_a_judge_that_was_asked_about_some_rows_of_a_prompt_is_asked_about_the_others(
    tmp_path: Path, asked: int
) -> None:
    writer = Writer()
    generate(tmp_path, [], 0, writer, topics=1)
    with pytest.raises(RunStopped):
        judged(tmp_path, writer, 1, topics=1, run={"max_calls": 1 + asked, "max_concurrency": 1})
    report = judged(tmp_path, writer, 1, topics=1)
    assert (report.pending, report.calls_missing) == (0, 0)
    shown = output(tmp_path)
    assert judged(tmp_path, writer, 1, topics=1).calls == 0
    assert output(tmp_path) == shown


def test_where_the_judge_does_not_answer_no_further_round_is_begun(tmp_path: Path) -> None:
    writer = Writer()
    generate(tmp_path, [Ends(drops="abcde")], 3, writer)
    generate(tmp_path, [], 0, writer)
    judge = CountingProvider("judge", log=tmp_path / "judged", reply=lambda request: "?")
    stage = JudgeStage(providers=[judge], keep_if="score >= 4")
    with pytest.warns(DatafastWarning, match="gave no usable answer"):
        report = generate(tmp_path, [stage], 3, writer, run={"max_parse_retries": 0})
    assert (report.written, report.calls, report.calls_missing) == (TOPICS * EACH, TOPICS * EACH, 0)


# -- rows that are compared with each other


def compared(folder: Path, times: int, *, topics: int = TOPICS, latency_s: float = 0.0, **fields: Any) -> Any:
    """Every text about any topic begins alike, so that only the letter at its end tells it from others."""
    asked: dict[str, int] = defaultdict(int)
    lock = threading.Lock()

    def reply(request: Request) -> str:
        prompt = request.messages[-1]["content"]
        count = int(prompt.split("exactly ")[1].split(".")[0])
        with lock:
            first = asked[prompt.split("topic ")[1]]
            asked[prompt.split("topic ")[1]] += count
        return json.dumps({"texts": [f"text {LETTERS[(first + n) % 6]}" for n in range(count)]})

    provider = CountingProvider("m", log=folder / "requests", reply=reply, latency_s=latency_s, latency_jitter_s=0.003)
    settings: dict[str, Any] = {"topics": topics, "num_samples_per_prompt": 2, "regenerate": times, **fields}
    quality = settings.pop("quality", [{"stage": "exact_duplicates"}])
    limit = settings.pop("limit", None)
    dataset: RawDataset = raw(folder, quality=quality, **settings)
    dataset.generate([provider], limit=limit)
    return assert_balanced(dataset.report)


def test_duplicates_are_made_again_in_the_same_run_until_none_is_left(tmp_path: Path) -> None:
    report = compared(tmp_path, 20, topics=3)
    assert (report.written, report.filtered, report.pending) == (6, 0, 0)
    assert sorted(ends(tmp_path)) == list(LETTERS)
    assert compared(tmp_path, 20, topics=3).calls == 0


def test_what_cannot_be_told_apart_is_filtered_after_the_last_try(tmp_path: Path) -> None:
    report = compared(tmp_path, 3, topics=5)
    assert (report.written, report.filtered, report.pending) == (6, 4, 0)
    before = output(tmp_path)
    again = compared(tmp_path, 3, topics=5)
    assert (again.calls, again.changed_again, again.dropped_at_end) == (0, 0, 0)
    assert output(tmp_path) == before
    free = compared(tmp_path, 3, topics=5, quality=[])
    assert (free.calls, free.written) == (0, 10)
    assert compared(tmp_path, 3, topics=5).calls == 0
    assert output(tmp_path) == before


def test_ordered_rows_stay_in_order_when_some_are_made_again(tmp_path: Path) -> None:
    compared(tmp_path, 20, topics=3, run={"ordered": True})
    topics = [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")]
    assert topics == sorted(topics)
    assert len(topics) == 6


def test_what_a_target_has_no_room_for_is_not_made_again(tmp_path: Path) -> None:
    report = compared(tmp_path, 3, topics=3, target_rows=4, quality=[])
    assert report.written == 4
    assert all(count == 0 for (count,) in recorded(tmp_path, "SELECT generation FROM filtered"))


def test_rows_that_others_push_out_are_made_again_once_all_rows_are_there(tmp_path: Path) -> None:
    first = compared(tmp_path, 20, topics=3, limit=2)
    assert (first.filtered, first.pending) == (2, 2)
    assert len(requests_in(tmp_path / "requests")) == 2
    whole = compared(tmp_path, 20, topics=3)
    assert (whole.written, whole.filtered, whole.pending) == (6, 0, 0)
    assert sorted(ends(tmp_path)) == list(LETTERS)
