"""Commented configs to start from, one for each kind."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError

__all__ = ["starter", "starter_kinds"]


def starter_kinds() -> list[str]:
    """The kinds that there is one for."""
    names = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def starter(kind: str) -> str:
    """The text of one, for a file KIND.yaml.

    Raises:
        ConfigError: there is none for this kind.
    """
    kinds = starter_kinds()
    if kind not in kinds:
        raise ConfigError(f"There is no starter config for the kind {kind!r}. {did_you_mean(kind, kinds)}")
    return (_folder() / f"{kind}.yaml").read_text(encoding="utf-8").replace("FILE", f"{kind}.yaml")


def _folder() -> Traversable:
    return files("datafast.config_files") / "starters"
