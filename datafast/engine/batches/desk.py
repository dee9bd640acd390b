"""Where the calls of a run park that go into batches, or are in one already.

A call of a service that takes new ones is written into the batch that is being gathered; a call that is open in any batch waits for it. An
item all of whose open calls wait is closed, and opened again when its batch has ended: it finds the replies in the ledger, and goes on.

Cost: where a run has no batches there is no desk, and a call looks at one attribute. Limits: in memory are the calls of the batches that
are being gathered, and two integers for each item that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from datafast.engine.batches.dispatch import Dispatch
from datafast.engine.batches.errors import form_of, from_text, weigh
from datafast.engine.batches.waiting import ItemParked, Parked, Tray, Waiters
from datafast.engine.calls.budget import NoRoomYet
from datafast.engine.events import Retry
from datafast.engine.stop import ItemPending
from datafast.store.batches import Gathered, under_way

if TYPE_CHECKING:
    from datafast.engine.batches.dispatch import Office
    from datafast.engine.batches.service import Service
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.shares import Share
    from datafast.llms.base import Response
    from datafast.store.records import ItemRecord

__all__ = ["Desk"]

T = TypeVar("T")

_REOPENED_AT_ONCE = 200


class Desk:
    """The desk of one run.

    Args:
        services: by endpoint; those that take new calls, and those that have open batches.
        deadline: the moment (seconds since the epoch) at which what is under way is cancelled; None for none.
    """

    def __init__(
        self, office: Office, services: Mapping[Endpoint, Service], shares: Sequence[Share], *, deadline: float | None
    ) -> None:
        self._office = office
        self._store = office.store
        self._book = office.store.batches
        self._sender = office.sender
        self._cashier = office.sender.cashier
        self._services = services
        self._shares = shares
        self._resume: Callable[[Share, Iterator[int]], None] = lambda share, positions: None
        self._trays: dict[int, Tray] = {}
        self._parked: dict[bytes, list[Parked]] = {}
        self._held = Waiters()
        self._dispatch = Dispatch(
            office,
            services,
            shares,
            deadline=deadline,
            on_reply=self._on_reply,
            on_over=self._on_over,
            release=self._release,
        )
        self._cashier.on_full = self._dispatch.send_all
        self._cashier.brings_more = self._dispatch.brings_more
        self._sender.desk = self

    def start(self, resume: Callable[[Share, Iterator[int]], None]) -> None:
        """Begins with the batches of earlier runs.

        Args:
            resume: lets a share work on items again, given by their positions.
        """
        self._resume = resume
        self._dispatch.start()

    def look(self) -> None:
        """Called where a share has come to rest: perhaps nobody can add to a batch any more."""
        self._dispatch.look()

    # -- items

    async def produce(self, record: ItemRecord, produce: Coroutine[Any, Any, T]) -> T:
        """Carries out an item's coroutine.

        Raises:
            ItemParked: the item waits for a batch; see `wait`.
        """
        tray = self._trays[record.id] = Tray()
        try:
            return await tray.watch(produce)
        finally:
            del self._trays[record.id]

    def wait(self, parked: ItemParked, record: ItemRecord, share: Share) -> None:
        """Lets a closed item wait for its batch."""
        self._store.note_item(record)
        self._store.let_go(record)
        if parked.waiters.over:
            self._resume(share, self._reopened([record.id]))
            return
        parked.waiters.add(share, record.position, record.id)
        if parked.waiters is self._held:
            share.held = True

    def _reopened(self, item_ids: Sequence[int]) -> Iterator[int]:
        for start in range(0, len(item_ids), _REOPENED_AT_ONCE):
            yield from self._store.reopen(item_ids[start : start + _REOPENED_AT_ONCE])

    # -- calls

    async def send(self, call: Call) -> None:
        """Waits for the reply to a call, from a batch or online, and notes in the call what it says.

        Raises:
            CallFailed: no reply came, and none will.
            ItemPending: the run, or this provider, has stopped.
        """
        tray = self._trays[call.record.id]
        while not tray.closed:
            if call.key in tray.early:
                self._reads(call, tray.early.pop(call.key))
                return
            waiters = self._dispatch.waiters_of(call)
            if waiters is None:
                service = self._services.get(call.endpoint)
                if service is None or not service.takes:
                    waiters = await self._send_online(tray, call)
                    if waiters is None:
                        return
                else:
                    waiters = self._gather(call, service)
            reply = await self._park(tray, Parked(call, waiters))
            if reply is not None:
                self._reads(call, reply)
                return
        raise ItemPending

    @staticmethod
    def _reads(call: Call, reply: Response) -> None:
        call.replied(reply.raw, reply.format, call.endpoint.provider.model_id)

    async def _send_online(self, tray: Tray, call: Call) -> Waiters | None:
        """Sends a call that no batch takes. Returns those who wait for the end of what the budget must not end, if it is to wait too."""
        call.discount = 0.0
        try:
            await tray.online(self._sender.send_online(call))
        except NoRoomYet:
            return self._held
        return None

    async def _park(self, tray: Tray, parked: Parked) -> Response | None:
        beside = self._parked.setdefault(parked.call.key, [])
        beside.append(parked)
        try:
            return await tray.park(parked)
        finally:
            beside.remove(parked)
            if not beside:
                self._parked.pop(parked.call.key, None)

    def _gather(self, call: Call, service: Service) -> Waiters:
        """Writes a call into the batch that is being gathered. Returns those who wait for that, or for what lets them go on."""
        if self._office.stop or call.endpoint.stopped or self._store.broken:
            raise ItemPending
        if service.refusal is not None:
            return self._held
        record = call.record
        errors = self._book.errors_of(record.id, call.key, record.generation)
        if errors:
            weigh(call, errors, faults=self._sender.faults, book=self._book, service=service)
            if service.refusal is not None:
                return self._held
        call.discount = service.discount or 0.0
        bound = self._cashier.prepare(call) or self._cashier.bound(call)
        if (limit := self._cashier.passed_by(bound)) is not None:
            if self._cashier.num_reserved or self._dispatch.brings_more():
                return self._held
            self._cashier.end_run(limit, bound)
            raise ItemPending
        entry = Gathered(
            record.id, call.key, record.generation, call.role, bound.usd, bound.tokens, form_of(call.request)
        )
        waiters = self._dispatch.add(call, service, entry)
        if errors:
            self._sender.tally.retries += 1
            reason = from_text(errors[-1].error).kind.value
            self._office.emit(Retry(provider=call.endpoint.label, reason=reason, attempt=len(errors), wait_s=0.0))
        self._cashier.reserve_for_batch(bound)
        self._store.note_item(record)
        return waiters

    # -- what the batches bring

    def _on_reply(self, item_id: int, key: bytes, reply: Response) -> None:
        waiting = self._parked.get(key, ())
        for parked in waiting:
            parked.wake(reply)
        if not waiting and item_id in self._trays:
            self._trays[item_id].early[key] = reply

    def _on_over(self, waiters: Waiters) -> None:
        """Lets those go on who have waited for a batch."""
        waiters.over = True
        for tray in self._trays.values():
            for parked in tray.parked:
                if parked.waiters is waiters:
                    parked.wake()
        for share, item_ids in waiters.take():
            self._resume(share, self._reopened(item_ids))

    def _release(self) -> None:
        """Lets those look again who wait for room in the budget, or for what becomes of their provider."""
        held, self._held = self._held, Waiters()
        for share in self._shares:
            share.held = False
        self._on_over(held)

    # -- the end

    @property
    def is_busy(self) -> bool:
        """Whether there is something to wait for, beside the items that are worked on."""
        return self._dispatch.is_busy

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return self._dispatch.tasks

    @property
    def under_way(self) -> str | None:
        """What is under way that items wait for, in words; None if there is nothing."""
        waited = self._dispatch.waited_for
        return under_way(waited) if waited else None

    async def close(self) -> None:
        """Ends what is still being done. Batches that are under way stay so."""
        await self._dispatch.close()
