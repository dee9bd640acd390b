"""Statistics of outputs and files: what they count is what the rows, the report and the ledger say."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafast.datasets import PreferenceDataset, RawDataset
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.schema.config import PreferenceDatasetConfig, RawDatasetConfig
from datafast.statistics import Group, Grouping, Statistics, measure
from datafast.store.paths import OutputPaths


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raw(**more: Any) -> RawDataset:
    settings: dict[str, Any] = {
        "document_types": ["blog", "note"],
        "topics": ["ice", "tides", "cores"],
        "languages": {"en": "English", "fr": "French"},
        "num_samples_per_prompt": 4,
        "output_file": "rows.jsonl",
        **more,
    }
    return RawDataset(RawDatasetConfig(**settings))


def rows_in(path: str = "rows.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def write(rows: list[dict[str, Any]], path: str = "other.jsonl") -> Path:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Path(path)


def of_file(path: Path, **how: Any) -> Statistics:
    return measure(OutputPaths.of(path), **how)


def everyone(grouping: Grouping) -> list[Group]:
    return [*grouping.groups, *(group for group in (grouping.others, grouping.unknown) if group is not None)]


def assert_adds_up(statistics: Statistics) -> None:
    total = statistics.total
    for grouping in statistics.by:
        groups = everyone(grouping)
        if not grouping.overlaps:
            for count in ("rows", "filtered", "failed"):
                assert sum(getattr(group, count) for group in groups) == getattr(total, count), grouping.field
            by_failure = sum((Counter(group.failures) for group in groups), Counter())
            assert by_failure == Counter(total.failures)
            by_reason = Counter(
                {
                    (stage, reason): n
                    for stage, reasons in total.filtered_by_stage.items()
                    for reason, n in reasons.items()
                }
            )
            found: Counter[tuple[str, str]] = Counter()
            for group in groups:
                for stage, reasons in group.filtered_by_stage.items():
                    found.update({(stage, reason): n for reason, n in reasons.items()})
            assert found == by_reason
            for name in ("characters", "words"):
                counts = [getattr(group, name).histogram.counts for group in groups if getattr(group, name)]
                whole = getattr(total, name)
                assert [sum(column) for column in zip(*counts, strict=True)] == (
                    whole.histogram.counts if whole else []
                )


def assert_all_is_paid_for(statistics: Statistics) -> None:
    """No row is pending, so all that was paid is in the groups."""
    for grouping in statistics.by:
        for name in ("calls", "retries", "input_tokens", "output_tokens", "cost_usd"):
            whole = getattr(statistics.total, name)
            parts = [getattr(group, name) or 0 for group in everyone(grouping)]
            assert sum(parts) == pytest.approx(whole, abs=len(parts) / 2), (grouping.field, name)


def test_rows_that_only_stay_in_the_file_do_not_count_as_accepted() -> None:
    def made(topics: list[str], least: int) -> Any:
        stage = {"stage": "keep_if", "expression": f"text | length > {least}"}
        dataset = raw(topics=topics, num_samples_per_prompt=12, quality=[stage], run={"removed": "keep"})
        return dataset.generate([SimulatedProvider()])

    made(["ice", "tides"], 0)
    few = made(["ice"], 300)
    assert few.report.removed == 48
    assert few.report.filtered
    total = few.statistics().total
    assert total.rows == few.report.written + 48
    assert total.acceptance == few.report.written / 48


def test_an_output_is_counted_as_its_report_counts_it() -> None:
    dataset = raw(
        quality=[{"stage": "length", "min_words": 45}],
        prompts=[
            "Write {num_samples} texts in {language_name}: {document_type}, {topic}, for <<who>>.",
            "{num_samples} times {topic} as {document_type} in {language_name} for <<who>>.",
        ],
        expansion={"placeholders": {"who": ["experts", "children"]}, "combinatorial": True},
    )
    faulty = SimulatedProvider(model_id="b", faults={"truncated": 0.2, "refused": 0.2, "rate_limited": 0.1}, seed=3)
    report = dataset.generate([SimulatedProvider(model_id="a"), faulty]).report
    assert report is not None
    found = dataset.statistics()
    total = found.total
    assert (found.requested, found.written, found.pending) == (report.requested, report.written, report.pending)
    assert (total.rows, total.filtered, total.failed) == (report.written, report.filtered, report.failed)
    assert total.filtered_by_stage == report.filtered_by_stage
    assert total.failures == report.failures
    assert (total.calls, total.input_tokens, total.output_tokens) == (
        report.calls,
        report.input_tokens,
        report.output_tokens,
    )
    assert total.acceptance == report.written / report.requested
    alone = measure(OutputPaths.of(dataset.paths.rows.rename("alone.jsonl")))
    assert {group.acceptance for grouping in alone.by for group in everyone(grouping)} == {None}
    assert alone.total.acceptance is None
    assert found.simulated
    assert found.dataset_kind == "raw"
    assert {grouping.field: grouping.kind for grouping in found.by} == {
        "provider": "provider",
        "language": "language",
        "topic": "topic",
        "template": "template",
        "who": "placeholder",
        "document_type": "field",
    }
    assert_adds_up(found)
    assert_all_is_paid_for(found)
    assert found.grouping("language").unknown is None, "failed rows are in the groups of their items"
    providers = {group.value: group for group in found.grouping("provider").groups}
    for name, used in report.usage_by_provider.items():
        assert (providers[name].calls, providers[name].output_tokens) == (used.calls, used.output_tokens)
        assert providers[name].failed == sum(report.failures_by_provider.get(name, {}).values())
    assert providers["simulated/a"].retries == 0
    assert (providers["simulated/b"].truncated.count, providers["simulated/b"].declined.count) > (0, 0)  # type: ignore[union-attr]
    assert providers["simulated/a"].truncated.count == 0  # type: ignore[union-attr]


def test_lengths_are_those_of_the_texts() -> None:
    raw().generate([SimulatedProvider()])
    found = raw().statistics()
    texts = [row["text"] for row in rows_in()]
    words = [len(text.split()) for text in texts]
    spread = found.total.words
    assert spread is not None
    assert spread.mean == pytest.approx(np.mean(words))
    assert (spread.p5, spread.p50, spread.p95) == pytest.approx(tuple(np.quantile(words, [0.05, 0.5, 0.95])))
    assert sum(spread.histogram.counts) == len(texts)
    edges = spread.histogram.edges
    for low, high, count in zip(edges, edges[1:], spread.histogram.counts, strict=False):
        is_last = high == edges[-1]
        assert count == sum(low <= number < high or (is_last and number == high) for number in words)
    french = next(group for group in found.grouping("language").groups if group.value == "fr")
    characters = [len(row["text"]) for row in rows_in() if row["language"] == "fr"]
    assert french.characters is not None
    assert french.characters.mean == pytest.approx(np.mean(characters))


def test_the_cost_of_an_item_is_divided_over_its_rows_whatever_became_of_them() -> None:
    """Two items of four rows: one has lost two to a stage. What was paid for these is paid by those that are there."""
    dataset = raw(document_types=["blog"], topics=["ice", "tides"], languages={"en": "English"})
    dataset.generate([SimulatedProvider()])
    with sqlite3.connect("rows.jsonl.ledger") as ledger:
        ledger.execute("UPDATE calls SET cost_usd = 0.5 * item, latency_s = item")
        numbers = dict(ledger.execute("SELECT id, position FROM items").fetchall())
    topics = {numbers[item]: item for item in numbers}
    long = [row for row in rows_in() if row["metadata"]["topic"] == "tides"]
    limit = sorted(len(row["text"]) for row in long)[1]
    again = raw(
        document_types=["blog"],
        topics=["ice", "tides"],
        languages={"en": "English"},
        quality=[{"stage": "keep_if", "expression": f"metadata.topic == 'ice' or text | length > {limit}"}],
    )
    again.generate([SimulatedProvider()], decide_only=True)
    found = again.statistics()
    groups = {group.value: group for group in found.grouping("topic").groups}
    ice, tides = (0.5 * topics[position] for position in (0, 1))
    assert (groups["ice"].cost_usd, groups["ice"].cost_per_row_usd) == (ice, ice / 4)
    assert (groups["tides"].filtered, groups["tides"].cost_usd, groups["tides"].cost_per_row_usd) == (
        2,
        tides,
        tides / 2,
    )
    assert (found.total.cost_usd, found.total.cost_per_row_usd) == (1.5, 1.5 / 6)
    assert groups["ice"].latency_p50_s == groups["ice"].latency_p95_s == topics[0]


def test_a_price_that_is_not_known_is_not_guessed() -> None:
    raw().generate([SimulatedProvider()])
    with sqlite3.connect("rows.jsonl.ledger") as ledger:
        ledger.execute("UPDATE calls SET cost_usd = CASE WHEN item = 1 THEN NULL ELSE 1.0 END")
    found = raw().statistics()
    assert found.total.cost_usd is None
    assert found.total.cost_per_row_usd is None
    known = [group.cost_usd for group in found.grouping("topic").groups]
    assert sorted(known, key=str) == [4.0, 4.0, None]


def test_with_several_roles_a_row_is_one_of_each_provider_and_costs_what_all_of_them_do() -> None:
    config = PreferenceDatasetConfig(
        input_documents=["On ice cores.", "On tide gauges."], num_samples_per_prompt=2, output_file="pairs.jsonl"
    )
    dataset = PreferenceDataset(config)
    one, other = SimulatedProvider(model_id="a"), SimulatedProvider(model_id="b")
    report = dataset.generate(question_gen_llm=one, chosen_response_gen_llm=one, rejected_response_gen_llm=other).report
    assert report is not None
    found = dataset.statistics()
    by_provider = found.grouping("provider")
    assert by_provider.overlaps
    assert {group.value: group.rows for group in by_provider.groups} == {
        "simulated/a": report.written,
        "simulated/b": report.written,
    }
    assert sum(group.calls or 0 for group in by_provider.groups) == report.calls
    assert {group.value for group in found.grouping("role").groups} == {"question", "chosen", "rejected"}
    assert_adds_up(found)
    assert_all_is_paid_for(found)


def test_files_of_other_tools_are_measured_as_far_as_they_say() -> None:
    rows = [{"text": f"text number {number}", "category": "ab"[number % 2], "n": number} for number in range(60)]
    found = of_file(write(rows))
    assert (found.requested, found.dataset_kind, found.total.calls, found.total.cost_usd) == (None, None, None, None)
    assert found.total.rows == 60
    assert [grouping.field for grouping in found.by] == ["category"]
    assert [(group.value, group.rows) for group in found.grouping("category").groups] == [("a", 30), ("b", 30)]
    assert found.total.words is not None
    assert found.total.words.mean == 3, "the category is not text"
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), "other.parquet")
    same = of_file(Path("other.parquet"))
    assert same == found.model_copy(update={"file": "other.parquet"})


def test_a_copy_without_its_ledger_has_the_same_texts() -> None:
    whole = raw().generate([SimulatedProvider()]).statistics()
    Path("copy.jsonl").write_bytes(Path("rows.jsonl").read_bytes())
    copy = of_file(Path("copy.jsonl"))
    assert (copy.total.words, copy.total.characters) == (whole.total.words, whole.total.characters)
    assert copy.total.diversity == whole.total.diversity


def test_punctuation_between_letters_that_are_words_is_none() -> None:
    found = of_file(write([{"text": "数据合成工厂，非常好。"}, {"text": "冰 - 非常好 !"}]))
    assert found.total.words is not None
    assert (found.total.words.mean, found.total.diversity.words) == (6.5, 13)  # type: ignore[union-attr]  # it is there


def test_fields_are_chosen_by_name() -> None:
    rows = [{"question": "a b c", "answer": "d", "n": number % 3, "label": "x"} for number in range(9)]
    path = write(rows)
    assert [grouping.field for grouping in of_file(path).by] == ["label"]
    found = of_file(path, by=["n"], text_fields=["answer"])
    assert [(group.value, group.rows) for group in found.grouping("n").groups] == [("0", 3), ("1", 3), ("2", 3)]
    assert found.total.words is not None
    assert found.total.words.mean == 1
    assert found.text_fields == ["answer"]
    for how, word in ({"by": ["m"]}, "by"), ({"text_fields": ["questio"]}, "text_fields"):
        with pytest.raises(ConfigError, match=word):
            of_file(path, **how)
    with pytest.raises(ConfigError, match="There are no groups by 'm'"):
        found.grouping("m")


def test_messages_are_texts_and_their_roles_are_not() -> None:
    turn = [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}]
    found = of_file(write([{"uuid": "x", "messages": turn, "language": "en"}]))
    assert found.total.words is not None
    assert found.total.words.mean == 3


def test_rows_that_say_the_same_are_counted() -> None:
    texts = ["a b", "a b", "c d", "a b", "", ""]
    found = of_file(write([{"text": text, "language": "de" if text == "a b" else "fr"} for text in texts]))
    repeated = found.total.repeated
    assert repeated is not None
    assert (repeated.count, repeated.of) == (2, 4), "rows without text do not repeat each other"
    assert [(group.value, group.repeated.count) for group in found.grouping("language").groups if group.repeated] == [
        ("de", 2),
        ("fr", 0),
    ]


def test_refusals_are_seen_in_written_and_in_filtered_rows() -> None:
    texts = [
        "I'm sorry, but I can't help with that request.",
        "The tide turned at four.",
        "Je ne peux pas répondre à cette demande.",
    ]
    found = of_file(write([{"text": text} for text in texts]))
    assert found.total.refusals is not None
    assert (found.total.refusals.count, found.total.refusals.of) == (2, 3)


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_has_no_rows(content: bytes) -> None:
    Path("empty.jsonl").write_bytes(content)
    found = of_file(Path("empty.jsonl"))
    assert (found.total.rows, found.total.words, found.total.diversity, found.by) == (0, None, None, [])
    assert found.to_pandas()["rows"].tolist() == [0]
    assert "Statistics" in found._repr_html_()


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        of_file(Path("nowhere.jsonl"))


def test_damaged_lines_are_left_out_and_told() -> None:
    path = write([{"text": "whole"}] * 3)
    with path.open("ab") as file:
        file.write(b'{"text": NaN}\n[1]\n{"text": "cut')
    found = of_file(path)
    assert found.total.rows == 4
    assert found.notes == ["2 lines of the file are not JSON objects and are left out."]


def test_rows_that_were_edited_are_counted_but_belong_to_no_call() -> None:
    raw().generate([SimulatedProvider()])
    text = Path("rows.jsonl").read_text(encoding="utf-8")
    first = rows_in()[0]["text"].split()[0]
    Path("rows.jsonl").write_text(text.replace(f'"text":"{first}', f'"text":"{first[:-1]}#', 1), encoding="utf-8")
    found = raw().statistics()
    assert found.total.rows == 48
    assert found.notes == ["4 rows are not as datafast wrote them, so nothing is known of the calls for them."]
    unknown = found.grouping("provider").unknown
    assert unknown is not None
    assert unknown.rows == 4
    assert_adds_up(found)


def test_a_file_that_lost_its_end_is_said_to_lack_rows() -> None:
    raw().generate([SimulatedProvider()])
    data = Path("rows.jsonl").read_bytes()
    Path("rows.jsonl").write_bytes(data[:2_000])
    found = raw().statistics()
    assert found.total.rows < 48
    assert any("lacks rows" in note for note in found.notes)
    Path("rows.jsonl").unlink()
    found = raw().statistics()
    assert found.total.rows == 0
    assert any("lacks rows" in note for note in found.notes)


def test_an_output_of_failures_alone_has_groups() -> None:
    dataset = raw()
    dataset.generate([SimulatedProvider(faults={"refused": 1.0})])
    found = dataset.statistics()
    assert (found.total.rows, found.total.failed, found.total.acceptance) == (0, 48, 0.0)
    assert [(group.value, group.failed) for group in found.grouping("language").groups] == [("en", 24), ("fr", 24)]
    assert_adds_up(found)


def test_a_file_may_be_measured_while_a_run_writes_it() -> None:
    seen: list[Statistics] = []

    def watch(event: Any) -> None:
        if event.type == "item_done" and len(seen) < 3:
            seen.append(raw().statistics())

    raw().generate([SimulatedProvider()], on_event=watch)
    assert seen[0].running
    for found in seen:
        assert not found.notes
        assert_adds_up(found)
        assert found.total.rows <= 48
    assert not raw().statistics().running


def test_many_values_are_told_together() -> None:
    rows = [{"text": f"text {number}", "topic": f"topic {number}"} for number in range(300)]
    found = of_file(write(rows)).grouping("topic")
    assert (len(found.groups), found.num_values) == (200, 300)
    assert found.others is not None
    assert found.others.rows == 100


def test_values_that_come_late_or_are_too_many_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.statistics.entries.MOST_VALUES", 5)
    monkeypatch.setattr("datafast.statistics.measuring.MOST_VALUES", 5)
    rows = [
        {"text": f"text {number}", "language": f"l{number // 1_000}", "topic": f"t{number % 40}"}
        for number in range(4_000)
    ]
    found = of_file(write(rows))
    assert [(group.value, group.rows) for group in found.grouping("language").groups] == [
        (f"l{number}", 1_000) for number in range(4)
    ]
    topics = found.grouping("topic")
    assert [group.rows for group in topics.groups] == [100] * 5
    assert topics.others is not None
    assert topics.others.rows == 3_500
    assert any("topic has 5 values or more" in note for note in found.notes)
    assert_adds_up(found)


def test_a_source_that_is_gone_takes_nothing_away_but_what_it_knows() -> None:
    Path("topics.txt").write_text("ice\ntides\n", encoding="utf-8")
    dataset = raw(topics="topics.txt")
    dataset.generate([SimulatedProvider(faults={"refused": 0.3}, seed=2)])
    report = dataset.report
    assert report is not None
    assert report.failed > 0

    def gone(routes: object) -> Any:
        raise ConfigError("There is no file topics.txt.")

    found = measure(dataset.paths, plan_of=gone)
    assert found.total.failed == report.failed
    assert found.total.copies is None
    assert found.coverage is None
    assert any("There is no file topics.txt." in note for note in found.notes)
    unknown = found.grouping("language").unknown
    assert unknown is not None
    assert unknown.failed == report.failed


def test_near_duplicates_are_those_that_the_stage_would_drop() -> None:
    long = " ".join(f"word{number}" for number in range(60))
    rows = [
        {"text": long, "label": "a"},
        {"text": f"{long} more", "label": "b"},
        {"text": long.replace("word5 ", "other "), "label": "a"},
        {"text": "something else entirely that has nothing to do with it", "label": "a"},
    ]
    found = of_file(write(rows))
    assert found.total.near_duplicates is not None
    assert (found.total.near_duplicates.count, found.total.near_duplicates.of) == (2, 4)
    assert {
        group.value: group.near_duplicates.count for group in found.grouping("label").groups if group.near_duplicates
    } == {
        "a": 1,
        "b": 1,
    }


def test_near_duplicates_of_a_large_file_are_looked_for_in_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafast.statistics.near.MOST_ROWS", 10)
    found = of_file(write([{"text": "the same text again and again"}] * 30))
    assert found.total.near_duplicates is not None
    assert (found.total.near_duplicates.count, found.total.near_duplicates.of) == (9, 10)
    assert found.notes == ["Near-duplicates were looked for in the first 10 rows of the file."]


@pytest.mark.parametrize(
    "more",
    [
        {"quality": [{"stage": "length", "min_words": 50}], "regenerate": 2},
        {"quality": [{"stage": "near_duplicates", "threshold": 0.3, "ngram": 1}]},
        {
            "quality": [{"stage": "length", "min_words": 50}],
            "num_rows": None,
            "target_rows": {"by": "language", "each": 9},
        },
    ],
    ids=["regenerated", "compared", "targets"],
)
def test_filtered_rows_are_counted_as_the_report_counts_them(more: dict[str, Any]) -> None:
    dataset = raw(**more)
    report = dataset.generate([SimulatedProvider()]).report
    assert report is not None
    assert report.filtered > 0
    found = dataset.statistics()
    assert (found.total.rows, found.total.filtered) == (report.written, report.filtered)
    assert found.total.filtered_by_stage == report.filtered_by_stage
    assert_adds_up(found)
    assert_all_is_paid_for(found)


def test_a_sample_is_drawn_by_a_seed_and_said() -> None:
    rows = [{"text": f"text {number} of {number % 7}", "language": "en"} for number in range(400)]
    path = write(rows)
    one, same, other = (of_file(path, sample=50, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.total.diversity != other.total.diversity
    assert one.total.words == other.total.words
    assert one.total.diversity is not None
    assert one.total.diversity.rows == 50 == one.sample
    assert "a random sample of 50 rows" in one.notes[0]


def test_statistics_survive_json_and_become_a_table() -> None:
    dataset = raw(quality=[{"stage": "length", "min_words": 45}])
    dataset.generate([SimulatedProvider(faults={"refused": 0.2})])
    found = dataset.statistics()
    assert Statistics.model_validate_json(found.model_dump_json()) == found
    frame = found.to_pandas()
    assert frame.loc[0, "field"] == "total"
    english = frame[(frame.field == "language") & (frame.value == "en")].iloc[0]
    group = found.grouping("language").groups[[g.value for g in found.grouping("language").groups].index("en")]
    assert english["rows"] == group.rows
    assert english["words_p50"] == group.words.p50  # type: ignore[union-attr]
    assert english["filtered_by_length"] == group.filtered
    html = found._repr_html_()
    assert "by language" in html
    assert "by topic" in html


def test_names_and_texts_of_others_are_shown_as_text() -> None:
    rows = [{"text": "x", "label": "<b>bold</b>"}, {"text": "y", "label": "\x1b[31mred"}]
    html = of_file(write(rows))._repr_html_()
    assert "<b>bold</b>" not in html
    assert "\x1b" not in html


LANGUAGE = st.sampled_from(["en", "fr", None])
ROW = st.fixed_dictionaries(
    {"text": st.text(max_size=30), "language": LANGUAGE},
    optional={
        "label": st.sampled_from(["x", "y"]),
        "metadata": st.dictionaries(st.sampled_from(["topic", "k"]), st.text(max_size=3)),
    },
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, max_size=30))
def test_groups_add_up_whatever_the_rows_are(rows: list[dict[str, Any]]) -> None:
    found = of_file(write(rows))
    assert found.total.rows == len(rows)
    assert_adds_up(found)
    assert Statistics.model_validate_json(found.model_dump_json()) == found
