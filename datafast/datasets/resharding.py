"""`datafast reshard`: the shards of an output divided anew, with all that is recorded of them. Nothing is bought, and nothing is lost.

An item goes into the shard whose runs look for it: by its key, or, in plans that are divided into blocks, by its position. Where the config
has changed, items are looked for in the new plan first. Those that it does not have go by their keys, and their replies with them.

Guarantee: see `datafast.store.shard_exchange`. The former shards stay in a folder beside the new ones.
Cost: one pass over the keys of the plan, and one over the ledgers for each new shard. Memory: four bytes for each item of the plan, and
eight for each that is recorded; where the config has changed, a hundred for these.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.user_path import user_path
from datafast.datasets.about import about
from datafast.datasets.placement import Placement, places_in_new_plan
from datafast.datasets.shard_ledgers import Shards, about_in, command_with, without_reviews
from datafast.datasets.sharding import Sharded
from datafast.engine.routes import with_further
from datafast.errors import ConfigError, OutputError
from datafast.plan.items import row_uuid
from datafast.plan.sharded import ShardPlan
from datafast.store.gathered_rows import RowOrder
from datafast.store.ledger import Ledger
from datafast.store.locating import Located
from datafast.store.manifest import ABOUT
from datafast.store.matching import match
from datafast.store.merging import Part, gathered
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.review_file import ReviewFile
from datafast.store.review_records import ReviewRecord
from datafast.store.shard_exchange import exchange, making_place, place_in
from datafast.store.shards import MOST_SHARDS, ShardName, shard_paths

if TYPE_CHECKING:
    from datafast.engine.routes import Route
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import Plan

__all__ = ["Resharded", "reshard"]


@dataclass(frozen=True)
class Resharded:
    """What `reshard` has done.

    Attributes:
        folder: of the shards.
        before, after: how many shards there were, and are.
        items: how many items with their replies were moved; `leaving`: those of them that the config does not have any more.
        aside: the folders in which the former shards are now. They are not needed any more.
        set_aside: other files with what was moved aside.
    """

    folder: str
    before: int
    after: int
    items: int
    leaving: int
    aside: Sequence[str]
    set_aside: Sequence[str]


def reshard(
    folder: str | Path,
    shards: int,
    *,
    ledger_folder: str | Path | None = None,
    dataset: Any = None,
    routes: Sequence[Route[LLMProvider]] | None = None,
) -> Resharded:
    """Divides the shards of a folder anew. Nothing is sent.

    Args:
        shards: how many there are to be.
        ledger_folder: where their ledgers are, if not beside them (`run.ledger`).
        dataset: what makes them from now on, if its config has changed or cannot be loaded from a ledger.
        routes: who answers from now on, if its config has changed.

    Raises:
        ConfigError: there is no such folder.
        OutputError: shards do not belong together, are being written to or were changed; nothing has changed.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise ConfigError(f"shards: expected 1 to {MOST_SHARDS:,}, got {shards:,}.", key="shards")
    ledgers = None if ledger_folder is None else user_path(ledger_folder)
    found = Shards.open(user_path(folder), ledgers, dataset)
    with found.repaired() as set_aside:
        found.require_whole()
        division = _Division(found, shards, routes)
        folders = list(dict.fromkeys([found.folder.path, ledgers or found.folder.path]))
        with making_place(folders):
            for number in range(1, shards + 1):
                division.make(number)
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            old = [path for paths in found.folder.outputs for path in _files_of(paths)]
            aside = exchange(folders, old, f"of-{found.folder.of:05}-{stamp}")
    return Resharded(
        str(found.folder.path),
        found.folder.of,
        shards,
        division.items,
        division.leaving,
        [str(path) for path in aside],
        [str(path) for path in set_aside],
    )


def _files_of(paths: OutputPaths) -> list[Path]:
    """All files of an output; its locks too where open files can be moved."""
    return [*paths.all, *paths.split_records, *(paths.locks if os.name != "nt" else ())]


class _Division:
    """How items are divided, and the new shards."""

    def __init__(self, shards: Shards, of: int, routes: Sequence[Route[LLMProvider]] | None) -> None:
        self._shards = shards
        self._of = of
        self._is_other = routes is not None
        self._dataset = shards.dataset_in(OutputPaths.of(shards.folder.path, shards.folder.ledger_folder))
        self._routes = shards.routes if routes is None else with_further(routes, self._dataset.config.further_roles())
        self._plan: Plan = self._dataset.whole_plan_for(self._routes)
        known = {same.fingerprint.hex() for same in (self._plan, *self._plan.former)}
        self._is_moved = shards.notes[0].plan not in known
        if self._is_moved and not self._is_other:
            raise OutputError(
                f"What the config of {shards.folder.path} reads has changed since its shards were made: they would be others now. Name the "
                f"config with --config, so that they are divided as it asks for now."
            )
        if self._dataset.kind != shards.first.get("kind"):
            raise ConfigError(
                f"The shards of {shards.folder.path} are of the kind {shards.first.get('kind')}, and the config is of the kind "
                f"{self._dataset.kind}. Name the config that has made them."
            )
        self._placement = Placement(self._plan, of)
        self._sources = shards.sources()
        self._moved = places_in_new_plan(self._plan, self._ledgers) if self._is_moved else None
        self._dest = [self._placement.of_items(path, self._moved_of(n)) for n, path in enumerate(self._ledgers)]
        self.items = sum(int((dest > 0).sum()) for dest in self._dest)
        self.leaving = 0 if self._moved is None else self.items - sum(int((one >= 0).sum()) for one in self._moved)

    @property
    def _ledgers(self) -> list[Path]:
        return [paths.ledger for paths in self._shards.folder.outputs]

    def _moved_of(self, source: int) -> Any:
        return None if self._moved is None else self._moved[source]

    def make(self, number: int) -> None:
        """Makes a new shard in the hidden folder."""
        folder, chosen = self._shards.folder, [self._placement.chosen(dest, number) for dest in self._dest]
        final = shard_paths(folder.path, number, self._of, folder.ledger_folder)
        made = OutputPaths(place_in(folder.path) / final.rows.name, place_in(final.ledger.parent) / final.ledger.name)
        plan = ShardPlan(self._plan, number, self._of, self._placement.members(number))
        parts = [Part(ids.tolist(), takes_rest=n % self._of == number - 1) for n, ids in enumerate(chosen)]
        notes = self._notes(plan)
        gathered(self._sources, made, final.ledger, order=self._order, notes=notes, parts=parts)
        if self._moved is not None:
            positions = [self._moved[n][ids] for n, ids in enumerate(chosen)]
            _move(made.ledger, plan, [int(one) for of_source in positions for one in of_source])
        _divide_reviews([paths.reviews for paths in folder.outputs], made)

    @property
    def _order(self) -> RowOrder:
        return "plan" if self._dataset.config.run.ordered else "completion"

    def _notes(self, plan: ShardPlan) -> dict[str, Any]:
        facts = self._shards.first
        name = ShardName(plan.number, plan.of)
        by_keys = self._placement.by_keys
        sharded = Sharded(self._plan, name, plan, "keys" if by_keys else "blocks", is_counted=by_keys)
        notes = {
            **sharded.notes(self._shards.deferred),
            "plan": bytes.fromhex(self._shards.notes[0].plan) if self._is_moved else plan.fingerprint,
            "requested": str(plan.num_rows),
            "command": command_with(facts.get("command") or "", "--shard", str(name)),
            "directory": facts.get("directory") or "",
            "config": facts.get("config"),
            ABOUT: orjson.dumps({**about_in(facts, self._shards.folder.path), "items": len(plan.members)}).decode(),
            "opening": "resharded",
        }
        if self._is_other:
            notes |= {
                "config": self._dataset.config.model_dump_json(),
                "routes": str(plan.num_routes),
                "num_rows": plan.counted,
                ABOUT: about(self._dataset, self._routes, plan),
            }
        return notes | without_reviews([facts.get("stages") or "[]" for facts in self._shards.facts.values()])


def _move(path: Path, plan: Plan, positions: Sequence[int]) -> None:
    """Gives the items of a ledger their positions in a new plan, by their ids from 1 on; -1 for those that it does not have."""
    from array import array

    with closing(Ledger(path)) as ledger:
        absent = array("q", (number for number, position in enumerate(positions, start=1) if position < 0))
        located = Located(plan.fingerprint, ledger.items_mark(), array("q", [-1, *positions]), absent)
        match(ledger, plan, located)
        ledger.checkpoint()


def _divide_reviews(files: Sequence[Path], made: OutputPaths) -> None:
    """Gives a new shard the decisions about its rows."""
    records: list[ReviewRecord] = []
    for path in files:
        file = ReviewFile(path)
        file.refresh()
        records += file.records
    if not records:
        return
    rows = {record.row for record in records}
    with LedgerReader(made.ledger) as reader:
        uuids = (row_uuid(key, n) for _, key, number in reader.keys_with_rows() for n in range(number))
        own = rows.intersection(uuids)
    # A row without a uuid is known by what it says: whose it is, cannot be told.
    chosen = [record for record in records if record.row in own or record.row.startswith("digest:")]
    if chosen:
        ReviewFile(made.reviews).merge(sorted(chosen, key=lambda record: record.at))
