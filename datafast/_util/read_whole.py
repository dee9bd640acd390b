"""Reading files that are read whole: none without a limit, so that a wrong name or a device cannot fill the memory."""

from __future__ import annotations

from pathlib import Path

from datafast.errors import ConfigError

__all__ = ["MIB", "read_whole"]

MIB = 2**20


def read_whole(path: Path, *, most_mb: int, what: str) -> bytes:
    """The bytes of a file.

    Args:
        most_mb: MiB that it may have.
        what: what it is meant to be, with its article.

    Raises:
        OSError: it cannot be read.
        ConfigError: it is longer.
    """
    with path.open("rb") as file:
        data = file.read(most_mb * MIB + 1)
    if len(data) > most_mb * MIB:
        raise ConfigError(f"{path}: The file has more than {most_mb} MiB, and {what} may have no more. Check its name.")
    return data
