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

from datafast._util.remote import remote_url
from datafast._util.user_path import user_path
from datafast.datasets.about import about
from datafast.datasets.drawn_shards import DrawnShards
from datafast.datasets.placement import Placement, places_in_new_plan, shards_of_items
from datafast.datasets.shard_ledgers import Shards, about_in, command_with, without_reviews
from datafast.datasets.sharding import Sharded
from datafast.engine.routes import with_further
from datafast.engine.targets import NOTED, Targets
from datafast.errors import ConfigError, OutputError
from datafast.plan.draw_numbers import PLAIN
from datafast.plan.items import row_uuid
from datafast.plan.members import members_of
from datafast.plan.sharded import ShardPlan
from datafast.plan.stratified import StratifiedPlan
from datafast.store.gathered_rows import RowOrder
from datafast.store.gathering import Source
from datafast.store.ledger import Ledger
from datafast.store.locating import Located
from datafast.store.manifest import ABOUT
from datafast.store.matching import match
from datafast.store.merging import Part, gathered, without_room
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.review_file import ReviewFile, records_of
from datafast.store.shard_exchange import exchange, making_place, place_in
from datafast.store.shards import MOST_SHARDS, ShardName, shard_paths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        ConfigError: there is no such folder on this machine.
        OutputError: shards do not belong together, are being written to or were changed; nothing has changed.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise ConfigError(f"shards: expected 1 to {MOST_SHARDS:,}, got {shards:,}.", key="shards")
    if (url := remote_url(folder)) is not None:
        raise ConfigError(
            f"{url} is not on this machine, and shards are divided anew where they lie. `datafast merge {url} -o FILE.jsonl` makes one "
            f"output of them here, with which a run goes on."
        )
    ledgers = None if ledger_folder is None else user_path(ledger_folder)
    place = Shards.open(user_path(folder), ledgers, dataset).folder.path
    folders = list(dict.fromkeys([place, ledgers or place]))
    with making_place(folders):
        found = Shards.open(place, ledgers, dataset)  # a run that has begun since has its lock, and no other begins now
        with found.repaired() as set_aside:
            found.require_whole()
            division = _Division(found, shards, routes)
            with without_room(place_in(place)):
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
        self._dataset = shards.dataset
        self._routes = shards.routes if routes is None else with_further(routes, self._dataset.config.further_roles())
        self._plan: Plan = self._dataset.whole_plan_for(self._routes)
        self._is_moved = shards.whole not in shards.fingerprints_of(self._plan)
        self._refuse_other_config()
        self._placement = None if shards.are_drawn else Placement(self._plan, of)
        self._drawn = DrawnShards(shards) if shards.are_drawn else None
        self._moved = places_in_new_plan(self._plan, self._ledgers) if self._is_moved else None
        self._found = [self._shards_of(number) for number in range(len(self._ledgers))]
        self.items = sum(int((found > 0).sum()) for found in self._found)
        self.leaving = 0 if self._moved is None else self.items - sum(int((one >= 0).sum()) for one in self._moved)

    def _refuse_other_config(self) -> None:
        folder, kind = self._shards.folder.path, self._shards.first.get("kind")
        if self._dataset.kind != kind:
            raise ConfigError(
                f"The shards of {folder} are of the kind {kind}, and the config is of the kind {self._dataset.kind}. Name the config that "
                f"has made them."
            )
        if not self._is_moved:
            return
        if not self._is_other:
            raise OutputError(
                f"What the config of {folder} reads has changed since its shards were made: they would be others now. Name the config with "
                f"--config, so that they are divided as it asks for now."
            )
        if self._shards.are_drawn:
            raise OutputError(
                f"The config has changed since the shards of {folder} were made, and with target_rows each has draws of its own. Run the "
                f"shards with the new config first: what stays in it is not bought again."
            )
        if isinstance(self._plan, StratifiedPlan):
            raise OutputError(
                f"The shards of {folder} were made without target_rows, and with them each has draws of its own. Run the shards with the "
                f"new config first: what stays in it is not bought again."
            )

    @property
    def _ledgers(self) -> list[Path]:
        return [paths.ledger for paths in self._shards.folder.outputs]

    def _shards_of(self, source: int) -> NDArray[np.int64]:
        """The new shard of each item of a shard, by its id."""
        if self._drawn is not None:
            return shards_of_items(self._ledgers[source], self._of, self._drawn.shard_of(source, self._of))
        assert self._placement is not None  # noqa: S101 - without draws
        moved = None if self._moved is None else self._moved[source]
        return shards_of_items(self._ledgers[source], self._of, self._placement.shard_of, moved)

    def make(self, number: int) -> None:
        """Makes a new shard in the hidden folder."""
        folder, name = self._shards.folder, ShardName(number, self._of)
        final = shard_paths(folder.path, *name, folder.ledger_folder)
        made = OutputPaths(place_in(folder.path) / final.rows.name, place_in(final.ledger.parent) / final.ledger.name)
        chosen = [(found == number).nonzero()[0] for found in self._found]
        parts = [Part(ids.tolist(), takes_rest=n % self._of == number - 1) for n, ids in enumerate(chosen)]
        sharded, sources = self._sharded(name)
        gathered(sources, made, final.ledger, order=self._order, notes=self._notes(sharded), parts=parts)
        if self._moved is not None:
            positions = [self._moved[n][ids] for n, ids in enumerate(chosen)]
            _move(made.ledger, sharded.plan, [int(one) for of_source in positions for one in of_source])
        if self._drawn is not None:
            _count_lacking(made.ledger, self._drawn.targets.of_shard(name), sharded.plan)
        _divide_reviews([paths.reviews for paths in folder.outputs], made)

    def _sharded(self, name: ShardName) -> tuple[Sharded, list[Source]]:
        """A new shard, and what it is made of."""
        sources = self._shards.sources()
        if self._drawn is not None:
            drawn = self._drawn.part(name)
            places = self._drawn.position_in(drawn)
            # Only of the items that go there: others have no position in it.
            sources = [source._replace(position_of=places(n)) for n, source in enumerate(sources)]
            return Sharded(drawn.grown([], PLAIN), name, drawn, "draws"), sources
        assert self._placement is not None  # noqa: S101 - without draws
        plan = ShardPlan(self._plan, *name, self._placement.members(name.number))
        by_keys = self._placement.by_keys
        return Sharded(self._plan, name, plan, "keys" if by_keys else "blocks", is_counted=by_keys), sources

    @property
    def _order(self) -> RowOrder:
        return "plan" if self._shards.are_ordered else "completion"

    def _notes(self, sharded: Sharded) -> dict[str, Any]:
        facts, plan = self._shards.first, sharded.plan
        items = len(members_of(plan))
        notes = {
            **sharded.notes(self._shards.deferred),
            "plan": bytes.fromhex(self._shards.whole) if self._is_moved else plan.fingerprint,
            "requested": str(plan.num_rows),
            "command": command_with(facts.get("command") or "", "--shard", str(sharded.shard)),
            "directory": facts.get("directory") or "",
            "config": facts.get("config"),
            ABOUT: orjson.dumps({**about_in(facts, self._shards.folder.path), "items": items}).decode(),
        }
        if self._drawn is not None and isinstance(plan, StratifiedPlan):
            notes[NOTED] = self._drawn.targets.of_shard(sharded.shard).note(plan)
        if self._is_other:
            notes |= {
                "config": self._dataset.config.model_dump_json(),
                "routes": str(plan.num_routes),
                "num_rows": plan.counted,
                ABOUT: about(self._dataset, self._routes, plan),
            }
        return notes | without_reviews([facts.get("stages") or "[]" for facts in self._shards.facts.values()])


def _count_lacking(path: Path, targets: Targets, plan: Plan) -> None:
    """Counts the rows that are to be drawn for as requested, as a run does."""
    with closing(Ledger(path)) as ledger:
        requested = plan.num_rows + targets.lacking(plan, ledger)
        with ledger.transaction():
            ledger.set_meta("requested", str(requested))
        ledger.checkpoint()


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
    records = records_of(files)
    if not records:
        return
    rows = {record.row for record in records}
    with LedgerReader(made.ledger) as reader:
        uuids = (row_uuid(key, n) for _, key, number in reader.keys_with_rows() for n in range(number))
        own = rows.intersection(uuids)
    # A row without a uuid is known by what it says: whose it is, cannot be told.
    chosen = [record for record in records if record.row in own or record.row.startswith("digest:")]
    if chosen:
        ReviewFile(made.reviews).merge(chosen)
