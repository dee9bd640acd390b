"""`constraints.txt` has a version for everything that pyproject.toml asks for, on every Python and platform that we support."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "constraints.txt").read_text("utf-8")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "linux-arm": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "aarch64",
    },
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}


def locked() -> list[Requirement]:
    return [Requirement(line) for line in LOCK.splitlines() if line and not line.startswith("#")]


def wanted() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    listed = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    found = [Requirement(line) for line in [*listed, *PROJECT["build-system"]["requires"]]]
    return [requirement for requirement in found if requirement.name != "datafast"]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_version_that_it_allows(python: str, platform: str) -> None:
    environment = {**PLATFORMS[platform], "python_version": python, "python_full_version": f"{python}.1"}
    versions: dict[str, list[str]] = {}
    for line in locked():
        if line.marker is None or line.marker.evaluate(environment):
            versions.setdefault(canonicalize_name(line.name), []).append(str(line.specifier))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    for requirement in wanted():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (found,) = versions.get(canonicalize_name(requirement.name), ["missing"])
            assert found.startswith("=="), f"{requirement}: run .ci/lock"
            assert requirement.specifier.contains(found[2:], prereleases=True), (
                f"{requirement} is {found}: run .ci/lock"
            )


def test_the_build_backend_is_pinned_with_all_that_it_needs() -> None:
    pins = {line.name: str(line.specifier) for line in map(Requirement, PROJECT["build-system"]["requires"])}
    assert {"editables", "hatchling"} <= pins.keys()
    assert {name for name, pin in pins.items() if not re.fullmatch(r"==[\w.]+", pin)} == set()


def test_it_can_be_used_as_constraints_of_any_index() -> None:
    # pip refuses extras and hashes there: a hash of one package would be asked of the local tree as well.
    assert [line.name for line in locked() if line.extras or line.url] == []
    assert "--" not in LOCK
    assert "://" not in LOCK
