"""Looking at the open batches of an output, and giving them up, without a run: its plan and its config need not be known.

What was answered before a batch was cancelled is paid for, and goes into the ledger as any other reply; the next run uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datafast.engine.batches.collecting import Collector
from datafast.engine.batches.description import provider_of
from datafast.engine.batches.job import BatchJob, Errand
from datafast.engine.batches.service import Service
from datafast.engine.batches.waiting import Waiters
from datafast.engine.calls.admission import Gate
from datafast.engine.calls.breaker import Breaker
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.event_log import Emitter
from datafast.engine.pricing import pricing_of
from datafast.engine.stop import ItemPending, StopSignal
from datafast.errors import ConfigError, DatafastError, ProviderError
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.store.batches import BatchPhase
from datafast.store.reader import LedgerReader
from datafast.store.recovery import open_batch_book

if TYPE_CHECKING:
    from datafast.engine.events import EventCallback
    from datafast.llms.batches.base import BatchStatus
    from datafast.llms.provider import LLMProvider
    from datafast.store.batches import BatchRow
    from datafast.store.paths import OutputPaths
    from datafast.store.records import Bound
    from datafast.types import Usage

__all__ = ["GivenUp", "Seen", "give_up", "look", "providers_of_batches"]

_LOOK_S = 20.0
_NO_PROVIDER = "The ledger does not say how this provider is reached. Name a config that has it with --config, with the same name and model"


class Seen(NamedTuple):
    """An open batch as its service describes it now. `problem`: why it does not."""

    row: BatchRow
    status: BatchStatus | None = None
    problem: str = ""


class GivenUp(NamedTuple):
    """What became of a batch that was given up, with what was collected from it. `problem`: why it is still open."""

    row: BatchRow
    problem: str = ""


def providers_of_batches(ledger: Path, given: Mapping[str, LLMProvider]) -> dict[str, LLMProvider]:
    """The providers of an output's open batches, by their names: given ones, or made again as the ledger describes them."""
    found: dict[str, LLMProvider] = {}
    with LedgerReader(ledger) as reader:
        for name in {row.provider for row in reader.batches.open()}:
            provider = given.get(name) or provider_of(reader.batches.described(name))
            if provider is not None:
                found[name] = provider
    return found


async def look(rows: Sequence[BatchRow], providers: Mapping[str, LLMProvider]) -> list[Seen]:
    """Asks the services how far batches are, each at most 20 seconds. Nothing is written."""
    return list(await asyncio.gather(*(_look(row, providers.get(row.provider)) for row in rows)))


async def _look(row: BatchRow, provider: LLMProvider | None) -> Seen:
    if provider is None:
        return Seen(row, problem=f"{_NO_PROVIDER}.")
    if not row.service_id:
        return Seen(row, problem="It was announced, and it is not known yet whether the provider has it.")
    try:
        provider.require_ready()
        backend = provider.open_batches()
        if backend is None:
            return Seen(row, problem="The provider has no batches as it is configured now.")
        async with contextlib.aclosing(backend), asyncio.timeout(_LOOK_S):
            return Seen(row, await backend.status(row.service_id))
    except TimeoutError:
        return Seen(row, problem=f"No answer came within {_LOOK_S:.0f} s.")
    except (ConfigError, ProviderError) as error:
        return Seen(row, problem=str(error))


async def give_up(
    paths: OutputPaths,
    providers: Mapping[str, LLMProvider],
    *,
    stop: StopSignal,
    on_event: EventCallback | None = None,
    wait: bool = True,
) -> list[GivenUp]:
    """Asks the services to cancel the open batches of an output, waits until they have ended, and collects what was answered.

    Args:
        stop: ends the waiting; what was not collected is still open then.
        wait: False: do not wait for the end; a later run collects.

    Raises:
        OutputError: the output is in use, or cannot be written.
    """
    emit = Emitter(on_event, stop)
    with open_batch_book(paths, pricing_of(list(providers.values()))) as book:
        errand = Errand(book, emit, wait, book.known_ids())
        rows = book.open()
        scratches = (paths.spool(f"cancelled-{row.id}") for row in rows)
        work = [
            _give_up(row, providers.get(row.provider), errand, stop, scratch)
            for row, scratch in zip(rows, scratches, strict=True)
        ]
        done = list(await asyncio.gather(*work))
        if rows and not book.open():
            book.note_stop("its batches were cancelled")
        now = {row.id: row for row in book.all()}
        return [one._replace(row=now[one.row.id]) for one in done]


async def _give_up(
    row: BatchRow, provider: LLMProvider | None, errand: Errand, stop: StopSignal, scratch: Path
) -> GivenUp:
    if provider is None:
        return GivenUp(row, f"{_NO_PROVIDER}.")
    try:
        provider.require_ready()
        backend = provider.open_batches()
    except DatafastError as error:
        return GivenUp(row, str(error))
    if backend is None:
        return GivenUp(row, "The provider has no batches as it is configured now.")
    async with contextlib.aclosing(backend):
        service = Service(
            _endpoint(provider, row.provider),
            backend,
            stop=stop,
            emit=errand.emit,
            stop_endpoint=lambda endpoint, reason: None,  # nothing is sent to it anyway
            takes=False,
        )
        service.gives_up = service.forgets_unknown = True
        job = BatchJob(service, _collector(row, service, errand), Waiters(), errand, spool=None, scratch=scratch)
        with contextlib.suppress(ItemPending):
            await job.carry_out()
    return GivenUp(job.row, "" if job.is_over else _why_open(job, service))


def _why_open(job: BatchJob, service: Service) -> str:
    if service.refusal is not None:
        return str(service.refusal)
    if job.row.phase is BatchPhase.ANNOUNCED:
        return "It is not known yet whether the provider has it."
    if not job.was_cancelled:
        return "The provider could not be asked to cancel it."
    return "The provider was asked to cancel it, and has not done so yet. The same command, or the next run, collects what was answered."


def _collector(row: BatchRow, service: Service, errand: Errand) -> Collector:
    def settle(bound: Bound, usage: Usage | None, cost_usd: float | None, *, charged: bool) -> None:
        """There is no budget to keep."""

    return Collector(
        row,
        service,
        book=errand.book,
        settle=settle,
        give_back=lambda bound: None,
        count=lambda provider, usage, cost_usd: None,
        emit=errand.emit,
        on_reply=lambda item, key, reply: None,
    )


def _endpoint(provider: LLMProvider, label: str) -> Endpoint:
    """An endpoint that sends no requests of its own."""
    gate = Gate(1)
    backend = SimulatedProvider().open(max_connections=1)
    return Endpoint(
        provider, label=label, identity=provider.identity, gate=gate, breaker=Breaker(gate), backend=backend
    )
