"""Runs jobs in this process, on datafast's own event loop in a background thread. With `run.executor: ray`, workers elsewhere work on the
items, and this process has the output.

So the blocking form works in scripts, threads and notebooks, and nothing global is patched. Whatever interrupts the waiting
(KeyboardInterrupt, an exception of a signal handler, cancellation) stops admitting, waits at most `grace_s` seconds for requests in flight,
saves their replies, and is then raised.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from datafast._util import background
from datafast.engine.job import Job
from datafast.engine.run import run_job
from datafast.engine.stop import StopSignal
from datafast.errors import MissingExtraError
from datafast.types import RunReport, StopCause

if TYPE_CHECKING:
    from datafast.engine.settings import RayConfig
    from datafast.executors.ray import RayCrew

__all__ = ["LocalExecutor"]

_SLICE_S = 0.2
_CLOSE_S = 10.0
_BEGIN_S = 1.0  # within which a job begins once it was handed to its loop
_INTERRUPTED = "interrupted"


class _ProgramEnd(Exception):
    """Carries the end of the program from the loop to the waiting thread."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


class _Started:
    """A job that runs from `begin` on.

    Attributes:
        future: of its report; None until it has begun.
    """

    def __init__(self, job: Job, carry_out: Callable[[Job, StopSignal], Awaitable[RunReport]]) -> None:
        self._stop = StopSignal()
        self._grace_s = job.settings.grace_s
        self._run = carry_out
        self._begun, self._closed = threading.Event(), threading.Event()
        self._job = job
        self.future: concurrent.futures.Future[RunReport] | None = None

    def begin(self) -> concurrent.futures.Future[RunReport]:
        self.future = background.submit(self._carry_out())
        return self.future

    async def _carry_out(self) -> RunReport:
        self._begun.set()
        try:
            return await self._run(self._job, self._stop)
        except (SystemExit, KeyboardInterrupt) as error:  # raised by a callback; it would end the loop
            raise _ProgramEnd(error) from error
        finally:
            self._closed.set()

    @property
    def in_flight(self) -> dict[str, int]:
        return self._stop.in_flight()

    def stop(self, reason: str) -> None:
        background.call_soon(lambda: self._stop.now(StopCause.INTERRUPTED, reason))

    def land(self) -> None:
        """Waits until a stopping job has landed and closed its files: its grace and a few seconds."""
        # Where its beginning was interrupted, it never runs, or ends as soon as it does.
        patience_s = self._grace_s + _CLOSE_S if self._begun.wait(_BEGIN_S) else 0.0
        if not self._closed.wait(patience_s) and self.future is not None:
            self.future.cancel()


class LocalExecutor:
    """The default executor, an `Executor`."""

    def __init__(self) -> None:
        self._started: set[_Started] = set()

    def run(self, job: Job) -> RunReport:
        """Carries out a job and waits for it.

        Raises:
            RuntimeError: called on the event loop that would have to carry out the job, in an event callback for instance.
        """
        if background.on_loop_thread():
            raise RuntimeError(
                "generate() would wait for the event loop that it runs on. Await generate_async() instead."
            )
        started = _Started(job, self._carry_out)
        try:
            future = self._begin(started)
            # Waiting in slices lets Ctrl-C through on every platform.
            while not concurrent.futures.wait((future,), timeout=_SLICE_S).done:
                pass
        except BaseException:  # Ctrl-C, or what a handler of a signal raises: nobody waits for the run any more
            started.stop(_INTERRUPTED)
            started.land()
            self._started.discard(started)
            raise
        try:
            return future.result()
        except _ProgramEnd as end:
            raise end.error from None

    async def run_async(self, job: Job) -> RunReport:
        """Carries out a job, awaited from any event loop, which stays free."""
        started = _Started(job, self._carry_out)
        try:
            future = asyncio.wrap_future(self._begin(started))
            future.add_done_callback(_retrieved)
            # Waiting in slices lets an interruption through in notebooks, whose signal handler does not wake their loop.
            while not (await asyncio.wait((future,), timeout=_SLICE_S))[0]:
                pass
        except GeneratorExit:  # the caller's loop is over, and nothing can be awaited in it
            started.stop(_INTERRUPTED)
            raise
        except BaseException:  # it is cancelled, or a handler of a signal raises in the midst of a step
            started.stop(_INTERRUPTED)
            await asyncio.to_thread(started.land)
            self._started.discard(started)
            raise
        try:
            return future.result()
        except _ProgramEnd as end:
            raise end.error from None

    @property
    def in_flight(self) -> int:
        """The number of sent requests without an answer, over all jobs. Can be read in any thread."""
        return sum(self.in_flight_by_provider.values())

    @property
    def in_flight_by_provider(self) -> dict[str, int]:
        """The same number for each provider; see `Executor.in_flight_by_provider`."""
        total: Counter[str] = Counter()
        for started in list(self._started):
            total.update(started.in_flight)
        return dict(total)

    def stop(self, reason: str = _INTERRUPTED) -> None:
        """Interrupts every job; see `Executor.stop`."""
        for started in list(self._started):
            started.stop(reason)

    def __reduce__(self) -> tuple[type[LocalExecutor], tuple[()]]:
        """A dataset that is sent to another process has an executor there that has begun nothing."""
        return LocalExecutor, ()

    async def _carry_out(self, job: Job, stop: StopSignal) -> RunReport:
        """Carries out a job on datafast's own event loop; its items by workers elsewhere, if its settings say so."""
        if job.settings.executor == "local" or job.decide_only:
            return await run_job(job, stop)
        crew_of = await asyncio.to_thread(_ray_crew)  # takes a second
        async with crew_of(job.settings.ray) as crew:
            return await run_job(job, stop, crew)

    def _begin(self, started: _Started) -> concurrent.futures.Future[RunReport]:
        """Begins a job. Whoever is interrupted in here, or later, has to stop it."""
        self._started.add(started)
        future = started.begin()
        future.add_done_callback(lambda _: self._started.discard(started))
        return future


def _ray_crew() -> Callable[[RayConfig], AbstractAsyncContextManager[RayCrew]]:
    try:
        from datafast.executors.ray import open_crew
    except ImportError:
        raise MissingExtraError(
            "run.executor: ray, which starts workers on a cluster, is not installed. Run: pip install 'datafast[ray]'"
        ) from None
    return open_crew


def _retrieved(future: asyncio.Future[RunReport]) -> None:
    """Nobody may be waiting for the error any more; asyncio would complain that it was never retrieved."""
    if not future.cancelled():
        future.exception()
