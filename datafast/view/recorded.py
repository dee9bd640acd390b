"""What is recorded of a run, by whichever process: counts of the ledger, the newest rows of the file, and whether a process is at it.

Guarantee: reads only, and never waits for a run nor makes one wait for longer than a query takes. A run whose process was killed is told
from one that goes on by the kernel's lock, and from one that has ended by its journal, which a run removes when it has closed its files.
Cost: what is asked for is looked up at most once a second, and less often where that takes long: a twentieth of the time at most. Of the
file only its end is read.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.user_path import is_file
from datafast.errors import DatafastError
from datafast.plain import plain_text
from datafast.store.batches import under_way
from datafast.store.lock import is_running
from datafast.store.records import by_category
from datafast.store.resuming import resume_command
from datafast.types import StopCause
from datafast.view.outputs import Output

if TYPE_CHECKING:
    from datafast.store.reader import LedgerReader

__all__ = ["Recorded", "RecordedFigures", "State", "newest_rows"]

_EVERY_S = 1.0
_PART_OF_TIME = 20.0
_WINDOW_S = 30.0
_TAIL = 1 << 18
_ROWS = 6
_FIELDS = 5
_LETTERS = 300
_REASONS = 40
_LEFT_OUT = {"uuid", "metadata"}


class State(StrEnum):
    """How a run stands."""

    UNKNOWN = "unknown"  # there is no ledger
    RUNNING = "running"
    KILLED = "killed"
    STOPPED = "stopped"
    BUDGET = "budget"
    FAILED = "failed"  # stopped by a provider, an item, an alarm, a fault
    BATCHES = "batches"
    PARTIAL = "partial"  # ended as it was meant to, with rows still to do
    FLAWED = "flawed"  # ended, with rows that have failed
    COMPLETE = "complete"


_BY_CAUSE: Mapping[str, State] = {
    StopCause.INTERRUPTED: State.STOPPED,
    StopCause.BUDGET: State.BUDGET,
    StopCause.BATCH: State.BATCHES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFigures:
    """What is recorded of the runs of an output, over all of them.

    Attributes:
        changed_at: when its files were written last, in seconds since the epoch; None where there are none.
        stop_reason: why the last run ended early.
        unrecorded: paid replies that a killed run has left in its journal; the next run takes them in.
        per_s: rows and calls a second over the last half minute, while a run goes on.
        providers: of each its calls, tokens and cost.
        filtered: stage, reason, rows; failures: category, rows, an error as an example; the most frequent first. `more_filtered` rows were
            filtered for other reasons.
        command: what goes on with it; None where a script has made it.
        rows: the newest rows, the last one first: names and values of their first fields.
        problem: why nothing can be read.
    """

    state: State
    kind: str | None = None
    simulated: bool = False
    changed_at: float | None = None
    requested: int = 0
    written: int = 0
    filtered: int = 0
    failed: int = 0
    pending: int = 0
    removed: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    rows_per_s: float = 0.0
    calls_per_s: float = 0.0
    providers: tuple[tuple[str, int, int, float | None], ...] = ()
    by_stage: tuple[tuple[str, str, int], ...] = ()
    more_filtered: int = 0
    failures: tuple[tuple[str, int, str], ...] = ()
    batches: str | None = None
    stop_reason: str | None = None
    unrecorded: int = 0
    command: str | None = None
    rows: tuple[tuple[tuple[str, str], ...], ...] = ()
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Recorded:
    """The figures of one output, for all pages that show it. Can be used in any thread."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._known = RecordedFigures(state=State.UNKNOWN)
        self._state: tuple[Any, bool] | None = None
        self._next_at = 0.0
        self._samples: deque[tuple[float, int, int]] = deque()

    def figures(self) -> RecordedFigures:
        """How it stands now."""
        with self._lock:
            now = time.monotonic()
            if now >= self._next_at:
                self._look(now)
                self._next_at = now + max(_EVERY_S, _PART_OF_TIME * (time.monotonic() - now))
            return self._known

    def _look(self, now: float) -> None:
        running = is_running(self._output.paths)
        state = (self._output.state, running)
        if state != self._state or running:
            self._state = state
            self._known = self._read(running=running)
        if running:
            self._known = self._with_rates(self._known, now)
        else:
            self._samples.clear()

    def _read(self, *, running: bool) -> RecordedFigures:
        output = self._output
        if not output.has_ledger:
            return RecordedFigures(state=State.UNKNOWN, changed_at=self._changed_at(), rows=newest_rows(output))
        try:
            with output.reader() as ledger:
                found = _recorded(ledger, output, running=running)
        except (DatafastError, sqlite3.Error) as error:
            return RecordedFigures(state=State.UNKNOWN, changed_at=self._changed_at(), problem=str(error))
        except (ValueError, TypeError, KeyError) as error:  # what a damaged ledger says can be anything
            told = f"Its ledger is damaged: {error!r}."
            return RecordedFigures(state=State.UNKNOWN, changed_at=self._changed_at(), problem=told)
        return replace(found, changed_at=self._changed_at(), rows=newest_rows(output))

    def _changed_at(self) -> float | None:
        state = self._output.state
        newest = max(state.rows_time_ns, state.ledger_time_ns, state.log_time_ns)
        return newest / 1e9 if newest else None

    def _with_rates(self, found: RecordedFigures, now: float) -> RecordedFigures:
        self._samples.append((now, found.written, found.calls))
        while self._samples[0][0] < now - _WINDOW_S:
            self._samples.popleft()
        then, rows, calls = self._samples[0]
        seconds = now - then or 1.0
        return replace(
            found,
            rows_per_s=max(0.0, (found.written - rows) / seconds),
            calls_per_s=max(0.0, (found.calls - calls) / seconds),
        )


def _recorded(ledger: LedgerReader, output: Output, *, running: bool) -> RecordedFigures:
    counts, totals = ledger.counts(), ledger.calls.totals()
    is_cut_off = not running and is_file(output.paths.journal)
    stop_reason = None if running or is_cut_off else ledger.meta("stop_reason") or None
    filtered = ledger.filtered.counts().most_common()
    batches = ledger.batches.open()
    return RecordedFigures(
        state=_state(
            running=running,
            cut_off=is_cut_off,
            cause=ledger.meta("stop_cause") or "",
            stopped=stop_reason is not None,
            pending=counts.pending,
            failed=counts.failed,
        ),
        kind=ledger.meta("kind") or None,
        simulated=ledger.meta("mode") == "simulated",
        requested=counts.requested,
        written=counts.written,
        filtered=counts.filtered,
        failed=counts.failed,
        pending=counts.pending,
        removed=counts.removed,
        calls=totals.calls,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cost_usd=totals.cost_usd,
        providers=tuple(
            (name, used.calls, used.input_tokens + used.output_tokens, used.cost_usd)
            for name, used in ledger.calls.usage_by_provider().items()
        ),
        by_stage=tuple((stage, plain_text(reason), rows) for (stage, reason), rows in filtered[:_REASONS]),
        more_filtered=sum(rows for _, rows in filtered[_REASONS:]),
        failures=tuple(_failures(ledger)),
        batches=under_way(batches) if batches else None,
        stop_reason=stop_reason,
        unrecorded=ledger.unrecorded_replies(output.paths.journal) if is_cut_off else 0,
        command=resume_command(ledger),
    )


def _failures(ledger: LedgerReader) -> Iterator[tuple[str, int, str]]:
    examples = ledger.failure_examples()
    for category, rows in by_category(ledger.failure_counts()).items():
        error = examples[category]["example"] if category in examples else ""
        yield category, rows, plain_text(error or "")[:_LETTERS]


def _state(*, running: bool, cut_off: bool, cause: str, stopped: bool, pending: int, failed: int) -> State:
    if running:
        return State.RUNNING
    if cut_off:
        return State.KILLED
    if stopped and pending:
        if not cause:  # an earlier version has noted the reason alone
            return State.STOPPED
        return _BY_CAUSE.get(cause, State.FAILED)  # a later version may have other causes
    if pending:
        return State.PARTIAL
    return State.FLAWED if failed else State.COMPLETE


def newest_rows(output: Output) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The first fields of the newest rows, the last one first; none where the file is not JSON lines. Values are cut."""
    if not (output.is_jsonl or output.has_ledger):
        return ()
    try:
        with output.path.open("rb") as file:
            end = file.seek(0, 2)
            begin = max(0, end - _TAIL)
            file.seek(begin)
            lines = file.read(end - begin).split(b"\n")
    except OSError:
        return ()
    whole = lines[1 if begin else 0 : -1]  # behind the last newline is nothing, or what is being written
    found = []
    for line in reversed(whole[-_ROWS:]):
        with contextlib.suppress(orjson.JSONDecodeError):
            row = orjson.loads(line)
            if isinstance(row, dict):
                found.append(tuple(_shown(row)))
    return tuple(found)


def _shown(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    fields = [(name, value) for name, value in row.items() if name not in _LEFT_OUT and value not in (None, "", [], {})]
    for name, value in fields[:_FIELDS]:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        cut = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
        yield plain_text(name[:_LETTERS]), plain_text(cut)
