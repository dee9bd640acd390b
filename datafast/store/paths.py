"""Which files belong to an output, and that no file of a run is two things at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from datafast._util.manifest import MANIFEST
from datafast._util.remote import remote_url
from datafast.errors import ConfigError

__all__ = ["REVIEWS", "CopyOf", "OutputPaths", "UsedFile", "refuse_shared"]

REVIEWS = ".reviews"
"""What the name of the file with people's decisions about the rows of another one ends in."""


class CopyOf(NamedTuple):
    """What the files of an output are a temporary copy of.

    Attributes:
        name: what it is called, as the user has written it.
        place: a path on this machine, of which files have folder and name that are written beside an output.
        instead: what the user may do who wants to change it, as a sentence.
        files: those on this machine that the copy was made of.
    """

    name: str
    place: Path
    instead: str
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OutputPaths:
    """The JSONL and the files that go with it.

    Attributes:
        copy_of: what they are a copy of, which is there for a while and only to be read; None if they are the output itself.
        url: where they belong, if they are the files in the spool of a remote output.
    """

    rows: Path
    ledger: Path
    copy_of: CopyOf | None = None
    url: str = ""

    @classmethod
    def of(cls, output_file: str | Path, ledger: Path | None = None) -> OutputPaths:
        """The files of an output; raises ConfigError if it has no name, like `.` and `/`."""
        rows = Path(output_file)
        if (url := remote_url(output_file)) is not None:
            raise ConfigError(f"{url} is not on this machine, and what is asked for needs a file that is. Give one.")
        if not rows.name:
            raise ConfigError(f"{rows} is a folder. Give the file in it.")
        return cls(rows, ledger or _beside(rows, ".ledger"))

    @property
    def name(self) -> str:
        """What people are told that the output is called."""
        return self.url or (str(self.rows) if self.copy_of is None else self.copy_of.name)

    @property
    def place(self) -> Path:
        """The path of which files have folder and name that commands write beside the output. That of its rows, where they are no copy."""
        return self.rows if self.copy_of is None else self.copy_of.place

    def refuse_copy(self, why: str) -> None:
        """Refuses what can be done with an output alone, and not with a copy of it.

        Args:
            why: a sentence.

        Raises:
            ConfigError: these files are a copy; says why, and what the user may do instead.
        """
        if self.copy_of is not None:
            raise ConfigError(f"{self.name}: {why} {self.copy_of.instead}")

    @property
    def journal(self) -> Path:
        return _beside(self.ledger, "-replies")

    @property
    def manifest(self) -> Path:
        return _beside(self.rows, MANIFEST)

    @property
    def reviews(self) -> Path:
        """What people have decided about the rows; see `review_file`."""
        return _beside(self.rows, REVIEWS)

    def spool(self, name: str) -> Path:
        """A file for what goes into a batch, or comes from one. It is there only while the run needs it."""
        return _beside(self.ledger, f"-batch-{name}")

    @property
    def spools(self) -> list[Path]:
        """Those that a killed run has left."""
        return sorted(self.ledger.parent.glob(f"{glob.escape(self.ledger.name)}-batch-*"))

    @property
    def split_records(self) -> list[Path]:
        """The files beside the rows in which exports and pushes note which row is in which split; see `export.splits.record`."""
        return sorted(self.place.parent.glob(f"{glob.escape(self.place.name)}.splits-{'[0-9a-f]' * 8}"))

    @property
    def locks(self) -> list[Path]:
        """The locks that a run holds: that of its ledger, and that of its rows if the ledger is elsewhere.

        Where one of them is a link, also that of the file behind it, so that a file has one lock whatever its name.
        """
        rows, ledger = (Path(os.path.realpath(path)) for path in (self.rows, self.ledger))
        found: dict[str, Path] = {}
        for path in (self.ledger, _beside(self.rows, ".ledger"), ledger, _beside(rows, ".ledger")):
            lock = _beside(path, "-lock")
            found.setdefault(os.path.realpath(lock), lock)
        return list(found.values())

    @property
    def all(self) -> list[Path]:
        """The files that `--fresh` moves aside, in an order that loses nothing if it is interrupted.

        SQLite deletes a side file without its ledger, but a ledger without its side files is as it was when the journal began.
        """
        return [self.manifest, *self._of_sqlite, self.ledger, self.journal, self.reviews, self.rows]

    @property
    def _of_sqlite(self) -> list[Path]:
        return [_beside(self.ledger, "-wal"), _beside(self.ledger, "-shm")]

    def read(self) -> Iterator[UsedFile]:
        """Those that a command reads, as files that it must not write."""
        if self.copy_of is not None:
            for file in self.copy_of.files:
                yield UsedFile(self.copy_of.name, file, written=True)
            return
        yield UsedFile("FILE", self.rows, written=True)
        yield UsedFile("the ledger", self.ledger, written=True)
        yield UsedFile("the manifest", self.manifest, written=True)

    def used(self, rows: str, ledger: str) -> Iterator[UsedFile]:
        """All of them, as files that a run writes. `rows` and `ledger` name the fields that they come from."""
        yield UsedFile(rows, self.rows, written=True)
        yield UsedFile(rows, self.manifest, written=True)
        yield UsedFile(rows, self.reviews, written=True)
        yield UsedFile(ledger, self.ledger, written=True)
        for path in (*self._of_sqlite, self.journal, *self.locks):
            yield UsedFile(ledger, path, written=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


class UsedFile(NamedTuple):
    """A file that a run reads, or writes, moves and replaces. `what`: the field or option that names it, or the thing it is."""

    what: str
    path: Path
    written: bool


def refuse_shared(files: Iterable[UsedFile]) -> None:
    """Sees to it that no file of a run is written that has another use in it, whatever its names.

    Raises:
        ConfigError: names the file and both uses.
    """
    first: dict[object, UsedFile] = {}
    for file in files:
        other = first.setdefault(_identity(file.path), file)
        if other is not file and (file.written or other.written):
            raise ConfigError(
                f"{file.what}: {file.path} is also used as {other.what}. Give each of them a file of its own.",
                key=file.what,
            )


def _identity(path: Path) -> object:
    """The same for two names of one file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path))
    return found.st_dev, found.st_ino
