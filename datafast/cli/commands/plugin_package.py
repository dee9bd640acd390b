"""The package that `datafast init plugin NAME` writes: a kind, a provider, and a test of each."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from string import Template

from datafast.errors import ConfigError
from datafast.registry import BUILT_IN

__all__ = ["plugin_files"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
# Where each template goes in the package's folder.
_PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "kind.py": "src/{package}/kind.py",
    "provider.py": "src/{package}/provider.py",
    "test_kind.py": "tests/test_kind.py",
    "test_provider.py": "tests/test_provider.py",
}


def plugin_files(name: str | None) -> dict[str, str]:
    """The text of each file, by its path in the folder of the package.

    Raises:
        ConfigError: the name is missing, cannot be that of a package, or is taken.
    """
    package = _package(name)
    names = {"project": str(name), "package": package, "title": package.title().replace("_", "")}
    texts = files("datafast.cli.commands") / "templates" / "plugin"
    return {
        f"src/{package}/__init__.py": "",
        **{
            place.format(package=package): Template((texts / f"{file}.txt").read_text(encoding="utf-8")).substitute(
                names
            )
            for file, place in _PLACES.items()
        },
    }


def _package(name: str | None) -> str:
    if name is None:
        raise ConfigError("NAME is missing. Give the package a name: `datafast init plugin my-package`.")
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name) or iskeyword(package):
        raise ConfigError(
            f"{name!r} cannot be the name of a package. Use small letters, digits and single hyphens, as in my-package."
        )
    is_known = package in BUILT_IN["datafast.kinds"] or package in BUILT_IN["datafast.providers"]
    spec = find_spec(package)
    is_module = spec is not None and spec.origin is not None  # without an origin it is any folder that has the name
    if is_known or is_module or package in {"tests", *sys.stdlib_module_names}:
        raise ConfigError(f"The name {name!r} is taken by a module, a kind or a provider. Choose another one.")
    return package
