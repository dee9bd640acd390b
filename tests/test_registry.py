"""Kinds by name: built-in ones and those that other packages bring, through the same door."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.errors import ConfigError, DatafastWarning
from datafast.registry import BUILT_IN, kind_names, load_kind

Offer = Callable[..., None]

POEMS = """
from datafast.datasets.base import FanOutDataset
from datafast.datasets.raw import RawDataset

class PoemDataset(RawDataset):
    kind = "poem"

class Nameless(RawDataset):
    pass

class Unfinished(FanOutDataset):
    kind = "poem"
    config_model = RawDataset.config_model
    row_model = RawDataset.row_model
"""


@pytest.fixture
def offer_poem(offer: Offer) -> Offer:
    """Installs a package that offers kinds."""
    return lambda *lines: offer("poems", {"poems.py": POEMS}, entry_points="[datafast.kinds]\n" + "\n".join(lines))


@pytest.mark.parametrize("name", BUILT_IN["datafast.kinds"])
def test_the_built_in_kinds_are_there(name: str) -> None:
    assert name in kind_names()
    assert load_kind(name).kind == name


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        load_kind("prefrence")
    assert str(caught.value) == "There is no kind 'prefrence'. Did you mean 'preference'?"
    assert caught.value.key == "kind"


def test_the_kind_of_another_package_works_like_a_built_in_one(
    offer_poem: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_poem("poem = poems:PoemDataset")
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
        ("poem = poems:Missing", "The kind 'poem' of the package poems cannot be loaded from poems:Missing"),
        ("poem = no_such_module:PoemDataset", "cannot be loaded from no_such_module:PoemDataset"),
        ("poem = poems:Nameless", "poems:Nameless of the package poems is not a kind named 'poem'"),
        ("poem = poems:Unfinished", "is not a kind named 'poem': it does not define plan, produce"),
        ("poem = os:path", "os:path of the package poems is not a kind named 'poem'"),
    ],
)
def test_what_is_offered_and_is_no_kind_is_refused(offer_poem: Offer, line: str, message: str) -> None:
    offer_poem(line)
    with pytest.raises(ConfigError, match=message) as caught:
        load_kind("poem")
    assert caught.value.key == "kind"


def test_a_kind_that_cannot_be_loaded_is_left_out_of_the_schema_of_all(offer_poem: Offer) -> None:
    offer_poem("poem = poems:Missing")
    with pytest.warns(DatafastWarning, match=r"'poem' of the package poems cannot be loaded .* left out here"):
        result = CliRunner().invoke(cli, ["schema"])
    assert json.loads(result.stdout)["properties"]["kind"]["enum"] == list(BUILT_IN["datafast.kinds"])


def test_listing_the_names_imports_no_kind() -> None:
    script = "import sys; from datafast.registry import kind_names; kind_names(); print('pydantic' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_everything_that_is_built_in_can_be_loaded() -> None:
    from importlib.metadata import EntryPoint

    for group, things in BUILT_IN.items():
        for name, home in things.items():
            assert EntryPoint(name, home, group).load() is not None
