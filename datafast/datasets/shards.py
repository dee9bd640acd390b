"""A folder of shards as one output: made by `merge`, or for a moment by `merged_view`, for commands that look at an output.

Where rows are compared with each other, shards have not done that: the rows of all shards are compared here, by the same walk as in one
process. Nothing is ever bought.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.notify import warn_user
from datafast._util.remote import remote_url
from datafast._util.user_path import is_file, user_path
from datafast.amounts import counted
from datafast.datasets.drawn_shards import DrawnShards
from datafast.datasets.entry import Generation
from datafast.datasets.of_output import dataset_in
from datafast.datasets.shard_ledgers import Shards, about_in, command_with, without_reviews
from datafast.engine.recorded_providers import recorded_routes
from datafast.engine.targets import NOTED
from datafast.errors import ConfigError, OutputChangedError, OutputError
from datafast.executors.local import LocalExecutor
from datafast.storage.copies import copied_shards
from datafast.store.gathered_rows import RowOrder
from datafast.store.lock import is_running, take_locks
from datafast.store.manifest import ABOUT
from datafast.store.merging import finish, join_reviews, mark_of, merge_outputs, was_merged_from
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.recovery import move_aside, needs_lock
from datafast.store.rows import size_of
from datafast.types import RunReport, TargetCount

if TYPE_CHECKING:
    from datafast.plan.items import Plan

__all__ = ["Merged", "merge", "merged_view"]


_TRIES = 3


@dataclass(frozen=True)
class Merged:
    """What `merge` has made of a folder of shards.

    Attributes:
        output_file: the merged output.
        shards: how many shards there are.
        report: how the rows stand, once they were compared with each other; None if nothing was written because something lacks.
        missing: the numbers of shards that are not there; `unfinished`: rows that others still have to make, by their names.
        set_aside: files with what was moved aside.
        next_command: the command that makes or buys what lacks; empty where no command has made the shards.
    """

    output_file: str
    shards: int
    report: RunReport | None = None
    missing: Sequence[int] = ()
    unfinished: Mapping[str, int] = field(default_factory=dict)
    set_aside: Sequence[str] = ()
    next_command: str = ""

    @property
    def targets(self) -> list[TargetCount]:
        """The targets that lack rows, and for which more are to be drawn."""
        found = [] if self.report is None else self.report.targets
        return [target for target in found if target.given_up is None and target.accepted < target.target]

    @property
    def to_remake(self) -> int:
        """Rows that were dropped because of others, and are to be made again."""
        if self.report is None or self.report.targets:
            return 0
        return max(0, self.report.pending - sum(self.unfinished.values())) if not self.missing else 0

    @property
    def lacks(self) -> list[str]:
        """What is not there, as sentences; nothing where all is."""
        told = [f"Shard {number}/{self.shards} is not there." for number in self.missing]
        told += [f"Shard {name} lacks {counted(rows, 'row')}." for name, rows in self.unfinished.items()]
        told += [
            f"{target.name}: {target.accepted:,} of {target.target:,} rows were accepted." for target in self.targets
        ]
        if self.to_remake:
            told.append(f"{counted(self.to_remake, 'row')} that stages have dropped are to be made again.")
        if self.report is not None and self.report.calls_missing:
            told.append(f"{counted(self.report.calls_missing, 'call')} of stages about rows are to be made yet.")
        if self.report is not None and self.report.stop_reason:
            told.append(f"The rows were not all compared with each other: {self.report.stop_reason}.")
        return told


def merge(
    folder: str | Path,
    output: str | Path,
    *,
    ledger: str | Path | None = None,
    ledger_folder: str | Path | None = None,
    order: RowOrder = "plan",
    partial: bool = False,
    fresh: bool = False,
    allow_commands: bool = False,
    dataset: Any = None,
) -> Merged:
    """Makes one output of a folder of shards. Nothing is sent, and the shards stay as they are.

    Where shards are missing or not finished, nothing is written unless `partial` says so. Called again, it goes on where it was ended.

    Args:
        output: the new JSONL.
        ledger: where its ledger goes, if not beside it.
        ledger_folder: where the ledgers of the shards are, if not beside them (`run.ledger`).
        order: of the rows: that of the plan, or the one in which they were made.
        partial: merge what there is, also if shards are missing or not finished.
        fresh: move an output that is there already aside.
        allow_commands: whether stages may run programs.
        dataset: what has made the shards, where its config has functions or stages that are in no file.

    Raises:
        ConfigError: there is no such folder, or its config cannot be loaded.
        OutputError: shards do not belong together, are being written to or were changed, or there is an output already.
    """
    if (url := remote_url(folder)) is not None:
        if ledger_folder is not None:
            raise ConfigError(f"--ledgers (ledger_folder): The ledgers of {url} are at the same place. Leave it out.")
        with copied_shards(url) as copy:
            how: Any = {"ledger": ledger, "order": order, "partial": partial, "fresh": fresh}
            return merge(copy, output, allow_commands=allow_commands, dataset=dataset, **how)
    target = OutputPaths.of(user_path(output), None if ledger is None else user_path(ledger))
    shards = Shards.open(user_path(folder), None if ledger_folder is None else user_path(ledger_folder), dataset)
    shards.refuse_within(target)
    if order == "completion" and shards.are_ordered:
        raise ConfigError(
            f"order: run.ordered in the config of {shards.folder.path} keeps rows in the order of the plan. Leave --order out.",
            key="order",
        )
    with shards.repaired() as set_aside:
        shards.require_whole()
        made = Merged(
            str(target.rows),
            shards.folder.of,
            missing=shards.folder.missing,
            unfinished=shards.unfinished,
            set_aside=[str(path) for path in set_aside],
            next_command=shards.next_command,
        )
        if (made.missing or made.unfinished) and not partial:
            return made
        shards.refuse_other_plan()
        with take_locks(target, required=needs_lock(shards.folder.outputs[0].ledger)):
            aside = _prepared(target, shards, fresh=fresh)
            shards.copy_grown(target, fresh=fresh)  # before there is an output that would grow it once more
            if not size_of(target.ledger):
                _make(shards, target, order=order)
            else:  # what has been decided since
                join_reviews([paths.reviews for paths in shards.folder.outputs], target.reviews)
            finish(target)
        made = replace(made, set_aside=[*made.set_aside, *map(str, aside)])
    report = _compared(shards.dataset_in(target), target, allow_commands=allow_commands)
    with LedgerReader(target.ledger) as reader:
        return replace(made, report=report, next_command=reader.meta("command") or "")


@contextmanager
def merged_view(
    folder: Path, ledger_folder: Path | None = None, *, keeps_replies: bool = True
) -> Iterator[OutputPaths]:
    """The rows of a folder of shards as one output, as long as the context lasts. It is told what is not there yet.

    Shards may be running: what they have committed is shown.

    Args:
        keeps_replies: whether it has the raw replies, which are most of what there is to copy.

    Raises:
        ConfigError: there is no such folder.
        OutputError: shards do not belong together, or cannot be read.
    """
    shards = Shards.open(folder, ledger_folder)
    if lacks := Merged("", shards.folder.of, missing=shards.folder.missing, unfinished=shards.unfinished).lacks:
        warn_user(
            f"{folder} is not complete: {' '.join(lacks)} What is shown is about the rows that are there, which are compared with each "
            f"other alone."
        )
    shards.require_whole(running=True)
    with tempfile.TemporaryDirectory(prefix="datafast-") as place:
        name = folder.absolute().name or "rows"
        paths = OutputPaths.of(Path(place) / (name if name.endswith(".jsonl") else f"{name}.jsonl"))
        _make_view(shards, paths, keeps_replies=keeps_replies)
        shards.copy_grown(paths)
        if shards.deferred or paths.reviews.exists():
            try:
                _compared(dataset_in(paths), paths, is_view=True)
            except (ConfigError, OutputError) as error:
                why = str(error).replace(str(paths.rows), str(folder))
                warn_user(
                    f"The rows of {folder} are shown as they are in the shards, not compared with each other: {why}"
                )
        yield paths


def _make_view(shards: Shards, paths: OutputPaths, *, keeps_replies: bool) -> None:
    """Makes the output of a view. A run may put its rows into a new file in between; then they are read again."""
    for tries_left in reversed(range(_TRIES)):
        try:
            _make(shards, paths, order="plan", is_view=True, keeps_replies=keeps_replies)
        except OutputChangedError:
            if not tries_left or not any(map(is_running, shards.folder.outputs)):
                raise
        else:
            return


def _prepared(target: OutputPaths, shards: Shards, *, fresh: bool) -> list[Path]:
    """Sees to it that there is no output, or the one that was merged from the shards as they are.

    Returns:
        The files to which one was moved.
    """
    if not any(size_of(path) for path in target.all if path != target.reviews):  # these may be there first
        return []
    marks = {}
    for paths in shards.folder.outputs:
        with LedgerReader(paths.ledger) as reader:
            marks[paths.rows.name] = mark_of(reader)
    is_same = None
    if is_file(target.ledger):
        with LedgerReader(target.ledger) as reader:
            is_same = was_merged_from(reader, marks)
    if is_same and not fresh:
        return []
    if not fresh:
        why = "is there already" if is_same is None else "was merged before shards went on"
        raise OutputError(
            f"{target.rows} {why}. Name another file with -o, or start over with --fresh (fresh=True), which keeps the old one aside."
        )
    return move_aside(target)


def _make(
    shards: Shards, target: OutputPaths, *, order: RowOrder, is_view: bool = False, keeps_replies: bool = True
) -> None:
    notes, sources = _notes(shards, target), shards.sources()
    if shards.are_drawn:
        drawn = DrawnShards(shards)
        plan = drawn.merged()
        places = drawn.position_in(plan)
        sources = [source._replace(position_of=places(number)) for number, source in enumerate(sources)]
        notes |= {"plan": plan.fingerprint, NOTED: drawn.targets.note(plan)}
    if is_view:  # nobody is asked about what is shown, and nobody goes on with it
        command = command_with(shards.first.get("command") or "", "--shard", f"I/{shards.folder.of}")
        notes |= {"unasked": "", "undecided": "", "command": command}
    merge_outputs(sources, target, order=order, notes=notes, keeps_replies=keeps_replies)


def _notes(shards: Shards, target: OutputPaths) -> dict[str, Any]:
    """What the ledger of the merged output notes in another way than those of the shards."""
    first = shards.first
    config = orjson.loads(first.get("config") or "{}")
    config["output_file"] = str(target.rows)
    is_beside = target.ledger == OutputPaths.of(target.rows).ledger
    config.setdefault("run", {})["ledger"] = None if is_beside else str(target.ledger)
    notes = {
        "config": orjson.dumps(config).decode(),
        "command": command_with(first.get("command") or "", "--from", str(target.rows)),
        "directory": first.get("directory") or "",
        "plan": bytes.fromhex(shards.whole),
        ABOUT: first[ABOUT],
        "walks": "null" if shards.deferred else "[]",  # null: to be compared yet
    }
    return notes | without_reviews([facts.get("stages") or "[]" for facts in shards.facts.values()])


def _compared(dataset: Any, target: OutputPaths, *, allow_commands: bool = False, is_view: bool = False) -> RunReport:
    """Compares the rows of an output with each other, where its stages do that, and decides what reviewers have said. Sends nothing."""
    with LedgerReader(target.ledger) as reader:
        facts = reader.facts()
    about = about_in(facts, target.rows)
    routes, _ = recorded_routes({**about, "simulated": facts.get("mode") == "simulated"})
    notes = {name: facts.get(name) or "" for name in ("command", "directory")}
    job = Generation(dataset, routes, {"decide_only": True, "notes": notes}).job()
    if facts.get("plan") not in {same.fingerprint for same in (job.plan, *job.plan.former)}:
        raise OutputError(
            f"What the config of {target.rows} reads has changed since its rows were made: they would be others now. Put it back as it "
            f"was, or run the config on this output with --from."
        )
    for stage in dataset.config.quality if allow_commands else ():
        stage.allow_commands()
    settings = job.settings.model_copy(
        update={"budget_usd": None, "max_calls": None, "max_tokens": None, "mode": "online"}
    )

    def about_plan(plan: Plan) -> str:
        return orjson.dumps({**about, "items": len(plan)}).decode()

    job = replace(
        job,
        settings=settings,
        about=None if is_view else about_plan,
        alarms=None,
        on_report=None,
        also_spent=(),
    )
    return LocalExecutor().run(job)
