"""Estimates tokens, cost and time of what is left to generate, before anything is sent.

Method:
* Some prompts, spread over the plan by its seed, are rendered by the kind's own `produce` with a simulated model. They stand for all.
* Input tokens: one for 4 characters of messages and reply schema, with a range from one for 5 to one for 3.
* Output tokens of a call: if this output's ledger has earlier replies of the same provider in the same role to items of this size,
  their mean, and the range of the middle 80 %, widened to half and double while there are fewer than ten replies. Otherwise they are
  guessed: 300 for each text that the call asks for, with a range from 100 to 600, within `max_completion_tokens`.
* Cost: `cost_usd` of each provider. If a price is not known, the cost is not known either; it never counts as 0.
* Time: seconds a call as in earlier replies, else 1 s and 60 output tokens a second; slots and limits per minute are fully used.
* Totals add up all low, all expected and all high values. They are a plausible range, not a confidence interval.

Guarantee: nothing is sent or written, and no key is needed. Items that are done, or failed and not retried, are not counted.
Recorded replies to items that are left are used as a run uses them (`datafast.engine.remaining`), and only the other calls count.
Limits: retries, hidden reasoning beyond the guess and discounts for cached prompts are not taken into account. In calls that quote
earlier replies that are not recorded, simulated ones count.
Cost: a few milliseconds for each rendered prompt; if the config has changed since the last run, its keys are gone through once.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datafast._util import background
from datafast.engine.calls.budget import Headroom, headroom, spent_elsewhere, upper_bound
from datafast.engine.calls.memory import surprises_of
from datafast.engine.calls.reply_limits import ReplyLimits
from datafast.engine.dry_run import DryRun, dry_run, stand_ins
from datafast.engine.estimated import Estimate, costs_of, total
from datafast.engine.expected_usage import (
    FIRST_TOKEN_S,
    TOKENS_PER_S,
    TOKENS_PER_TEXT,
    Asked,
    ProviderEstimate,
    Span,
    expected,
    longest,
)
from datafast.engine.past import Past, sampled
from datafast.engine.remaining import MOST_S
from datafast.engine.routes import Route, labels_of, providers_of
from datafast.engine.settings import RunConfig
from datafast.llms.base import Request
from datafast.llms.prices import nearest_model
from datafast.plan.items import WorkItem

if TYPE_CHECKING:
    from datafast.engine.calls.call import Call
    from datafast.engine.job import Job
    from datafast.llms.provider import LLMProvider

__all__ = ["Estimate", "estimate"]


def estimate(job: Job, *, tokens_per_text: Span = TOKENS_PER_TEXT, past: Past | None = None) -> Estimate:
    """Estimates what is left of a job; see the module for the method.

    Args:
        tokens_per_text: what is guessed for the output where no earlier replies are known.
        past: what its output has, if that was read already.
    """
    labels = labels_of(job.providers)
    past = past or Past.read(job, tokens_per_text)
    work = _Work(job.routes, job.settings)
    asked = _ask(job, [job.plan[position] for position in sampled(job)])
    work.add_items(past.left.untouched, asked)
    for route, ask, count in past.left.asks:
        work.add_call(route, ask, count)
    parts = [
        expected(labels[id(provider)], provider, work.calls[id(provider)], work.asked, past.history, job.settings)
        for provider in job.providers
    ]
    calls = round(sum(sum(calls.values()) for calls in work.calls.values()))
    room = _headroom(job, asked, past, calls)
    return Estimate(
        rows=past.left.rows,
        items=past.left.items,
        calls=calls,
        replayed=round(past.left.replayed),
        in_batches=round(past.left.in_batches),
        input_tokens=total(part.input_tokens for part in parts),
        output_tokens=total(part.output_tokens for part in parts),
        mode=job.settings.mode,
        **costs_of(parts, job.settings.mode),
        seconds=_total_seconds(parts, job.settings),
        providers=tuple(parts),
        rendered=len(asked),
        notes=(*_notes(parts, past, job.settings), *_slips(job.providers)),
        in_flight=room.requests if room else None,
        refusal=room.refusal if room else "",
        change=past.change,
    )


def _headroom(job: Job, sampled: Sequence[DryRun], past: Past, calls: int) -> Headroom | None:
    """How many requests a budget lets be in flight, by the dearest of the sampled calls."""
    if not job.settings.has_budget:
        return None
    labels = labels_of(job.providers)
    spent = past.spent.plus(spent_elsewhere(job.also_spent, job.buyer))
    found = []
    for route in job.routes:
        for ask in (ask for run in sampled for ask in run.asks):
            provider = route.of(ask.role)
            limits = ReplyLimits(provider)
            limits.recall(past.sizes.get(labels[id(provider)], {}))
            limits.surprises = surprises_of(provider, past.learned)
            tokens: tuple[int | None, int | None] = (None, None)
            if limits.are_ours:
                usual = limits.limit(ask.role, ask.record.num_rows)
                tokens = (usual, min(usual, limits.least(ask.role, None)))
            part = _part_of_price(provider, job.settings)
            bounds = (
                upper_bound(Request(ask.messages, ask.schema, token_limit=most), provider, limits).at(part)
                for most in tokens
            )
            found.append(headroom(job.settings, spent, *bounds))
    known = [room for room in found if room is not None]
    if not known:
        return None
    least = min(known)
    in_batches = job.settings.mode == "batch" and any(provider.has_batches for provider in job.providers)
    return least._replace(requests=min(least.requests, calls if in_batches else job.settings.max_concurrency))


def _part_of_price(provider: LLMProvider, settings: RunConfig) -> float:
    """How much of the list price a budget reserves."""
    discount = provider.batch_discount if settings.mode == "batch" and provider.has_batches else None
    return 1.0 - (discount or 0.0)


# -- the calls


def _ask(job: Job, sample: Sequence[WorkItem]) -> list[DryRun]:
    """The calls of sampled items; fewer of them if they take long."""

    async def ask_all() -> list[DryRun]:
        runs: list[DryRun] = []
        routes = stand_ins(job.routes, fan_out=job.settings.fan_out)
        end = time.monotonic() + MOST_S
        for item in sample if job.providers else ():
            if runs and time.monotonic() > end:
                break
            runs.append(await dry_run(job.asking, item, routes[item.route]))
        return runs

    return background.run(ask_all())


class _Work:
    """The calls that are left.

    Attributes:
        calls: of each provider (by its `id`), how many in each role.
        asked: the calls of each role.
    """

    def __init__(self, routes: Sequence[Route[LLMProvider]], settings: RunConfig) -> None:
        self.calls: dict[int, dict[str, float]] = {id(provider): {} for provider in providers_of(routes)}
        self.asked: dict[str, Asked] = defaultdict(Asked)
        self._routes = routes
        self._settings = settings

    def add_items(self, items: Sequence[float], sampled: Sequence[DryRun]) -> None:
        """Adds items of each route of the plan, for which the calls of sampled ones stand."""
        asks = [ask for run in sampled for ask in run.asks]
        for role, count in Counter(ask.role for ask in asks).items():
            self._add(role, [number * count / len(sampled) for number in items])
        for ask in asks:
            self.asked[ask.role].add(ask, sum(items) / len(sampled))

    def add_call(self, route: int, ask: Call, count: float) -> None:
        """Adds a call on a route of the plan, which stands for so many."""
        self._add(ask.role, [count if number == route else 0.0 for number in range(len(self._routes))])
        self.asked[ask.role].add(ask, count)

    def _add(self, role: str, counts: Sequence[float]) -> None:
        for route, count in zip(self._routes, _deal(self._routes, counts, self._settings), strict=True):
            calls = self.calls[id(route.of(role))]
            calls[role] = calls.get(role, 0.0) + count


def _deal(routes: Sequence[Route[LLMProvider]], left: Sequence[float], settings: RunConfig) -> list[float]:
    """What is left of each route of the plan, dealt to the routes of providers."""
    if settings.fan_out == "fallback":
        return [left[0], *(0.0 for _ in routes[1:])]
    if settings.fan_out == "split":
        weights = [1.0 if route.sole is None else route.sole.weight for route in routes]
        return [left[0] * weight / sum(weights) for weight in weights]
    return list(left)


# -- totals


def _total_seconds(parts: Sequence[ProviderEstimate], settings: RunConfig) -> Span:
    """The time of the slowest provider, or of all calls in the slots of the run, whichever is longer."""
    work = total(part.latency_s * sum(part.calls.values()) for part in parts if not part.goes_in_batches)
    return longest([*(part.seconds for part in parts), work * (1 / settings.max_concurrency)])


def _slips(providers: Sequence[LLMProvider]) -> list[str]:
    """Names of models that the price list does not know and that resemble one that it knows."""
    unpriced = [provider for provider in providers if provider.price is None and not provider.simulated]
    near = [
        (provider.label, nearest_model(*provider.label.split("/", 1))) for provider in unpriced if "/" in provider.label
    ]
    return [
        f"{label}: the price list does not know this model. Did you mean {found!r}?" for label, found in near if found
    ]


def _notes(parts: Sequence[ProviderEstimate], past: Past, settings: RunConfig) -> list[str]:
    guess = past.history.tokens_per_text
    called = [part for part in parts if any(part.calls.values())]
    timed = [part for part in called if not part.goes_in_batches]
    notes = [past.note] if past.note else []
    if not called:
        return notes
    notes.append("Input: a token for 4 characters (5 to 3) of prompt and reply schema.")
    if any(part.output_basis == "guessed" for part in called):
        notes.append(
            f"Output is guessed: {guess.expected:.0f} tokens a text ({guess.low:.0f} to {guess.high:.0f}). After a preview it is known."
        )
    if any(part.latency_basis == "guessed" for part in timed):
        notes.append(f"Time is guessed: {FIRST_TOKEN_S:g} s a call and {TOKENS_PER_S:g} output tokens a second.")
    if any(part.online_cost_usd is None for part in called):
        notes.append("The cost is unknown, because the price of a provider is unknown. Give that provider a price.")
    if any(part.goes_in_batches and part.batch_cost_usd is None and part.online_cost_usd for part in called):
        notes.append(
            "The cost is unknown, because the discount for batches of a provider is unknown. Give its price a batch_discount, such as 0.5."
        )
    if settings.fan_out == "fallback" and len(parts) > 1:
        notes.append("All prompts are counted for the first provider; those that it fails go to the next one.")
    notes.append("Retries are not included.")
    return notes
