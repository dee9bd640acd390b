"""What holds a run or lets it go on, and what changes how many requests are in flight: a `RunControl`, or an alarm.

A pause lets nothing begin: no item, no request, no upload of a batch. Requests in flight land and are kept, batches that are under way are
collected, and waits after rate limiting pass. The time counts for no stall. All of it happens on the run's event loop; what others read of
it they read as it is at that moment.

Cost: a run that is not paused does nothing more for a request than one that cannot be, and looks at one attribute for each item.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datafast._util.fd_limit import room
from datafast._util.notify import warn_user
from datafast.engine.events import ConcurrencyChanged, RunPaused, RunResumed
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.admission import Admission
    from datafast.engine.calls.budget import Cashier
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.event_log import Emitter
    from datafast.engine.reorder import ReorderBuffer
    from datafast.engine.shares import Share
    from datafast.engine.stop import StopSignal

__all__ = ["LimitUsed", "ProviderLimits", "RunLimits", "SteeredParts", "Steering"]

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What limits the requests to one provider now.

    Attributes:
        in_flight: requests without an answer. `waiting`: calls that wait for their turn.
        concurrency: the most requests in flight, as set. `limit`: the same now, after rate limiting or an outage.
        rpm_limit, tpm_limit: requests and tokens a minute, as set; None for no limit.
        paced_rpm: requests a minute that the run keeps to, because the provider tells of a limit or has refused more; None for none.
        closed_s: seconds for which nothing is sent, after rate limiting or an outage.
        is_down: whether it does not work at present.
        stopped: why nothing more is sent to it in this run; None while it works.
    """

    name: str
    in_flight: int
    waiting: int
    concurrency: int
    limit: int
    rpm_limit: float | None
    tpm_limit: float | None
    paced_rpm: float | None
    closed_s: float
    is_down: bool
    stopped: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUsed:
    """A limit of the config (`budget_usd`, `max_calls`, `max_tokens`) and what is used of it over all runs, with what is reserved for
    requests in flight."""

    name: str
    used: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """What limits a run now."""

    providers: tuple[ProviderLimits, ...] = ()
    budget: tuple[LimitUsed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeredParts:
    """The parts of a run that are steered. `share_out` divides its concurrency anew, and lets others begin."""

    admission: Admission
    shares: Sequence[Share]
    reorder: ReorderBuffer | None
    cashier: Cashier
    share_out: Callable[[], None]


class Steering:
    """Pauses and resumes one run, over all its rounds. `begin` it with each opening of the output."""

    def __init__(self, stop: StopSignal, emit: Emitter) -> None:
        self._stop = stop
        self._emit = emit
        self._holds: dict[str | None, Callable[[], None]] = {}  # by the alarm that holds it; None for somebody
        self._since = 0.0
        self._wanted: dict[str, int] = {}
        self._parts: SteeredParts | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self._paused_s = 0.0

    def begin(self, parts: SteeredParts) -> None:
        """The providers are open."""
        self._parts = parts
        self._endpoints = {one.label: one for share in parts.shares for one in share.endpoints}
        if self._stop.is_paused:
            parts.admission.shut()
        for provider, concurrency in list(self._wanted.items()):
            self.set_concurrency(provider, concurrency)

    # -- what is done

    def stop(self) -> None:
        """Ends the run as Ctrl-C does."""
        self._stop.now(StopCause.INTERRUPTED, "interrupted")

    def pause(self, alarm: str | None = None, on_release: Callable[[], None] = lambda: None) -> None:
        """Lets nothing begin.

        Args:
            alarm: the name of the alarm that wants it; None for somebody.
            on_release: called when this hold ends.
        """
        is_first = not self._holds
        self._holds.setdefault(alarm, on_release)
        if not is_first or self._stop:
            return
        self._since = time.monotonic()
        self._stop.is_paused = True
        if self._parts is not None:
            self._parts.admission.shut()
        self._emit(RunPaused(alarm=alarm))

    def resume(self) -> None:
        """Goes on, whoever has paused it."""
        for alarm in list(self._holds):
            self.release(alarm)

    def holds(self, alarm: str) -> bool:
        """Whether an alarm holds the run."""
        return alarm in self._holds

    def release(self, alarm: str | None) -> None:
        """Ends one hold, and the pause with the last one."""
        on_release = self._holds.pop(alarm, None)
        if on_release is None:
            return
        on_release()
        if self._holds or not self._stop.is_paused:
            return
        paused_s = time.monotonic() - self._since
        self._paused_s += paused_s
        self._stop.let_go_on()
        if not self._stop:
            self._go_on(paused_s)

    def _go_on(self, paused_s: float) -> None:
        for endpoint in self._endpoints.values():
            endpoint.breaker.excuse(paused_s)
            endpoint.gate.looks_anew()
        if self._parts is not None:
            self._parts.admission.open()
        self._emit(RunResumed(paused_s=paused_s))

    def set_concurrency(self, provider: str, concurrency: int) -> None:
        """Sets the most requests in flight at a provider. Others keep theirs: the run's own limit rises and falls with it."""
        self._wanted[provider] = concurrency
        endpoint = self._endpoints.get(provider)
        if self._parts is None or endpoint is None:
            return
        possible = _possible(endpoint, concurrency)
        endpoint.choose(possible)
        admission = self._parts.admission
        total = max(1, admission.total + sum(_widened(share, endpoint, possible) for share in self._parts.shares))
        admission.total = max(total, possible)
        if self._parts.reorder is not None:
            self._parts.reorder.widen(admission.total)
        self._parts.share_out()
        self._emit(ConcurrencyChanged(provider=provider, concurrency=possible))

    # -- what is read, in any thread

    @property
    def paused_s(self) -> float:
        """Seconds for which it was paused until now."""
        return self._paused_s + (time.monotonic() - self._since if self._stop.is_paused else 0.0)

    @property
    def providers(self) -> list[str]:
        """The names of its providers; none before they are open."""
        return list(self._endpoints)

    @property
    def is_paused(self) -> bool:
        return self._stop.is_paused

    @property
    def limits(self) -> RunLimits:
        """What limits it now."""
        if self._parts is None:
            return RunLimits()
        states = self._parts.cashier.states
        return RunLimits(
            providers=tuple(map(_limits_of, list(self._endpoints.values()))),
            budget=tuple(LimitUsed(name=name, used=used, limit=limit) for name, (used, limit) in states.items()),
        )


def _possible(endpoint: Endpoint, concurrency: int) -> int:
    """So many, or fewer where this process cannot have so many connections."""
    free, more = room(), concurrency - endpoint.gate.most
    if endpoint.provider.simulated or free is None or more <= free:
        return concurrency
    possible = max(endpoint.gate.most, endpoint.gate.most + free)
    warn_user(
        f"{endpoint.label}: {concurrency:,} requests in flight are more than this process can have connections for, so it is {possible:,}. "
        f"Raise the limit (ulimit -n) to have more."
    )
    return possible


def _widened(share: Share, endpoint: Endpoint, concurrency: int) -> int:
    """Gives a share as many items in work as its provider may have requests in flight. Returns how many more that is than before.

    A share of several providers is not narrowed: the others go on.
    """
    if share.only_endpoint is not endpoint and (
        concurrency <= share.width or not any(endpoint in route.own for route in share.routes)
    ):
        return 0
    before = share.chosen or share.width
    share.chosen = concurrency
    return concurrency - before


def _limits_of(endpoint: Endpoint) -> ProviderLimits:
    gate, provider = endpoint.gate, endpoint.provider
    paced = [per_s for per_s in (gate.rate.per_s, gate.told_rate.per_s) if per_s is not None]
    return ProviderLimits(
        name=endpoint.label,
        in_flight=gate.in_flight,
        waiting=len(gate.waiting),
        concurrency=gate.setting,
        limit=gate.limit,
        rpm_limit=provider.rpm_limit,
        tpm_limit=provider.tpm_limit,
        paced_rpm=_MINUTE_S * min(paced) if paced else None,
        closed_s=max(0.0, gate.closed_for()),
        is_down=endpoint.breaker.is_down,
        stopped=endpoint.stopped,
    )
