"""Which combinations of values have rows, which are lost, and which are still to come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datafast.errors import RunStopped
from datafast.llms.base import Request
from datafast.schema.config import PromptExpansionConfig
from datafast.statistics.coverage import AxesCoverage, Combination, Coverage, coverage_of
from datafast.store.reader import LedgerReader
from tests.support import CountingProvider, raw

PROMPTS = ["A {document_type} on {topic} in {language_name}, <<tone>>, {num_samples}."]


def _dataset(folder: Path, **fields: Any) -> Any:
    """Two topics x two languages x three tones, one row each."""
    given = {
        "topics": ["ice", "tides"],
        "languages": {"en": "English", "fr": "French"},
        "prompts": PROMPTS,
        "expansion": PromptExpansionConfig(placeholders={"tone": ["calm", "dry", "warm"]}),
        **fields,
    }
    return raw(folder, **given)


def _coverage(dataset: Any, providers: int = 1, **how: Any) -> Coverage:
    plan = dataset.plan(["any"] * providers)
    if not dataset.paths.ledger.exists():
        return coverage_of(plan, None, **how)
    with LedgerReader(dataset.paths.ledger) as ledger:
        return coverage_of(plan, ledger, **how)


def _by_axes(coverage: Coverage) -> dict[tuple[str, ...], AxesCoverage]:
    return {tuple(sorted(found.axes)): found for found in coverage.of}


def _fails(part: str) -> Any:
    def reply(request: Request) -> str | None:
        return "" if part in request.messages[-1]["content"] else None

    return reply


def _values(found: AxesCoverage) -> list[dict[str, str]]:
    return [one.values for one in found.lost_combinations]


def test_before_a_run_everything_is_pending(tmp_path: Path) -> None:
    found = _coverage(_dataset(tmp_path))
    assert found.total == Combination(values={}, planned=12, written=0, filtered=0, failed=0, pending=12)
    assert found.axes == {"language": 2, "topic": 2, "tone": 3}
    assert (found.strength, found.items, found.items_looked_at, found.prompts, found.prompts_lost) == (2, 12, 12, 12, 0)
    pairs = {axes: (one.combinations, one.written, one.lost) for axes, one in _by_axes(found).items()}
    assert pairs == {("language", "topic"): (4, 0, 0), ("language", "tone"): (6, 0, 0), ("tone", "topic"): (6, 0, 0)}


def test_pairs_whose_rows_were_all_filtered_or_have_failed_are_lost(tmp_path: Path) -> None:
    stage = {"stage": "keep_if", "expression": "not (metadata.topic == 'ice' and metadata.tone == 'dry')"}
    dataset = _dataset(tmp_path, quality=[stage])
    provider = CountingProvider("m", log=tmp_path / "log", reply=_fails("tides in French, warm"))
    dataset.generate([provider])
    assert (dataset.report.written, dataset.report.filtered, dataset.report.failed) == (9, 2, 1)
    found = _coverage(dataset)
    assert found.total == Combination(values={}, planned=12, written=9, filtered=2, failed=1, pending=0)
    assert found.prompts_lost == 3
    axes = _by_axes(found)
    assert (axes["tone", "topic"].written, axes["tone", "topic"].lost) == (5, 1)
    (lost,) = axes["tone", "topic"].lost_combinations
    assert lost == Combination(
        values={"topic": "ice", "tone": "dry"}, planned=2, written=0, filtered=2, failed=0, pending=0
    )
    assert axes["language", "topic"].lost == axes["language", "tone"].lost == 0
    triples = _coverage(dataset, strength=3)
    assert triples.strength == 3
    (triple,) = triples.of
    assert (triple.combinations, triple.written, triple.lost) == (12, 9, 3)
    assert {tuple(sorted(values.values())) for values in _values(triple)} == {
        ("English", "dry", "ice"),
        ("French", "dry", "ice"),
        ("French", "tides", "warm"),
    }


def test_a_prompt_that_one_of_two_providers_has_answered_is_not_lost(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path)
    good = CountingProvider("good", log=tmp_path / "log")
    bad = CountingProvider("bad", log=tmp_path / "log", reply=_fails("ice"))
    dataset.generate([good, bad])
    found = _coverage(dataset, 2)
    assert (found.total.planned, found.total.written, found.total.failed) == (24, 18, 6)
    assert (found.prompts, found.prompts_lost) == (12, 0)
    axes = _by_axes(found)
    assert _values(axes["provider", "topic"]) == [{"provider": "simulated/bad", "topic": "ice"}]
    assert axes["tone", "topic"].lost == 0


def test_what_is_pending_is_not_lost(tmp_path: Path) -> None:
    stage = {"stage": "keep_if", "expression": "metadata.tone != 'dry'"}
    dataset = _dataset(tmp_path, quality=[stage], run={"max_calls": 6})
    provider = CountingProvider("m", log=tmp_path / "log")
    with pytest.raises(RunStopped):
        dataset.generate([provider])
    total = _coverage(dataset).total
    assert total.pending == 6
    assert (total.written, total.filtered) == (dataset.report.written, dataset.report.filtered)


def test_a_changed_config_is_counted_by_what_it_asks_for(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "log")
    _dataset(tmp_path).generate([provider])
    found = _coverage(_dataset(tmp_path, topics=["glaciers", "tides"]))
    assert (found.total.planned, found.total.written, found.total.pending) == (12, 6, 6)


def test_rows_of_an_item_count_by_themselves(tmp_path: Path) -> None:
    dataset = raw(
        tmp_path, topics=["ice", "tides"], num_samples_per_prompt=4, quality=[{"stage": "regex", "deny": ["a"]}]
    )
    provider = CountingProvider("m", log=tmp_path / "log", reply=lambda request: '{"texts": ["a", "b", "c c", "a a"]}')
    dataset.generate([provider])
    found = _coverage(dataset)
    assert (found.total.planned, found.total.written, found.total.filtered) == (8, 4, 4)
    assert found.strength == 1
    assert [one.axes for one in found.of] == [["topic"]]


def test_a_plan_without_any_choice_has_no_combinations(tmp_path: Path) -> None:
    found = _coverage(raw(tmp_path, topics=["ice"]))
    assert (found.axes, found.of, found.prompts) == ({}, [], 1)


def test_a_large_plan_is_looked_at_in_a_sample_and_axes_with_many_values_are_left_out(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, topics=[f"topic {number}" for number in range(3000)])
    provider = CountingProvider("m", log=tmp_path / "log")
    dataset.generate([provider], limit=50)
    found = _coverage(dataset, most_items=2000)
    assert (found.items, found.items_looked_at) == (18_000, 2000)
    assert found.total.planned == 2000
    assert 0 < found.total.written < 30
    assert found.left_out == ["topic"]
    assert [one.axes for one in found.of] == [["language", "tone"]]
    assert found.of[0].combinations == 6
    assert _coverage(dataset, most_items=2000) == found


def test_placeholders_that_only_some_templates_have_count_where_they_are(tmp_path: Path) -> None:
    plain = "A {document_type} on {topic} in {language_name}, {num_samples}."
    found = _coverage(_dataset(tmp_path, prompts=[*PROMPTS, plain]))
    axes = _by_axes(found)
    assert found.axes["template"] == 2
    assert axes["template", "tone"].combinations == 3
    assert axes["template", "topic"].combinations == 4
    assert Coverage.model_validate_json(found.model_dump_json()) == found
