"""`dataset`, `generator`, `sample`: a columns dataset in a few lines, as a DataFrame.

    gen = generator("openai", model="gpt-6-luna")
    ds = dataset({"topic": sample.choice(["tides", "moons"]), "question": gen("Ask about {topic}")})
    df = await ds.generate(n=100)

It uses `ColumnsDataset`, with its ledger, limits, retries and failures. Without `output_file` the files are in a temporary folder that is
removed when the process ends. After a run that ended early the folder stays, and the same schema, seed and providers find it again, in
this process or another. To change a schema and keep its cells, give an output file.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload
from weakref import WeakSet

from pydantic import ValidationError

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import warn_user
from datafast._util.scratch import Scratch
from datafast._util.user_path import user_path
from datafast.columns.base import Column
from datafast.columns.table import CUT
from datafast.columns.types.computed import FunctionColumn
from datafast.columns.types.datetime import DatetimeColumn
from datafast.columns.types.samplers import ConstantColumn
from datafast.datasets.columns import ColumnsDataset, ColumnsDatasetConfig
from datafast.engine.notebook import in_notebook
from datafast.engine.options import check_options
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError
from datafast.facades.chatan import FrameOptions, run_options, shown
from datafast.facades.evaluation import Comparison, Comparisons, evaluate
from datafast.facades.model_columns import Generator, ModelColumn, config_error, generator
from datafast.facades.sample import sample
from datafast.html import paragraph
from datafast.llms.provider import LLMProvider
from datafast.plan.items import digest
from datafast.statistics.evaluation import DEFAULT_METRICS, Evaluation
from datafast.statistics.metrics import Metric
from datafast.store.lock import is_running
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.rows import rows_at

if TYPE_CHECKING:
    import pandas as pd

    from datafast.datasets.base import RunOptions
    from datafast.types import FailedItem, RunReport

__all__ = ["ColumnsFrame", "Generator", "ModelColumn", "dataset", "generator", "sample"]

_DEFAULT_ROWS = 100
_ROWS = "rows.jsonl"
_USERS: dict[str, WeakSet[ColumnsFrame]] = {}
"""The datasets of this process by the temporary folder that they use."""


def dataset(
    schema: Mapping[str, Any],
    n: int | None = None,
    *,
    output_file: str | Path | None = None,
    seed: int = 0,
    run: RunConfig | None = None,
    constraints: Sequence[str] = (),
    joint: Sequence[Mapping[str, Any]] = (),
) -> ColumnsFrame:
    """A dataset from a schema.

    Args:
        schema: columns by name: `sample...`, `gen(...)`, a function of other columns, or a value for every row.
        n: the default number of rows of `generate`; 100 if none is given.
        output_file: the JSONL that rows are appended to; with one, the dataset can be resumed and its schema changed.
        seed: the seed of everything that is drawn.
        run: how runs are carried out; its seed overrides `seed`.
        constraints: expressions over drawn columns that are true in every row, like "start <= end".
        joint: how often combinations of choices come: [{"values": {"dish": "soup", "mood": "sad"}, "rate": 0.1}].

    Raises:
        ConfigError: the schema is wrong; lists all problems, one a line.
    """
    if not isinstance(schema, Mapping) or not schema:
        raise ConfigError("dataset: expected a mapping of column names to columns, with at least one.")
    return ColumnsFrame(
        schema, n, output_file=output_file, run=run or RunConfig(seed=seed), constraints=constraints, joint=joint
    )


class ColumnsFrame:
    """A dataset of columns that is generated into a DataFrame. Made by `dataset`.

    Attributes:
        schema: the schema that it is made of.
        n: the default number of rows of `generate`.
        columns: the names of its columns, in their order.
        providers: the providers, by their names in columns.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        n: int | None,
        *,
        output_file: str | Path | None,
        run: RunConfig,
        **between: Any,
    ) -> None:
        self.schema = dict(schema)
        self.n = _DEFAULT_ROWS if n is None else n
        self.columns = [str(name) for name in schema]
        self.providers: dict[str, LLMProvider] = {}
        self._n_is_given = n is not None
        columns = {str(name): self._column(given) for name, given in schema.items()}
        try:
            self._config = ColumnsDatasetConfig(num_rows=n or 0, columns=columns, run=run, **between)
        except ValidationError as error:
            raise config_error(error) from None
        self._output_file = None if output_file is None else user_path(output_file)
        self._scratch: dict[bool, Scratch] = {}
        self._dataset: ColumnsDataset | None = None

    def _column(self, given: Any) -> Column:
        if isinstance(given, Column):
            return given
        if isinstance(given, ModelColumn):
            name = _name_of(given.provider)
            self.providers.setdefault(name, given.provider)
            return given.column.model_copy(update={"provider": name})
        if isinstance(given, Comparison):
            return given.column()
        if isinstance(given, Generator):
            raise ConfigError("dataset: A generator is not a column. Call it with a prompt: gen('...').")
        return FunctionColumn(function=given) if callable(given) else ConstantColumn(value=given)

    # -- generating

    async def generate(self, n: int | None = None, **options: Unpack[FrameOptions]) -> pd.DataFrame:
        """Makes `n` rows and returns them in order. Rows that failed are left out; see `report` and `failed_items`.

        Running it again makes no call for rows that exist; a larger `n` adds rows.

        Args:
            n: the number of rows; by default that of `dataset`, or 100, with a warning if a source has more.
            **options: those of `ColumnsDataset.generate`: `max_concurrency`, `offline`, `retry_failed`, `on_event` ... With
                `progress=True` a bar on stderr shows the run where there is no notebook.

        Raises:
            ConfigError, OutputError: nothing was sent.
            RunStopped: the run ended early; calling it again goes on.
        """
        given = self._options(options)
        made = self._prepared(n, given)
        if made.config.num_rows:
            with self._watched(given):
                await made.generate_async(self.providers, **given)
        return self._frame(made)

    def generate_sync(self, n: int | None = None, **options: Unpack[FrameOptions]) -> pd.DataFrame:
        """`generate` without await; works below a running event loop too."""
        given = self._options(options)
        made = self._prepared(n, given)
        if made.config.num_rows:
            with self._watched(given):
                made.generate(self.providers, **given)
        return self._frame(made)

    @staticmethod
    def _options(given: Mapping[str, Any]) -> RunOptions:
        options: Any = run_options(given)
        check_options(options)
        return options  # type: ignore[no-any-return]  # as was checked

    def _prepared(self, n: int | None, options: RunOptions) -> ColumnsDataset:
        count = self.n if n is None else n
        walk = self._config.table.leading
        if n is None and not self._n_is_given and walk is not None and len(walk.rows) > count:
            size = len(walk.rows)
            warn_user(
                f"generate makes {count} rows by default, and {walk.rows.name} has {size}. Give n={size} for all of them.",
            )
        config = self._config.model_copy()
        try:
            config.num_rows = count
            config.output_file = self._output_file or self._scratch_for(options).folder / _ROWS
        except ValidationError as error:
            raise config_error(error) from None
        self._dataset = ColumnsDataset(config)
        return self._dataset

    def _scratch_for(self, options: RunOptions) -> Scratch:
        offline = bool(options.get("offline"))
        if offline not in self._scratch:
            who = [f"{name}={provider.identity}" for name, provider in self.providers.items()]
            # Named as by version 0.1.0, whose folders of interrupted runs may still be there; functions by what they do.
            functions = [column for column in self._config.columns.values() if isinstance(column, FunctionColumn)]
            codes = [column.lasting_code or "" for column in functions]
            about = digest(self._config.table.former_digest, str(self._config.run.seed), str(offline), *who, *codes)
            scratch = Scratch(about.hex())
            others = _USERS.setdefault(str(scratch.folder), WeakSet())
            # Another process is at it, or another dataset of this one whose functions may differ in what is not known of them.
            if is_running(OutputPaths.of(scratch.folder / _ROWS)) or any(
                other._config.table.digest != self._config.table.digest for other in others
            ):
                scratch = Scratch()
            else:
                others.add(self)
            self._scratch[offline] = scratch
        return self._scratch[offline]

    @contextlib.contextmanager
    def _watched(self, options: RunOptions) -> Iterator[None]:
        """Shows how a run goes on, and keeps the temporary folder of one that ends early, with a word on where it is."""
        if options.get("progress") and not in_notebook():
            with shown(options.get("on_event")) as watch:
                options["on_event"], options["progress"] = watch, False
                with self._watched(options):
                    yield
            return
        scratch = None if self._output_file else self._scratch_for(options)
        if scratch is None:
            yield
            return
        scratch.keep()
        try:
            yield
        except BaseException as error:  # an error of any sort must not lose paid replies
            if (scratch.folder / _ROWS).exists():
                error.add_note(
                    f"Rows and replies so far are kept in {scratch.folder}. Generating the same schema again goes on from there. "
                    f"With output_file=... you choose the place."
                )
            raise
        scratch.remove_at_exit()

    # -- results

    @property
    def report(self) -> RunReport | None:
        """The report of the last run; None before the first."""
        return self._dataset.report if self._dataset else None

    @property
    def failed_items(self) -> Sequence[FailedItem]:
        """The rows that failed for good, with reasons."""
        return self._dataset.failed_items if self._dataset else []

    def to_pandas(self) -> pd.DataFrame:
        """The existing rows, in order."""
        return self._frame(self._generated("turn into a DataFrame"))

    def to_huggingface(self) -> Any:
        """The existing rows as a `datasets.Dataset`. Objects of free form become JSON text, as in `push_to_hub`."""
        from datafast.export.files import narrowed, to_dataset

        made = self._generated("convert")
        rows = OrderedRows(made)
        return to_dataset(rows, row_model=narrowed(made.written_model, rows))

    def save(self, path: str | Path, format: str | None = None) -> Path:  # noqa: A002 - as pandas and datasets call it
        """Writes the existing rows into a file, and returns its path.

        Args:
            format: parquet, csv, json or jsonl; by default the ending of the path.

        Raises:
            ConfigError: nothing was generated yet, or the format is not known.
        """
        from datafast.export.files import save_rows

        made = self._generated("save")
        return save_rows(OrderedRows(made), user_path(path), format, row_model=made.written_model)

    def to_csv(self, path: str | Path) -> Path:
        """`save` as CSV, whatever the path ends in."""
        return self.save(path, "csv")

    def to_parquet(self, path: str | Path) -> Path:
        """`save` as Parquet, whatever the path ends in."""
        return self.save(path, "parquet")

    def to_jsonl(self, path: str | Path) -> Path:
        """`save` as JSON Lines, whatever the path ends in."""
        return self.save(path, "jsonl")

    @property
    def eval(self) -> Comparisons:
        """Comparisons of two columns of this dataset, for `evaluate`."""
        return Comparisons(self)

    @overload
    def evaluate(self, reference: Mapping[str, Comparison]) -> dict[str, float]: ...
    @overload
    def evaluate(self, reference: str, metrics: Sequence[str | Metric] = ..., **options: Any) -> Evaluation: ...
    def evaluate(
        self,
        reference: str | Mapping[str, Comparison],
        metrics: Sequence[str | Metric] = DEFAULT_METRICS,
        **options: Any,
    ) -> Evaluation | dict[str, float]:
        """Compares a column with a reference, as `Dataset.evaluate` does; or, given comparisons by name (`ds.eval`), their scores.

        Raises:
            ConfigError: nothing was generated yet, or there is no such column or metric.
        """
        made = self._generated("evaluate")
        if isinstance(reference, Mapping):
            return evaluate(reference, self)
        return made.evaluate(reference, metrics, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Publishes the existing rows; see `Dataset.push_to_hub`."""
        return self._generated("push").push_to_hub(repo_id, **options)

    def _generated(self, purpose: str) -> ColumnsDataset:
        if self._dataset is None:
            raise ConfigError(
                f"There is nothing to {purpose} yet. Call await ds.generate(n) or ds.generate_sync(n) first."
            )
        return self._dataset

    def _frame(self, made: ColumnsDataset) -> pd.DataFrame:
        with foreign_warnings_ignored():
            import pandas as pd

        report = made.report
        if report is not None and report.failed:
            reasons = ", ".join(f"{name} {count}" for name, count in report.failures.items())
            warn_user(
                f"{report.failed} of {report.requested} rows failed ({reasons}) and are left out. See .failed_items, or use "
                f"generate(..., retry_failed=True).",
            )
        with foreign_warnings_ignored():
            marks = [CUT] if made.config.table.marks_cut else []
            frame = pd.DataFrame(list(ordered_rows(made)), columns=[*self.columns, *marks])
            for name, column in self._config.columns.items():
                if isinstance(column, DatetimeColumn) and column.format is not None and column.says_the_day:
                    frame[name] = pd.to_datetime(frame[name], format=column.format)
            return frame

    def __repr__(self) -> str:
        return f"<dataset of {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows, and the report of the last run."""
        if self._dataset is None:
            return paragraph(f"Dataset of {', '.join(self.columns)}. Nothing was generated yet.")
        return self._dataset._repr_html_()


class OrderedRows(Iterable[dict[str, Any]]):
    """The rows of an output in the order of their numbers, as often as they are gone through."""

    def __init__(self, made: ColumnsDataset) -> None:
        self._made = made

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ordered_rows(self._made)


def ordered_rows(made: ColumnsDataset) -> Iterator[dict[str, Any]]:
    """The rows of an output in the order of their numbers; in the file they are in the order in which they came."""
    paths = OutputPaths.of(made.config.output_file, made.config.run.ledger_path)
    if not made.config.num_rows or not paths.rows.exists():
        return
    with LedgerReader(paths.ledger) as reader:
        for rows in rows_at(paths.rows, reader, range(made.config.num_rows)):
            yield from rows


def _name_of(provider: LLMProvider) -> str:
    """The name of a provider in keys: the same in every process, and independent of other providers."""
    if not provider.sampling and not provider.extra and not provider.name:
        return provider.label
    return f"{provider.label}#{hashlib.blake2b(provider.identity.encode(), digest_size=3).hexdigest()}"
