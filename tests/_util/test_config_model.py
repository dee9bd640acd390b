"""Configs as values: equal where their fields are, and paths in them as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from datafast import Tree, dataset, sample
from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.errors import ConfigError
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import (
    ClassificationDatasetConfig,
    ColumnsDatasetConfig,
    ConversationDatasetConfig,
    PreferenceDatasetConfig,
    RawDatasetConfig,
    RunConfig,
    TopicsConfig,
)

MADE: dict[str, Any] = {
    "raw": lambda **more: RawDatasetConfig(document_types=["log"], topics=["pumps"], **more),
    "classification": lambda **more: ClassificationDatasetConfig(
        classes=[{"name": "leak", "description": "Water."}],
        prompts=["{num_samples} {language_name} {label_name} {label_description} <<tone>>"],
        expansion={"placeholders": {"tone": ["dry"]}},
        **more,
    ),
    "preference": lambda **more: PreferenceDatasetConfig(input_documents=["Of pumps."], **more),
    "columns": lambda **more: ColumnsDatasetConfig(
        num_rows=2, columns={"level": {"type": "choice", "values": [1, 2]}}, **more
    ),
    "conversation": lambda **more: ConversationDatasetConfig(topics=["tides"], **more),
}


@pytest.mark.parametrize("kind", MADE)
def test_configs_with_equal_fields_are_equal(kind: str) -> None:
    make = MADE[kind]
    config = make(output_file="a.jsonl")
    assert config == make(output_file="a.jsonl") == make(output_file=Path("a.jsonl"))
    assert config != make(output_file="b.jsonl")
    assert config != make(output_file="a.jsonl", run={"seed": 4})
    assert config != config.model_dump()
    loaded = type(config).model_validate_json(config.model_dump_json())
    assert loaded == config
    RawDataset(MADE["raw"]()).get_num_expected_rows([1])
    assert config == config.model_copy()


def test_a_config_that_was_used_is_equal_to_one_that_was_not(tmp_path: Path) -> None:
    used = MADE["raw"](output_file=tmp_path / "a.jsonl")
    RawDataset(used).generate([SimulatedProvider("m")])
    assert used == MADE["raw"](output_file=tmp_path / "a.jsonl")


def test_configs_with_tables_can_be_compared() -> None:
    def config(table: pd.DataFrame) -> ColumnsDatasetConfig:
        return ColumnsDatasetConfig(num_rows=2, columns={"fact": {"type": "source", "source": table, "column": "fact"}})

    table = pd.DataFrame({"fact": ["a", "b"]})
    assert config(table) == config(table)
    assert config(table) != config(table.copy())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


@pytest.mark.parametrize("kind", MADE)
def test_a_tilde_in_the_paths_of_a_config_is_the_home(kind: str, home: Path) -> None:
    config = MADE[kind](output_file="~/a.jsonl", run=RunConfig(ledger="~/kept.sqlite"))
    assert (config.output_file, config.run.ledger) == (home / "a.jsonl", home / "kept.sqlite")
    config.output_file = "~/b.jsonl"
    assert config.output_file == home / "b.jsonl"


def test_a_tilde_is_the_home_wherever_a_path_is_given(home: Path) -> None:
    assert TopicsConfig(topic_prompt="Tides", file="~/topics.json").file == home / "topics.json"
    assert OpenAIProvider("m", "a key", ssl_ca="~/company.pem").ssl_ca == home / "company.pem"
    Tree.from_topics(["tides", "ice"]).save("~/topics.json")
    assert Tree.load("~/topics.json").to_text() == Tree.load(home / "topics.json").to_text()
    configure_logger(log_file="~/run.log")
    (home / "facts.csv").write_text("fact\nWater is wet.\n", encoding="utf-8")
    made = dataset({"fact": sample.from_dataset("~/facts.csv", "fact")}, output_file="~/rows.jsonl")
    made.generate_sync(1)
    made.save("~/rows.csv")
    assert {path.name for path in home.iterdir()} >= {"rows.jsonl", "rows.csv", "run.log", "topics.json"}


def test_a_tilde_is_the_home_in_yaml_and_on_the_command_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    config = home / "tides.yaml"
    config.write_text(
        "kind: raw\ndocument_types: [log]\ntopics: [tides]\nnum_samples_per_prompt: 1\noutput_file: ~/in-yaml.jsonl\n"
        "providers: [openai/gpt-5-mini]\n",
        encoding="utf-8",
    )
    run = CliRunner().invoke
    assert run(cli, ["generate", "~/tides.yaml", "--offline"]).exit_code == 0
    elsewhere = ["--output=~/given.jsonl", "--events=~/events.jsonl"]
    assert run(cli, ["generate", "~/tides.yaml", "--offline", *elsewhere]).exit_code == 0
    assert run(cli, ["status", "~/given.jsonl"]).exit_code == 0
    assert (home / "given.jsonl").exists()
    assert (home / "events.jsonl").exists()
    assert (home / "in-yaml.jsonl").exists()
    assert not (home / "~").exists()


def test_the_home_of_a_user_who_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"~nobody-of-that-name/a\.jsonl: There is no such home folder\."):
        MADE["raw"](output_file="~nobody-of-that-name/a.jsonl")
    with pytest.raises(ConfigError, match=r"There is no such home folder\. Write the whole path\.$"):
        Tree.load("~nobody-of-that-name/topics.json")
