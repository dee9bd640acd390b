"""Who gets which item: always the worker that is the emptiest, whatever has happened before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.engine.remote.dealing import Dealer, Hand, Pending


class Table:
    """A dealer with some workers, and one share."""

    def __init__(self) -> None:
        self.waiting = 0
        self.share: Any = SimpleNamespace(width=7, on_wait=self.wait)
        self.dealer = Dealer([self.share])
        self.hands: list[Hand] = []
        self.items = 0
        self.parting: list[Hand] = []
        self.pending: list[Pending] = []

    def wait(self, change: int) -> None:
        self.waiting += change

    def fullness(self) -> float:
        """How full the emptiest worker is, found by looking at all of them."""
        return min((hand.at_work(0) / hand.most(0) for hand in self.hands if hand.widths[0]), default=1.0)

    def join(self) -> None:
        self.hands.append(Hand())
        self.dealer.join(self.hands[-1])
        self.dealer.share_out()

    def widen(self, width: int) -> None:
        self.share.width = width
        self.dealer.share_out()

    def add(self) -> None:
        before, is_next = self.fullness(), not self.dealer._queues[0]
        at_work = {hand: hand.at_work(0) for hand in self.hands}
        self.items += 1
        order: Any = SimpleNamespace(share=0, record=SimpleNamespace(id=self.items))
        pending = Pending(order, asyncio.get_running_loop().create_future())
        self.pending.append(pending)
        self.dealer.add(pending)
        if not is_next:
            return
        assert (pending.hand is None) == (before >= 1.0)
        if pending.hand is not None:
            assert at_work[pending.hand] / pending.hand.most(0) == before
            assert self.dealer.dealt() == [pending.hand]

    def drop(self, hand: Hand) -> None:
        self.hands.remove(hand)
        self.dealer.drop(hand)
        self.dealer.share_out()
        self.dealer.dealt()

    def leave(self, hand: Hand) -> None:
        """Its lease has lapsed, and it may have something to tell yet."""
        self.hands.remove(hand)
        self.parting.append(hand)
        self.dealer.leave(hand)
        self.dealer.share_out()
        self.dealer.dealt()

    def close(self) -> None:
        """Some items are not waited for any more, all workers go, and nobody gets what is left."""
        for pending in self.pending[::3]:
            pending.outcome.cancel()
            self.dealer.forget(pending)
        assert self.dealer._ahead[0] <= self.dealer._unbegun[0], "the run opens items for some that nobody waits for"
        for hand in [*self.parting, *self.hands]:
            self.dealer.drop(hand)
        self.dealer.clear()
        assert (self.waiting, self.dealer._unbegun) == (0, [0])

    def end(self, hand: Hand) -> None:
        if hand.pending:
            self.dealer.ended(hand, next(iter(hand.pending)))
        self.dealer.given_back(hand, [])
        self.dealer.dealt()

    def check(self) -> None:
        assert not self.dealer._queues[0] or self.fullness() >= 1.0, "an item waits though a worker has room"
        assert all(len(hand.noted[0]) <= hand.most(0) for hand in self.hands), "notes do not grow with the items"


def steps() -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(
        st.tuples(
            st.sampled_from(["join", "drop", "leave", "late", "add", "add", "end", "wait", "widen"]), st.integers(0, 50)
        ),
        max_size=80,
    )


@settings(max_examples=60, deadline=None)
@given(steps())
def test_the_emptiest_worker_gets_the_next_item(steps: list[tuple[str, int]]) -> None:
    async def deal() -> None:
        table = Table()
        table.join()
        for what, number in steps:
            if what == "add":
                table.add()
            elif what == "widen":
                table.widen(1 + number)
            elif what == "late":
                if table.parting:
                    one(table, "begin" if number % 2 else "end", table.parting[number % len(table.parting)], number)
            elif what == "join" or not table.hands:
                table.join()
            else:
                hand = table.hands[number % len(table.hands)]
                one(table, what, hand, number)
            table.dealer.dealt()
            table.check()
        table.close()

    asyncio.run(deal())


def one(table: Table, what: str, hand: Hand, number: int) -> None:
    """What happens to one worker."""
    if what == "drop":
        table.drop(hand)
    elif what == "leave":
        table.leave(hand)
    elif what == "begin":
        for item in list(hand.pending)[: number % 4]:
            table.dealer.begun(hand, item)
    elif what == "end":
        table.end(hand)
    else:
        table.dealer.tell_waiting(hand, [min(number, hand.open[0])])
        table.dealer.given_back(hand, [])
