"""Writing files completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

__all__ = ["force", "whole_file", "whole_folder", "write_whole"]


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives the name of a new file to write, which replaces `path` when the block ends without an error. Makes missing folders.

    The new file gets the usual permissions and is on the disk before an older one is replaced. If the block raises, nothing is
    left behind. Pipes and devices, like /dev/stdout, are never replaced.

    Raises:
        OSError: it cannot be written, or `path` is there and no file.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "it is a pipe or a device, and no file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        yield new
        force(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path, like: Sequence[str]) -> Iterator[Path]:
    """Gives the name of a new folder to make, which becomes `path` when the block ends without an error. An older folder of that name is
    replaced if nothing else is in it than such folders have.

    Args:
        like: patterns of the names of files in such folders.

    Raises:
        OSError: it cannot be made, or `path` is a file or another folder.
    """
    for entry in path.iterdir() if path.is_dir() else ():
        if entry.is_dir() or not any(fnmatchcase(entry.name, pattern) for pattern in like):
            raise FileExistsError(
                errno.EEXIST, f"there is a folder with other things in it, like {entry.name}", str(path)
            )
    if path.exists() and not path.is_dir():
        raise FileExistsError(errno.EEXIST, "there is a file of that name", str(path))
    path = path.absolute()  # so that "." has a name
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        yield new
        if path.exists():
            old = path.with_name(f"{new.name}.old")
            path.replace(old)
            new.replace(path)
            shutil.rmtree(old)
        else:
            new.replace(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file completely or not at all; see `whole_file`."""
    with whole_file(path) as new:
        new.write_bytes(data)


def force(path: Path) -> None:
    """Forces a file to the disk, or the names in a folder where the system can. Raises OSError if that fails."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)  # Windows forces only what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
