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
from datafast.engine.batches.service import Service
from datafast.errors import ConfigError
from datafast.store.batches import under_way

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
        rows: the batches that are open.

    Raises:
        ConfigError: a batch is open at a provider that is not among the endpoints.
    """
    _check_known(office, endpoints, rows)
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


def _check_known(office: Office, endpoints: Collection[Endpoint], rows: Collection[BatchRow]) -> None:
    known = {endpoint.label for endpoint in endpoints}
    if missing := [row for row in rows if row.provider not in known]:
        raise ConfigError(_lost(office, missing, "the config has this provider no longer"))


def _refuse_or_tell(office: Office, endpoint: Endpoint, rows: Collection[BatchRow]) -> None:
    if own := [row for row in rows if row.provider == endpoint.label]:
        raise ConfigError(_lost(office, own, "this provider has no batches as it is configured now"))
    warn_user(f"{endpoint.label} has no batches, so it is asked online.")


def _lost(office: Office, rows: Collection[BatchRow], why: str) -> str:
    output = office.paths.rows
    return (
        f"{output}: {under_way(list(rows))}, and {why}. Put it back as it was, with the same name and model, until they are collected. "
        f"Or cancel them with `datafast batches {output} --cancel`."
    )
