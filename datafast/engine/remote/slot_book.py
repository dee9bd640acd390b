"""Who may have how many requests in flight: the slots of all providers, divided among workers by what they need.

Guarantee: what workers may have in flight at a provider never adds up to more than its limit, and over all providers to no more than
the run's. A worker whose number was lowered counts with the old one until it has confirmed the new one and has no more in flight.

Parts are max-min fair. Slots that nobody needs are spread evenly, so that a request need not wait for a message. Where there are fewer
slots than workers that need one, they go round: whoever was without for longest is next, and keeps its slot for `_TENURE_S`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from datafast.engine.remote.fair import fair

__all__ = ["SlotBook"]

_TENURE_S = 1.0
_WORKERS_PER_S = 10_000  # so many are looked at a second: a division looks at all of them


@dataclass(slots=True)
class _Holding:
    """What one worker has at one provider.

    Attributes:
        needs: requests in flight and waiting.
        in_flight: as it told last.
        slots: (number of the grant, slots) of the newest grant that it has confirmed, and those after it.
        target: what it is to have.
        served: when it last got its first slot.
        bound: the most that it may have in flight.
    """

    needs: int = 0
    in_flight: int = 0
    slots: deque[tuple[int, int]] = field(default_factory=lambda: deque([(0, 0)]))
    target: int = 0
    served: float = float("-inf")
    bound: int = 0

    def look(self) -> int:
        """Finds the bound. Returns by how much it has changed."""
        before = self.bound
        self.bound = max(self.in_flight, max(slots for _, slots in self.slots))
        return self.bound - before


class SlotBook:
    """The slots of a run.

    Args:
        most: the most requests in flight by provider; `total`: the same over all.
    """

    def __init__(self, most: Mapping[str, int], *, total: int) -> None:
        self.total = total
        self.limits = dict(most)
        self._holdings: dict[str, dict[Hashable, _Holding]] = {label: {} for label in most}
        self._bounds = dict.fromkeys(most, 0)
        self._needs = dict.fromkeys(most, 0)
        self._in_flight = dict.fromkeys(most, 0)
        self._divided_at = float("-inf")
        self._changed = True

    def in_flight(self, label: str) -> int:
        """Requests in flight at a provider, as workers have told."""
        return self._in_flight[label]

    def bound(self, label: str) -> int:
        """The most that may be in flight at a provider now."""
        return self._bounds[label]

    def join(self, worker: Hashable) -> None:
        for holdings in self._holdings.values():
            holdings[worker] = _Holding()
        self._changed = True

    def drop(self, worker: Hashable) -> None:
        """A worker is gone, and what it had in flight with it."""
        for label, holdings in self._holdings.items():
            holding = holdings.pop(worker)
            self._bounds[label] -= holding.bound
            self._needs[label] -= holding.needs
            self._in_flight[label] -= holding.in_flight
        self._changed = True

    def set_limit(self, label: str, limit: int) -> None:
        """Changes the limit of a provider. What workers have beyond it is taken back as they tell."""
        if self.limits[label] != limit:
            self.limits[label] = limit
            self._changed = True

    def set_total(self, total: int) -> None:
        """Changes the limit over all providers."""
        self.total = total
        self._changed = True

    def hear(self, worker: Hashable, label: str, *, in_flight: int, waiting: int, heard: int) -> None:
        """Takes what a worker tells of a provider. `heard`: the newest grant that it had."""
        holding = self._holdings[label][worker]
        self._in_flight[label] += in_flight - holding.in_flight
        self._needs[label] += in_flight + waiting - holding.needs
        self._changed |= in_flight + waiting != holding.needs
        holding.in_flight, holding.needs = in_flight, in_flight + waiting
        slots = holding.slots
        while len(slots) > 1 and slots[1][0] <= heard:
            slots.popleft()
        self._bounds[label] += holding.look()

    def slots(self, worker: Hashable, label: str, *, now: float) -> int:
        """How many slots a worker may have now."""
        if self._changed:
            self._divide(now)
        holding = self._holdings[label][worker]
        if holding.target <= holding.bound:
            return holding.target
        free = min(self.limits[label] - self._bounds[label], self.total - sum(self._bounds.values()))
        return min(holding.target, holding.bound + max(0, free))

    def give(self, worker: Hashable, label: str, *, grant: int, now: float) -> int:
        """Gives a worker what it may have now, with a grant. Returns how many slots these are."""
        slots = self.slots(worker, label, now=now)
        holding = self._holdings[label][worker]
        if slots and not holding.slots[-1][1]:
            holding.served = now
        holding.slots.append((grant, slots))
        self._bounds[label] += holding.look()
        return slots

    # -- who is to have how many

    def _divide(self, now: float) -> None:
        num_workers = max(map(len, self._holdings.values()), default=0)
        if now - self._divided_at < num_workers / _WORKERS_PER_S:
            return
        self._divided_at, self._changed = now, False
        labels = list(self.limits)
        wanted = fair(self.total, [min(self.limits[label], self._needs[label]) for label in labels])
        spare = fair(
            self.total - sum(wanted),
            [max(0, self.limits[label] - one) for label, one in zip(labels, wanted, strict=True)],
        )
        for label, one, more in zip(labels, wanted, spare, strict=True):
            self._divide_one(self._holdings[label], one, more, now)

    def _divide_one(self, holdings: dict[Hashable, _Holding], wanted: int, spare: int, now: float) -> None:
        if not holdings:
            return
        found = list(holdings.values())
        if wanted < len(found):
            found.sort(key=lambda one: (not (one.bound and now - one.served < _TENURE_S), one.served))
            self._changed = True  # they go round
        parts = fair(wanted, [one.needs for one in found])
        extra, rest = divmod(spare, len(found))
        for place, (holding, part) in enumerate(zip(found, parts, strict=True)):
            holding.target = part + extra + (place < rest)
