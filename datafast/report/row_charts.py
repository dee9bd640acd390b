"""Charts of the rows: how many there are of each value, what became of those that were asked for, how long and how different they are,
what shaped them, and which combinations there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from datafast.amounts import counted, share
from datafast.figures import Level, bars, heatmap, histogram, levels, stacked_bars
from datafast.report.models import Report
from datafast.report.parts import Chart, Section, Table
from datafast.statistics import Statistics
from datafast.statistics.coverage import AxesCoverage
from datafast.statistics.display import cells, columns_of
from datafast.statistics.models import Diversity, Group, Grouping, Spread, named
from datafast.statistics.shaping import EFFECT_HEADINGS, coverage_lines, effect_cells

__all__ = ["main_grouping", "name_of", "row_sections"]

_NAMES = {"model_id": "model", "template": "prompt template"}
_SAYS_NOTHING = re.compile(r"role|topic_path|answer_index|variation")
_OF_NO_PROMPT = frozenset({"provider", "template"})
_MOST_GROUPINGS = 12
_MOST_REASONS = 40
_MOST_MATRICES = 6
_MOST_IN_TABLE = 200
_COMBINATIONS_LEAD = (
    "Rows in the file for each two values. What was planned is not known, so what has none need not be missing."
)


def row_sections(report: Report) -> Iterator[Section]:
    """The sections that have something to say."""
    statistics = _without_scores(report)
    for name, title, lead, charts in (
        ("rows", "What is in it", "Rows in the file by what tells them apart.", _values(statistics)),
        ("outcome", "What became of it", _outcome_lead(statistics), _outcomes(statistics)),
        ("lengths", "Lengths", "All texts of a row together. The edges are the same for all groups.", _lengths(statistics)),
        (
            "diversity",
            "Diversity",
            "distinct-2: different pairs of words, as a share of all; higher is more diverse. self-BLEU: how alike a text is to the "
            "others; lower is more diverse. Compare only groups of about as many words.",
            _diversity(statistics),
        ),
        (
            "effects",
            "Which values shape the texts",
            "How well a value is told from the text alone, from 0 (by chance) to 1. What is at chance makes no difference to the texts.",
            _effects(statistics),
        ),
        ("coverage", "Which combinations there are", _coverage_lead(statistics), _coverage(statistics)),
        ("combinations", "Which combinations there are", _COMBINATIONS_LEAD, _combinations(statistics)),
    ):  # fmt: skip
        if listed := list(charts):
            yield Section(name, title, lead, listed)


def _without_scores(report: Report) -> Statistics:
    """The statistics without scores as values of rows, which have a section of their own."""
    scores = {score.name.removeprefix("metadata.") for score in report.scores}
    statistics = report.statistics
    return statistics.model_copy(
        update={
            "by": [grouping for grouping in statistics.by if grouping.field not in scores],
            "effects": [effect for effect in statistics.effects if effect.name not in scores],
            "combinations": [matrix for matrix in statistics.combinations if not scores.intersection(matrix.axes)],
        }
    )


def main_grouping(statistics: Statistics) -> Grouping | None:
    """The groups by who wrote the rows: by provider, or by the model that the rows name where judges and others have worked on them too."""
    by = {one.field: one for one in statistics.by if one.field in {"provider", "model_id"}}
    provider, model = by.get("provider"), by.get("model_id")
    return model if provider is None or (provider.overlaps and model is not None) else provider


def name_of(field: str) -> str:
    """A field as people say it."""
    return _NAMES.get(field, field.replace("_", " "))


def _named(grouping: Grouping) -> str:
    return name_of(grouping.field)


def _groupings(statistics: Statistics) -> list[Grouping]:
    """Those that say something."""
    main = main_grouping(statistics)
    several = [one for one in statistics.by if one is main or one.num_values > 1]
    # The model of the row is its provider, where that is known.
    known = [one for one in several if one is main or one.field != "model_id"]
    return [one for one in known if not _SAYS_NOTHING.fullmatch(one.field)][:_MOST_GROUPINGS]


def _values(statistics: Statistics) -> Iterator[Chart]:
    for grouping in _groupings(statistics):
        counts = {name: group.rows for name, group in named(grouping)}
        if not sum(counts.values()):
            continue
        others = 0 if grouping.others is None else grouping.num_values - len(grouping.groups)
        several = "; a row may be of several" if grouping.overlaps else ""
        unknown = counts.pop("(not known)", None)
        told = [f"{counted(grouping.num_values, 'value')}{several}"]
        told += [f"not known of {counted(unknown, 'row')}"] if unknown else []
        title = f"Rows by {_named(grouping)}"
        figure = bars(
            title,
            counts or {"(not known)": unknown or 0},
            subtitle=", ".join(told),
            num_others=others,
            whole=statistics.total.rows if grouping.overlaps else None,
        )
        yield Chart(title, _of_groups(grouping), figure)


def _of_groups(grouping: Grouping) -> Table:
    listed = named(grouping)[:_MOST_IN_TABLE]
    columns = columns_of(group for _, group in listed)
    return Table([_named(grouping), *(column.name for column in columns)], cells(listed, columns))


def _outcome_lead(statistics: Statistics) -> str:
    total = statistics.total
    made = total.rows + total.filtered + total.failed
    told = f"{total.rows:,} are in the file, {total.filtered:,} were dropped and {total.failed:,} have failed."
    return f"Of {counted(made, 'row')} that are done, {told}"


def _outcomes(statistics: Statistics) -> Iterator[Chart]:
    total = statistics.total
    if not (total.filtered or total.failed):
        return
    for grouping in _groupings(statistics):
        listed = named(grouping)
        parts = {name: (group.rows, group.filtered, group.failed) for name, group in listed}
        if not any(dropped or failed for _, dropped, failed in parts.values()):
            continue
        title = f"What became of rows, by {_named(grouping)}"
        headings = [_named(grouping), "in the file", "dropped", "failed", "accepted"]
        rows = [
            [name, *(f"{part:,}" for part in parts[name]), _percent(group.acceptance)]
            for name, group in listed[:_MOST_IN_TABLE]
        ]
        yield Chart(title, Table(headings, rows), stacked_bars(title, parts, ["in the file", "dropped", "failed"]))
    yield from _reasons(total)


def _reasons(total: Group) -> Iterator[Chart]:
    dropped = {
        f"{stage}: {reason}": count
        for stage, reasons in total.filtered_by_stage.items()
        for reason, count in reasons.items()
    }
    for title, counts in (("Why rows were dropped", dropped), ("Why rows have failed", total.failures)):
        if counts:
            yield Chart(title, _counts("reason", counts), bars(title, counts))


def _counts(heading: str, counts: Mapping[str, int]) -> Table:
    listed = sorted(counts.items(), key=lambda one: -one[1])
    total = sum(counts.values())
    rows = [[name, f"{count:,}", share(count, total)] for name, count in listed[:_MOST_REASONS]]
    if rest := listed[_MOST_REASONS:]:
        left = sum(count for _, count in rest)
        rows.append([f"{len(rest):,} others", f"{left:,}", share(left, total)])
    return Table([heading, "rows", "share"], rows)


def _lengths(statistics: Statistics) -> Iterator[Chart]:
    for unit, spread in (("words", statistics.total.words), ("characters", statistics.total.characters)):
        if spread is not None and spread.mean > 0:
            yield _length(unit, spread)
    grouping = main_grouping(statistics)
    for one in _groupings(statistics):
        if one is grouping or one.kind == "language":
            spreads = [(name, group.words) for name, group in named(one) if group.words is not None]
            if len(spreads) > 1:
                yield _medians(_named(one), [(name, words) for name, words in spreads if words is not None])


def _length(unit: str, spread: Spread) -> Chart:
    edges, counts = spread.histogram.edges, spread.histogram.counts
    title = f"Length of rows in {unit}"
    told = f"Nine of ten rows have {spread.p5:,.0f} to {spread.p95:,.0f} {unit}"
    rows = [
        [f"{low:,.0f} to {high:,.0f}", f"{count:,}"]
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
        if count
    ]
    figure = histogram(title, edges, counts, unit=f"{unit} in a row", middle=spread.p50, subtitle=told)
    return Chart(title, Table([unit, "rows"], rows), figure)


def _medians(name: str, spreads: Sequence[tuple[str, Spread]]) -> Chart:
    title = f"Length of rows by {name}"
    entries = [Level(group, words.p50, f"{words.p50:,.0f}") for group, words in spreads]
    rows = [
        [group, f"{words.mean:,.1f}", f"{words.p5:,.0f}", f"{words.p50:,.0f}", f"{words.p95:,.0f}"]
        for group, words in spreads[:_MOST_IN_TABLE]
    ]
    table = Table([name, "mean", "5 %", "median", "95 %"], rows)
    return Chart(title, table, levels(title, entries, subtitle="Words in the middle row"))


def _diversity(statistics: Statistics) -> Iterator[Chart]:
    for grouping in _groupings(statistics):
        if grouping is not main_grouping(statistics) and grouping.kind not in {"language", "label"}:
            continue
        known = [(name, group.diversity) for name, group in named(grouping) if group.diversity is not None]
        rows = [[name, *_measures(one), f"{one.words:,}"] for name, one in known[:_MOST_IN_TABLE]]
        headings = [_named(grouping), "distinct-1", "distinct-2", "distinct-3", "self-BLEU", "gzip", "words"]
        for measure, values in (
            ("distinct-2", {name: one.distinct_2 for name, one in known}),
            ("self-BLEU", {name: one.self_bleu for name, one in known}),
        ):
            entries = [Level(name, value, f"{value:.2f}") for name, value in values.items() if value is not None]
            if entries:
                title = f"{measure} by {_named(grouping)}"
                yield Chart(title, Table(headings, rows), levels(title, entries, largest=1))


def _measures(found: Diversity) -> Iterator[str]:
    for value in (found.distinct_1, found.distinct_2, found.distinct_3, found.self_bleu, found.compression_ratio):
        yield _decimal(value)


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _effects(statistics: Statistics) -> Iterator[Chart]:
    if not statistics.effects:
        return
    ranked = sorted(statistics.effects, key=lambda effect: (-effect.effect, effect.name))
    title = "How well values are told from the texts"
    entries = [
        Level(
            name_of(one.name),
            0.0 if one.is_at_chance else max(one.effect, 0.0),
            "at chance" if one.is_at_chance else f"{one.effect:.2f}",
        )
        for one in ranked
    ]
    subtitle = f"In {max(one.texts for one in ranked):,} texts; 0 is chance, 1 is all of them"
    yield Chart(
        title,
        Table(["value of", *EFFECT_HEADINGS[1:]], effect_cells(ranked)),
        levels(title, entries, subtitle=subtitle, largest=1),
    )
    without = [
        Level(name_of(one.name), max(one.effect_without_words, 0.0), f"{one.effect_without_words:.2f}")
        for one in ranked
        if not one.is_at_chance
    ]
    if without:
        title = "The same without the words of the values"
        rows = [[level.name, level.shown] for level in without]
        figure = levels(title, without, subtitle="What is left where a text does not just repeat them", largest=1)
        yield Chart(title, Table(["value of", "effect"], rows), figure)


def _coverage_lead(statistics: Statistics) -> str:
    coverage = statistics.coverage
    if coverage is None:
        return ""
    lost = f"{coverage.prompts_lost:,} of {counted(coverage.prompts, 'prompt')} have lost all their rows."
    seen = ""
    if coverage.items_looked_at < coverage.items:
        seen = f" {coverage.items_looked_at:,} of {coverage.items:,} items of the plan were looked at."
    return f"Rows in the file for each two values that the plan asks for. {lost}{seen}"


def _coverage(statistics: Statistics) -> Iterator[Chart]:
    coverage = statistics.coverage
    if coverage is None:
        return
    drawn = [one for one in coverage.of if one.matrix is not None]
    # Those in which something is lost, then those of two things that stand in prompts.
    ranked = sorted(drawn, key=lambda one: (-one.lost, bool(_OF_NO_PROMPT.intersection(one.axes)), -one.combinations))
    for one in ranked[:_MOST_MATRICES]:
        yield _matrix(one)
    lines = list(coverage_lines(coverage))
    if lines:
        yield Chart("Combinations without a row", Table(["of", "lost"], [list(line) for line in lines], in_words=True))


def _combinations(statistics: Statistics) -> Iterator[Chart]:
    several = [one for one in statistics.combinations if not any(map(_SAYS_NOTHING.fullmatch, one.axes))]
    for one in several[:_MOST_MATRICES]:
        across, down = map(name_of, one.axes)
        title = f"{down[0].upper()}{down[1:]} and {across}"
        places = [count for row in one.rows for count in row]
        told = f"{len(places) - places.count(0):,} of {len(places):,} combinations have rows"
        rows = [[name, *(f"{count:,}" for count in counts)] for name, counts in zip(one.down, one.rows, strict=True)]
        figure = heatmap(title, one.across, one.down, one.rows, subtitle=told)
        yield Chart(title, Table([down, *one.across], rows), figure)


def _matrix(one: AxesCoverage) -> Chart:
    assert one.matrix is not None  # noqa: S101 - _coverage has chosen it
    across, down = (name.replace("_", " ") for name in one.axes)
    title = f"{down[0].upper()}{down[1:]} and {across}"
    matrix = one.matrix
    rows = [
        [
            name,
            *(f"{there:,} of {planned:,}" if planned else "" for there, planned in zip(written, wanted, strict=True)),
        ]
        for name, written, wanted in zip(matrix.down, matrix.written, matrix.planned, strict=True)
    ]
    told = f"{one.written:,} of {one.combinations:,} combinations have rows"
    figure = heatmap(title, matrix.across, matrix.down, matrix.written, matrix.planned, subtitle=told)
    return Chart(title, Table([down, *matrix.across], rows), figure)
