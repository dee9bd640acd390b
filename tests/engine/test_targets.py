"""`target_rows`: so many accepted rows of each stratum are there at the end, and the same ones whatever replies, kills and rounds do."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from datafast.cli.main import cli
from datafast.datasets import ClassificationDataset, ConversationDataset, RawDataset
from datafast.engine.acceptance import surplus_allowed
from datafast.engine.events import RoundStarted, RunEnded, RunStarted
from datafast.errors import ConfigError, DatafastWarning, RunStopped
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import (
    ClassificationDatasetConfig,
    ConversationDatasetConfig,
    PromptExpansionConfig,
    RawDatasetConfig,
)
from datafast.types import RunReport, StopCause
from tests.support import CountingProvider, ForkServer, assert_balanced, fork_server, raw, requests_in, rows_of

LANGUAGES = {"en": "English", "fr": "French", "de": "German", "it": "Italian"}
SHARES = {"en": 0.2, "fr": 0.4, "de": 0.6, "it": 0.9}
CONCURRENCY = 4


def chance(row: dict[str, Any], seed: int = 0) -> float:
    """A number between 0 and 1 that depends on which row it is alone."""
    return int.from_bytes(blake2b(f"{seed} {row['uuid']}".encode(), digest_size=6).digest()) / 2**48


def accepting(shares: dict[str, float], seed: int = 0) -> dict[str, Any]:
    """A stage that keeps such a share of the rows of each language."""
    return {"stage": "check", "function": lambda row: chance(row, seed) < shares.get(row["language"], 1.0)}


def dataset(folder: Path, target: Any, **fields: Any) -> RawDataset:
    folder.mkdir(exist_ok=True)
    run = {"max_concurrency": CONCURRENCY, **fields.pop("run", {})}
    given = {"topics": 5, "languages": LANGUAGES, "quality": [accepting(SHARES)], **fields}
    return raw(folder, target_rows=target, run=run, **given)


def made(folder: Path, target: Any, *providers: Any, options: Any = None, **fields: Any) -> RunReport:
    own = dataset(folder, target, **fields)
    with_counts = providers or [CountingProvider("m", log=folder / "requests")]
    try:
        own.generate(with_counts, **(options or {}))
    except RunStopped as stopped:
        return assert_balanced(stopped.report)
    return assert_balanced(own.report)


def out(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder / "out.jsonl")


def by_language(folder: Path) -> Counter[str]:
    return Counter(row["language"] for row in out(folder))


# -- targets are met


@pytest.mark.parametrize("stage", ["exact_duplicates", "near_duplicates"])
def test_a_simulated_model_gives_further_draws_of_a_prompt_other_texts(tmp_path: Path, stage: str) -> None:
    fields: Any = {"topics": 1, "languages": {"en": "English"}, "quality": [{"stage": stage}]}
    report = made(tmp_path, 60, SimulatedProvider(), **fields)
    assert report.written == 60
    assert not report.given_up


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows_per_call", [1, 4])
def test_targets_are_met_exactly_with_hardly_any_surplus(tmp_path: Path, seed: int, rows_per_call: int) -> None:
    each = 60
    fields: Any = {"quality": [accepting(SHARES, seed)], "num_samples_per_prompt": rows_per_call}
    report = made(tmp_path, {"by": "language", "each": each}, **fields)
    assert by_language(tmp_path) == dict.fromkeys(LANGUAGES, each)
    assert (report.pending, report.failed, report.written) == (0, 0, 4 * each)
    surplus = report.filtered_by_stage.get("surplus", {}).get("its target is reached", 0)
    assert surplus <= 4 * surplus_allowed(each) + CONCURRENCY * rows_per_call
    for count in report.targets:
        share = SHARES[count.values["language"]]
        assert count.acceptance == pytest.approx(share, abs=0.2)
        assert count.drawn <= (each + surplus_allowed(each) + CONCURRENCY * rows_per_call) / (share * 0.6)


def test_a_number_in_all_is_met_without_any_stage_and_for_as_many_calls_as_num_rows_makes(tmp_path: Path) -> None:
    report = made(tmp_path, 157, quality=[], num_samples_per_prompt=5)
    assert (report.written, report.filtered, report.requested) == (157, 0, 157)
    assert report.calls == 32  # the last one asks for two
    raw(tmp_path / "num", topics=5, languages=LANGUAGES, num_samples_per_prompt=5, num_rows=157).generate(
        [SimulatedProvider("m")]
    )
    assert {row["uuid"] for row in out(tmp_path / "num")} == {row["uuid"] for row in out(tmp_path)}


def test_several_fields_and_numbers_of_their_own(tmp_path: Path) -> None:
    made(tmp_path, {"by": ["language", "topic"], "rows": {"en": {"topic 1": 7}, "fr": {"topic 1": 2, "topic 2": 3}}})
    found = Counter((row["language"], row["metadata"]["topic"]) for row in out(tmp_path))
    assert found == {("en", "topic 1"): 7, ("fr", "topic 1"): 2, ("fr", "topic 2"): 3}


def test_labels_and_placeholders_are_strata(tmp_path: Path) -> None:
    classes: Any = [{"name": name, "description": f"is {name}"} for name in ("good", "bad")]
    own = ClassificationDataset(
        ClassificationDatasetConfig(
            classes=classes,
            prompts=[
                f"{word} {{num_samples}} {{language_name}} {{label_name}} {{label_description}} <<tone>>"
                for word in ("Write", "Give")
            ],
            expansion=PromptExpansionConfig(placeholders={"tone": ["curt", "kind"]}),
            num_samples_per_prompt=3,
            output_file=tmp_path / "out.jsonl",
            target_rows={"by": ["label", "tone"], "each": 10},
        )
    ).generate([SimulatedProvider("m")])
    assert assert_balanced(own.report).written == 40
    found = Counter((row["label"], row["metadata"]["tone"]) for row in out(tmp_path))
    assert found == dict.fromkeys(itertools.product(["good", "bad"], ["curt", "kind"]), 10)


def test_providers_share_each_stratum(tmp_path: Path) -> None:
    providers = [CountingProvider(name, log=tmp_path / "requests") for name in ("one", "two")]
    made(tmp_path, {"by": "language", "each": 40}, *providers, quality=[])
    assert by_language(tmp_path) == dict.fromkeys(LANGUAGES, 40)
    assert Counter((row["language"], row["model_id"]) for row in out(tmp_path)) == dict.fromkeys(
        itertools.product(LANGUAGES, ["simulated/one", "simulated/two"]), 20
    )


@pytest.mark.parametrize("run", [{"ordered": True}, {"fan_out": "split"}, {"fan_out": "fallback"}, {"top_up": True}])
def test_targets_are_met_however_it_is_run(tmp_path: Path, run: dict[str, Any]) -> None:
    providers = [CountingProvider(name, log=tmp_path / "requests") for name in ("one", "two")]
    target = {"by": ["language", "topic"], "each": 3}
    made(tmp_path, target, *providers, run=run, num_samples_per_prompt=2)
    assert Counter((row["language"], row["metadata"]["topic"]) for row in out(tmp_path)) == dict.fromkeys(
        itertools.product(LANGUAGES, [f"topic {number}" for number in range(5)]), 3
    )
    assert made(tmp_path, target, *providers, run=run, num_samples_per_prompt=2).calls == 0


def test_conversations_go_on_with_their_topics_in_each_stratum(tmp_path: Path) -> None:
    own = ConversationDataset(
        ConversationDatasetConfig(
            topics=["cranes", "docks", "tides"],
            languages={"en": "English", "fr": "French"},
            quality=[{"stage": "keep_if", "expression": "uuid[0] in '0123456789'"}],
            target_rows={"by": "language", "rows": {"en": 12, "fr": 9}},
            output_file=tmp_path / "out.jsonl",
        )
    ).generate([SimulatedProvider("one"), SimulatedProvider("two")])
    assert assert_balanced(own.report).written == 21
    assert by_language(tmp_path) == {"en": 12, "fr": 9}
    asked = Counter((row["language"], row["metadata"]["topic"]) for row in out(tmp_path))
    assert len(asked) == 6
    with pytest.raises(ConfigError, match=r"They can by language\."):
        ConversationDataset(
            ConversationDatasetConfig(
                topics=["cranes"], target_rows={"by": "topic", "each": 3}, output_file=tmp_path / "other.jsonl"
            )
        ).generate([SimulatedProvider("one")])


# -- one run over all rounds


def test_a_run_has_one_start_and_one_end_and_counts_what_is_lacking_as_pending(tmp_path: Path) -> None:
    events: list[Any] = []
    report = made(tmp_path, {"by": "language", "each": 30}, options={"on_event": events.append})
    told = [event for event in events if isinstance(event, RunStarted | RoundStarted | RunEnded)]
    assert [type(event) for event in told[:2] + told[-1:]] == [RunStarted, RoundStarted, RunEnded]
    assert sum(not isinstance(event, RoundStarted) for event in told) == 2
    assert (told[0].target, told[0].requested) == (120, 120)
    for event in told[1:-1]:
        assert event.requested - event.written - event.filtered - event.failed >= 120 - event.written
    assert told[-1].report == report
    assert report.calls == report.requested == len(requests_in(tmp_path / "requests"))


def test_a_reached_target_makes_no_call_and_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    made(tmp_path, {"by": "language", "each": 20})
    before = (tmp_path / "out.jsonl").stat()
    again = made(tmp_path, {"by": "language", "each": 20})
    after = (tmp_path / "out.jsonl").stat()
    assert (again.calls, again.replayed, again.written) == (0, 0, 80)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


# -- changed targets


def bought(folder: Path) -> list[str]:
    return [prompt for _, prompt in requests_in(folder / "requests")]


def test_a_higher_target_brings_surplus_back_first_and_a_lower_one_filters_the_last(tmp_path: Path) -> None:
    first = made(tmp_path, {"by": "language", "each": 40})
    rows = out(tmp_path)
    surplus = first.filtered_by_stage["surplus"]["its target is reached"]
    more = made(tmp_path, {"by": "language", "each": 44})
    assert by_language(tmp_path) == dict.fromkeys(LANGUAGES, 44)
    assert {row["uuid"] for row in rows} < {row["uuid"] for row in out(tmp_path)}
    assert more.returned > 0
    assert more.calls < 16 / 0.1
    calls = len(bought(tmp_path))
    fewer = made(tmp_path, {"by": "language", "each": 40})
    assert fewer.calls == 0
    assert sorted(out(tmp_path), key=str) == sorted(rows, key=str)
    assert fewer.filtered_by_stage["surplus"]["its target is reached"] >= max(16, surplus)
    assert len(bought(tmp_path)) == calls


def test_a_further_stratum_leaves_the_others_alone(tmp_path: Path) -> None:
    made(tmp_path, {"by": "language", "rows": {"en": 15, "it": 15}})
    before = out(tmp_path)
    report = made(tmp_path, {"by": "language", "rows": {"en": 15, "it": 15, "de": 15}})
    assert by_language(tmp_path) == {"en": 15, "it": 15, "de": 15}
    assert [row for row in out(tmp_path) if row["language"] != "de"] == before
    assert report.calls < 60
    without = made(tmp_path, {"by": "language", "rows": {"it": 15}})
    assert (without.calls, by_language(tmp_path)) == (0, {"it": 15})
    back = made(tmp_path, {"by": "language", "rows": {"en": 15, "it": 15, "de": 15}})
    assert (back.calls, by_language(tmp_path)) == (0, {"en": 15, "it": 15, "de": 15})


def test_nothing_is_bought_again_when_targets_go_and_come_back(tmp_path: Path) -> None:
    made(tmp_path, {"by": "language", "each": 25})
    rows, calls = out(tmp_path), len(bought(tmp_path))
    made(tmp_path, None)
    made(tmp_path, {"by": "topic", "each": 12})
    assert len(set(bought(tmp_path))) <= len(bought(tmp_path))
    between = len(bought(tmp_path))
    made(tmp_path, {"by": "language", "each": 25})
    assert len(bought(tmp_path)) == between >= calls
    assert sorted(out(tmp_path), key=str) == sorted(rows, key=str)


@pytest.mark.parametrize("seed", range(4))
def test_rows_for_which_there_is_no_room_are_not_made_again(tmp_path: Path, seed: int) -> None:
    languages = {"en": "English", "fr": "French"}
    one: Any = {"quality": [accepting({"en": 0.5, "fr": 0.7}, seed)], "regenerate": 3, "languages": languages}
    other: Any = {"quality": [accepting({"en": 0.3, "fr": 0.6}, seed + 10)], "regenerate": 0, "languages": languages}
    target = {"by": "language", "each": 12}
    first = made(tmp_path, target, **one)
    assert (first.written, first.pending) == (24, 0)
    before = (tmp_path / "out.jsonl").read_bytes()
    assert made(tmp_path, target, **other).written == 24  # with draws that the first setting does not need
    again = made(tmp_path, target, **one)
    assert (again.calls, again.written, again.pending) == (0, 24, 0)
    assert (tmp_path / "out.jsonl").read_bytes() == before
    assert made(tmp_path, target, **one).calls == 0
    more = made(tmp_path, {"by": "language", "each": 40}, **one)
    assert (more.written, more.pending) == (80, 0)


def test_failed_rows_are_replaced_and_their_failure_is_no_failure_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"provider": "simulated", "model_id": "m", "faults": {"empty": 0.4}}
    config = {
        "kind": "raw",
        "document_types": ["note"],
        "topics": [f"topic {number}" for number in range(40)],
        "num_samples_per_prompt": 1,
        "output_file": "out.jsonl",
        "providers": [spec],
        "run": {"max_parse_retries": 0},
        "target_rows": 60,
    }
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    result = CliRunner().invoke(cli, ["generate", "config.yaml", "--json"])
    report = json.loads(result.stdout)
    assert (result.exit_code, report["written"], report["pending"]) == (0, 60, 0)
    assert report["failed"] > 10
    assert [target["accepted"] for target in report["targets"]] == [60]


# -- strata that are given up


def test_a_stratum_that_gives_next_to_nothing_is_given_up_and_says_so(tmp_path: Path) -> None:
    shares = {**SHARES, "en": 0.0}
    with pytest.warns(
        DatafastWarning, match=r"No more rows are drawn for en, of which there are 0 of 70: 0 of 70 rows"
    ):
        report = made(tmp_path, {"by": "language", "each": 70}, quality=[accepting(shares)])
    assert by_language(tmp_path) == {"fr": 70, "de": 70, "it": 70}
    assert (report.pending, report.stop_cause) == (0, None)
    assert [count.values for count in report.given_up] == [{"language": "en"}]
    assert report.targets[0].drawn == 70
    status = CliRunner().invoke(cli, ["status", str(tmp_path / "out.jsonl")])
    assert "210 of 280 rows accepted, 3 of 4 targets reached" in status.output
    assert "en: 0 of 70 accepted (0% of 70 drawn); given up: 0 of 70" in " ".join(status.output.split())
    own = dataset(tmp_path, {"by": "language", "each": 70}, quality=[accepting(shares)])
    found = own.estimate([CountingProvider("m", log=tmp_path / "requests")])
    (left, nothing), (name, note), *others = found.lines()
    assert (left, nothing[:8], name, others) == ("left to do", "nothing:", "note", [])
    assert "No more rows are drawn for en: 0 of 70 rows were accepted" in note
    with pytest.warns(DatafastWarning, match="No more rows are drawn for en"):
        assert made(tmp_path, {"by": "language", "each": 70}, quality=[accepting(shares)]).calls == 0
    more = made(tmp_path, {"by": "language", "each": 70}, quality=[accepting({**SHARES, "en": 1.0})])
    assert (more.calls, more.given_up, by_language(tmp_path)["en"]) == (0, [], 70)


def test_duplicates_are_told_where_they_are_why_next_to_nothing_is_accepted(tmp_path: Path) -> None:
    alike = CountingProvider("m", log=tmp_path / "requests", reply=lambda request: json.dumps({"texts": ["A crane."]}))
    fields: Any = {"quality": [{"stage": "exact_duplicates"}], "languages": {"en": "English"}}
    with pytest.warns(DatafastWarning, match=r"1 of 100 rows were accepted \(99 duplicates\), which is below"):
        made(tmp_path, 200, alike, **fields)


def test_rows_that_are_all_alike_end_the_drawing(tmp_path: Path) -> None:
    texts = itertools.cycle(f"The {number} cranes lift forty tons." for number in range(30))
    provider = CountingProvider(
        "m", log=tmp_path / "requests", reply=lambda request: json.dumps({"texts": [next(texts)]})
    )
    fields: Any = {"quality": [{"stage": "exact_duplicates"}], "languages": {"en": "English"}}
    with pytest.warns(DatafastWarning, match="newest .* rows were duplicates"):
        report = made(tmp_path, 1000, provider, stop_when={"near_duplicates_above": 0.6}, **fields)
    assert (report.written, report.pending) == (30, 0)
    assert report.calls <= 200
    assert report.targets[0].given_up is not None


# -- ends and goes on


def test_a_budget_ends_it_and_a_larger_one_goes_on_to_the_rows_of_one_run(tmp_path: Path) -> None:
    target = {"by": "language", "each": 20}
    whole = made(tmp_path / "whole", target)
    first = made(tmp_path / "parts", target, run={"max_calls": 90})
    assert (first.stop_cause, first.calls) == (StopCause.BUDGET, 90)
    assert first.pending >= 80 - first.written
    rest = made(tmp_path / "parts", target)
    assert first.calls + rest.calls == whole.calls
    assert sorted(out(tmp_path / "parts"), key=str) == sorted(out(tmp_path / "whole"), key=str)


def test_a_limit_counts_prompts_over_all_rounds(tmp_path: Path) -> None:
    target = {"by": "language", "each": 20}
    whole = made(tmp_path / "whole", target)
    for limit in (30, 30, 95):
        report = made(tmp_path / "parts", target, options={"limit": limit})
        assert len(bought(tmp_path / "parts")) == limit or limit == 95
        assert report.stop_cause is None
        assert report.pending > 0
    made(tmp_path / "parts", target)
    assert len(bought(tmp_path / "parts")) == whole.calls
    assert sorted(out(tmp_path / "parts"), key=str) == sorted(out(tmp_path / "whole"), key=str)


def test_fresh_begins_with_the_first_round(tmp_path: Path) -> None:
    first = made(tmp_path, {"by": "language", "each": 10})
    again = made(tmp_path, {"by": "language", "each": 10}, options={"fresh": True})
    assert again.calls == first.calls == again.requested


def test_stages_alone_decide_again_about_all_rows(tmp_path: Path) -> None:
    target = {"by": "language", "each": 20}
    made(tmp_path, target)
    stricter = {**SHARES, "it": 0.5}
    report = made(tmp_path, target, quality=[accepting(stricter)], options={"decide_only": True})
    assert (report.calls, by_language(tmp_path)["it"] < 20) == (0, True)
    assert report.pending == 20 - by_language(tmp_path)["it"]
    made(tmp_path, target, quality=[accepting(stricter)])
    assert by_language(tmp_path) == dict.fromkeys(LANGUAGES, 20)


# -- the same rows in any order


def numbered(request: Request) -> str:
    """A text that many prompts have in common: what it is depends on the prompt alone."""
    number = int.from_bytes(blake2b(str(request.messages).encode(), digest_size=4).digest()) % 90
    return json.dumps({"texts": [f"Crane number {number} lifts forty tons, and no more than that."]})


STYLES = PromptExpansionConfig(placeholders={"style": [f"style {number}" for number in range(60)]})
STYLED = ["{num_samples} {language_name} {document_type} {topic} <<style>>"]
TWINS: Any = {
    "quality": [{"stage": "keep_if", "expression": "uuid[0] in '02468ace'"}, {"stage": "exact_duplicates"}],
    "expansion": STYLES,
    "prompts": STYLED,
    "languages": {"en": "English", "fr": "French"},
}
TARGET = {"by": "language", "each": 25}


class DyingProvider(CountingProvider):
    """Kills its process before the answer to a request."""

    at = 0

    def __init__(self, *, at: int, **options: Any) -> None:
        left = itertools.count(1)

        def reply(request: Request) -> str:
            if next(left) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return numbered(request)

        super().__init__("m", reply=reply, latency_jitter_s=0.004, **options)


def killed_run(folder: str, at: int) -> None:
    made(Path(folder), TARGET, DyingProvider(at=at, log=Path(folder) / "requests"), **TWINS)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.parametrize("seed", range(3))
def test_kills_and_shuffled_replies_give_the_same_rows_with_duplicates_among_them(
    tmp_path: Path, server: ForkServer, seed: int
) -> None:
    whole = made(tmp_path / "whole", TARGET, CountingProvider("m", log=tmp_path / "requests", reply=numbered), **TWINS)
    assert whole.filtered_by_stage["exact_duplicates"]
    assert Counter(row["language"] for row in out(tmp_path / "whole")) == {"en": 25, "fr": 25}
    parts, chances = tmp_path / "parts", random.Random(seed)
    for _ in range(4):
        at = chances.randrange(2, whole.calls // 5)
        died = server.run("tests.engine.test_targets:killed_run", folder=str(parts), at=at)
        assert died == -signal.SIGKILL
    report = made(parts, TARGET, DyingProvider(at=0, log=parts / "requests"), **TWINS)
    assert sorted(out(parts), key=str) == sorted(out(tmp_path / "whole"), key=str)
    assert report.filtered_by_stage == whole.filtered_by_stage
    assert report.requested == whole.requested
    assert len(bought(parts)) <= whole.calls + 6 * CONCURRENCY


# -- what is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target_rows": 5, "num_rows": 5}, "There is num_rows, too"),
        ({"target_rows": 0}, "greater than or equal to 1"),
        ({"target_rows": {"by": "language"}}, "either each"),
        ({"target_rows": {"by": "language", "each": 1, "rows": {"en": 1}}}, "either each"),
        ({"target_rows": {"by": ["language", "topic"], "rows": {"en": 4}}}, r"rows\.en: expected a mapping"),
        ({"target_rows": {"by": ["topic", "topic"], "each": 4}}, "named twice"),
        ({"min_acceptance": 0.1}, "It is about target_rows"),
        ({"target_rows": 5, "stop_when": {"near_duplicates_above": 0.5}}, "No stage looks for duplicates"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RawDatasetConfig(document_types=["note"], topics=["cranes"], output_file="out.jsonl", **fields)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"by": "lang", "each": 3}, r"by 'lang'\. They can by document_type, topic, language\."),
        ({"by": "languages", "each": 3}, r"Did you mean 'language'\?"),
        ({"by": "language", "rows": {"es": 3}}, r"No row has the language 'es'\. Known: en, fr, de, it\."),
    ],
)
def test_strata_that_no_row_has_are_refused_before_anything_is_sent(
    tmp_path: Path, target: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset(tmp_path, target).generate([CountingProvider("m", log=tmp_path / "requests")])
    assert not requests_in(tmp_path / "requests")


KEPT: Any = [{"stage": "keep_if", "expression": "uuid[0] in '0246'"}]


@pytest.mark.parametrize(
    ("point", "when", "nth"),
    [
        ("datafast.engine.assembly:open_output", "before", 2),
        ("datafast.store.matching:_note", "after", 2),
        ("datafast.store.recovery:match", "after", 2),
        ("datafast.store.ledger:Ledger.note_opening", "before", 2),
        ("datafast.store.recovery:Store", "before", 2),
        ("datafast.store.append_file:AppendFile.append", "half", 20),
        ("datafast.store.writer:Store.close", "before", 2),
        ("datafast.engine.winding_up:settle", "before", 2),
        ("datafast.store.reversing:new_files", "after", 1),
        ("datafast.store.reversing:finish_rewrite", "before", 1),
        ("datafast.engine.run:judged", "before", 1),
        ("datafast.store.ledger:Ledger.checkpoint", "before", 4),
        ("datafast.engine.run:next_job", "before", 2),
    ],
)
def test_a_run_that_dies_between_two_rounds_ends_in_the_rows_of_one_run(
    tmp_path: Path, server: ForkServer, point: str, when: str, nth: int
) -> None:
    fields: Any = {"topics": 5, "languages": {"en": "English", "fr": "French"}, "quality": KEPT}
    whole = made(tmp_path / "whole", TARGET, **fields)
    folder = tmp_path / "parts"
    folder.mkdir()
    code = server.run(
        "tests.support:crashing_run",
        folder=str(folder),
        log=str(folder / "requests"),
        point=point,
        when=when,
        nth=nth,
        target_rows=TARGET,
        run={"max_concurrency": CONCURRENCY},
        **fields,
    )
    assert code == 9
    report = made(folder, TARGET, **fields)
    assert {row["uuid"] for row in out(folder)} == {row["uuid"] for row in out(tmp_path / "whole")}
    assert (report.requested, report.filtered) == (whole.requested, whole.filtered)
    assert len(bought(folder)) <= whole.calls + CONCURRENCY
