"""From the `topics` of a config to a topic model, which is given, in the file of an earlier run, or still to be grown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast.engine.preparation import Preparation
from datafast.llms.spec import named_provider
from datafast.store.paths import OutputPaths
from datafast.topics.config import TopicsConfig
from datafast.topics.field import given_model, stand_in
from datafast.topics.model import TopicModel
from datafast.topics.shapes import shape_of

if TYPE_CHECKING:
    from datafast.engine.options import RunOptions
    from datafast.engine.routes import Route
    from datafast.engine.settings import RunConfig
    from datafast.executors.base import Executor
    from datafast.llms.provider import LLMProvider
    from datafast.types import RunReport

__all__ = ["TopicSupply", "grown_file"]


def grown_file(topics: Any, output_file: Path) -> Path | None:
    """The file that the topics of a config are grown into, by default next to the output file; None for topics that are given."""
    config = _to_grow(topics)
    return None if config is None else config.file or output_file.with_name(output_file.name + ".topics.json")


def _to_grow(topics: Any) -> TopicsConfig | None:
    if isinstance(topics, TopicModel):
        return None if topics.is_built else topics.config  # type: ignore[attr-defined]  # those that are not built have one
    return topics if isinstance(topics, TopicsConfig) else None


class TopicSupply:
    """The topics of one dataset.

    Args:
        topics: the field of the config.
        output_file: of the dataset; a model without a file of its own is kept next to it.
        field: the name of that field.
    """

    def __init__(self, topics: Any, output_file: Path, *, run: RunConfig, field: str = "topics") -> None:
        self._field = field
        self._given = given_model(topics)
        self._config = _to_grow(topics)
        self._object: Any = topics if self._given is None and isinstance(topics, TopicModel) else None
        self._own_provider: LLMProvider | None = getattr(topics, "provider", None) if self._given is None else None
        if isinstance(topics, TopicsConfig):
            self._own_provider = None if topics.provider is None else named_provider(topics.provider)
        self._file = grown_file(topics, output_file)
        self._run = run
        self._grown: TopicModel | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no topics are given, nor anything to grow them from."""
        return self._given is None and self._config is None

    @property
    def path(self) -> Path | None:
        """The file of a grown model; None for a given one."""
        return self._file

    @property
    def ledgers(self) -> list[Path]:
        """The ledgers of a grown model."""
        return [] if self.path is None else [OutputPaths.of(self.path).ledger]

    @property
    def model(self) -> TopicModel:
        """The model; if it is not grown yet, a placeholder of the same size with made-up names."""
        if self._given is not None:
            return self._given
        if self._grown is None:
            self._grown = self._from_file()
        return self._grown or stand_in(self.config)

    @property
    def is_grown(self) -> bool:
        """Whether the topics are known."""
        return self._given is not None or self._grown is not None or self._from_file() is not None

    @property
    def config(self) -> TopicsConfig:
        """The settings to grow the model from."""
        if self._config is None:
            raise TypeError("These topics were given, so there is no config to grow them from.")
        return self._config

    def _from_file(self) -> TopicModel | None:
        from datafast.topics.build import grown_record

        record = grown_record(self.config, self.path or Path())
        return None if record is None else shape_of(self.config.shape).from_dict(record)

    def preparations(
        self,
        route: Route[LLMProvider],
        options: RunOptions,
        *,
        executor: Executor,
        ledger: Path,
        others: Sequence[Path] = (),
        fresh: bool | None = None,
    ) -> Sequence[Preparation]:
        """The run that grows the model, if it has to be grown.

        Args:
            route: its first member is asked if the config names no provider.
            ledger: the dataset's ledger, whose costs count for the same budget.
            others: further ledgers of the dataset.
            fresh: whether an existing model is grown again; by default the options decide, for a model that belongs only to
                this dataset.
        """
        if self._config is None:
            return ()
        from datafast.engine.growing import Grower, GrownFile, growth_settings, is_shared
        from datafast.topics.build import TOKENS_PER_TOPIC, Growth, growing
        from datafast.topics.growth import ROLE

        file = GrownFile(self._file or Path(), "topics", shared=is_shared(self._config.file, options))
        grower = Grower.chosen(ROLE, self._own_provider, route, options, field=self._field)
        again = False
        if fresh is None:
            fresh = options.get("fresh", False) and not file.shared
        if not fresh:
            if not grower.offline:
                file.refuse_simulated(
                    cure=f"Grow real ones with `datafast topics build CONFIG --fresh`, or name another file under {self._field}.file."
                )
            known = self._from_file()
            again = known is not None and bool(known.failed) and options.get("retry_failed", False)
            if known is not None and not again and not file.was_interrupted:
                return ()
        growth = Growth(
            self._config.model_copy(update={"file": file.path}),
            grower.provider,
            begin=shape_of(self._config.shape).begun,
            run=growth_settings(self._run, options),
            offline=grower.offline,
            executor=executor,
            dataset=ledger,
            others=others,
            shared=file.shared,
        )

        def done(report: RunReport) -> None:
            record, _ = growth.outcome(report)
            self._grown = shape_of(self.config.shape).from_dict(record)
            if self._object is not None and not grower.offline:
                self._object.take_grown(record, report)  # later uses of the object need not grow it again

        return [
            Preparation(
                growing(self._config),
                growth.job(fresh=fresh, again=again, wait=options.get("wait", True)),
                done,
                calls=self._config.num_calls,
                measured=growth.measured(fresh=fresh, again=again),
                tokens_per_text=TOKENS_PER_TOPIC,
            )
        ]
