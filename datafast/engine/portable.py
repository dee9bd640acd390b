"""How files of this machine are told where others read it: in manifests and archives. What is not below the folder has its name alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["command_shown", "config_shown", "found_again", "place_shown"]


def place_shown(path: str | Path, folder: str | Path) -> str:
    """A path without the folder that it is relative to, if it is a whole one."""
    found = Path(path)
    if not found.is_absolute():
        return str(path)
    return str(found.relative_to(folder)) if found.is_relative_to(folder) else found.name


def command_shown(command: str, folder: str | Path) -> str:
    """The same of all paths of a command."""
    return shlex.join(_word(word, folder) for word in shlex.split(command))


def config_shown(config: Any, folder: str | Path) -> Any:
    """The same of all whole paths of files and folders in a config."""
    if isinstance(config, dict):
        return {name: config_shown(value, folder) for name, value in config.items()}
    if isinstance(config, list):
        return [config_shown(value, folder) for value in config]
    return place_shown(config, folder) if _is_whole(config) and os.path.lexists(config) else config


def found_again(config: Any, folders: Sequence[Path]) -> Any:
    """A config in which files and folders that are not where they were stand where they are now, if that is in one of the folders, or
    below one by a part of their former path."""
    if isinstance(config, dict):
        return {name: found_again(value, folders) for name, value in config.items()}
    if isinstance(config, list):
        return [found_again(value, folders) for value in config]
    if not _is_whole(config) or os.path.lexists(config):
        return config
    parts = Path(config).parts
    places = (folder.joinpath(*parts[start:]) for start in range(1, len(parts)) for folder in folders)
    return next((str(place) for place in places if os.path.lexists(place)), config)


def _is_whole(value: Any) -> bool:
    """Whether a value of a config is a whole path, or looks like one. There may be a million texts, so no paths are made of them."""
    return isinstance(value, str) and os.path.isabs(value)  # noqa: PTH117 - a tenth of the time


def _word(word: str, folder: str | Path) -> str:
    option, equals, value = word.partition("=")
    return f"{option}={place_shown(value, folder)}" if equals and option.startswith("-") else place_shown(word, folder)
