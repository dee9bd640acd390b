"""The ledgers of a folder of shards: what they note, whether they are parts of one output, and what they lack."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.atomic_write import whole_file
from datafast._util.user_path import is_file
from datafast.datasets.of_output import dataset_in, in_output
from datafast.engine.pricing import pricing_of
from datafast.engine.recorded_providers import RecordedProvider, recorded_routes
from datafast.engine.stages import told_apart
from datafast.errors import ConfigError, OutputError, OutputInUseError
from datafast.plan.draw_numbers import PLAIN
from datafast.plan.stratified import StratifiedPlan
from datafast.store.batches import under_way
from datafast.store.gathering import Source
from datafast.store.manifest import ABOUT
from datafast.store.merging import refuse_other_settings, require_alike
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.recovery import move_aside, repaired
from datafast.store.shards import ShardFolder, ShardNote

if TYPE_CHECKING:
    from datafast.engine.routes import Route
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import Plan
    from datafast.store.unrecorded import Pricing

__all__ = ["Shards", "about_in", "command_with", "without_reviews"]

_GROWN = ("topics.json", "personas.json")


class Shards:
    """The shards of a folder, and what their ledgers note."""

    def __init__(self, folder: ShardFolder, dataset: Any = None) -> None:
        self.folder = folder
        self._dataset = dataset

    @classmethod
    def open(cls, folder: Path, ledger_folder: Path | None, dataset: Any = None) -> Shards:
        """The shards of a folder.

        Args:
            dataset: what has made them, where its config cannot be loaded from a ledger.

        Raises:
            ConfigError, OutputError: as `ShardFolder.open`.
        """
        return cls(ShardFolder.open(folder, ledger_folder), dataset)

    def dataset_in(self, paths: OutputPaths) -> Any:
        """The dataset that has made the shards, with another output. Raises ConfigError: see `of_output.dataset_in`."""
        if self._dataset is not None:
            return in_output(self._dataset, paths)
        return dataset_in(self.folder.outputs[0], output=paths)

    @cached_property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        """What each ledger notes, by the name of the shard."""
        found: dict[str, Mapping[str, Any]] = {}
        for name, paths in zip(self.folder.names, self.folder.outputs, strict=True):
            if not is_file(paths.ledger):
                raise OutputError(
                    f"{paths.rows} has no ledger ({paths.ledger}). Put it back, or move the file away and run shard {name} again."
                )
            with LedgerReader(paths.ledger) as reader:
                found[str(name)] = reader.facts()
        return found

    @cached_property
    def notes(self) -> list[ShardNote]:
        """What each shard is.

        Raises:
            OutputError: one is no shard, or not the one whose name it has.
        """
        found = []
        for name, paths in zip(self.folder.names, self.folder.outputs, strict=True):
            with LedgerReader(paths.ledger) as reader:
                note = ShardNote.read(reader)
            if note is None or note.name != name:
                what = "was not made as a shard" if note is None else f"was made as shard {note.name}"
                raise OutputError(f"{paths.rows} {what}. Move it and its ledger into another folder.")
            found.append(note)
        return found

    @property
    def first(self) -> Mapping[str, Any]:
        return next(iter(self.facts.values()))

    @property
    def deferred(self) -> Sequence[str]:
        """The stages that no shard has run."""
        return list(dict.fromkeys(stage for note in self.notes for stage in note.deferred))

    @cached_property
    def unfinished(self) -> dict[str, int]:
        """The rows that shards lack which are not finished, by name."""
        found: dict[str, int] = {}
        for name, paths in zip(self.folder.names, self.folder.outputs, strict=True):
            if not is_file(paths.ledger):
                continue
            with LedgerReader(paths.ledger) as reader:
                if pending := reader.counts().pending:
                    found[str(name)] = pending
        return found

    @property
    def next_command(self) -> str:
        """The command that goes on with a shard which is not finished; empty if it is not known."""
        of = self.folder.of
        numbers = [*self.unfinished, *(f"{number}/{of}" for number in self.folder.missing)]
        return command_with(self.first.get("command") or "", "--shard", numbers[0]) if numbers else ""

    @property
    def dataset(self) -> Any:
        """What has made them, new each time, with the folder as its output."""
        return self.dataset_in(OutputPaths.of(self.folder.path, self.folder.ledger_folder))

    @property
    def are_ordered(self) -> bool:
        """Whether their rows are kept in the order of the plan."""
        return bool(orjson.loads(self.first.get("config") or "{}").get("run", {}).get("ordered"))

    @property
    def are_drawn(self) -> bool:
        """Whether each has draws of its own, as with targets."""
        return self.notes[0].by == "draws"

    @property
    def whole(self) -> str:
        """The fingerprint of the plan that they are parts of, in hex."""
        return self.notes[0].plan

    def fingerprints_of(self, plan: Plan) -> set[str]:
        """What `whole` is if it is of this plan."""
        if self.are_drawn and isinstance(plan, StratifiedPlan):
            plan = plan.grown([], PLAIN)
        return {same.fingerprint.hex() for same in (plan, *plan.former)}

    def sources(self) -> list[Source]:
        return [
            Source(f"shard {name}", paths) for name, paths in zip(self.folder.names, self.folder.outputs, strict=True)
        ]

    def require_whole(self, *, running: bool = False) -> None:
        """Sees to it that the shards are parts of one output.

        Args:
            running: whether batches may be under way.

        Raises:
            OutputError: names those that are not, and says what differs.
        """
        named = [(f"Shard {name}", facts) for name, facts in self.facts.items()]
        require_alike(named)
        first = self.notes[0]
        for note, own in zip(self.notes[1:], named[1:], strict=True):
            if note.plan != first.plan:
                refuse_other_settings(named[0], own)
                raise OutputError(
                    f"Shards {first.name} and {note.name} were made by other plans: the config, or what it reads, has changed in between. "
                    f"Run the shards again with one config: what stays in it is not bought again."
                )
        for name, paths in zip(self.folder.names, self.folder.outputs, strict=True):
            with LedgerReader(paths.ledger) as reader:
                if not running and (batches := reader.batches.open()):
                    raise OutputError(
                        f"Shard {name}: {under_way(batches)}. Run it again to collect their replies, or cancel them with "
                        f"`datafast batches {paths.rows} --cancel`."
                    )

    def refuse_other_plan(self) -> None:
        """Sees to it that the config still asks for what the shards have."""
        if self.whole not in self.fingerprints_of(self.dataset.whole_plan_for(self.routes)):
            raise OutputError(
                f"What the config of {self.folder.path} reads has changed since its shards were made: they would be others now. Put it "
                f"back as it was, or run the shards again."
            )

    def refuse_within(self, target: OutputPaths) -> None:
        """Sees to it that the merged output is not one of the shards."""
        for paths in self.folder.outputs:
            for own in (paths.rows, paths.ledger):
                if own.absolute() in {target.rows.absolute(), target.ledger.absolute()}:
                    raise ConfigError(f"{own} is one of the shards. Name another file with -o.", key="output")

    @cached_property
    def routes(self) -> list[Route[LLMProvider]]:
        return self._recorded[0]

    @cached_property
    def _recorded(self) -> tuple[list[Route[LLMProvider]], Sequence[RecordedProvider]]:
        about = about_in(self.first, self.folder.path)
        return recorded_routes({**about, "simulated": self.first.get("mode") == "simulated"})

    @property
    def _pricing(self) -> Pricing:
        return pricing_of(self._recorded[1])

    @contextmanager
    def repaired(self) -> Iterator[list[Path]]:
        """Holds the locks of all shards, each of which is as a run leaves it that has ended; gives what was set aside."""
        with ExitStack() as held:
            aside: list[Path] = []
            for name, paths in zip(self.folder.names, self.folder.outputs, strict=True):
                try:
                    aside += held.enter_context(repaired(paths, self._pricing))
                except OutputInUseError:
                    raise OutputInUseError(
                        f"Shard {name} of {self.folder.path} is being written to. Wait for its run to end, then try again."
                    ) from None
            for cached in ("facts", "notes", "unfinished"):
                self.__dict__.pop(cached, None)
            yield aside

    def copy_grown(self, target: OutputPaths, *, fresh: bool = False) -> None:
        """Copies topics and personas that were grown for the shards, so that the plan is the same. `fresh`: others that are there are moved
        aside."""
        for name in _GROWN:
            grown = OutputPaths.of(self.folder.path.with_name(f"{self.folder.path.name}.{name}"))
            copy = OutputPaths.of(target.rows.with_name(f"{target.rows.name}.{name}"))
            if not is_file(grown.rows):
                continue
            if copy.rows.exists():
                if not fresh or copy.rows.read_bytes() == grown.rows.read_bytes():
                    continue
                move_aside(copy)
            if is_file(grown.ledger) and not copy.ledger.exists():
                with LedgerReader(grown.ledger) as reader, whole_file(copy.ledger) as new:
                    reader.save_in(new)
            with whole_file(copy.rows) as new:
                shutil.copyfile(grown.rows, new)


def command_with(command: str, *option: str) -> str:
    """A command that has made a shard, with another option in the place of --shard, and of --output where the option names an output; empty
    for none."""
    words = shlex.split(command)
    for name in ("--shard", "--output") if option[0] == "--from" else ("--shard",):
        while name in words[:-1]:
            place = words.index(name)
            del words[place : place + 2]
    return shlex.join([*words, *option]) if words else ""


def without_reviews(stages: Sequence[str]) -> dict[str, str]:
    """What is noted where reviewers have decided about rows of some shards: that none was heard, so that rows are looked at again about
    which somebody has decided, and no others.

    Args:
        stages: the settings of the stages of each shard.
    """
    found = [told_apart(one) for one in stages]
    if not any(mark for _, mark in found) or any(one != found[0][0] for one, _ in found):
        return {}
    return {"stages": orjson.dumps(found[0][0]).decode(), "reviewed": ""}


def about_in(facts: Mapping[str, Any], where: Path) -> dict[str, Any]:
    about = orjson.loads(facts.get(ABOUT) or "null")
    if not isinstance(about, dict):
        raise OutputError(f"The ledgers of {where} do not say who has answered. Run the shards again, at no cost.")
    return about
