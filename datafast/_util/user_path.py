"""Paths as users write them: `~` is the home folder, wherever a path is given."""

from __future__ import annotations

from pathlib import Path

from datafast.errors import ConfigError

__all__ = ["user_path"]


def user_path(given: str | Path) -> Path:
    """The path, with `~` and `~name` replaced by the folders that they mean.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{given}: There is no such home folder. Write the whole path.") from error
