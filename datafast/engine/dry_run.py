"""Finds out what an item would ask, by running `produce` with a simulated model in every role.

Guarantee: nothing is sent, no key is needed and nothing is written. The calls are those of the kind's own `produce`, so
they cannot differ from a real run. Limits: if later calls depend on earlier answers, their number is that of one
simulated run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from datafast.engine.calls.admission import Gate
from datafast.engine.calls.breaker import Breaker
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.calls.sender import Caller, read_reply
from datafast.engine.generate import Generate
from datafast.engine.routes import Route
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.store.records import ItemRecord, ItemState

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.calls.call import Call
    from datafast.engine.job import Produce
    from datafast.plan.items import WorkItem
    from datafast.types import Message

__all__ = ["DryRun", "dry_run"]


@dataclass(frozen=True)
class DryRun:
    """The calls of one item.

    Attributes:
        first: the messages of its first call, and `first_role` its role.
        calls: the number of its calls in each role, in the order of the first calls.
        asks: all its calls.
    """

    first: Sequence[Message]
    first_role: str
    calls: dict[str, int]
    asks: Sequence[Call]


@dataclass
class _Player:
    """Replaces the engine's `Caller`, and keeps the calls."""

    asks: list[Call] = field(default_factory=list)

    async def answer(self, call: Call, recorded: object) -> BaseModel | str:
        self.asks.append(call)
        response = await call.endpoint.backend.complete(Request(call.messages, call.schema))
        call.replied(response.raw, response.format, call.endpoint.provider.model_id)
        return read_reply(call.said, call.schema)


async def dry_run(produce: Produce, item: WorkItem) -> DryRun:
    """Runs an item's `produce` without a ledger and without a network."""
    player = _Player()
    provider = SimulatedProvider()
    gate = Gate(1)
    endpoint = Endpoint(
        provider,
        label=provider.label,
        identity=provider.identity,
        gate=gate,
        breaker=Breaker(gate),
        backend=provider.open(max_connections=1),
    )
    generate = Generate(
        caller=cast(Caller, player),
        item=item,
        record=_unrecorded(item),
        recorded={},
        route=Route.single(endpoint),
        waiting=lambda change: None,
    )
    await produce(item, generate)
    asks = player.asks
    first, first_role = (asks[0].messages, asks[0].role) if asks else ([], "")
    return DryRun(first, first_role, dict(Counter(ask.role for ask in asks)), asks)


def _unrecorded(item: WorkItem) -> ItemRecord:
    return ItemRecord(0, item.key, item.content, item.position, ItemState.OPEN, 0, item.num_rows)
