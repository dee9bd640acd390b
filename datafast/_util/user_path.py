"""Paths as users write them: `~` is the home folder, wherever a path is given, and no path ends in an error of the system."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from datafast.errors import ConfigError

__all__ = ["is_file", "is_folder", "is_special", "user_path"]

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_LONGEST_NAME = 255  # of a file, on every system: in bytes, on Windows in letters


def user_path(given: str | Path) -> Path:
    """The path, with `~` and `~name` replaced by the folders that they mean.

    Raises:
        ConfigError: there is no such user, or no file can have such a name.
    """
    if _CONTROL.search(str(given)):
        raise ConfigError(f"{str(given)!r}: A path cannot hold control characters. Take them out.")
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{given}: There is no such home folder. Write the whole path.") from error
    for name in path.parts:
        if len(name if os.name == "nt" else name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
            raise ConfigError(
                f"{name[:40]}...: No file can have a name of more than {_LONGEST_NAME} bytes. Choose a shorter one."
            )
    return path


def is_file(path: Path) -> bool:
    """Whether there is such a file; not if that cannot be found out, because the way to it is closed for instance."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; not if that cannot be found out."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_dir()
    return False


def is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder, such as a device or a pipe."""
    with contextlib.suppress(OSError, ValueError):
        return path.exists() and not path.is_file() and not path.is_dir()
    return False
