"""The pictures of a card, from statistics: what became of the rows, rows by what tells them apart, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datafast.amounts import counted
from datafast.export.card_info import CardFigure
from datafast.figures import Figure, bars, histogram, stacked_bars
from datafast.statistics import Grouping, Statistics
from datafast.statistics.models import Group

__all__ = ["figures_of"]

_NAMES = {"provider": "model", "language": "language", "label": "label", "topic": "topic"}
_OF_INPUTS = ("label", "topic", "placeholder", "field")
_MOST_OF_INPUTS = 4
_SAID_ALREADY = re.compile(
    r"\w*model_id|topic_path|answer_index|variation"
)  # by another picture, or of no interest to readers
_MOST_VALUES = 60  # of a field that is no label or topic: with more, it hardly tells rows apart


def figures_of(statistics: Statistics, *, shows_inputs: bool, sampled: str = "") -> Iterator[CardFigure]:
    """The pictures.

    Args:
        shows_inputs: whether values may be shown that the user gave, like topics.
        sampled: what is to be said where the statistics are of some rows only.
    """
    if not statistics.total.rows:
        return
    by_model = next((one for kind in ("provider", "model_id") for one in statistics.by if one.field == kind), None)
    if by_model is not None:
        yield _named("rows-by-model", _of_models(by_model, sampled))
    of_inputs = 0
    for grouping in statistics.by:
        is_input = grouping.kind in _OF_INPUTS
        if grouping is by_model or grouping.num_values < 2 or not (is_input or grouping.kind == "language"):
            continue
        if _SAID_ALREADY.fullmatch(grouping.field):
            continue
        if is_input and (not shows_inputs or of_inputs == _MOST_OF_INPUTS or _is_scattered(grouping)):
            continue
        of_inputs += is_input
        yield _named(f"rows-by-{grouping.field}", _of_values(grouping, sampled))
    if (words := statistics.total.words) is not None and words.mean > 0:
        yield _named(
            "lengths",
            histogram(
                "Length of rows",
                words.histogram.edges,
                words.histogram.counts,
                unit="words in a row",
                middle=words.p50,
                subtitle=f"Nine of ten rows have {words.p5:,.0f} to {words.p95:,.0f} words{sampled}",
            ),
        )


def _named(name: str, figure: Figure) -> CardFigure:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return CardFigure(f"{slug}.svg", figure.description, figure.svg)


def _is_scattered(grouping: Grouping) -> bool:
    return grouping.kind in {"placeholder", "field"} and grouping.num_values > _MOST_VALUES


def _of_models(grouping: Grouping, sampled: str) -> Figure:
    groups = [(str(group.value), group) for group in grouping.groups]
    if not any(group.filtered or group.failed for _, group in groups):
        return _of_values(grouping, sampled)
    return stacked_bars(
        "What became of requested rows",
        {name: _outcome(group) for name, group in groups},
        ["in the file", "dropped by stages", "failed"],
        subtitle=f"By model{'; a row of several models is in several bars' if grouping.overlaps else ''}",
    )


def _outcome(group: Group) -> tuple[int, int, int]:
    return group.rows, group.filtered, group.failed


def _of_values(grouping: Grouping, sampled: str) -> Figure:
    counts = {str(group.value): group.rows for group in grouping.groups}
    others = 0
    if grouping.others is not None:
        others = grouping.num_values - len(grouping.groups)
        counts[f"{others:,} others"] = grouping.others.rows
    name = _NAMES.get(grouping.kind, grouping.field.replace("_", " "))
    told = f"{counted(grouping.num_values, 'value')}{sampled}" if grouping.num_values > 1 else sampled.lstrip(", ")
    return bars(f"Rows by {name}", counts, subtitle=told, num_others=others)
