"""What becomes of new rows while a run goes on, and the alarms that this sets off.

Shares are measured over the last `after` rows (or replies) of this run; rows that are made again from recorded replies do not count.
Duplicates are an estimate: rows are compared in the order in which they come, by the walk stages of the config, with the last 20,000 of
this run; the end of the run decides. They are looked at in a thread of their own, and passed over where it does not keep up.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from datafast._util.notify import warn_user
from datafast.amounts import share
from datafast.engine.alarms import ALARMS, AlarmsConfig
from datafast.engine.events import AlarmRaised, QualityFigures
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.assembly import Parts
    from datafast.engine.calls.sender import Tally
    from datafast.engine.event_log import Emitter
    from datafast.engine.job import Job
    from datafast.engine.outcomes import Outcome
    from datafast.engine.stages import Walks
    from datafast.engine.steering import Steering
    from datafast.engine.stop import StopSignal
    from datafast.store.records import FailureRow

__all__ = ["Watch"]

_TOLD_S = 1.0
_MOST_COMPARED = 20_000
_MOST_WAITING = 64
_REFUSED = "refused"


class _Recent:
    """A share of the last things."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: deque[tuple[int, int]] = deque()
        self.part = self.of = 0

    def add(self, part: int, of: int) -> None:
        self._parts.append((part, of))
        self.part, self.of = self.part + part, self.of + of
        while self.of - self._parts[0][1] >= self._size:
            part, of = self._parts.popleft()
            self.part, self.of = self.part - part, self.of - of

    @property
    def share(self) -> float | None:
        return self.part / self.of if self.of else None

    def exceeds(self, limit: float) -> bool:
        return self.of >= self._size and self.part > limit * self.of

    def clear(self) -> None:
        self._parts.clear()
        self.part = self.of = 0


class Watch:
    """Watches the rows of a run, over all its rounds. `begin` it with each opening of the output, and `close` it before that is closed.

    Args:
        job: says what is watched, and who is asked.
    """

    def __init__(self, job: Job, stop: StopSignal, emit: Emitter, steering: Steering) -> None:
        self._config = job.alarms
        self._limits = {} if job.alarms is None else job.alarms.limits
        self._is_refusal = job.is_refusal if "refusal_rate" in self._limits else None
        self._on_alarm = job.on_alarm
        self._can_be_resumed = job.on_alarm is not None or job.control is not None
        self._has_rounds = job.targets is not None
        self._stop = stop
        self._emit = emit
        self._steering = steering
        size = AlarmsConfig.model_fields["after"].default if job.alarms is None else job.alarms.after
        self._shares = {name: _Recent(size) for name in ALARMS}
        self._accepted = _Recent(size)
        live = job.compared_live
        self._comparing = _Comparing(live, self._compared) if live else None
        self._is_on = bool(self._limits or job.stages or live)
        self._raised: set[str] = set()
        self._told_at = 0.0
        self._rows = 0
        self._is_open = False

    def begin(self, parts: Parts) -> None:
        """The output is open."""
        self._tally: Tally = parts.sender.tally
        self._store = parts.output.store
        self._read = self._cut = 0
        self._is_open = True

    async def close(self) -> None:
        """The output is going to be closed."""
        self._is_open = False
        if self._comparing is not None:
            await self._comparing.close()
        self._tell()

    def ended(self, outcome: Outcome, new: int, failure: FailureRow | None, *, replayed: bool) -> None:
        """An item has ended: `new` rows of it were written, others filtered, and what is missing has failed."""
        if not self._is_on:
            return
        read, cut = self._tally.read - self._read, self._tally.truncated - self._cut
        self._read, self._cut = self._tally.read, self._tally.truncated
        if replayed:
            return
        filtered, failed = len(outcome.filtered), failure.rows if failure is not None else 0
        came = new + filtered
        self._rows += came + failed
        if came:
            self._accepted.add(new, came)
        if came + failed:
            self._shares["failure_rate"].add(failed, came + failed)
        if read:
            self._shares["truncation_rate"].add(cut, read)
        if self._is_refusal is not None and came + failed:
            written = (row for number, row in outcome.rows.items() if number in outcome.lines)
            rows = (row for row in (*written, *outcome.dropped) if isinstance(row, BaseModel))
            refused = sum(map(self._is_refusal, rows)) + (
                failed if failure is not None and failure.category == _REFUSED else 0
            )
            self._shares["refusal_rate"].add(min(refused, came + failed), came + failed)
        if self._comparing is not None and new and (self._emit.listening or "near_duplicates" in self._limits):
            self._comparing.look([row for number, row in outcome.rows.items() if number in outcome.lines])
        self._check()
        if self._emit.listening and time.monotonic() - self._told_at >= _TOLD_S:
            self._tell()

    def _compared(self, duplicates: int, of: int) -> None:
        self._shares["near_duplicates"].add(duplicates, of)
        if self._is_open:
            self._check()

    def _tell(self) -> None:
        if not (self._is_on and self._rows and self._emit.listening):
            return
        self._told_at = time.monotonic()
        shares = {name: recent.share for name, recent in self._shares.items()}
        self._emit(
            QualityFigures(
                rows=self._rows,
                acceptance=self._accepted.share,
                refused=shares["refusal_rate"],
                duplicates=shares["near_duplicates"],
                failed=shares["failure_rate"],
                truncated=shares["truncation_rate"],
            )
        )

    # -- alarms

    def _check(self) -> None:
        for name, limit in self._limits.items():
            recent = self._shares[name]
            if recent.exceeds(limit) and name not in self._raised and not (self._stop.is_paused or self._stop):
                self._raise(name, limit, recent)

    def _raise(self, name: str, limit: float, recent: _Recent) -> None:
        assert self._config is not None  # noqa: S101 - there are limits
        self._raised.add(name)
        said = f"{share(recent.part, recent.of)} {ALARMS[name].format(of=recent.of)}"
        told = f"{said}, more than alarms.{name} allows ({limit:g})"
        action = self._config.action
        if not (self._store.counts.pending or self._has_rounds):
            action = "warn"  # there is nothing left to stop
        if action == "pause" and not self._can_be_resumed:
            action = "stop"
        alarm = AlarmRaised(
            alarm=name, share=recent.part / recent.of, limit=limit, rows=recent.of, reason=told, action=action
        )
        self._emit(alarm)
        if action == "warn":
            warn_user(
                f"{told[0].upper()}{told[1:]}. Look at the newest rows, and stop the run if they are not what you want."
            )
        elif action == "stop":
            self._stop.now(StopCause.ALARM, told)
        else:
            self._steering.pause(name, functools.partial(self._measure_anew, name))
            if self._on_alarm is not None:
                self._ask(self._on_alarm, alarm, asyncio.get_running_loop())

    def _ask(self, ask: Callable[[AlarmRaised], bool], alarm: AlarmRaised, loop: asyncio.AbstractEventLoop) -> None:
        """Asks in a thread, which nobody waits for where the run is stopped or resumed in another way."""

        def answer() -> None:
            try:
                goes_on: bool | BaseException = bool(ask(alarm))
            except BaseException as error:  # noqa: BLE001 - raised by the run, when all is saved
                goes_on = error
            loop.call_soon_threadsafe(self._answered, alarm, goes_on)

        threading.Thread(target=answer, name="datafast-alarm", daemon=True).start()

    def _answered(self, alarm: AlarmRaised, goes_on: bool | BaseException) -> None:
        if isinstance(goes_on, BaseException):
            self._stop.now(StopCause.CALLBACK, f"on_alarm raised {goes_on!r}.", goes_on)
        elif not self._steering.holds(alarm.alarm):
            return  # somebody has answered before
        elif not goes_on:
            self._stop.now(StopCause.ALARM, alarm.reason)
        self._steering.release(alarm.alarm)

    def _measure_anew(self, name: str) -> None:
        """Raises an alarm again if the next rows are no better."""
        self._shares[name].clear()
        self._raised.discard(name)


class _Comparing:
    """Compares rows with earlier ones, in a thread.

    Args:
        found: is told on the event loop how many rows are duplicates, of how many.
    """

    def __init__(self, stages: Sequence[Walks], found: Callable[[int, int], None]) -> None:
        self._stages = stages
        self._found = found
        self._walks: list[Any] = []
        self._kept = 0
        self._open = 0
        self._thread: ThreadPoolExecutor | None = None

    def look(self, rows: Sequence[Any]) -> None:
        if self._open >= _MOST_WAITING:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="datafast-compare")
        self._open += 1
        asyncio.get_running_loop().run_in_executor(self._thread, self._duplicates, rows).add_done_callback(self._done)

    def _done(self, future: asyncio.Future[tuple[int, int]]) -> None:
        self._open -= 1
        if not future.cancelled() and future.exception() is None:  # the end of the run tells what is wrong with a stage
            self._found(*future.result())

    def _duplicates(self, rows: Sequence[Any]) -> tuple[int, int]:
        if not self._walks or self._kept >= _MOST_COMPARED:
            self._walks, self._kept = [stage.walk() for stage in self._stages], 0
        features = [stage.features(rows) for stage in self._stages]
        dropped = 0
        for each in zip(*features, strict=True):
            pairs = list(zip(self._walks, each, strict=True))
            if all(walk.decide(feature).keeps for walk, feature in pairs):
                self._kept += 1
                for walk, feature in pairs:
                    walk.keep(feature)
            else:
                dropped += 1
        return dropped, len(rows)

    async def close(self) -> None:
        """Ends what is being compared, so that the end of the run has the stages for itself."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)
