"""What every dataset kind shares: the public methods around `plan` and `produce`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, Unpack

from pydantic import BaseModel

from datafast.datasets.config import DatasetConfig, PromptDatasetConfig
from datafast.engine.estimate import Estimate, estimate
from datafast.engine.event_stream import stream_events
from datafast.engine.events import Event, EventCallback, RunEnded
from datafast.engine.generate import Generate
from datafast.engine.job import Job
from datafast.engine.options import RunOptions, check_options, check_providers
from datafast.engine.preparation import Preparation, combined, stopped_early
from datafast.engine.routes import providers_of, route_identities
from datafast.errors import CallFailed, ConfigError, RunStopped, TopicsError
from datafast.executors.local import LocalExecutor
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import Plan, WorkItem
from datafast.store.failures import FailedItems, values_of
from datafast.store.paths import OutputPaths
from datafast.store.rows import RowSequence
from datafast.types import FailedItem, RunReport

if TYPE_CHECKING:
    from datafast.executors.base import Executor
    from datafast.llms.provider import LLMProvider

__all__ = ["Dataset", "FanOutDataset", "RunOptions"]

ConfigT = TypeVar("ConfigT", bound=DatasetConfig)
RowT = TypeVar("RowT", bound=BaseModel)


class Dataset(ABC, Generic[ConfigT, RowT]):
    """A dataset: its config, and what has been generated for it.

    A kind says what there is to do (`plan`) and how an item becomes rows (`produce`); everything else is here and in the engine.

    Attributes:
        kind: the name of the kind in YAML.
        config_model, row_model: its config and its row; a kind whose rows depend on its config sets `row_model` when it is made.
        report: what the last run did, None before the first.
    """

    kind: ClassVar[str]
    config_model: ClassVar[type[DatasetConfig]]
    row_model: type[BaseModel]

    def __init__(self, config: ConfigT, *, executor: Executor | None = None) -> None:
        if not isinstance(config, self.config_model):
            raise ConfigError(
                f"{type(self).__name__} takes a {self.config_model.__name__}, not a {type(config).__name__}"
            )
        self.config = config
        self.report: RunReport | None = None
        self._executor = executor or LocalExecutor()

    # -- what a kind says

    @abstractmethod
    def plan(self, routes: Sequence[str]) -> Plan:
        """What there is to do, for routes of these identities."""

    @abstractmethod
    async def produce(self, item: WorkItem, generate: Generate) -> Sequence[BaseModel | CallFailed]:
        """Turns an item into its rows, in order. Deterministic given the item and the replies."""

    def preparations(
        self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]], options: RunOptions
    ) -> Sequence[Preparation]:
        """Runs that have to come first, because the plan depends on what they bring; most kinds need none."""
        return ()

    def other_ledgers(self) -> Sequence[Path]:
        """Ledgers of what had to be asked before; their costs count for this dataset's budget."""
        return ()

    def plan_for(self, routes: Sequence[object]) -> Plan:
        """What there is to do for these providers (or, in kinds with roles, these mappings of providers by role)."""
        return self.plan(route_identities(routes, fan_out=self.config.run.fan_out))

    # -- helpers for kinds

    def grid(
        self, dimensions: Sequence[Dimension], *, routes: Sequence[str], shape: Sequence[str | bytes] = ()
    ) -> GridPlan:
        """The plan of a kind whose items are a product of dimensions and, where it has any, the config's expanded prompts."""
        return GridPlan(
            self.kind,
            dimensions,
            routes=routes,
            expansion=self.config.prompt_expansion() if isinstance(self.config, PromptDatasetConfig) else None,
            rows_per_item=self.config.rows_per_item,
            shape=shape,
            seed=self.config.run.seed,
        )

    def render(self, item: WorkItem, values: Mapping[str, str]) -> str:
        """The item's prompt with the kind's values filled in."""
        return item.template.render({**values, **item.variant.values})

    def metadata(self, item: WorkItem, **values: str) -> dict[str, str | int | None]:
        """What shaped a row: the same keys in every row of a dataset, null for placeholders that its template lacks."""
        expansion = self.config.expansion if isinstance(self.config, PromptDatasetConfig) else None
        declared = expansion.placeholders if expansion else {}
        chosen = {name: item.variant.values.get(name) for name in declared}
        return {**values, **chosen, "prompt_index": item.variant.template_index}

    # -- what users do

    @property
    def data_rows(self) -> Sequence[RowT]:
        """The rows in the output file, read as they are asked for; also those of an earlier process."""
        return RowSequence(Path(self.config.output_file), self.row_model)  # type: ignore[arg-type]

    @property
    def failed_items(self) -> Sequence[FailedItem]:
        """The items that have failed for good, read from the ledger as they are asked for; also those of an earlier process.

        Empty where there is no ledger. `generate(..., retry_failed=True)` takes them up again.

        Raises:
            OutputError: the ledger cannot be read.
        """
        ledger = self._paths().ledger
        return FailedItems(ledger, values_of(self.plan(["any"]), ledger))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        train_size: float | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        private: bool = True,
        token: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Publishes the rows of the output file, with a short card, as a dataset on the Hugging Face Hub.

        Args:
            repo_id: `user/name`.
            train_size: share of rows in the train split, the rest becomes the test split; None for one train split.
            seed, shuffle: how rows are dealt to the splits.
            private: whether only you can see it.
            token: a token with write access; `HF_TOKEN` where none is given.

        Returns:
            The dataset's URL.

        Raises:
            ConfigError: no token, a bad repo_id, no rows, too few rows for the splits; nothing was sent.
            PublishError: the Hub refused or could not be reached.
        """
        from datafast.datasets.publish import publish

        return publish(
            self,
            repo_id,
            train_size=train_size,
            seed=seed,
            shuffle=shuffle,
            private=private,
            token=token,
            commit_message=commit_message,
        )

    # -- running

    def _paths(self) -> OutputPaths:
        return OutputPaths.of(self.config.output_file, self.config.run.ledger)

    def _estimate(self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]]) -> Estimate:
        check_providers(routes)
        return estimate(
            plan=self.plan_for(routes),
            produce=self.produce,
            routes=routes,
            settings=self.config.run,
            ledger=self._paths().ledger,
        )

    def _job(self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]], options: RunOptions) -> Job:
        settings = self.config.run
        if (wanted := options.get("max_concurrency")) is not None:
            settings = settings.model_copy()
            settings.max_concurrency = wanted
        if options.get("offline"):
            routes = [_simulated(route) for route in routes]
        return Job(
            routes=routes,
            also_spent=self.other_ledgers(),
            on_report=self._note,
            make_plan=self.plan,
            produce=self.produce,
            paths=self._paths(),
            settings=settings,
            limit=options.get("limit"),
            fresh=options.get("fresh", False),
            retry_failed=options.get("retry_failed", False),
            on_event=options.get("on_event"),
            notes={
                "command": "",
                "kind": self.kind,
                "config": self.config.model_dump_json(),
                **options.get("notes", {}),
            },
        )

    def _run(self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]], options: RunOptions) -> None:
        before: list[RunReport] = []
        for step in self._checked_preparations(routes, options):
            before.append(self._executor.run(step.announced(options.get("on_event"))))
            self._take_preparation(step, before[-1], routes, options)
        self._take(self._executor.run(self._job(routes, options)), before)

    async def _run_async(self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]], options: RunOptions) -> None:
        before: list[RunReport] = []
        for step in self._checked_preparations(routes, options):
            before.append(await self._executor.run_async(step.announced(options.get("on_event"))))
            self._take_preparation(step, before[-1], routes, options)
        self._take(await self._executor.run_async(self._job(routes, options)), before)

    def _checked_preparations(
        self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]], options: RunOptions
    ) -> Sequence[Preparation]:
        check_options(options)
        check_providers(routes)
        steps = self.preparations(routes, options)
        if steps and not options.get("offline"):
            for provider in providers_of(routes):
                provider.require_ready()  # nothing is bought for a run that could not begin
        return steps

    def _take_preparation(
        self,
        step: Preparation,
        report: RunReport,
        routes: Sequence[LLMProvider | Mapping[str, LLMProvider]],
        options: RunOptions,
    ) -> None:
        try:
            step.done(report)
        except (RunStopped, TopicsError) as error:
            reason = str(report.stop_reason or error)
            requested = self.plan_for(routes).num_rows
            self.report = stopped_early(report, f"{step.what}: {reason}", self._paths(), requested=requested)
            if (on_event := options.get("on_event")) is not None:
                on_event(RunEnded(report=self.report))
            raise RunStopped(self.report) from error

    def _events(
        self, routes: Sequence[LLMProvider | Mapping[str, LLMProvider]], options: RunOptions
    ) -> AsyncGenerator[Event, None]:
        also = options.get("on_event")

        def watch(event: Event) -> None:
            if isinstance(event, RunEnded):
                self.report = event.report  # also for those who leave before the run has been awaited
            if also is not None:
                also(event)

        async def run(on_event: EventCallback) -> None:
            await self._run_async(routes, {**options, "on_event": on_event})

        return stream_events(run, also=watch)

    def _note(self, report: RunReport) -> None:
        self.report = report

    def _take(self, report: RunReport, before: Sequence[RunReport]) -> None:
        self.report = combined(report, before) if before else report
        if report.stop_reason is not None:
            raise RunStopped(self.report)


class FanOutDataset(Dataset[ConfigT, RowT]):
    """A kind that asks any of its providers for whole items: all of them, one each, or the first that answers."""

    def get_num_expected_rows(self, providers: Sequence[object]) -> int:
        """Rows that `generate(providers)` will make. No call is made; only the number of providers counts."""
        return self.plan_for(_some(providers)).num_rows

    def generate(self, providers: Sequence[LLMProvider], **options: Unpack[RunOptions]) -> Self:
        """Generates what is missing in the output file.

        Every prompt goes to every provider; `run.fan_out` in the config says otherwise. Items that fail are recorded, they
        raise nothing; see `report`. Running it again makes no call for what is there.

        Returns:
            This dataset.

        Raises:
            ConfigError: something is wrong with config, providers or options; nothing was sent.
            OutputError: the output cannot be used as it is; nothing was sent.
            RunStopped: the run ended early and can be resumed.
        """
        self._run(_some(providers), options)
        return self

    async def generate_async(self, providers: Sequence[LLMProvider], **options: Unpack[RunOptions]) -> Self:
        """`generate`, to be awaited from any event loop."""
        await self._run_async(_some(providers), options)
        return self

    def generate_events(
        self, providers: Sequence[LLMProvider], **options: Unpack[RunOptions]
    ) -> AsyncGenerator[Event, None]:
        """`generate`, as an asynchronous iteration over the events of the run, in any event loop.

        It ends after `RunEnded`. The run does not wait for whoever iterates: events that were not taken yet wait in memory.
        Leaving the iteration early (`break`, `aclose`) ends the run as an interruption does: what is in flight lands and is
        saved. With `async with contextlib.aclosing(...)` around it, all of that has happened when the block is left.

        Raises:
            ConfigError, OutputError, RunStopped: as `generate` does, while iterating; RunStopped after the last event.
        """
        return self._events(_some(providers), options)

    def estimate(self, providers: Sequence[LLMProvider]) -> Estimate:
        """Tokens, cost and time of what is left to generate, with their ranges. Needs no key and sends nothing.

        See `datafast.engine.estimate` for how it is done and what it leaves out.
        """
        return self._estimate(_some(providers))


def _some(providers: Any) -> Any:
    if isinstance(providers, str | bytes) or not isinstance(providers, Sequence):
        raise ConfigError(f"providers: expected a list of providers, got {type(providers).__name__}; write [provider]")
    if not providers:
        raise ConfigError("providers: the list is empty; give at least one provider")
    return providers


def _simulated(route: LLMProvider | Mapping[str, LLMProvider]) -> Any:
    from datafast.llms.simulated.provider import SimulatedProvider

    if isinstance(route, Mapping):
        return {role: SimulatedProvider.standing_in_for(provider) for role, provider in route.items()}
    return SimulatedProvider.standing_in_for(route)
