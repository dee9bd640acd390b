"""The batches that a run waits for, from its events, in words. The console and notebooks show them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from datafast.amounts import counted, duration, money
from datafast.engine.events import BatchDelayed, BatchEnded, BatchProgress, BatchSubmitted

__all__ = [
    "BATCH_HEADINGS",
    "BatchEvent",
    "BatchLine",
    "OpenBatches",
    "ended_in_words",
    "progress_in_words",
    "submitted_in_words",
]

BATCH_HEADINGS = {
    "name": "batches",
    "answered": "answered",
    "failed": "errors",
    "state": "",
    "since": "for",
    "look": "next look",
}
BatchEvent = BatchSubmitted | BatchProgress | BatchDelayed | BatchEnded
_MOST_LINES = 6
_UNDER_WAY = "under way"


class BatchLine(NamedTuple):
    """What is shown of one batch: its provider, its calls, for how long it is under way, and when it is looked at next."""

    name: str
    answered: str
    failed: str
    state: str
    since: str
    look: str


@dataclass
class _Batch:
    """An open batch. Times are monotonic seconds."""

    calls: int
    since: float
    done: int = 0
    failed: int = 0
    state: str = _UNDER_WAY
    next_look: float | None = None


@dataclass
class OpenBatches:
    """The open batches as far as the events tell, by provider and id.

    Written by the run's thread; read by one other thread, a few times a second.
    """

    _batches: dict[tuple[str, str], _Batch] = field(default_factory=dict)

    def take(self, event: BatchEvent) -> None:
        """Takes note of an event."""
        key, now = (event.provider, event.batch), time.monotonic()
        match event:
            case BatchSubmitted():
                self._batches[key] = _Batch(event.calls, now, next_look=_moment(now, event.next_look_s))
            case BatchProgress():
                self._batches[key] = _Batch(
                    event.calls,
                    now - event.age_s,
                    event.done,
                    event.failed,
                    event.state,
                    _moment(now, event.next_look_s),
                )
            case BatchDelayed():
                if (batch := self._batches.get(key)) is not None:
                    batch.next_look = now + event.wait_s
            case BatchEnded():
                self._batches.pop(key, None)

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def calls(self) -> int:
        """The calls in them."""
        return sum(batch.calls for batch in list(self._batches.values()))

    @property
    def done(self) -> int:
        """Those that are answered, as far as the providers say."""
        return sum(batch.done for batch in list(self._batches.values()))

    def lines(self) -> list[BatchLine]:
        """A line for each of them, the oldest first; the last one stands for several where there are many."""
        now, known = time.monotonic(), list(self._batches.items())
        shown = known if len(known) <= _MOST_LINES else known[: _MOST_LINES - 1]
        lines = [
            BatchLine(
                provider,
                _answered(batch.done, batch.calls),
                f"{batch.failed:,}" if batch.failed else "",
                batch.state,
                duration(now - batch.since),
                "" if batch.next_look is None else f"in {duration(max(0.0, batch.next_look - now))}",
            )
            for (provider, _), batch in shown
        ]
        if rest := [batch for _, batch in known[len(shown) :]]:
            answered = _answered(sum(batch.done for batch in rest), sum(batch.calls for batch in rest))
            lines.append(BatchLine(f"and {len(rest):,} more", answered, "", "", "", ""))
        return lines

    def summary(self) -> str:
        """All of them in one line; empty if there is none."""
        batches = list(self._batches.values())
        if not batches:
            return ""
        now = time.monotonic()
        oldest = duration(now - min(batch.since for batch in batches))
        looks = [batch.next_look for batch in batches if batch.next_look is not None]
        look = f", next look in {duration(max(0.0, min(looks) - now))}" if looks else ""
        which = "1 batch under way" if len(batches) == 1 else f"{len(batches):,} batches under way, the oldest"
        return f"{which} for {oldest}: {self.done:,} of {counted(self.calls, 'call')} answered{look}"


def _moment(now: float, in_s: float | None) -> float | None:
    return None if in_s is None else now + in_s


def _answered(done: int, calls: int) -> str:
    return f"{done:,} of {calls:,}"


def submitted_in_words(event: BatchSubmitted) -> str:
    """That a provider has taken a batch, as a sentence."""
    return f"{event.provider}: batch {event.batch} is submitted, with {counted(event.calls, 'call')}."


def progress_in_words(event: BatchProgress) -> str:
    """How far a batch is, as a sentence."""
    look = f" Next look in {duration(event.next_look_s)}." if event.next_look_s is not None else ""
    answered = f"{event.done:,} of {counted(event.calls, 'call')} answered"
    return f"{event.provider}: batch {event.batch} is {event.state}: {answered}.{look}"


def ended_in_words(event: BatchEnded) -> str:
    """What a batch brought, as a sentence."""
    if not event.batch:
        return f"{event.provider}: a batch with {counted(event.not_answered, 'call')} was not submitted."
    failed = f", {event.failed:,} failed" if event.failed else ""
    left = f", {event.not_answered:,} were not answered" if event.not_answered else ""
    cost = f", cost {money(event.cost_usd)}" if event.answered else ""
    return f"{event.provider}: batch {event.batch} has ended: {counted(event.answered, 'call')} answered{failed}{left}{cost}."
