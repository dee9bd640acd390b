"""Makes a report of a file of rows: its statistics, and what is looked at beside them.

Guarantee: nothing is written, and a run that is writing is not kept waiting. Cost and memory: those of `measure`, which reads the rows once
for both, and some 6 seconds for a million rows of 100 words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import BaseModel

from datafast.report.duplicates import MOST_PAIRED, Duplicates, duplicates_of
from datafast.report.looking import Looked, SeenRow
from datafast.report.models import Provenance, Report, SampleRow, TimeSlot, UseInSlot
from datafast.report.shown import row_fields
from datafast.statistics import measure
from datafast.statistics.fields import Fields
from datafast.statistics.rows import NO_ITEM, Reading, ReadRow
from datafast.store.failures import PlanOf
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader

__all__ = ["SHOWN", "Told", "make_report"]

SHOWN = 8
"""Rows that are drawn at random, by default."""
_GROUPS = 12
_SLOTS = 40
_LEAST_SLOT_S = 1.0

Told = Callable[[Sequence[tuple[int, str]]], Sequence[Provenance]]
"""Tells where rows come from, by the ids of their items and their uuids."""


def make_report(
    paths: OutputPaths,
    *,
    rows: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    row_model: type[BaseModel] | None = None,
    placeholders: Collection[str] = (),
    plan_of: PlanOf | None = None,
    told: Told | None = None,
    shown: int = SHOWN,
    seed: int = 0,
) -> Report:
    """The report of an output, or of any file of rows if it has no ledger.

    Args:
        paths: the file and its ledger, which need not be there.
        rows: gives what counts as the rows of the file, where that is something else than its lines.
        row_model, placeholders, plan_of: as for `measure`.
        told: tells where rows come from; None if nothing is recorded.
        shown: how many rows are drawn at random.
        seed: draws all that is drawn.

    Raises:
        ConfigError: there is no such file, or it is not known how to read it.
        OutputError: the ledger cannot be read.
    """
    looked = Looked(shown=shown, seed=seed)
    statistics = measure(
        paths,
        rows=None if rows is None else rows(),
        row_model=row_model,
        placeholders=placeholders,
        plan_of=plan_of,
        seed=seed,
        watch=looked.watch,
    )
    with ExitStack() as stack:
        ledger = stack.enter_context(LedgerReader(paths.ledger)) if rows is None and paths.ledger.is_file() else None

        def first(number: int) -> Reading:
            if ledger is not None:
                return Reading.of(paths.rows, ledger, most=number)
            return Reading.of_file(paths.rows, None if rows is None else rows())

        groups, seen = looked.groups().largest(), _Seen(first, looked.fields)
        pool = _pool(looked.compared, seed)
        found = duplicates_of(groups[:_GROUPS], pool, seen.texts)
        pair = [] if found.similar is None else [seen.row(number - 1) for number in found.similar.numbers]
        slots, slot_s = ([], 0.0) if ledger is None else _over_time(ledger)
        return Report(
            title=paths.place.name,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            statistics=statistics,
            over_time=slots,
            slot_s=slot_s,
            duplicates=found.groups,
            num_duplicate_groups=len(groups),
            similar=found.similar,
            scores=looked.scores.told(),
            samples=_samples(looked.shown(pair), None if ledger is None else told),
            notes=list(_notes(looked, len(pool), found)),
        )


def _pool(compared: int, seed: int) -> list[int]:
    """The numbers of rows in which the most similar pair is looked for."""
    return random.Random(f"{seed} pairs").sample(range(compared), min(compared, MOST_PAIRED))


class _Seen:
    """Rows by their numbers, which are read when they are asked for."""

    def __init__(self, first: Callable[[int], Iterable[ReadRow]], fields: Fields) -> None:
        self._first = first
        self._fields = fields
        self._rows: dict[int, ReadRow] = {}

    def texts(self, numbers: set[int]) -> dict[int, list[str]]:
        """The texts of these rows."""
        if numbers:
            some = islice(self._first(most := max(numbers) + 1), most)
            self._rows = {number: read for number, read in enumerate(some) if number in numbers}
        return {number: self._fields.texts(read.row) for number, read in self._rows.items()}

    def row(self, number: int) -> SeenRow:
        """One of those whose texts were asked for."""
        row, item = self._rows[number]
        return SeenRow(number, row, item, sum(map(len, self._fields.texts(row))))


def _samples(shown: Sequence[tuple[str, SeenRow]], told: Told | None) -> list[SampleRow]:
    known = [place for place, (_, seen) in enumerate(shown) if seen.item != NO_ITEM]
    recorded: dict[int, Provenance] = {}
    if told is not None and known:
        asked = [(shown[place][1].item, str(shown[place][1].row.get("uuid", ""))) for place in known]
        recorded = dict(zip(known, told(asked), strict=True))
    return [
        SampleRow(
            why=why,
            number=seen.number + 1,
            uuid=None if seen.row.get("uuid") is None else str(seen.row["uuid"])[:100],
            characters=seen.letters,
            fields=list(row_fields(seen.row)),
            provenance=recorded.get(place),
        )
        for place, (why, seen) in enumerate(shown)
    ]


def _over_time(ledger: LedgerReader) -> tuple[list[TimeSlot], float]:
    """Equally long slots from the first call to the last, and how long each is."""
    between = ledger.calls.sent()
    if between is None:
        return [], 0.0
    first, last = between
    length = max((last - first) / _SLOTS, _LEAST_SLOT_S)
    slots: list[dict[str, UseInSlot]] = [{} for _ in range(min(int((last - first) / length), _SLOTS - 1) + 1)]
    # The very last call ends the last slot.
    for used in ledger.scans.in_slots(first, length, last=len(slots) - 1):
        slots[used.slot][used.provider] = UseInSlot.model_validate(used._asdict())
    begins = (datetime.fromtimestamp(first + length * number, UTC) for number in range(len(slots)))
    return [
        TimeSlot(begins=when.isoformat(timespec="seconds"), by_provider=used)
        for when, used in zip(begins, slots, strict=True)
    ], length


def _notes(looked: Looked, paired: int, found: Duplicates) -> Iterator[str]:
    if looked.compared < looked.rows:
        yield f"Groups of duplicates were looked for in the first {looked.compared:,} of {looked.rows:,} rows."
    if found.similar is not None and paired < looked.rows:
        yield (
            f"The most similar pair is that of {paired:,} rows drawn from the first {looked.compared:,}, and of the "
            f"duplicates that are shown."
        )
