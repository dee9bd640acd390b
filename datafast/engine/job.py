"""The description of a run: all that an executor needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from datafast.engine.alarms import AlarmsConfig
from datafast.engine.control import RunControl
from datafast.engine.events import AlarmRaised, EventCallback
from datafast.engine.generate import Generate
from datafast.engine.reasoning import DROP, ReasoningPlace
from datafast.engine.reviewing import Overruling
from datafast.engine.routes import Route, providers_of
from datafast.engine.settings import RunConfig
from datafast.engine.stages import AnyStage, Asks, Decides, Walks, asks, settings_of
from datafast.engine.targets import Targets
from datafast.errors import CallFailed
from datafast.plan.items import Plan, WorkItem
from datafast.store.paths import OutputPaths
from datafast.store.shards import ShardName
from datafast.types import RunReport

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider
    from datafast.store.held_replies import HeldReplies
    from datafast.store.locating import Located

__all__ = ["Job", "Produce", "asking"]


class Produce(Protocol):
    """A kind's coroutine: turns an item into its rows, in order. A row that failed is replaced by its error, one that is missing by
    None."""

    async def __call__(self, item: WorkItem, generate: Generate) -> Sequence[BaseModel | CallFailed | None]: ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done, who answers, where it is written, and how.

    Attributes:
        plan: what is to be done, for these routes.
        row_model: the model of a row as stages see it.
        fields: the names of the fields of a row.
        reasoning: where what models thought stands in the rows.
        decide_only: decide about the rows that are recorded, and make no other.
        wait: whether the run waits for batches that are under way.
        stages: the stages that decide about rows, in this order.
        shard: which shard of a dataset it makes; its plan, settings and stages are those of the shard.
        deferred: what decides about rows when shards are put together: the stages that compare them, and targets.
        regenerate: how often a row that they drop is made again.
        reviews: what people have decided about rows, which overrules the stages; None where nobody has.
        alarms: when the run warns, pauses or stops by itself.
        is_refusal: whether a row reads as a refusal, for an alarm.
        on_alarm: is asked whether a run that an alarm has paused goes on.
        control: what pauses, resumes and stops the run, and changes how many requests are in flight.
        targets: rows that are to be accepted; the plan then grows by rounds until they are there.
        in_plan_order: whether rows are compared with each other in the order of the plan; else in one that growing it leaves as it is.
        what: what is made, for the log, if it is not rows.
        notes: what `datafast status` shows later.
        about: gives what the manifest of the output says of how a plan is made, as JSON; None for a run that writes none.
        located: where the items of the output were found in the plan, if they were looked for already.
        on_report: gets the report, also if the caller is interrupted and never sees the returned value.
        also_spent: ledgers whose costs for this output also count for the budget; they need not exist.
        waits_for_turn: whether it waits where another process writes to its output. Else it is refused.
        made_for: of a run in front of others' runs: the ledger of the output that it is made for (an empty path if for none), whose budget
            its costs count for. None for a run that is made for its own output.
        held: how far replies may be dropped, of an output that is kept elsewhere too.
    """

    plan: Plan
    routes: Sequence[Route[LLMProvider]]
    produce: Produce
    paths: OutputPaths
    settings: RunConfig
    row_model: type[BaseModel] = BaseModel
    fields: Sequence[str] = ()
    reasoning: ReasoningPlace = DROP
    stages: Sequence[AnyStage] = ()
    shard: ShardName | None = None
    deferred: Sequence[AnyStage] = ()
    regenerate: int = 0
    reviews: Overruling | None = None
    targets: Targets | None = None
    in_plan_order: bool = False
    limit: int | None = None
    fresh: bool = False
    retry_failed: bool = False
    wait: bool = True
    decide_only: bool = False
    alarms: AlarmsConfig | None = None
    is_refusal: Callable[[BaseModel], bool] | None = None
    on_alarm: Callable[[AlarmRaised], bool] | None = None
    control: RunControl | None = None
    on_event: EventCallback | None = None
    what: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    about: Callable[[Plan], str] | None = None
    also_spent: Sequence[Path] = ()
    waits_for_turn: bool = False
    made_for: Path | None = None
    held: HeldReplies | None = None
    located: Located | None = None
    on_report: Callable[[RunReport], None] | None = None

    @property
    def providers(self) -> list[LLMProvider]:
        """All providers, each once."""
        return providers_of(self.routes)

    @cached_property
    def row_stages(self) -> list[Decides]:
        """Those of the stages that look at one row, and decide first."""
        return [stage for stage in self.stages if isinstance(stage, Decides)]

    @cached_property
    def walk_stages(self) -> list[Walks]:
        """Those that compare rows with the ones before them."""
        return [stage for stage in self.stages if isinstance(stage, Walks)]

    @cached_property
    def compared_live(self) -> list[Walks]:
        """The stages that compare rows while they come, for what is told of the run; in a shard too, where they decide nothing."""
        compares = [*self.walk_stages, *(stage for stage in self.deferred if isinstance(stage, Walks))]
        return [stage for stage in compares if stage.compares_live]

    @property
    def compared_targets(self) -> Targets | None:
        """The targets beyond which rows are surplus, where all rows are there to be compared: not in a shard."""
        return self.targets if self.shard is None else None

    @cached_property
    def stage_settings(self) -> str:
        """What verdicts about rows depend on that look at one row: settings of stages, and decisions of reviewers."""
        mark = "" if self.reviews is None else self.reviews.mark
        return settings_of(self.row_stages, regenerate=self.regenerate, reviews=mark)

    def writers_of(self, item: WorkItem) -> list[str]:
        """Who may write the rows of an item, as `provider/model_id`."""
        routes = [self.routes[item.route]] if self.settings.fan_out == "all" else self.routes
        return [provider.label for route in routes for provider in route.own]

    @property
    def asking(self) -> Produce:
        """`produce`, with what the stages ask about its rows."""
        return asking(self.produce, self.stages)

    @property
    def buyer(self) -> Path:
        """The ledger of the output whose budget its costs count for; an empty path for none."""
        return self.paths.ledger if self.made_for is None else self.made_for

    @property
    def simulated(self) -> bool:
        """Whether simulated models answer."""
        return any(provider.simulated for provider in self.providers)


def asking(produce: Produce, stages: Sequence[AnyStage]) -> Produce:
    """A `produce` that also asks what the stages ask about its rows. They ask about all rows, whatever other stages decide: calls are
    counted with made-up rows and replies, of which stages may drop more or fewer than of real ones."""
    asked = [stage for stage in stages if asks(stage)]
    if not asked:
        return produce

    async def ask(stage: Asks, row: BaseModel, item: WorkItem, generate: Generate) -> None:
        with suppress(CallFailed):  # the run will say it of real rows
            await stage.ask(row, item, generate)

    async def with_stages(item: WorkItem, generate: Generate) -> Sequence[BaseModel | CallFailed | None]:
        rows = await produce(item, generate)
        about = generate.for_stages()
        made = [row for row in rows if isinstance(row, BaseModel)]
        await generate.gather(*(ask(stage, row, item, about) for row in made for stage in asked))
        return rows

    return with_stages
