"""Opens the batch services that a run needs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from typing import TYPE_CHECKING

from datafast._util.notify import warn_user
from datafast.engine.batches.deadline import moment_of
from datafast.engine.batches.desk import Desk
from datafast.engine.batches.dispatch import Office
from datafast.engine.batches.lost import lost
from datafast.engine.batches.service import Service

if TYPE_CHECKING:
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.shares import Share
    from datafast.store.batches import BatchRow

__all__ = ["Office", "open_desk"]


@contextlib.asynccontextmanager
async def open_desk(
    office: Office, endpoints: Collection[Endpoint], shares: Sequence[Share], rows: Collection[BatchRow]
) -> AsyncIterator[Desk]:
    """The desk of a run, until the context ends.

    Args:
        rows: the batches that are open, all of them at one of the endpoints.

    Raises:
        ConfigError: a batch is open at an endpoint that has no batches any more.
    """
    waited = {row.provider for row in rows}
    in_batches = office.settings.mode == "batch"
    services = {}
    async with contextlib.AsyncExitStack() as stack:
        for endpoint in endpoints:
            if not in_batches and endpoint.label not in waited:
                continue
            backend = endpoint.provider.open_batches()
            if backend is None:
                _refuse_or_tell(office, endpoint, rows)
                continue
            stack.push_async_callback(backend.aclose)
            services[endpoint] = Service(
                endpoint,
                backend,
                stop=office.stop,
                emit=office.emit,
                stop_endpoint=office.sender.faults.stop_provider,
                takes=in_batches,
            )
        desk = Desk(office, services, shares, deadline=_deadline(office, rows))
        try:
            yield desk
        finally:
            await desk.close()


def _deadline(office: Office, rows: Collection[BatchRow]) -> float | None:
    """When the run waits no longer: counted from the oldest open batch, so that it is the same for a run that goes on."""
    deadline = office.settings.batch_deadline
    if deadline is None:
        return None
    return moment_of(deadline, min((row.announced_at for row in rows), default=time.time()))


def _refuse_or_tell(office: Office, endpoint: Endpoint, rows: Collection[BatchRow]) -> None:
    if own := [row for row in rows if row.provider == endpoint.label]:
        raise lost(office.paths.rows, own, "this provider has no batches as it is configured now")
    warn_user(f"{endpoint.label} has no batches, so it is asked online.")
