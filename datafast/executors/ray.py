"""Workers on a Ray cluster. The only module that imports ray.

An actor is a worker (`datafast.engine.remote.worker`). This process starts them, speaks with each, and starts another one where one is
lost. They end with the run, or with this process. Nothing that matters is in them, nor in Ray's object store.

Ray sends what it is given by cloudpickle, so functions and classes of the user's own script arrive by value, and those of packages by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import logging
import os
import pickle
import platform
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from datafast._util.daemon_thread import in_daemon_thread
from datafast._util.fd_limit import raise_limit
from datafast._util.notify import warn_user
from datafast._util.version import VERSION
from datafast.engine.remote.crew import WorkerLostError
from datafast.engine.remote.packing import reduced
from datafast.engine.remote.worker import Worker
from datafast.errors import ConfigError
from datafast.executors.clusters import none_free, nowhere, shown, unreachable, workers_on

if TYPE_CHECKING:
    from datafast.engine.remote.crew import Link
    from datafast.engine.remote.messages import Orders, Report, Setup
    from datafast.engine.settings import RayConfig

__all__ = ["RayCrew", "open_crew", "packed"]

_LEASE_S = 10.0
_LOOK_S = 1.0  # how often it is looked whether nodes have come or gone
_PATIENCE_S = 60.0  # for the first worker
_TOLD_AFTER_S = 10.0
_KNOCK_S = 10.0
_SILENT_S = 30.0  # without an answer of the cluster, before that is told
_CALLS_AT_ONCE = 16  # to one actor: an exchange, nudges, and its end
_CONNECTIONS = 4096


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """Packs what is sent, with stand-ins for what stays here."""

    def reducer_override(self, thing: Any) -> Any:
        return reduced(thing) or super().reducer_override(thing)


def packed(message: object) -> bytes:
    """A message as it is sent; `cloudpickle.loads` reads it."""
    buffer = io.BytesIO()
    _Packer(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(message)
    return buffer.getvalue()


class _Actor:
    """A worker in a process that Ray has started."""

    def __init__(self) -> None:
        self._worker = Worker()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # rows make no cycles; as the command line has it
        raise_limit(_CONNECTIONS)

    async def place(self) -> str:
        """Where it is. Answers as soon as it has started."""
        return platform.node()

    async def begin(self, setup: bytes) -> str | None:
        """Begins anew. Returns why it cannot, None where it can."""
        try:
            found: Setup = cloudpickle.loads(setup)
        except ModuleNotFoundError as error:
            return (
                f"It has no module {error.name!r}, which the config, the kind or a provider comes from. Install it on every node, or "
                "send it with the job (`ray job submit --working-dir`)."
            )
        except Exception as error:  # noqa: BLE001 - whatever a class of the user's raises when it is made again
            return f"What the run is made of cannot be read there: {type(error).__name__}: {error}."
        try:
            await self._worker.begin(found)
        except ConfigError as error:
            return str(error)
        return None

    async def exchange(self, orders: bytes) -> Report:
        """See `Worker.exchange`."""
        return await self._worker.exchange(cloudpickle.loads(orders))

    async def last_words(self) -> Report:
        """See `Worker.last_words`."""
        return await self._worker.last_words()

    async def nudge(self) -> None:
        """See `Worker.nudge`."""
        self._worker.nudge()

    async def end(self) -> None:
        """See `Worker.end`."""
        await self._worker.end()


class RayLink:
    """The way to one actor, a `Link`."""

    def __init__(self, actor: Any, place: str) -> None:
        self.place = place
        self.actor = actor
        self._is_nudged = False

    async def begin(self, setup: Setup) -> None:
        """See `Link.begin`."""
        try:
            message = packed(setup)
        except Exception as error:
            raise ConfigError(
                f"run.executor: This dataset cannot be sent to workers: {type(error).__name__}: {error}. What it is made of must be "
                "picklable; leave out open files, locks and connections."
            ) from error
        refusal = await self._answer(self.actor.begin.remote(message))
        if refusal is not None:
            raise ConfigError(f"run.executor: The worker on {self.place} cannot begin. {refusal}")

    async def exchange(self, orders: Orders) -> Report:
        """See `Link.exchange`."""
        self._is_nudged = False
        report: Report = await self._answer(self.actor.exchange.remote(packed(orders)))
        return report

    async def last_words(self) -> Report:
        """See `Link.last_words`."""
        report: Report = await self._answer(self.actor.last_words.remote())
        return report

    def nudge(self) -> None:
        """See `Link.nudge`."""
        if not self._is_nudged:
            self._is_nudged = True
            self.actor.nudge.remote()

    async def end(self) -> None:
        """See `Link.end`."""
        with contextlib.suppress(WorkerLostError):
            await self._answer(self.actor.end.remote())

    async def _answer(self, reference: Any) -> Any:
        try:
            return await reference
        except RayTaskError as error:  # a fault in a worker's own code
            raise error.cause or error from None
        except RayError as error:
            raise WorkerLostError(f"The worker on {self.place} does not answer: {error}") from error


class _Connection:
    """This process's connection to a cluster, which all its runs share. Where one of them has made it, it ends with the last of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._is_ours = False

    def enter(self, address: str) -> None:
        """Joins the cluster, if that was not done before."""
        with self._lock:
            if not ray.is_initialized():
                starts = {"include_dashboard": False} if address == "local" else {}
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **starts)
                self._is_ours = True
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._is_ours and not self._users:
                self._is_ours = False
                ray.shutdown()


_connection = _Connection()


def _knock(address: str) -> None:
    """Sees to it that something listens at an address, if one is named. Ray asks again for minutes, and cannot be interrupted in that.

    Raises:
        OSError: nothing does, or there is no such machine.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "")
    host, found, port = address.rpartition(":")
    if found and port.isdecimal() and not ray.is_initialized():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


class _Seat(NamedTuple):
    """Where a worker may be: on a node, as its first, second ... worker; or anywhere, where no node is named."""

    node: str
    number: int


class RayCrew:
    """The actors of one run, a `Crew`. `close` it at the end."""

    def __init__(self, settings: RayConfig) -> None:
        self.lease_s = _LEASE_S
        self._settings = settings
        self._has_connected = False
        self._is_closed = False
        self._leaving = threading.Lock()
        self._seats: dict[_Seat, asyncio.Task[None]] = {}
        self._links: dict[_Seat, RayLink] = {}
        self._coming: list[asyncio.Queue[RayLink | ConfigError]] = []
        self._watching: asyncio.Task[None] | None = None
        self._needed = {"CPU": 1.0, **settings.resources}
        self._has_had_one = False

    async def recruits(self) -> AsyncIterator[RayLink]:
        """See `Crew.recruits`."""
        queue: asyncio.Queue[RayLink | ConfigError] = asyncio.Queue()
        for link in self._links.values():
            queue.put_nowait(link)
        self._coming.append(queue)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._told(self._fill_seats()))
        while True:
            came = await queue.get()
            if isinstance(came, ConfigError):
                raise came
            yield came

    def lose(self, link: Link) -> None:
        """See `Crew.lose`. The actor is ended for good, so that it does not come again while another has its place."""
        for seat, known in list(self._links.items()):
            if known is link:
                del self._links[seat]
                self._seats.pop(seat, None)
                _kill(known.actor)

    # -- who is there

    async def _told(self, work: Coroutine[Any, Any, None]) -> None:
        """Carries something out, and tells whoever waits for workers if it fails."""
        try:
            await work
        except ConfigError as error:
            self._tell(error)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises; nobody else would hear of it
            self._tell(ConfigError(f"run.executor: The Ray cluster cannot be used: {type(error).__name__}: {error}"))

    async def _fill_seats(self) -> None:
        """Starts a worker on each seat that has none, as nodes come and go."""
        began = asyncio.get_running_loop().time()
        has_told = False
        await self._connected()
        while True:
            wanted = await asyncio.to_thread(self._wanted)
            if not wanted and not self._has_had_one:
                raise nowhere(self._needed, [node["Resources"] for node in ray.nodes() if node["Alive"]])
            for seat in wanted:
                if seat not in self._seats:
                    self._seats[seat] = asyncio.get_running_loop().create_task(self._told(self._start(seat)))
            waited_s = asyncio.get_running_loop().time() - began
            if not self._has_had_one and waited_s > _PATIENCE_S:
                raise none_free(self._needed, ray.available_resources(), _PATIENCE_S)
            if not self._has_had_one and waited_s > _TOLD_AFTER_S and not has_told:
                has_told = True
                warn_user(
                    f"run.executor: No worker could be started yet; each needs {shown(self._needed)}. The run waits."
                )
            await asyncio.sleep(_LOOK_S)

    async def _connected(self) -> None:
        """Joins the cluster. Ray may take minutes and cannot be interrupted in that, so neither the run nor the process waits for it at its
        end."""
        connecting = asyncio.wrap_future(in_daemon_thread(self._connect, name="datafast-ray"))
        try:
            if not (await asyncio.wait((connecting,), timeout=_SILENT_S))[0]:
                warn_user("run.ray.address: The Ray cluster does not answer yet. The run waits for it.")
            await connecting
        finally:
            connecting.cancel()  # nobody hears any more what becomes of it

    def _connect(self) -> None:
        """Joins the cluster. In a thread of its own, where Ray leaves the handlers of signals alone."""
        address = self._settings.address
        if address.startswith("ray://"):
            raise ConfigError(
                "run.ray.address: Ray clients (ray://) cannot drive a run. Start datafast on a machine of the cluster, or with "
                "`ray job submit`.",
                key="address",
            )
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _knock(address)
            _connection.enter(address)
        except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
            raise unreachable(address, error) from error
        self._has_connected = True
        if self._is_closed:  # a run that is stopped does not wait for this
            self._disconnect()

    def _disconnect(self) -> None:
        with self._leaving:
            if self._has_connected:
                self._has_connected = False
                _connection.leave()

    def _wanted(self) -> list[_Seat]:
        """The seats that there are to be now."""
        if self._settings.num_workers != "auto":
            return [_Seat("", number) for number in range(self._settings.num_workers)]
        try:
            nodes = ray.nodes()
        except (RayError, OSError, RuntimeError):
            if not self._has_had_one:
                raise
            return []  # the head is away; whoever is at work goes on
        return [
            _Seat(node["NodeID"], number)
            for node in nodes
            if node["Alive"]
            for number in range(workers_on(node["Resources"], self._needed))
        ]

    async def _start(self, seat: _Seat) -> None:
        """Starts the worker of a seat. Where that fails, the seat is free again, for another try."""
        try:
            actor = self._actor(seat)
            place = await actor.place.remote()
        except RayError as error:
            if "No module named 'datafast'" in str(error):
                raise ConfigError(
                    "run.executor: datafast is not installed on a node of the cluster. Install datafast[ray] "
                    f"{VERSION} on every node."
                ) from error
            await asyncio.sleep(_LOOK_S)
            self._seats.pop(seat, None)
            return
        except asyncio.CancelledError:
            _kill(actor)
            raise
        self._has_had_one = True
        link = self._links[seat] = RayLink(actor, place)
        self._tell(link)

    def _actor(self, seat: _Seat) -> Any:
        spread = NodeAffinitySchedulingStrategy(seat.node, soft=False) if seat.node else "SPREAD"
        others = {name: number for name, number in self._needed.items() if name not in {"CPU", "GPU", "memory"}}
        try:
            options = ray.remote(_Actor).options(
                num_cpus=self._needed["CPU"],
                num_gpus=self._needed.get("GPU", 0),
                memory=self._needed.get("memory"),
                resources=others,
                scheduling_strategy=spread,
                max_restarts=0,
                max_concurrency=_CALLS_AT_ONCE,
            )
            return options.remote()
        except ValueError as error:  # a part that is too small, or no whole number where it has to be one
            raise ConfigError(
                f"run.ray.resources: Ray cannot reserve {shown(self._needed)}: {error}", key="resources"
            ) from error

    def _tell(self, came: RayLink | ConfigError) -> None:
        for queue in self._coming:
            queue.put_nowait(came)

    async def close(self) -> None:
        """Ends all actors, and the connection if it was made here and nobody else uses it."""
        self._is_closed = True
        tasks = [task for task in (self._watching, *self._seats.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in self._links.values():
            _kill(link.actor)
        self._links.clear()
        if self._has_connected:
            await asyncio.to_thread(self._disconnect)


@contextlib.asynccontextmanager
async def open_crew(settings: RayConfig) -> AsyncIterator[RayCrew]:
    """The workers of one run, until the context ends. They are started when they are needed."""
    crew = RayCrew(settings)
    try:
        yield crew
    finally:
        await crew.close()


def _kill(actor: Any) -> None:
    with contextlib.suppress(RayError, ValueError):
        ray.kill(actor)
