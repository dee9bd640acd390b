"""Makes a run out of a job: checks it, opens its output and its providers, and closes them in any case."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datafast._util.fd_limit import room
from datafast._util.notify import warn_user
from datafast._util.version import VERSION
from datafast.engine.batches.lost import refuse_lost_batches
from datafast.engine.calls.admission import Admission, Gate
from datafast.engine.calls.budget import Cashier, check_prices, spent_elsewhere
from datafast.engine.calls.knee import MOST_IN_FLIGHT
from datafast.engine.calls.memory import Memory
from datafast.engine.calls.sender import Caller, Sender
from datafast.engine.deciding import Decider
from datafast.engine.event_log import Emitter
from datafast.engine.job import Job
from datafast.engine.opening import backoff_of, most_at, open_endpoints, shares_of
from datafast.engine.pricing import pricing_of
from datafast.engine.reorder import ReorderBuffer
from datafast.engine.routes import labels_of
from datafast.engine.row_stages import RowStages
from datafast.engine.shares import Share
from datafast.engine.stop import StopSignal
from datafast.engine.winding_up import beside_the_loop
from datafast.errors import ConfigError, OutputInUseError
from datafast.plan.grid import spread
from datafast.store.manifest import ABOUT
from datafast.store.records import Spent
from datafast.store.recovery import Opening, OpenOutput, open_output

if TYPE_CHECKING:
    from datafast.engine.batches.desk import Desk
    from datafast.engine.remote.crew import Crew
    from datafast.engine.remote.driver import Fleet
    from datafast.llms.provider import LLMProvider

__all__ = ["NotBegunError", "Parts", "assembled"]

_TURN_S = 0.5  # how often it is looked whether another process has ended


class NotBegunError(Exception):
    """A run was stopped before it could open its output."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a run.

    Attributes:
        job: the job as it is carried out; its concurrency may be lower than requested.
        admission: lets requests in, over all providers.
        desk: what takes calls into batches; None where there are none.
        fleet: the workers in other processes that make outcomes; None where this one makes them.
        reorder: None if rows are written as they come.
    """

    job: Job
    output: OpenOutput
    shares: Sequence[Share]
    admission: Admission
    sender: Sender
    caller: Caller
    stages: RowStages
    desk: Desk | None = None
    fleet: Fleet | None = None
    reorder: ReorderBuffer | None
    emit: Emitter
    stop: StopSignal
    decider: Decider


@contextlib.asynccontextmanager
async def assembled(job: Job, stop: StopSignal, emit: Emitter, crew: Crew | None = None) -> AsyncIterator[Parts]:
    """Opens the parts of a run until the context ends. Sends nothing.

    Args:
        crew: the workers that items are worked on by; None for this process. Batches are its own affair in any case.

    Raises:
        ConfigError: a key is missing, or the providers do not fit together.
        OutputError: the output cannot be used.
        NotBegunError: the job has waited for its turn, and the run was stopped.
    """
    job = _checked(job, is_remote=crew is not None)
    labels = labels_of(job.providers)
    check_prices(job.settings, {labels[id(provider)]: provider for provider in job.providers})
    refuse_lost_batches(job)
    decider = Decider(job, stop)
    opening = Opening(
        simulated=job.simulated,
        pricing=pricing_of(job.providers),
        fresh=job.fresh,
        retry_failed=job.retry_failed,
        chosen=_chosen(job),
        durability=job.settings.durability,
        needs_lock=job.settings.lock == "required",
        ordered=job.settings.ordered,
        keep_removed=job.settings.removed == "keep",
        fields=job.fields,
        reasoning=job.reasoning.place,
        decides=decider,
        notes=job.notes if job.about is None else {**job.notes, ABOUT: job.about(job.plan)},
        version=VERSION,
        made_for=job.made_for,
        located=job.located,
        replies=job.settings.kept.form,
        needed=frozenset(role for stage in job.row_stages for role in getattr(stage, "roles", ())),
        remakes=bool(job.regenerate),
        buy_again=job.settings.kept.buy_again,
        held=job.held,
        lacking=None if job.targets is None else functools.partial(job.targets.lacking, job.plan),
    )
    with contextlib.ExitStack() as opened:
        stages = opened.enter_context(contextlib.closing(RowStages(job.row_stages)))

        def entering() -> OpenOutput:
            return opened.enter_context(open_output(job.paths, job.plan, opening))

        output = await _in_turn(job, stop, lambda: beside_the_loop(entering, decider, emit))
        decider.tell()
        admission = Admission(_most_in_flight(job), stop)
        gate_of = _gates(job, output, admission.total)
        async with open_endpoints(job, labels, gate_of, admission, emit) as endpoints:
            stop.in_flight = lambda: {one.label: one.gate.in_flight for one in endpoints.values()}
            parts = _parts(job, output, shares_of(job, endpoints), stages, admission, emit, stop, decider)
            open_batches = output.store.batches.open()
            if job.decide_only or (job.settings.mode != "batch" and not open_batches):
                if crew is None or job.decide_only:
                    yield parts
                    return
                from datafast.engine.remote.fleet import open_fleet

                fleet_of_job = open_fleet(
                    crew,
                    job,
                    shares=parts.shares,
                    sender=parts.sender,
                    store=output.store,
                    admission=admission,
                    emit=emit,
                    stop=stop,
                )
                async with fleet_of_job as fleet:
                    yield replace(parts, fleet=fleet)
                return
            from datafast.engine.batches.opening import Office, open_desk

            office = Office(
                settings=job.settings,
                paths=job.paths,
                store=output.store,
                sender=parts.sender,
                stop=stop,
                emit=emit,
                waits=job.wait,
            )
            async with open_desk(office, endpoints.values(), parts.shares, open_batches) as desk:
                yield replace(parts, desk=desk)


async def _in_turn(job: Job, stop: StopSignal, opened: Callable[[], Awaitable[OpenOutput]]) -> OpenOutput:
    """The output, once no other process writes to it, if the job waits for that.

    Raises:
        NotBegunError: the run was stopped before that.
    """
    is_told = False
    while True:
        try:
            return await opened()
        except OutputInUseError:
            if not job.waits_for_turn:
                raise
            if not is_told:
                is_told = True
                warn_user(f"{job.what}: another process does that. This one waits until it has ended.")
        await stop.sleep(_TURN_S)
        if stop:
            raise NotBegunError


def _chosen(job: Job) -> frozenset[int] | None:
    """The positions of the items that a run with a limit takes."""
    return None if job.limit is None else frozenset(spread(job.plan, job.limit, seed=job.settings.seed))


def _parts(
    job: Job,
    output: OpenOutput,
    shares: list[Share],
    stages: RowStages,
    admission: Admission,
    emit: Emitter,
    stop: StopSignal,
    decider: Decider,
) -> Parts:
    settings = job.settings
    cashier = Cashier(settings, _spent(job, output), store=output.store, stop=stop, emit=emit)
    sender = Sender(store=output.store, admission=admission, stop=stop, settings=settings, emit=emit, cashier=cashier)
    memory = Memory(output.store)
    sizes = output.store.reply_sizes() if sender.limits_replies else {}
    for endpoint in dict.fromkeys(endpoint for share in shares for endpoint in share.endpoints):
        memory.recall(endpoint)
        endpoint.reply_limits.recall(sizes.get(endpoint.label, {}))
    caller = Caller(sender, memory=memory, settings=settings, emit=emit)
    reorder = ReorderBuffer(shares, slots=admission.total, stop=stop) if settings.ordered else None
    return Parts(
        job=job,
        output=output,
        shares=shares,
        admission=admission,
        sender=sender,
        caller=caller,
        stages=stages,
        reorder=reorder,
        emit=emit,
        stop=stop,
        decider=decider,
    )


# -- before anything is opened


def _most_in_flight(job: Job) -> int:
    """The most requests in flight. More than by default where a provider's own limit is to be found and the run sets none."""
    settings = job.settings
    left_out = "max_concurrency" not in settings.model_fields_set
    if not (left_out and any(provider.auto_concurrency for provider in job.providers)):
        return settings.max_concurrency
    possible = room()
    return max(settings.max_concurrency, MOST_IN_FLIGHT if possible is None else min(MOST_IN_FLIGHT, possible))


def _checked(job: Job, *, is_remote: bool) -> Job:
    """The job, checked, with no more requests in flight than this process can have connections, where it is the one that sends."""
    providers = job.providers
    if job.simulated and not all(provider.simulated for provider in providers):
        raise ConfigError(
            "Simulated and real providers cannot write to the same output. "
            "Remove the simulated one, or use --offline (offline=True) to simulate all of them."
        )
    for provider in () if job.decide_only else providers:
        provider.require_ready()
    return job if job.simulated or is_remote else _within_descriptors(job)


def _within_descriptors(job: Job) -> Job:
    possible = room()
    if possible is None or job.settings.max_concurrency <= possible:
        return job
    warn_user(
        f"max_concurrency is {job.settings.max_concurrency:,}, but this process can open only {possible:,} more files and connections, "
        f"so at most that many requests are in flight. Raise the limit (ulimit -n) to have more."
    )
    return replace(job, settings=job.settings.model_copy(update={"max_concurrency": possible}))


# -- who answers


def _gates(job: Job, output: OpenOutput, total: int) -> Callable[[LLMProvider, str, Callable[[int], None]], Gate]:
    """Makes the gates of this run, which keep what earlier runs have sent in mind."""
    sent, now = output.store.recently_sent(), time.time()

    def gate_of(provider: LLMProvider, label: str, on_limit: Callable[[int], None]) -> Gate:
        return Gate(
            most_at(provider, job.settings, total),
            rpm=provider.rpm_limit,
            tpm=provider.tpm_limit,
            backoff=backoff_of(job.settings),
            earlier=[(now - sent_at, tokens) for sent_at, tokens in sent.get(label, ())],
            on_limit=on_limit,
            auto=provider.auto_concurrency,
        )

    return gate_of


# -- what has been used


def _spent(job: Job, output: OpenOutput) -> Spent:
    """What counts for the budget as used before this run; of files that several outputs share, what was bought for this one."""
    if not job.settings.has_budget:
        return Spent(0.0, 0, 0)
    elsewhere = spent_elsewhere(job.also_spent, job.buyer)._replace(open_calls=0)  # this run cannot wait for those
    spent = output.store.spent(job.buyer).plus(elsewhere)
    if spent.unknown and (job.settings.budget_usd is not None or job.settings.max_tokens is not None):
        warn_user(
            f"{spent.unknown:,} replies of earlier runs without a budget do not say what they used. They count as nothing here. If they "
            "were paid for, lower the budget by what the provider's own page says."
        )
    return spent
