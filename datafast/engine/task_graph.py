"""Steps that need one another. Each begins as soon as the steps that it needs are done.

Guarantee: a step runs once, after all steps that it needs. If one raises, steps that need it do not begin. Steps that are running land
first (they are paid for), and then the error of the first failed step in the given order is raised. Cost: one task for each step that
waits for something; none for a step that is done at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

__all__ = ["TaskGraph", "Work", "run_graph"]

Work = Callable[[], Awaitable[None]]
"""The part of a step that takes time."""


class TaskGraph:
    """The steps and what they need; made once, run many times.

    Args:
        needs: for each step, the steps that it needs, without cycles.
    """

    def __init__(self, needs: Mapping[str, Collection[str]]) -> None:
        self.order = list(needs)
        self.counts = {name: len(set(needed)) for name, needed in needs.items()}
        self.dependants: dict[str, list[str]] = {name: [] for name in needs}
        for name, needed in needs.items():
            for other in dict.fromkeys(needed):
                self.dependants[other].append(name)
        self.first = [name for name, count in self.counts.items() if not count]


async def run_graph(graph: TaskGraph, step: Callable[[str], Work | None]) -> None:
    """Runs all steps of a graph.

    Args:
        step: begins a step; returns what is left to do, or None if it is done.
    """
    running = _Running(graph, step)
    running.begin(list(graph.first))
    try:
        while running.tasks:
            await asyncio.wait(running.tasks)
    except asyncio.CancelledError:
        for task in running.tasks:
            task.cancel()
        raise
    if running.errors:
        raise running.first_error()


class _Running:
    """A running graph."""

    def __init__(self, graph: TaskGraph, step: Callable[[str], Work | None]) -> None:
        self._graph = graph
        self._step = step
        self._missing = dict(graph.counts)
        self.tasks: set[asyncio.Task[None]] = set()
        self.errors: dict[str, BaseException] = {}

    def begin(self, ready: list[str]) -> None:
        """Begins steps, and those that can begin after steps that were done at once."""
        for name in ready:  # grows during the loop
            try:
                work = self._step(name)
            except Exception as error:  # noqa: BLE001 - raised at the end, when what is under way has landed
                self.errors[name] = error
                continue
            if work is None:
                ready += self._ended(name)
                continue
            task = asyncio.ensure_future(self._land(name, work))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _ended(self, name: str) -> list[str]:
        """The steps that waited only for this one."""
        ready = []
        for other in self._graph.dependants[name]:
            self._missing[other] -= 1
            if not self._missing[other]:
                ready.append(other)
        return ready

    async def _land(self, name: str, work: Work) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised at the end; the end of the run is not an Exception
            self.errors[name] = error
        else:
            self.begin(self._ended(name))

    def first_error(self) -> BaseException:
        """Errors of steps in the order of the graph, but the end of the run first, because unfinished items stay pending."""
        ends = {name: error for name, error in self.errors.items() if not isinstance(error, Exception)}
        among = ends or self.errors
        return among[min(among, key=self._graph.order.index)]
