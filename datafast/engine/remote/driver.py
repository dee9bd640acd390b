"""The driver's side: gives the items of a run to workers, and takes what becomes of them.

The driver has the output, the shares, the events and the limits, as a local run has them; only what becomes of an item is found out
elsewhere: `Fleet.of` stands in the place of `Outcomes.of`. A worker is lost when nothing was heard of it for as long as its lease lasts. By
then it has stopped sending; what it had booked is charged at its bound, and its items are given out again. What stood in its reports is
recorded, so only what was in flight is asked again. Its last words count too, if they come at once: it may have been the driver that stood
still, and then all workers have replies to tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datafast.engine.outcomes import Outcome
from datafast.engine.reasoning import row_of
from datafast.engine.remote.crew import WorkerLostError
from datafast.engine.remote.dealing import Hand, Pending
from datafast.engine.remote.messages import Order, Orders
from datafast.errors import ConfigError, OutputWriteError
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.calls.admission import Admission
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.job import Job
    from datafast.engine.remote.broker import Broker
    from datafast.engine.remote.crew import Crew, Link
    from datafast.engine.remote.dealing import Dealer
    from datafast.engine.remote.messages import Setup
    from datafast.engine.remote.receiving import Receiver
    from datafast.engine.shares import Share
    from datafast.engine.stop import StopSignal
    from datafast.plan.items import WorkItem
    from datafast.store.records import ItemRecord
    from datafast.store.writer import Store

__all__ = ["AT_WORK", "WORKERS", "Fleet"]

WORKERS = "workers"
"""Under this name the ledger says whether workers are at work: if a driver has died, they may send for a while yet."""
AT_WORK = "at work"
_LOOK_S = 0.1
_REPORT_S = 0.1  # after so long a worker reports at the latest
_MOST_REPORTS_PER_S = 2000  # of all workers, if they have nothing to tell
_LANDED_S = 2.0
_LAST_WORDS_S = 2.0  # for which a worker is heard whose lease has lapsed, before its items are given to others
_END_S = 5.0  # for which workers are waited for at the end


@dataclass(slots=True, eq=False)
class _Member:
    """A worker of this opening: the way to it, what it has, and how many of its entries are safe.

    `exchange` is the task that speaks with it. `is_lost`: it does not answer any more, and its lease has not lapsed yet.
    """

    number: int
    link: Link
    hand: Hand
    kept: int = 0
    exchange: asyncio.Task[None] | None = None
    is_lost: bool = False


class Fleet:
    """The workers of one opening of an output. `close` it before that is closed.

    Args:
        setup: what each of them is told at its beginning.
        endpoints: the driver's own, by name. Nothing is sent by them.
    """

    def __init__(
        self,
        *,
        crew: Crew,
        setup: Setup,
        job: Job,
        shares: Sequence[Share],
        endpoints: Mapping[str, Endpoint],
        store: Store,
        broker: Broker,
        receiver: Receiver,
        dealer: Dealer,
        admission: Admission,
        stop: StopSignal,
    ) -> None:
        self._admission = admission
        self._crew = crew
        self._setup = setup
        self._job = job
        self._shares = shares
        self._endpoints = endpoints
        self._store = store
        self._broker = broker
        self._receiver = receiver
        self._dealer = dealer
        self._stop = stop
        self._members: dict[Hashable, _Member] = {}
        self._links: dict[Hand, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._parting: set[asyncio.Task[None]] = set()  # those of them that hear last words
        self._numbers = 0
        self._widths: tuple[object, ...] = ()
        self._has_told_stop = False
        self._alone_since = time.monotonic()
        self._failed: ConfigError | None = None
        self._is_closing = False
        self._limits: dict[str, int] = {}
        # Who watches rows is shown them as objects, which are not sent.
        self._shows_rows = job.is_refusal is not None or bool(job.compared_live)
        self._is_recruiting = False
        self._add(self._watch())

    # -- items

    async def of(self, item: WorkItem, record: ItemRecord, share: Share) -> Outcome | None:
        """What becomes of an item, found out by a worker; see `Outcomes.of`."""
        if self._failed is not None:
            raise self._failed
        if self._stop:
            return None
        if not self._is_recruiting:  # a run with nothing to do needs nobody
            self._is_recruiting = True
            self._store.learn(WORKERS, AT_WORK)
            self._alone_since = time.monotonic()
            self._add(self._recruit())
        store, number = self._store, self._dealer.number_of(share)
        order = Order(number, item, record, store.recorded_calls(record), store.contexts_of(record))
        pending = Pending(order, asyncio.get_running_loop().create_future())
        self._dealer.add(pending)
        self._nudge_idle()
        try:
            outcome = await pending.outcome
        except asyncio.CancelledError:
            self._dealer.forget(pending)
            raise
        return outcome if outcome is None or not self._shows_rows else self._with_rows(outcome)

    def _with_rows(self, outcome: Outcome) -> Outcome:
        """The outcome with its rows as objects, made of their lines."""
        place, model = self._job.reasoning.place, self._job.row_model
        rows = {number: row_of(line, place, model) for number, line in outcome.lines.items()}
        dropped = [row_of(row.row, place, model) for row in outcome.filtered]
        return outcome._replace(rows=rows, dropped=dropped)

    # -- workers

    async def _recruit(self) -> None:
        """Lets each worker that there is take part."""
        try:
            async for link in self._crew.recruits():
                self._add(self._begin(link))
        except ConfigError as error:
            self._fail(error)

    async def _begin(self, link: Link) -> None:
        self._numbers += 1
        number = self._numbers
        try:
            await link.begin(self._setup)
        except WorkerLostError:
            self._crew.lose(link)
            return
        except ConfigError as error:
            self._fail(error)
            return
        member = _Member(number, link, Hand())
        self._members[number] = member
        self._links[member.hand] = link
        self._broker.join(number)
        self._dealer.join(member.hand)
        self._share_out(anew=True)
        member.exchange = self._add(self._speak_with(member))

    def _fail(self, error: ConfigError) -> None:
        """No worker can begin, which is nobody's fault but the config's or the cluster's."""
        self._failed = error
        self._stop.now(StopCause.FAULT, str(error), error)

    def _break_off(self, error: BaseException) -> None:
        """A fault of ours, or of the disk: the run stops and raises it."""
        is_output = isinstance(error, OutputWriteError)
        reason = str(error) if is_output else f"{type(error).__name__}: {error}"
        self._stop.now(StopCause.OUTPUT if is_output else StopCause.FAULT, reason, error)

    async def _speak_with(self, member: _Member) -> None:
        """One exchange after another, until the worker is lost."""
        try:
            while member.number in self._members:
                is_last = self._is_closing
                report = await member.link.exchange(self._orders(member, is_end=is_last))
                member.kept += self._receiver.take(member.hand, report)
                if not self._broker.hear(member.number, report.ask):  # it is late, and its items are still its own
                    self._broker.settle(member.number, report.ask)
                    await self._hear_out(member)
                    break
                self._note_limits()
                if is_last:
                    return
        except WorkerLostError:
            member.is_lost = True  # whatever it had booked and in flight counts until its lease has lapsed
            await self._hear_out(member)  # by its clock that may have been just now
        except Exception as error:  # noqa: BLE001 - the run stops and raises it
            self._break_off(error)
        self._crew.lose(member.link)

    async def _hear_out(self, member: _Member) -> None:
        """Takes what a worker has to tell yet that goes on with nothing."""
        try:
            last = await member.link.last_words()
            self._receiver.take(member.hand, last)
            self._broker.settle(member.number, last.ask)
            member.is_lost = False
        except WorkerLostError:
            member.is_lost = True
        except Exception as error:  # noqa: BLE001 - the run stops and raises it
            self._break_off(error)

    def _orders(self, member: _Member, *, is_end: bool) -> Orders:
        self._share_out()
        stop, hand = self._stop, member.hand
        give_back = () if stop else self._dealer.wants_back(hand)
        items, hand.to_tell = hand.to_tell, []
        told = (stop.cause, stop.reason) if stop.cause is not None and stop.reason is not None else None
        stopped = {label: one.stopped for label, one in self._endpoints.items() if one.stopped is not None}
        return Orders(
            kept=member.kept,
            grant=self._broker.grant(member.number),
            items=items,
            widths=list(hand.widths),
            give_back=give_back,
            is_paused=stop.is_paused,
            stop=told,
            stopped=stopped,
            answered=sorted(self._receiver.answered),
            wait_s=0.0 if is_end else max(_REPORT_S, len(self._members) / _MOST_REPORTS_PER_S),
            is_end=is_end,
        )

    def _nudge_idle(self) -> None:
        """Lets workers that have something new to do not wait for the end of an exchange without news."""
        for hand in self._dealer.dealt():
            if hand.to_tell and hand.number is not None:
                self._links[hand].nudge()

    def _share_out(self, *, anew: bool = False) -> None:
        widths = tuple(share.width for share in self._shares)
        if anew or widths != self._widths:
            self._widths = widths
            self._dealer.share_out()

    def _note_limits(self) -> None:
        """Shows in the driver's gates what is in flight at workers, for all who look."""
        for label, endpoint in self._endpoints.items():
            endpoint.gate.in_flight = self._broker.gates[label].in_flight

    # -- what passes with time

    async def _watch(self) -> None:
        while True:
            await self._stop.sleep(_LOOK_S) if not self._stop else await asyncio.sleep(_LOOK_S)
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the run stops and raises it, and somebody has to look on until its end
                self._break_off(error)

    def _look(self) -> None:
        if self._stop:
            self._wind_up()
        for number in self._broker.lapsed():
            if (member := self._members.pop(number, None)) is not None:
                parting = self._add(self._lose(member))
                self._parting.add(parting)
                parting.add_done_callback(self._parting.discard)
        self._look_at_limits()
        for number, member in self._members.items():
            if self._broker.has_leased(number) and self._broker.has_news(number):
                member.link.nudge()
        self._look_alone()

    async def _lose(self, member: _Member) -> None:
        """A worker's lease has lapsed."""
        self._dealer.leave(member.hand)
        self._links.pop(member.hand, None)
        self._share_out(anew=True)
        self._nudge_idle()
        try:
            if member.exchange is not None:
                await asyncio.wait([member.exchange], timeout=_LAST_WORDS_S)
                member.exchange.cancel()
            self._broker.charge(member.number)
        finally:  # the disk may be full, or the run closes, and whoever waits for its items has to hear of the end
            self._receiver.lose(member.hand)
            self._dealer.drop(member.hand)
            self._crew.lose(member.link)
            self._share_out(anew=True)
            self._nudge_idle()
            self._note_limits()

    def _look_at_limits(self) -> None:
        """Takes over what was changed while the run goes on. A limit that is to be found is left to the broker."""
        self._broker.set_total(self._admission.total)
        for label, endpoint in self._endpoints.items():
            gate = endpoint.gate
            if gate.knee is None and gate.setting != self._limits.get(label):
                self._limits[label] = gate.setting
                self._broker.set_concurrency(label, gate.setting)

    def _look_alone(self) -> None:
        """Ends a run that nobody works on for too long."""
        now = time.monotonic()
        if self._members or not self._is_recruiting:
            self._alone_since = now
        elif now - self._alone_since > self._job.settings.max_stall_s and not self._stop:
            self._stop.now(
                StopCause.WORKERS,
                f"no worker is left, and none has come for {self._job.settings.max_stall_s:g} s (run.max_stall_s)",
            )

    def _wind_up(self) -> None:
        """The run ends: nobody begins with items that no worker has."""
        for pending in self._dealer.clear():
            if not pending.outcome.done():
                pending.outcome.set_result(None)
        if not self._has_told_stop:
            self._has_told_stop = True
            for member in self._members.values():
                member.link.nudge()

    # -- its end

    async def close(self) -> None:
        """Ends the work of all workers, after their last reports. What is still in flight then is charged at its bound."""
        self._is_closing = True
        for member in self._members.values():
            member.link.nudge()
        speaking = [member.exchange for member in self._members.values() if member.exchange is not None]
        speaking += self._parting
        if speaking:
            await asyncio.wait(speaking, timeout=_LANDED_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A second closing finds nobody any more.
        members, self._members = list(self._members.values()), {}
        was_at_work, self._is_recruiting = self._is_recruiting, False
        try:
            for member in members:
                self._broker.leave(member.number)
            self._broker.close()
        except OutputWriteError as error:  # the next start charges what is booked
            self._break_off(error)
        ending, late = [asyncio.ensure_future(member.link.end()) for member in members], set[asyncio.Task[None]]()
        if ending:
            _, late = await asyncio.wait(ending, timeout=_END_S)
        for task in late:
            task.cancel()
        if was_at_work and not late and not any(member.is_lost for member in members):
            self._store.learn(WORKERS, "")

    def _add(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break_off(error)
