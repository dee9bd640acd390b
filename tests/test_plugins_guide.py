"""The guide to packages that add to datafast: its package is installed as the page shows it, and everything it offers is used."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.registry import load_kind
from tests.doc_tables import ROOT

PAGE = (ROOT / "docs" / "guides" / "plugins.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def my_package(offer: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the package of the page, and writes its configs."""
    monkeypatch.chdir(tmp_path)
    files = {re.match(r"# (\S+)\n", body)[1]: body for body in [*blocks("python"), *blocks("yaml")]}  # type: ignore[index]
    (metadata,) = blocks("toml")
    groups = tomllib.loads(metadata)["project"]["entry-points"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{name} = {home}\n" for name, home in offered.items())
        for group, offered in groups.items()
    )
    modules = {name: body for name, body in files.items() if name.endswith(".py")}
    offer("my_package", {"my_package/__init__.py": "", **modules}, entry_points=points)
    for name in files.keys() - modules.keys():
        Path(name).write_text(files[name], encoding="utf-8")


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def rows(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines()]


def test_every_command_of_the_page_runs() -> None:
    for body in blocks("sh"):
        for line in body.splitlines():
            run(*shlex.split(line)[1:])
    assert sorted(str(row["season"]) for row in rows("haiku.jsonl")) == ["autumn", "spring"]
    assert [row["letters"] for row in rows("lengths.jsonl")] == [len(str(row["word"])) for row in rows("lengths.jsonl")]
    assert sorted(str(row["text"]) for row in rows("no_winter.jsonl")) == [
        "Write a haiku about autumn.",
        "Write a haiku about spring.",
    ]
    (shown,) = blocks("text")
    command, output = shown.splitlines()
    assert run(*shlex.split(command)[2:]).splitlines() == [output]


def test_the_kind_takes_the_provider_of_the_page_and_its_rows_the_format_of_the_page() -> None:
    from my_package.echo import EchoProvider  # type: ignore[import-not-found]

    from datafast.export.files import save_rows

    kind = load_kind("haiku")
    dataset = kind(kind.config_model(seasons=["winter"])).generate([EchoProvider()])
    assert [row.text for row in dataset.data_rows] == ["Write a haiku about winter."]
    saved = save_rows([row.model_dump() for row in dataset.data_rows], Path("haiku.txt"), row_model=kind.row_model)
    assert saved.read_text(encoding="utf-8") == "Write a haiku about winter.\n"
    (written,) = dataset.export("haiku.jsonl.headline", "headline")
    assert written.path.read_text(encoding="utf-8") == '{"headline":"# Write a haiku about winter."}\n'


def test_the_schema_of_a_config_knows_what_the_package_adds() -> None:
    schema = json.loads(run("schema"))
    assert "haiku" in schema["properties"]["kind"]["enum"]
    definitions = schema["$defs"]
    columns = definitions["ColumnsDatasetConfig"]["properties"]["columns"]["additionalProperties"]["oneOf"]
    stages = definitions["HaikuConfig"]["properties"]["quality"]["items"]["oneOf"]
    assert "LengthColumn" in [column["title"] for column in columns]
    assert "WithoutStage" in [stage["title"] for stage in stages]
    (providers,) = [form["properties"]["provider"] for form in definitions["provider"]["oneOf"] if "properties" in form]
    assert "echo" in providers["enum"]
