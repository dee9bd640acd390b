"""Passes events on: to the run's callback, and to the log if `configure_logger()` was called."""

from __future__ import annotations

import time
from collections import Counter

from datafast.amounts import duration
from datafast.engine.events import (
    AlarmRaised,
    BatchDelayed,
    BatchEnded,
    BatchProgress,
    BatchSubmitted,
    Event,
    EventCallback,
    ItemDone,
    ItemFailed,
    LimitChanged,
    ProviderPaused,
    ProviderResumed,
    ProviderStopped,
    Retry,
    RoundStarted,
    RowsDecided,
    RowsSettled,
    RunEnded,
    RunStarted,
)
from datafast.engine.open_batches import BatchEvent, ended_in_words, progress_in_words, submitted_in_words
from datafast.engine.steered import Steered, steered_in_words
from datafast.engine.stop import StopSignal
from datafast.logger_config import is_configured, logger
from datafast.types import StopCause

__all__ = ["Emitter", "EventLog"]

_PROGRESS_S = 5.0
_FAILURES_SHOWN = 10

_Failure = tuple[str, str, str]
"""Provider, category and error."""


class EventLog:
    """Logs the important events of a run: progress at most every five seconds, and ten different failures of each category.

    A failure that comes again is logged at the end, with the number of all its rows.

    Args:
        what: what is made, if it is not rows.
    """

    def __init__(self, what: str | None = None) -> None:
        self._what = what
        self._started = self._spoke = time.monotonic()
        self._shown: Counter[str] = Counter()
        self._cut: set[str] = set()
        self._failures: dict[_Failure, int] = {}
        self._first: dict[_Failure, int] = {}
        self._limits: dict[str, int] = {}
        self._pauses: set[str] = set()
        self._retries: set[str] = set()
        self._delays: set[str] = set()
        self._requested = 0
        self._target: int | None = None
        self._at_start = 0
        self._written = 0
        self._filtered = 0
        self._failed = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, BatchEvent):
            self._batch(event)
        elif isinstance(event, RowsDecided | RowsSettled):
            self._decided(event)
        elif isinstance(event, Steered):
            logger.info(steered_in_words(event))
        elif isinstance(event, AlarmRaised):
            if event.action != "warn":  # of which a warning tells
                logger.warning(_sentence(event))
        else:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
            case RunStarted() | RoundStarted():
                self._begin(event)
            case ItemDone():
                self._written += event.rows
                self._filtered += event.filtered
                self._progress()
            case ItemFailed():
                self._failed += event.rows
                self._failure(event)
            case Retry():
                self._retried(event)
            case LimitChanged():
                self._limit_changed(event)
            case ProviderPaused():
                self._paused(event)
            case ProviderResumed():
                self._pauses.discard(event.provider)
                logger.info(f"{event.provider} answers again.")
            case ProviderStopped():
                logger.error(f"Stopped for this run: {event.reason}")
            case RunEnded():
                self._end(event)

    def _begin(self, event: RunStarted | RoundStarted) -> None:
        self._requested, self._written, self._failed = event.requested, event.written, event.failed
        self._filtered = event.filtered
        if isinstance(event, RoundStarted):
            logger.info(f"{self._written} of {self._target} rows are accepted. Further ones are drawn.")
            return
        self._target = event.target
        self._at_start = event.written + event.filtered
        asked = f"{', '.join(event.providers)}{' (simulated)' if event.simulated else ''}"
        if self._what is not None:
            there = "It is already there" if event.written else "It is going to be"
            logger.info(f"{self._what} with {asked}. {there} in {event.output_file}.")
            return
        wanted = f"{event.requested} rows requested" if event.target is None else f"{event.target} accepted rows wanted"
        logger.info(f"{wanted} from {asked}. {event.written} are already in {event.output_file}.")

    def _failure(self, event: ItemFailed) -> None:
        failure = (event.provider, event.category, event.error)
        if failure in self._failures:
            self._failures[failure] += event.rows
        elif self._shown[event.category] < _FAILURES_SHOWN:
            self._failures[failure] = event.rows
            self._first[failure] = event.rows
            self._shown[event.category] += 1
            logger.warning(_failed(event.rows, *failure))
        elif event.category not in self._cut:
            self._cut.add(event.category)
            logger.warning(
                f"More rows failed ({event.category}). They are counted and recorded, but not logged. `datafast failures` shows them."
            )

    def _retried(self, event: Retry) -> None:
        told = f"{event.provider}: {event.reason.removesuffix('.')}. Sent again in {event.wait_s:.1f} s."
        if event.provider in self._retries:
            logger.debug(told)
            return
        self._retries.add(event.provider)
        logger.info(f"{told} More repeats are logged at the level DEBUG.")

    def _limit_changed(self, event: LimitChanged) -> None:
        before = self._limits.get(event.provider)
        self._limits[event.provider] = event.limit
        now = f"At most {event.limit} request{'' if event.limit == 1 else 's'} in flight from now on."
        if before is None or event.limit < before:
            logger.warning(f"{event.provider} limits our rate. {now}")
        else:  # one by one, for minutes; not worth a line on the console
            logger.debug(f"{event.provider} answers again. {now}")

    def _paused(self, event: ProviderPaused) -> None:
        self._limits[event.provider] = 1
        log = logger.debug if event.provider in self._pauses else logger.warning  # one line for an outage
        self._pauses.add(event.provider)
        log(
            f"{event.reason} Its items wait, and nothing is lost. One request is tried in {event.wait_s:.1f} s, and then again "
            f"and again for up to run.max_stall_s."
        )

    def _batch(self, event: BatchEvent) -> None:
        match event:
            case BatchSubmitted():
                logger.info(submitted_in_words(event))
            case BatchProgress():
                logger.debug(progress_in_words(event))
            case BatchDelayed():
                self._delayed(event)
            case BatchEnded():
                logger.info(ended_in_words(event))

    def _delayed(self, event: BatchDelayed) -> None:
        told = f"{event.reason.removesuffix('.')}."
        log = logger.debug if told in self._delays else logger.warning
        self._delays.add(told)
        log(f"{told} It is tried again in {duration(event.wait_s)}." if event.wait_s else told)

    def _decided(self, event: RowsDecided | RowsSettled) -> None:
        now = time.monotonic()
        if isinstance(event, RowsSettled):
            if event.dropped or event.returned:
                moved = f"{event.dropped:,} left the file, and {event.returned:,} came back"
                logger.info(f"Rows were compared with each other: {moved}.")
        elif now - self._spoke >= _PROGRESS_S:
            self._spoke = now
            logger.info(f"Stages decide about recorded rows: {event.done:,} of {event.rows:,}.")

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._spoke < _PROGRESS_S:
            return
        self._spoke = now
        came = self._written + self._filtered
        rate = (came - self._at_start) / (now - self._started)
        left = self._requested - came - self._failed if self._target is None else max(0, self._target - self._written)
        filtered = f"{self._filtered} filtered, " if self._filtered else ""
        # A round may begin with fewer rows than the run, whose rate says nothing then.
        speed = f", {rate:.1f} rows/s, about {left / rate:.0f} s to go" if rate > 0 else ""
        logger.info(f"{self._written}/{self._requested} rows, {filtered}{self._failed} failed{speed}.")

    def _end(self, event: RunEnded) -> None:
        for failure, rows in self._failures.items():
            if rows > self._first[failure]:
                logger.warning(f"In all, {_failed(rows, *failure)}")
        report = event.report
        log = logger.success if not report.failed and not report.pending else logger.info
        took = f"{report.calls} calls in {report.elapsed_s:.1f} s."
        if self._what is None:
            log(f"{report.counts_line()}. {took} Rows are in {report.output_file}.")
        elif report.written:
            log(f"{self._what} has ended. {took} The result is in {report.output_file}.")
        else:
            log(f"{self._what} has ended without a result. {took}")


def _sentence(event: AlarmRaised) -> str:
    then = "Nothing more is sent until it is said whether to go on" if event.action == "pause" else "The run stops"
    return f"{event.reason[0].upper()}{event.reason[1:]}. {then}."


def _failed(rows: int, provider: str, category: str, error: str) -> str:
    where = f" at {provider}" if provider else ""
    return f"{rows:,} {'row' if rows == 1 else 'rows'} failed{where} ({category}): {error}"


class Emitter:
    """Passes on the events of one run. An error of the callback ends the run and is raised when everything is saved.

    Attributes:
        listening: whether anybody sees events. Frequent events need not be made otherwise.
    """

    def __init__(self, on_event: EventCallback | None, stop: StopSignal, *, what: str | None = None) -> None:
        self.listening = on_event is not None or is_configured()
        self._on_event = on_event
        self._stop = stop
        self._log = EventLog(what) if is_configured() else None

    def __call__(self, event: Event) -> None:
        if self._log is not None:
            self._log(event)
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except BaseException as error:  # noqa: BLE001 - a callback's own error, or its exit: raised when all is saved
            self._stop.now(StopCause.CALLBACK, f"The event callback raised {error!r}.", error)
