"""Who works on which items: the orders that wait, and those that each worker has.

A worker has as many items of a share at work as its part of the share's width, and a few more that it has not begun, so that it never
waits for the next one. Where others are idle and nothing else is left, such items are taken back and given to them: a slow worker holds up
no more than what it has begun.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datafast.engine.outcomes import Outcome
    from datafast.engine.remote.messages import Order
    from datafast.engine.shares import Share

__all__ = ["Dealer", "Hand", "Pending"]

_AHEAD = 0.25  # of the items at work, as many are there that are not begun
_LEAST_AHEAD = 2


@dataclass(slots=True, eq=False)
class Pending:
    """An item that is not done yet, and who waits for its outcome.

    Attributes:
        begun: whether a worker works on it. `answered`: whether a reply has come for it.
        hand: whose it is; None while it waits.
    """

    order: Order
    outcome: asyncio.Future[Outcome | None]
    hand: Hand | None = None
    begun: bool = False
    answered: bool = False


@dataclass(slots=True, eq=False)
class Hand:
    """What one worker has.

    Attributes:
        pending: its items, by the ids of their records.
        to_tell: those of them that it does not know of yet.
        open: how many it has of each share; `unbegun` are not begun; `waiting` of them wait without a slot.
        widths: how many of each share it works on at once.
        is_asked: whether it was told to give some back, and has not answered.
        number: which worker it is, in the order in which they came; None when it is gone.
        noted: of each share, with how many items at work it stands in the dealer's heap.
    """

    pending: dict[int, Pending] = field(default_factory=dict)
    to_tell: list[Order] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    unbegun: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    is_asked: bool = False
    number: int | None = None
    noted: list[set[int]] = field(default_factory=list)

    def at_work(self, number: int) -> int:
        """How many items of a share it has that do not wait."""
        return self.open[number] - self.waiting[number]

    def most(self, number: int) -> int:
        """How many items of a share it is given, without those that wait."""
        width = self.widths[number]
        return width + max(_LEAST_AHEAD, int(width * _AHEAD)) if width else 0


class Dealer:
    """Deals the items of a run to its workers."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares
        self._numbers = {id(share): number for number, share in enumerate(shares)}
        self._queues: list[deque[Pending]] = [deque() for _ in shares]
        self._hands: list[Hand] = []
        self._unbegun = [0 for _ in shares]  # over all workers, and of those that wait here
        self._ahead = [0 for _ in shares]  # as many of them count as waiting, so that the run opens others
        self._joined = 0
        # (how full, number of the worker, items at work, worker) of each share: those that were so once, and all that are now.
        self._emptiest_first: list[list[tuple[float, int, int, Hand]]] = [[] for _ in shares]
        self._dealt: dict[Hand, None] = {}

    # -- workers

    def join(self, hand: Hand) -> None:
        hand.open = [0 for _ in self._shares]
        hand.unbegun, hand.waiting, hand.widths = list(hand.open), list(hand.open), list(hand.open)
        hand.noted = [set() for _ in self._shares]
        hand.number, self._joined = self._joined, self._joined + 1
        self._hands.append(hand)

    def leave(self, hand: Hand) -> None:
        """A worker is given nothing more. What it has stays with it until `drop`."""
        if hand in self._hands:
            self._hands.remove(hand)
            hand.number = None

    def drop(self, hand: Hand) -> None:
        """A worker is gone: its items wait for others, before those that nobody has had."""
        self.leave(hand)
        self.tell_waiting(hand, [0 for _ in self._shares])
        for pending in reversed(hand.pending.values()):
            if pending.begun:
                pending.begun = False
                self._unbegun[pending.order.share] += 1
            pending.hand = None
            self._queues[pending.order.share].appendleft(pending)
        hand.pending.clear()
        self._look_ahead()

    def share_out(self) -> None:
        """Divides the width of each share among the workers, and gives them items."""
        for number, share in enumerate(self._shares):
            width = share.width
            each, further = divmod(width, max(1, len(self._hands)))
            for place, hand in enumerate(self._hands):
                hand.widths[number] = each + (place < further)
                hand.noted[number].clear()
            self._emptiest_first[number].clear()
            for hand in self._hands:
                self._note(hand, number)
        self._deal()

    # -- items

    def number_of(self, share: Share) -> int:
        """The number of a share."""
        return self._numbers[id(share)]

    def add(self, pending: Pending) -> None:
        """Another item."""
        number = pending.order.share
        self._queues[number].append(pending)
        self._unbegun[number] += 1
        self._deal()
        self._look_ahead()

    def begun(self, hand: Hand, item: int) -> None:
        """A worker has begun with an item."""
        pending = hand.pending.get(item)
        if pending is not None and not pending.begun:
            pending.begun = True
            self._unbegun[pending.order.share] -= 1
            hand.unbegun[pending.order.share] -= 1
            self._look_ahead()

    def ended(self, hand: Hand, item: int) -> Pending | None:
        """A worker has no more to do with an item."""
        self.begun(hand, item)
        pending = hand.pending.pop(item, None)
        if pending is not None:
            hand.open[pending.order.share] -= 1
            self._note(hand, pending.order.share)
        return pending

    def given_back(self, hand: Hand, items: Sequence[int]) -> None:
        """A worker gives items back that it has not begun."""
        hand.is_asked = False
        for item in items:
            pending = hand.pending.pop(item, None)
            if pending is not None:
                hand.open[pending.order.share] -= 1
                hand.unbegun[pending.order.share] -= 1
                self._note(hand, pending.order.share)
                pending.hand = None
                self._queues[pending.order.share].appendleft(pending)
        self._deal()

    def forget(self, pending: Pending) -> None:
        """Nobody waits for the outcome of an item any more."""
        if pending.hand is None and pending in self._queues[pending.order.share]:
            self._queues[pending.order.share].remove(pending)
            self._unbegun[pending.order.share] -= 1
            self._look_ahead()

    def clear(self) -> list[Pending]:
        """Takes all items that no worker has."""
        left = [pending for queue in self._queues for pending in queue]
        for pending in left:
            self._unbegun[pending.order.share] -= 1
        for queue in self._queues:
            queue.clear()
        self._look_ahead()
        return left

    def tell_waiting(self, hand: Hand, waiting: Sequence[int]) -> None:
        """So many items of each share wait at a worker without a slot."""
        for number, now in enumerate(waiting):
            while hand.waiting[number] != now:
                change = 1 if now > hand.waiting[number] else -1
                hand.waiting[number] += change
                self._shares[number].on_wait(change)
            self._note(hand, number)

    def wants_back(self, hand: Hand) -> list[int]:
        """How many items of each share that a worker has no room to begin with are better given to others that could begin at once."""
        wanted = [0 for _ in self._shares]
        if hand.is_asked or hand.to_tell or any(self._queues):
            return wanted
        for number in range(len(self._shares)):
            too_many = min(hand.unbegun[number], hand.at_work(number) - hand.widths[number])
            if too_many > 0:
                others = (other for other in self._hands if other is not hand)
                room = sum(max(0, other.widths[number] - other.at_work(number)) for other in others)
                wanted[number] = min(too_many, room)
        hand.is_asked = any(wanted)
        return wanted

    # -- who gets which

    def _deal(self) -> None:
        for number, queue in enumerate(self._queues):
            while queue:
                hand = self._emptiest(number)
                if hand is None:
                    break
                pending = queue.popleft()
                if pending.outcome.done():  # nobody waits for it
                    self._unbegun[number] -= 1
                    continue
                pending.hand = hand
                hand.pending[pending.order.record.id] = pending
                hand.to_tell.append(pending.order)
                hand.open[number] += 1
                hand.unbegun[number] += 1
                self._dealt[hand] = None
                self._note(hand, number)

    def dealt(self) -> list[Hand]:
        """The workers that were given items since this was called last."""
        dealt, self._dealt = list(self._dealt), {}
        return dealt

    def _note(self, hand: Hand, number: int) -> None:
        """Notes how full a worker is, for `_emptiest`."""
        most, at_work = hand.most(number), hand.at_work(number)
        if hand.number is not None and at_work < most and at_work not in hand.noted[number]:
            hand.noted[number].add(at_work)
            heapq.heappush(self._emptiest_first[number], (at_work / most, hand.number, at_work, hand))

    def _emptiest(self, number: int) -> Hand | None:
        """The worker that has the fewest items of a share for what it works on at once; None if all have enough."""
        heap = self._emptiest_first[number]
        while heap:
            _, _, at_work, hand = heap[0]
            if hand.number is not None and hand.at_work(number) == at_work:
                return hand
            heapq.heappop(heap)
            hand.noted[number].discard(at_work)
        return None

    def _look_ahead(self) -> None:
        """Lets the run open a few items more than workers work on at once."""
        for number, share in enumerate(self._shares):
            most = max(_LEAST_AHEAD * max(1, len(self._hands)), int(share.width * _AHEAD))
            wanted = min(self._unbegun[number], most)
            while self._ahead[number] != wanted:
                change = 1 if wanted > self._ahead[number] else -1
                self._ahead[number] += change
                share.on_wait(change)
