"""A table through prompts into new columns: of each row of a source one or several rows, with what a model makes of it.

{"review": "I waited forty minutes ...", "restaurant": "Anchor", "summary": "A long wait.", "mood": "negative", "stars": 2,
 "pipeline_source": "synthetic", "model_id": "gpt-6-luna", "language": "en", "uuid": "6f0c...",
 "metadata": {"source_key": "r17", "prompt_index": 0}}

Guarantee: a row of the source is told apart by what it holds, so an edited one is asked about again, and no other; what is skipped is in
no key. Cells keep their types.
Cost: one more pass over the source where rows are skipped or have a key.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence, Sized
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import warn_user
from datafast.datasets.by_source import BySourceDataset
from datafast.datasets.config import Metadata, NonBlank, PromptDatasetConfig, TemplateNames
from datafast.datasets.documents import by_line, opened, same, the_given
from datafast.datasets.pairing import SENTENCES, given_names
from datafast.datasets.pipeline_replies import Entries, OutputType, entry_model, reply_model, told, type_of
from datafast.datasets.pipeline_rows import CALLED, PipelineRows, Skip, SourceRow, named
from datafast.datasets.row import uuid_of_content
from datafast.engine.generate import Generate
from datafast.plan.defaults import DefaultPrompts
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.sources import SourceRows
from datafast.sources.field import RowInput, spool_beside
from datafast.sources.origin import Origin
from datafast.sources.source import RowSource
from datafast.store.paths import UsedFile
from datafast.templates.values import to_text

__all__ = [
    "DEFAULT_PROMPTS",
    "GenericPipelineDataset",
    "GenericPipelineDatasetConfig",
    "GenericPipelineRow",
    "GenericPipelineSource",
    "create_generic_pipeline_row_model",
    "create_response_model",
]

DEFAULT_PROMPTS = [
    "Here is a row of a table:\n\n{row}\n\nMake new columns from it, in {language}: {outputs}. Give exactly {num_samples} of such rows "
    "with the new columns, no two of them alike, and say nothing that does not follow from the table."
]
DEFAULTS = DefaultPrompts("generic_pipeline", version=1, texts={"prompts": DEFAULT_PROMPTS, **SENTENCES})

_FILLED = ("num_samples", "language", "language_name")


class GenericPipelineSource(StrEnum):
    """Where the new columns come from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class GenericPipelineRow(BaseModel):
    """What a row has beside its columns. `create_generic_pipeline_row_model` gives the model of whole rows."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    pipeline_source: GenericPipelineSource = GenericPipelineSource.SYNTHETIC
    """Where the new columns come from; `synthetic` as they were generated."""
    model_id: str | None = None
    """The model that wrote the row, as it was asked for."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""


class GenericPipelineDatasetConfig(PromptDatasetConfig):
    """What a pipeline is made of: rows = rows of the source x languages x expanded prompts x samples x providers."""

    input_fields = ("source", "local_file_path", "rows")
    default_prompts = DEFAULTS
    own_metadata = ("prompt_index", f"{CALLED}_key")
    rows_called = CALLED

    source: RowInput = None
    """The table: a JSONL, JSON, CSV, TSV or Parquet file; a dataset on the Hugging Face Hub by its name; in Python also a list of
    mappings, a DataFrame or a Dataset; or a mapping of `source` and which of its rows."""

    hf_dataset_name: NonBlank | None = None
    """A dataset on the Hugging Face Hub, in the place of `source`."""

    local_file_path: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """A file, in the place of `source`; a text file gives a row with a `text` for each line."""

    input_columns: list[NonBlank] | dict[str, NonBlank]
    """The columns that prompts have, as {column}, and rows too. Or a mapping of names, which they have in prompts and rows, to columns."""

    forward_columns: list[NonBlank] | dict[str, NonBlank] | None = None
    """Further columns that rows have, and prompts do not; also with other names."""

    output_columns: list[NonBlank] | dict[str, OutputType] | None = None
    """The new columns, or a mapping of them to what they hold: text, integer, number, boolean, texts (a list of texts), or a list of the
    texts or whole numbers to choose from. Without it there is one text, `generated_text`."""

    key_column: NonBlank | None = None
    """A column whose values tell the rows of the source apart. It stands in the metadata of rows as `source_key`."""

    skip_if: NonBlank | None = None
    """A Jinja expression over the columns of the source: rows of which it is true are left out. An empty text and the text "false" are
    false."""

    skip_function: Any = None
    """In Python also: a function that is given a row as a dict, and says whether it is left out. It is in no key."""

    sample_count: int | None = Field(default=None, ge=1)
    """At most this many rows of the source: the first ones that are not left out."""

    num_samples_per_prompt: int = Field(default=1, ge=1, le=1000)
    """Rows that are made of each row of the source, by one call."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("generic_pipeline_dataset.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Templates with input columns. {language}, or {language_name}, must occur where there are several languages, and {num_samples} where
    more than one sample is asked for."""

    system_prompt: NonBlank | None = None
    """A system message for every call."""

    _rows: PipelineRows = PrivateAttr()
    _made_of: list[Any] = PrivateAttr(default_factory=list)
    _folder: Path | None = PrivateAttr(default=None)

    @field_validator("input_columns", "forward_columns", "output_columns")
    @classmethod
    def _some_names(cls, given: Any) -> Any:
        for name in given if given is not None else ():
            if not name.strip() or name.startswith("_") or (name.startswith("model_") and hasattr(BaseModel, name)):
                raise ValueError(f"{name!r} cannot be the name of a column of rows. Choose another one.")
        if given is not None and len(set(given)) < len(given):
            raise ValueError("A name is given twice. Leave one of them out.")
        return given

    @field_validator("input_columns")
    @classmethod
    def _at_least_one(cls, given: Any) -> Any:
        if not given:
            raise ValueError("expected at least one column.")
        return given

    @field_validator("output_columns")
    @classmethod
    def _choices(cls, given: Any) -> Any:
        for name, kind in given.items() if isinstance(given, dict) else ():
            if isinstance(kind, list) and (not kind or len(set(kind)) < len(kind)):
                raise ValueError(f"{name}: expected texts or whole numbers to choose from, each once.")
        return given

    @field_validator("skip_function")
    @classmethod
    def _callable(cls, given: Any) -> Any:
        if given is not None and (not callable(given) or inspect.iscoroutinefunction(given)):
            raise ValueError(
                "expected a function of a row that is not async. In YAML, skip_if says which rows to skip."
            )
        return given

    @field_serializer("skip_function")
    def _described(self, function: Any) -> str | None:
        return None if function is None else str(getattr(function, "__qualname__", type(function).__qualname__))

    @model_validator(mode="after")
    def _columns_fit(self, info: ValidationInfo) -> GenericPipelineDatasetConfig:
        self._folder = (info.context or {}).get("folder", self._folder)
        self._check_names()
        self._check_prompts()
        given = {name: getattr(self, name) for name in ("source", "hf_dataset_name", "local_file_path")}
        chosen = (self.named_key, self.skip_if, self.skip_function, self.sample_count)
        made_of = [*given.values(), *chosen, str(self.sources)]
        if len(self._made_of) != len(made_of) or not all(map(same, self._made_of, made_of)):
            self._rows = self._opened(the_given(given, "rows"))
            self._remark_on_unused()
            self._made_of = made_of
        self._check_against_source()
        return self

    def _opened(self, field: str) -> PipelineRows:
        """The rows of the source that a field names."""
        given = by_line(getattr(self, field), field)
        source = opened(given, field, self._folder, spool_beside(self.paths.rows, self.run))
        return PipelineRows(
            source,
            field=field,
            input_columns=named(self.input_columns),
            forward_columns=named(self.forward_columns),
            origin=self._origin(source),
            skip=Skip(source, self.skip_if, self.skip_function),
            sample_count=self.sample_count,
        )

    def _origin(self, rows: SourceRows) -> Origin:
        field = "key_column" if self.key_column is not None else "key"
        keep_row = isinstance(self.source, RowSource) and self.source.keep_row
        return Origin(rows, CALLED, key=self.named_key, keep_row=keep_row, field=field)

    @property
    def named_key(self) -> str | None:
        """The column with the keys of rows, whichever field names it. Raises ValueError where two name different ones."""
        key = self.source.key if isinstance(self.source, RowSource) else None
        if key is not None and self.key_column not in (None, key):
            raise ValueError(
                f"key_column: It is {self.key_column!r}, and key of source is {key!r}. Leave one of them out."
            )
        return key or self.key_column

    def _check_names(self) -> None:
        own = GenericPipelineRow.model_fields
        inputs, forwarded = named(self.input_columns), named(self.forward_columns)
        for field, columns, taken in (
            ("input_columns", inputs, {*own, *_FILLED, *given_names(self)}),
            ("forward_columns", forwarded, {*own}),
            ("output_columns", self.outputs, {*own}),
        ):
            for name in columns:
                if name in taken:
                    hint = "Choose another name."
                    if field != "output_columns":
                        hint = f"Write it with another name: {field}: {{source_{name}: {name}}}."
                    raise ValueError(f"{field}: {name!r} is a name of datafast's own in rows or prompts. {hint}")
        for name in self.outputs:
            if name in inputs or name in forwarded:
                raise ValueError(f"output_columns: {name!r} is a column of the source already. Choose another name.")
        for name, column in forwarded.items():
            if inputs.get(name, column) != column:
                raise ValueError(f"forward_columns: {name!r} is another input column already. Choose another name.")

    def _check_prompts(self) -> None:
        if self.prompts is None:
            return
        for number, template in enumerate(self.prompt_expansion().templates):
            place, used = self.template_field(number), template.kind_names
            if not used & named(self.input_columns).keys():
                columns = ", ".join(f"{{{name}}}" for name in named(self.input_columns))
                raise ValueError(f"{place}: No input column occurs. Write at least one of {columns}.")
            if len(self.languages) > 1 and not used & {"language", "language_name"}:
                raise ValueError(
                    f"{place}: {{language}} is missing, and there are several languages. Add it, or name one language."
                )

    def _check_against_source(self) -> None:
        known = {*named(self.input_columns), *_FILLED, *self.placeholders, *given_names(self)}
        for number, text in enumerate(self.prompts or ()):
            for column in self.rows.source.columns:
                if len(column) > 1 and column not in known and f"{{{column}}}" in text:
                    raise ValueError(
                        f"{self.template_field(number)}: {{{column}}} is a column that is not among input_columns. Add it there."
                    )

    def _remark_on_unused(self) -> None:
        if self.prompts is None:
            return
        used = {name for template in self.prompt_expansion().templates for name in template.kind_names}
        if unused := [name for name in named(self.input_columns) if name not in used]:
            warn_user(
                f"input_columns: No prompt has {', '.join(f'{{{name}}}' for name in unused)}. Write it into one, or move the column to "
                f"forward_columns."
            )

    @property
    def names_in_prompts(self) -> TemplateNames:
        if self.prompts is None:
            return TemplateNames("num_samples", "language", "row", "outputs")
        several = ["num_samples"] if self.num_samples_per_prompt > 1 else []
        return TemplateNames(*several, optional=[*_FILLED, *named(self.input_columns)])

    @property
    def rows(self) -> PipelineRows:
        """The rows of the source that are asked about."""
        return self._rows

    @property
    def sources(self) -> Mapping[str, str]:
        """The columns of the source that rows have, by their names in rows."""
        return {**named(self.input_columns), **named(self.forward_columns)}

    @property
    def outputs(self) -> Mapping[str, OutputType]:
        """The new columns, and what they hold."""
        given = self.output_columns or ["generated_text"]
        return given if isinstance(given, dict) else dict.fromkeys(given, "text")

    def used_files(self) -> Iterator[UsedFile]:
        for file in self.rows.source.files:
            yield UsedFile("a source", file, written=False)
        yield from super().used_files()


class GenericPipelineDataset(BySourceDataset[GenericPipelineDatasetConfig, BaseModel]):
    """A dataset of the rows of a table with new columns. `row_model` has a field for each column."""

    kind = "generic_pipeline"
    config_model = GenericPipelineDatasetConfig
    row_model: type[BaseModel] = GenericPipelineRow

    def __init__(self, config: GenericPipelineDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.row_model = _row_model(config, {name: config.rows.kind(name) for name in config.sources})
        self._entry = entry_model(config.outputs)
        self._replies: dict[int, type[Entries]] = {}

    @property
    def source_rows(self) -> Sized:
        return self.config.rows

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        dimensions = [config.rows.dimension("row"), Dimension("language", list(config.languages.items()))]
        columns = [f"{name}: {column}" for name, column in config.sources.items()]
        made = [f"{name} = {kind}" for name, kind in config.outputs.items()]
        inputs = str(list(named(config.input_columns)))
        shape = [config.system_prompt or "", config.named_key or "", inputs, *columns, *made]
        return self.grid(dimensions, routes=routes, shape=lambda edition: shape)

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel]:
        row, (language, language_name) = item.values["row"], item.values["language"]
        values = self._values(row, language_name)
        entries = await generate.collect(
            "generator",
            item.num_rows,
            prompt=lambda count: self.render(item, {**values, "num_samples": str(count)}),
            response_model=self._reply,
            items=lambda reply: reply.entries,
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt,
        )
        return [
            self.row_model.model_validate(
                {
                    **row.columns,
                    **{name: getattr(entry, name) for name in self.config.outputs},
                    "model_id": generate.model_id("generator"),
                    "language": language,
                    "uuid": item.row_uuid(number),
                    "metadata": {**row.origin, **self.metadata(item)},
                }
            )
            for number, entry in enumerate(entries)
        ]

    def _values(self, row: SourceRow, language_name: str) -> dict[str, str]:
        inputs = {name: to_text(row.columns[name]) for name in named(self.config.input_columns)}
        languages = {"language": language_name, "language_name": language_name}
        if self.config.prompts is not None:
            return {**inputs, **languages}
        return {
            **languages,
            "row": "\n\n".join(f"{name}:\n{text}" for name, text in inputs.items()),
            "outputs": ", ".join(f"{name} ({told(kind)})" for name, kind in self.config.outputs.items()),
        }

    def _reply(self, count: int) -> type[Entries]:
        if count not in self._replies:
            self._replies[count] = reply_model(self._entry, count)
        return self._replies[count]


def create_response_model(config: GenericPipelineDatasetConfig) -> type[Entries]:
    """The model of the reply to a prompt: `entries`, each with the new columns."""
    return reply_model(entry_model(config.outputs), config.num_samples_per_prompt)


def create_generic_pipeline_row_model(config: GenericPipelineDatasetConfig) -> type[BaseModel]:
    """The model of rows: the columns of the source, which may hold anything, the new ones, then the fields of `GenericPipelineRow`."""
    return _row_model(config, dict.fromkeys(config.sources, Any))


def _row_model(config: GenericPipelineDatasetConfig, kinds: Mapping[str, Any]) -> type[BaseModel]:
    """The same with these types of the columns of the source."""
    fields: dict[str, Any] = {
        name: (kind, Field(None, description=f"The column {config.sources[name]} of the source."))
        for name, kind in kinds.items()
    }
    fields |= {
        name: (type_of(kind), Field(description="A new column, which the model wrote."))
        for name, kind in config.outputs.items()
    }
    fields |= {name: (info.annotation, info) for name, info in GenericPipelineRow.model_fields.items()}
    with foreign_warnings_ignored():
        return create_model(GenericPipelineRow.__name__, __doc__=GenericPipelineRow.__doc__, **fields)
