"""Workers in this process, for tests of what drivers and workers say to each other. All messages are pickled on their way."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from typing import Any

from datafast.engine.job import Job
from datafast.engine.remote.crew import Crew, WorkerLostError
from datafast.engine.remote.messages import Orders, Report, Setup
from datafast.engine.remote.worker import Worker
from datafast.engine.run import run_job
from datafast.engine.stop import StopSignal
from datafast.executors.local import LocalExecutor
from datafast.executors.ray import packed
from datafast.types import RunReport

__all__ = ["LocalCrew", "LocalLink", "RemoteExecutor"]


def sent(message: Any) -> Any:
    """A message as it arrives."""
    return pickle.loads(packed(message))


class LocalLink:
    """The way to a worker in this process. `is_dead`: it is gone; `is_silent`: nothing goes through any more, though it lives; `late_s`:
    for so long each message is on its way."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.worker = Worker()
        self.is_dead = self.is_silent = False
        self.late_s = 0.0
        self.exchanges = 0

    async def begin(self, setup: Setup) -> None:
        await self.worker.begin(sent(setup))

    async def exchange(self, orders: Orders) -> Report:
        self.exchanges += 1
        await self._pass()
        report = await self.worker.exchange(sent(orders))
        await self._pass()
        return sent(report)

    async def _pass(self) -> None:
        if self.is_silent:
            await asyncio.get_running_loop().create_future()
        if self.late_s:
            await asyncio.sleep(self.late_s)
        if self.is_dead:
            raise WorkerLostError(f"{self.place} is gone.")

    async def last_words(self) -> Report:
        await self._pass()
        return sent(await self.worker.last_words())

    def nudge(self) -> None:
        self.worker.nudge()

    async def end(self) -> None:
        await self.worker.end()

    async def die(self) -> int:
        """Ends it as `kill -9` does. Returns how many requests held a slot."""
        self.is_dead = True
        engine = self.worker._engine
        assert engine is not None
        held = sum(endpoint.gate.in_flight for endpoint in engine._endpoints.values())
        await self.worker.end()
        return held


class LocalCrew:
    """So many workers. `replaces`: whether another one comes for each that is lost."""

    def __init__(self, size: int, *, lease_s: float = 5.0, replaces: bool = True) -> None:
        self.lease_s = lease_s
        self.links = [LocalLink(f"worker {number}") for number in range(size)]
        self.lost: list[Any] = []
        self.replaces = replaces
        self._ending: set[asyncio.Task[None]] = set()
        self._coming: list[asyncio.Queue[LocalLink]] = []

    async def recruits(self) -> AsyncIterator[LocalLink]:
        queue: asyncio.Queue[LocalLink] = asyncio.Queue()
        for link in self.links:
            queue.put_nowait(link)
        self._coming.append(queue)
        while True:
            yield await queue.get()

    def lose(self, link: Any) -> None:
        if link in self.lost:
            return
        self.lost.append(link)
        self.links.remove(link)
        self._ending.add(asyncio.get_running_loop().create_task(link.worker.end()))
        if self.replaces:
            another = LocalLink(f"another {link.place}")
            self.links.append(another)
            for queue in self._coming:
                queue.put_nowait(another)


class RemoteExecutor(LocalExecutor):
    """Carries out jobs with a crew."""

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self.crew = crew

    async def _carry_out(self, job: Job, stop: StopSignal) -> RunReport:
        return await run_job(job, stop, self.crew)
