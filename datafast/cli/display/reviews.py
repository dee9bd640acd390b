"""What people have decided about rows, in lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datafast._util.notify import plain_text
from datafast.amounts import counted
from datafast.cli.display.lines import labelled

__all__ = ["print_reviews"]

_LISTED = 10
_WIDTH = 12


def print_reviews(console: Console, told: Mapping[str, Any]) -> None:
    """Prints what `datafast reviews --json` says."""
    for name, text in _lines(told):
        labelled(console, name, text, width=_WIDTH)
    if told["by_reviewer"]:
        console.print()
        console.print(_reviewers(told["by_reviewer"]))
    if models := told["pairs"]["models"]:
        console.print()
        console.print(_models(models))


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not told["by_reviewer"]:
        yield "reviewed", f"0 of {counted(told['rows'], 'row')}"
        return
    share = f" ({told['reviewed'] / told['rows']:.0%})" if told["rows"] else ""
    yield "reviewed", f"{told['reviewed']:,} of {counted(told['rows'], 'row')}{share}"
    yield "accepted", f"{told['accepted']:,}" + (f", {told['edited']:,} of them edited" if told["edited"] else "")
    yield "rejected", f"{told['rejected']:,}" + _reasons(told["reasons"])
    if told["disputed"]:
        open_ones = f", {told['undecided']:,} of them undecided" if told["undecided"] else ""
        yield "disputed", f"{told['disputed']:,}{open_ones}"
    if stale := told["stale_rows"]:
        more = f" and {len(stale) - _LISTED:,} more" if len(stale) > _LISTED else ""
        yield "stale", f"{len(stale):,} that say something else by now: {', '.join(stale[:_LISTED])}{more}"
    for name, values in told["labels"].items():
        yield "label", f"{name}: " + ", ".join(f"{value} {times:,}" for value, times in values.items())
    yield from _agreement(told["agreement"])
    yield from _pairs(told["pairs"])


def _reasons(reasons: Mapping[str, int]) -> str:
    shown = [f"{reason or 'no reason'} {rows:,}" for reason, rows in list(reasons.items())[:_LISTED]]
    return f": {', '.join(shown)}" if shown else ""


def _agreement(agreement: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if agreement["note"] is not None:
        yield "agreement", agreement["note"]
    elif agreement["alpha"] is not None:
        yield "agreement", f"{agreement['alpha']:.2f} over {counted(agreement['rows'], 'row')} (Krippendorff's alpha)"
    elif agreement["rows"]:
        yield "agreement", f"not known, since all say the same of {counted(agreement['rows'], 'row')}"


def _pairs(pairs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if pairs["pairs"]:
        first = "" if pairs["first_shown"] is None else f", what stood first in {pairs['first_shown']:.0%}"
        yield "pairs", f"{pairs['pairs']:,}, {pairs['ties']:,} of them ties{first}"
    if pairs["judged"]:
        interval = f"{pairs['low']:.0%} to {pairs['high']:.0%}"
        yield "judge", f"prefers the same in {pairs['agreed']:.0%} of {counted(pairs['judged'], 'pair')} ({interval})"


def _reviewers(by_reviewer: Mapping[str, Mapping[str, int]]) -> Table:
    names = ("accepted", "rejected", "edited", "stale", "labels", "notes", "preferences")
    table = Table("reviewer", *names, box=None, pad_edge=False)
    for reviewer, counts in by_reviewer.items():
        table.add_row(Text(plain_text(reviewer)), *(f"{counts[name]:,}" for name in names))
    return table


def _models(models: list[Mapping[str, Any]]) -> Table:
    table = Table("model", "pairs", "wins", "ties", "win rate", "95 % interval", box=None, pad_edge=False)
    for one in models:
        interval = f"{one['low']:.0%} to {one['high']:.0%}"
        numbers = (f"{one['pairs']:,}", f"{one['wins']:,}", f"{one['ties']:,}", f"{one['win_rate']:.0%}", interval)
        table.add_row(Text(plain_text(one["model"])), *numbers)
    return table
