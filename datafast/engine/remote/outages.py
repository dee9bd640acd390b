"""Whether a provider works, by what workers tell of faults: server errors, timeouts, connections that fail.

Each worker has a breaker of its own (`calls.breaker`), because its own network may be what fails. Where two of them have paused (or the
only one), and nobody has had a reply since, the provider is down, and all workers stop. At the moment of the next probe one request of
one worker goes. After its reply the number in flight grows by one with each further one; without one, the next probe goes later.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from datafast.engine.remote.terms import Use
from datafast.engine.remote.turn_book import TurnBook

__all__ = ["Outages"]

_ENOUGH = 2  # workers
_LEAST_PROBE_S = (
    10.0  # between two probes where the first is not answered, because its worker is gone or the server hangs
)


class Outages:
    """The outages of one provider."""

    def __init__(self, turns: TurnBook, *, clock: Callable[[], float]) -> None:
        self._turns = turns
        self._clock = clock
        self._workers: set[Hashable] = set()
        self._paused: dict[Hashable, float] = {}  # since when
        self._since: float | None = None

    def join(self, worker: Hashable) -> None:
        self._workers.add(worker)

    def drop(self, worker: Hashable) -> None:
        self._workers.discard(worker)
        self._paused.pop(worker, None)

    def hear(self, worker: Hashable, use: Use, *, in_flight: int) -> None:
        """Takes what a worker tells, before the gate does. `in_flight`: requests in flight of all workers."""
        now, gate = self._clock(), self._turns.gate
        if use.answered:
            sent_at = now - min(one.ago_s for one in use.answered)
            # It works for those who sent after these had paused.
            self._paused = {name: since for name, since in self._paused.items() if since >= sent_at}
            if self._since is not None and sent_at > self._since:
                self._since = None
                self._turns.open()
            elif self._since is not None:
                for _ in use.answered:
                    gate.one_less()
        if use.pause is None:
            return
        self._paused[worker] = now
        if self._since is not None or len(self._paused) >= min(_ENOUGH, len(self._workers)):
            self._since = now
            gate.close(now + use.pause.for_s, beside=in_flight)
            self._turns.probe(at=now + use.pause.for_s, every_s=max(_LEAST_PROBE_S, use.pause.for_s))
