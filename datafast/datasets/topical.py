"""What kinds whose rows are about the topics of a topic model have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from datafast.datasets.config import PromptDatasetConfig
from datafast.datasets.dataset import ConfigT, Dataset, RowT
from datafast.store.paths import OutputPaths, UsedFile
from datafast.topics.supply import TopicSupply, grown_file

if TYPE_CHECKING:
    from datafast.engine.options import RunOptions
    from datafast.engine.preparation import Preparation
    from datafast.engine.routes import Route
    from datafast.llms.provider import LLMProvider
    from datafast.topics.model import TopicModel

__all__ = ["TopicalConfig", "TopicalDataset"]


class TopicalConfig(PromptDatasetConfig):
    """The config of a kind with topics.

    Attributes:
        topics_field: the field with the topics, of the type `TopicSource`.
    """

    topics_field: ClassVar[str] = "topics"

    @property
    def topic_source(self) -> Any:
        """The value of that field."""
        return getattr(self, self.topics_field)

    def used_files(self) -> Iterator[UsedFile]:
        field, topics = self.topics_field, self.topic_source
        if (file := getattr(topics, "read_from", None)) is not None:
            yield UsedFile(field, file, written=False)
        yield from super().used_files()
        if (file := grown_file(topics, self.paths.rows)) is not None:
            yield from OutputPaths.of(file).used(f"{field}.file", f"{field}.file")


class TopicalDataset(Dataset[ConfigT, RowT]):
    """A kind with topics, which may have to be grown before it can plan."""

    def __init__(self, config: ConfigT, **options: Any) -> None:
        super().__init__(config, **options)
        assert isinstance(config, TopicalConfig)  # noqa: S101 - for the type checker; the kind's config_model is one
        self._topics = TopicSupply(config.topic_source, config.paths.rows, run=config.run, field=config.topics_field)

    @property
    def topics(self) -> TopicModel:
        """The topic model; if the topics are not grown yet, a placeholder of the same size."""
        return self._topics.model

    @property
    def topic_supply(self) -> TopicSupply | None:
        """The source of the topics; None where a kind does without and none are given."""
        return None if self._topics.is_empty else self._topics

    def preparations(self, routes: Sequence[Route[LLMProvider]], options: RunOptions) -> Sequence[Preparation]:
        topics = self._topics.preparations(
            routes[0],
            options,
            executor=self.executor,
            ledger=self.paths.ledger,
            others=super().other_ledgers(),
        )
        return [*super().preparations(routes, options), *topics]

    def other_ledgers(self) -> Sequence[Path]:
        return [*super().other_ledgers(), *self._topics.ledgers]
