"""Charts of the scores that rows have: in all, in groups, and by judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datafast.amounts import share
from datafast.figures import Level, levels
from datafast.report.models import MeanScore, Report, Score
from datafast.report.parts import Chart, Section, Table
from datafast.report.row_charts import name_of

__all__ = ["score_section"]

_MOST_GROUPINGS = 6


def score_section(report: Report) -> Section | None:
    """The section about scores; None where rows have none."""
    if not report.scores:
        return None
    charts = [chart for score in report.scores for chart in _charts(score)]
    return Section("scores", "Scores", " ".join(map(_told, report.scores)), charts)


def _told(score: Score) -> str:
    parts = [
        f"{score.title}: {score.mean:.3g} on average, from {score.lowest:g} to {score.highest:g}, in {score.rows:,} rows"
    ]
    if score.alpha is not None:
        parts.append(f"Krippendorff's alpha of the judges {score.alpha:.2f} over {score.agreement_rows:,} rows")
    elif score.note is not None:
        parts.append(score.note.rstrip("."))
    elif score.agreement_rows:
        parts.append("how far the judges agree is not known, since all scores are equal")
    return _begun(f"{'; '.join(parts)}.")


def _charts(score: Score) -> Iterator[Chart]:
    title = f"Rows by {score.title}"
    entries = [Level(name, count, f"{count:,}") for name, count in score.counts.items()]
    rows = [[name, f"{count:,}", share(count, score.rows)] for name, count in score.counts.items()]
    yield Chart(title, Table([score.title, "rows", "share"], rows), levels(title, entries))
    if score.by_judge:
        yield _means(f"{_begun(score.title)} by judge", "judge", score, score.by_judge)
    for field, means in list(score.by.items())[:_MOST_GROUPINGS]:
        name = name_of(field)
        yield _means(f"{_begun(score.title)} by {name}", name, score, means)


def _begun(title: str) -> str:
    return f"{title[:1].upper()}{title[1:]}"


def _means(title: str, of: str, score: Score, means: Mapping[str, MeanScore]) -> Chart:
    ranked = sorted(means.items(), key=lambda one: -one[1].mean)
    # Bars of numbers begin at 0, or at the lowest where there are negative ones.
    begins = min(0.0, score.lowest)
    entries = [Level(name, mean.mean - begins, f"{mean.mean:.3g}") for name, mean in ranked]
    rows = [[name, f"{mean.mean:.3g}", f"{mean.rows:,}"] for name, mean in ranked]
    figure = levels(title, entries, subtitle="Mean", largest=max(score.highest - begins, 0))
    return Chart(title, Table([of, "mean", "rows"], rows), figure)
