"""Getting one answer: replay it from the ledger or send for it, record it, parse it, ask again.

A reply is recorded before it is looked at and before its slot is freed, and a slot is never held while waiting for a retry. Replaying
goes through recorded replies exactly as if they had just arrived, so a resumed call continues where it was: a reply that was not usable
still counts as a try.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from datafast.engine.calls.faults import Faults, Trouble
from datafast.engine.calls.partial import Partial, best_of
from datafast.engine.calls.turns import Turns
from datafast.engine.events import CallFinished, Retry
from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import CallFailed, ErrorKind, OutputWriteError, ProviderError, ReplyCategory, ReplyError
from datafast.llms.base import Completion, Request
from datafast.llms.pace import tokens_upper
from datafast.llms.replies.formats import model_of
from datafast.llms.replies.parse import check_numbers, correction, parse_reply, parse_text
from datafast.llms.replies.replaced import num_replaced
from datafast.store.records import OWN_CODE
from datafast.types import ProviderUsage, StopCause, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel

    from datafast.engine.calls.admission import Admission
    from datafast.engine.calls.books import CallBooks
    from datafast.engine.calls.budget import Cashier
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.memory import Memory
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig
    from datafast.llms.base import Response
    from datafast.llms.schema import ResponseSchema
    from datafast.store.records import ItemRecord, Recorded

__all__ = ["Caller", "Sender", "Tally", "read_reply"]


@dataclass(slots=True)
class Tally:
    """This run's own counts.

    `used`: by the labels of providers. `read`: replies that were looked at. `truncated`: those of them that were cut at the limit. `cut`:
    texts that were cut and are kept. `replaced`: replies with characters that became U+FFFD.
    """

    calls: int = 0
    retries: int = 0
    replayed: int = 0
    used: dict[str, ProviderUsage] = field(default_factory=dict)
    read: int = 0
    truncated: int = 0
    cut: int = 0
    replaced: int = 0


class TakesCalls(Protocol):
    """What answers calls in another way than by sending each: the desk of a run in batch mode."""

    async def send(self, call: Call) -> None:
        """As `Sender.send`."""
        ...


class Caller:
    """Answers the calls of one run."""

    def __init__(self, sender: Sender, *, memory: Memory, settings: RunConfig, emit: Emitter) -> None:
        self._sender = sender
        self._memory = memory
        self._settings = settings
        self._emit = emit

    async def answer(self, call: Call, recorded: list[Recorded]) -> BaseModel | str:
        """One usable answer: a validated instance of the asked model, or text. `call.raw` is the reply it stood in, and `call.flaw`
        says what is wrong with it if it is not whole.

        Args:
            recorded: the replies already paid for, oldest first; taken from as they are used.

        Raises:
            CallFailed: there is no usable answer.
            ItemPending: the run, or this provider, has stopped.
        """
        endpoint, modes = call.endpoint, call.endpoint.modes
        needed = None if self._sender.limits_replies else endpoint.reply_limits.needed
        call.has_needed_limit = needed is not None
        call.request = Request(
            call.messages,
            call.schema,
            modes.choose() if call.schema is not None and not recorded else modes.usual,
            needed,
            text_bounds=endpoint.text_bounds,
            dropped_params=endpoint.params.dropped,
            again=call.again,
        )
        if recorded or call.record.failure is not None:
            answer = await self._another(call, recorded, None)
        else:
            await self._sender.send(call)
            try:
                answer = self._read(call)
                self._learn_from(call)
            except ReplyError as error:
                answer = await self._another(call, recorded, error)
        if isinstance(call.said, Completion) and num_replaced(call.said, call.raw, is_json=call.schema is not None):
            self._sender.tally.replaced += 1
        return answer

    def _read(self, call: Call) -> BaseModel | str:
        tally = self._sender.tally
        tally.read += 1
        try:
            return read_reply(call.said, call.schema)
        except ReplyError as error:
            tally.truncated += error.category is ReplyCategory.TRUNCATED
            raise

    async def own(self, record: ItemRecord, key: bytes, name: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What code of the user's gives back, recorded."""
        began = time.monotonic()
        raw = await make()
        await self._sender.note_own(record, key, name, raw, time.monotonic() - began)
        return raw

    async def _another(self, call: Call, recorded: list[Recorded], error: ReplyError | None) -> BaseModel | str:
        """An answer to a call that has recorded replies, or whose first reply has this error."""
        partial: list[Partial] = []
        answer = None
        try:
            answer = await self._whole(call, recorded, partial, error)
        except CallFailed:
            if not partial:
                raise
        if answer is None:
            answer = best_of(partial).taken_by(call)
            self._sender.tally.cut += call.schema is None
        return answer

    async def _whole(
        self, call: Call, recorded: list[Recorded], partial: list[Partial], error: ReplyError | None
    ) -> BaseModel | str | None:
        """An answer that is whole; None where no whole one is to be asked for, since one in `partial` will do.

        Args:
            error: what is wrong with the newest reply; None where there is none yet.
        """
        counts, replayed, enough, giver = True, False, False, ""
        while True:
            if error is not None:
                will_do = self._keep(call, error, partial, whole_first=counts and not (replayed and call.record.kept))
                enough |= will_do
                if counts and not will_do:
                    self._ask_again(call, error, next_reply=recorded[0] if recorded else None)
                error = None
            # What one provider gave is weighed together; what others gave is theirs.
            counts, replayed = True, bool(recorded) and not (enough and recorded[0].provider != giver)
            if replayed:
                known = recorded.pop(0)
                giver = known.provider
                call.replied(known.raw, known.format, known.model_id)
                # What failed in an earlier generation, or with another provider, is not held against this try.
                counts = _counts(known, call)
                self._sender.tally.replayed += not call.record.reopened
                if isinstance(call.said, ReplyError):
                    continue  # no model's reply, so not a try of this call
            elif enough:
                return None
            elif call.record.failure is not None:
                raise call.failed(call.record.failure.error, call.record.failure.category)
            else:
                await self._sender.send(call)
            try:
                answer = self._read(call)
            except ReplyError as problem:
                error = problem
                continue
            self._learn_from(call)
            return answer

    def _keep(self, call: Call, error: ReplyError, partial: list[Partial], *, whole_first: bool) -> bool:
        """Keeps what can be used of a reply that is not whole. Says whether that will do.

        Args:
            whole_first: after a cut a whole reply is asked for, unless lost rows were made without one. Of others the rest is missing.
        """
        if error.usable is None or (call.schema is None and self._settings.on_truncation == "fail"):
            return False
        partial.append(Partial(error, call.said, call.raw, call.model_id))
        if error.category is not ReplyCategory.INVALID:
            return not whole_first
        self._learn_from(call)
        return True

    def _learn_from(self, call: Call) -> None:
        """Notes that the reply mode of a new reply has worked, and that its prompt was answered."""
        if call.is_new and not call.endpoint.has_known_good:
            self._memory.keep_answered(call)
        if self._sender.limits_replies:
            self._memory.note_surprises(call.endpoint)
        if call.schema is not None and call.is_new:
            call.endpoint.modes.worked(call.request.mode)
            self._memory.note(call.endpoint)

    def _ask_again(self, call: Call, error: ReplyError, *, next_reply: Recorded | None) -> None:
        """Prepares the next try, or gives up. `next_reply`: a reply that is recorded already."""
        call.unusable += 1
        formless = error.category in {ReplyCategory.INVALID, ReplyCategory.EMPTY} and call.schema is not None
        other_mode = call.other_mode() if formless and call.is_new else None
        self._memory.note(call.endpoint)
        if self._sender.limits_replies:
            self._memory.note_surprises(call.endpoint)
        truncated = error.category is ReplyCategory.TRUNCATED
        lifted = self._lifted(call) if truncated else None
        if lifted is not None and self._sender.limits_replies:
            call.unusable -= 1  # nobody but us is to blame for it
        hopeless = error.category is ReplyCategory.REFUSED or (truncated and lifted is None)
        # What was asked again under another setting has been paid for, and may have the answer.
        asked_before = next_reply is not None and _counts(next_reply, call)
        if hopeless or (call.unusable > self._settings.max_parse_retries and not asked_before):
            keep = (
                " With run.on_truncation: keep it is taken as it is."
                if truncated and isinstance(error.usable, str)
                else ""
            )
            raise call.failed(f"{error}{keep}", error.category.value) from error
        messages = list(call.messages)
        if error.category is ReplyCategory.INVALID and isinstance(call.said, Completion):
            messages += correction(error, call.said.text)
        # With every way tried, on with the one that works for others: this call has just had bad luck with it.
        mode = other_mode or (call.endpoint.modes.usual if formless else call.request.mode)
        call.request = replace(
            call.request, messages=messages, mode=mode, token_limit=lifted or call.request.token_limit
        )
        if next_reply is not None:
            return
        self._sender.tally.retries += 1
        self._emit(Retry(provider=call.endpoint.label, reason=error.category.value, attempt=call.unusable, wait_s=0.0))

    def _lifted(self, call: Call) -> int | None:
        """A higher limit for a reply that was cut off where the user has set none; None if the model gives no more.

        Without a budget the server's own limit has cut it, and one that we set is tried once.
        """
        limits, limit = call.endpoint.reply_limits, call.request.token_limit
        if not limits.are_ours:
            return None
        usage = call.said.usage if isinstance(call.said, Completion) else None
        written = usage.output_tokens if usage is not None else 0
        if call.cut_at is not None and (not self._sender.limits_replies or (limit and 0 < written < limit / 2)):
            return None
        call.cut_at = (
            (limit or written) if self._sender.limits_replies else 0
        )  # how a recorded one was limited is not known
        return limits.lifted(call.cut_at)


class Sender:
    """Sends the requests of one run.

    Attributes:
        cashier: keeps the budget.
        desk: what takes calls into batches; None where none may be in one.
    """

    def __init__(
        self,
        *,
        store: CallBooks,
        admission: Admission,
        stop: StopSignal,
        settings: RunConfig,
        emit: Emitter,
        cashier: Cashier,
    ) -> None:
        self.tally = Tally()
        self.desk: TakesCalls | None = None
        self._store = store
        self._admission = admission
        self._stop = stop
        self._emit = emit
        self._places = 0
        self.cashier = cashier
        self._turns = Turns(store=store, admission=admission, stop=stop, cashier=cashier)
        self.faults = Faults(stop=stop, turns=self._turns, settings=settings, emit=emit, attempt=self._attempt)

    @property
    def limits_replies(self) -> bool:
        """Whether requests carry a limit of our own where the user has set none, because a budget has to reserve their replies."""
        return self.cashier.limits_replies

    async def send(self, call: Call) -> None:
        """Sends until a reply arrives, records it, and notes in the call what it says.

        Raises:
            CallFailed: no reply came.
            ItemPending: the run, or this provider, has stopped.
        """
        if self.desk is not None:
            await self.desk.send(call)
        else:
            await self.send_online(call)

    async def send_online(self, call: Call) -> None:
        """The same, without a batch."""
        if not call.place:
            self._places += 1
            call.place = self._places
        error = await self._attempt(call)
        if error is not None:
            await self._send_again(call, error)

    async def _send_again(self, call: Call, error: ProviderError | None) -> None:
        """Sends until a reply arrives, after a first error."""
        trouble = Trouble()
        try:
            while error is not None:
                if not self.faults.adapts(call, error):
                    await self._endure(call, error, trouble)
                error = await self._attempt(call)
        except ItemPending:
            if trouble.refusals:
                self._store.note_refused(call.record)
            raise

    async def _endure(self, call: Call, error: ProviderError, trouble: Trouble) -> None:
        """Waits until the request may be sent again; raises where it must not be."""
        wait_s = self.faults.wait_after(call, error, trouble)
        self.tally.retries += 1
        told_s = max(wait_s, call.endpoint.gate.closed_for())
        self._emit(Retry(provider=call.endpoint.label, reason=error.kind.value, attempt=call.sent, wait_s=told_s))
        await self.faults.wait(call, error, trouble, wait_s)

    async def _attempt(self, call: Call) -> ProviderError | None:
        """Sends one request. Returns None where a reply came, else the error that came in its place."""
        endpoint = call.endpoint
        tokens = 0
        if endpoint.gate.paces_tokens:
            tokens = tokens_upper(call.request.messages, endpoint.provider.max_completion_tokens)
        booking = await self._turns.take(call, tokens)
        sent_at = call.sent_at = time.monotonic()
        call.sent += 1
        endpoint.breaker.sent(sent_at)
        usage: Usage | None = None
        maybe_paid = True  # also where the wait for it is cancelled
        try:
            response = await endpoint.backend.complete(call.request)
            usage = self._take(call, response, tokens)
            if self._store.landing is not None:
                await self._store.landing()
        except ProviderError as error:
            maybe_paid = error.maybe_paid
            endpoint.met(error, call.number, sent_at)
            if tokens and not maybe_paid:
                endpoint.gate.correct_tokens(-tokens)
            return error
        except OutputWriteError as error:
            self._stop.now(StopCause.OUTPUT, str(error), error)
            raise ItemPending from error
        finally:
            if booking is not None:
                self.cashier.settle(booking, usage, endpoint.cost_usd(usage), maybe_paid=maybe_paid)
            endpoint.breaker.landed(sent_at)
            self._admission.leave(endpoint.gate)
        if isinstance(call.said, ReplyError):
            unread = ProviderError(f"{endpoint.label}: {call.said}", kind=ErrorKind.NO_COMPLETION, status=200)
            endpoint.met(unread, call.number, sent_at)
            return unread
        if call.request.dropped_params is not endpoint.params.dropped:
            endpoint.params.leave_out(call.request.dropped_params)
            call.on_trial = None
        if call.request.token_limit is not None:
            endpoint.reply_limits.accepted(call.request.token_limit, call.refused_limit)
            call.refused_limit = None
        self._learn_from_success(call, usage)
        return None

    def _learn_from_success(self, call: Call, usage: Usage | None) -> None:
        """Takes note of what a reply shows about its provider."""
        endpoint = call.endpoint
        endpoint.breaker.succeeded(call.sent_at)
        if endpoint.gate.knee is not None:
            endpoint.gate.answered(usage.output_tokens if usage is not None else 1, call.sent_at)
        if not endpoint.bounds_worked:
            endpoint.bounds_worked = call.sends_bounds

    def _take(self, call: Call, response: Response, tokens: int) -> Usage | None:
        """Records a reply that has just arrived; nothing may come before this. Returns what it says it used."""
        endpoint = call.endpoint
        raw = endpoint.without_keys(response.raw)
        recorded = self._store.record_reply(
            call.record,
            key=call.key,
            role=call.role,
            provider=endpoint.label,
            model_id=endpoint.provider.model_id,
            raw=raw,
            format=response.format,
            latency_s=response.latency_s,
            attempts=call.sent - call.sent_before,
        )
        call.sent_before = call.sent
        usage = call.replied(raw, response.format, endpoint.provider.model_id)
        said = call.said
        named = said.model_id if isinstance(said, Completion) else model_of(raw, response.format)
        self._store.models[endpoint.label, named] += 1
        cost = endpoint.cost_usd(usage)
        if tokens and usage is not None:
            endpoint.gate.correct_tokens(usage.input_tokens + usage.output_tokens - tokens)
        if response.head and endpoint.gate.told_rate.is_due():
            used = usage.input_tokens + usage.output_tokens if usage is not None else 0
            endpoint.gate.told(response.rate_limits, tokens=used)
        recorded.settle(usage, cost)
        if usage is not None and self.cashier.limits_replies:
            self.cashier.saw(call, usage)
        self.count(endpoint.label, usage or Usage(), cost)
        if not self._emit.listening:
            return usage
        self._emit(
            CallFinished(
                provider=endpoint.label,
                role=call.role,
                latency_s=response.latency_s,
                input_tokens=usage.input_tokens if usage else 0,
                output_tokens=usage.output_tokens if usage else 0,
                cost_usd=cost,
            )
        )
        return usage

    async def note_own(self, record: ItemRecord, key: bytes, name: str, raw: bytes, latency_s: float) -> None:
        """Records what code of the user's gave back, before it is used.

        Raises:
            ItemPending: it could not be saved, and the run stops.
        """
        try:
            noted = self._store.record_reply(
                record,
                key=key,
                role=name,
                provider=name,
                model_id="",
                raw=raw,
                format=OWN_CODE,
                latency_s=latency_s,
                attempts=0,
            )
        except OutputWriteError as error:
            self._stop.now(StopCause.OUTPUT, str(error), error)
            raise ItemPending from error
        noted.settle(Usage(0, 0), 0.0)
        if self._store.landing is not None:
            await self._store.landing()

    def count(self, provider: str, usage: Usage, cost: float | None) -> None:
        """Adds a reply to the run's own counts."""
        tally = self.tally
        tally.calls += 1
        used = tally.used.get(provider)
        if used is None:
            used = tally.used[provider] = ProviderUsage()
        used.calls += 1
        used.input_tokens += usage.input_tokens
        used.output_tokens += usage.output_tokens
        used.cost_usd = None if cost is None or used.cost_usd is None else used.cost_usd + cost


def _counts(known: Recorded, call: Call) -> bool:
    """Whether a recorded reply that was not usable is a try of this call."""
    return known.generation == call.record.generation and known.provider == call.endpoint.label


def read_reply(said: Completion | ReplyError, schema: ResponseSchema | None) -> BaseModel | str:
    """What a reply answers.

    Raises:
        ReplyError: it is not what was asked.
    """
    if isinstance(said, ReplyError):
        raise said
    if schema is None:
        return parse_text(said)
    value = parse_reply(said, schema)
    if schema.numeric or schema.free:
        check_numbers(value)
    return value
