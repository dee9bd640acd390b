"""Where rows went in earlier exports: a file beside the rows.

Only groups that can merge when rows are added need it, and only where splits are to be stable: a cluster's split cannot be read from its
rows once it has joined with another one. It has 9 bytes for each row, also for those that are not there any more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datafast._util.atomic_write import write_whole
from datafast._util.digest import digest, hashed
from datafast.errors import ConfigError, OutputWriteError

if TYPE_CHECKING:
    from datafast.export.splits.splitting import Splitting

__all__ = ["NO_SPLIT", "SplitRecord"]

NO_SPLIT = 255
_MAGIC = b"splits 1\n"
_DIGEST = 16


class SplitRecord:
    """The splits of rows, by the hashes of their uuids.

    Args:
        path: the file.

    Raises:
        ConfigError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hashes, self._splits = _read(path)

    @classmethod
    def beside(cls, source: Path, splitting: Splitting) -> SplitRecord:
        """That of the rows of a file, for splits that are made in this way. Others have others."""
        settings = [splitting.train_size, splitting.validation_size, splitting.seed, sorted(splitting.group)]
        return cls(source.with_name(f"{source.name}.splits-{digest(_MAGIC, json.dumps(settings)).hex()[:8]}"))

    def splits_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """The split of each row by number; NO_SPLIT where it is not known."""
        found = np.full(len(hashes), NO_SPLIT, np.uint8)
        if len(self._hashes):
            places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
            found = np.where(self._hashes[places] == hashes, self._splits[places], found)
        return found

    def add(self, hashes: NDArray[np.uint64], splits: NDArray[np.uint8]) -> None:
        """Takes the splits of rows that are not known yet; NO_SPLIT is left out."""
        new = splits != NO_SPLIT
        self._hashes, first = np.unique(np.concatenate([self._hashes, hashes[new]]), return_index=True)
        self._splits = np.concatenate([self._splits, splits[new]])[first]

    def save(self) -> None:
        """Writes the file, completely or not at all.

        Raises:
            OutputWriteError: it cannot be written.
        """
        try:
            data = _MAGIC + self._hashes.astype("<u8").tobytes() + self._splits.tobytes()
            write_whole(self._path, data + hashed(data))
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write {self._path}: {error.strerror or error}. It says which rows are in which split, so that none moves when "
                "rows are added. Copy the rows to a folder that can be written to, or leave out stable."
            ) from error


def _read(path: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint8)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}. It says which rows are in which split."
        ) from error
    data = whole[:-_DIGEST]
    if not data.startswith(_MAGIC) or hashed(data) != whole[-_DIGEST:]:
        raise _damaged(path)
    count = (len(data) - len(_MAGIC)) // 9
    hashes = np.frombuffer(data, "<u8", count, len(_MAGIC)).astype(np.uint64)
    return hashes, np.frombuffer(data, np.uint8, count, len(_MAGIC) + 8 * count)


def _damaged(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is damaged. It says which rows are in which split. Get it back from a copy, or move it away: then all rows are divided "
        "anew, and some may move."
    )
