"""Measures an output or a file: one pass over its rows, one over the tables of its ledger.

Guarantee: nothing is written, and a run that is writing is not kept waiting. Cost: some 40 microseconds a row of 100 words. Memory: some
60 bytes a row and 60 a reply, and a sample of the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from pydantic import BaseModel

from datafast.amounts import counted
from datafast.errors import DatafastError
from datafast.plan.items import Plan, WorkItem
from datafast.statistics.calls import LOOKED_AT, Calls
from datafast.statistics.copies import prompt_of
from datafast.statistics.coverage import Coverage, coverage_of
from datafast.statistics.crossed import crossed_in
from datafast.statistics.diversity import ROWS
from datafast.statistics.entries import MOST_VALUES, Entries, FailedRows, MadeRow, Watch
from datafast.statistics.fields import About
from datafast.statistics.groups import Groups
from datafast.statistics.looked_at import LookedAt
from datafast.statistics.models import Grouping
from datafast.statistics.placeholder_effect import EFFECT_TEXTS, effects_in
from datafast.statistics.result import Statistics
from datafast.statistics.rows import Reading, as_row
from datafast.store.failures import PlanOf, finder, planned
from datafast.store.lock import is_running
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.records import ItemRecord, ItemState

__all__ = ["SAMPLE", "measure"]

Find = Callable[[ItemRecord], WorkItem | None]

SAMPLE = 5_000
_AT_ONCE = 500
_MOST_PROMPTS = 2_000
_ORDER = ("language", "label", "topic", "template", "placeholder", "field")


def measure(
    paths: OutputPaths,
    *,
    rows: Iterable[Mapping[str, Any]] | None = None,
    row_model: type[BaseModel] | None = None,
    placeholders: Collection[str] = (),
    plan_of: PlanOf | None = None,
    by: Sequence[str] = (),
    text_fields: Sequence[str] | None = None,
    sample: int = SAMPLE,
    effect_texts: int = EFFECT_TEXTS,
    strength: int = 2,
    seed: int = 0,
    watch: Watch | None = None,
) -> Statistics:
    """The statistics of an output, or of any file of rows if it has no ledger.

    Args:
        paths: the file and its ledger, which need not be there.
        rows: what counts as the rows of the file, where that is something else than its lines; nothing is then said of calls.
        row_model: of the rows, if it is known.
        placeholders: the names of optional placeholders of the prompts.
        plan_of: the plan of the config that made them; it tells what failed items are about.
        by: fields that make groups in any case.
        text_fields: the fields whose texts are looked at; by default all that hold text.
        sample: texts are looked at in so many rows, drawn with `seed`.
        effect_texts: rows of the sample in which it is looked at what shapes texts; 0 for none.
        strength: whether pairs (2) or triples (3) of values are covered.
        watch: is shown the rows of the file as they are read, which are thus read once.

    Raises:
        ConfigError: there is no such file or field, or it is not known how to read the file.
        OutputError: the ledger cannot be read.
    """
    with ExitStack() as stack:
        ledger = stack.enter_context(LedgerReader(paths.ledger)) if rows is None and paths.ledger.is_file() else None
        reading = Reading.of_file(paths.rows, rows) if ledger is None else Reading.of(paths.rows, ledger)
        notes: list[str] = []
        plan = _plan(ledger, plan_of, notes)
        find = (lambda item: None) if plan is None else finder(plan)
        failed, failed_at = _failed(ledger, find)
        entries = Entries(
            _made(reading, ledger),
            failed,
            About(row_model, placeholders),
            by=by,
            text_fields=text_fields,
            sample=sample,
            seed=seed,
            watch=watch,
        )
        calls = None if ledger is None else Calls(ledger, seed)
        looked_at = LookedAt(entries.sampled, _prompts(ledger, entries, find))
        groups = Groups(entries, calls, failed_at, looked_at, _removed(ledger))
        coverage: Coverage | None = None
        if ledger is not None and plan is not None:
            coverage = coverage_of(plan, ledger, strength=strength, seed=seed)
        return Statistics(
            file=paths.name,
            **_of_ledger(ledger, paths),
            total=groups.total(),
            by=list(_groupings(groups, entries, wanted=by, has_ledger=ledger is not None)),
            effects=effects_in(entries, find=lambda ids: _in_plan(ledger, ids, find), most=effect_texts, seed=seed),
            coverage=coverage,
            combinations=list(crossed_in(entries)) if coverage is None else [],
            text_fields=None if text_fields is None else list(text_fields),
            sample=min(sample, entries.num_made),
            seed=seed,
            notes=[
                *notes,
                *_of_journal(ledger, paths),
                *_of_lost(reading, ledger),
                *_notes(reading, entries, calls, sample),
            ],
        )


def _groupings(groups: Groups, entries: Entries, *, wanted: Sequence[str], has_ledger: bool) -> Iterator[Grouping]:
    """The groups by what replies have, then those by what rows have."""
    of_replies = [grouping for grouping in (groups.by_provider(), groups.by_role()) if grouping is not None]
    yield from of_replies
    # A model's name says nothing that its provider does not, where it is the only one that wrote a row.
    says_more = not has_ledger or len(of_replies) > 1
    fields = [
        (number, field)
        for number, field in enumerate(entries.fields)
        if says_more or field.name != "model_id" or field.name in wanted
    ]
    for number, field in sorted(fields, key=lambda numbered: _ORDER.index(numbered[1].kind)):
        yield groups.by_field(number, field)


def _made(reading: Reading, ledger: LedgerReader | None) -> Iterator[MadeRow]:
    """The rows of the file, then those that stages have dropped."""
    for row, item in reading:
        yield MadeRow(row, item)
    if ledger is not None:
        for drop in ledger.scans.dropped():
            yield MadeRow(as_row(drop.row) or {}, drop.item, (drop.stage, drop.reason))


def _plan(ledger: LedgerReader | None, plan_of: PlanOf | None, notes: list[str]) -> Plan | None:
    """The plan of the ledger; None if it is not known."""
    if ledger is None or plan_of is None:
        return None
    try:
        return planned(plan_of, ledger)
    except DatafastError as error:  # what the rows were made from may be gone
        notes.append(
            f"What failed rows are about, which prompts rows were made with, and what is missing is not known: {error}"
        )
        return None


def _failed(ledger: LedgerReader | None, find: Find) -> tuple[list[FailedRows], dict[int, str]]:
    """The failed rows, and the provider at which each item has failed."""
    if ledger is None:
        return [], {}
    failures = list(ledger.scans.failures())
    items = _in_plan(ledger, [failure.item for failure in failures], find)
    rows = [FailedRows(one.rows, one.item, one.category, items.get(one.item)) for one in failures]
    return rows, {failure.item: failure.provider for failure in failures if failure.provider}


def _removed(ledger: LedgerReader | None) -> set[int]:
    """The items that have left the plan, but not the file."""
    return set() if ledger is None else set(ledger.ids_of(ItemState.STALE))


def _prompts(ledger: LedgerReader | None, entries: Entries, find: Find) -> dict[int, str]:
    """The prompts of sampled rows in the file, by the number of the row among those sampled."""
    if ledger is None:
        return {}
    made_of = {number: entries.item[row.entry] for number, row in enumerate(entries.sampled) if entries.is_written(row)}
    items = _in_plan(ledger, list(dict.fromkeys(list(made_of.values())[:_MOST_PROMPTS])), find)
    prompts = {item_id: prompt_of(item) for item_id, item in items.items()}
    return {number: prompts[item_id] for number, item_id in made_of.items() if item_id in prompts}


def _in_plan(ledger: LedgerReader | None, item_ids: Sequence[int], find: Find) -> dict[int, WorkItem]:
    """Those of some items that are found, by their ids."""
    found: dict[int, WorkItem] = {}
    if ledger is None:
        return found
    for start in range(0, len(item_ids), _AT_ONCE):
        for item_id, item in ledger.items_of(item_ids[start : start + _AT_ONCE]).items():
            if (in_plan := find(item)) is not None:
                found[item_id] = in_plan
    return found


def _of_ledger(ledger: LedgerReader | None, paths: OutputPaths) -> dict[str, Any]:
    if ledger is None:
        return {}
    counts = ledger.counts()
    return {
        "dataset_kind": ledger.meta("kind"),
        "simulated": ledger.meta("mode") == "simulated",
        "running": is_running(paths),
        "requested": counts.requested,
        "written": counts.written,
        "pending": counts.pending,
        "removed": counts.removed,
    }


def _of_journal(ledger: LedgerReader | None, paths: OutputPaths) -> Iterator[str]:
    if ledger is not None and not is_running(paths) and (number := ledger.unrecorded_replies(paths.journal)):
        yield f"The last run was cut off: {number:,} paid replies wait in its journal, are not counted, and the next run takes them in."


def _of_lost(reading: Reading, ledger: LedgerReader | None) -> Iterator[str]:
    if ledger is None or not reading.missing:
        return
    if ledger.calls.may_lack_replies:
        yield (
            "The file lacks rows that were written, and replies were dropped (run.ledger.replies). Put it back as it was; a run with "
            "`ledger: {buy_again: true}` buys these rows once more."
        )
    else:
        yield "The file lacks rows that were written; the next run writes them again from recorded replies, at no cost."


def _notes(reading: Reading, entries: Entries, calls: Calls | None, sample: int) -> Iterator[str]:
    """What else has to be known."""
    if number := reading.damaged:
        what = "not a JSON object" if number == 1 else "not JSON objects"
        yield f"{counted(number, 'line')} of the file {_are(number)} {what} and {_are(number)} left out."
    if number := reading.changed:
        yield f"{counted(number, 'row')} {_are(number)} not as datafast wrote them, so nothing is known of the calls for them."
    if entries.num_made > sample:
        yield (
            f"Refusals, diversity and copies of the prompt were looked at in a random sample of {sample:,} rows, and diversity in at most "
            f"{ROWS:,} of these in each group."
        )
    if entries.near.is_full:
        yield f"Near-duplicates were looked for in the first {len(entries.near.rows):,} rows of the file."
    if calls is not None and len(calls) > LOOKED_AT:
        yield f"Whether replies are truncated or declined was looked at in a random sample of {LOOKED_AT:,} replies."
    for field, values in zip(entries.fields, entries.values, strict=True):
        if len(values) >= MOST_VALUES:
            yield f"{field.name} has {MOST_VALUES:,} values or more; those that come later in the file are counted together."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
