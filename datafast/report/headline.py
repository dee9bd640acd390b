"""The headline of a report: what it is, how many, how good, what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from datafast.amounts import counted, money, share
from datafast.report.call_charts import call_section
from datafast.report.models import Report
from datafast.report.parts import Section
from datafast.report.row_charts import main_grouping, row_sections
from datafast.report.score_charts import score_section
from datafast.statistics.models import Group, Rate

__all__ = ["Tile", "sections_of", "sentence", "tiles"]


class Tile(NamedTuple):
    """A number that stands for itself, and what more there is to say of it."""

    name: str
    number: str
    told: str = ""


def sections_of(report: Report) -> list[Section]:
    """All sections with charts, in the order of a page."""
    found = [*row_sections(report), score_section(report), call_section(report)]
    return [section for section in found if section is not None]


def sentence(report: Report) -> str:
    """What it is."""
    statistics = report.statistics
    kind = "" if statistics.dataset_kind is None else f" of the kind {statistics.dataset_kind}"
    by = main_grouping(statistics)
    models = "" if by is None or not by.num_values else f", by {counted(by.num_values, 'model')}"
    languages = next((one for one in statistics.by if one.kind == "language"), None)
    spoken = "" if languages is None or languages.num_values < 2 else f", in {languages.num_values:,} languages"
    simulated = " These rows are simulated: no model has written them." if statistics.simulated else ""
    running = " A run was writing when this was made." if statistics.running else ""
    return f"{counted(statistics.total.rows, 'row')}{kind}{models}{spoken}.{simulated}{running}"


def tiles(report: Report) -> Iterator[Tile]:
    """The numbers of the headline."""
    statistics, total = report.statistics, report.statistics.total
    requested = "" if statistics.requested is None else f"of {statistics.requested:,} requested"
    if statistics.pending:
        requested += f", {statistics.pending:,} pending"
    yield Tile("rows", f"{total.rows:,}", requested)
    if total.acceptance is not None and (total.filtered or total.failed):
        yield Tile("accepted", _percent(total.acceptance), f"{total.filtered:,} dropped, {total.failed:,} failed")
    yield from _of_texts(total)
    for score in report.scores[:1]:
        yield Tile(score.title, f"{score.mean:.3g}", f"mean, from {score.lowest:g} to {score.highest:g}")
    if total.calls:
        each = "" if total.cost_per_row_usd is None else f"{money(total.cost_per_row_usd)} for each row"
        yield Tile("cost", money(total.cost_usd), each)
        tokens = (total.input_tokens or 0) + (total.output_tokens or 0)
        yield Tile("tokens", f"{tokens:,}", f"in {counted(total.calls, 'call')}")


def _of_texts(total: Group) -> Iterator[Tile]:
    if total.words is not None:
        yield Tile("words in a row", f"{total.words.p50:,.0f}", f"{total.words.p5:,.0f} to {total.words.p95:,.0f}")
    if total.diversity is not None and total.diversity.self_bleu is not None:
        found = total.diversity
        yield Tile("self-BLEU", f"{found.self_bleu:.2f}", f"distinct-2 {found.distinct_2 or 0:.2f}")
    if (near := total.near_duplicates) is not None:
        yield Tile("near-duplicates", _rate(near), f"{near.count:,} of {near.of:,} rows")
    if (refusals := total.refusals) is not None and refusals.count:
        yield Tile("refusals", _rate(refusals), f"{refusals.count:,} of {refusals.of:,} rows")


def _rate(rate: Rate) -> str:
    return share(rate.count, rate.of)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if value in {0, 1} else f"{min(max(100 * value, 0.1), 99.9):.1f} %"
