"""What another config does to an output: which rows stay, which leave, and what was paid for these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datafast._util.user_path import is_file
from datafast.amounts import counted, money
from datafast.engine.deciding import Decider
from datafast.engine.stages import Asks, told_apart
from datafast.errors import OutputError
from datafast.store.deciding import only_reviewed, reversals
from datafast.store.lock import is_running
from datafast.store.matching import former_of, has_places_of
from datafast.store.reader import LedgerReader
from datafast.store.records import ItemState
from datafast.store.recovery import are_remade, reasoning_of_rows, rows_fit
from datafast.store.verdicts import Abandoned, Reversed

if TYPE_CHECKING:
    from datafast.engine.job import Job
    from datafast.engine.remaining import Remaining
    from datafast.store.locating import Located
    from datafast.store.matching import Comparison
    from datafast.store.records import Counts

__all__ = ["Change", "change_of", "is_changed"]

_FEW = 0.05
_LOOKED_AT = 200_000  # rows about which is decided to tell what changes; more take longer than one waits for a plan
_LONGEST_S = 10.0  # and so long at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to the rows and replies of an output when a run with this config begins.

    Attributes:
        output_file: the name of the output file.
        rows_kept: rows in the file that stay.
        rows_returning: rows of items that were in an earlier config and are back; their recorded replies are used.
        rows_leaving: rows in the file of items that are not in the config any more.
        rows_no_longer_kept: those of them that were kept by `run.removed: keep` until now.
        rows_remade: those of them that are made again from recorded replies, without a call.
        leaving_stay_in_file: whether leaving rows stay in the output file (`run.removed: keep`); else they move to a file of their own.
        calls_unused: recorded calls, made for rows that leave, whose replies are not used any more.
        cost_unused_usd: what these cost; None if a price is not known.
        calls_unused_in_batches: calls in open batches that nothing asks for any more; they are paid for once they are answered.
        simulated: whether simulated models have made the rows.
        decided_again: recorded rows that other stages decide about than before, without a call.
        stages_drop: those of them that leave the file; None if they are too many to be looked at now, or have to be made again first.
        calls_missing: the calls that stages make about them first; until these are made, such rows stay as they are.
        stages_return: those that come back into it, likewise; `stages_change`: those that stay in it with another text.
        reasoning: what `reasoning` in the config was and what it is now; None if that has not changed.
        other_reviews, other_stages: what has changed by which rows are decided about again: what reviewers have decided, the stages.
        other_targets: whether rows are decided about again because other rows than before are beyond their targets.
        other_fields: whether rows are made again because they have other fields than those that the stages look at now.
    """

    output_file: str
    rows_kept: int
    rows_returning: int
    rows_leaving: int
    rows_no_longer_kept: int
    rows_remade: int
    leaving_stay_in_file: bool
    calls_unused: int
    cost_unused_usd: float | None
    calls_unused_in_batches: int
    simulated: bool
    reasoning: tuple[str, str] | None = None
    other_fields: bool = False
    decided_again: int = 0
    stages_drop: int | None = 0
    stages_return: int | None = 0
    other_targets: bool = False
    stages_change: int | None = 0
    calls_missing: int = 0
    other_reviews: bool = False
    other_stages: bool = True

    @property
    def removes_paid_rows(self) -> bool:
        """Whether rows leave with replies of a model, whatever its price, that are not used any more; or such replies are on their way."""
        leave = self.rows_leaving > 0 and (self.calls_unused > 0 or self.rows_no_longer_kept > 0)
        return not self.simulated and (leave or self.calls_unused_in_batches > 0)

    def sentences(self) -> list[str]:
        """The same in words."""
        is_other = self.rows_leaving or self.rows_returning or self.rows_no_longer_kept or self.reasoning is not None
        is_other = is_other or self.other_fields
        told = [f"The config has changed: {', '.join(self._counts())}."] if is_other or not self.decided_again else []
        if self.rows_leaving:
            told.append(
                "They stay in the file, counted apart (run.removed: keep)."
                if self.leaving_stay_in_file
                else f"They move to {self.output_file}.stale-<time>."
            )
        if self.rows_no_longer_kept:
            told.append(
                f"Rows that left the config before and were kept until now: {self.rows_no_longer_kept:,}. They stay with run.removed: keep."
            )
        if self.calls_unused and not self.simulated:
            cost = money(self.cost_unused_usd)
            told.append(f"Recorded replies that are not used any more: {self.calls_unused:,}, cost {cost}.")
        if self.calls_unused_in_batches:
            told.append(
                f"Calls in batches under way that are not used any more: {self.calls_unused_in_batches:,}. "
                f"`datafast batches {self.output_file} --cancel` gives them up."
            )
        if self.rows_remade:
            told.append(f"Rows that are made again from recorded replies, without a call: {self.rows_remade:,}.")
        if self.decided_again:
            told.append(self._decided())
        if (self.reasoning is not None or self.other_fields) and self.rows_kept:
            rows = self.rows_kept
            why = (
                "Rows have other fields now"
                if self.reasoning is None
                else "reasoning was {} and is {}".format(*self.reasoning)
            )
            told.append(
                f"{why}: {counted(rows, 'row')} {'is' if rows == 1 else 'are'} made again from recorded replies, without a call. "
                f"The file as it was moves to {self.output_file}.former-<time>."
            )
        return told

    def _decided(self) -> str:
        told = f"{self._what_decides()} have changed and decide about {counted(self.decided_again, 'row')} again"
        if self.calls_missing:
            told = f"{told}, with {counted(self.calls_missing, 'call')} that were never made. Without them"
        else:
            told = f"{told}, without a call"
        if self.stages_drop is None or self.stages_return is None:
            return f"{told}."
        drop, back, changed = self.stages_drop, self.stages_return, self.stages_change
        leave, come = "leaves" if drop == 1 else "leave", "comes" if back == 1 else "come"
        if not changed:
            return f"{told}: {counted(drop, 'row')} {leave} the file, and {back:,} {come} back."
        have = "has" if changed == 1 else "have"
        return f"{told}: {counted(drop, 'row')} {leave} the file, {back:,} {come} back, and {changed:,} {have} another text."

    def _what_decides(self) -> str:
        found = [
            *(["the targets"] if self.other_targets else []),
            *(["the stages under quality"] if self.other_stages or self.other_targets else []),
            *(["the decisions of reviewers"] if self.other_reviews else []),
        ]
        told = f"{', '.join(found[:-1])}, or {found[-1]}," if len(found) > 1 else found[0]
        return f"{told[0].upper()}{told[1:]}"

    def _counts(self) -> list[str]:
        back, leaving = self.rows_returning, self.rows_leaving
        return [
            f"{counted(self.rows_kept, 'row')} {'stays' if self.rows_kept == 1 else 'stay'}",
            *([f"{back:,} {'comes' if back == 1 else 'come'} back"] if back else []),
            f"{leaving:,} {'leaves' if leaving == 1 else 'leave'}",
        ]


def is_changed(job: Job) -> bool:
    """Whether an output was last worked on with another plan or another form of its rows, or has rows of items that left it and are not
    to stay (`run.removed`).

    False if a run cannot begin on it, which the run then says.
    """
    paths, plan = job.paths, job.plan
    if not is_file(paths.ledger) or is_running(paths):
        return False
    try:
        with LedgerReader(paths.ledger) as reader:
            last = reader.meta("plan")
            same_mode = reader.meta("mode") == ("simulated" if job.simulated else "real")
            if last is None or not same_mode:
                return False
            is_new = not has_places_of(last, plan, former_of(plan, reader.key_versions))
            is_new = is_new or _are_remade(reader, job)
            return is_new or (job.settings.removed == "move" and reader.rows_removed() > 0)
    except OutputError:
        return False


def _are_remade(reader: LedgerReader, job: Job) -> bool:
    return are_remade(reader, fields=job.fields, reasoning=job.reasoning.place, stages=job.stage_settings)


def change_of(reader: LedgerReader, left: Remaining, job: Job) -> Change | None:
    """What a config changes in an output; None if it changes nothing."""
    found = left.found
    if found is None:
        return None
    counts = reader.counts()
    kept_before = _kept_before(counts, found) if job.settings.removed == "move" else 0
    is_longer = left.items and job.targets is None  # with targets, a plan grows as long as it takes
    differs = found.is_new and (found.leaving or found.rows_cut or found.rows_returning or is_longer)
    rows_new_to_leave = sum(found.leaving.values()) + found.rows_cut
    rows_kept = counts.written - rows_new_to_leave
    reasoning = reasoning_of_rows(reader), job.reasoning.place
    is_remade = rows_kept > 0 and _are_remade(reader, job)
    decided, reversed_, decider = _decided_again(reader, job, counts, found.located)
    before, now = told_apart(reader.stages), told_apart(decider.settings)
    left.asks += decider.examples()
    if not (differs or kept_before or is_remade or decided):
        return None
    rows_leaving = rows_new_to_leave + kept_before
    remade = sum(found.leaving.get(donor, 0) for donor, (_, is_free) in left.used_again.items() if is_free)
    calls, usd = _unused(reader, left, found)
    return Change(
        output_file=job.paths.rows.name,
        rows_kept=rows_kept,
        rows_returning=found.rows_returning,
        rows_leaving=rows_leaving,
        rows_no_longer_kept=kept_before,
        rows_remade=min(round(remade * left.scale), rows_leaving, left.rows),
        leaving_stay_in_file=job.settings.removed == "keep" and rows_fit(reader, job.fields),
        calls_unused=calls,
        cost_unused_usd=usd,
        calls_unused_in_batches=_unused_in_batches(reader, left),
        simulated=reader.meta("mode") == "simulated",
        reasoning=reasoning if is_remade and reasoning[0] != reasoning[1] else None,
        other_fields=is_remade and reasoning[0] == reasoning[1],
        decided_again=decided,
        other_targets=job.targets is not None and decided > 0,
        stages_drop=None if reversed_ is None else reversed_.dropped,
        stages_return=None if reversed_ is None else reversed_.returned,
        stages_change=None if reversed_ is None else reversed_.changed,
        calls_missing=decider.missing_calls.total(),
        other_reviews=before[1] != now[1],
        other_stages=before[0] != now[0] or before[1] == now[1],
    )


def _decided_again(
    reader: LedgerReader, job: Job, counts: Counts, located: Located | None
) -> tuple[int, Reversed | None, Decider]:
    """How many rows stages decide about again, because they are others than before or models are still to be asked; and what becomes of
    them, None where that cannot be told. The decider knows which calls are missing."""
    # Where models are asked, the calls that are missing have to be counted to the end.
    asks = any(isinstance(stage, Asks) for stage in job.row_stages)
    decider = Decider(job, most_s=None if asks else _LONGEST_S)
    rows = counts.written + counts.filtered
    each = reader.stages != decider.settings or bool(reader.meta("unasked"))
    if not rows or (not each and reader.walks == decider.walks):
        return 0, Reversed(), decider
    if rows > _LOOKED_AT or not rows_fit(reader, job.fields):
        return rows, None, decider

    def place_in_plan(item: int) -> tuple[int, int]:
        position = None if located is None else located.position_of(item)
        return (-1, 0) if position is None else (position, job.plan[position].num_rows)

    only = only_reviewed(reader, decider) if each else None
    deciding = decider.anew(each=each, former_walks=reader.walk_names, calls_of=reader.calls.of, only=only)
    try:
        found = reversals(job.paths.rows, reader, deciding, None if located is None else place_in_plan)
    except Abandoned:
        return rows, None, decider
    return found.decided, found, decider


def _unused_in_batches(reader: LedgerReader, left: Remaining) -> int:
    """Calls in open batches that no item asks for. Where some items stand for all, a few of them are no news."""
    waiting = reader.batches.open_sums().calls
    unused = max(0, waiting - round(left.in_batches))
    return unused if left.scale == 1.0 or unused > waiting * _FEW else 0


def _kept_before(counts: Counts, found: Comparison) -> int:
    """Rows in the file of items that have left the plan before, and are not back in it."""
    back = sum(item.slots.bit_count() for item in found.begun.values() if item.state is ItemState.STALE)
    return max(0, counts.removed - back)


def _unused(reader: LedgerReader, left: Remaining, found: Comparison) -> tuple[int, float | None]:
    """The recorded calls behind rows that leave which nothing uses any more, and their cost."""
    if not found.leaving:
        return 0, 0.0
    bills = reader.bills({item for items in found.donors.values() for item in items})
    calls, usd = 0.0, 0.0
    is_priced = True
    for items in found.donors.values():
        leaving = [item for item in items if item in found.leaving]
        # An item may have been made of the replies to its earlier form alone.
        billed = [item for item in leaving if item in bills] or [item for item in items if leaving and item in bills]
        for item in billed:
            calls += bills[item].calls
            usd += bills[item].usd or 0.0
            is_priced = is_priced and bills[item].usd is not None
            if item in left.used_again:
                used = [cost for key, cost in reader.call_costs(item) if key in left.used_again[item][0]]
                calls -= len(used) * left.scale
                usd -= sum(cost or 0.0 for cost in used) * left.scale
    return max(0, round(calls)), max(0.0, usd) if is_priced else None
