"""A strict budget: no request is sent that could exceed it.

Before a request, its upper bound is reserved (every byte of the prompt counts as a token, the reply has the greatest length that the
request allows, at list price). When the reply arrives, its real usage replaces the bound. A request that may have been charged although
nothing usable came back stays charged at its bound. The limits hold for the whole output, over all its runs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datafast._util.user_path import is_file
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.calls.reply_limits import ReplyLimits, most_given
from datafast.engine.event_log import Emitter
from datafast.engine.events import BudgetReached
from datafast.engine.settings import RunConfig
from datafast.engine.stop import StopSignal
from datafast.errors import ConfigError
from datafast.llms.base import Request
from datafast.store.reader import LedgerReader
from datafast.store.records import Bound, Spent
from datafast.types import StopCause, Usage

if TYPE_CHECKING:
    from datafast.engine.calls.books import Reserves
    from datafast.engine.calls.call import Call
    from datafast.llms.provider import LLMProvider

__all__ = [
    "Booking",
    "Budget",
    "Cashier",
    "Headroom",
    "NoRoomYet",
    "check_prices",
    "headroom",
    "spent_elsewhere",
    "upper_bound",
]


class Budget:
    """The limits of a run, and what was used of them."""

    def __init__(self, settings: RunConfig, spent: Spent) -> None:
        self._limits = {
            "budget_usd": settings.budget_usd,
            "max_calls": settings.max_calls,
            "max_tokens": settings.max_tokens,
        }
        self._used: dict[str, float] = {
            "budget_usd": spent.usd,
            "max_calls": spent.calls,
            "max_tokens": spent.tokens,
        }
        self.num_reserved = spent.open_calls
        self.was_used = spent.calls > 0

    def passed_by(self, bound: Bound) -> str | None:
        """The name of the limit that one more request could exceed; None if there is room for it."""
        asked = {"budget_usd": bound.usd, "max_calls": 1, "max_tokens": bound.tokens}
        for name, limit in self._limits.items():
            if limit is not None and self._used[name] + asked[name] > limit:
                return name
        return None

    def reserve(self, bound: Bound) -> None:
        self.was_used = True
        self.num_reserved += 1
        self._charge(bound.usd, bound.tokens)
        self._used["max_calls"] += 1

    def settle(self, bound: Bound, usage: Usage | None, cost_usd: float | None, *, charged: bool) -> None:
        """Replaces a request's bound by its real usage.

        Args:
            usage, cost_usd: those of the reply; None if it does not state them.
            charged: whether a request without usage counts at its bound.
        """
        self.num_reserved -= 1
        if usage is None and charged:
            return
        tokens = usage.input_tokens + usage.output_tokens if usage else 0
        usd = (cost_usd if cost_usd is not None else bound.usd) if usage else 0.0
        self._charge(usd - bound.usd, tokens - bound.tokens)

    def give_back(self, bound: Bound) -> None:
        """Takes back the reservation of a request that was never answered, and never will be."""
        self.num_reserved -= 1
        self._used["max_calls"] -= 1
        self._charge(-bound.usd, -bound.tokens)

    def _charge(self, usd: float, tokens: int) -> None:
        self._used["budget_usd"] += usd
        self._used["max_tokens"] += tokens

    def describe(self, name: str, bound: Bound) -> str:
        """Why a limit ends the run, in words."""
        used, limit = self._used[name], self._limits[name]
        said = f"${used:,.4f} of ${limit:,.4f}" if name == "budget_usd" else f"{used:,.0f} of {limit:,}"
        if name == "max_calls":
            return f"The budget is reached: run.{name}: {said} used. Raise it to go on."
        return (
            f"The budget is reached: run.{name}: {said} used, and the next request could exceed it: {_most(name, bound)}. Raise it to "
            f"go on, or lower max_completion_tokens of the providers."
        )

    def describe_too_small(self, name: str, bound: Bound) -> str:
        """Why a limit does not allow a single request, in words."""
        limit = self._limits[name] or 0.0
        said = f"${limit:,.6g}" if name == "budget_usd" else f"{limit:,} tokens"
        most = _most(name, bound, "one request")
        return (
            f"run.{name} does not allow a single request: it is {said}, and {most}. Raise it above that, or set a lower "
            f"max_completion_tokens for the providers."
        )

    def state(self, name: str) -> tuple[float, float]:
        """(used, limit) of one limit."""
        return self._used[name], self._limits[name] or 0.0

    @property
    def states(self) -> dict[str, tuple[float, float]]:
        """The same of each limit that is set."""
        return {name: self.state(name) for name, limit in self._limits.items() if limit is not None}


def _most(name: str, bound: Bound, what: str = "it") -> str:
    return (
        f"{what} may cost up to ${bound.usd:,.6g}"
        if name == "budget_usd"
        else f"{what} may use up to {bound.tokens:,} tokens"
    )


def check_prices(settings: RunConfig, providers: Mapping[str, LLMProvider]) -> None:
    """Refuses a budget that cannot be kept, because a price is not known.

    Raises:
        ConfigError: names the provider and what to set.
    """
    for label, provider in providers.items():
        if settings.budget_usd is not None and provider.cost_usd(Usage(1, 1)) is None:
            raise ConfigError(
                f"run.budget_usd cannot be kept: the price of {label} is not known. Give the provider a price, for example "
                f"price: {{input_usd_per_million: 0.4, output_usd_per_million: 1.6}}."
            )


def upper_bound(request: Request, provider: LLMProvider, limits: ReplyLimits) -> Bound:
    """The most that a request can use."""
    given = most_given(request) + limits.surprises.hidden
    written = limits.bound(request.token_limit or provider.max_completion_tokens)
    return Bound(provider.most_usd(given, written) or 0.0, given + written)


def spent_elsewhere(ledgers: Iterable[Path], buyer: Path) -> Spent:
    """What other files, some of which several outputs share, were bought for one output.

    Args:
        ledgers: they need not exist.
        buyer: the ledger of the output.
    """
    spent = Spent(0.0, 0, 0)
    for ledger in filter(is_file, ledgers):
        with LedgerReader(ledger) as reader:
            spent = spent.plus(reader.calls.spent(buyer))
    return spent


class Headroom(NamedTuple):
    """How many requests a budget lets be in flight at first, and if it is none, why, in words."""

    requests: int
    refusal: str = ""


def headroom(settings: RunConfig, spent: Spent, bound: Bound, least: Bound) -> Headroom | None:
    """What a budget has room for; None if there is none.

    Args:
        bound: the most that one request can use; `least`: the same of one that is limited as far as the budget may limit it.
    """
    if not settings.has_budget:
        return None
    budget = Budget(settings, spent)
    if (name := budget.passed_by(least)) is not None:
        return Headroom(0, (budget.describe if spent.calls else budget.describe_too_small)(name, least))
    left = [
        (limit - used) / one
        for limit, used, one in (
            (settings.budget_usd, spent.usd, bound.usd),
            (settings.max_tokens, spent.tokens, bound.tokens),
            (settings.max_calls, spent.calls, 1),
        )
        if limit is not None and one
    ]
    return Headroom(max(1, int(min(left)))) if left else None


class Booking(NamedTuple):
    """A booked request: its number in the store, and its upper bound."""

    number: int
    bound: Bound


class NoRoomYet(Exception):
    """The budget has no room for a request, and the run must not end before what batches have brought is worked on."""


class Cashier:
    """Keeps the budget of one run. If the config sets none, everything here does nothing and costs nothing.

    Args:
        store: where requests are recorded that are about to be sent; None where others record them.

    Attributes:
        has_budget: whether there is anything to keep.
        on_full: called where a request waits for others to leave some room.
        brings_more: says whether what batches have brought has still to be worked on.
        limits_replies: whether a reply's tokens have to be reserved; `saw` is called only then.
    """

    def __init__(
        self, settings: RunConfig, spent: Spent, *, store: Reserves | None, stop: StopSignal, emit: Emitter
    ) -> None:
        self.has_budget = settings.has_budget
        self._budget = Budget(settings, spent) if self.has_budget else None
        self.limits_replies = settings.budget_usd is not None or settings.max_tokens is not None
        self._store = store
        self._stop = stop
        self._emit = emit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left_open = 0
        self.on_full: Callable[[], None] = lambda: None
        self.brings_more: Callable[[], bool] = lambda: False

    def prepare(self, call: Call) -> Bound | None:
        """The most that the next request of a call can use, by the newest of what was learned; None without a budget.

        Where the user has set no limit on replies and a budget has to reserve them, one goes into the request: a lower one than usual
        where the budget allows no more, and nothing is in flight that may leave some of it.
        """
        if self._budget is None:
            return None
        limits = call.endpoint.reply_limits
        if not self.limits_replies or not limits.are_ours:
            return self.bound(call)
        if call.cut_at is None and call.refused_limit is None:
            call.limit_to(limits.limit(call.role, call.record.num_rows))
        bound = self.bound(call)
        if self._budget.num_reserved or self._budget.passed_by(bound) is None:
            return bound
        return self._within_the_rest(call, self._budget)

    def _within_the_rest(self, call: Call, budget: Budget) -> Bound:
        """Lowers the limit on the reply until the budget allows the request. Its bound, also where no limit is low enough."""
        wanted = call.request.token_limit or 0
        least = min(call.endpoint.reply_limits.least(call.role, call.cut_at), wanted)
        low, high = least, wanted  # `high` is too high
        while high - low > max(1, low // 64):
            middle = (low + high) // 2
            call.limit_to(middle)
            low, high = (middle, high) if budget.passed_by(self.bound(call)) is None else (low, middle)
        call.limit_to(low)
        lowest = self.bound(call)
        if budget.passed_by(lowest) is not None:
            call.limit_to(wanted)
        return lowest

    def bound(self, call: Call) -> Bound:
        """The most that the next request of a call can use as it is."""
        bound = upper_bound(call.request, call.endpoint.provider, call.endpoint.reply_limits)
        return bound.at(1.0 - call.discount) if call.discount else bound

    def saw(self, call: Call, usage: Usage) -> None:
        """Learns from the usage of a reply how long the next ones may be."""
        call.endpoint.reply_limits.saw(call.role, call.request, usage)

    def passed_by(self, bound: Bound | None) -> str | None:
        """The name of the limit that the request could exceed; None if it may be sent."""
        return self._budget.passed_by(bound) if self._budget and bound else None

    def book(self, bound: Bound | None, endpoint: Endpoint) -> Booking | None:
        """Reserves a request's bound, in memory and in the journal.

        Raises:
            OutputWriteError: the reservation could not be saved.
        """
        if self._budget is None or bound is None or self._store is None:
            return None
        number = self._store.reserve(endpoint.label, bound)
        self._budget.reserve(bound)
        self._wake()  # there may be room for one more
        return Booking(number, bound)

    def settle(
        self, booking: Booking | None, usage: Usage | None, cost_usd: float | None, *, maybe_paid: bool = False
    ) -> None:
        """Ends the booking of a request.

        Args:
            usage, cost_usd: those of its reply; None if none came or it does not state them.
            maybe_paid: whether it may have been charged, if there is no usage.
        """
        if self._budget is None or booking is None or self._store is None:
            return
        charged = maybe_paid and usage is None
        self._budget.settle(booking.bound, usage, cost_usd, charged=charged)
        if not self._store.broken:
            self._store.release(booking.number, charged=charged)
        self._wake()

    # -- requests of batches, which the ledger holds

    @property
    def budget(self) -> Budget | None:
        """What is kept; None without a budget."""
        return self._budget

    @property
    def states(self) -> dict[str, tuple[float, float]]:
        """(used, limit) of each limit that is set; what is reserved counts as used."""
        return self._budget.states if self._budget is not None else {}

    @property
    def num_reserved(self) -> int:
        """The number of requests that may leave some room yet."""
        return self._budget.num_reserved if self._budget is not None else 0

    def reserve_for_batch(self, bound: Bound) -> None:
        """Reserves a request that goes into a batch."""
        if self._budget is not None:
            self._budget.reserve(bound)

    def settle_batch(self, bound: Bound, usage: Usage | None, cost_usd: float | None, *, charged: bool) -> None:
        """Ends the reservation of a request of a batch; also of one that an earlier run has made. See `Budget.settle`."""
        if self._budget is not None:
            self._budget.settle(bound, usage, cost_usd, charged=charged)
            self._wake()

    def give_back(self, bound: Bound) -> None:
        """Takes back the reservation of a request of a batch that its provider has not even begun with."""
        if self._budget is not None:
            self._budget.give_back(bound)
            self._wake()

    def abandon(self, requests: int) -> None:
        """So many requests of a batch leave no room in this run any more. They stay charged, and a later run may have it."""
        if self._budget is not None:
            self._budget.num_reserved -= requests
            self._left_open += requests
            self._stop.wake()

    def _wake(self) -> None:
        """Lets the first request that waits look whether there is room for it now."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def wait(self, limit: str, bound: Bound | None) -> None:
        """Waits for a request in flight, which may use less than its bound. Ends the run if there is none.

        Raises:
            NoRoomYet: there is none, but the run must not end yet.
        """
        if self._budget is None or bound is None:
            return
        if self._budget.num_reserved:
            self.on_full()
            await self._stop.park(self._waiting)
        elif self.brings_more():
            self._wake()  # the next one is to know it too
            raise NoRoomYet
        else:
            self.end_run(limit, bound)

    def end_run(self, limit: str, bound: Bound) -> None:
        """Ends the run, because the request could exceed a limit and nothing is in flight that may leave some of it."""
        if self._budget is None or self._stop:
            return
        if self._left_open:
            reason = f"run.{limit} has no room before what is under way in batches is back, which may leave some"
            self._stop.now(StopCause.BATCH, reason)
        elif not self._budget.was_used:
            told = self._budget.describe_too_small(limit, bound)
            self._stop.now(StopCause.BUDGET, told, ConfigError(told))
        else:
            used, allowed = self._budget.state(limit)
            self._emit(BudgetReached(limit=limit, used=used, allowed=allowed))
            self._stop.now(StopCause.BUDGET, self._budget.describe(limit, bound))
