"""Kinds by name: built-in ones and those that other packages bring, through the same door."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.registry import kind_names, load_kind

PLUGIN = """
from datafast.datasets.raw import RawDataset

class PoemDataset(RawDataset):
    kind = "poem"

class Nameless(RawDataset):
    pass
"""


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a package on the path that offers kinds by entry points."""

    def offer(*lines: str) -> None:
        (tmp_path / "poems.py").write_text(PLUGIN, encoding="utf-8")
        metadata = tmp_path / "poems-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: poems\nVersion: 1.0\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text("[datafast.kinds]\n" + "\n".join(lines), encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "poems", raising=False)

    return offer


@pytest.mark.parametrize("name", ["raw", "classification", "preference"])
def test_the_built_in_kinds_are_there(name: str) -> None:
    assert name in kind_names()
    assert load_kind(name).kind == name


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'preference'") as caught:
        load_kind("prefrence")
    assert caught.value.key == "kind"


def test_the_kind_of_another_package_works_like_a_built_in_one(
    offer,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer("poem = poems:PoemDataset")
    monkeypatch.chdir(tmp_path)
    assert "poem" in kind_names()
    Path("c.yaml").write_text(
        "kind: poem\ndocument_types: [ode]\ntopics: [rain]\nproviders: [openai]\noutput_file: p.jsonl\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(cli, ["plan", "c.yaml", "--json"])
    assert json.loads(result.stdout)["kind"] == "poem"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("poem = poems:Missing", "cannot be loaded from poems:Missing"),
        ("poem = no_such_module:PoemDataset", "cannot be loaded from no_such_module:PoemDataset"),
        ("poem = poems:Nameless", "poems:Nameless is no dataset kind named 'poem'"),
        ("poem = os:path", "os:path is no dataset kind named 'poem'"),
    ],
)
def test_what_is_offered_and_is_no_kind_is_refused(offer, line: str, message: str) -> None:  # type: ignore[no-untyped-def]
    offer(line)
    with pytest.raises(ConfigError, match=message):
        load_kind("poem")


def test_a_name_that_two_packages_claim_is_refused_with_both_named(offer) -> None:  # type: ignore[no-untyped-def]
    offer("raw = poems:PoemDataset")
    with pytest.raises(
        ConfigError, match=r"offered more than once .*datafast\.datasets\.raw:RawDataset.*poems:PoemDataset"
    ):
        load_kind("raw")


def test_listing_the_names_imports_no_kind() -> None:
    script = "import sys; from datafast.registry import kind_names; kind_names(); print('pydantic' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
