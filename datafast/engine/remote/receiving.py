"""What the driver does with the reports of workers: replies into the journal, events to whoever listens, counts into the run's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.engine.events import CallFinished, LimitChanged, ProviderPaused, ProviderResumed
from datafast.engine.remote.messages import (
    Counted,
    Ended,
    Frozen,
    Happened,
    Learned,
    ProviderEnded,
    Refused,
    Replied,
    Report,
    RunFailed,
    Started,
    Warned,
)
from datafast.errors import OutputWriteError
from datafast.store.records import Recorded
from datafast.types import StopCause, Usage

if TYPE_CHECKING:
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.calls.sender import Sender
    from datafast.engine.event_log import Emitter
    from datafast.engine.events import Event
    from datafast.engine.outcomes import Outcome
    from datafast.engine.remote.dealing import Dealer, Hand
    from datafast.engine.remote.messages import Entry
    from datafast.engine.stop import StopSignal
    from datafast.store.writer import Store

__all__ = ["Receiver"]


class Receiver:
    """Takes what workers tell of one opening of an output.

    Args:
        endpoints: the driver's own, by the names of providers. Nothing is sent by them; they say what has stopped.
    """

    def __init__(
        self,
        *,
        store: Store,
        sender: Sender,
        endpoints: Mapping[str, Endpoint],
        dealer: Dealer,
        emit: Emitter,
        stop: StopSignal,
    ) -> None:
        self._store = store
        self._sender = sender
        self._endpoints = endpoints
        self._dealer = dealer
        self._emit = emit
        self._stop = stop
        self._counted: dict[Hand, Counted] = {}
        self._limits: dict[str, dict[Hand, int]] = {}
        self._paused: dict[str, set[Hand]] = {}
        self._warned: set[str] = set()
        self.answered: set[str] = set()

    def take(self, hand: Hand, report: Report) -> int:
        """Takes a report. Returns how many of its entries are safe: all, but for those from one on that could not be saved."""
        for number, entry in enumerate(report.entries):
            try:
                self._take(hand, entry)
            except OutputWriteError as error:
                self._stop.now(StopCause.OUTPUT, str(error), error)
                return number
        self._dealer.given_back(hand, report.given_back)
        self._dealer.tell_waiting(hand, report.waiting)
        self._store.models.update(report.models)
        self._count(hand, report.counted)
        return len(report.entries)

    def lose(self, hand: Hand) -> None:
        """A worker is gone."""
        for label in list(self._paused):
            self._resumed(label, hand)
        for limits in self._limits.values():
            limits.pop(hand, None)

    def _take(self, hand: Hand, entry: Entry) -> None:
        match entry:
            case Replied():
                self._replied(hand, entry)
            case Started(item):
                self._dealer.begun(hand, item)
            case Ended(item, outcome):
                self._ended(hand, item, outcome)
            case Happened(event):
                self._happened(hand, event)
            case ProviderEnded(provider, reason):
                self._sender.faults.stop_provider(self._endpoints[provider], reason)
            case RunFailed(cause, reason, error):
                self._stop.now(cause, reason, error)
            case _:
                self._note(hand, entry)

    def _note(self, hand: Hand, entry: Frozen | Refused | Learned | Warned) -> None:
        match entry:
            case Frozen(item, context):
                if (pending := hand.pending.get(item)) is not None:
                    self._store.freeze(pending.order.record, context)
                    pending.order.contexts.append(context)
            case Refused(item):
                if (pending := hand.pending.get(item)) is not None:
                    self._store.note_refused(pending.order.record)
            case Learned(name, what):
                self._store.learn(name, what)
            case Warned(message):
                if message not in self._warned:
                    self._warned.add(message)
                    warn_user(message)

    def _replied(self, hand: Hand, entry: Replied) -> None:
        """Records a reply, whatever has become of its item."""
        told, pending = entry.call, hand.pending.get(entry.call.item)
        if pending is None:
            return
        recorded = self._store.record_reply(
            pending.order.record,
            key=told.key,
            role=told.role,
            provider=told.provider,
            model_id=told.model_id,
            raw=told.raw,
            format=told.format,
            latency_s=told.latency_s,
            attempts=told.attempts,
        )
        recorded.input_tokens, recorded.output_tokens = told.input_tokens, told.output_tokens
        recorded.cached_tokens, recorded.cost_usd = told.cached_tokens, told.cost_usd
        kept = Recorded(told.generation, told.raw, told.provider, told.model_id, told.format)
        pending.order.recorded.setdefault(told.key, []).append(kept)
        if entry.is_own:
            return
        pending.answered = True
        self.answered.add(told.provider)
        usage = Usage(told.input_tokens or 0, told.output_tokens or 0)
        self._sender.count(told.provider, usage, told.cost_usd)
        if self._emit.listening:
            self._emit(
                CallFinished(
                    provider=told.provider,
                    role=told.role,
                    latency_s=told.latency_s,
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    cost_usd=told.cost_usd,
                )
            )

    def _ended(self, hand: Hand, item: int, outcome: Outcome | None) -> None:
        pending = self._dealer.ended(hand, item)
        if pending is not None and not pending.outcome.done():
            if outcome is not None and pending.answered:
                outcome = outcome._replace(replayed=False)
            pending.outcome.set_result(outcome)

    # -- events

    def _happened(self, hand: Hand, event: Event) -> None:
        """Passes an event on. Limits and pauses of single workers are told as those of the provider."""
        match event:
            case LimitChanged():
                limits = self._limits.setdefault(event.provider, {})
                limits[hand] = event.limit
                self._emit(LimitChanged(provider=event.provider, limit=sum(limits.values())))
            case ProviderPaused():
                paused = self._paused.setdefault(event.provider, set())
                is_news = not paused
                paused.add(hand)
                if is_news:
                    self._emit(event)
            case ProviderResumed():
                self._resumed(event.provider, hand)
            case _:
                self._emit(event)

    def _resumed(self, provider: str, hand: Hand) -> None:
        paused = self._paused.get(provider)
        if paused and hand in paused:
            paused.discard(hand)
            if not paused:
                self._emit(ProviderResumed(provider=provider))

    def _count(self, hand: Hand, now: Counted) -> None:
        before, tally = self._counted.get(hand, Counted()), self._sender.tally
        self._counted[hand] = now
        tally.retries += now.retries - before.retries
        tally.replayed += now.replayed - before.replayed
        tally.read += now.read - before.read
        tally.truncated += now.truncated - before.truncated
        tally.cut += now.cut - before.cut
        tally.replaced += now.replaced - before.replaced
