"""A run from its description: check, open the output, open the providers, run, close everything whatever happens."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast._util.fd_limit import room
from datafast._util.notify import warn_user
from datafast.engine.calls.admission import Admission, Backoff, Gate
from datafast.engine.calls.budget import check_prices
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.event_log import Emitter
from datafast.engine.events import EventCallback, LimitChanged
from datafast.engine.routes import identities, labels_of, providers_of, route_identities
from datafast.engine.run import Produce, Run
from datafast.engine.settings import RunConfig
from datafast.engine.shares import Share
from datafast.engine.stop import StopSignal
from datafast.errors import ConfigError
from datafast.plan.items import Plan
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.records import Spent
from datafast.store.recovery import OpenOutput, Pricing, open_output
from datafast.types import RunReport, Usage

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["Job", "run_job"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a run needs to know.

    Attributes:
        routes: for each route of the plan, the provider of every role, or one for each role.
        make_plan: builds the plan for routes of these identities.
        notes: what `datafast status` should be able to tell later.
        on_report: gets the report, also where whoever waits for the run is interrupted and never sees what it returns.
        also_spent: ledgers whose costs count for the budget as well; those that do not exist count nothing.
    """

    routes: Sequence[LLMProvider | Mapping[str, LLMProvider]]
    make_plan: Callable[[Sequence[str]], Plan]
    produce: Produce
    paths: OutputPaths
    settings: RunConfig
    limit: int | None = None
    fresh: bool = False
    retry_failed: bool = False
    on_event: EventCallback | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    also_spent: Sequence[Path] = ()
    on_report: Callable[[RunReport], None] | None = None


async def run_job(job: Job, stop: StopSignal) -> RunReport:
    """Carries out a job inside the event loop.

    Raises:
        ConfigError: a key is missing, the providers do not fit together; nothing was sent.
        OutputError: the output cannot be used; nothing was sent.
    """
    providers = providers_of(job.routes)
    simulated = _all_or_none_simulated(providers)
    if not simulated:
        job = _within_descriptors(job)
    plan = job.make_plan(route_identities(job.routes, fan_out=job.settings.fan_out))
    for provider in providers:
        provider.require_ready()
    labels = labels_of(providers)
    check_prices(job.settings, {labels[id(provider)]: provider for provider in providers})
    with open_output(
        job.paths,
        plan,
        simulated=simulated,
        pricing=_pricing(providers, labels),
        fresh=job.fresh,
        retry_failed=job.retry_failed,
        durability=job.settings.durability,
        ordered=job.settings.ordered,
        notes=dict(job.notes),
    ) as output:
        admission = Admission(job.settings.max_concurrency)
        stop.in_flight = lambda: admission.in_flight
        emit = Emitter(job.on_event, stop)

        def limit_changed(label: str, limit: int) -> None:
            admission.wake()
            emit(LimitChanged(provider=label, limit=limit))

        async with _open_endpoints(providers, labels, job, output, admission, limit_changed) as endpoints:
            report = await Run(
                plan=plan,
                produce=job.produce,
                shares=_shares(job, endpoints),
                admission=admission,
                output=output,
                settings=job.settings,
                spent=_spent(job, output),
                stop=stop,
                limit=job.limit,
                emit=emit,
                simulated=simulated,
            ).execute()
            if job.on_report is not None:
                job.on_report(report)
            return report


def _spent(job: Job, output: OpenOutput) -> Spent:
    """What the budget has to take for used up before this run."""
    if not job.settings.has_budget:
        return Spent(0.0, 0, 0)
    spent = output.store.spent
    for ledger in job.also_spent:
        if ledger.is_file():
            with LedgerReader(ledger) as reader:
                other = reader.spent()
            spent = Spent(spent.usd + other.usd, spent.calls + other.calls, spent.tokens + other.tokens)
    return spent


def _within_descriptors(job: Job) -> Job:
    """The job with no more requests in flight than the process can have connections."""
    possible = room()
    if possible is None or job.settings.max_concurrency <= possible:
        return job
    warn_user(
        f"max_concurrency is {job.settings.max_concurrency:,}, but this process can open {possible:,} more files and connections: "
        f"at most that many requests will be in flight. Raise the limit (ulimit -n) to have more"
    )
    return replace(job, settings=job.settings.model_copy(update={"max_concurrency": possible}))


def _all_or_none_simulated(providers: Sequence[LLMProvider]) -> bool:
    kinds = {provider.simulated for provider in providers}
    if len(kinds) > 1:
        raise ConfigError(
            "simulated and real providers cannot write to the same output: a dataset is one or the other. "
            "Leave the simulated one out, or use --offline (offline=True) to simulate all of them"
        )
    return kinds == {True}


def _pricing(providers: Sequence[LLMProvider], labels: Mapping[int, str]) -> Pricing:
    by_label = {labels[id(provider)]: provider for provider in providers}

    def price(label: str, usage: Usage) -> float | None:
        provider = by_label.get(label)
        return provider.cost_usd(usage) if provider else None

    return price


@contextlib.asynccontextmanager
async def _open_endpoints(
    providers: Sequence[LLMProvider],
    labels: Mapping[int, str],
    job: Job,
    output: OpenOutput,
    admission: Admission,
    limit_changed: Callable[[str, int], None],
) -> AsyncIterator[dict[int, Endpoint]]:
    sent, now = output.store.recently_sent(), time.time()
    endpoints: dict[int, Endpoint] = {}
    async with contextlib.AsyncExitStack() as stack:
        for provider, identity in zip(providers, _call_identities(job, providers), strict=True):
            label = labels[id(provider)]
            limit = min(job.settings.max_concurrency, provider.max_concurrency or job.settings.max_concurrency)
            gate = Gate(
                limit,
                rpm=provider.rpm_limit,
                tpm=provider.tpm_limit,
                backoff=Backoff(job.settings.retry_delay_s, job.settings.max_retry_delay_s),
                earlier=[(now - sent_at, tokens) for sent_at, tokens in sent.get(label, ())],
                on_limit=functools.partial(limit_changed, label),
            )
            admission.add(gate)
            backend = provider.open(max_connections=limit)
            stack.push_async_callback(backend.aclose)
            endpoints[id(provider)] = Endpoint(provider, label=label, identity=identity, gate=gate, backend=backend)
        yield endpoints


def _call_identities(job: Job, providers: Sequence[LLMProvider]) -> list[str]:
    """What the keys of each provider's calls contain.

    Equal providers are numbered only where no role tells them apart. Where it does not matter who answers, nothing: what one
    provider was paid for is not bought from another.
    """
    if job.settings.fan_out != "all":
        return [""] * len(providers)
    if any(isinstance(route, Mapping) for route in job.routes):
        return [provider.identity for provider in providers]
    return identities(providers)


def _shares(job: Job, endpoints: Mapping[int, Endpoint]) -> list[Share]:
    answerers = [_answerer(route, endpoints) for route in job.routes]
    if job.settings.fan_out == "fallback":
        return [Share(answerers, " or ".join(_label(answerer) for answerer in answerers))]
    weights = [1.0 if isinstance(route, Mapping) else route.weight for route in job.routes]
    return [Share([a], _label(a), weight) for a, weight in zip(answerers, weights, strict=True)]


def _answerer(
    route: LLMProvider | Mapping[str, LLMProvider], endpoints: Mapping[int, Endpoint]
) -> Mapping[str, Endpoint] | Endpoint:
    if isinstance(route, Mapping):
        return {role: endpoints[id(provider)] for role, provider in route.items()}
    return endpoints[id(route)]


def _label(answerer: Mapping[str, Endpoint] | Endpoint) -> str:
    if isinstance(answerer, Endpoint):
        return answerer.label
    return " + ".join(dict.fromkeys(endpoint.label for endpoint in answerer.values()))
