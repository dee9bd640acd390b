"""`datafast plugins`: what is behind each door, its package, and what cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from datafast import __version__
from datafast.cli.main import cli
from datafast.registry import BUILT_IN

Offer = Callable[..., None]

POEMS = '''
print("poems are imported")
from datafast.datasets.raw import RawDataset

class PoemDataset(RawDataset):
    """Poems, e.g. odes. In any
    metre.
    """
    kind = "poem"

def write_txt(rows, path, row_model):
    pass
'''


def listed() -> dict[str, list[dict[str, Any]]]:
    result = CliRunner().invoke(cli, ["plugins", "--json"])
    assert result.exit_code == 0
    found: dict[str, list[dict[str, Any]]] = json.loads(result.stdout)
    return found


def of_package(package: str) -> list[tuple[str, str, str | None, str | None]]:
    return [
        (door, entry["name"], entry["summary"], entry["problem"])
        for door, entries in listed().items()
        for entry in entries
        if entry["package"] == package and entry["version"] == "1.0"
    ]


def test_everything_that_is_built_in_is_listed_with_a_line() -> None:
    found = listed()
    assert {f"datafast.{door}": [entry["name"] for entry in entries] for door, entries in found.items()} == {
        group: list(things) for group, things in BUILT_IN.items()
    }
    for entry in (entry for entries in found.values() for entry in entries):
        assert (entry["package"], entry["version"], entry["problem"]) == ("datafast", __version__, None)
        assert entry["summary"].endswith("."), entry
        assert len(entry["summary"]) < 200, entry


def test_what_a_package_adds_is_listed_with_its_first_sentence_and_its_version(offer: Offer) -> None:
    offer(
        "poems",
        {"poems.py": POEMS},
        entry_points="[datafast.kinds]\npoem = poems:PoemDataset\n[datafast.formats]\ntxt = poems:write_txt",
    )
    assert of_package("poems") == [("kinds", "poem", "Poems, e.g. odes.", None), ("formats", "txt", "", None)]
    result = CliRunner().invoke(cli, ["plugins"])
    assert "Poems, e.g. odes." in next(line for line in result.stdout.splitlines() if "poems 1.0" in line)


@pytest.mark.parametrize(
    ("group", "line", "problem"),
    [
        ("kinds", "poem = poems:Missing", "The kind 'poem' of the package poems cannot be loaded from poems:Missing"),
        ("columns", "poem = no_such_module:A", "cannot be loaded from no_such_module:A: ModuleNotFoundError"),
        ("providers", "poem = leaves:A", "SystemExit"),
        ("stages", "poem = os:path", "is not a stage named 'poem'"),
        ("formats", "csv = poems:write_txt", "datafast has a built-in one of that name"),
        ("commands", "poem = poems:write_txt", "a click.Command is expected"),
    ],
)
def test_what_cannot_be_used_is_named_and_harms_nothing_else(offer: Offer, group: str, line: str, problem: str) -> None:
    offer(
        "poems",
        {"poems.py": POEMS, "leaves.py": "raise SystemExit(7)"},
        entry_points=f"[datafast.{group}]\n{line}",
    )
    ((door, name, summary, told),) = of_package("poems")
    assert (door, name, summary) == (group, line.partition(" ")[0], None)
    assert problem in str(told)
    built_in = [entry for entries in listed().values() for entry in entries if entry["package"] == "datafast"]
    assert len(built_in) == sum(len(things) for things in BUILT_IN.values())
    assert all(entry["problem"] is None for entry in built_in)
    result = CliRunner().invoke(cli, ["plugins"])
    assert result.exit_code == 0
    assert any("poems 1.0" in line and "error: " in line and problem in line for line in result.stdout.splitlines())


def test_a_group_that_does_not_exist_is_named_with_the_nearest(offer: Offer) -> None:
    offer("poems", {"poems.py": POEMS}, entry_points="[datafast.kind]\npoem = poems:PoemDataset")
    told = "There is no group 'datafast.kind'. Did you mean 'datafast.kinds'?"
    assert of_package("poems") == [("kind", "poem", None, told)]
    assert told in CliRunner().invoke(cli, ["plugins"]).stdout


def test_a_name_that_two_packages_claim_is_listed_for_both(offer: Offer) -> None:
    offer("poems", {"poems.py": POEMS}, entry_points="[datafast.kinds]\npoem = poems:PoemDataset")
    offer("verses", {"verses.py": POEMS}, entry_points="[datafast.kinds]\npoem = verses:PoemDataset")
    for package in ("poems", "verses"):
        ((_, name, _, problem),) = of_package(package)
        assert name == "poem"
        assert "is offered more than once" in str(problem)
