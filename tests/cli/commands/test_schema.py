"""`datafast schema`: an editor that uses it accepts what the tool accepts, and marks what the tool refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from datafast.cli.main import cli
from tests.support import ROOT

GOOD = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps]
providers: [openai/gpt-5-mini]
"""
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def documented() -> Iterator[Any]:
    """Every whole config of the examples, the starters and the docs."""
    starters = ROOT / "datafast" / "config_files" / "starters"
    for path in sorted([*(ROOT / "examples").glob("*.yaml"), *starters.glob("*.yaml")]):
        yield pytest.param(path.read_text(encoding="utf-8"), id=f"{path.parent.name}/{path.name}")
    pages = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    for page in sorted(pages - {ROOT / "docs" / "guides" / "plugins.md"}):  # its kinds are those of another package
        blocks = [block for block in _BLOCK.findall(page.read_text(encoding="utf-8")) if "kind:" in block]
        for number, block in enumerate(blocks):
            yield pytest.param(block, id=f"{page.name} {number}")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(CliRunner().invoke(cli, ["schema"]).stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(validator: Draft202012Validator, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(YAML(typ="safe").load(text))]


@pytest.mark.parametrize("config", list(documented()))
def test_every_config_of_the_docs_is_fine(validator: Draft202012Validator, config: str) -> None:
    assert problems(validator, config) == []


COLUMNS = "kind: columns\noutput_file: rows.jsonl\nnum_rows: 3\ncolumns: {id: {type: uuid}}\n"


@pytest.mark.parametrize(
    "config",
    [
        GOOD,
        COLUMNS,
        f"{COLUMNS}providers: [openai/gpt-5-mini]\n",
        COLUMNS.replace("{type: uuid}", "{type: text, provider: writer, prompt: Say it.}")
        + "providers: {writer: openai/gpt-5-mini}\n",
        GOOD.replace("openai/gpt-5-mini", "{provider: ollama, model_id: 'gemma3:4b', temperature: 0.3}"),
    ],
)
def test_what_the_tool_accepts_is_fine(
    validator: Draft202012Validator, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(config, encoding="utf-8")
    assert CliRunner().invoke(cli, ["plan", "c.yaml"]).exit_code == 0
    assert problems(validator, config) == []


@pytest.mark.parametrize(
    "change",
    [
        ("kind: raw", "kind: rwa"),
        ("topics:", "topcs:"),
        ("[pumps]", "7"),
        ("[openai/gpt-5-mini]", "[]"),
        ("[openai/gpt-5-mini]", "openai/gpt-5-mini"),
        ("[openai/gpt-5-mini]", "[{provider: openai, temprature: 1}]"),
        ("output_file", "run: {max_concurency: 3}\noutput_file"),
    ],
    ids=lambda change: change[1],
)
def test_what_the_tool_refuses_is_marked(
    validator: Draft202012Validator, change: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = GOOD.replace(*change)
    Path("c.yaml").write_text(config, encoding="utf-8")
    assert CliRunner().invoke(cli, ["plan", "c.yaml"]).exit_code == 2
    assert problems(validator, config) != []
