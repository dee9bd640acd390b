"""Generating a dataset: from the providers that a user gives, over the runs that have to come first, to its report.

There are two sorts of kinds: those that ask any of their providers for whole items, and those that ask one provider in each role. A kind
of the first sort whose config lists `roles` takes a provider for each of them too, in the place of a list.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, Unpack

from datafast._util.notify import did_you_mean, warn_user
from datafast.datasets.dataset import ConfigT, Dataset, RowT
from datafast.datasets.sharding import refuse_other_shards, refuse_without_shard
from datafast.engine.announcement import tell_change, tell_change_async
from datafast.engine.control import RunControl
from datafast.engine.event_stream import stream_events
from datafast.engine.events import Event, EventCallback, RunEnded
from datafast.engine.filling import FILLS, fills_in, noted, with_fills
from datafast.engine.job import Job
from datafast.engine.notebook import shown_in_notebook
from datafast.engine.options import RunOptions, check_options, checked_provider
from datafast.engine.preparation import Preparation, combined, stopped_early
from datafast.engine.reasoning import ReasoningPlace
from datafast.engine.reviewing import Overruling, overruling
from datafast.engine.routes import Route, providers_of, replaced, with_further
from datafast.engine.shard_limits import routes_of_shard, settings_of_shard
from datafast.engine.stages import AnyStage, Decides
from datafast.engine.targets import NOTED
from datafast.errors import ConfigError, GrowthError, OutputError, RunStopped
from datafast.logger_config import log_file
from datafast.plan.filled import filled
from datafast.plan.items import Plan
from datafast.plan.stratified import StratifiedPlan
from datafast.quality.base import allow_commands
from datafast.storage.local import LocalRun, OutputContext
from datafast.store.held_replies import HeldReplies
from datafast.store.paths import UsedFile, refuse_shared
from datafast.store.reader import LedgerReader
from datafast.store.shards import ShardName
from datafast.types import RunReport

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.alarms import AlarmsConfig
    from datafast.engine.estimated import Estimate
    from datafast.llms.provider import LLMProvider

__all__ = ["FanOutDataset", "Generation", "RoleDataset", "estimate_of", "plan_ahead", "runs_before", "with_stand_ins"]

P = TypeVar("P")

_NOTHING_LOST = "fill: No combination of values has lost all its rows, so nothing is bought again."
_PART = "Shard {}: limits of the config are divided among all shards."
_GROWN_ONCE = "What is grown first is counted in full. It is grown once for all shards, by the first one that begins; others wait for it."
_NOT_COUNTED = (
    "regenerate: What it takes to make dropped rows again is not counted, because it is not known how many will be."
)


class FanOutDataset(Dataset[ConfigT, RowT]):
    """A kind that asks its providers for whole items: all of them, one of them, or the first that answers.

    If its config lists `roles`, it also takes a mapping with one provider for each of them.
    """

    def get_num_expected_rows(
        self,
        providers: Sequence[object] | Mapping[str, object] | None = None,
        *,
        llms: Sequence[object] | None = None,
    ) -> int:
        """The number of rows that `generate(providers)` makes. Makes no call; only the number of providers counts.

        `llms` is the first datafast's name of `providers`.
        """
        given = _some(providers, llms, roles=_roles_of(self.config))
        routes = [Route.by_role(given)] if isinstance(given, Mapping) else list(map(Route.single, given))
        return self.expected_rows(self.whole_plan_for(routes))

    def generate(
        self,
        providers: Sequence[LLMProvider] | Mapping[str, LLMProvider] | None = None,
        *,
        llms: Sequence[LLMProvider] | None = None,
        **options: Unpack[RunOptions],
    ) -> Self:
        """Generates what is missing in the output file.

        Every prompt goes to every provider, unless `run.fan_out` in the config says otherwise. A mapping of the kind's roles has
        one provider for each instead. Items that fail raise nothing; see `report`. Running it again makes no call for rows that
        exist. `llms` is the first datafast's name of `providers`.

        Returns:
            This dataset.

        Raises:
            ConfigError: the config, the providers or the options are wrong; nothing was sent.
            OutputError: the output cannot be used as it is; nothing was sent.
            RunStopped: the run ended early and can be resumed.
        """
        Generation(self, self._routes(providers, llms), options).run()
        return self

    async def generate_async(
        self, providers: Sequence[LLMProvider] | Mapping[str, LLMProvider], **options: Unpack[RunOptions]
    ) -> Self:
        """`generate`, to be awaited from any event loop."""
        await Generation(self, self._routes(providers), options).run_async()
        return self

    def generate_events(
        self, providers: Sequence[LLMProvider] | Mapping[str, LLMProvider], **options: Unpack[RunOptions]
    ) -> AsyncGenerator[Event, None]:
        """`generate` as an asynchronous iteration over the events of the run, in any event loop.

        It ends after `RunEnded`. The run does not wait for the iteration: events that were not taken yet are kept in memory.
        Leaving the iteration early (`break`, `aclose`) ends the run like an interruption: requests in flight land and are
        saved. With `async with contextlib.aclosing(...)` around it, this is done when the block ends.

        Raises:
            ConfigError, OutputError, RunStopped: as `generate` does; RunStopped after the last event.
        """
        return _events(self, self._routes(providers), options)

    def job_for(self, routes: Sequence[Route[LLMProvider]]) -> Job:
        return Generation(self, routes, {}).job()

    def estimate(
        self,
        providers: Sequence[LLMProvider] | Mapping[str, LLMProvider],
        *,
        fill: bool = False,
        shard: tuple[int, int] | str | None = None,
    ) -> Estimate:
        """Tokens, cost and time of what is left to generate, with their ranges. Needs no key and sends nothing.

        See `datafast.engine.estimate` for the method and its limits.

        Args:
            fill: whether the run has this option too, so that what is missing now is bought again.
            shard: of a run with this option, which makes one shard.
        """
        return estimate_of(self, self._routes(providers), fill=fill, shard=shard)

    def _routes(
        self, providers: Sequence[LLMProvider] | Mapping[str, LLMProvider] | None, llms: object = None
    ) -> list[Route[LLMProvider]]:
        given = _some(providers, llms, roles=_roles_of(self.config))
        if isinstance(given, Mapping):
            return [_route_by_role(self.config, given)]
        return [
            Route.single(checked_provider(provider, f"providers[{number}]")) for number, provider in enumerate(given)
        ]


class RoleDataset(Dataset[ConfigT, RowT]):
    """A kind that asks one provider in each role. `roles` of its config lists the roles.

    Attributes:
        provider_keywords: the keyword of `generate` for the provider of each role, in kinds with such keywords.
    """

    provider_keywords: ClassVar[Mapping[str, str]] = {}
    has_parts = True

    def get_num_expected_rows(self, providers: object = None, *, llms: object = None) -> int:
        """The number of rows that `generate` makes. Makes no call.

        `providers`, or `llms` as the first datafast called them, may be given: how many there are changes nothing here.
        """
        return self.expected_rows(self.whole_plan(["roles"]))

    def generate(
        self,
        providers: Mapping[str, LLMProvider] | LLMProvider | None = None,
        *others: LLMProvider | None,
        **options: Any,
    ) -> Self:
        """Generates what is missing in the output file, asking one provider in each role; see `FanOutDataset.generate`.

        Args:
            providers: who answers, by role; or the provider of the only role or, in kinds with keywords for their roles, the first.
            *others: then the providers of the further roles, in the order of the keywords.
            **options: those of a run (`RunOptions`), and providers under the kind's keywords for its roles.
        """
        Generation(self, *self._routes(self._by_position(providers, others), options)).run()
        return self

    async def generate_async(
        self,
        providers: Mapping[str, LLMProvider] | LLMProvider | None = None,
        *others: LLMProvider | None,
        **options: Any,
    ) -> Self:
        """`generate`, to be awaited from any event loop."""
        await Generation(self, *self._routes(self._by_position(providers, others), options)).run_async()
        return self

    def generate_events(
        self,
        providers: Mapping[str, LLMProvider] | LLMProvider | None = None,
        *others: LLMProvider | None,
        **options: Any,
    ) -> AsyncGenerator[Event, None]:
        """`generate`, as an asynchronous iteration over the events of the run; see `FanOutDataset.generate_events`."""
        return _events(self, *self._routes(self._by_position(providers, others), options))

    def job_for(self, routes: Sequence[Route[LLMProvider]]) -> Job:
        return Generation(self, routes, {}).job()

    def estimate(
        self,
        providers: Mapping[str, LLMProvider] | LLMProvider | None = None,
        *others: LLMProvider | None,
        fill: bool = False,
        shard: tuple[int, int] | str | None = None,
        **keywords: LLMProvider | None,
    ) -> Estimate:
        """Tokens, cost and time of what is left to generate; see `FanOutDataset.estimate`."""
        routes, _ = self._routes(self._by_position(providers, others), keywords)
        return estimate_of(self, routes, fill=fill, shard=shard)

    generate_roles = generate
    estimate_roles = estimate

    def _by_position(
        self, first: Mapping[str, LLMProvider] | LLMProvider | None, others: Sequence[LLMProvider | None]
    ) -> Mapping[str, LLMProvider] | None:
        """Providers by role that were given by position."""
        if not others and (first is None or isinstance(first, Mapping)):
            return first
        if isinstance(first, list | tuple) and not others:
            raise ConfigError(
                f"providers: expected a provider for each role, got a list. Give them one by one, in the order "
                f"{', '.join(self.config.roles)}, or as a mapping of roles."
            )
        given, names = (first, *others), list(self.provider_keywords) or list(self.config.roles)  # type: ignore[attr-defined]
        if len(given) > len(names) or isinstance(first, Mapping) or (len(names) > 1 and not self.provider_keywords):
            roles = ", ".join(f"{role!r}: ..." for role in self.config.roles)  # type: ignore[attr-defined]
            raise ConfigError(f"providers: expected providers by role. Give one mapping, {{{roles}}}.")
        return {
            role: provider  # type: ignore[misc]  # checked with the others
            for role, provider in zip(names, given, strict=False)
            if provider is not None
        }

    def _routes(
        self, providers: Mapping[str, LLMProvider] | None, options: Mapping[str, Any]
    ) -> tuple[list[Route[LLMProvider]], RunOptions]:
        """The route, and the options without providers."""
        roles = {keyword: role for role, keyword in self.provider_keywords.items()}
        by_keyword = {roles[name]: value for name, value in options.items() if name in roles}
        given = {
            role: provider for role, provider in {**by_keyword, **(providers or {})}.items() if provider is not None
        }
        rest: Any = {name: value for name, value in options.items() if name not in roles}
        check_options(rest, ["providers", *roles])
        return [_route_by_role(self.config, given, self.provider_keywords)], rest


class Generation:
    """One `generate` of a dataset: the runs that have to come first, then its own.

    Attributes:
        fills_nothing: whether what is missing is to be bought again, and nothing is. `job` says so.
    """

    def __init__(self, dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], options: RunOptions) -> None:
        self._dataset = dataset
        self._routes = with_further(routes, dataset.config.further_roles())
        self._options = options
        self._before: list[RunReport] = []
        self._held: HeldReplies | None = None
        self.fills_nothing = False

    def choose_shard(self) -> None:
        """Makes the dataset the shard that the options say, or the whole. Raises ConfigError if they say no shard."""
        given = self._options.get("shard")
        self._dataset.shard = None if given is None else ShardName.given(given)

    def run(self) -> None:
        """Carries it out and waits for it; raises what `generate` raises."""
        with self._output() as output:
            self._check()
            executor = self._dataset.executor
            with self._shown() as on_event:
                for preparation in self._preparations():
                    self._prepared(preparation, executor.run(self._announced(preparation, on_event)), on_event)
                job = tell_change(self._own_job(on_event), self._options.get("on_change"))
                self._ended(output.ended(executor.run(job)))

    async def run_async(self) -> None:
        """`run`, to be awaited from any event loop."""
        async with self._output() as output:
            self._check()
            executor = self._dataset.executor
            with self._shown() as on_event:
                for preparation in self._preparations():
                    report = await executor.run_async(self._announced(preparation, on_event))
                    self._prepared(preparation, report, on_event)
                job = await tell_change_async(self._own_job(on_event), self._options.get("on_change"))
                self._ended(await output.ended_async(await executor.run_async(job)))

    def _output(self) -> OutputContext:
        """The context of the runs: what a remote output needs around them."""
        config = self._dataset.config
        if config.url is None:
            return LocalRun()
        from datafast.storage.session import RemoteRun  # most outputs are local

        check_options(self._options)
        self.choose_shard()
        url = self._dataset.url
        assert url is not None  # noqa: S101 - of a remote output
        if self._dataset.shard is not None and self._dataset.other_ledgers():
            raise ConfigError(
                f"shard (--shard): What the rows are about is to be grown, and every machine would grow its own for {config.url}. Grow it "
                f"first, and name the file in the config.",
                key="shard",
            )

        control = self._options.get("control") or RunControl()
        self._options = {**self._options, "control": control}
        self._held = HeldReplies()
        fresh = self._options.get("fresh", False)
        return RemoteRun(url, config.run, fresh=fresh, columns=self._columns, stop=control.stop, held=self._held)

    def refresh(self) -> None:
        """Has what a remote output holds on this machine, where a plan is compared with it."""
        if (url := self._dataset.url) is not None:
            from datafast.storage.session import refreshed  # most outputs are local

            refreshed(url, self._dataset.config.run)

    def _columns(self) -> Sequence[Mapping[str, Any]]:
        from datafast.export.features import described  # only where rows are stored by columns

        return described(self._dataset.written_model)

    def _shown(self) -> AbstractContextManager[EventCallback | None]:
        """Shows the run if this is a notebook; gives what takes its events."""
        on_event, limit = self._options.get("on_event"), self._options.get("limit")
        if not self._options.get("progress", True):
            return nullcontext(on_event)
        return shown_in_notebook(
            on_event,
            in_flight=lambda: self._dataset.executor.in_flight_by_provider,
            max_rows=None if limit is None else limit * self._dataset.config.rows_per_item,
        )

    def _check(self) -> None:
        check_options(self._options)
        self.choose_shard()
        self._check_place()
        ledger = self._dataset.paths.ledger
        if self._options.get("decide_only") and not ledger.is_file():
            raise OutputError(
                f"{self._dataset.paths.rows}: No rows are recorded yet that stages could decide about. Run without --decide-only "
                f"(decide_only=True)."
            )
        refuse_shared([*self._dataset.config.used_files(), *self._files_of_shard(), *_log_file()])
        _ = self._dataset.written_model  # raises if rows have no place for reasoning, before anything is paid for
        _ = self._dataset.producer  # likewise
        self._dataset.config.remark_on([provider for route in self._routes for provider in route.own])
        if getattr(self._dataset.config, "target_rows", None) is not None:
            self._plan(self._routes)  # raises if no rows can be counted as it says, before anything is grown
        for number, error in self._dataset.stage_problems(self._routes):
            raise ConfigError(f"quality[{number}]: {error}", key="quality")
        allow_commands(self._dataset.config.quality, allowed=self._options.get("allow_commands", False))

    def _check_place(self) -> None:
        """Sees to it that a shard has a folder, and the whole a file."""
        dataset, shard, fresh = self._dataset, self._dataset.shard, self._options.get("fresh", False)
        if shard is not None:
            folder, ledgers = dataset.config.output_file, dataset.config.run.ledger_path
            refuse_other_shards(folder, shard, dataset.paths, ledgers, fresh=fresh)
        elif not fresh:
            refuse_without_shard(dataset.paths)

    def _files_of_shard(self) -> Iterator[UsedFile]:
        if self._dataset.shard is not None:
            yield from self._dataset.paths.used("output_file", "run.ledger")

    def _check_fill(self) -> None:
        dataset = self._dataset
        if getattr(dataset.config, "target_rows", None) is not None:
            raise ConfigError(
                "fill (--fill): With target_rows, what stages drop is bought again anyway. Leave one of them out."
            )
        if not dataset.paths.ledger.is_file():
            raise OutputError(
                f"{dataset.paths.rows}: Nothing was made yet, so nothing is missing. Run without --fill (fill=True)."
            )

    def _preparations(self) -> Sequence[Preparation]:
        if self._options.get("decide_only"):
            return ()
        found = self._dataset.preparations(self._routes, self._options)
        if found and not self._options.get("offline"):
            for provider in providers_of(self._routes):
                provider.require_ready()  # nothing is paid for before a run that cannot begin
        return found

    def _prepared(self, preparation: Preparation, report: RunReport, on_event: EventCallback | None) -> None:
        self._before.append(report)
        try:
            preparation.done(report)
        except (RunStopped, GrowthError) as error:
            dataset = self._dataset
            reason = f"{preparation.what}: {report.stop_reason or str(error).removesuffix('.')}"
            requested = dataset.expected_rows(dataset.plan_of_run(self._routes))
            dataset.report = stopped_early(report, reason, dataset.paths, requested=requested)
            if on_event is not None:
                on_event(RunEnded(report=dataset.report))
            raise RunStopped(dataset.report) from error

    def _announced(self, preparation: Preparation, on_event: EventCallback | None) -> Job:
        is_shard = self._dataset.shard is not None
        return replace(preparation.announced(on_event), control=self._options.get("control"), waits_for_turn=is_shard)

    def _own_job(self, on_event: EventCallback | None) -> Job:
        job = self.job(on_event)
        if self.fills_nothing:
            warn_user(_NOTHING_LOST)
        return job

    def job(self, on_event: EventCallback | None = None) -> Job:
        """The dataset's own run."""
        dataset, options = self._dataset, self._options
        settings = dataset.config.run
        if (wanted := options.get("max_concurrency")) is not None:
            settings = settings.model_copy()
            settings.max_concurrency = wanted  # validated like the config's own
        routes = _simulated(self._routes) if options.get("offline") else self._routes
        plan, fills = self._filled(self._plan(routes), routes)
        rounds = {} if dataset.targets is None else {NOTED: dataset.targets.note(_with_rounds(plan))}
        stages: Sequence[AnyStage] = dataset.stages
        answering: Sequence[Route[LLMProvider]] = routes
        of_shard: Mapping[str, Any] = {}
        deferred: Sequence[AnyStage] = ()
        if (shard := dataset.shard) is not None:
            deferred = [stage for stage in stages if not isinstance(stage, Decides)]
            deferred += [] if dataset.targets is None else [dataset.targets]
            stages = [stage for stage in stages if isinstance(stage, Decides)]
            settings, answering = settings_of_shard(settings, shard), routes_of_shard(routes, shard)
            found = dataset.in_shard(plan, fresh=options.get("fresh", False))
            plan, of_shard = found.plan, found.notes([stage.name for stage in deferred])
        return Job(
            plan=plan,
            routes=answering,
            produce=dataset.producer,
            paths=dataset.paths,
            settings=settings,
            row_model=dataset.row_model,
            fields=list(dataset.written_model.model_fields),
            reasoning=ReasoningPlace(dataset.config.reasoning, by_part=dataset.has_parts),
            stages=stages,
            shard=shard,
            deferred=deferred,
            regenerate=dataset.config.regenerate,
            reviews=self._reviews(),
            targets=dataset.targets,
            in_plan_order=dataset.in_plan_order,
            limit=options.get("limit"),
            fresh=options.get("fresh", False),
            retry_failed=options.get("retry_failed", False),
            wait=options.get("wait", True),
            decide_only=options.get("decide_only", False),
            alarms=dataset.config.alarms,
            is_refusal=_is_refusal(dataset.config.alarms),
            on_alarm=options.get("on_alarm"),
            control=options.get("control"),
            on_event=on_event,
            notes={
                "command": "",
                "kind": dataset.kind,
                "config": dataset.config.model_dump_json(),
                **options.get("notes", {}),
                **rounds,
                **fills,
                **of_shard,
            },
            about=partial(_about, dataset, routes),
            also_spent=dataset.other_ledgers(),
            held=self._held,
            on_report=self._note,
        )

    def _reviews(self) -> Overruling | None:
        """What people have decided about rows of the output; nothing for a new one."""
        if self._options.get("fresh"):
            return None
        config = self._dataset.config
        return overruling(self._dataset.paths.reviews, config.reasoning, config.disagreement)

    def _plan(self, routes: Sequence[Route[LLMProvider]]) -> Plan:
        plan = self._dataset.whole_plan_for(routes, fresh=self._options.get("fresh", False))
        if (targets := self._dataset.targets) is not None and self._options.get("fresh"):
            plan = _with_rounds(plan).grown([targets.first_round], targets.draws(None, self._dataset.shard))
        asked = getattr(self._dataset.config, "num_rows", None)
        if plan.counted == "each" and plan.num_rows != asked:
            warn_user(
                f"num_rows: {self._dataset.config.output_file} was begun when it counted the rows of each language, prompt and "
                f"provider, and goes on in that way: {plan.num_rows:,} rows. Start over with --fresh (fresh=True) to have {asked:,} in all."
            )
        return plan

    def _filled(self, plan: Plan, routes: Sequence[Route[LLMProvider]]) -> tuple[Plan, dict[str, str]]:
        """The plan with further draws of what is missing now, if that is asked for, and the note of them."""
        if not self._options.get("fill"):
            return plan, {}
        self._check_fill()
        base = self._dataset.plan_for(routes)
        with LedgerReader(self._dataset.paths.ledger) as ledger:
            before, fills = fills_in(ledger), with_fills(base, ledger)
        self.fills_nothing = len(fills) == len(before)
        return filled(base, fills), {FILLS: noted(fills)}

    def _note(self, report: RunReport) -> None:
        self._dataset.report = report

    def _ended(self, report: RunReport) -> None:
        self._dataset.report = combined(report, self._before) if self._before else report
        if report.stop_cause is not None:
            raise RunStopped(self._dataset.report)


def _about(dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], plan: Plan) -> str:
    from datafast.datasets.about import about  # only where a run begins

    return about(dataset, routes, plan)


def _events(
    dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], options: RunOptions
) -> AsyncGenerator[Event, None]:
    also = options.get("on_event")

    def watch(event: Event) -> None:
        if isinstance(event, RunEnded):
            dataset.report = event.report  # also if the caller leaves before the run was awaited
        if also is not None:
            also(event)

    async def run(on_event: EventCallback) -> None:
        await Generation(dataset, routes, {**options, "on_event": on_event, "progress": False}).run_async()

    return stream_events(run, also=watch)


def _is_refusal(alarms: AlarmsConfig | None) -> Callable[[BaseModel], bool] | None:
    """Whether a row reads as a refusal; None where no alarm asks."""
    if alarms is None or alarms.refusal_rate is None:
        return None
    from datafast.quality.refusals import RefusalsStage

    return RefusalsStage().finds


def _with_rounds(plan: Plan) -> StratifiedPlan:
    assert isinstance(plan, StratifiedPlan)  # noqa: S101 - of targets
    return plan


def _log_file() -> Iterator[UsedFile]:
    if (file := log_file()) is not None:
        yield UsedFile("log_file", file, written=True)


def estimate_of(
    dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], *, fill: bool = False, shard: object = None
) -> Estimate:
    """Estimates what is left to generate on these routes, by a run with these options."""
    from datafast.engine.estimate import estimate  # most runs begin without one
    from datafast.engine.foreseen import foreseen

    generation = _ahead(dataset, routes, fill=fill, shard=shard)
    job = generation.job()
    ahead = foreseen(job)
    found = estimate(job) if ahead is None else ahead.told(estimate(ahead.job))
    nothing = [_NOTHING_LOST] if generation.fills_nothing else []
    again = [_NOT_COUNTED] if dataset.config.regenerate and dataset.stages else []
    before, obstacle = runs_before(dataset, routes)
    part = [] if dataset.shard is None else [_PART.format(dataset.shard), *([_GROWN_ONCE] if before else [])]
    found = replace(found, notes=(*found.notes, *dataset.config.estimate_notes(), *again, *nothing, *part))
    for preparation in before:
        found = found.after(preparation.estimate())
    return found if obstacle is None else replace(found, notes=(obstacle, *found.notes))


def plan_ahead(
    dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], *, fill: bool = False, shard: object = None
) -> Plan:
    """The plan of a dataset, for a run with these options; with targets, the one that it is expected to end with."""
    from datafast.engine.foreseen import foreseen

    job = _ahead(dataset, routes, fill=fill, shard=shard).job()
    ahead = foreseen(job)
    return job.plan if ahead is None else ahead.job.plan


def _ahead(
    dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]], *, fill: bool, shard: object
) -> Generation:
    options: Any = {"fill": fill} if shard is None else {"fill": fill, "shard": shard}
    generation = Generation(dataset, routes, options)
    check_options(options)
    generation.choose_shard()
    generation.refresh()
    return generation


def runs_before(
    dataset: Dataset[Any, Any], routes: Sequence[Route[LLMProvider]]
) -> tuple[Sequence[Preparation], str | None]:
    """The runs that come before the rows, and what keeps them from being made as things are: then they are those of a fresh start."""
    of_shard: RunOptions = {} if dataset.shard is None else {"shard": dataset.shard}
    try:
        return dataset.preparations(routes, of_shard), None
    except OutputError as error:
        with suppress(OutputError):
            return dataset.preparations(routes, {"fresh": True, **of_shard}), str(error)
        return (), str(error)


def _roles_of(config: Any) -> Sequence[str]:
    """The roles that a config lists; there are kinds without."""
    return getattr(config, "roles", ())


def with_stand_ins(config: Any, given: Mapping[str, P]) -> dict[str, P]:
    """What is given by role, and for roles without anything what is given for the role that stands in (`stand_ins` of a config)."""
    stand_ins: Mapping[str, str] = getattr(config, "stand_ins", {})
    others = {role: given[other] for role, other in stand_ins.items() if role not in given and other in given}
    return {**given, **others}


def _route_by_role(
    config: Any, given: Mapping[str, LLMProvider], keywords: Mapping[str, str] | None = None
) -> Route[LLMProvider]:
    """The route with a provider for each role of a config. Raises ConfigError."""
    needed, given = _roles_of(config), with_stand_ins(config, given)
    for role in needed:
        if isinstance(given.get(role), list | tuple):
            raise ConfigError(
                f"{role}: expected one provider, got several. Make a dataset with an output_file of its own for each of them."
            )
        if role not in given:
            how = f"Give {keywords[role]}=...; this" if keywords and role in keywords else "This"
            raise ConfigError(f"No provider is given for {role!r}. {how} config asks {', '.join(needed)}.")
    switches: Mapping[str, str] = getattr(config, "role_switches", {})
    for role in given:
        if role not in needed:
            hint = f"Set {switches[role]}: true to use it." if role in switches else did_you_mean(role, needed)
            raise ConfigError(f"A provider is given for {role!r}, which this config does not ask. {hint}")
    if config.run.fan_out != "all":
        raise ConfigError(
            f"run.fan_out is {config.run.fan_out}, but there is one provider for each role. Leave it out, or give a list of providers."
        )
    return Route.by_role({role: checked_provider(given[role], role) for role in needed})


def _some(providers: Any, llms: Any = None, *, roles: Sequence[str] = ()) -> Any:
    """What was given, checked: a list of providers, or a mapping of them if there are roles."""
    if llms is not None and providers is not None:
        raise ConfigError("llms: It is another name of providers, which are given too. Leave one of them out.")
    providers = llms if providers is None else providers
    if roles and isinstance(providers, Mapping):
        return providers
    if isinstance(providers, str | bytes) or not isinstance(providers, Sequence):
        raise ConfigError(f"providers: expected a list of providers, got {type(providers).__name__}. Write [provider].")
    if not providers:
        raise ConfigError("providers: The list is empty. Give at least one provider.")
    return providers


def _simulated(routes: Sequence[Route[LLMProvider]]) -> list[Route[LLMProvider]]:
    from datafast.llms.simulated.provider import SimulatedProvider

    return replaced(routes, SimulatedProvider.standing_in_for)
