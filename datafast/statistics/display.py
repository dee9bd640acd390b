"""Statistics as tables: what a console, a notebook and a page show of them is decided here, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from datafast.amounts import money
from datafast.statistics.models import Group, Grouping, Rate

__all__ = ["COLUMNS", "Column", "cells", "columns_of", "facts_of", "flat", "title_of"]


class Column(NamedTuple):
    """A column of a table of groups. `worth`: where there is little room, those with the largest number go first. `tells`: whether a group
    makes it worth showing; if there is a cell, by default."""

    name: str
    cell: Callable[[Group], str]
    worth: int
    tells: Callable[[Group], object] | None = None


def _share(value: float | None) -> str:
    if value is None:
        return ""
    percent = 100 * value
    return f"{percent:.0f} %" if value in {0, 1} else f"{min(max(percent, 0.1), 99.9):.1f} %"


def _rate(rate: Rate | None) -> str:
    return "" if rate is None else _share(rate.share)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def _number(value: float | None, form: str = ",.0f") -> str:
    return "" if value is None else format(value, form)


COLUMNS: Sequence[Column] = (
    Column("rows", lambda group: f"{group.rows:,}", 0),
    Column("filtered", lambda group: f"{group.filtered:,}" if group.filtered else "", 3),
    Column("failed", lambda group: f"{group.failed:,}" if group.failed else "", 4),
    Column("accepted", lambda group: _share(group.acceptance), 1, lambda group: group.filtered or group.failed),
    Column("words", lambda group: "" if group.words is None else _number(group.words.p50), 2),
    Column("p5-p95", lambda group: "" if group.words is None else f"{group.words.p5:,.0f}-{group.words.p95:,.0f}", 7),
    Column(
        "distinct-2", lambda group: "" if group.diversity is None else _number(group.diversity.distinct_2, ".2f"), 6
    ),
    Column("self-BLEU", lambda group: "" if group.diversity is None else _number(group.diversity.self_bleu, ".2f"), 10),
    Column(
        "gzip", lambda group: "" if group.diversity is None else _number(group.diversity.compression_ratio, ".1f"), 12
    ),
    Column("repeated", lambda group: _rate(group.repeated) if group.repeated and group.repeated.count else "", 9),
    Column(
        "near dup.",
        lambda group: _rate(group.near_duplicates) if group.near_duplicates and group.near_duplicates.count else "",
        9,
    ),
    Column("refusals", lambda group: _rate(group.refusals) if group.refusals and group.refusals.count else "", 8),
    Column("run", lambda group: "" if group.copies is None else _number(group.copies.longest_run, ".1f"), 15),
    Column("cut", lambda group: _rate(group.truncated) if group.truncated and group.truncated.count else "", 11),
    Column("retries", lambda group: f"{group.retries:,}" if group.retries else "", 14),
    Column("$ a row", lambda group: money(group.cost_per_row_usd) if group.cost_per_row_usd else "", 5),
    Column("latency", lambda group: _seconds(group.latency_p50_s), 13),
)


def columns_of(groups: Iterable[Group]) -> list[Column]:
    """The columns that have something to say of these groups."""
    listed = list(groups)
    return [column for column in COLUMNS if any((column.tells or column.cell)(group) for group in listed)]


def cells(groups: Iterable[tuple[str, Group]], columns: Sequence[Column]) -> list[list[str]]:
    """Rows of a table: the name of each group, and a cell for each column."""
    return [[name, *(column.cell(group) for column in columns)] for name, group in groups]


def title_of(grouping: Grouping) -> str:
    """What the groups are by, in a few words."""
    kind = "" if grouping.kind in {"field", grouping.field} else f" ({grouping.kind})"
    several = "; a row may be in several groups" if grouping.overlaps else ""
    return f"by {grouping.field}{kind}, {grouping.num_values:,} {'value' if grouping.num_values == 1 else 'values'}{several}"


def facts_of(group: Group) -> Iterator[tuple[str, str]]:
    """A group in words, line by line, each with what it is about; empty where there is nothing to say."""
    yield "accepted", _share(group.acceptance) if group.filtered or group.failed else ""
    for stage, reasons in group.filtered_by_stage.items():
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        yield "filtered", f"{sum(reasons.values()):,} by {stage}: {listed}"
    yield "failed", ", ".join(f"{count:,} {category}" for category, count in group.failures.items())
    for name, spread in (("words", group.words), ("characters", group.characters)):
        if spread is not None:
            most = f"{spread.p5:,.0f} to {spread.p95:,.0f} in nine of ten"
            yield name, f"{spread.p50:,.0f} a row in the middle, {most}, {spread.mean:,.1f} on average"
    yield "diversity", _diversity(group)
    yield "prompt", _copies(group)
    yield "repeated", _told(group.repeated, "rows whose texts another row has")
    yield "near", _told(group.near_duplicates, "rows nearly the same as an earlier one")
    yield "refusals", _told(group.refusals, "rows made")
    if group.calls is not None:
        yield "calls", f"{group.calls:,}, {group.retries:,} sent again"
        yield "endings", _endings(group)
        yield "tokens", f"{group.input_tokens:,} in, {group.output_tokens:,} out"
        yield "cost", _cost(group)
        if group.latency_p50_s is not None:
            yield (
                "latency",
                f"{_seconds(group.latency_p50_s)} in the middle, {_seconds(group.latency_p95_s)} at most in 95 of 100",
            )


def _diversity(group: Group) -> str:
    found = group.diversity
    if found is None:
        return ""
    parts = [
        f"distinct-1 {_number(found.distinct_1, '.3f')}",
        f"distinct-2 {_number(found.distinct_2, '.3f')}",
        f"distinct-3 {_number(found.distinct_3, '.3f')}",
        f"compression {_number(found.compression_ratio, '.2f')}",
        f"self-BLEU {_number(found.self_bleu, '.3f')}",
    ]
    return (
        f"{', '.join(part for part in parts if not part.endswith(' '))} (in {found.rows:,} rows, {found.words:,} words)"
    )


def _copies(group: Group) -> str:
    found = group.copies
    if found is None:
        return ""
    share = f"{_share(found.share)} of its words are in the row"
    return f"{share}, {found.longest_run:,.1f} of them in one run on average, {found.longest_run_max:,} at most (in {found.rows:,} rows)"


def _told(rate: Rate | None, what: str) -> str:
    return "" if rate is None or not rate.count else f"{rate.count:,} of {rate.of:,} {what} ({_share(rate.share)})"


def _endings(group: Group) -> str:
    cut, declined = _told(group.truncated, "replies cut at a limit"), _told(group.declined, "replies declined")
    return "; ".join(text for text in (cut, declined) if text)


def _cost(group: Group) -> str:
    each = "" if group.cost_per_row_usd is None else f", {money(group.cost_per_row_usd)} for each row in the file"
    return f"{money(group.cost_usd)}{each}"


def flat(group: Group) -> dict[str, Any]:
    """The numbers of a group by one name each."""
    found: dict[str, Any] = {}
    for name, value in group.model_dump(exclude={"value", "filtered_by_stage", "failures"}).items():
        if name in _NESTED:
            values = value or dict.fromkeys(_NESTED[name])
            found |= {f"{name}_{part}": values[part] for part in _NESTED[name]}
        else:
            found[name] = value
    found |= {f"filtered_by_{stage}": sum(reasons.values()) for stage, reasons in group.filtered_by_stage.items()}
    return found | {f"failed_by_{category}": count for category, count in group.failures.items()}


_NESTED: dict[str, tuple[str, ...]] = {
    "characters": ("mean", "p5", "p50", "p95"),
    "words": ("mean", "p5", "p50", "p95"),
    "copies": ("rows", "share", "longest_run", "longest_run_max"),
    "diversity": ("rows", "words", "distinct_1", "distinct_2", "distinct_3", "compression_ratio", "self_bleu"),
    **dict.fromkeys(("truncated", "declined", "refusals", "repeated", "near_duplicates"), ("count", "of", "share")),
}
