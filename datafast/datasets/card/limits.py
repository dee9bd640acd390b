"""What a reader has to know before using the rows, in sentences that follow from what was counted and measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from datafast.amounts import counted, share
from datafast.datasets.card.known import Known
from datafast.datasets.card.measured import Measured
from datafast.statistics.models import Rate

__all__ = ["limitations"]

_DUPLICATES = ("exact_duplicates", "near_duplicates", "semantic_duplicates")
_NOT_CHECKED = {
    "language": "Whether a text is in the language that was asked for was not checked.",
    "pii": "No stage looked for personal data.",
    "contamination": "The rows were not compared with any benchmark.",
    "refusals": "No stage dropped texts in which a model refuses.",
}


def limitations(
    known: Known,
    found: Measured | None,
    *,
    is_made: bool,
    stages: Collection[str],
    languages: Mapping[str, str],
    is_judged: bool,
) -> list[str]:
    """The sentences.

    Args:
        is_made: whether it is known that datafast made the rows.
        stages: that decided about rows.
        languages: that rows were asked for in.
        is_judged: whether models judged the rows by themselves.
    """
    told = list(_of_making(known, is_judged=is_judged or "judge" in stages)) if is_made else []
    if len(languages) > 1:
        told.append(
            f"The rows are in {len(languages)} languages: {', '.join(languages.values())}. No model writes all languages equally well."
        )
    elif languages:
        told.append(f"The rows were asked for in {next(iter(languages.values()))} only.")
    told += _of_counts(known)
    if found is not None:
        told += _of_texts(found)
    # Without a ledger it is not known which stages there were.
    if known.counts is not None:
        if not any(stage in stages for stage in _DUPLICATES):
            told.append("No stage compared rows with each other, so duplicates are in the file as they came.")
        told += [sentence for stage, sentence in _NOT_CHECKED.items() if stage not in stages]
    return told


def _of_making(known: Known, *, is_judged: bool) -> Iterator[str]:
    if known.simulated:
        yield "The rows are simulated: they say nothing about what a model would write."
        return
    yield (
        "Language models wrote the rows. They may be wrong, one-sided or out of date, and may repeat what the models were trained on."
    )
    judged = (
        "Models judged the rows, which is not the same as people doing it."
        if is_judged
        else "No model judged the rows."
    )
    yield f"{judged} Nothing here says that people have checked them."
    if len(known.usage) == 1:
        yield f"All of it comes from one model, {next(iter(known.usage))}, with its habits of style and content."


def _of_counts(known: Known) -> Iterator[str]:
    counts = known.counts
    if counts is None or not counts.requested:
        return
    of = f"of {counts.requested:,} requested rows"
    if counts.failed:
        why = ", ".join(list(known.failures)[:3])
        yield f"{counts.failed:,} {of} ({share(counts.failed, counts.requested)}) failed and are missing{f': {why}' if why else ''}."
    if counts.filtered:
        yield f"{counts.filtered:,} {of} ({share(counts.filtered, counts.requested)}) were dropped by stages, so the rows are a selection."
    if counts.pending:
        yield f"{counts.pending:,} {of} are not made yet."
    if counts.removed:
        yield f"{counted(counts.removed, 'row')} of the file {'is' if counts.removed == 1 else 'are'} from an earlier state of the config."


def _of_texts(found: Measured) -> Iterator[str]:
    total = found.statistics.total
    if found.is_sample:
        yield (
            f"How rows are was looked at in {found.looked_at:,} of {found.rows:,} rows. Duplicates were looked for among these "
            "alone, where there are fewer than in the whole file."
        )
    yield from _told(total.repeated, "rows have exactly the texts of another row")
    yield from _told(total.near_duplicates, "rows are nearly the same as an earlier one")
    yield from _told(total.refusals, "rows that were looked at read as refusals")
    yield from _told(total.truncated, "replies that were looked at end at a limit of tokens")


def _told(rate: Rate | None, what: str) -> Iterator[str]:
    if rate is not None and rate.count:
        yield f"{rate.count:,} of {rate.of:,} {what} ({share(rate.count, rate.of)})."
