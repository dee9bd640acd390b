"""How two files of rows differ, on a console: a line for each thing, with how large the difference is and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from rich.console import Console

from datafast._util.notify import plain_text
from datafast.amounts import counted, money
from datafast.cli.display.lines import labelled
from datafast.statistics import CategoryDifference, Comparison, Estimated, Side, Verdicts

__all__ = ["print_comparison"]

_LABEL = 12
_BLANK = "\n"
_VALUES = 4
_LETTERS = 300
_MATCHED = {"uuid": "by uuid", "values": "by values", "random": "at random"}
# How Cliff's delta is called (Romano et al., "Appropriate statistics for ordinal level data", 2006).
_SIZES = ((0.147, "hardly any"), (0.33, "a small"), (0.474, "a medium"), (2.0, "a large"))


def print_comparison(found: Comparison) -> None:
    """Prints it."""
    console = Console(highlight=False, soft_wrap=True)
    for name, text in _sections(found):
        if name == _BLANK:
            console.print()
        else:
            labelled(console, plain_text(name), text, width=_LABEL)


def _sections(found: Comparison) -> Iterator[tuple[str, str]]:
    for name, side in (("a", found.a), ("b", found.b)):
        yield name, _of_side(side)
    yield _BLANK, ""
    yield from _of_configs(found)
    if found.rows is not None:
        rows = found.rows
        yield (
            "rows",
            f"{rows.only_in_a:,} only in a, {rows.only_in_b:,} only in b, {rows.same:,} the same, {rows.changed:,} changed",
        )
    for number in found.numbers:
        yield (
            number.field,
            f"median {number.a_median:,.0f} -> {number.b_median:,.0f}, mean {number.a_mean:,.1f} -> {number.b_mean:,.1f}; "
            f"{_size(number.delta)} difference, delta {_signed(number.delta)}",
        )
    yield from _of_diversity(found)
    for category in found.categories:
        yield category.field, _of_category(category)
    if found.verdicts is not None:
        yield _BLANK, ""
        yield from _of_verdicts(found.verdicts)
    for note in found.notes:
        yield "note", note


def _of_side(side: Side) -> str:
    told = [f"{side.file}: {counted(side.rows, 'row')}"]
    if not side.has_ledger:
        return f"{told[0]}, no ledger"
    told += [f"{side.filtered or 0:,} filtered", f"{side.failed or 0:,} failed"]
    told += [f"{side.calls or 0:,} calls", f"{(side.input_tokens or 0) + (side.output_tokens or 0):,} tokens"]
    cost = money(side.cost_usd)
    told.append(f"{cost} ({money(side.cost_per_row_usd)} a row)" if side.cost_usd else cost)
    return ", ".join([*told, *side.providers])


def _of_configs(found: Comparison) -> Iterator[tuple[str, str]]:
    if found.config is None:
        return
    if not found.config:
        yield "config", "the same"
    for number, difference in enumerate(found.config):
        yield "" if number else "config", f"{difference.field}: {_json(difference.a)} -> {_json(difference.b)}"


def _json(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."


def _of_diversity(found: Comparison) -> Iterator[tuple[str, str]]:
    a, b = found.a.diversity, found.b.diversity
    if a is None or b is None:
        return
    told = [
        f"{name} {_plain(one)} -> {_plain(other)}"
        for name, one, other in (
            ("distinct-1", a.distinct_1, b.distinct_1),
            ("distinct-2", a.distinct_2, b.distinct_2),
            ("compression ratio", a.compression_ratio, b.compression_ratio),
            ("self-BLEU", a.self_bleu, b.self_bleu),
        )
    ]
    yield "diversity", ", ".join(told)


def _of_category(category: CategoryDifference) -> str:
    shown = [
        f"{_cut(share.value)} {share.a:.0%} -> {share.b:.0%}"
        for share in category.shares[:_VALUES]
        if share.a != share.b
    ]
    more = f", and {category.num_values - len(shown):,} more values" if category.num_values > len(shown) else ""
    sizes = f"total variation {_between(category.total_variation)}, Cramér's V {_between(category.cramers_v)}"
    return (
        f"{', '.join(shown)}{more}; {sizes}" if shown else f"the same in both ({counted(category.num_values, 'value')})"
    )


def _of_verdicts(found: Verdicts) -> Iterator[tuple[str, str]]:
    if found.win_rate is None:
        yield "verdict", "none: no pair could be judged"
    else:
        whom = f"{found.preferred} is preferred" if found.preferred else "neither is clearly preferred"
        yield (
            "verdict",
            f"{whom}: b wins {found.win_rate:.2f} ({found.low:.2f} to {found.high:.2f}) of {counted(found.pairs, 'pair')}",
        )
    yield (
        "pairs",
        f"{found.wins_a:,} for a, {found.wins_b:,} for b, {counted(found.ties, 'tie')}; {found.unsteady:,} where the order decided, "
        f"{found.failed:,} failed, {found.same:,} of equal texts not judged; matched {_MATCHED[found.matched]}",
    )
    yield "judges", f"{', '.join(found.judges)}: {counted(found.calls, 'call')}, {money(found.cost_usd)}"
    yield "file", found.file


def _size(delta: Estimated) -> str:
    if delta.low <= 0 <= delta.high:
        return "no clear"
    return next(name for most, name in _SIZES if abs(delta.value) < most)


def _signed(found: Estimated) -> str:
    return f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def _between(found: Estimated) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _plain(number: float | None) -> str:
    return "unknown" if number is None else f"{number:.2f}"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
