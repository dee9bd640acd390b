"""`num_rows`: exactly so many rows are there at the end, whatever replies, failures, kills and changes of the number do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.cli.main import cli
from datafast.engine.quotas import Quotas, largest_remainder
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.types import RunReport
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

PROMPTS = ["Write {num_samples} different texts in {language_name}: a {document_type} about {topic}."]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


@pytest.fixture
def provider(log: Path) -> CountingProvider:
    return CountingProvider("m", log=log)


def made(folder: Path, provider: Any, num_rows: int | None, *, options: Any = None, **fields: Any) -> RunReport:
    """A run of a small config with 24 rows in all, 4 a call."""
    given = {"topics": 3, "languages": {"en": "English", "fr": "French"}, "num_samples_per_prompt": 4, **fields}
    given["prompts"] = PROMPTS
    dataset = raw(folder, num_rows=num_rows, **given).generate([provider], **(options or {}))
    return assert_balanced(dataset.report)


def out(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder / "out.jsonl")


def stale(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("out.jsonl.stale-*")) for row in rows_of(path)]


def asked(log: Path) -> list[int]:
    """How many texts each request asked for."""
    return [int(prompt.split(" different")[0].split()[-1]) for _, prompt in requests_in(log)]


def within(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    by_uuid = {row["uuid"]: row for row in others}
    return all(by_uuid.get(row["uuid"]) == row for row in rows)


# -- a run


def test_the_last_call_asks_for_what_is_left(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    report = made(tmp_path, provider, 10)
    assert (report.requested, report.written, report.calls) == (10, 10, 3)
    assert sorted(asked(log)) == [2, 4, 4]


def test_providers_get_equal_shares(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=50, num_rows=31)
    dataset.generate([SimulatedProvider(name) for name in ("a", "b", "c")])
    assert assert_balanced(dataset.report).written == 31
    models = [row["model_id"] for row in out(tmp_path)]
    assert sorted(models.count(model) for model in set(models)) == [10, 10, 11]


@pytest.mark.parametrize("num_rows", [1, 7, 40, 1003])
@pytest.mark.parametrize("weights", [(3, 1), (1, 1, 1), (0.65, 0.35), (5, 3, 2, 0.123456)])
def test_shares_by_weight_are_exact(num_rows: int, weights: tuple[float, ...]) -> None:
    quotas = Quotas(weights, num_rows)
    counts = Counter(quotas.share_of(position) for position in range(num_rows))
    assert [counts[number] for number in range(len(weights))] == quotas.counts == largest_remainder(weights, num_rows)
    assert sum(quotas.counts) == num_rows
    assert all(abs(count - num_rows * w / sum(weights)) < 1 for count, w in zip(quotas.counts, weights, strict=True))


def test_equal_weights_take_turns_in_a_changing_order() -> None:
    shares = [Quotas((0.5, 0.5), 100).share_of(position) for position in range(100)]
    pairs = {tuple(shares[start : start + 2]) for start in range(0, 100, 2)}
    assert pairs == {(0, 1), (1, 0)}


def test_the_largest_remainder_gets_what_is_left() -> None:
    assert largest_remainder([2, 1], 7) == [5, 2]
    assert largest_remainder([1, 1, 1], 10) == [4, 3, 3]
    assert largest_remainder([0.1, 0.2, 0.7], 9) == [1, 2, 6]
    assert largest_remainder([47, 16, 15.8, 12, 6.1, 3.1], 10) == [5, 2, 1, 1, 1, 0]


def test_shares_by_weight_are_exact_after_a_stop_too_and_no_topic_has_one_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config: dict[str, Any] = {
        "kind": "raw",
        "output_file": "out.jsonl",
        "document_types": ["note"],
        "topics": ["a", "b", "c", "d"],
        "num_rows": 199,
        "num_samples_per_prompt": 2,
        "providers": [
            {"provider": "simulated", "model_id": model, "weight": weight} for model, weight in (("a", 3), ("b", 1))
        ],
        "run": {"fan_out": "split"},
    }
    Path("config.yaml").write_text(json.dumps({**config, "run": {"fan_out": "split", "max_calls": 33}}))
    assert CliRunner().invoke(cli, ["generate", "config.yaml"]).exit_code == 4
    Path("config.yaml").write_text(json.dumps(config))
    planned = json.loads(CliRunner().invoke(cli, ["plan", "config.yaml", "--json"]).stdout)
    assert CliRunner().invoke(cli, ["generate", "config.yaml"]).exit_code == 0
    models = Counter(row["model_id"] for row in out(tmp_path))
    assert list(models.values()) in ([150, 49], [49, 150], [149, 50], [50, 149])
    assert {entry["provider"]: entry["rows"] for entry in planned["rows_by_provider"]} == models
    pairs = Counter((row["model_id"], row["metadata"]["topic"]) for row in out(tmp_path))
    assert len(pairs) == 8


def test_more_rows_than_combinations_repeat_them(tmp_path: Path, provider: CountingProvider, log: Path) -> None:
    dataset = raw(tmp_path, topics=3, num_rows=8).generate([provider])
    assert assert_balanced(dataset.report).written == 8
    topics = [row["metadata"]["topic"] for row in out(tmp_path)]
    assert sorted(topics.count(topic) for topic in set(topics)) == [2, 3, 3]
    assert len(requests_in(log)) == 8


def test_a_reply_with_more_than_was_asked_for_writes_no_more(tmp_path: Path, log: Path) -> None:
    many = json.dumps({"texts": [f"text {number}" for number in range(9)]})
    assert made(tmp_path, CountingProvider("m", log=log, reply=lambda request: many), 10).written == 10


def short(request: Request) -> str | None:
    """One text fewer than asked for, where four are."""
    return json.dumps({"texts": ["x", "y", "z"]}) if "Write 4" in request.messages[-1]["content"] else None


def test_what_fails_is_missing_and_can_be_topped_up(tmp_path: Path, log: Path) -> None:
    report = made(tmp_path, CountingProvider("m", log=log, reply=short), 10)
    assert (report.requested, report.written, report.failed) == (10, 8, 2)
    report = made(tmp_path, CountingProvider("m", log=log), 10, options={"retry_failed": True})
    assert (report.written, report.failed, report.calls) == (10, 0, 2)


def test_top_up_asks_for_what_a_reply_lacks(tmp_path: Path, log: Path) -> None:
    report = made(tmp_path, CountingProvider("m", log=log, reply=short), 10, run={"top_up": True})
    assert (report.written, report.failed, report.calls) == (10, 0, 5)


def test_the_command_line_says_how_many_are_missing_with_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {
        "kind": "raw",
        "output_file": "out.jsonl",
        "document_types": ["note"],
        "topics": ["a", "b", "c"],
        "languages": {"en": "English", "fr": "French"},
        "num_rows": 500,
        "num_samples_per_prompt": 3,
        "providers": [{"provider": "simulated", "model_id": "m", "faults": {"short": 0.3}}, "simulated/n"],
    }
    Path("config.yaml").write_text(json.dumps(config))
    planned = json.loads(CliRunner().invoke(cli, ["plan", "config.yaml", "--json"]).stdout)
    assert (planned["rows"], planned["prompts"], planned["total_calls"]) == (500, 167, 167)
    assert [entry["rows"] for entry in planned["rows_by_provider"]] == [251, 249]
    assert planned["estimate"]["rows"] == 500
    result = CliRunner().invoke(cli, ["generate", "config.yaml", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 3
    assert report["requested"] == 500 == report["written"] + report["failed"]
    assert report["failed"] > 0
    status = json.loads(CliRunner().invoke(cli, ["status", "out.jsonl", "--json"]).stdout)
    assert (status["requested"], status["written"]) == (500, report["written"])
    failures = json.loads(CliRunner().invoke(cli, ["failures", "out.jsonl", "--json"]).stdout)
    assert all(item["values"]["topic"] in "abc" for item in failures["items"])  # found again in the draw
    assert failures["items"]


# -- another number


@pytest.mark.parametrize(("fewer", "more"), [(10, 11), (10, 12), (10, 13), (8, 9), (1, 24), (22, 47)])
def test_more_rows_keep_all_that_is_there(
    tmp_path: Path, provider: CountingProvider, log: Path, fewer: int, more: int
) -> None:
    made(tmp_path, provider, fewer)
    before = out(tmp_path)
    report = made(tmp_path, provider, more)
    assert report.written == more
    assert within(before, out(tmp_path))
    assert sum(asked(log)) == more  # nothing was asked for twice
    assert report.set_aside == []
    assert made(tmp_path, provider, more).calls == 0


@pytest.mark.parametrize(("more", "fewer"), [(13, 10), (12, 11), (12, 9), (24, 1), (10, 8)])
def test_fewer_rows_move_the_others_aside_and_they_come_back_for_nothing(
    tmp_path: Path, provider: CountingProvider, log: Path, more: int, fewer: int
) -> None:
    made(tmp_path, provider, more)
    before = out(tmp_path)
    report = made(tmp_path, provider, fewer)
    assert (report.requested, report.written, report.calls) == (fewer, fewer, 0)
    assert same_rows([*out(tmp_path), *stale(tmp_path)], before)
    assert len(report.set_aside) == 1
    assert made(tmp_path, provider, fewer).set_aside == []
    report = made(tmp_path, provider, more)
    assert (report.written, report.calls) == (more, 0)
    assert same_rows(out(tmp_path), before)


def test_a_number_for_an_output_without_one_keeps_the_rows_that_are_drawn(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    made(tmp_path, provider, None)
    everything = out(tmp_path)
    report = made(tmp_path, provider, 18)
    assert (report.written, report.calls) == (18, 0)
    assert within(out(tmp_path), everything)
    assert made(tmp_path, provider, 24).calls == 0
    assert same_rows(out(tmp_path), everything)
    report = made(tmp_path, provider, 30)
    assert (report.written, sum(asked(log))) == (30, 30)
    assert within(everything, out(tmp_path))


@settings(max_examples=25)
@given(
    numbers=st.lists(st.integers(1, 30), min_size=2, max_size=6),
    per_call=st.integers(1, 5),
    top_up=st.booleans(),
    lost=st.booleans(),
)
def test_whatever_the_number_was_before_nothing_is_bought_twice(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], per_call: int, top_up: bool, lost: bool
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    log = folder / "requests"
    provider = CountingProvider("m", log=log)
    fields: Any = {"num_samples_per_prompt": per_call, "run": {"top_up": top_up}}
    known: dict[str, dict[str, Any]] = {}
    for place, number in enumerate(numbers):
        report = made(folder, provider, number, **fields)
        assert (report.requested, report.written) == (number, number)
        rows = out(folder)
        assert all(known.setdefault(row["uuid"], row) == row for row in rows)
        assert sum(asked(log)) == max(numbers[: place + 1])
    if lost:  # the rows come again from the recorded replies, those of the last call too, which has asked several times
        before = out(folder)
        (folder / "out.jsonl").unlink()
        assert made(folder, provider, numbers[-1], **fields).calls == 0
        assert same_rows(out(folder), before)


def test_another_number_of_rows_a_call_uses_what_is_recorded(
    tmp_path: Path, provider: CountingProvider, log: Path
) -> None:
    texts: dict[int, set[str]] = {}
    for per_call, calls in ((3, 6), (2, 0), (5, 6), (4, 0), (5, 0)):
        report = made(tmp_path, provider, None, num_samples_per_prompt=per_call)
        assert (report.written, report.calls) == (6 * per_call, calls)
        texts[per_call] = {row["text"] for row in out(tmp_path)}
    assert asked(log) == [3] * 6 + [2] * 6
    assert texts[2] < texts[3] < texts[4] < texts[5]


def test_a_failed_last_item_is_taken_up_when_it_grows(tmp_path: Path, log: Path) -> None:
    def none_of_two(request: Request) -> str | None:
        return json.dumps({"texts": ["only one"]}) if "Write 2" in request.messages[-1]["content"] else None

    report = made(tmp_path, CountingProvider("m", log=log, reply=none_of_two), 10)
    assert (report.written, report.failed) == (9, 1)
    before = out(tmp_path)
    report = made(tmp_path, CountingProvider("m", log=log), 12)
    assert (report.written, report.failed, report.calls) == (12, 0, 1)
    assert sorted(asked(log)) == [2, 3, 4, 4]
    assert within(before, out(tmp_path))


def test_a_failed_item_that_is_cut_off_counts_what_it_still_lacks(tmp_path: Path, log: Path) -> None:
    def two_of_four(request: Request) -> str | None:
        return json.dumps({"texts": ["x", "y"]}) if "Write 4" in request.messages[-1]["content"] else None

    provider = CountingProvider("m", log=log, reply=two_of_four)
    assert made(tmp_path, provider, 4).failed == 2
    report = made(tmp_path, provider, 3)
    assert (report.requested, report.written, report.failed, report.calls) == (3, 2, 1, 0)
    report = made(tmp_path, provider, 2)
    assert (report.requested, report.written, report.failed, report.calls) == (2, 2, 0, 0)


@pytest.mark.parametrize(("more", "fewer"), [(13, 10), (12, 11), (13, 3)])
def test_rows_beyond_a_smaller_number_may_stay_in_the_file(
    tmp_path: Path, provider: CountingProvider, more: int, fewer: int
) -> None:
    fields: Any = {"topics": 3, "num_samples_per_prompt": 4, "prompts": PROMPTS, "run": {"removed": "keep"}}

    def report(number: int) -> RunReport:
        found = raw(tmp_path, num_rows=number, **fields).generate([provider]).report
        assert found is not None
        return found

    report(more)
    before = (tmp_path / "out.jsonl").read_bytes()
    for _ in range(2):
        now = report(fewer)
        assert (now.requested, now.written, now.removed, now.pending, now.calls) == (fewer, fewer, more - fewer, 0, 0)
        assert (tmp_path / "out.jsonl").read_bytes() == before
    now = report(more)
    assert (now.written, now.removed, now.calls) == (more, 0, 0)
    assert (tmp_path / "out.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "rows", "calls"), [(10, 11, 1, 1), (10, 13, 3, 2), (12, 9, 0, 0), (None, 27, 3, 1)]
)
def test_the_estimate_counts_what_another_number_leaves_to_do(
    tmp_path: Path, provider: CountingProvider, before: int | None, after: int, rows: int, calls: int
) -> None:
    made(tmp_path, provider, before)
    dataset = raw(
        tmp_path,
        topics=3,
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=4,
        prompts=PROMPTS,
        num_rows=after,
    )
    estimate = dataset.estimate([provider])
    assert (estimate.rows, estimate.items, estimate.calls) == (rows, calls, calls)
    assert dataset.generate([provider]).report.calls == calls


def test_filtered_rows_count_among_those_that_are_asked_for(tmp_path: Path, log: Path) -> None:
    texts = json.dumps({"texts": ["short", "one that is long", "short too", "another that is long"]})
    provider = CountingProvider("m", log=log, reply=lambda request: texts)
    stages: Any = [{"stage": "length", "min_words": 3}]
    report = made(tmp_path, provider, 8, quality=stages)
    assert (report.requested, report.written, report.filtered) == (8, 4, 4)
    report = made(tmp_path, provider, 6, quality=stages)
    assert (report.requested, report.written, report.filtered, report.calls) == (6, 3, 3, 0)
    report = made(tmp_path, provider, 8, quality=stages)
    assert (report.requested, report.written, report.filtered, report.calls) == (8, 4, 4, 0)


def test_pairs_of_an_item_that_grows_keep_their_answers(tmp_path: Path, log: Path) -> None:
    provider = roles(CountingProvider("m", log=log))
    preference(tmp_path, num_rows=3).generate(provider)
    before = out(tmp_path)
    assert (len(before), len(requests_in(log))) == (3, 2 + 3 * 4)
    dataset = preference(tmp_path, num_rows=5).generate(provider)
    assert assert_balanced(dataset.report).written == 5
    assert within(before, out(tmp_path))
    assert len(requests_in(log)) == 4 + 5 * 4


# -- kills


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.parametrize("numbers", [(10, 13), (13, 10)])
@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("datafast.store.ledger:Ledger.resize", "after"),
        ("datafast.store.matching:_note", "after"),
        ("datafast.store.recovery:match", "after"),
        ("datafast.store.compaction:_divide", "after"),
        ("datafast.store.ledger:Ledger.replace_appends", "after"),
        ("datafast.store.compaction:finish_rewrite", "before"),
        ("datafast.store.append_file:AppendFile.append", "half"),
        ("datafast.store.append_file:AppendFile.append", "after"),
        ("datafast.store.appends:AppendTable.put", "after"),
        ("datafast.store.writer:Store.close", "before"),
    ],
)
def test_a_kill_while_the_number_changes_leaves_exactly_that_number_in_the_end(
    tmp_path: Path, server: ForkServer, numbers: tuple[int, int], point: str, when: str
) -> None:
    log = tmp_path / "requests"
    fields: dict[str, Any] = {"topics": 6, "num_samples_per_prompt": 4, "run": {"max_concurrency": 4}}
    provider = CountingProvider("m", log=log)
    raw(tmp_path, num_rows=numbers[0], **fields).generate([provider])
    before = out(tmp_path)
    code = server.run(
        "tests.support:crashing_run",
        folder=str(tmp_path),
        log=str(log),
        point=point,
        when=when,
        num_rows=numbers[1],
        **fields,
    )
    assert code in (0, 9)
    dataset = raw(tmp_path, num_rows=numbers[1], **fields).generate([provider])
    assert assert_balanced(dataset.report).written == numbers[1]
    assert within(before[:0] if numbers[0] > numbers[1] else before, out(tmp_path))
    uncut = raw(tmp_path / "uncut", num_rows=numbers[1], **fields).generate([SimulatedProvider("m")])
    assert {row["uuid"] for row in out(tmp_path)} == {row["uuid"] for row in rows_of(uncut.config.output_file)}
