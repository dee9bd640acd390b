"""`datafast compact`: the ledger of an output made smaller, without a run. Nothing is sent.

First the output is repaired as a run that begins does it, so that the journal is empty. Then sums are made of what is older, replies are
brought into the form that is asked for, and what is not in use any more is given back to the disk.

Guarantee: no row changes, and what was bought stays known. A kill at any moment leaves an output with which the next run, or the next
compact, goes on. Cost: a pass over all replies, and one that writes the ledger anew.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.atomic_write import force
from datafast._util.remote import remote_url
from datafast._util.user_path import is_file, is_folder, user_path
from datafast.amounts import counted
from datafast.engine.pricing import pricing_of
from datafast.engine.recorded_providers import recorded_routes
from datafast.engine.settings import LedgerConfig
from datafast.errors import ConfigError, OutputError, OutputWriteError
from datafast.registry import BUILT_IN
from datafast.store.checking import compare
from datafast.store.ledger import Ledger
from datafast.store.manifest import ABOUT
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.recovery import repaired
from datafast.store.reply_conversion import Losing, Wanted
from datafast.store.reply_forms import ReplyForm
from datafast.store.rows import size_of

if TYPE_CHECKING:
    from datafast.store.unrecorded import Pricing

__all__ = ["Compacted", "compact"]


@dataclass(frozen=True)
class Compacted:
    """What `compact` has done. Sizes are in bytes.

    Attributes:
        output_file: the output.
        replies: the form that its replies have: `keep`, `compress` or `drop`.
        converted: how many replies had another one, with those that were dropped.
        dropped: how many were dropped.
        ledger_before, ledger_after, journal_before, journal_after: the sizes of the two files.
        set_aside: files with what the repair has moved aside.
    """

    output_file: str
    replies: ReplyForm
    converted: int
    dropped: int
    ledger_before: int
    ledger_after: int
    journal_before: int
    journal_after: int
    set_aside: Sequence[str]


def compact(
    file: str | Path,
    *,
    ledger: str | Path | None = None,
    replies: ReplyForm | None = None,
    drop_unused: bool = False,
    approve: Callable[[Losing], bool] | None = None,
) -> Compacted | None:
    """Makes the ledger of an output smaller. Nothing is sent.

    Args:
        file: the output file, on this machine.
        ledger: its ledger, if it is not beside it.
        replies: the form of all recorded replies: `keep`, `compress`, or `drop`, which drops what `drop_after: written` would have
            dropped. By default the one that the config of the last run asks for.
        drop_unused: whether the replies of items that have left the config are dropped too.
        approve: is told what is about to be dropped, if that is anything, and says whether it may be.

    Returns:
        What was done; None if that was not approved. The output was repaired all the same.

    Raises:
        ConfigError: there is no such output on this machine, or its replies cannot be packed here.
        OutputError: it is in use, was changed, cannot be written, or is not finished so far that its replies can be dropped.
    """
    paths = _paths_of(file, ledger)
    before = _size_of_ledger(paths.ledger), size_of(paths.journal)
    with LedgerReader(paths.ledger) as reader:
        pricing = _pricing(reader.facts())
    with repaired(paths, pricing) as set_aside:
        with closing(Ledger(paths.ledger)) as opened:
            wanted = _wanted(opened, replies, drops_unused=drop_unused)
            if wanted.form == "drop":
                _require_droppable(paths, opened)
            losing = opened.conversion.losing(wanted)
            if losing.replies:
                if approve is not None and not approve(losing):
                    return None
                _require_rows(paths, opened)
            opened.seal()
            converted = opened.conversion.convert(wanted)
            opened.checkpoint()
            _require_room(paths.ledger, opened.size_in_use)
            opened.shrink()
        if not size_of(paths.journal):
            paths.journal.unlink(missing_ok=True)
        after = _size_of_ledger(paths.ledger), size_of(paths.journal)
    return Compacted(
        str(paths.rows),
        wanted.form,
        converted,
        losing.replies,
        before[0],
        after[0],
        before[1],
        after[1],
        tuple(map(str, set_aside)),
    )


def _paths_of(file: str | Path, ledger: str | Path | None) -> OutputPaths:
    if (url := remote_url(file)) is not None:
        raise ConfigError(
            f"{url} is not on this machine: the parts of a remote output are packed already, and never change. Give an output file here."
        )
    paths = OutputPaths.of(user_path(file), None if ledger is None else user_path(ledger))
    if is_folder(paths.rows):
        raise ConfigError(f"{paths.name} is a folder. Give the output file in it.")
    if not size_of(paths.ledger) or not is_file(paths.ledger):
        raise OutputError(
            f"{paths.name} has no ledger ({paths.ledger}), so there is nothing to compact. If `run: {{ledger: ...}}` put it elsewhere, "
            f"name it with --ledger (ledger=)."
        )
    return paths


def _size_of_ledger(path: Path) -> int:
    return size_of(path) + size_of(path.with_name(f"{path.name}-wal"))


def _pricing(facts: Mapping[str, Any]) -> Pricing:
    """Prices replies that are only in the journal: as the providers of the last run, or by the price list if these were not noted."""
    about = orjson.loads(facts.get(ABOUT) or "null")
    if not isinstance(about, dict):
        return pricing_of([])
    return pricing_of(recorded_routes({**about, "simulated": facts.get("mode") == "simulated"})[1])


# -- what is asked for


def _wanted(ledger: Ledger, replies: ReplyForm | None, *, drops_unused: bool) -> Wanted:
    config = _config_of(ledger)
    form = replies or _form_in(config)
    stages = {str(stage.get("stage")) for stage in config.get("quality") or () if isinstance(stage, dict)}
    return Wanted(form=form, needed=frozenset(stages.union(BUILT_IN["datafast.stages"])), drops_unused=drops_unused)


def _config_of(ledger: Ledger) -> dict[str, Any]:
    found = ledger.noted("config")
    return found if isinstance(found, dict) else {}


def _form_in(config: Mapping[str, Any]) -> ReplyForm:
    """The form that a config asks for; `keep` where it says nothing."""
    run = config.get("run")
    given = run.get("ledger") if isinstance(run, dict) else None
    return LedgerConfig.model_validate(given).form if isinstance(given, dict) else "keep"


def _require_droppable(paths: OutputPaths, ledger: Ledger) -> None:
    """Sees to it that no row is still to be made again, or to be shown to a model, out of replies that would be dropped.

    Raises:
        OutputError: that may be; says what to do.
    """
    counts = ledger.counts()
    if _config_of(ledger).get("regenerate") and (counts.pending or ledger.is_waiting):
        raise OutputError(
            f"{paths.name}: {counted(counts.pending, 'row')} may still be made again (regenerate), which needs the replies that are there. "
            f"Nothing was dropped. Finish the run first, or use --replies compress (replies='compress')."
        )
    if ledger.meta("unasked") or ledger.meta("undecided"):
        raise OutputError(
            f"{paths.name}: Stages are still to decide about rows, which are made of their replies for that. Nothing was dropped. Run the "
            f"config again first, or use --replies compress (replies='compress')."
        )


def _require_rows(paths: OutputPaths, ledger: Ledger) -> None:
    """Sees to it that the rows are what was committed, and on the disk: without replies nothing else has them.

    Raises:
        OutputChangedError: some are not; names the lines.
        OutputWriteError: they cannot be forced to the disk.
    """
    committed = ledger.appends.committed_size()
    if not committed:
        return
    compare(paths.rows, ledger, 0, committed)
    try:
        force(paths.rows)
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write {paths.rows}: {error.strerror}. No reply was dropped. Check its permissions and its disk."
        ) from error


# -- room


def _require_room(ledger: Path, needed: int) -> None:
    """Sees to it that there is room for writing the ledger anew.

    Raises:
        OutputWriteError: says where there is too little.
    """
    asked: dict[int, tuple[Path, int]] = {}
    for folder in (ledger.absolute().parent, _temporary_folder()):
        with suppress(OSError):
            device = folder.stat().st_dev
            first, size = asked.get(device, (folder, 0))
            asked[device] = (first, size + needed)
    for folder, size in asked.values():
        free = shutil.disk_usage(folder).free
        if free < size:
            raise OutputWriteError(
                f"There is no room to write {ledger} anew: that takes {size:,} bytes in {folder} for a while, and {free:,} are free. Its "
                f"replies have their new form, and what that has freed is used by the next run. Free some space and run the same command "
                f"again. If {folder} is not where the ledger is, set SQLITE_TMPDIR to a folder on a larger disk."
            )


def _temporary_folder() -> Path:
    """Where SQLite puts temporary files."""
    if os.name == "nt":
        return Path(tempfile.gettempdir())
    given = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp")  # noqa: S108 - those of SQLite
    found = (Path(name) for name in given if name and Path(name).is_dir() and os.access(name, os.W_OK | os.X_OK))
    return next(found, Path.cwd())
