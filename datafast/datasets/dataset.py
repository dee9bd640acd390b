"""The base of dataset kinds, and what every dataset can do: read its rows, save them, publish them.

`datafast.datasets.entry` generates it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel

from datafast._util.plugins import blaming
from datafast._util.remote import RemoteUrl
from datafast._util.user_path import user_path
from datafast.datasets.config import DatasetConfig, Metadata, PromptDatasetConfig
from datafast.datasets.exporting import Order
from datafast.datasets.inputs import origins
from datafast.datasets.pairing import given, paired
from datafast.datasets.publishing import Publishing
from datafast.datasets.row import with_reasoning
from datafast.datasets.sharding import Sharded, drawn_by, sharded
from datafast.datasets.targets import targets_of
from datafast.engine.filling import fills_in
from datafast.engine.generate import Generate
from datafast.engine.job import Job, Produce, asking
from datafast.engine.preparation import Preparation
from datafast.engine.routes import Route, route_identities
from datafast.engine.stages import AnyStage
from datafast.engine.targets import NOTED, Targets
from datafast.errors import CallFailed, ConfigError, OutputError
from datafast.executors.local import LocalExecutor
from datafast.html import paragraph
from datafast.personas.config import PersonasConfig
from datafast.plan.defaults import Edition
from datafast.plan.drawn import DrawnPlan
from datafast.plan.expansion import Expansion
from datafast.plan.filled import Fill, filled
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import Counted, Plan, WorkItem
from datafast.plan.pairing import Pairing
from datafast.plan.stratified import StratifiedPlan
from datafast.quality.base import ModelStage
from datafast.storage.spool import spooled_paths
from datafast.store.failures import FailedItems, values_of
from datafast.store.paths import OutputPaths, UsedFile
from datafast.store.reader import LedgerReader
from datafast.store.rows import RowSequence
from datafast.store.shards import ShardName, shard_paths
from datafast.types import FailedItem, RunReport

if TYPE_CHECKING:
    from datafast.datasets.explaining import Explained
    from datafast.datasets.replaying import Replayed
    from datafast.engine.options import RunOptions
    from datafast.engine.packing import Packed
    from datafast.executors.base import Executor
    from datafast.export.card_info import CardInfo
    from datafast.llms.provider import LLMProvider
    from datafast.personas.supply import PersonaSupply
    from datafast.statistics import Statistics
    from datafast.statistics.evaluation import Evaluation
    from datafast.statistics.metrics import Metric

__all__ = ["ConfigT", "Dataset", "RowT"]

ConfigT = TypeVar("ConfigT", bound=DatasetConfig)
RowT = TypeVar("RowT", bound=BaseModel)
T = TypeVar("T")

_TOLD_WHY = "What was written before was not taken, for this reason: {}. Let what you write now give no such reason."
_TOLD_BY_REVIEWER = "What was written before was not taken. This was said about it: {}. Heed it in what you write now."


class Dataset(Publishing, Generic[ConfigT, RowT]):
    """A dataset: its config, and its generated rows.

    A kind defines what is to be done (`plan`) and how an item becomes rows (`produce`). Everything else is here and in the engine.

    Attributes:
        kind: the name of the kind in YAML.
        config_model: its config.
        row_model: its row. A kind whose rows depend on its config sets it in the instance.
        in_plan_order: whether stages compare its rows in the order of the plan; see `Job`.
        has_parts: whether different models write parts of a row, so that its reasoning is told by part.
        report: the report of the last run; None before the first.
        executor: carries out its runs.
        targets: what `target_rows` asks for, once a plan was made; None without.
        shard: which shard of it runs make; None where they make the whole.
    """

    kind: ClassVar[str]
    config_model: ClassVar[type[DatasetConfig]]
    row_model: type[BaseModel]
    in_plan_order: ClassVar[bool] = False
    has_parts: bool = False

    def __init__(self, config: ConfigT, *, executor: Executor | None = None) -> None:
        if not isinstance(config, self.config_model):
            raise ConfigError(
                f"config: expected a {self.config_model.__name__} for {type(self).__name__}, got {type(config).__name__}."
            )
        self.config = config
        self.report: RunReport | None = None
        self.executor: Executor = executor or LocalExecutor()
        self.targets: Targets | None = None
        self.shard: ShardName | None = None
        self._sharded: Sharded | None = None
        self._personas = _supply_of(config)

    # -- what a kind defines

    @abstractmethod
    def plan(self, routes: Sequence[str]) -> Plan:
        """What is to be done, for routes of these identities."""

    @abstractmethod
    async def produce(self, item: WorkItem, generate: Generate) -> Sequence[BaseModel | CallFailed | None]:
        """Turns an item into its rows, in order: its error in the place of a row that failed, None for one that is missing.

        The result depends only on the item and the replies.
        """

    @abstractmethod
    def job_for(self, routes: Sequence[Route[LLMProvider]]) -> Job:
        """A run of it with these providers, as it would be now."""

    def preparations(self, routes: Sequence[Route[LLMProvider]], options: RunOptions) -> Sequence[Preparation]:
        """Runs that have to come first because the plan depends on their results: that which grows the personas, if there is one. A kind
        that needs another one adds it."""
        if self._personas is None:
            return ()
        others = [ledger for ledger in self.other_ledgers() if ledger not in self._personas.ledgers]
        return self._personas.preparations(routes[0], options, ledger=self.paths.ledger, others=others)

    def other_ledgers(self) -> Sequence[Path]:
        """The ledgers of these runs; their costs count for this dataset's budget. A kind with another run adds its own."""
        return () if self._personas is None else self._personas.ledgers

    def plan_for(self, routes: Sequence[Route[object]], *, fresh: bool = False) -> Plan:
        """What is to be done on these routes. `fresh`: by a run that starts over."""
        return self.plan(route_identities(routes, fan_out=self.config.run.fan_out))

    def whole_plan_for(self, routes: Sequence[Route[object]], *, fresh: bool = False) -> Plan:
        """The same with the further draws that runs with `fill` have noted."""
        plan = self.plan_for(routes, fresh=fresh)
        return plan if fresh else filled(plan, self._fills)

    def plan_of_run(self, routes: Sequence[Route[object]], *, fresh: bool = False) -> Plan:
        """The same for a run: of its shard, if it makes one.

        Raises:
            OutputError: the shard has rows of another plan that it cannot be compared with.
        """
        plan = self.whole_plan_for(routes, fresh=fresh)
        return plan if self.shard is None else self.in_shard(plan, fresh=fresh).plan

    def in_shard(self, plan: Plan, *, fresh: bool = False) -> Sharded:
        """The part of a plan that the shard has. Found once for each plan. Raises as `plan_of_run` does."""
        assert self.shard is not None  # noqa: S101 - asked for by those who know
        known = self._sharded
        if known is None or not known.is_of(plan, self.shard):
            known = self._sharded = sharded(plan, self.shard, self.paths, fresh=fresh)
        return known

    def whole_plan(self, routes: Sequence[str]) -> Plan:
        """The same for routes of these identities."""
        return filled(self.plan(routes), self._fills)

    @property
    def _fills(self) -> Sequence[Fill]:
        """The further draws that the ledger notes."""
        return self._read(fills_in) or ()

    @property
    def stages(self) -> Sequence[AnyStage]:
        """The stages that decide about rows: those of the config, after those that the kind has of its own."""
        return self.config.quality

    def stage_problems(self, routes: Sequence[Route[LLMProvider]] = ()) -> Iterator[tuple[int, ConfigError]]:
        """The stages that cannot decide about such rows, by number, and why. `routes`: who writes them, where that is known."""
        for number, stage in enumerate(self.config.quality):
            try:
                with blaming(stage, "check()"):
                    stage.check(self.row_model)
                if isinstance(stage, ModelStage):
                    stage.check_writers([[provider.label for provider in route.own] for route in routes])
            except ConfigError as error:
                yield number, error

    @property
    def producer(self) -> Produce:
        """How an item becomes rows in a run: by `produce`, or by the best of several of its results.

        Raises:
            ConfigError: what `best_of_n` says does not fit to the rows.
        """
        config = self.config
        if not isinstance(config, PromptDatasetConfig) or config.best_of_n is None:
            return self.produce
        from datafast.judging.candidates import Candidates

        return Candidates(config.best_of_n, self.produce, self.row_model, keep_repeats=config.keep_repeats)

    @property
    def asking(self) -> Produce:
        """The same, with what the stages ask about its rows: for counting and showing calls."""
        return asking(self.producer, self.stages)

    @property
    def counted_before(self) -> Counted | None:
        """Which rows `num_rows` counts in the output; None if there is none yet, or it cannot be read, which a run will say."""
        return self._read(lambda reader: reader.counted)

    def _read(self, what: Callable[[LedgerReader], T]) -> T | None:
        """Something of the ledger; None if there is none yet, or it cannot be read, which a run will say."""
        if not self.paths.ledger.is_file():
            return None
        try:
            with LedgerReader(self.paths.ledger) as reader:
                return what(reader)
        except OutputError:
            return None

    # -- helpers for kinds

    def expected_rows(self, plan: Plan) -> int:
        """The rows that the file has when all is done by a plan of this dataset."""
        return plan.num_rows if self.targets is None else self.targets.total

    @property
    def personas(self) -> Sequence[str] | None:
        """The personas that the config gives, or those that were grown; until they are, made-up ones of the same number stand in."""
        return getattr(self.config, "personas", None) if self._personas is None else self._personas.personas

    def grid(
        self,
        dimensions: Sequence[Dimension] | Callable[[Edition], Sequence[Dimension]],
        *,
        routes: Sequence[str],
        shape: Callable[[Edition], Sequence[str | bytes]] = lambda edition: (),
        each: bool = False,
    ) -> GridPlan:
        """The plan of a kind whose items are a product of dimensions and, if there are any, the config's expanded prompts.

        If the config has a `num_rows`, that many rows are drawn from the product; with `target_rows`, those of the rounds that the
        ledger notes.

        Args:
            dimensions: the axes, slowest first; or a function that gives those of an edition.
            shape: other settings that change what an item asks for; default texts by their keys in the edition.
            each: `num_rows` counts the rows of each combination, which the dimensions have already, and not all rows.
        """
        current, *earlier = self.config.editions()
        config = self.config if isinstance(self.config, PromptDatasetConfig) else None
        choice = config.best_of_n.told if config is not None and config.best_of_n is not None else ()
        axes, pairings = self._paired()
        first = [*(dimensions(current) if callable(dimensions) else dimensions), *axes]
        plan: Callable[..., GridPlan] = GridPlan
        targets = self.targets = None if config is None else targets_of(config, first)
        if targets is not None:
            noted, shard = self._read(lambda reader: (reader.meta(NOTED), drawn_by(reader))) or (None, None)
            if (shard := self.shard or shard) is not None:
                targets = self.targets = targets.of_shard(shard)
            plan = partial(
                StratifiedPlan,
                strata=targets.strata,
                rounds=targets.rounds(noted),
                draws=targets.draws(noted, shard, routes=len(routes)),
            )
        elif config is not None and config.num_rows is not None and not each:
            plan = partial(DrawnPlan, num_rows=config.num_rows)

        def make(edition: Edition, former: Callable[[], Iterable[GridPlan]] = tuple) -> GridPlan:
            return plan(
                self.kind,
                first
                if edition is current
                else [*(dimensions(edition) if callable(dimensions) else dimensions), *axes],
                routes=routes,
                expansion=_expansion(self.config, None if edition is current else edition),
                rows_per_item=self.config.rows_per_item,
                shape=[*shape(edition), *choice],
                seed=self.config.run.seed,
                edition=edition,
                former=former,
                counted="each" if each else "all",
                pairings=pairings,
            )

        return make(current, lambda: map(make, earlier))

    def _paired(self) -> tuple[list[Dimension], list[Pairing]]:
        """The personas and seed texts of the config: as axes, and as what prompts get besides."""
        if not isinstance(self.config, PromptDatasetConfig):
            return [], []
        values = {field: getattr(self.config, field) for field in self.config.paired_fields}
        if "personas" in values:
            values["personas"] = self.personas
        return paired(self.config, values, seed=self.config.run.seed)

    def render(self, item: WorkItem, values: Mapping[str, str]) -> str:
        """The item's prompt, filled with the kind's values; what reviewers said of rows that it asks for again; and why others of these
        were dropped, if the config wants that."""
        prompt = item.template.render({**given(item), **values, **item.variant.values})
        if (context := item.context) is None:
            return prompt
        parts = [prompt]
        if said := list(dict.fromkeys(filter(None, context.notes))):
            parts.append(_TOLD_BY_REVIEWER.format("; ".join(said).removesuffix(".")))
        if getattr(self.config, "tell_why_dropped", False):
            notes = context.notes or [""] * len(context.reasons)
            if why := list(dict.fromkeys(one for one, note in zip(context.reasons, notes, strict=True) if not note)):
                parts.append(_TOLD_WHY.format("; ".join(why)))
        return "\n\n".join(parts)

    def metadata(self, item: WorkItem, **values: str | int) -> Metadata:
        """The metadata of a row: the same keys in every row of a dataset, null for placeholders that its template lacks."""
        chosen = {name: item.variant.values.get(name) for name in self.placeholders}
        return {**values, **given(item), **origins(item), **chosen, "prompt_index": item.variant.template_index}

    # -- what users do

    @property
    def paths(self) -> OutputPaths:
        """The files of the output, or of the shard that runs make."""
        if self.shard is None:
            return self.config.paths
        if (url := self.url) is not None:
            return spooled_paths(url, self.config.run.spool)
        return shard_paths(self.config.output_file, *self.shard, self.config.run.ledger_path)

    @property
    def url(self) -> RemoteUrl | None:
        """Where the output is, or the shard that runs make, if that is not on this machine."""
        url = self.config.url
        return url if url is None or self.shard is None else url.below(self.shard.file_name)

    @property
    def written_model(self) -> type[BaseModel]:
        """The rows in the output file: `row_model`, with the place that `reasoning` in the config gives to what models thought.

        Raises:
            ConfigError: the rows have a field of that name already.
        """
        return with_reasoning(self.row_model, self.config.reasoning, by_part=self.has_parts)

    @property
    def data_rows(self) -> Sequence[RowT]:
        """The rows in the output file, read on demand; also those of an earlier process."""
        return RowSequence(self.paths.rows, self.written_model)  # type: ignore[arg-type]

    @data_rows.setter
    def data_rows(self, rows: object) -> None:
        del rows
        raise ConfigError(
            f"data_rows: They are read from {self.paths.name} and cannot be set. Write the rows into that file, one JSON "
            f"object a line; then data_rows, save and push_to_hub have them."
        )

    def __repr__(self) -> str:
        counts = f": {self.report.counts_line()}" if self.report is not None else ""
        return f"<{type(self).__name__} in {self.paths.name}{counts}>"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows, and the report of the last run."""
        rows = RowSequence(self.paths.rows, self.written_model)._repr_html_()
        report = self.report._repr_html_() if self.report is not None else ""
        return paragraph(f"Dataset of the kind {self.kind}", bold=True) + rows + report

    @property
    def failed_items(self) -> Sequence[FailedItem]:
        """The items that have failed for good, read from the ledger on demand; also those of an earlier process.

        Empty if there is no ledger. `generate(..., retry_failed=True)` retries them.

        Raises:
            OutputError: the ledger cannot be read.
        """
        ledger = self.paths.ledger
        return FailedItems(ledger, values_of(self.whole_plan, ledger))

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest beside the output file, as its last run has written it.

        Raises:
            ConfigError: there is none yet.
            OutputError: it cannot be read.
        """
        from datafast.store.manifest import read_manifest

        return read_manifest(self.paths.manifest)

    def explain(self, uuid: str = "", *, line: int | None = None) -> Explained:
        """Everything that is recorded of one row: what it is about, what was asked and answered, cost, what stages have said and changed.

        Args:
            uuid: of a row in the file, or of one that was dropped or has failed; its beginning is enough if no other begins so.
            line: the number of its line in the file instead.

        Raises:
            ConfigError: there is no such row, or several.
            OutputError: there is no ledger, or it cannot be read.
        """
        from datafast.datasets.explaining import explain

        return explain(self.paths, uuid, self, line=line)

    def replay(self, path: str | Path, *, force: bool = False, allow_commands: bool = False) -> Replayed:
        """Rebuilds the rows of the output file from recorded replies in another file, without any call, and compares them with its hash.

        Args:
            path: the new file; one that is there is replaced with `force` only.
            allow_commands: whether stages may run programs.

        Raises:
            ConfigError: there is no manifest, or the file is there already.
            OutputError: the rows would be others: replies are missing, or something has changed; says what.
            OutputWriteError: the file cannot be written.
        """
        from datafast.datasets.replaying import replay

        return replay(
            self.paths.manifest,
            user_path(path),
            self,
            ledger=self.paths.ledger,
            commands=allow_commands,
            force=force,
        )

    def pack(self, path: str | Path, *, force: bool = False) -> Packed:
        """Puts the rows, the ledger and the manifest into one zip file, for an appendix or a colleague.

        Args:
            path: the new file; one that is there is replaced with `force` only.

        Raises:
            ConfigError: it is one of the files of the output.
            OutputError: the rows are not as they were written, a key stands in them, or the file is there already.
            OutputWriteError: the file cannot be written.
        """
        from datafast.engine.packing import pack

        return pack(self.paths, user_path(path), force=force)

    def statistics(
        self,
        *,
        by: Sequence[str] = (),
        text_fields: Sequence[str] | None = None,
        sample: int = 5_000,
        effect_texts: int = 1_000,
        strength: int = 2,
        seed: int = 0,
    ) -> Statistics:
        """What is in the output file and what it took to make, in all and in groups: acceptance, lengths, diversity, tokens, cost.

        Args:
            by: fields of the rows or of their metadata that make groups, besides those that are found.
            text_fields: the fields whose texts are looked at; by default all that hold text.
            sample: diversity and refusals are looked at in so many rows, drawn with `seed`.
            effect_texts: what shapes texts is looked at in so many of these; 0 for not at all.
            strength: which combinations of values have rows is told of pairs (2) or triples (3).

        Raises:
            ConfigError: there are no rows yet, or no such field.
            OutputError: the ledger cannot be read.
        """
        from datafast.statistics import measure

        return measure(
            self.paths,
            row_model=self.written_model,
            placeholders=self.placeholders,
            plan_of=self.whole_plan,
            by=by,
            text_fields=text_fields,
            sample=sample,
            effect_texts=effect_texts,
            strength=strength,
            seed=seed,
        )

    @property
    def _made_by(self) -> Self:
        return self

    @property
    def placeholders(self) -> Collection[str]:
        """The names of the optional placeholders of its prompts."""
        return self.config.placeholders if isinstance(self.config, PromptDatasetConfig) else ()

    def rows_to_export(self, order: Order = "file") -> Iterable[Mapping[str, Any]]:
        from datafast.export.files import OutputRows

        return OutputRows.of(self.paths, self.written_model, order=order)

    def used_files(self) -> Iterable[UsedFile]:
        return self.config.used_files()

    def evaluate(
        self,
        reference: str,
        metrics: Sequence[str | Metric] | None = None,
        *,
        prediction: str | None = None,
        model: str | Path | None = None,
        seed: int = 0,
    ) -> Evaluation:
        """Compares a field of the rows with a reference in another one, by several metrics; see `datafast.statistics.evaluation`.

        Args:
            reference: the field with what `prediction` should be.
            metrics: exact_match, edit_similarity, bleu, rouge and bertscore; by default those that need no model.
            prediction: the field that is looked at; it may be left out if there is one text beside the reference.
            model: the folder of a model, for bertscore.
            seed: of the intervals.

        Raises:
            ConfigError: there are no rows yet, or there is no such field or metric.
            MissingExtraError: a metric's library is not installed.
        """
        from datafast.export.files import OutputRows
        from datafast.statistics.evaluation import DEFAULT_METRICS, evaluate, prediction_beside

        said = prediction_beside(reference, self.row_model, prediction)
        rows = OutputRows.of(self.paths, self.written_model)
        return evaluate(rows, reference, metrics or DEFAULT_METRICS, prediction=said, model=model, seed=seed)

    def inspect(self, random: bool = False, num_rows: int | None = None) -> None:
        """Opens the viewer on the output file, or prints rows of it.

        In a script that runs in a terminal, it opens the browser and waits until Ctrl-C; in an interpreter it does not wait; a notebook
        shows a link. In a pipe, in CI, and where there is no browser, it prints rows: the first five.

        Args:
            random: opens it on a row drawn at random, or prints such rows.
            num_rows: prints so many rows, wherever it is called.

        Raises:
            ConfigError: there are no rows yet.
        """
        from datafast.datasets.inspecting import inspect

        inspect(self.paths, self.written_model, random=random, num_rows=num_rows)

    def card_info(self, title: str = "") -> CardInfo:
        from datafast.datasets.card.info import card_info

        return card_info(self.paths, self, title=title)


def _supply_of(config: DatasetConfig) -> PersonaSupply | None:
    """What grows the personas of a config; None where they are given, or there are none."""
    if not isinstance(config, PromptDatasetConfig) or not isinstance(config.personas, PersonasConfig):
        return None
    from datafast.personas.supply import PersonaSupply  # most configs give theirs

    return PersonaSupply(config.personas, config.paths.rows, run=config.run)


def _expansion(config: DatasetConfig, earlier: Edition | None) -> Expansion | None:
    if not isinstance(config, PromptDatasetConfig):
        return None
    return config.prompt_expansion() if earlier is None else config.former_expansion(earlier)
