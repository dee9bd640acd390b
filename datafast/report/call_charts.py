"""Charts of the calls: tokens, cost, latency and requests that were sent again, by provider and over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from datafast.amounts import duration, money
from datafast.figures import Level, levels, lines, stacked_bars, stacked_columns
from datafast.report.models import Report, UseInSlot
from datafast.report.parts import Chart, Section, Table
from datafast.statistics.models import Group, named

__all__ = ["call_section"]

_MOST = 5  # providers with a colour of their own; the others have one together
_OTHERS = "others"


def call_section(report: Report) -> Section | None:
    """The section about calls; None where nothing is known of any."""
    total = report.statistics.total
    if not total.calls:
        return None
    charts = [*_by_provider(report), *_over_time(report)]
    if not charts:
        return None
    lead = f"{total.calls:,} replies were paid for, and {total.retries or 0:,} requests were sent again before one of them came."
    return Section("calls", "Cost and speed", lead, charts)


def _by_provider(report: Report) -> Iterator[Chart]:
    by = next((one for one in report.statistics.by if one.field == "provider"), None)
    groups = [] if by is None else [(name, group) for name, group in named(by) if group.calls]
    if not groups:
        return
    table = Table(
        ["provider", "calls", "sent again", "tokens in", "tokens out", "cost", "a row", "latency", "95 %"],
        [[name, *_cells(group)] for name, group in groups],
    )
    tokens = {name: (group.input_tokens or 0, group.output_tokens or 0) for name, group in groups}
    if any(map(sum, tokens.values())):
        yield Chart("Tokens by provider", table, stacked_bars("Tokens by provider", tokens, ["in", "out"]))
    for title, entries in (
        ("Cost by provider", [Level(n, g.cost_usd, money(g.cost_usd)) for n, g in groups if g.cost_usd]),
        (
            "Latency by provider",
            [Level(n, g.latency_p50_s, f"{g.latency_p50_s:.3g} s") for n, g in groups if g.latency_p50_s is not None],
        ),
        ("Requests sent again, by provider", [Level(n, g.retries, f"{g.retries:,}") for n, g in groups if g.retries]),
    ):
        if entries:
            told = "Seconds to the reply in the middle" if title.startswith("Latency") else ""
            yield Chart(title, table, levels(title, entries, subtitle=told))


def _cells(group: Group) -> list[str]:
    return [
        f"{group.calls or 0:,}",
        f"{group.retries or 0:,}",
        f"{group.input_tokens or 0:,}",
        f"{group.output_tokens or 0:,}",
        money(group.cost_usd),
        "" if group.cost_per_row_usd is None else money(group.cost_per_row_usd),
        "" if group.latency_p50_s is None else f"{group.latency_p50_s:.3g} s",
        "" if group.latency_p95_s is None else f"{group.latency_p95_s:.3g} s",
    ]


def _over_time(report: Report) -> Iterator[Chart]:
    slots = report.over_time
    if len(slots) < 2:
        return
    calls: dict[str, int] = {}
    for slot in slots:
        for name, used in slot.by_provider.items():
            calls[name] = calls.get(name, 0) + used.calls
    ranked = sorted(calls, key=lambda name: -calls[name])
    shown = ranked if len(ranked) <= _MOST + 1 else ranked[:_MOST]
    chart = _Slots(report, shown, has_others=len(shown) < len(ranked))
    yield chart.columns("Replies over time", "replies", lambda used: used.calls)
    yield chart.columns("Tokens over time", "tokens", lambda used: used.input_tokens + used.output_tokens)
    every = [used for slot in slots for used in slot.by_provider.values()]
    if any(used.cost_usd for used in every) and all(used.cost_usd is not None for used in every):
        yield chart.columns("Cost over time", "USD", lambda used: used.cost_usd or 0.0)
    if any(used.retries for used in every):
        yield chart.columns("Requests sent again over time", "requests", lambda used: used.retries)
    yield chart.latency()


class _Slots:
    """Draws what providers did in slots of time."""

    def __init__(self, report: Report, shown: Sequence[str], *, has_others: bool) -> None:
        self._slots = report.over_time
        self._shown = shown
        self._has_others = has_others
        same_day = len({slot.begins[:10] for slot in self._slots}) == 1
        self._when = [slot.begins[11:19] if same_day else slot.begins[5:16].replace("T", " ") for slot in self._slots]
        day = f"{self._slots[0].begins[:10]}, UTC; " if same_day else "UTC; "
        self._subtitle = f"{day}a slot is {duration(report.slot_s)}"

    def columns(self, title: str, unit: str, value: Callable[[UseInSlot], float]) -> Chart:
        """A number, added up."""
        parts: dict[str, list[float]] = {
            name: [value(slot.by_provider[name]) if name in slot.by_provider else 0 for slot in self._slots]
            for name in self._shown
        }
        if self._has_others:
            parts[_OTHERS] = [
                sum(value(used) for name, used in slot.by_provider.items() if name not in self._shown)
                for slot in self._slots
            ]
        figure = stacked_columns(title, self._when, parts, unit=unit, subtitle=self._subtitle)
        form = ",.4f" if unit == "USD" else ",.0f"
        rows = [
            [when, *(format(numbers[slot], form) for numbers in parts.values())]
            for slot, when in enumerate(self._when)
            if self._slots[slot].by_provider
        ]
        return Chart(title, Table(["from", *parts], rows), figure)

    def latency(self) -> Chart:
        """The mean latency, of the providers with a colour of their own."""
        title = "Latency over time"
        series = {
            name: [slot.by_provider[name].latency_s if name in slot.by_provider else None for slot in self._slots]
            for name in self._shown
        }
        figure = lines(title, self._when, series, unit="s", subtitle=f"Mean seconds; {self._subtitle}")
        rows = [
            [when, *("" if (number := numbers[slot]) is None else f"{number:.3g}" for numbers in series.values())]
            for slot, when in enumerate(self._when)
            if self._slots[slot].by_provider
        ]
        return Chart(title, Table(["from", *series], rows), figure)
