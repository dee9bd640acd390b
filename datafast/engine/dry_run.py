"""Finds out what an item would ask, by running `produce` with a simulated model in every role; or has asked, by recorded replies.

Guarantee: nothing is sent, no key is needed and nothing is written. The calls are those of the kind's own `produce`, so
they cannot differ from a real run. Limits: if later calls depend on earlier answers that are not recorded, their number is that of
one simulated run.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, cast

from datafast.engine.calls.admission import Gate
from datafast.engine.calls.breaker import Breaker
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.calls.partial import Partial, best_of
from datafast.engine.calls.sender import Caller, read_reply
from datafast.engine.generate import Generate
from datafast.engine.routes import Route, call_identities, labels_of, providers_of
from datafast.errors import CallFailed, ReplyCategory, ReplyError
from datafast.llms.base import Request
from datafast.store.records import ItemRecord, ItemState

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.calls.call import Call
    from datafast.engine.job import Produce
    from datafast.engine.settings import FanOut, RunConfig
    from datafast.llms.provider import LLMProvider
    from datafast.llms.schema import ResponseSchema
    from datafast.plan.items import WorkItem
    from datafast.store.records import Recorded

__all__ = [
    "Asked",
    "DryRun",
    "answered",
    "asked_before",
    "dry_resume",
    "dry_run",
    "stand_ins",
    "tries_no_more",
]


@dataclass(frozen=True)
class DryRun:
    """The calls of one item.

    Attributes:
        calls: the number of its calls in each role, in the order of the first calls.
        asks: all its calls. If recorded replies were given, those that they do not answer.
        replayed: the keys of the calls that recorded replies answer.
        in_batches: how many of its calls are in open batches.
    """

    calls: dict[str, int]
    asks: Sequence[Call]
    replayed: Collection[bytes] = frozenset()
    in_batches: int = 0


@dataclass(frozen=True)
class Asked:
    """A call that an item has made.

    Attributes:
        call: what was asked, in which role.
        provider: the name of the provider that was asked.
        answered: whether a usable reply is recorded.
    """

    call: Call
    provider: str
    answered: bool


@dataclass
class _Player:
    """Replaces the engine's `Caller`, and keeps the calls. Every reply is a recorded one, or else a simulated one."""

    parse_retries: int = 0
    waiting: Collection[bytes] = frozenset()
    in_batches: int = 0
    asks: list[Call] = field(default_factory=list)
    replayed: set[bytes] = field(default_factory=set)

    async def answer(self, call: Call, recorded: Sequence[Recorded]) -> BaseModel | str:
        if recorded:
            self.replayed.add(call.key)
            if tries_no_more(call, recorded, self.parse_retries):
                return answered(call, recorded)
        if call.key in self.waiting:
            self.in_batches += 1
        else:
            self.asks.append(call)
        response = await call.endpoint.backend.complete(Request(call.messages, call.schema))
        call.replied(response.raw, response.format, call.endpoint.provider.model_id)
        try:
            return read_reply(call.said, call.schema)
        except ReplyError as error:
            raise _not_simulated(call.schema, error) from error

    async def own(self, record: ItemRecord, key: bytes, name: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Stands for what code of the user's gives back, which is not run."""
        return b'"(not run)"'

    def seen(self) -> DryRun:
        """The calls so far."""
        return DryRun(dict(Counter(ask.role for ask in self.asks)), self.asks, self.replayed, self.in_batches)


@dataclass
class _Replayer:
    """Replaces the engine's `Caller`, and keeps the calls. Every reply is a recorded one."""

    asked: list[Asked] = field(default_factory=list)

    async def answer(self, call: Call, recorded: Sequence[Recorded]) -> BaseModel | str:
        number = len(self.asked)
        self.asked.append(Asked(call, recorded[-1].provider if recorded else call.endpoint.label, answered=False))
        answer = answered(call, recorded)
        self.asked[number] = replace(self.asked[number], answered=True)
        return answer

    async def own(self, record: ItemRecord, key: bytes, name: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Ends the replay: what is not recorded was not given back."""
        raise LookupError(name)


def _not_simulated(schema: ResponseSchema | None, error: ReplyError) -> ReplyError:
    """The error for a schema that simulated models cannot fill, which says where, and what helps."""
    if schema is not None:
        from datafast.llms.simulated.text import Writer
        from datafast.llms.simulated.values import ValueMaker

        maker = ValueMaker(schema.json_schema, Writer(Random(0), ""), examples=schema.examples, given=schema.simulated)
        maker.make()
        if maker.unmade:
            name, pattern = maker.unmade[0]
            return ReplyError(
                f"No simulated text matches the pattern {pattern!r} of {name!r}, and calls are counted with simulated replies. "
                f"Check the pattern and its bounds on length, or give {name!r} examples that match: examples: [...] beside it."
            )
    return ReplyError(
        f"No simulated reply fits what is asked, and calls are counted with simulated replies. {error} A plan and an offline run "
        f"need a simpler schema; a run with the real model does not."
    )


def tries_no_more(call: Call, recorded: Sequence[Recorded], parse_retries: int) -> bool:
    """Whether nothing more is sent for a call with recorded replies: one is whole, or it was asked again as often as it may be."""
    tried = sum(
        reply.generation == call.record.generation and reply.provider == call.endpoint.label for reply in recorded
    )
    return tried > parse_retries or any(_is_whole(call, reply) for reply in recorded)


def answered(call: Call, recorded: Sequence[Recorded]) -> BaseModel | str:
    """What the first whole reply answers, or the best of those that are not whole.

    Raises:
        CallFailed: none is usable.
    """
    partial = []
    for reply in recorded:
        call.replied(reply.raw, reply.format, reply.model_id)
        try:
            return read_reply(call.said, call.schema)
        except ReplyError as error:
            if error.usable is not None:
                partial.append(Partial(error, call.said, call.raw, call.model_id))
    if not partial:
        raise call.failed("No usable reply is recorded.", ReplyCategory.EMPTY.value)
    return best_of(partial).taken_by(call)


def _is_whole(call: Call, reply: Recorded) -> bool:
    call.replied(reply.raw, reply.format, reply.model_id)
    try:
        read_reply(call.said, call.schema)
    except ReplyError:
        return False
    return True


async def dry_run(produce: Produce, item: WorkItem, route: Route[Endpoint] | None = None) -> DryRun:
    """Runs an item's `produce` without a ledger and without a network.

    Args:
        route: one of `stand_ins`, where it matters who is asked.

    Raises:
        ReplyError: what it asks for cannot be simulated.
    """
    from datafast.llms.simulated.provider import SimulatedProvider  # only where calls are counted

    player = _Player()
    provider = SimulatedProvider()
    endpoint = _endpoint(provider, label=provider.label, identity=provider.identity)
    await produce(item, _generate(player, item, route or Route.single(endpoint), {}))
    return player.seen()


async def dry_resume(
    produce: Produce,
    item: WorkItem,
    *,
    route: Route[Endpoint],
    settings: RunConfig,
    record: ItemRecord | None,
    recorded: Mapping[bytes, list[Recorded]],
    most_rows: int,
    waiting: Collection[bytes] = frozenset(),
) -> DryRun:
    """Runs an item's `produce` with the replies that are recorded for it, and without a network.

    Args:
        route: one of `stand_ins`.
        record: the item in the ledger, if it is there.
        recorded: the replies that it may use, by the keys of their calls; `most_rows` is the most rows that one was asked for.
        waiting: the keys of its calls that are in open batches.
    """
    player = _Player(settings.max_parse_retries, waiting)
    generate = _generate(player, item, route, recorded, record=record, most_rows=most_rows, top_up=settings.top_up)
    # The item fails again, or its schema cannot be simulated; what it asked until then counts.
    with contextlib.suppress(CallFailed, ReplyError):
        await produce(item, generate)
    return player.seen()


def stand_ins(routes: Sequence[Route[LLMProvider]], *, fan_out: FanOut) -> list[Route[Endpoint]]:
    """The routes with endpoints that send nothing, under whose keys the replies of the providers are found."""
    providers = providers_of(routes)
    labels, identities = labels_of(providers), call_identities(routes, fan_out=fan_out)
    made = {
        id(provider): _endpoint(
            provider, label=labels[id(provider)], identity=identities.get(id(provider), provider.identity)
        )
        for provider in providers
    }
    return [route.map(lambda provider: made[id(provider)]) for route in routes]


async def asked_before(
    produce: Produce,
    item: WorkItem,
    *,
    routes: Sequence[Route[LLMProvider]],
    fan_out: FanOut,
    recorded: Mapping[bytes, list[Recorded]],
) -> list[Asked]:
    """What an item has asked so far, by its recorded replies: each call until one without a usable reply stopped it.

    Args:
        recorded: the replies to the item's calls, by their keys.
    """
    route = stand_ins(routes, fan_out=fan_out)[item.route]
    replayer = _Replayer()
    try:
        await produce(item, _generate(replayer, item, route, recorded))
    except Exception:  # noqa: BLE001 - what failed, in a call or in the kind, has been told and recorded by the run
        return replayer.asked
    return replayer.asked


def _generate(
    caller: _Player | _Replayer,
    item: WorkItem,
    route: Route[Endpoint],
    recorded: Mapping[bytes, list[Recorded]],
    *,
    record: ItemRecord | None = None,
    most_rows: int = 0,
    top_up: bool = False,
) -> Generate:
    return Generate(
        caller=cast(Caller, caller),
        item=item,
        record=record or ItemRecord(0, item.key, item.content, item.position, ItemState.OPEN, 0, item.num_rows),
        recorded=dict(recorded),
        most_rows=max(item.most_rows, most_rows),
        route=route,
        waiting=lambda change: None,
        top_up=top_up,
    )


def _endpoint(provider: LLMProvider, *, label: str, identity: str) -> Endpoint:
    """An endpoint of this provider that sends nothing."""
    from datafast.llms.simulated.provider import SimulatedProvider

    backend = SimulatedProvider().open(max_connections=1)
    gate = Gate(1)
    return Endpoint(provider, label=label, identity=identity, gate=gate, breaker=Breaker(gate), backend=backend)
