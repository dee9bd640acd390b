"""A shard of a dataset: its place, its part of the plan, and what its ledger notes of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from datafast._util.user_path import is_file
from datafast.errors import ConfigError, OutputError
from datafast.plan.draw_numbers import PLAIN
from datafast.plan.members import Members, members_of
from datafast.plan.sharded import ShardPlan, block_of, is_by_blocks, members_by_keys
from datafast.plan.stratified import StratifiedPlan
from datafast.store.reader import LedgerReader
from datafast.store.shards import (
    MEMBERS,
    SHARD,
    ShardName,
    ShardNote,
    going_on_with_shards,
    is_shard_folder,
    noted_members,
    shards_in,
)

if TYPE_CHECKING:
    from datafast.plan.items import Plan
    from datafast.store.paths import OutputPaths

__all__ = ["Sharded", "drawn_by", "refuse_other_shards", "refuse_without_shard", "sharded"]


class Sharded(NamedTuple):
    """A shard of a plan.

    Attributes:
        whole: the plan; with targets, before anything is drawn.
        shard: which one.
        plan: its part.
        by: what its items follow from.
        is_counted: whether they were found by going through keys, and are not noted yet.
    """

    whole: Plan
    shard: ShardName
    plan: Plan
    by: Literal["keys", "blocks", "draws"]
    is_counted: bool = False

    def is_of(self, plan: Plan, shard: ShardName) -> bool:
        """Whether it is this shard of this plan. Where items are drawn, a plan is the shard's own."""
        return self.shard == shard and self.by != "draws" and self.whole.fingerprint == plan.fingerprint

    def notes(self, deferred: Sequence[str]) -> Mapping[str, Any]:
        """What the ledger notes of it. `deferred`: the names of the stages that do not decide in a shard."""
        members = members_of(self.plan)
        note = ShardNote(
            number=self.shard.number,
            of=self.shard.of,
            plan=self.whole.fingerprint.hex(),
            by=self.by,
            items=0 if self.by == "draws" else len(members),
            deferred=deferred,
        )
        packed = {MEMBERS: members.packed()} if self.is_counted and isinstance(members, Members) else {}
        return {SHARD: note.to_json(), **packed}


def sharded(plan: Plan, shard: ShardName, paths: OutputPaths, *, fresh: bool = False) -> Sharded:
    """The part of a plan that a shard has; as its ledger notes it, if it is of this plan.

    Args:
        paths: of the shard.
        fresh: whether its ledger is going to be moved aside.

    Raises:
        OutputError: its rows are of another plan, whose items may be in other shards now.
    """
    if isinstance(plan, StratifiedPlan):
        return Sharded(plan.grown([], PLAIN), shard, plan, "draws")
    known = None if fresh else _known(plan, shard, paths)
    if is_by_blocks(plan):
        return Sharded(plan, shard, ShardPlan(plan, *shard, block_of(len(plan), *shard)), "blocks")
    if known is not None:
        return Sharded(plan, shard, known, "keys")
    return Sharded(plan, shard, ShardPlan(plan, *shard, members_by_keys(plan, *shard)), "keys", is_counted=True)


def drawn_by(ledger: LedgerReader) -> ShardName | None:
    """The shard whose draws an output has; None where it is no shard, or one of a plan without targets."""
    note = ShardNote.read(ledger)
    return note.name if note is not None and note.by == "draws" else None


def _known(plan: Plan, shard: ShardName, paths: OutputPaths) -> ShardPlan | None:
    """The shard as its ledger notes it."""
    if not is_file(paths.ledger):
        return None
    with LedgerReader(paths.ledger) as reader:
        note = ShardNote.read(reader)
        if note is None or note.name != shard:
            return None
        is_same = note.plan in {same.fingerprint.hex() for same in (plan, *plan.former)}
        if not is_same and "blocks" in {note.by, "blocks" if is_by_blocks(plan) else "keys"} and reader.max_id("items"):
            raise OutputError(
                f"The config has changed since {paths.rows} was begun, and a plan of so many items is divided into blocks, so items may "
                f"be in other shards now. `datafast reshard {paths.rows.parent} --shards {shard.of}` moves rows and replies to where they "
                f"belong, and buys nothing. Then run again."
            )
        members = noted_members(reader, len(plan)) if is_same and note.by == "keys" else None
        return None if members is None else ShardPlan(plan, *shard, members)


def refuse_other_shards(
    folder: Path, shard: ShardName, paths: OutputPaths, ledgers: Path | None, *, fresh: bool = False
) -> None:
    """Sees to it that a shard can be made in a folder.

    Args:
        paths: of the shard.
        fresh: whether its files are going to be moved aside.

    Raises:
        ConfigError: there is a file in its place.
        OutputError: there are shards of another division, or its files are those of another shard.
    """
    for place, field in ((folder, "output_file"), (ledgers, "run.ledger")):
        if place is not None and place.exists() and not place.is_dir():
            raise ConfigError(
                f"{field}: {place} is a file, and with --shard (shard=...) it is the folder that all shards are in. Name another "
                f"{'folder with --output' if field == 'output_file' else 'folder'}, or move the file away.",
                key=field.partition(".")[0],
            )
    others = [name for name in shards_in(folder, ledgers) if name.of != shard.of]
    if others:
        raise OutputError(
            f"{folder} has shards of {others[0].of:,} ({others[0].file_name}), and this would be one of {shard.of:,}. Run with --shard "
            f"{min(shard.number, others[0].of)}/{others[0].of}, or divide anew what is there with `datafast reshard {folder} --shards "
            f"{shard.of}`."
        )
    found = None if fresh else _noted(paths.ledger)
    if found is not None and found.name != shard:
        raise OutputError(
            f"{paths.rows} has the rows of shard {found.name}, so its name is not its own. Rename its files to "
            f"{found.name.file_name}, or start shard {shard} over with --fresh (fresh=True)."
        )


def refuse_without_shard(paths: OutputPaths) -> None:
    """Sees to it that no whole run works on a folder of shards, or on one of them.

    Raises:
        OutputError: says how to go on.
    """
    if is_shard_folder(paths.rows):
        raise going_on_with_shards(paths.rows, shards_in(paths.rows)[0].of)
    found = _noted(paths.ledger)
    if found is not None:
        raise OutputError(
            f"{paths.rows} is shard {found.name} of the output {paths.rows.parent}. To go on with it, name that folder and add --shard "
            f"{found.name} (shard={tuple(found.name)})."
        )


def _noted(ledger: Path) -> ShardNote | None:
    if not is_file(ledger):
        return None
    try:
        with LedgerReader(ledger) as reader:
            return ShardNote.read(reader)
    except OutputError:
        return None  # the run itself says what is wrong with it
