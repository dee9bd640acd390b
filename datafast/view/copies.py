"""Rows that are not the lines of a file: those of Parquet, CSV and JSON, and what a ledger has of dropped rows and failed items.

They are written as lines into a temporary file, in the background, and read from there while it grows. Where their source changes, they are
written anew. The file goes with the object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from threading import RLock, Thread
from typing import Any

import orjson

from datafast._util.scratch import Scratch
from datafast.errors import DatafastError
from datafast.plan.items import row_uuid
from datafast.sources import open_source
from datafast.store.failures import FailedItems, values_of
from datafast.store.reader import LedgerReader
from datafast.view.index import Counted, RowIndex

__all__ = ["CopiedRows", "dropped_rows", "failed_rows", "source_rows"]

Rows = Callable[[], Iterator[dict[str, Any]]]

_FIRST = 200
_AT_ONCE = 500
_PAUSE_S = 5.0
_PAUSES = 10  # times the last copy took


class CopiedRows(RowIndex):
    """Rows from anywhere, by their numbers.

    Args:
        rows: gives them.
        state: changes when they do.

    Attributes:
        problem: why they cannot be read, or not all of them; None while they can.
    """

    def __init__(self, rows: Rows, state: Callable[[], object]) -> None:
        self.problem: str | None = None
        self._rows = rows
        self._state_of = state
        self._copied: object = None
        self._ended_at, self._took = 0.0, 0.0
        self._scratch = Scratch()
        self._scratch.remove_with(self)
        self._starting = RLock()
        self._thread: Thread | None = None
        super().__init__(self._scratch.folder / "rows.jsonl")

    @property
    def is_copying(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def count(self) -> Counted:
        found = super().count()
        return Counted(found.rows, exact=False) if self.is_copying else found

    def refresh(self) -> None:
        with self._starting:
            state = self._state_of()
            is_due = time.monotonic() - self._ended_at >= min(_PAUSE_S, _PAUSES * self._took)
            if state != self._copied and not self.is_copying and (self._copied is None or is_due):
                self._copied = state
                self._thread = Thread(target=_copy, args=(self._rows, self.path, self._told), daemon=True)
                self._thread.start()
        super().refresh()

    def _told(self, problem: str | None, seconds: float) -> None:
        self.problem, self._took, self._ended_at = problem, seconds, time.monotonic()

    def wait(self) -> None:
        """Waits until they are copied."""
        if self._thread is not None:
            self._thread.join()
        self.refresh()


def _copy(rows: Rows, path: Path, told: Callable[[str | None, float], None]) -> None:
    began = time.monotonic()
    problem = None
    # The first copy is read while it grows; a later one is put in its place when it is whole.
    into = path.with_name("rows.new") if path.exists() else path
    try:
        found = rows()
        with into.open("wb") as file:
            while part := list(map(_line, islice(found, _AT_ONCE))):
                file.write(b"".join(part))
                file.flush()
        if into != path:
            into.replace(path)
    except (DatafastError, OSError, TypeError) as error:
        problem = str(error)
    told(problem, time.monotonic() - began)


def _line(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS, default=str) + b"\n"


def source_rows(path: Path) -> CopiedRows:
    """The rows of a file that is read as sources are: Parquet, Arrow, CSV, TSV, JSON."""

    def rows() -> Iterator[dict[str, Any]]:
        # All of it has to be gone through before the first row of it can be read.
        first = open_source(path, field="FILE", limit=_FIRST)
        yield from map(dict, first)
        if len(first) == _FIRST:
            yield from map(dict, islice(open_source(path, field="FILE"), _FIRST, None))

    def state() -> object:
        try:
            found = path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns

    return CopiedRows(rows, state)


def dropped_rows(ledger: Path, state: Callable[[], object]) -> CopiedRows:
    """The rows that stages have dropped, each with its uuid, and the stage and the reason as `dropped`."""

    def rows() -> Iterator[dict[str, Any]]:
        with LedgerReader(ledger) as reader:
            for line in reader.filtered.lines():
                if line.stage:  # else an earlier generation of it is in the file
                    why = {"stage": line.stage, "reason": line.reason, "score": line.score}
                    yield {**orjson.loads(line.row), "dropped": why, "uuid": row_uuid(line.key, line.number)}

    return CopiedRows(rows, state)


def failed_rows(ledger: Path, state: Callable[[], object], dataset: Callable[[], Any]) -> CopiedRows:
    """The items that have failed, each with the reason.

    Args:
        dataset: that made them, from whose plan their values are known; it may give None.
    """

    def rows() -> Iterator[dict[str, Any]]:
        made_by = dataset()
        found = FailedItems(ledger) if made_by is None else FailedItems(ledger, values_of(made_by.whole_plan, ledger))
        return (item.to_dict() for item in found)

    return CopiedRows(rows, state)
