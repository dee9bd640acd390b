"""Growing a topic model as a run of its own: one item, one row with the whole model, and a ledger with every reply.

So nothing is paid for twice after the process died, and many datasets can use the file.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel

from datafast._util.scratch import Scratch
from datafast.engine.expected_usage import Span
from datafast.engine.growing import Grower, GrownFile, growth_settings
from datafast.errors import RunStopped, TopicsError
from datafast.executors.local import LocalExecutor
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.topics.growth import ROLE, Growing, grow

if TYPE_CHECKING:
    from datafast.engine.events import EventCallback
    from datafast.engine.generate import Generate
    from datafast.engine.job import Job
    from datafast.engine.settings import RunConfig
    from datafast.executors.base import Executor
    from datafast.llms.provider import LLMProvider
    from datafast.topics.building import Divided
    from datafast.topics.config import TopicsConfig
    from datafast.types import RunReport

__all__ = [
    "TOKENS_PER_TOPIC",
    "Growth",
    "TopicsRow",
    "growing",
    "grown_record",
    "read_record",
]

TOKENS_PER_TOPIC = Span(5.0, 12.0, 25.0)
"""What is guessed for a topic of at most ten words, in JSON."""
_MEASURED_CALLS = 300


class TopicsRow(BaseModel):
    """A grown model in its file: what `TopicModel.to_dict` gives, which model grew it, and from which config."""

    format: str
    shape: str
    topics: list[dict[str, Any]]
    merged: int
    refused_links: list[list[str]]
    failed: list[dict[str, Any]]
    model_id: str
    grown_from: dict[str, Any]


class Growth:
    """Grows a config with a provider into its file, or into a temporary file that is removed with this object.

    Args:
        begin: makes a model of the config's shape that has only a root.
        run: limits and retries. Missing subtopics are always asked for again.
        offline: use a simulated model.
        dataset: the ledger of the dataset that it is grown for; the budget in `run` holds for both together.
        others: further ledgers of that dataset.
        shared: whether other datasets may use the file too; each budget then counts only what was bought for its own dataset.
        on_divided: is told of each topic that is divided.
    """

    def __init__(
        self,
        config: TopicsConfig,
        provider: LLMProvider,
        *,
        begin: Callable[[str], Growing],
        run: RunConfig | None = None,
        offline: bool = False,
        executor: Executor | None = None,
        dataset: Path | None = None,
        others: Sequence[Path] = (),
        shared: bool = True,
        on_divided: Divided | None = None,
    ) -> None:
        self.offline = offline
        self._config = config
        self._begin = begin
        self._provider = provider
        self._settings = growth_settings(run)
        self._executor = executor or LocalExecutor()
        self._dataset = dataset
        self._others = others
        self.on_divided = on_divided
        self.path = config.file or self._scratch() / "topics.json"
        self.file = GrownFile(self.path, "topics", shared)

    def _scratch(self) -> Path:
        scratch = Scratch()
        scratch.remove_with(self)
        return scratch.folder

    def run(self, *, fresh: bool = False, on_event: EventCallback | None = None) -> tuple[dict[str, Any], RunReport]:
        """Grows what is missing and returns the record of the model.

        Raises:
            TopicsError: topics could not be divided for good.
            RunStopped: the run ended early.
        """
        return self.outcome(self._executor.run(self.job(fresh=fresh, on_event=on_event)))

    async def run_async(
        self, *, fresh: bool = False, on_event: EventCallback | None = None
    ) -> tuple[dict[str, Any], RunReport]:
        """`run`, to be awaited from any event loop."""
        return self.outcome(await self._executor.run_async(self.job(fresh=fresh, on_event=on_event)))

    def job(
        self, *, fresh: bool = False, again: bool = False, wait: bool = True, on_event: EventCallback | None = None
    ) -> Job:
        """The run that grows the model.

        Args:
            again: ask again for topics that could not be divided and became leaves; the others come from recorded replies.
            wait: whether it waits for batches that are under way.
        """
        return Grower(ROLE, self._provider, self.offline).job(
            self.file,
            lambda routes: self._plan(routes, again=again),
            self._produce,
            what=growing(self._config),
            config=self._config.model_dump_json(exclude={"provider"}),
            settings=self._settings,
            dataset=self._dataset,
            others=self._others,
            fresh=fresh,
            wait=wait,
            on_event=on_event,
        )

    def measured(self, *, fresh: bool = False, again: bool = False) -> Job:
        """The run, or that of a model with fewer levels, which is small enough to be tried out."""
        config, small = self._config, copy.copy(self)
        while config.depth > 1 and config.num_calls > _MEASURED_CALLS:
            config = config.model_copy(update={"depth": config.depth - 1})
        small._config, small.on_divided = config, None
        return small.job(fresh=fresh, again=again)

    def _plan(self, routes: Sequence[str], *, again: bool) -> GridPlan:
        config = self._config
        # Without degree and depth, because a deeper model uses the same replies.
        root = Dimension("topic", [config.topic_prompt])
        shape = [config.shape, str(config.degree), str(config.depth), config.topic_system_prompt or "", config.on_error]
        if again:  # another model than the one that is there, made of the same replies and new ones
            shape.append(f"after {self.file.num_calls} calls")
        return GridPlan("topics", [root], routes=routes, shape=shape, seed=self._settings.seed)

    async def _produce(self, item: WorkItem, generate: Generate) -> list[TopicsRow]:
        begun = self._begin(self._config.topic_prompt)
        model = await grow(begun, self._config, generate, on_divided=self.on_divided)
        return [TopicsRow(**model.to_dict(), model_id=generate.model_id(ROLE), grown_from=_asked(self._config))]

    def outcome(self, report: RunReport) -> tuple[dict[str, Any], RunReport]:
        """The result of a job: the record of the model and the report; raises as `run` does."""
        if report.stop_cause is not None:
            raise RunStopped(report)
        if report.failed:
            raise TopicsError(self.file.failure(), report=report)
        return read_record(self.path), report


def growing(config: TopicsConfig) -> str:
    """What a run does that grows a model, in a few words for the user."""
    return f"Growing the topic {config.shape} of {config.topic_prompt!r}"


def read_record(path: Path) -> dict[str, Any]:
    """The record in the file of a grown model."""
    record: dict[str, Any] = orjson.loads(path.read_bytes())
    return record


def grown_record(config: TopicsConfig, path: Path) -> dict[str, Any] | None:
    """The record in a file, if it was grown from a config that asks for the same; else None."""
    try:
        record = read_record(path)
    except (OSError, orjson.JSONDecodeError):
        return None
    return record if isinstance(record, dict) and record.get("grown_from") == _asked(config) else None


def _asked(config: TopicsConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", include={"topic_prompt", "shape", "degree", "depth", "topic_system_prompt"})
