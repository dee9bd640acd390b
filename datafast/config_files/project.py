"""What a config file describes: a dataset and who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from datafast._util.notify import warn_user
from datafast.datasets.entry import Generation, estimate_of
from datafast.engine.dry_run import Asked, asked_before
from datafast.engine.routes import Route, labels_of, providers_of, replaced
from datafast.errors import ConfigError
from datafast.store.paths import UsedFile

if TYPE_CHECKING:
    from datafast.datasets.base import Dataset, RunOptions
    from datafast.datasets.config import DatasetConfig
    from datafast.engine.estimated import Estimate
    from datafast.executors.base import Executor
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import WorkItem
    from datafast.store.records import Recorded
    from datafast.store.shards import ShardName
    from datafast.types import RunReport

__all__ = ["Export", "Project"]


class Export(NamedTuple):
    """A file, relative to the working directory, that the rows are saved to in another format."""

    format: str
    path: Path


@dataclass(frozen=True)
class Project:
    """A checked config.

    Attributes:
        path: the file it was read from.
        secrets: where keys are expected, for messages.
        dataset_class: the dataset class of its kind.
        routes: who answers: a route for each provider, or one with a provider for each role where the kind has roles.
        places: for each provider in their order, where it stands in the file (`FILE:LINE: providers[0]`).
        exports: other files that the rows of real models are saved to at the end of each run.
    """

    path: Path
    secrets: Path
    dataset_class: type[Dataset[Any, Any]]
    config: DatasetConfig
    routes: Sequence[Route[LLMProvider]]
    places: Sequence[str]
    exports: Sequence[Export] = ()

    def label(self, route: int, role: str) -> str:
        """How the provider is shown that answers in a role on one of the plan's routes."""
        labels = labels_of(providers_of(self.routes))
        if self.config.run.fan_out == "all" or role in self.routes[0].further:
            return labels[id(self.routes[route].of(role))]
        own = dict.fromkeys(provider for route in self.routes for provider in route.own)
        return " or ".join(labels[id(provider)] for provider in own)

    def all_providers(self) -> Iterator[tuple[str, LLMProvider]]:
        """Every provider with its place in the file."""
        return zip(self.places, providers_of(self.routes), strict=True)

    def used_files(self) -> Iterator[UsedFile]:
        """The files of a run: first those that it only reads."""
        yield UsedFile("the config", self.path, written=False)
        yield UsedFile("the file of the keys", self.secrets, written=False)
        yield from self.config.used_files()
        for export in self.exports:
            yield UsedFile("formatters", export.path, written=True)

    def simulated(self) -> Project:
        """The same project with a simulated model in the place of each provider."""
        from datafast.llms.simulated.provider import SimulatedProvider

        return self._replaced(SimulatedProvider.standing_in_for)

    def on_local_model(self, model: str) -> Project:
        """The same project with one model of this machine in the place of each provider.

        Args:
            model: as `LlamaCppProvider` names it.

        Raises:
            ConfigError: it is neither a file nor a repository; llama.cpp is not installed.
        """
        from datafast.llms.local.llama_cpp import LlamaCppProvider
        from datafast.llms.spec import named_provider
        from datafast.personas.config import PersonasConfig
        from datafast.topics.config import TopicsConfig

        project, fields = self, {name: getattr(self.config, name) for name in type(self.config).model_fields}
        for field, grown in fields.items():
            if isinstance(grown, TopicsConfig | PersonasConfig) and grown.provider is not None:
                kept = LlamaCppProvider.options_like(named_provider(grown.provider))
                grown_by = {"provider": LlamaCppProvider.provider_name, "model_id": model, **kept}
                changed = {field: grown.model_copy(update={"provider": grown_by})}
                project = replace(project, config=project.config.model_copy(update=changed))
        try:
            made = project._replaced(lambda provider: LlamaCppProvider.standing_in_for(provider, model))
            for _, provider in made.all_providers():
                provider.require_ready()
        except ConfigError as error:
            if error.key is None:
                raise
            raise type(error)(f"--local: {str(error).removeprefix(f'{error.key}: ')}") from error
        return made

    def with_ledger(self, ledger: Path | None) -> Project:
        """The same with its ledger elsewhere; beside the output for None."""
        run = self.config.run.model_copy(update={"ledger": ledger})
        return replace(self, config=self.config.model_copy(update={"run": run}))

    def in_mode(self, mode: Literal["online", "batch"]) -> Project:
        """The same project with another `run.mode`."""
        run = self.config.run.model_copy(update={"mode": mode})
        return replace(self, config=self.config.model_copy(update={"run": run}))

    def _replaced(self, stand_in: Callable[[LLMProvider], LLMProvider]) -> Project:
        return replace(self, routes=replaced(self.routes, stand_in))

    def dataset(self, executor: Executor | None = None) -> Dataset[Any, Any]:
        return self.dataset_class(self.config, executor=executor)

    def generate(self, dataset: Dataset[Any, Any], options: RunOptions) -> RunReport:
        """Runs the dataset with this project's providers; raises what `generate` raises."""
        Generation(dataset, self.routes, options).run()
        simulated = any(provider.simulated for provider in providers_of(self.routes))
        if self.exports and dataset.shard is not None:
            warn_user(
                "formatters: Rows of one shard are not saved in other formats. Merge the shards, and use `datafast export`."
            )
        for export in () if simulated or dataset.shard is not None else self.exports:
            dataset.save(export.path, export.format)
        return cast("RunReport", dataset.report)

    async def asked_before(
        self, dataset: Dataset[Any, Any], item: WorkItem, recorded: Mapping[bytes, list[Recorded]]
    ) -> list[Asked]:
        """What an item of the dataset has asked this project's providers so far, by its recorded replies."""
        fan_out = self.config.run.fan_out
        return await asked_before(dataset.asking, item, routes=self.routes, fan_out=fan_out, recorded=recorded)

    def estimate(self, dataset: Dataset[Any, Any], *, fill: bool = False, shard: ShardName | None = None) -> Estimate:
        """What is left to generate with this project's providers will use, cost and take, by a run with these options."""
        return estimate_of(dataset, self.routes, fill=fill, shard=shard)
