"""`datafast init plugin NAME`: the package is installed as its README says, and its tests are run where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from tests.support import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["init", "plugin", *words])
    assert result.exit_code == exit_code, result.output
    return result.stderr if exit_code else result.stdout


def python_of_an_environment(folder: Path) -> Path:
    """An environment in which everything of this one is at hand, and into which more can be installed."""
    venv.create(folder, with_pip=False)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    own = sysconfig.get_path("purelib")
    (site / "at_hand.pth").write_text(f"{ROOT}\n{own}\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", "venv", vars=paths)) / Path(sys.executable).name


def test_its_tests_are_green_once_it_is_installed(folder: Path) -> None:
    for needed in ("pip", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"a package cannot be built and installed here: there is no {needed}")
    written = json.loads(init("river_songs", "--json"))["written"]
    assert sorted(written) == sorted(
        path.relative_to(folder).as_posix() for path in (folder / "river_songs").rglob("*") if path.is_file()
    )
    python = python_of_an_environment(folder / "environment")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [python, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # Without isolation, so that the backend is the one at hand: nothing is downloaded.
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    run("pip", "install", *offline, "-e", "./river_songs")
    assert "5 passed" in run("pytest", "river_songs", "-W", "error", "-p", "no:cacheprovider")
    found = json.loads(run("datafast", "plugins", "--json"))
    added = [
        (door, entry["name"], entry["version"], entry["summary"])
        for door, entries in found.items()
        for entry in entries
        if entry["package"] == "river_songs"
    ]
    assert added == [
        ("kinds", "river_songs", "0.1.0", "A text about each topic."),
        ("providers", "river_songs", "0.1.0", "Models of a server with a format of its own."),
    ]
    # The folder of the project, which is beside the config, is not taken for the package.
    readme = (folder / "river_songs" / "README.md").read_text(encoding="utf-8")
    config = readme.partition("```yaml\n")[2].partition("```")[0]
    (folder / "river_songs.yaml").write_text(config, encoding="utf-8")
    run("datafast", "generate", "river_songs.yaml", "--offline")
    assert len((folder / "river_songs.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_the_kind_has_about_40_lines_and_the_provider_about_30(folder: Path) -> None:
    init("river-songs")
    package = folder / "river-songs" / "src" / "river_songs"
    for name, most in (("kind.py", 46), ("provider.py", 35)):
        assert len((package / name).read_text(encoding="utf-8").splitlines()) <= most


def test_a_folder_that_is_there_is_left_alone_and_moved_aside_on_request(folder: Path) -> None:
    (folder / "river-songs").mkdir()
    (folder / "river-songs" / "mine.txt").write_text("mine", encoding="utf-8")
    assert "river-songs is there already" in init("river-songs", exit_code=2)
    assert [path.name for path in (folder / "river-songs").iterdir()] == ["mine.txt"]
    (kept,) = json.loads(init("river-songs", "--force", "--json"))["kept"]
    assert (folder / kept / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert (folder / "river-songs" / "pyproject.toml").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "NAME is missing."),
        (["River"], "'River' cannot be the name of a package."),
        (["../songs"], "cannot be the name of a package."),
        (["class"], "'class' cannot be the name of a package."),
        (["json"], "The name 'json' is taken"),
        (["raw"], "The name 'raw' is taken"),
        (["openai-compatible"], "is taken"),
        (["pydantic"], "is taken"),
    ],
)
def test_a_name_that_no_package_can_have_is_refused(folder: Path, words: list[str], message: str) -> None:
    assert message in init(*words, exit_code=2)
    assert list(folder.iterdir()) == []


def test_a_kind_takes_no_name(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["init", "raw", "songs"])
    assert result.exit_code == 2
    assert "There is no use for 'songs'" in result.stderr
    assert list(folder.iterdir()) == []
