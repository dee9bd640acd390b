"""Opens the providers of a job: an endpoint for each, and the shares of the plan that they answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from datafast.engine.calls.admission import Admission, Backoff, Gate
from datafast.engine.calls.breaker import Breaker
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.events import LimitChanged, ProviderPaused, ProviderResumed
from datafast.engine.routes import Route, call_identities
from datafast.engine.shares import Share
from datafast.errors import ProviderError

if TYPE_CHECKING:
    from datafast.engine.event_log import Emitter
    from datafast.engine.job import Job
    from datafast.engine.settings import RunConfig
    from datafast.llms.provider import LLMProvider

__all__ = ["backoff_of", "most_at", "open_endpoints", "shares_of"]


def backoff_of(settings: RunConfig) -> Backoff:
    """How long a run waits before it sends something again."""
    return Backoff(settings.retry_delay_s, settings.max_retry_delay_s)


def most_at(provider: LLMProvider, settings: RunConfig, total: int) -> int:
    """The most requests in flight at a provider, in a run of so many."""
    own = total if provider.auto_concurrency else provider.max_concurrency or settings.max_concurrency
    return min(total, own)


@contextlib.asynccontextmanager
async def open_endpoints(
    job: Job,
    labels: Mapping[int, str],
    gate_of: Callable[[LLMProvider, str, Callable[[int], None]], Gate],
    admission: Admission,
    emit: Emitter,
) -> AsyncIterator[dict[int, Endpoint]]:
    """An endpoint for each provider of the job, by the provider's `id`, until the context ends. Sends nothing.

    Args:
        labels: the name of each for users, by its `id`.
        gate_of: makes the gate of a provider with this name; it is given what is to be called with a new limit.
    """

    def limit_changed(label: str) -> Callable[[int], None]:
        def changed(limit: int) -> None:
            admission.wake()
            emit(LimitChanged(provider=label, limit=limit))

        return changed

    identities = call_identities(job.routes, fan_out=job.settings.fan_out)
    endpoints: dict[int, Endpoint] = {}
    async with contextlib.AsyncExitStack() as stack:
        for provider in job.providers:
            label, identity = labels[id(provider)], identities.get(id(provider), provider.identity)
            gate = gate_of(provider, label, limit_changed(label))
            admission.add(gate)
            backend = provider.open(max_connections=gate.most)
            stack.push_async_callback(backend.aclose)
            endpoints[id(provider)] = Endpoint(
                provider,
                label=label,
                identity=identity,
                gate=gate,
                breaker=_breaker(job, gate, label, emit),
                backend=backend,
            )
        yield endpoints


def _breaker(job: Job, gate: Gate, label: str, emit: Emitter) -> Breaker:
    def paused(wait_s: float, error: ProviderError) -> None:
        reason = str(error)
        emit(ProviderPaused(provider=label, reason=reason if reason.endswith(".") else f"{reason}.", wait_s=wait_s))

    return Breaker(
        gate,
        backoff=backoff_of(job.settings),
        max_stall_s=job.settings.max_stall_s,
        on_pause=paused,
        on_resume=lambda: emit(ProviderResumed(provider=label)),
    )


def shares_of(job: Job, endpoints: Mapping[int, Endpoint]) -> list[Share]:
    """The shares of the plan, with who answers them."""
    routes: list[Route[Endpoint]] = [route.map(lambda provider: endpoints[id(provider)]) for route in job.routes]
    if job.settings.fan_out == "fallback":
        return [Share(routes)]
    return [Share([route], route.sole.provider.weight if route.sole is not None else 1.0) for route in routes]
