"""Finds out what an item would ask, by running `produce` with a simulated model in every role.

Guarantee: nothing is sent, no key is needed and nothing is written. The calls are those of the kind's own `produce`, so
they cannot differ from a real run. Recorded replies are used as a run uses them. Limits: if later calls depend on earlier
answers that are not recorded, their number is that of one simulated run.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from datafast.engine.calls.admission import Gate
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.calls.sender import Caller, read_reply
from datafast.engine.generate import Generate
from datafast.engine.routes import Route
from datafast.errors import CallFailed, ReplyError
from datafast.llms.base import Request
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.store.records import ItemRecord, ItemState

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.calls.call import Call
    from datafast.engine.job import Produce
    from datafast.plan.items import WorkItem
    from datafast.store.records import Recorded
    from datafast.types import Message

__all__ = ["DryRun", "dry_run", "stand_in"]


@dataclass
class DryRun:
    """The calls of one item. Replaces the engine's `Caller`, and keeps them.

    Attributes:
        asks: the calls that would be sent.
        replayed: the keys of those that recorded replies answer.
    """

    asks: list[Call] = field(default_factory=list)
    replayed: set[bytes] = field(default_factory=set)

    @property
    def first(self) -> Sequence[Message]:
        """The messages of its first call."""
        return self.asks[0].messages if self.asks else []

    @property
    def first_role(self) -> str:
        """The role of its first call."""
        return self.asks[0].role if self.asks else ""

    @property
    def calls(self) -> dict[str, int]:
        """The number of its calls in each role, in the order of the first calls."""
        return dict(Counter(ask.role for ask in self.asks))

    async def answer(self, call: Call, recorded: list[Recorded]) -> BaseModel | str:
        """The first recorded reply that can be used, else a simulated one."""
        while recorded:
            known = recorded.pop(0)
            call.replied(known.raw, known.format, known.model_id)
            self.replayed.add(call.key)
            try:
                return read_reply(call.said, call.schema)
            except ReplyError:
                continue  # it was asked again
        self.asks.append(call)
        response = await call.endpoint.backend.complete(Request(call.messages, call.schema))
        call.replied(response.raw, response.format, call.endpoint.provider.model_id)
        return read_reply(call.said, call.schema)


def stand_in(*, label: str | None = None, identity: str | None = None) -> Endpoint:
    """A simulated model that has the name and the identity of another one."""
    provider = SimulatedProvider()
    return Endpoint(
        provider,
        label=provider.label if label is None else label,
        identity=provider.identity if identity is None else identity,
        gate=Gate(1),
        backend=provider.open(max_connections=1),
    )


async def dry_run(
    produce: Produce,
    item: WorkItem,
    *,
    route: Route[Endpoint] | None = None,
    record: ItemRecord | None = None,
    recorded: Mapping[bytes, Sequence[Recorded]] | None = None,
    top_up: bool = False,
) -> DryRun:
    """Runs an item's `produce` without a network.

    Args:
        route: who stands in for its providers.
        record: the item in the ledger, if it is there.
        recorded: the recorded replies that it may use, by the keys of their calls.
    """
    run = DryRun()
    generate = Generate(
        caller=cast(Caller, run),
        item=item,
        record=record or ItemRecord(0, item.key, item.content, item.position, ItemState.OPEN, 0, item.num_rows),
        recorded={key: list(replies) for key, replies in (recorded or {}).items()},
        route=route or Route.single(stand_in()),
        waiting=lambda change: None,
        top_up=top_up,
    )
    with contextlib.suppress(CallFailed):  # the item would fail; what it asked until then counts
        await produce(item, generate)
    return run
