"""`datafast templates`: the list, one template, and what it says about a wrong name."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.prompt_library import TEMPLATE_NAMES
from datafast.prompt_library.library import named_template, read_template


def test_the_list_has_a_line_for_each_template() -> None:
    lines = CliRunner().invoke(cli, ["templates"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(TEMPLATE_NAMES)
    assert all(line.endswith(named_template(name).summary) for line, name in zip(lines, TEMPLATE_NAMES, strict=True))
    listed = json.loads(CliRunner().invoke(cli, ["templates", "--json"]).stdout)
    assert [entry["name"] for entry in listed] == list(TEMPLATE_NAMES)


def test_a_printed_template_is_a_file_with_the_same_template(tmp_path: Path) -> None:
    for name in TEMPLATE_NAMES:
        (tmp_path / "own.yaml").write_text(CliRunner().invoke(cli, ["templates", name]).stdout, encoding="utf-8")
        assert read_template(tmp_path / "own.yaml") == named_template(name)
        printed = json.loads(CliRunner().invoke(cli, ["templates", name, "--json"]).stdout)
        assert printed["guidance"] == named_template(name).guidance


def test_a_wrong_name_gets_the_nearest_one() -> None:
    result = CliRunner().invoke(cli, ["templates", "domain/laws"])
    assert result.exit_code == 2
    assert "Did you mean 'domain/law'?" in result.output
