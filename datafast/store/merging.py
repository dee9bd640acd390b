"""Shards of an output in one: one JSONL with their rows, one ledger with all that is recorded of them.

Guarantee: the shards are left as they are. The new output is not there, or it is whole: its ledger and its rows are made under other
names, the ledger says that the rows are still to be put in their place, and the ledger appears by one rename. A death before that leaves
two hidden files, which the next merge removes, and at most the decisions of reviewers beside a file that is not there yet, which it joins
again; after it, the next run or merge does the rest (`compaction.finish_rewrite`).

Cost: see `gathering` and `gathered_rows`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from datafast._util.atomic_write import force
from datafast.errors import OutputError, OutputWriteError
from datafast.store.compaction import finish_rewrite
from datafast.store.gathered_notes import OfOne, noted_together
from datafast.store.gathered_rows import RowOrder, write_rows
from datafast.store.gathering import Gathering, Source
from datafast.store.ledger import Ledger
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.review_file import ReviewFile, records_of
from datafast.store.rows import size_of

__all__ = [
    "MERGED",
    "Mark",
    "Part",
    "gathered",
    "is_merged",
    "join_reviews",
    "mark_of",
    "merge_outputs",
    "refuse_other_settings",
    "require_alike",
    "was_merged_from",
    "without_room",
]

MERGED = "merged"
"""What the ledger of a merged output notes: from which folder, and the mark of each shard when it was taken."""
_HIDDEN = ".merging"
_DECIDING = frozenset({"quality", "regenerate", "reasoning", "target_rows", "disagreement"})
"""The fields of configs that say which rows there are, and are in no plan."""
_COUNTED = ("items", "calls", "appends", "filtered", "contexts", "charges")


class Part(NamedTuple):
    """What is taken of a source: the ids of items, rising, and whether also what belongs to no item."""

    chosen: Sequence[int]
    takes_rest: bool


class Mark(NamedTuple):
    """What stays the same as long as nothing happens to an output."""

    opening: str | None
    newest: dict[str, int]


def mark_of(ledger: Ledger) -> Mark:
    return Mark(ledger.meta("opening"), {table: ledger.max_id(table) for table in _COUNTED})


def is_merged(paths: OutputPaths) -> bool:
    """Whether an output was merged from shards. Raises OutputError if its ledger cannot be read."""
    if not size_of(paths.ledger):
        return False
    with LedgerReader(paths.ledger) as reader:
        return reader.meta(MERGED) is not None


def was_merged_from(ledger: Ledger, marks: Mapping[str, Mark]) -> bool | None:
    """Whether an output was merged from shards as they are now. None if it was not merged from such shards at all.

    Args:
        marks: by the name of its file, of each shard.
    """
    noted = ledger.noted(MERGED)
    if not isinstance(noted, dict) or noted.keys() != marks.keys():
        return None
    return all(noted[name] == list(mark) for name, mark in marks.items())


def require_alike(found: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Sees to it that outputs are parts of one: of one kind, decided about by one config, all simulated or all real.

    Args:
        found: of each its name, and what its ledger notes.

    Raises:
        OutputError: names the two that are not, and what differs.
    """
    name, first = found[0]
    for other, facts in found[1:]:
        for fact, what in (("mode", "rows that are"), ("kind", "rows of the kind")):
            if facts.get(fact) != first.get(fact):
                raise OutputError(
                    f"{name} has {what} {first.get(fact)}, and {other} {what} {facts.get(fact)}, so they are no parts of one output. Move "
                    f"those that do not belong into another folder."
                )
        refuse_other_settings((name, first), (other, facts), only=_DECIDING)


def refuse_other_settings(
    one: tuple[str, Mapping[str, Any]], other: tuple[str, Mapping[str, Any]], *, only: Collection[str] | None = None
) -> None:
    """Sees to it that two outputs were made with the same settings, but for what shapes no rows.

    Args:
        one, other: each its name, and what its ledger notes.
        only: the fields that are compared; None for all. Files may have other places on other machines, so these are few where the plans
            are the same.

    Raises:
        OutputError: names the first field that is another one.
    """
    configs = []
    for _, facts in (one, other):
        config = orjson.loads(facts.get("config") or "{}")
        config.pop("output_file", None)
        run = config.pop("run", None) or {}
        configs.append(config | {f"run.{name}": run.get(name) for name in ("fan_out", "seed")})
    for name in dict.fromkeys([*configs[0], *configs[1]]):
        if (only is None or name in only) and configs[0].get(name) != configs[1].get(name):
            raise OutputError(
                f"{name}: {one[0]} and {other[0]} were made with different settings. Run all shards with the same config: what "
                f"stays in it is not bought again."
            )


def merge_outputs(
    sources: Sequence[Source],
    target: OutputPaths,
    *,
    order: RowOrder,
    notes: Mapping[str, Any],
    keeps_replies: bool = True,
) -> None:
    """Makes one output of several. There is none at its paths; nobody writes to the sources, or what they write is as good as not there.

    Args:
        notes: what the new ledger notes besides, or in the place of what those of the sources note.
        keeps_replies: whether raw replies are taken too.

    Raises:
        OutputError: or one of its subclasses: a source cannot be read, has an item that another has too, or rows that were changed.
        OutputWriteError: there is no room.
    """
    rows, ledger = _hidden(target)
    remove_hidden(target)
    try:
        with without_room(target.rows):
            for file in (rows, ledger):
                file.parent.mkdir(parents=True, exist_ok=True)
            put_in_place = {"renames": orjson.dumps([[rows.name, target.rows.name]]).decode()}
            gathered(
                sources,
                OutputPaths(rows, ledger),
                target.ledger,
                order=order,
                notes={**notes, **put_in_place},
                keeps_replies=keeps_replies,
            )
            force(ledger)
            # Before there is an output: the next run on it must hear them.
            join_reviews([source.paths.reviews for source in sources], target.reviews)
            force(rows.parent)  # a ledger that appears after a power cut says that they are there
            ledger.replace(target.ledger)
            force(target.ledger.parent)
            finish(target)
    except BaseException:
        if not size_of(target.ledger):
            remove_hidden(target)
        raise


def finish(target: OutputPaths) -> None:
    """Puts the rows of a merged output in their place if they are not."""
    with contextlib.closing(Ledger(target.ledger)) as ledger:
        finish_rewrite(target.rows, ledger)


def remove_hidden(target: OutputPaths) -> None:
    """Removes what a merge that died has left."""
    for path in _hidden(target):
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _hidden(target: OutputPaths) -> tuple[Path, Path]:
    """Under which names the rows and the ledger are made."""
    rows, ledger = target.rows, target.ledger
    return rows.with_name(f".{rows.name}{_HIDDEN}"), ledger.with_name(f".{ledger.name}{_HIDDEN}")


def gathered(
    sources: Sequence[Source],
    made: OutputPaths,
    ledger: Path,
    *,
    order: RowOrder,
    notes: Mapping[str, Any],
    keeps_replies: bool = True,
    parts: Sequence[Part] | None = None,
) -> None:
    """Makes the rows and the ledger of an output of what others have.

    Args:
        ledger: where the ledger will be.
        parts: what is taken of each source; None for all.
    """
    found: list[OfOne] = []
    marks: dict[str, Mark] = {}
    with Gathering(made.ledger, keeps_replies=keeps_replies) as gathering:
        for number, source in enumerate(sources):
            first_item = gathering.newest_item
            chosen, takes_rest = (None, True) if parts is None else parts[number]
            offsets = gathering.take(source, chosen=chosen, takes_rest=takes_rest)
            with LedgerReader(source.paths.ledger) as reader:
                found.append(OfOne.read(reader, offsets=offsets, first_item=first_item, chosen=chosen))
                marks[source.paths.rows.name] = mark_of(reader)
        _refuse_twice(gathering)
        written = write_rows(gathering, made.rows, order)
        gathering.finish()
        requests = gathering.requests if parts is None else gathering.renumbered_requests()
    with contextlib.closing(Ledger(made.ledger)) as new:
        told = noted_together(found, ledger, of_parts=parts is not None)
        told |= {MERGED: _as_text(marks)} if parts is None else {}
        with new.transaction():
            for name, value in {**told, **notes}.items():
                new.set_meta(name, value)
            if requests:
                new.set_meta("requests", requests)
            new.note_opening()
            new.note_hash(written.sha256)
            new.note_unsettled()
        new.seal()
        new.checkpoint()


def _as_text(marks: Mapping[str, Mark]) -> str:
    return orjson.dumps({name: list(mark) for name, mark in marks.items()}).decode()


def _refuse_twice(gathering: Gathering) -> None:
    if gathering.twice() is None:
        return
    gathering.tell_apart()
    if (twice := gathering.twice()) is None:
        return
    key, files = twice
    raise OutputError(
        f"{' and '.join(files)} have the same item (key {key.hex()}), so they are no parts of one output. Keep the one that belongs in "
        f"this folder, and move the other away."
    )


@contextlib.contextmanager
def without_room(place: Path) -> Iterator[None]:
    """Turns what the system says of a file that cannot be written into an OutputWriteError, which names the file or folder to be made."""
    try:
        yield
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write {place}: {error.strerror}. Nothing else was changed. Check the space on its disk and its permissions."
        ) from error


def join_reviews(files: Sequence[Path], target: Path) -> int:
    """Adds the decisions about the rows of several outputs to the file of another one, oldest first. Says how many are new there.

    Raises:
        OutputError: a file cannot be read or written.
    """
    records = records_of(files)
    return len(ReviewFile(target).merge(records)) if records else 0
