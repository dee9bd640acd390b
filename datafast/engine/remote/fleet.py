"""Opens the workers of a run: what they are told, and who leases them the limits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

from datafast._util.version import VERSION
from datafast.engine.opening import backoff_of, most_at
from datafast.engine.remote.broker import Broker
from datafast.engine.remote.dealing import Dealer
from datafast.engine.remote.driver import AT_WORK, WORKERS, Fleet
from datafast.engine.remote.messages import Setup
from datafast.engine.remote.receiving import Receiver
from datafast.engine.remote.shipping import shipped
from datafast.engine.remote.terms import ProviderTerms

if TYPE_CHECKING:
    from datafast.engine.calls.admission import Admission
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.engine.calls.sender import Sender
    from datafast.engine.event_log import Emitter
    from datafast.engine.job import Job
    from datafast.engine.remote.crew import Crew
    from datafast.engine.shares import Share
    from datafast.engine.stop import StopSignal
    from datafast.store.writer import Store

__all__ = ["open_fleet"]


@contextlib.asynccontextmanager
async def open_fleet(
    crew: Crew,
    job: Job,
    *,
    shares: Sequence[Share],
    sender: Sender,
    store: Store,
    admission: Admission,
    emit: Emitter,
    stop: StopSignal,
) -> AsyncIterator[Fleet]:
    """The workers of one opening of an output, until the context ends. Sends nothing."""
    endpoints = {one.label: one for share in shares for one in share.endpoints}
    succeeds = store.learned.get(WORKERS) == AT_WORK
    budget = sender.cashier.budget
    terms = _terms(job, store, endpoints, admission.total, succeeds=succeeds)
    broker = Broker(
        terms,
        total=admission.total,
        budget=budget,
        reserves=None if budget is None else store,
        backoff=backoff_of(job.settings),
        lease_s=crew.lease_s,
        succeeds=succeeds,
    )
    dealer = Dealer(shares)
    setup = Setup(
        job=shipped(job),
        terms={label: one._replace(earlier=()) for label, one in terms.items()},
        sizes=store.reply_sizes() if sender.limits_replies else {},
        learned=store.learned,
        most_donated=store.most_donated,
        is_heard=emit.listening,
        version=VERSION,
    )
    receiver = Receiver(store=store, sender=sender, endpoints=endpoints, dealer=dealer, emit=emit, stop=stop)
    fleet = Fleet(
        crew=crew,
        setup=setup,
        job=job,
        shares=shares,
        endpoints=endpoints,
        store=store,
        broker=broker,
        receiver=receiver,
        dealer=dealer,
        admission=admission,
        stop=stop,
    )
    try:
        yield fleet
    finally:
        await fleet.close()


def _terms(
    job: Job, store: Store, endpoints: Mapping[str, Endpoint], total: int, *, succeeds: bool
) -> dict[str, ProviderTerms]:
    """The limits of each provider for all workers together."""
    sent, now = store.recently_sent(), time.time()
    found = {}
    for label, endpoint in endpoints.items():
        provider = endpoint.provider
        most = most_at(provider, job.settings, total)
        found[label] = ProviderTerms(
            most,
            rpm=provider.rpm_limit,
            tpm=provider.tpm_limit,
            auto=provider.auto_concurrency,
            earlier=tuple((now - sent_at, tokens) for sent_at, tokens in sent.get(label, ())),
            # What workers of a driver that has died had in flight is in no ledger.
            in_flight=min(most, int(provider.rpm_limit or most)) if succeeds else 0,
        )
    return found
