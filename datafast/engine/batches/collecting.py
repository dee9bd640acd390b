"""What became of the requests of a batch, taken into the ledger as replies that came online are.

Guarantee: a reply is recorded once, however often it is downloaded. What a call can cost is settled by what its reply says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from datafast.engine.batches.errors import as_text, dropped_in, is_accounts
from datafast.engine.batches.service import passes
from datafast.engine.events import CallFinished
from datafast.errors import ErrorKind, ProviderError, ReplyError
from datafast.llms.replies.formats import decode_reply
from datafast.store.batch_book import Settled
from datafast.store.batches import CallState
from datafast.store.records import Bound, CallRow, Charge
from datafast.types import Usage

if TYPE_CHECKING:
    from datafast.engine.batches.service import Service
    from datafast.engine.event_log import Emitter
    from datafast.llms.base import Response
    from datafast.llms.batches.base import BatchReply
    from datafast.store.batch_book import BatchBook
    from datafast.store.batches import BatchCall, BatchRow

__all__ = ["Collector", "SettleBatch"]


class SettleBatch(Protocol):
    """`Cashier.settle_batch`."""

    def __call__(self, bound: Bound, usage: Usage | None, cost_usd: float | None, *, charged: bool) -> None: ...


class Collector:
    """Collects one batch.

    Args:
        settle: ends the reservation of a request; see `Cashier.settle_batch`; `give_back`: of one that was not asked.
        count: adds a reply to the run's counts: the provider, its usage, its cost.
        on_reply: called with the item and the key of a call and its reply, once that is in the ledger.

    Attributes:
        row: the batch, with the sums of what was collected.
        not_answered: the number of calls that were not answered.
        accounts_error: the newest error that speaks of the account.
        fault: the newest other one.
    """

    def __init__(
        self,
        row: BatchRow,
        service: Service,
        *,
        book: BatchBook,
        settle: SettleBatch,
        give_back: Callable[[Bound], None],
        count: Callable[[str, Usage, float | None], None],
        emit: Emitter,
        on_reply: Callable[[int, bytes, Response], None],
    ) -> None:
        self.row = row
        self.accounts_error: ProviderError | None = None
        self.fault: ProviderError | None = None
        self.not_answered = 0
        self._service = service
        self._endpoint = service.endpoint
        self._book = book
        self._settle_bound = settle
        self._give_back = give_back
        self._count = count
        self._emit = emit
        self._on_reply = on_reply

    @property
    def only_faults(self) -> bool:
        """Whether nothing was answered, and it may work later."""
        return not self.row.answered and self.fault is not None and passes(self.fault)

    def take(self, replies: Sequence[BatchReply]) -> None:
        """Records some of what came back. What was recorded before, and what is not of this batch, is passed over.

        Raises:
            OutputWriteError: it cannot be saved.
        """
        by_number = {number: reply for reply in reversed(replies) if (number := self._number_of(reply)) is not None}
        known = self._book.calls_at(list(by_number))
        settled, heard = Settled(), []
        for number, reply in by_number.items():
            call = known.get(number)
            if call is not None and call.state is CallState.OPEN:
                heard.append((call, self._settle(call, reply, settled)))
        if not heard:
            return
        self.row = self._book.settle(self.row, settled)
        for call, response in heard:
            if response is not None:
                self._on_reply(call.item, call.key, response)

    def _number_of(self, reply: BatchReply) -> int | None:
        """The id of a call; None for what is not of this batch."""
        tag, _, number = reply.custom_id.partition("-")
        if tag != self.row.tag or not number.isdecimal() or int(number) >= self.row.num_calls:
            return None
        return self.row.first_call + int(number)

    def _settle(self, call: BatchCall, reply: BatchReply, settled: Settled) -> Response | None:
        """Notes what becomes of one call. Returns the reply if it is one."""
        if reply.response is not None:
            return self._answered(call, reply.response, settled)
        if reply.error is None:
            self._leave_unanswered(call, settled)
            return None
        self._failed(call, reply.error, settled, maybe_paid=reply.error.maybe_paid)
        return None

    def _answered(self, call: BatchCall, response: Response, settled: Settled) -> Response | None:
        raw = self._endpoint.without_keys(response.raw)
        row = CallRow(
            self._book.take_call_id(),
            call.item,
            call.key,
            call.generation,
            call.role,
            self._endpoint.label,
            self._endpoint.provider.model_id,
            self.row.submitted_at,
            0.0,  # it says nothing about how long a reply takes
            1,
            raw,
            response.format,
        )
        settled.calls.append(row)
        try:
            usage = decode_reply(raw, response.format).usage
        except ReplyError as error:  # it may have been paid for, and is no answer of a model
            unread = ProviderError(f"{self._endpoint.label}: {error}", kind=ErrorKind.NO_COMPLETION, status=200)
            self._failed(call, unread, settled, maybe_paid=True)
            return None
        list_usd = self._endpoint.cost_usd(usage)
        cost = _in_batch(list_usd, self._service.discount)
        row.settle(usage, cost)
        self._add_cost(settled, cost)
        if usage is None:
            self._charge(call, settled)
        elif cost is None and list_usd:
            settled.charges.append(Charge(call.request, self._endpoint.label, list_usd, 0, time.time()))
        settled.states.append((call.id, CallState.ANSWERED, ""))
        self._settle_bound(_bound(call), usage, list_usd if cost is None else cost, charged=usage is None)
        self._count(self._endpoint.label, usage or Usage(), cost)
        self._learn(call, usage)
        self._announce(call, usage or Usage(), cost)
        response.raw = raw
        return response

    def _failed(self, call: BatchCall, error: ProviderError, settled: Settled, *, maybe_paid: bool) -> None:
        if is_accounts(error):
            self.accounts_error = error
            self._leave_unanswered(call, settled, maybe_paid=maybe_paid)
            return
        if maybe_paid:
            self._charge(call, settled)
        self._settle_bound(_bound(call), None, None, charged=maybe_paid)
        self.fault = error
        settled.states.append((call.id, CallState.FAILED, as_text(error)))

    def leave_rest(self, *, most_paid: int = 0) -> None:
        """Notes that nothing more comes for the calls that are still open.

        Args:
            most_paid: so many of them may have been answered and paid for, and the answers are lost. They stay charged.
        """
        for calls in self._book.unsettled(self.row):
            settled = Settled()
            for call in calls:
                self._leave_unanswered(call, settled, maybe_paid=most_paid > 0)
                most_paid -= 1
            self.row = self._book.settle(self.row, settled)

    def _leave_unanswered(self, call: BatchCall, settled: Settled, *, maybe_paid: bool = False) -> None:
        self.not_answered += 1
        settled.states.append((call.id, CallState.NOT_ANSWERED, ""))
        if maybe_paid:
            self._charge(call, settled)
            self._settle_bound(_bound(call), None, None, charged=True)
        else:
            self._give_back(_bound(call))

    def _charge(self, call: BatchCall, settled: Settled) -> None:
        settled.charges.append(Charge(call.request, self._endpoint.label, call.usd, call.tokens, time.time()))

    def _add_cost(self, settled: Settled, cost: float | None) -> None:
        settled.cost_usd = None if settled.cost_usd is None or cost is None else settled.cost_usd + cost

    def _learn(self, call: BatchCall, usage: Usage | None) -> None:
        """Takes note of what a reply shows about how its provider is to be asked."""
        if usage is not None:
            self._endpoint.reply_limits.saw_reply(call.role, usage)
        dropped = dropped_in(call.form)
        if not dropped <= self._endpoint.params.dropped:
            self._endpoint.params.leave_out(dropped)

    def _announce(self, call: BatchCall, usage: Usage, cost: float | None) -> None:
        if self._emit.listening:
            self._emit(
                CallFinished(
                    provider=self._endpoint.label,
                    role=call.role,
                    latency_s=0.0,
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    cost_usd=cost,
                )
            )


def _in_batch(list_usd: float | None, discount: float | None) -> float | None:
    """The cost of a reply in a batch. What is free needs no discount to be known."""
    return list_usd if not list_usd else None if discount is None else list_usd * (1.0 - discount)


def _bound(call: BatchCall) -> Bound:
    return Bound(call.usd, call.tokens)
