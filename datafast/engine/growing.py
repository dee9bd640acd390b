"""What a model grows for a dataset before its plan can be made, in a run of its own: topics, personas.

The run has one item, whose rows are what is grown, and a file with a ledger beside the dataset's output. So nothing is paid for twice
after the process died, other datasets can use the file, and one budget holds for both together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast._util.user_path import is_file
from datafast.engine.job import Job, Produce
from datafast.engine.routes import Route, route_identities
from datafast.engine.settings import RunConfig
from datafast.engine.shard_limits import settings_of_shard
from datafast.errors import ConfigError, OutputError
from datafast.store.failures import FailedItems
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.shards import ShardName

if TYPE_CHECKING:
    from datafast.engine.events import EventCallback
    from datafast.engine.options import RunOptions
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import Plan

__all__ = ["Grower", "GrownFile", "growth_settings", "is_shared"]


def is_shared(file: Path | None, options: RunOptions) -> bool:
    """Whether others may use a file that is grown too: one that a config names (`file`), and one of several shards."""
    return file is not None or options.get("shard") is not None


def growth_settings(run: RunConfig | None, options: RunOptions | None = None) -> RunConfig:
    """The settings of a run that grows something for a dataset with these: what is missing in a reply is always asked for again. Of a
    shard, it spends of the part of that shard."""
    changes: dict[str, Any] = {"top_up": True, "ledger": None, "fan_out": "all"}
    if run is not None and options is not None and (shard := options.get("shard")) is not None:
        run = settings_of_shard(run, ShardName.given(shard))
    if options is not None and (wanted := options.get("max_concurrency")) is not None:
        changes["max_concurrency"] = wanted
    return (run or RunConfig()).model_copy(update=changes)


@dataclass(frozen=True)
class GrownFile:
    """The file with what is grown.

    Attributes:
        path: of the file.
        things: what is grown: topics, personas.
        shared: whether other datasets may use it too.
    """

    path: Path
    things: str
    shared: bool

    @property
    def paths(self) -> OutputPaths:
        """It, and its ledger."""
        return OutputPaths.of(self.path)

    @property
    def was_interrupted(self) -> bool:
        """Whether the run that grew it has not come to its end: replies that its ledger does not count are in its journal."""
        return self.paths.journal.exists()

    @property
    def is_simulated(self) -> bool:
        """Whether a simulated model has grown it."""
        return bool(self._read(lambda reader: reader.meta("mode")) == "simulated")

    @property
    def num_calls(self) -> int:
        """The calls in its ledger."""
        return int(self._read(lambda reader: reader.max_id("calls")) or 0)

    def _read(self, what: Callable[[LedgerReader], Any]) -> Any:
        """Something of its ledger; None if there is none, or none that can be read."""
        if not is_file(self.paths.ledger):
            return None
        try:
            with LedgerReader(self.paths.ledger) as reader:
                return what(reader)
        except OutputError:
            return None  # a run that was killed while it made the ledger has left nothing; other damage is told by the next one

    def refuse_simulated(self, *, cure: str) -> None:
        """Raises OutputError if a simulated model has grown it. `cure`: what is done about a shared file."""
        if self.is_simulated:
            own = "Start over with --fresh (fresh=True), which moves them aside."
            raise OutputError(
                f"{self.path} has {self.things} that a simulated model has grown. {cure if self.shared else own}"
            )

    def refuse_other_rows(self) -> None:
        """Raises OutputError if it is the output of a dataset, whose rows a growth would set aside."""
        kind = self._read(lambda reader: reader.meta("kind"))
        if kind and kind != self.things:
            raise OutputError(
                f"{self.path} is the output of a dataset of the kind {kind}, and has no {self.things}. Name another file for them."
            )

    def failure(self) -> str:
        """Why it could not be grown."""
        (failure,) = FailedItems(self.paths.ledger)
        reason = f"{failure.error.removesuffix('.')} ({failure.category})."
        return f"{reason} Replies are kept in {self.paths.ledger}. Growing again asks only for the rest."


@dataclass(frozen=True)
class Grower:
    """Who grows something.

    Attributes:
        role: what it grows, and so its role in the run: topics, personas.
        provider: that is asked.
        offline: whether a simulated model stands in for it.
    """

    role: str
    provider: LLMProvider
    offline: bool = False

    @classmethod
    def chosen(
        cls, role: str, own: LLMProvider | None, route: Route[LLMProvider], options: RunOptions, *, field: str
    ) -> Grower:
        """The provider that a config names, else the first one of the dataset.

        Raises:
            ConfigError: it is a simulated one, and the dataset's are not.
        """
        first = route.members[0]
        provider = own or first
        offline = options.get("offline", False) or first.simulated
        if provider.simulated and not offline:
            raise ConfigError(
                f"{field}.provider: Simulated {role} and real rows cannot be mixed. Name a real provider."
            )
        return cls(role, provider, offline)

    def job(
        self,
        file: GrownFile,
        plan: Callable[[Sequence[str]], Plan],
        produce: Produce,
        *,
        what: str,
        config: str,
        settings: RunConfig,
        dataset: Path | None = None,
        others: Sequence[Path] = (),
        fresh: bool = False,
        wait: bool = True,
        on_event: EventCallback | None = None,
    ) -> Job:
        """The run.

        Args:
            plan: for routes of these identities; it has one item.
            what: it does, in a few words for the user.
            config: what is grown, as JSON, for its ledger.
            dataset: the ledger of the dataset that it is grown for; the budget holds for both together. A shared file counts for
                it with what was bought for this dataset.
            others: further ledgers of that dataset.
            wait: whether it waits for batches that are under way.

        Raises:
            OutputError: the file is the output of a dataset.
        """
        from datafast.llms.simulated.provider import SimulatedProvider

        file.refuse_other_rows()
        routes = [
            Route.by_role(
                {self.role: SimulatedProvider.standing_in_for(self.provider) if self.offline else self.provider}
            )
        ]
        return Job(
            plan=plan(route_identities(routes, fan_out=settings.fan_out)),
            routes=routes,
            produce=produce,
            paths=file.paths,
            settings=settings,
            fresh=fresh,
            retry_failed=True,  # growing again means to retry what failed
            wait=wait,
            on_event=on_event,
            what=what,
            also_spent=[*([] if dataset is None else [dataset]), *others],
            made_for=(dataset or Path()) if file.shared else None,
            notes={"command": "", "kind": file.things, "config": config},
        )
