"""The outputs that a viewer shows: one file, or all that are found in a folder.

Guarantee: an id in an address is looked up among what was found, and never made a path of. Nothing is written, and a file that cannot be
read is an output like any other. Cost: a look into a folder takes a listing of it and of the folders in it, to a depth of 5.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from datafast._util.user_path import is_file, is_folder
from datafast.errors import ConfigError, OutputError
from datafast.sources.finding import ending_of
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.review_state import Disagreement
from datafast.view.copies import dropped_rows, failed_rows, source_rows
from datafast.view.index import RowIndex
from datafast.view.tables import Table

__all__ = ["FileState", "Output", "Outputs", "Part", "closed_told"]

Part: TypeAlias = Literal["rows", "dropped", "failed"]

_ENDINGS = {".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".parquet", ".arrow", ".feather"}
_LIST = re.compile(rb"\s*\[\s*\{")  # the rows of a JSON file
_TOPICS = b"datafast-topics"
_HEAD = 100
_LEDGER = ".ledger"
_DEPTH = 5
_MOST = 20_000
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]+")


class FileState(NamedTuple):
    """What tells whether the files of an output have changed: their sizes and times; 0 where there is no file."""

    rows_size: int
    rows_time_ns: int
    ledger_size: int
    ledger_time_ns: int
    log_time_ns: int


class Output:
    """One file of rows, and what belongs to it.

    Attributes:
        id: of the output in addresses: the same as long as the file is where it is.
        name: to show: its path below the folder that is shown.
        path: of the file of rows.
        paths: of all its files.
    """

    def __init__(self, path: Path, name: str, ledger: Path | None = None) -> None:
        self.path = path
        self.paths = OutputPaths.of(path, ledger)
        self.name = name
        self.id = f"{_NOT_IN_IDS.sub('-', path.name)[:60]}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
        self._lock = threading.Lock()
        self._known: tuple[FileState, Any] | None = None
        self._tables: dict[Part, Table] = {}

    @property
    def has_ledger(self) -> bool:
        return is_file(self.paths.ledger)

    @property
    def state(self) -> FileState:
        """Changes whenever its files do."""
        ledger = self.paths.ledger
        rows, noted, log = (_stat(file) for file in (self.path, ledger, ledger.with_name(f"{ledger.name}-wal")))
        return FileState(*rows, *noted, log[1])

    def reader(self) -> LedgerReader:
        """Its ledger, for `with`.

        Raises:
            OutputError: it has none, or it cannot be read.
        """
        if not self.has_ledger:
            raise OutputError(f"{self.path} has no ledger beside it, so nothing is known of it but its rows.")
        return LedgerReader(self.paths.ledger)

    @property
    def dataset(self) -> Any:
        """The dataset that made it; None where that is not known here.

        Raises:
            OutputError: the ledger cannot be read.
        """
        if not self.has_ledger:
            return None
        from datafast.datasets.loaded import dataset_of  # a viewer starts faster without

        with self._lock:
            state = self.state
            if self._known is None or self._known[0] != state:
                with self.reader() as reader:
                    self._known = state, dataset_of(reader)
            return self._known[1]

    @property
    def model(self) -> Any:
        """The model of its rows; None where that is not known."""
        dataset = self.dataset
        return None if dataset is None else dataset.written_model

    @property
    def disagreement(self) -> Disagreement:
        """What its runs make of reviewers who disagree."""
        dataset = self.dataset
        return "reject" if dataset is None else dataset.config.disagreement

    @cached_property
    def is_jsonl(self) -> bool:
        """Whether its rows are the lines of the file: it is JSONL, or an output of ours, of whatever name."""
        return self.path.suffix.lower() in {".jsonl", ".ndjson"} or (
            self.has_ledger and _TOPICS not in _head(self.path)
        )

    @cached_property
    def rows(self) -> RowIndex:
        """Its rows by their numbers, counted from 0 (addresses and readers count from 1). Of a file that is not JSONL they are copied."""
        return RowIndex(self.path) if self.is_jsonl else source_rows(self.path)

    def table(self, part: Part = "rows") -> Table:
        """The table of its rows, or of those that its ledger has besides: dropped rows, failed items."""
        with self._lock:
            if part not in self._tables:
                self._tables[part] = Table(self._part(part))
            return self._tables[part]

    def _part(self, part: Part) -> RowIndex:
        if part == "rows":
            return self.rows
        if part == "dropped":
            return dropped_rows(self.paths.ledger, lambda: self.state)
        return failed_rows(self.paths.ledger, lambda: self.state, lambda: self.dataset)

    def __repr__(self) -> str:
        return f"<Output {self.id}: {self.path}>"


class Outputs:
    """The outputs of a file or a folder, looked for anew whenever they are asked for.

    Args:
        place: the file, or the folder.
        ledger: of the file, where it is not beside it.
        is_coming: the file need not be there yet.

    Raises:
        ConfigError: there is neither, or a ledger is given for a folder.
    """

    def __init__(self, place: Path, *, ledger: Path | None = None, is_coming: bool = False) -> None:
        self.place = Path(os.path.abspath(place))  # noqa: PTH100 - links stay what they are
        self.is_folder = is_folder(self.place)
        self._known: dict[str, Output] = {}
        self._by_path: dict[Path, Output] = {}
        self.is_cut = False
        if self.is_folder:
            if ledger is not None:
                raise ConfigError(
                    f"--ledger: It belongs to one output, and {place} is a folder. Give the file of rows."
                )
            return
        one = Output(self.place, self.place.name, ledger)
        if not is_coming and not is_file(one.path) and not one.has_ledger:
            raise ConfigError(f"There is no file or folder {place}. Give an output file, or the folder that it is in.")
        self._known[one.id] = one

    def all(self) -> list[Output]:
        """What there is now, by name."""
        if not self.is_folder:
            return list(self._known.values())
        found: list[Output] = []
        for path in _rows_in(self.place):
            output = self._by_path.get(path)
            if output is None:
                output = Output(path, path.relative_to(self.place).as_posix())
                self._by_path[path] = output
            found.append(output)
            if len(found) >= _MOST:
                break
        self.is_cut = len(found) >= _MOST
        self._known = {output.id: output for output in found}
        return sorted(found, key=lambda output: output.name)

    def get(self, name: str) -> Output | None:
        """The output with an id."""
        if name not in self._known and self.is_folder:
            self.all()
        return self._known.get(name)


def closed_told(error: OSError) -> str:
    """What is said of a file that the system does not let be read."""
    return f"{error.filename} cannot be read: {error.strerror}. Check that it is there, and that you may read it."


def _rows_in(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The files of rows in a folder and in those below it; of an output whose rows are gone, where they were."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # it is closed to us, or gone
        return
    files = {entry.name for entry in entries if _may_be_read(entry)}
    named = {name.removesuffix(_LEDGER) for name in files if name.endswith(_LEDGER)}
    for name in sorted(files | named):
        if name in named or (not name.startswith(".") and _may_be_rows(folder / name)):
            yield folder / name
    if depth < _DEPTH:
        for entry in entries:
            if _is_folder(entry) and not entry.name.startswith(".") and entry.name not in _SKIPPED:
                yield from _rows_in(folder / entry.name, depth + 1)


def _may_be_rows(path: Path) -> bool:
    ending = ending_of(path.name)
    return ending in _ENDINGS or (path.suffix.lower() == ".json" and _LIST.match(_head(path)) is not None)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to none; a look into a pipe or a device may never end."""
    try:
        return entry.is_file() or not Path(entry.path).exists()
    except OSError:  # a link that leads in a circle
        return True


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
