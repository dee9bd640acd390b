"""A report of a file: what it shows is what the rows, the statistics and the ledger say."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import JudgementDataset, RawDataset
from datafast.datasets.loaded import load
from datafast.datasets.reporting import report_of
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.report import Report, SampleRow, html_page, markdown_page
from datafast.report.models import TimeSlot, UseInSlot
from datafast.schema.config import JudgementDatasetConfig, RawDatasetConfig
from datafast.store.paths import OutputPaths


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raw(**more: Any) -> RawDataset:
    settings: dict[str, Any] = {
        "document_types": ["blog", "note"],
        "topics": ["ice", "tides"],
        "languages": {"en": "English", "fr": "French"},
        "num_samples_per_prompt": 3,
        "output_file": "rows.jsonl",
        **more,
    }
    return RawDataset(RawDatasetConfig(**settings))


def write(rows: list[dict[str, Any]], path: str = "other.jsonl") -> OutputPaths:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return OutputPaths.of(path)


def why(report: Report, reason: str) -> SampleRow:
    return next(sample for sample in report.samples if reason in sample.why)


def texts(number: int, words: int = 12) -> str:
    return " ".join(f"word{number * 1000 + place}" for place in range(words))


def test_a_report_of_an_output_has_its_statistics_calls_over_time_and_rows_with_their_prompts() -> None:
    dataset = raw(quality=[{"stage": "length", "min_words": 45}]).generate([SimulatedProvider()])
    report = report_of(dataset.paths, dataset)
    assert report.statistics == dataset.statistics()
    used = [use for slot in report.over_time for use in slot.by_provider.values()]
    assert sum(use.calls for use in used) == report.statistics.total.calls == 8
    assert sum(use.output_tokens for use in used) == report.statistics.total.output_tokens
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text(encoding="utf-8").splitlines()]
    for sample in report.samples:
        row = rows[sample.number - 1]
        assert sample.uuid == row["uuid"]
        assert {field.name: field.text for field in sample.fields}["text"] == row["text"]
        assert sample.provenance is not None
        assert sample.provenance.values["topic"] == row["metadata"]["topic"]
        (call,) = sample.provenance.calls
        assert row["metadata"]["topic"] in call.messages[-1].text
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_coverage_matrix_has_each_combination_of_two_values() -> None:
    dataset = raw().generate([SimulatedProvider()])
    coverage = dataset.statistics().coverage
    assert coverage is not None
    matrix = next(one.matrix for one in coverage.of if one.axes == ["document_type", "topic"])
    assert matrix is not None
    assert (matrix.across, matrix.down) == (["blog", "note"], ["ice", "tides"])
    assert matrix.planned == matrix.written == [[6, 6], [6, 6]]
    page = dataset.report_html()
    assert "Topic and document type" in page


def test_the_extremes_are_shown_each_with_why_and_no_row_twice() -> None:
    rows = [{"text": texts(n), "score": n % 7} for n in range(1, 60)]
    rows[20] = {"text": "short", "score": 3}
    rows[30] = {"text": texts(9, 300), "score": 9.5}
    rows[40] = {"text": texts(10), "score": -4}
    report = report_of(write(rows), shown=3)
    assert why(report, "shortest").number == 21
    assert why(report, "longest").number == why(report, "highest score").number == 31
    assert why(report, "lowest score").number == 41
    numbers = [sample.number for sample in report.samples]
    assert len(numbers) == len(set(numbers)) <= 8
    assert len([sample for sample in report.samples if "most similar pair" in sample.why]) == 2
    assert all(sample.provenance is None for sample in report.samples)
    assert report_of(OutputPaths.of("other.jsonl"), shown=3).samples == report.samples
    other = report_of(OutputPaths.of("other.jsonl"), shown=3, seed=1)
    assert other.samples != report.samples


def test_conversations_and_metadata_are_shown_line_by_line() -> None:
    row = {
        "messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because.\nOf that."}],
        "metadata": {"topic": "ice", "level": 2, "none": None, "path": ["a", "b"]},
        "tools": [{"role": "tool", "content": "x", "id": 3}],
    }
    (sample,) = report_of(write([row])).samples
    shown = {field.name: field.text for field in sample.fields}
    assert shown["messages"] == "user: Why?\n\nassistant: Because.\nOf that."
    assert shown["metadata"] == 'topic: ice\nlevel: 2\npath: ["a", "b"]'
    assert json.loads(shown["tools"]) == row["tools"]


def test_duplicates_are_groups_with_their_texts_and_the_most_similar_pair_differs() -> None:
    same = texts(7, 40)
    rows = [{"text": texts(n, 40)} for n in range(100, 130)]
    rows[3] = rows[11] = rows[19] = {"text": same}
    rows[25] = {"text": f"{texts(102, 38)} other end"}  # of row 3 of the file
    report = report_of(write(rows))
    assert report.num_duplicate_groups == 2
    largest, pair = report.duplicates
    assert largest.numbers == [4, 12, 20]
    assert [text.text for text in largest.texts] == [same] * 3
    assert pair.numbers == [3, 26]
    assert report.similar is not None
    assert report.similar.numbers == (3, 26)
    assert 0.8 < report.similar.similarity < 1


def test_scores_are_told_in_all_in_groups_and_by_judge() -> None:
    source = [{"question": f"Why {n}?", "answer": f"Because of {n}.", "sort": "ab"[n % 2]} for n in range(40)]
    config = JudgementDatasetConfig(
        source=source,
        rubric={1: "bad", 5: "good"},
        judges=["strict", "mild"],
        output_file="judged.jsonl",
    )
    dataset = JudgementDataset(config).generate(
        {"strict": SimulatedProvider(model_id="a"), "mild": SimulatedProvider(model_id="b")}
    )
    rows = [json.loads(line) for line in Path("judged.jsonl").read_text(encoding="utf-8").splitlines()]
    score = next(one for one in report_of(dataset.paths, dataset).scores if one.name == "score")
    assert score.rows == 40
    assert score.mean == pytest.approx(sum(row["score"] for row in rows) / 40)
    assert sum(score.counts.values()) == 40
    mean = sum(row["score"] for row in rows if row["sort"] == "a") / 20
    assert score.by["sort"]["a"].mean == pytest.approx(mean)
    assert set(score.by_judge) == {"strict", "mild"}
    assert score.alpha == pytest.approx(dataset.agreement().alpha)


def test_scores_are_found_in_metadata_and_in_what_judges_say() -> None:
    rows = [
        {"text": texts(n), "chosen_score": n % 5, "flag_score": True, "metadata": {"judged": {"score": n % 3}}}
        for n in range(30)
    ]
    report = report_of(write(rows))
    assert [(score.name, score.mean) for score in report.scores] == [
        ("chosen_score", 2.0),
        ("metadata.judged.score", 1.0),
    ]


def test_many_different_scores_are_counted_in_ranges() -> None:
    report = report_of(write([{"text": texts(n), "score": n / 100} for n in range(100)]))
    (score,) = report.scores
    assert len(score.counts) == 10
    assert set(score.counts.values()) == {10}


def test_files_of_other_tools_have_reports() -> None:
    with Path("rows.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["question", "category"])
        table.writerows([f"What is {texts(n, 8)}?", "ab"[n % 2]] for n in range(40))
    report = report_of(OutputPaths.of("rows.csv"))
    assert report.statistics.total.rows == 40
    assert report.over_time == []
    page = html_page(report)
    assert "Rows by category" in page
    assert "Rows by category" in load("rows.csv").report_html()
    assert "Cost and speed" not in page


@pytest.mark.parametrize("rows", [[], [{"n": 1}], [{"text": ""}], [{"text": "one"}]])
def test_files_with_hardly_any_rows_have_reports(rows: list[dict[str, Any]]) -> None:
    report = report_of(write(rows))
    assert f"{len(rows):,} row" in html_page(report)
    assert f"{len(rows):,} row" in markdown_page(report)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"other\.jsonl"):
        report_of(OutputPaths.of("other.jsonl"))


def test_the_prompts_of_a_config_that_cannot_be_loaded_are_not_known_and_the_report_says_so() -> None:
    dataset = raw().generate([SimulatedProvider()])
    sample = report_of(dataset.paths).samples[0]
    assert sample.provenance is not None
    assert "prompts are not known" in " ".join(sample.provenance.notes)
    assert sample.provenance.calls[0].said.text


def test_a_score_with_few_values_is_shown_once_and_makes_no_groups_beside() -> None:
    rows = [
        {"text": texts(n), "score": n % 5, "sort": "ab"[n % 2], "metadata": {"depth_score": n % 3}} for n in range(60)
    ]
    page = html_page(report_of(write(rows)))
    assert page.count("Rows by score</text>") == page.count("Rows by depth score</text>") == 1
    assert "Score by sort" in page
    assert report_of(write(rows)).statistics.grouping("score").num_values == 5


def test_a_file_without_a_plan_has_a_matrix_of_the_rows_that_have_each_two_values() -> None:
    tones, topics = ("dry", "warm", "terse"), ("ice", "tides", "moss", "caves")
    rows = [
        {"text": texts(n), "metadata": {"tone": tones[n % 3], "topic": topics[n % 4], "same": topics[n % 4].upper()}}
        for n in range(96)
        if (n % 3, n % 4) != (1, 2)
    ]
    report = report_of(write(rows))
    (matrix, _) = report.statistics.combinations  # topic and same tell each other
    assert matrix.axes in {("tone", "topic"), ("tone", "same")}
    assert matrix.across == ["dry", "terse", "warm"]
    assert sorted(map(tuple, matrix.rows)) == [(8, 8, 0), (8, 8, 8), (8, 8, 8), (8, 8, 8)]
    page = html_page(report)
    assert "Topic and tone</text>" in page
    assert "11 of 12 combinations have rows" in page
    assert "need not be missing" in page
    assert raw().generate([SimulatedProvider()]).statistics().combinations == []


def test_the_rows_of_the_most_similar_pair_have_their_prompts_too() -> None:
    dataset = raw(output_file="rows.jsonl").generate([SimulatedProvider()])
    report = report_of(dataset.paths, dataset, shown=0)
    assert report.similar is not None
    shown = {sample.number: sample for sample in report.samples if "most similar pair" in sample.why}
    assert tuple(sorted(shown)) == report.similar.numbers
    assert all(sample.provenance is not None and sample.provenance.calls for sample in shown.values())


def test_calls_over_time_are_drawn_for_each_provider() -> None:
    dataset = raw().generate([SimulatedProvider("a"), SimulatedProvider("b")])
    report = report_of(dataset.paths, dataset)
    use = {"calls": 3, "retries": 1, "input_tokens": 40, "output_tokens": 2, "cost_usd": 0.5, "latency_s": 1.25}
    slots = [
        TimeSlot(
            begins=f"2026-01-0{day}T10:00:00+00:00",
            by_provider={name: UseInSlot(**{**use, "calls": day}) for name in names},
        )
        for day, names in ((1, ("one", "two")), (2, ("two",)), (3, ()))
    ]
    page = html_page(report.model_copy(update={"over_time": slots, "slot_s": 86_400}))
    for what in ("Replies", "Tokens", "Cost", "Requests sent again", "Latency"):
        assert f"{what} over time</text>" in page
    assert "01-02 10:00, two: 42 tokens" in page
    assert "two 3 replies in all; one 1 replies in all" in page
    assert "01-01 10:00, one: 1.25 s" in page
