"""Opening an output: takes the lock, makes journal, ledger and JSONL agree, and compares the plan with the ledger.

Guarantee: no data of the user is overwritten or deleted (foreign bytes are moved into a file next to the output, which is
named in the report); every paid reply is found again; a crash at any moment of this work is repaired by the next start.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from datafast._util.bitmap import PositionSet
from datafast._util.notify import warn_user
from datafast.amounts import counted
from datafast.errors import DatafastError, OutputChangedError, OutputError, OutputWriteError
from datafast.plan.items import Plan
from datafast.store.append_file import AppendFile
from datafast.store.batch_book import BatchBook
from datafast.store.batches import under_way
from datafast.store.checking import DeepCheck, check_from, compare, is_as_left
from datafast.store.compaction import finish_rewrite, move_rows_to_remake, move_stale_rows
from datafast.store.deciding import decide_where_changed
from datafast.store.dropped_replies import refuse_dropped, refuse_unasked
from datafast.store.generations import arrange
from datafast.store.held_replies import HeldReplies
from datafast.store.in_place import saved_ledgers
from datafast.store.journal import Journal, read_journal
from datafast.store.ledger import Ledger
from datafast.store.locating import Located
from datafast.store.lock import take_locks
from datafast.store.matching import Matched, match
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.records import ItemState
from datafast.store.reply_forms import ReplyForm
from datafast.store.reservations import never_sent, note_never_sent
from datafast.store.rows import set_aside_name, size_of, split_off_tail
from datafast.store.shards import refuse_divided_anew
from datafast.store.unrecorded import Pricing, read_unrecorded
from datafast.store.verdicts import Abandoned, Decides, Reversed
from datafast.store.writer import Store

__all__ = [
    "OpenOutput",
    "Opening",
    "are_remade",
    "move_aside",
    "open_output",
    "reasoning_of_rows",
    "repaired",
    "replay_journal",
    "rows_fit",
]

NO_REASONING = "drop"


@dataclass
class OpenOutput:
    """An output that is ready for writing.

    Attributes:
        done: positions of items that are complete.
        failed: positions of items that have failed; retried only on request.
        lost: positions of items with rows that are to be built again from recorded replies, or were dropped and are to be made again.
        set_aside: files with what was moved aside.
        deep_check: compares the rest of a large JSONL; None where that is not needed.
    """

    store: Store
    done: PositionSet
    failed: PositionSet
    lost: frozenset[int]
    set_aside: list[Path]
    deep_check: DeepCheck | None


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How an output is opened for one run.

    Attributes:
        simulated: whether the replies of this run are simulated; an output has either simulated or real ones.
        pricing: prices replies that a crash left only in the journal.
        fresh: move existing files aside and start over.
        retry_failed: open failed items again.
        chosen: the positions of the items that the run takes; None for all.
        ordered: whether `close` puts the rows in plan order.
        keep_removed: leave the rows of items that are not in the plan any more in the file, if they have the same fields as the others.
        fields: the names of the fields of a row.
        reasoning: where what models thought stands in rows; rows that have it elsewhere are built again from recorded replies.
        decides: the stages that decide about rows.
        made_for: the ledger of the output for which this one is made, if it serves others; an empty path for none.
        notes: what `datafast status` shows: the kind, the config file, the command.
        located: where the items of the output were found in the plan a moment ago, if they were looked for.
        version: of the package, for what is told later about how the rows were made.
        replies: how replies are stored from now on.
        needed: the roles whose replies are never dropped.
        remakes: whether rows that stages drop are made again, so that replies are dropped only at the end.
        buy_again: whether replies that were dropped, and are needed, are bought once more.
        lacking: given the ledger, rows that are to come beyond those of the plan, which count as requested.
        needs_lock: refuse a file system that has no locks.
        held: of an output that is kept elsewhere too, how far replies may be dropped before the run ends.
    """

    simulated: bool
    pricing: Pricing
    fresh: bool = False
    retry_failed: bool = False
    chosen: Collection[int] | None = None
    durability: str = "normal"
    ordered: bool = False
    keep_removed: bool = False
    fields: Sequence[str] = ()
    reasoning: str = NO_REASONING
    decides: Decides | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    made_for: Path | None = None
    located: Located | None = None
    version: str = ""
    replies: ReplyForm = "keep"
    needed: frozenset[str] = frozenset()
    remakes: bool = False
    buy_again: bool = False
    lacking: Callable[[Ledger], int] | None = None
    needs_lock: bool = True
    held: HeldReplies | None = None

    @property
    def stages(self) -> str:
        """The settings of the stages that look at one row, as JSON."""
        return "[]" if self.decides is None else self.decides.settings


@contextlib.contextmanager
def open_output(paths: OutputPaths, plan: Plan, how: Opening) -> Iterator[OpenOutput]:
    """Opens an output for one run and holds its lock until the context ends.

    Raises:
        OutputError: or one of its subclasses; nothing was sent, and no row is lost. The message names what was set aside.
    """
    with take_locks(paths, required=how.needs_lock):
        refuse_divided_anew(paths)
        if how.fresh:
            refuse_open_batches(paths)
        for spool in paths.spools:
            spool.unlink(missing_ok=True)
        set_aside = move_aside(paths) if how.fresh else []
        _require_both_or_none(paths)
        _require_nothing_saved(paths)
        ledger = Ledger(paths.ledger, full_durability=how.durability == "full")
        try:
            output = _open(paths, ledger, plan, how, set_aside)
        except BaseException as error:  # an open ledger would block the next try
            ledger.close()
            if isinstance(error, DatafastError | sqlite3.DatabaseError | OSError):
                raise _refusal(error, paths, ledger, set_aside) from error
            raise
        try:
            yield output
        except sqlite3.DatabaseError as error:
            raise ledger.unreadable(error) from error
        finally:
            output.store.close_files()


@contextlib.contextmanager
def open_batch_book(paths: OutputPaths, pricing: Pricing) -> Iterator[BatchBook]:
    """Opens the batches of an output without its plan, and holds its lock until the context ends. Its rows are left alone.

    Raises:
        OutputError: or one of its subclasses: it is in use, or cannot be written.
    """
    with take_locks(paths, required=needs_lock(paths.ledger)), contextlib.ExitStack() as stack:
        for spool in paths.spools:
            spool.unlink(missing_ok=True)
        ledger = Ledger(paths.ledger)
        stack.callback(ledger.close)
        if paths.journal.exists():  # ids of recorded replies rise with time
            with contextlib.closing(Journal(paths.journal)) as journal:
                replay_journal(ledger, journal, pricing, [])
        ids = itertools.count(ledger.max_id("calls") + 1)
        try:
            yield BatchBook(
                ledger,
                flush=lambda: None,
                take_requests=lambda count: int(ledger.meta("requests") or 0) + 1,
                take_call_id=lambda: next(ids),
            )
        except sqlite3.DatabaseError as error:
            raise ledger.unreadable(error) from error


def refuse_open_batches(paths: OutputPaths) -> None:
    """Sees to it that no output is started over while batches for it are under way: they are paid for, and nobody would collect them.

    Raises:
        OutputError: names them.
    """
    if not size_of(paths.ledger):
        return
    try:
        ledger = Ledger(paths.ledger, read_only=True)
    except OutputError:
        return  # a ledger that cannot be read is a reason to start over
    try:
        found = ledger.batches.open()
    finally:
        ledger.close()
    if found:
        raise OutputError(
            f"{paths.rows} cannot be started over: {under_way(found)}. Run without --fresh (fresh=True) to collect their replies, or "
            f"cancel them with `datafast batches {paths.rows} --cancel`."
        )


def _refusal(error: Exception, paths: OutputPaths, ledger: Ledger, set_aside: list[Path]) -> Exception:
    """Why the output cannot be opened, with the files in which something was set aside before that was known."""
    if isinstance(error, sqlite3.DatabaseError):
        error = ledger.unreadable(error)
    elif isinstance(error, OSError):
        error = OutputWriteError(
            f"Cannot repair {paths.rows}: {error.strerror}. No row was lost and nothing was sent. "
            f"Check its permissions and the space on its disk, and run again."
        )
    if not set_aside:
        return error
    return type(error)(
        f"{error} Before that, some of it was set aside in {', '.join(str(path) for path in set_aside)}."
    )


@contextlib.contextmanager
def repaired(paths: OutputPaths, pricing: Pricing) -> Iterator[list[Path]]:
    """Makes journal, ledger and JSONL of an output agree, as a run that begins does it, without its plan; and holds its lock until the
    context ends. Gives the files in which something was set aside.

    Raises:
        OutputError: or one of its subclasses; no row is lost. The message names what was set aside.
    """
    with take_locks(paths, required=needs_lock(paths.ledger)):
        _require_both_or_none(paths)
        _require_nothing_saved(paths)
        set_aside: list[Path] = []
        ledger = Ledger(paths.ledger)
        try:
            if stale := finish_rewrite(paths.rows, ledger):
                set_aside.append(stale)
            if paths.journal.exists():
                with contextlib.closing(Journal(paths.journal)) as journal:
                    replay_journal(ledger, journal, pricing, set_aside)
            _reconcile(paths.rows, ledger, set_aside)
        except (DatafastError, sqlite3.DatabaseError, OSError) as error:
            raise _refusal(error, paths, ledger, set_aside) from error
        finally:
            ledger.close()
        yield set_aside


def needs_lock(ledger: Path) -> bool:
    """Whether a file system without locks is refused: by the config of the last run that the ledger notes (`run.lock`)."""
    if not size_of(ledger):
        return True
    with LedgerReader(ledger) as reader:
        config = reader.noted("config")
    run = config.get("run") if isinstance(config, dict) else None
    return not isinstance(run, dict) or run.get("lock") != "none"


def move_aside(paths: OutputPaths) -> list[Path]:
    """Moves all files of an output to `<name>.<time>.bak`, and says where they are."""
    now = stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    moved: list[Path] = []
    try:
        files = [*paths.all, *saved_ledgers(paths.ledger)]
        while any(_backup(path, stamp).exists() for path in files):
            number += 1
            stamp = f"{now}-{number}"
        for path in files:
            if path.exists():
                path.rename(_backup(path, stamp))
                moved.append(_backup(path, stamp))
    except OSError as error:
        raise OutputWriteError(
            f"Cannot move the files of {paths.rows} aside: {error.strerror}. Move them yourself, or choose another output file."
        ) from error
    return moved


def _backup(path: Path, stamp: str) -> Path:
    return path.with_name(f"{path.name}.{stamp}.bak")


def _require_both_or_none(paths: OutputPaths) -> None:
    if size_of(paths.rows) and not size_of(paths.ledger):
        raise OutputChangedError(
            f"{paths.rows} has rows but no ledger ({paths.ledger.name}), so it is not known which of them are paid for. "
            f"Restore the ledger next to them, choose another output_file (--output), or start over with fresh=True (--fresh), which "
            f"keeps these rows aside. Rows of another program can be read, saved and published as they are."
        )
    if not size_of(paths.ledger) and size_of(paths.journal):
        raise OutputChangedError(
            f"{paths.journal} has replies, but its ledger {paths.ledger.name} is missing. Restore the ledger, "
            f"or start over with --fresh (the journal is kept aside)."
        )


def _require_nothing_saved(paths: OutputPaths) -> None:
    for saved in saved_ledgers(paths.ledger):
        raise OutputChangedError(
            f"{saved} has what was bought when {paths.ledger.name} was replaced during a run. Move it into the place of "
            f"{paths.ledger.name} to go on with it, or delete it to go on without."
        )


def _open(paths: OutputPaths, ledger: Ledger, plan: Plan, how: Opening, set_aside: list[Path]) -> OpenOutput:
    _check_mode(paths, ledger, how.simulated)
    with ledger.transaction():
        ledger.calls.store_as(how.replies, needed=how.needed)
    if stale := finish_rewrite(paths.rows, ledger):
        set_aside.append(stale)
    journal = Journal(paths.journal)
    rows: AppendFile | None = None
    try:
        replay_journal(ledger, journal, how.pricing, set_aside)
        checked_from = _reconcile(paths.rows, ledger, set_aside, buy_again=how.buy_again)
        _drop_settled(ledger, how)
        deep = _deep_check(paths, ledger, checked_from)
        matched = match(ledger, plan, how.located)
        if how.retry_failed:
            _reopen(ledger, matched, how.chosen)
        if stale := _move_removed(paths.rows, ledger, how):
            set_aside.append(stale)
            matched.forget_rows_beyond()
        decided = _as_configured(paths, ledger, how, set_aside)
        if decided is not None or _are_to_replace(ledger, how):
            matched = match(ledger, plan)
        _require_replies(paths, ledger, matched, how)
        if decided is not None and decided.unasked and how.decides is not None:
            refuse_unasked(ledger, how.decides.unasked)
            matched.open_for_asking(ledger, how.decides.unasked, anew=how.decides.asked_in_vain)
        ledger.seal()
        with ledger.transaction():
            requested = plan.num_rows + (how.lacking(ledger) if how.lacking is not None else 0)
            size = {"requested": str(requested), "routes": str(plan.num_routes), "num_rows": plan.counted}
            for name, value in {**how.notes, **size, "stop_reason": ""}.items():
                ledger.set_meta(name, value)
            ledger.note_opening()
            ledger.note_version(how.version)
            if how.made_for is not None:
                ledger.calls.begin_for(how.made_for)
        counts = ledger.counts()
        rows = AppendFile(paths.rows, what="output file", keeps_hash=True)
        store = Store(
            rows=rows,
            ledger=ledger,
            journal=journal,
            counts=counts,
            former=matched.former,
            unfinished=matched.unfinished,
            donors=matched.donors,
            most_donated=matched.most_donated,
            refused=_still_planned(ledger.refused(), plan),
            durability=how.durability,
            ordered=how.ordered,
            redecided=decided,
            deep_check=deep,
            drops=None if how.replies != "drop" else "at the end" if how.remakes else "at once",
            held=how.held,
        )
    except BaseException:  # the files must not stay open after any error
        journal.close()
        if rows:
            rows.close()
        raise
    failed_items = PositionSet(
        position
        for position, item in matched.unfinished.items()
        if item.state is ItemState.FAILED and not item.is_for_asking
    )
    lost = frozenset(position for position, item in matched.unfinished.items() if item.kept or item.dropped)
    return OpenOutput(store, matched.done, failed_items, lost, set_aside, deep)


def _drop_settled(ledger: Ledger, how: Opening) -> None:
    """Drops replies that a killed run was about to drop; the rows that they were for are there."""
    if how.replies == "drop" and not how.remakes:
        with ledger.transaction():
            ledger.calls.drop_settled()


def _require_replies(paths: OutputPaths, ledger: Ledger, matched: Matched, how: Opening) -> None:
    """Sees to it that the items which are open have the replies that were recorded for them."""
    if not how.buy_again:
        begun = [item.id for item in matched.unfinished.values() if item.state is ItemState.OPEN]
        refuse_dropped(ledger, begun, f"Rows of {paths.rows} are to be made again, or more of them")


def _are_to_replace(ledger: Ledger, how: Opening) -> bool:
    """Whether rows of failed items, which are open again, may be made again that stages have dropped."""
    if not how.retry_failed or how.decides is None:
        return False
    with ledger.transaction():
        return arrange(ledger, how.decides) > 0


def _reopen(ledger: Ledger, matched: Matched, chosen: Collection[int] | None) -> None:
    """Opens failed items again, also those that are open because some of their rows were lost."""
    failed = [
        item
        for position, item in matched.unfinished.items()
        if (item.state is ItemState.FAILED or item.failure is not None) and (chosen is None or position in chosen)
    ]
    with ledger.transaction():
        ledger.raise_generation([item.id for item in failed])
    for item in failed:
        item.state, item.failure = ItemState.OPEN, None
        item.generation += 1


def _still_planned(keys: dict[int, bytes], plan: Plan) -> dict[int, bytes]:
    """Those keys that the plan still has at the same positions."""
    return {at: key for at, key in keys.items() if at < len(plan) and plan[at].key == key}


def _move_removed(rows: Path, ledger: Ledger, how: Opening) -> Path | None:
    """Moves the rows of items that are not in the plan any more into a file of their own, unless they are to stay and fit the others."""
    moved = None if how.keep_removed and rows_fit(ledger, how.fields) else move_stale_rows(rows, ledger)
    if moved and how.keep_removed:
        warn_user(
            f"run.removed: The fields of the rows have changed, so those of items that have left the config were moved to {moved} "
            f"although they were to stay."
        )
    return moved


def reasoning_of_rows(ledger: Ledger) -> str:
    """Where what models thought stands in the rows of an output (`reasoning` in its config); in those of earlier versions nowhere."""
    return str(ledger.meta("reasoning") or NO_REASONING)


def rows_fit(ledger: Ledger, fields: Sequence[str]) -> bool:
    """Whether the rows that an output has, have these fields."""
    return ledger.meta("fields") in {None, _as_text(fields)}


def are_remade(ledger: Ledger, *, fields: Sequence[str], reasoning: str, stages: str) -> bool:
    """Whether the rows of the plan are made again from recorded replies: they have reasoning elsewhere, or not the fields that they would
    have now, and other stages are to decide about these."""
    return reasoning_of_rows(ledger) != reasoning or (ledger.stages != stages and not rows_fit(ledger, fields))


def _as_text(fields: Sequence[str]) -> str:
    return orjson.dumps(list(fields)).decode()


def _check_mode(paths: OutputPaths, ledger: Ledger, simulated: bool) -> None:
    mode = "simulated" if simulated else "real"
    found = ledger.meta("mode")
    empty = not ledger.max_id("calls") and not size_of(paths.journal)
    if simulated and (batches := ledger.batches.open()):
        raise OutputError(
            f"{paths.rows}: {under_way(batches)}, and this run would add simulated rows. Choose another file with --output, or collect "
            f"the batches first, with a run of the real models. Or cancel them with `datafast batches {paths.rows} --cancel`."
        )
    if found is None or (found != mode and empty):
        with ledger.transaction():
            ledger.set_meta("mode", mode)
    elif found != mode:
        raise OutputError(
            f"{paths.rows} has {found} rows, and this run would add {mode} ones. "
            f"Choose another file with --output, or start over with --fresh (the old files are kept aside)."
        )


def _as_configured(paths: OutputPaths, ledger: Ledger, how: Opening, set_aside: list[Path]) -> Reversed | None:
    """Makes the rows what the config says now: with reasoning in its place, with the fields that its stages look at, and those that they
    keep. None if they are."""
    fields = _as_text(how.fields)
    is_other = are_remade(ledger, fields=how.fields, reasoning=how.reasoning, stages=how.stages)
    to_remake = ledger.ids_in_plan() if is_other else ledger.back_with_other_reasoning()
    if (is_other or to_remake) and not how.buy_again:
        refuse_dropped(
            ledger,
            None if is_other else to_remake,
            f"The rows of {paths.rows} would have other fields, or reasoning elsewhere",
        )
    if is_other or to_remake:
        former = move_rows_to_remake(paths.rows, ledger, to_remake, fields=fields, reasoning=how.reasoning)
        set_aside += [former] if former else []
    if ledger.meta("fields") != fields:
        with ledger.transaction():
            ledger.set_meta("fields", fields)
    decided = _decide_anew(paths, ledger, how)
    return Reversed() if decided is None and (is_other or to_remake) else decided


def _decide_anew(paths: OutputPaths, ledger: Ledger, how: Opening) -> Reversed | None:
    """Decides about all recorded rows if the stages are others than those that they were decided by, or could not decide about some and are
    to try again. None if they are the same, or the run was interrupted; then it is tried again by the next."""
    if how.decides is None:
        return None
    try:
        return decide_where_changed(paths.rows, ledger, how.decides, tries_again=how.retry_failed)
    except Abandoned:
        return None


def replay_journal(ledger: Ledger, journal: Journal, pricing: Pricing, set_aside: list[Path]) -> None:
    """Writes replies that are only in the journal into the ledger, then empties the journal. A damaged one is kept aside."""
    newest = ledger.max_id("calls")
    found = read_unrecorded(journal.path, newest=newest, pricing=pricing)
    if ledger.calls.may_lack_replies:  # rows that were not on the disk yet may need them
        with ledger.transaction():
            for header, raw in read_journal(journal.path):
                if isinstance(header.get("id"), int) and header["id"] <= newest:
                    ledger.calls.restore(header["id"], raw)
    with ledger.transaction():
        for item, call in found.calls:
            ledger.add_item_if_new(item)
            ledger.calls.put([call])
        if found.requests:
            # Requests that were in flight when the process died may have been charged.
            ledger.calls.put_charges(found.charges.values())
            ledger.set_meta("requests", max(found.requests, int(ledger.meta("requests") or 0)))
            known = dict.fromkeys(never_sent(ledger), True) | found.never_sent
            note_never_sent(ledger, (number for number, is_so in known.items() if is_so))
    if found.damaged:
        kept = set_aside_name(journal.path, "damaged")
        shutil.copyfile(journal.path, kept)
        set_aside.append(kept)
        warn_user(
            f"{journal.path} is damaged in {counted(found.damaged, 'place')}. What stood there is bought again where it is missing. To "
            f"restore it instead, stop now and look into {kept}, which holds the journal as it was."
        )
    if journal.size:
        ledger.checkpoint()
        journal.clear()


def _reconcile(rows: Path, ledger: Ledger, set_aside: list[Path], *, buy_again: bool = False) -> int:
    """Makes the JSONL exactly what is committed. Returns the byte from which it was compared."""
    size, committed = size_of(rows), ledger.appends.committed_size()
    end = ledger.appends.last_end_within(min(size, committed))
    checked_from = check_from(ledger, end)
    if end:
        compare(rows, ledger, checked_from, end)
    if committed > end and not buy_again:
        lost = {append.item for append in ledger.appends.beyond(end) if append.slots}
        refuse_dropped(
            ledger, lost, f"{counted(len(lost), 'item')} of {rows} lost rows that were in the file, or the file is gone"
        )
    if tail := split_off_tail(rows, end):
        set_aside.append(tail)
    if committed > end:
        with ledger.transaction():
            ledger.forget_appends_after(end)
    return checked_from


def _deep_check(paths: OutputPaths, ledger: Ledger, checked_from: int) -> DeepCheck | None:
    if not checked_from or is_as_left(paths.rows, ledger):
        return None
    return DeepCheck(paths.rows, paths.ledger, checked_from)
