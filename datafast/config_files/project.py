"""What a config file describes: a dataset and who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast.engine.routes import labels_of, providers_of
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.datasets.base import Dataset, RunOptions
    from datafast.datasets.config import DatasetConfig
    from datafast.engine.estimate import Estimate
    from datafast.executors.base import Executor
    from datafast.llms.provider import LLMProvider
    from datafast.types import RunReport

__all__ = ["Project"]


@dataclass(frozen=True)
class Project:
    """A checked config.

    Attributes:
        path: the file it was read from.
        secrets: where keys are expected, for messages.
        dataset_class: the dataset class of its kind.
        providers: a list, or one for each role where the kind has roles.
        places: for each provider in their order, where it stands in the file (`FILE:LINE: providers[0]`).
    """

    path: Path
    secrets: Path
    dataset_class: type[Dataset[Any, Any]]
    config: DatasetConfig
    providers: Sequence[LLMProvider] | Mapping[str, LLMProvider]
    places: Sequence[str]

    @property
    def routes(self) -> list[LLMProvider | Mapping[str, LLMProvider]]:
        """Who answers each share of the plan, as `Dataset.plan_for` and the engine take it."""
        return [self.providers] if isinstance(self.providers, Mapping) else list(self.providers)

    def label(self, route: int, role: str) -> str:
        """How the provider is shown that answers in a role of a route."""
        labels = labels_of(providers_of(self.routes))
        if isinstance(self.providers, Mapping):
            return labels[id(self.providers[role])]
        if self.config.run.fan_out == "all":
            return labels[id(self.providers[route])]
        return " or ".join(labels[id(provider)] for provider in self.providers)

    def all_providers(self) -> Iterator[tuple[str, LLMProvider]]:
        """Every provider with its place in the file."""
        providers = self.providers.values() if isinstance(self.providers, Mapping) else self.providers
        return zip(self.places, providers, strict=True)

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
        from datafast.llms.registry import provider_from_spec
        from datafast.topics.config import TopicsConfig

        project, topics = self, getattr(self.config, "topics", None)
        if isinstance(topics, TopicsConfig) and topics.provider is not None:
            kept = LlamaCppProvider.options_like(provider_from_spec(topics.provider))
            grown_by = {"provider": LlamaCppProvider.provider_name, "model_id": model, **kept}
            topics = topics.model_copy(update={"provider": grown_by})
            project = replace(self, config=self.config.model_copy(update={"topics": topics}))
        try:
            made = project._replaced(lambda provider: LlamaCppProvider.standing_in_for(provider, model))
            for _, provider in made.all_providers():
                provider.require_ready()
        except ConfigError as error:
            if error.key is None:
                raise
            raise type(error)(f"--local: {str(error).removeprefix(f'{error.key}: ')}") from error
        return made

    def _replaced(self, stand_in: Callable[[LLMProvider], LLMProvider]) -> Project:
        if isinstance(self.providers, Mapping):
            return replace(self, providers={role: stand_in(provider) for role, provider in self.providers.items()})
        return replace(self, providers=[stand_in(provider) for provider in self.providers])

    def dataset(self, executor: Executor | None = None) -> Dataset[Any, Any]:
        return self.dataset_class(self.config, executor=executor)

    def generate(self, dataset: Dataset[Any, Any], options: RunOptions) -> RunReport:
        """Runs the dataset with this project's providers; raises what `generate` raises."""
        runner: Any = dataset  # the two signatures of kinds, with and without roles
        if isinstance(self.providers, Mapping):
            runner.generate_roles(self.providers, **options)
        else:
            runner.generate(self.providers, **options)
        report: RunReport = runner.report
        return report

    def estimate(self, dataset: Dataset[Any, Any]) -> Estimate:
        """What is left to generate with this project's providers will use, cost and take."""
        estimator: Any = dataset
        roles = isinstance(self.providers, Mapping)
        found: Estimate = (estimator.estimate_roles if roles else estimator.estimate)(self.providers)
        return found
