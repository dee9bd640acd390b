"""What shaped the texts of an output, and which combinations have no rows, as `dataset.statistics()` tells them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.datasets import MCQDataset
from datafast.llms.base import Request
from datafast.schema.config import MCQDatasetConfig, PromptExpansionConfig
from datafast.statistics import Statistics
from tests.support import CountingProvider, raw

_WORDS = [f"w{number}" for number in range(300)]


def _reply(request: Request) -> str | None:
    """Five texts that tell their tone by a word, their topic by its name, and nothing of their mood. None about dry fog."""
    prompt = request.messages[-1]["content"]
    if "dry, " in prompt and "fog" in prompt:
        return ""
    rng = random.Random(prompt)
    told = ["alas"] if "dry, " in prompt else ["hooray"] if "warm, " in prompt else ["hm"]
    named = [topic for topic in ("ice", "tides", "fog") if f"on {topic} " in prompt]
    return json.dumps({"texts": [" ".join([*rng.choices(_WORDS, k=20), *told, *named]) for _ in range(5)]})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shaping")
    made = raw(
        folder,
        topics=["ice", "tides", "fog"],
        languages={"en": "English"},
        prompts=["{num_samples} {document_type} on {topic} in {language_name}, <<tone>>, <<mood>>."],
        expansion=PromptExpansionConfig(
            placeholders={"tone": ["dry", "warm", "calm"], "mood": [f"mood {number}" for number in range(6)]}
        ),
        num_samples_per_prompt=5,
    )
    return made.generate([CountingProvider("m", log=folder / "log", reply=_reply)])


def test_what_shapes_texts_is_told_apart_from_what_does_not(dataset: Any) -> None:
    effects = {effect.name: effect for effect in dataset.statistics().effects}
    assert effects["tone"].accuracy > 0.9
    assert effects["tone"].effect_without_words > 0.8
    assert effects["topic"].accuracy > 0.9
    assert effects["topic"].effect_without_words < 0.3
    assert effects["mood"].is_at_chance
    assert dataset.statistics(effect_texts=0).effects == []
    assert max(effect.texts for effect in dataset.statistics(effect_texts=100).effects) == 100


def test_combinations_without_a_row_are_told(dataset: Any) -> None:
    coverage = dataset.statistics().coverage
    assert (coverage.prompts, coverage.prompts_lost, coverage.total.failed) == (54, 6, 30)
    lost = [one.values for axes in coverage.of for one in axes.lost_combinations]
    assert lost == [{"topic": "fog", "tone": "dry"}]
    assert dataset.statistics(strength=3).coverage.of[0].lost == 6
    assert Statistics.model_validate_json(dataset.statistics().model_dump_json()) == dataset.statistics()


def test_the_command_and_a_notebook_show_both(dataset: Any) -> None:
    result = CliRunner().invoke(cli, ["stats", str(dataset.paths.rows)])
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any(line.startswith("mood 6 ") and line.endswith("at chance") for line in lines)
    assert any(line.startswith("tone 3 ") and float(line.split()[-1]) > 0.8 for line in lines)
    assert "tone x topic 1 of 9 have lost all rows: dry + fog" in lines
    without = CliRunner().invoke(cli, ["stats", str(dataset.paths.rows), "--effects", "0"]).stdout
    assert "at chance" not in without
    html = dataset.statistics()._repr_html_()
    assert "at chance" in html
    assert "dry + fog" in html


def test_rows_of_one_document_do_not_tell_each_others_values(tmp_path: Path) -> None:
    # What is asked in seven languages about a document would be told by its words: its key is no effect of the prompt.
    rows = [
        {"text": f"The crane number {n} lifts {n} tons, says clerk{n}.", "id": f"doc {n % 3}-{n}"} for n in range(6)
    ]
    languages = {code: code.upper() for code in ("en", "fr", "de", "es", "it", "pt", "nl")}
    source = {"source": rows, "column": "text", "key": "id"}
    config = MCQDatasetConfig(
        source=source,
        languages=languages,
        num_samples_per_prompt=1,
        min_document_length=5,
        output_file=tmp_path / "mcq.jsonl",
    )
    provider = CountingProvider("m", log=tmp_path / "log")
    made = MCQDataset(config).generate([provider])
    found = made.statistics()
    assert found.grouping("document_key").num_values == 6
    assert [effect.name for effect in found.effects if effect.name == "document_key"] == []
    assert {effect.name for effect in found.effects} >= {"language"}


def test_a_file_without_a_ledger_has_effects_and_no_coverage(dataset: Any, tmp_path: Path) -> None:
    from datafast.statistics import measure
    from datafast.store.paths import OutputPaths

    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(dataset.paths.rows.read_bytes())
    found = measure(OutputPaths.of(copy))
    assert found.coverage is None
    assert {effect.name for effect in found.effects if not effect.is_at_chance} == {"tone", "topic"}
