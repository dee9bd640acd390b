"""A cluster in virtual time: one driver with the real broker, many nodes with the real leases, and measured costs of messages.

Discrete events. The driver is one core that handles one message after the other; a message takes the time that `costs` say. A slot is
free again when its reply was journalled and the node has heard so. What is simulated besides costs: the network (a fixed way), and the
replies of models, which take a time around the given one. With several drivers, each has its shards, its own nodes and its part of the
limits, and they share nothing, so one of them is simulated.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.costs import calibrated
from datafast.engine.calls.admission import Waiting
from datafast.engine.remote.broker import Broker
from datafast.engine.remote.leases import Leases
from datafast.engine.remote.terms import Ask, Grant, ProviderTerms

__all__ = ["calibrated", "simulated"]

_WAY_S = 0.0005
_HOLD_S = 0.1  # how long a node keeps a message of the driver if it has nothing to tell
_LOOKS_PER_S = 2000  # the driver is not to be busy with nodes that have nothing to tell
_WARM_UP_S = 5.0
_RETURN_S = 10.0  # until a node that was lost is replaced


def simulated(
    *,
    nodes: int,
    slots: int,
    reply_s: float,
    seconds: float,
    costs: dict[str, float],
    rpm: float | None = None,
    death_every_s: float | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Lets a driver with so many nodes run for some virtual seconds after a start.

    Returns:
        done: replies recorded in a second. ideal: the same if a slot were never empty.
        busy: the part of the time in which the driver works. broker: that in which the broker does.
        messages: messages handled in a second. lost: requests that have to be sent again, for each death.
        most_a_minute: requests sent within any 60 s, where there is a limit.
    """
    cluster = _Cluster(nodes, slots, reply_s, costs, rpm, seed)
    if death_every_s is not None:
        cluster.later(_WARM_UP_S, lambda: cluster.kill_again(death_every_s))
    cluster.run(_WARM_UP_S)
    before = (cluster.done, cluster.busy_s, cluster.messages)
    cluster.run(seconds)
    done, busy_s, messages = (now - then for now, then in zip(cluster.figures, before, strict=True))
    return {
        "done": done / seconds,
        "ideal": min(nodes * slots / reply_s, (rpm or float("inf")) / 60.0),
        "busy": busy_s / seconds,
        "broker": messages * costs["broker_s"] / seconds,
        "messages": messages / seconds,
        "lost": cluster.lost / max(1, cluster.deaths),
        "most_a_minute": float(_most_within(cluster.sent, 60.0)) if rpm else 0.0,
    }


def _most_within(moments: list[float], window_s: float) -> int:
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


class _Waits(asyncio.Future[Any]):
    """A request that waits: there is always a further one."""


class _Node:
    """One node. It has always more to send than it may."""

    def __init__(self, cluster: _Cluster, name: int) -> None:
        self.cluster = cluster
        self.name = name
        self.alive = True
        self.leases = Leases(cluster.terms, clock=lambda: cluster.now)
        self.gate = self.leases.gates["a"]
        for number in range(4 * cluster.slots):
            heapq.heappush(self.gate.waiting, Waiting(0, number, 0, cluster.waits))
        self.landed = 0  # replies that the driver has not heard of
        self.told = 0  # replies in the report that is on its way
        self._is_asked = False
        self._exchange = 0

    def pump(self) -> None:
        cluster, gate = self.cluster, self.gate
        while gate.in_flight < gate.limit and gate.opens_at <= cluster.now:
            gate.take(0, cluster.now)
            cluster.note_sent()
            cluster.later(cluster.reply_s * cluster.rng.uniform(0.8, 1.2), partial(self._land, cluster.now))
        if gate.in_flight < gate.limit and cluster.now < gate.opens_at < cluster.now + 1.0:
            cluster.later(gate.opens_at - cluster.now, self.pump)

    def _land(self, sent_at: float) -> None:
        if self.alive:
            self.landed += 1
            self.gate.succeeded(sent_at)
            self._report()

    def heard(self, grant: Grant, recorded: int) -> None:
        """A message of the driver has come: so many replies are recorded, and their slots free."""
        if not self.alive:
            return
        self.leases.take(grant)
        self.gate.in_flight -= recorded
        self._is_asked = True
        self._exchange = exchange = self._exchange + 1
        self.pump()
        if self.landed:
            self._report()
        else:
            hold_s = max(_HOLD_S, len(self.cluster.nodes) / _LOOKS_PER_S)
            self.cluster.later(hold_s, lambda: self._report() if exchange == self._exchange else None)

    def _report(self) -> None:
        """Answers the driver, if it has asked."""
        if self.alive and self._is_asked:
            self._is_asked = False
            self.told, self.landed = self.landed, 0
            told, ask = self.told, self.leases.ask()
            self.cluster.later(_WAY_S, lambda: self.cluster.report(self, ask, told))


class _Cluster:
    """The driver with its nodes."""

    def __init__(
        self, nodes: int, slots: int, reply_s: float, costs: dict[str, float], rpm: float | None, seed: int
    ) -> None:
        self.now = 1000.0
        self.rng = random.Random(seed)
        self.slots = slots
        self.reply_s = reply_s
        self.costs = costs
        self.terms = {"a": ProviderTerms(nodes * slots, rpm=rpm)}
        self.broker = Broker(self.terms, total=nodes * slots, clock=lambda: self.now)
        loop = asyncio.new_event_loop()
        self.waits = _Waits(loop=loop)
        loop.close()
        self.done = 0
        self.busy_s = 0.0
        self.messages = 0
        self.deaths = 0
        self.lost = 0
        self.sent: list[float] = []
        self._counts_sent = rpm is not None
        self._free_at = self.now
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._names = itertools.count()
        self.nodes: dict[int, _Node] = {}
        for _ in range(nodes):
            self.later(self.rng.uniform(0.0, 1.0), self._join)
        self.later(1.0, self._look)

    @property
    def figures(self) -> tuple[int, float, int]:
        return self.done, self.busy_s, self.messages

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), act))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = until

    def note_sent(self) -> None:
        if self._counts_sent:
            self.sent.append(self.now)

    # -- the driver

    def report(self, node: _Node, ask: Ask, replies: int) -> None:
        """A report has come, and waits until the driver has time for it."""
        costs = self.costs
        takes_s = costs["message_s"] + costs["broker_s"] + replies * (costs["row_s"] + costs["decode_s"])
        self._free_at = max(self.now, self._free_at) + takes_s
        self.later(self._free_at - self.now, lambda: self._handle(node, ask, replies, takes_s))

    def _handle(self, node: _Node, ask: Ask, replies: int, takes_s: float) -> None:
        self.messages += 1
        self.busy_s += takes_s
        if not self.broker.hear(node.name, ask):
            self.lost += replies
            return
        self.done += replies
        grant = self.broker.grant(node.name)
        self.later(_WAY_S, lambda: node.heard(grant, replies))

    def _join(self) -> None:
        node = _Node(self, next(self._names))
        self.nodes[node.name] = node
        self.broker.join(node.name)
        self.later(_WAY_S, partial(node.heard, self.broker.grant(node.name), 0))

    def _look(self) -> None:
        for name in self.broker.lapsed():
            self.nodes.pop(int(str(name)), None)
            self.broker.charge(name)
        self.later(0.1, self._look)

    # -- deaths

    def kill_again(self, every_s: float) -> None:
        """Kills a node, and another one after so many seconds. Each is replaced."""
        alive = [node for node in self.nodes.values() if node.alive]
        node = alive[self.rng.randrange(len(alive))]
        node.alive = False
        self.deaths += 1
        self.lost += node.gate.in_flight - (node.told if not node._is_asked else 0)
        self.later(_RETURN_S, self._join)
        self.later(every_s, lambda: self.kill_again(every_s))
