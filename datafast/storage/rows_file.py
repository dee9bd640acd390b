"""The file of rows as a file: which one it is, also when another one has taken its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_at", "number_of", "opened"]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO | None]:
    """A file for reading; None if there is none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def number_of(file: BinaryIO) -> tuple[int, int]:
    """What tells a file from every other one that is there or open."""
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino


def is_at(path: Path, file: BinaryIO | None) -> bool:
    """Whether a path leads to a file that was opened, so that nothing has taken its place since."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return file is None
    return file is not None and os.path.samestat(found, os.fstat(file.fileno()))
