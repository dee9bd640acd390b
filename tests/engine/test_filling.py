"""What is missing is bought again: combinations of values that have lost all their rows, and only those."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import ConfigError, DatafastWarning, OutputError, RunStopped
from datafast.llms.base import Request
from datafast.schema.config import PromptExpansionConfig
from tests.support import CountingProvider, assert_balanced, raw, requests_in, rows_of

PROMPTS = ["A {document_type} on {topic} in {language_name}, <<tone>>, {num_samples}."]
TONES = {"placeholders": {"tone": ["calm", "dry", "warm"]}}
STAGE = [{"stage": "regex", "deny": ["bad"]}]


class _Model:
    """A model that says something bad, or nothing at all, the first times that it is asked about something.

    Args:
        bad, empty: parts of prompts, and how many first answers to each such prompt are so.
    """

    def __init__(
        self, folder: Path, *, bad: dict[str, int], empty: dict[str, int] | None = None, name: str = "m"
    ) -> None:
        self.log = folder / f"requests of {name}"
        self._bad, self._empty = bad, empty or {}
        self._asked: Counter[str] = Counter()
        self.provider = CountingProvider(name, log=self.log, reply=self._reply)

    def _reply(self, request: Request) -> str:
        prompt = request.messages[-1]["content"]
        self._asked[prompt] += 1
        number = self._asked[prompt]
        # Something that is asked again is a try for the same row: 3 tries for an empty answer.
        if any(part in prompt and number <= 3 * times for part, times in self._empty.items()):
            return ""
        is_bad = any(part in prompt and number <= times for part, times in self._bad.items())
        return f'{{"texts": ["{"bad" if is_bad else "good"} {number} about {prompt.split(" on ")[1]}"]}}'

    @property
    def calls(self) -> int:
        return len(requests_in(self.log)) if self.log.exists() else 0


def _dataset(folder: Path, **fields: Any) -> Any:
    """Two topics x two languages x three tones, one row each."""
    given = {
        "topics": ["ice", "tides"],
        "languages": {"en": "English", "fr": "French"},
        "prompts": PROMPTS,
        "expansion": PromptExpansionConfig(**TONES),
        "quality": STAGE,
        **fields,
    }
    return raw(folder, **given)


def _texts(folder: Path) -> list[str]:
    return sorted(row["text"] for row in rows_of(folder / "out.jsonl"))


def test_only_combinations_without_any_row_are_bought_again_and_the_rest_stays_to_the_byte(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 1}, empty={"tides in English, warm": 1})
    dataset = _dataset(tmp_path).generate([model.provider])
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written, report.filtered, report.failed) == (12, 10, 1, 1)
    before, calls = (tmp_path / "out.jsonl").read_bytes(), model.calls
    dataset.generate([model.provider], fill=True)
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written, report.filtered, report.failed) == (14, 12, 1, 1)
    assert model.calls == calls + 2
    assert (tmp_path / "out.jsonl").read_bytes().startswith(before)
    rows = rows_of(tmp_path / "out.jsonl")
    assert len({row["uuid"] for row in rows}) == 12
    assert len({(row["metadata"]["topic"], row["language"], row["metadata"]["tone"]) for row in rows}) == 12
    assert dataset.statistics().coverage.prompts_lost == 0
    assert all(one.lost == 0 for one in dataset.statistics(strength=3).coverage.of)


def test_the_rows_stay_without_a_request_and_nothing_is_bought_when_nothing_is_missing(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 1})
    dataset = _dataset(tmp_path).generate([model.provider]).generate([model.provider], fill=True)
    before, calls = (tmp_path / "out.jsonl").read_bytes(), model.calls
    assert _dataset(tmp_path).generate([model.provider]).report.requested == 13
    with pytest.warns(DatafastWarning, match="nothing is bought again"):
        dataset.generate([model.provider], fill=True)
    assert ((tmp_path / "out.jsonl").read_bytes(), model.calls) == (before, calls)
    assert dataset.get_num_expected_rows([model.provider]) == 13


def test_what_is_lost_again_is_drawn_once_more_each_time(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 3})
    dataset = _dataset(tmp_path).generate([model.provider])
    for number in (1, 2, 3):
        dataset.generate([model.provider], fill=True)
        report = assert_balanced(dataset.report)
        assert (report.requested, report.filtered) == (12 + number, min(3, 1 + number))
    assert "good 4 about ice in French, dry, 1." in _texts(tmp_path)


def test_a_combination_that_one_provider_has_answered_is_not_missing(tmp_path: Path) -> None:
    one = _Model(tmp_path, bad={"ice in French, dry": 1, "tides in English, warm": 1}, name="one")
    other = _Model(tmp_path, bad={"ice in French, dry": 1}, name="other")
    providers = [one.provider, other.provider]
    dataset = _dataset(tmp_path).generate(providers)
    assert (dataset.report.written, dataset.report.filtered) == (21, 3)
    calls = one.calls, other.calls
    dataset.generate(providers, fill=True)
    assert (dataset.report.requested, dataset.report.written, dataset.report.filtered) == (26, 23, 3)
    assert (one.calls, other.calls) == (calls[0] + 1, calls[1] + 1)
    # Without one of them, the rows of the other one stay, also what was bought again.
    dataset = _dataset(tmp_path).generate([other.provider])
    assert (dataset.report.requested, dataset.report.written, other.calls) == (13, 12, calls[1] + 1)


def test_a_combination_of_which_another_draw_has_a_row_is_not_missing(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 1, "tides in English, warm": 2})
    dataset = _dataset(tmp_path, num_rows=24).generate([model.provider])  # each combination twice
    assert (dataset.report.written, dataset.report.filtered) == (21, 3)
    calls = model.calls
    dataset.generate([model.provider], fill=True)
    assert (dataset.report.requested, dataset.report.written, model.calls) == (25, 22, calls + 1)
    assert "good 3 about tides in English, warm, 1." in _texts(tmp_path)


@pytest.mark.parametrize("providers", [1, 2, 3])
def test_more_rows_later_keep_what_was_bought_again(tmp_path: Path, providers: int) -> None:
    models = [_Model(tmp_path, bad={"ice": 1}, name=f"m{number}") for number in range(providers)]
    asked = [model.provider for model in models]
    dataset = _dataset(tmp_path, num_rows=10).generate(asked)
    dataset.generate(asked, fill=True)
    more = dataset.report.requested - 10
    assert more
    assert more % providers == 0
    before, calls = rows_of(tmp_path / "out.jsonl"), sum(model.calls for model in models)
    larger = _dataset(tmp_path, num_rows=17).generate(asked)
    assert larger.report.requested == 17 + more
    assert sum(model.calls for model in models) == calls + 7
    assert rows_of(tmp_path / "out.jsonl")[: len(before)] == before


def test_values_that_come_leave_what_was_bought_again_and_those_that_go_take_it_with_them(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 1, "tides in English, warm": 1})
    _dataset(tmp_path).generate([model.provider]).generate([model.provider], fill=True)
    calls = model.calls
    wider = _dataset(tmp_path, topics=["fog", "ice", "tides"]).generate([model.provider])
    assert (wider.report.requested, wider.report.written, model.calls) == (20, 18, calls + 6)
    narrower = _dataset(tmp_path, topics=["tides"]).generate([model.provider])
    assert (narrower.report.requested, narrower.report.written, model.calls) == (7, 6, calls + 6)
    back = _dataset(tmp_path).generate([model.provider])
    assert (back.report.requested, back.report.written, model.calls) == (14, 12, calls + 6)


def test_a_run_that_stops_early_goes_on_without_being_told_again(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice": 1})
    _dataset(tmp_path).generate([model.provider])
    calls = model.calls
    with pytest.raises(RunStopped):
        _dataset(tmp_path, run={"max_calls": calls + 2}).generate([model.provider], fill=True)
    rest = _dataset(tmp_path).generate([model.provider])
    assert (rest.report.requested, rest.report.written, rest.report.pending) == (18, 12, 0)
    assert model.calls == calls + 6


def test_what_is_pending_is_not_missing(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice": 1})
    with pytest.raises(RunStopped):
        _dataset(tmp_path, run={"max_calls": 6}).generate([model.provider])
    dataset = _dataset(tmp_path).generate([model.provider], fill=True)
    assert dataset.report.pending == 0
    assert dataset.report.requested == 12 + dataset.report.written - 6


def test_a_fresh_start_knows_nothing_of_it(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 1})
    dataset = _dataset(tmp_path).generate([model.provider]).generate([model.provider], fill=True)
    assert dataset.generate([model.provider], fresh=True).report.requested == 12
    assert _dataset(tmp_path).generate([model.provider]).report.requested == 12


def test_stages_decide_about_it_as_about_all_rows(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 1})
    _dataset(tmp_path).generate([model.provider]).generate([model.provider], fill=True)
    before = (tmp_path / "out.jsonl").read_bytes()
    without = _dataset(tmp_path, quality=[]).generate([model.provider])
    assert (without.report.requested, without.report.written) == (13, 13)
    _dataset(tmp_path).generate([model.provider])
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_replacements_come_first_and_what_they_do_not_bring_is_filled(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 3, "tides in English, warm": 1})
    dataset = _dataset(tmp_path, regenerate=1).generate([model.provider])
    assert (assert_balanced(dataset.report).written, model.calls) == (11, 14)
    dataset.generate([model.provider], fill=True)
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written, model.calls) == (13, 12, 16)
    assert "good 4 about ice in French, dry, 1." in _texts(tmp_path)


def test_failed_rows_of_further_draws_say_what_they_are_about(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={}, empty={"ice in French, dry": 2})
    dataset = _dataset(tmp_path).generate([model.provider]).generate([model.provider], fill=True)
    assert (dataset.report.requested, dataset.report.failed) == (13, 2)
    assert [failed.values["topic"] for failed in dataset.failed_items] == ["ice", "ice"]


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={})
    dataset = _dataset(tmp_path)
    with pytest.raises(OutputError, match="Nothing was made yet"):
        dataset.generate([model.provider], fill=True)
    dataset.generate([model.provider])
    for option in ("fresh", "retry_failed", "decide_only"):
        with pytest.raises(ConfigError, match="fill"):
            dataset.generate([model.provider], fill=True, **{option: True})
    with pytest.raises(ConfigError, match="target_rows"):
        _dataset(tmp_path, target_rows=5).generate([model.provider], fill=True)
    assert model.calls == 12


def test_an_estimate_of_it_is_what_it_buys(tmp_path: Path) -> None:
    model = _Model(tmp_path, bad={"ice in French, dry": 2})
    dataset = _dataset(tmp_path)
    with pytest.raises(OutputError, match="Nothing was made yet"):
        dataset.estimate([model.provider], fill=True)
    dataset.generate([model.provider])
    assert dataset.estimate([model.provider]).calls == 0
    found = dataset.estimate([model.provider], fill=True)
    assert (found.rows, found.calls) == (1, 1)
    assert found.output_tokens.low > 0
    assert dataset.estimate([model.provider]).calls == 0  # nothing was noted
    dataset.generate([model.provider], fill=True)
    dataset.generate([model.provider], fill=True)
    found = dataset.estimate([model.provider], fill=True)
    assert (found.calls, [note for note in found.notes if note.startswith("fill")]) == (
        0,
        ["fill: No combination of values has lost all its rows, so nothing is bought again."],
    )


def test_the_command_fills_and_plan_counts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = """
kind: raw
output_file: out.jsonl
document_types: [note]
topics: [ice, tides, fog, reefs]
num_samples_per_prompt: 1
providers: [{provider: simulated, model_id: m}]
quality: [{stage: keep_if, expression: "uuid[0] in '01234567'"}]
"""
    Path("config.yaml").write_text(config, encoding="utf-8")

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    run("generate", "config.yaml", "--json")
    dropped = 4 - len(rows_of(Path("out.jsonl")))
    assert dropped
    assert f'"items": {dropped},' in run("plan", "config.yaml", "--fill", "--json")
    assert "left to do          nothing" in run("plan", "config.yaml")
    run("generate", "config.yaml", "--fill", "--json")
    assert f'"rows": {4 + dropped},' in run("plan", "config.yaml", "--json")
