"""The books of a worker: a stand-in for the store, which is with the driver. Whatever is recorded goes there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from datafast.engine.remote.messages import Frozen, Learned, Refused, Replied
from datafast.store.records import OWN_CODE, CallRow

if TYPE_CHECKING:
    from datafast.engine.remote.messages import Order
    from datafast.engine.remote.outbox import Outbox
    from datafast.errors import OutputWriteError
    from datafast.plan.items import Context
    from datafast.store.records import ItemRecord, Recorded

__all__ = ["WorkerBooks"]


class WorkerBooks:
    """The books of one opening, as `datafast.engine.calls.books.Books` wants them."""

    broken: OutputWriteError | None = None  # the driver stops the run

    def __init__(self, outbox: Outbox, *, learned: Mapping[str, str], most_donated: int) -> None:
        self.learned = dict(learned)
        self.most_donated = most_donated
        self.models = Counter[tuple[str, str]]()
        self._outbox = outbox
        self.landing: Callable[[], Awaitable[None]] | None = outbox.landed
        self._orders: dict[int, Order] = {}
        self._replies: Counter[int] = Counter()

    # -- items

    def open(self, order: Order) -> None:
        """Work on an item begins."""
        self._orders[order.record.id] = order

    def close(self, record: ItemRecord) -> bool:
        """Work on an item has ended. Says whether a reply came for it."""
        del self._orders[record.id]
        return self._replies.pop(record.id, 0) > 0

    def recorded_calls(self, record: ItemRecord) -> dict[bytes, list[Recorded]]:
        return {key: list(replies) for key, replies in self._orders[record.id].recorded.items()}

    def contexts_of(self, record: ItemRecord) -> list[Context]:
        return list(self._orders[record.id].contexts)

    def freeze(self, record: ItemRecord, context: Context) -> None:
        """Tells it. It is in the ledger before any reply that comes of it."""
        self._outbox.add(Frozen(record.id, context))

    # -- calls

    def note_refused(self, record: ItemRecord) -> None:
        self._outbox.add(Refused(record.id))

    def learn(self, name: str, what: str) -> None:
        if self.learned.get(name) != what:
            self.learned[name] = what
            self._outbox.add(Learned(name, what))

    def record_reply(
        self,
        record: ItemRecord,
        *,
        key: bytes,
        role: str,
        provider: str,
        model_id: str,
        raw: bytes,
        format: str,  # noqa: A002 - what it is called everywhere
        latency_s: float,
        attempts: int,
    ) -> CallRow:
        """Tells a reply, with the usage that `settle` adds before anything else can happen. `landing` waits until it is safe."""
        sent_at = time.time() - latency_s
        call = CallRow(
            0,
            record.id,
            key,
            record.generation,
            role,
            provider,
            model_id,
            sent_at,
            latency_s,
            attempts,
            raw,
            format,
        )
        is_own = format == OWN_CODE
        if not is_own:
            self._replies[record.id] += 1
        self._outbox.add(Replied(call, is_own))
        return call
