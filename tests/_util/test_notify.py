"""The sentence about a name that does not exist; the place that a warning names."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from datafast._util.notify import did_you_mean
from datafast.errors import DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.quality.length import LengthStage
from datafast.schema.config import PromptExpansionConfig, RawDatasetConfig
from tests.support import raw


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("topcs", ["topics", "languages"], "Did you mean 'topics'?"),
        (" TOPICS", ["topics", "languages"], "Did you mean 'topics'?"),
        ("xyz", ["topics", "languages"], "Known: topics, languages."),
        ("max_turn", ["max_turns", "max_tokens"], "Did you mean 'max_turns'?"),
        ("max_tokens", ["max_turns", "topics"], "Known: max_turns, topics."),
        ("max_tokens", ["max_turns", "max_completion_tokens"], "Did you mean 'max_completion_tokens'?"),
        ("tokens", ["max_turns", "max_completion_tokens"], "Did you mean 'max_completion_tokens'?"),
        ("key", ["api_key", "api_key_env", "topics"], "Did you mean 'api_key'?"),
        ("outputfile", ["output_file"], "Did you mean 'output_file'?"),
        ("num_samples", ["num_samples_per_prompt", "num_rows"], "Did you mean 'num_samples_per_prompt'?"),
        ("num_samples", ["num_rows", "num_steps"], "Known: num_rows, num_steps."),
        ("llms", ["providers"], "Did you mean 'providers'?"),
        ("base_url", ["api_base", "base"], "Did you mean 'api_base'?"),
        ("gpt-4.1-mnii", ["gpt-4.1", "gpt-4.1-mini"], "Did you mean 'gpt-4.1-mini'?"),
        ("xyz", [], "There are none."),
        ("xyz", [f"n{number}" for number in range(40)], f"Known: {', '.join(f'n{n}' for n in range(40))}."),
        ("xyz", [f"n{number}" for number in range(42)], f"Known: {', '.join(f'n{n}' for n in range(40))} and 2 more."),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_the_nearest_or_with_those_there_are(
    name: str, known: list[str], sentence: str
) -> None:
    assert did_you_mean(name, known) == sentence


def test_a_warning_from_a_thread_of_ours_names_the_package_and_no_file_of_it(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw(tmp_path, quality=[LengthStage(min_words=1000)]).generate([SimulatedProvider()])
    (ours,) = [warning for warning in caught if issubclass(warning.category, DatafastWarning)]
    assert (ours.filename, ours.lineno) == ("datafast", 0)
    assert "All 6 rows were filtered" in str(ours.message)


def test_a_warning_about_a_config_names_the_line_that_made_the_config() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        RawDatasetConfig(
            document_types=["note"],
            topics=["a"],
            output_file="rows.jsonl",
            expansion=PromptExpansionConfig(placeholders={"x": ["1"]}),
        )
    ours = next(warning for warning in caught if issubclass(warning.category, DatafastWarning))
    assert ours.filename == __file__
    assert "No prompt uses x" in str(ours.message)
