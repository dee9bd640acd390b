"""Judgements: rows that there are already, scored by one or several judges.

{"question": "Why was the second burn shorter?", "answer": "Because the residual ...", "score": 4.5, "spread": 1,
 "judgements": [{"judge": "strict", "model_id": "gpt-6.1-terra", "score": 4, "reason": "Correct, but ..."},
                {"judge": "kind", "model_id": "claude-haiku-4-5", "score": 5, "reason": "Complete and ..."}],
 "uuid": "0b6d..."}

or compared in pairs, in both orders:

{"question": "...", "good": "...", "bad": "...", "first_score": 4.5, "second_score": 2, "preferred": "good", "margin": 2.5,
 "steady": true, "judgements": [{"judge": "strict", "model_id": "gpt-6.1-terra", "first_score": 4.5, "first_reason": "...", ...}], ...}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, create_model, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.kinds import common_kind
from datafast._util.notify import did_you_mean
from datafast.datasets.base import RoleDataset
from datafast.datasets.config import DatasetConfig, Metadata, NonBlank
from datafast.datasets.documents import opened, same
from datafast.datasets.row import COMPARED
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.judging import (
    Agreement,
    JudgeFields,
    Jury,
    Opinion,
    agreement_of,
    comparison_model,
    judgement_model,
    mean_score,
)
from datafast.judging.output import scores_in
from datafast.plan.dimensions import Computed
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.sources.field import RowInput, spool_beside
from datafast.sources.origin import Origin, origin_names
from datafast.store.paths import UsedFile
from datafast.templates.base import RenderError, Template, rendered
from datafast.templates.parse import parse_template
from datafast.templates.values import to_text

if TYPE_CHECKING:
    from datafast.sources import SourceRows

__all__ = ["ComparisonRow", "JudgementDataset", "JudgementDatasetConfig", "JudgementRow"]

_CALLED = "source"  # in metadata
_FIRST, _SECOND = "first", "second"


class Judgement(BaseModel):
    """What one judge says about a row."""

    judge: str
    model_id: str
    score: int | float
    reason: str


class Comparison(BaseModel):
    """What one judge says about the two texts of a row: the mean score of each in both orders."""

    judge: str
    model_id: str
    first_score: int | float
    first_reason: str
    second_score: int | float
    second_reason: str


class JudgementRow(BaseModel):
    """What a row of the source has beside its own columns: the mean of its scores, and how far apart they are."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    score: int | float
    """The mean of the judges' scores."""
    spread: int | float
    """How far apart the judges' scores are."""
    judgements: list[Judgement]
    """What each judge says: its score and the reason."""
    uuid: str
    """Identifies the row. One that the source has stays."""


class ComparisonRow(BaseModel):
    """The same for two compared columns. `preferred` is the name of one, null where both have the same score; `steady` says whether
    each judge preferred the same one in both orders."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    first_score: int | float
    """The mean score of the first of the compared columns."""
    second_score: int | float
    """The mean score of the second."""
    preferred: str | None
    """The name of the column with the higher score; null where both have the same."""
    margin: int | float
    """How far apart the two scores are."""
    steady: bool
    """Whether each judge preferred the same column in both orders."""
    judgements: list[Comparison]
    """What each judge says of both columns."""
    uuid: str
    """Identifies the row. One that the source has stays."""


class JudgementDatasetConfig(JudgeFields, DatasetConfig):
    """What a dataset of judgements is made of: a row for each row of the source, scored by all judges."""

    input_fields = ("source", "rows")

    source: RowInput
    """The rows that are judged: a JSONL, JSON, CSV, TSV or Parquet file; a dataset on the Hugging Face Hub by its name; in Python also a
    list of mappings, a DataFrame or a Dataset; or a mapping of `source` and which of its rows."""

    columns: list[NonBlank] | None = Field(default=None, min_length=1)
    """The columns of the source that rows have, and that judges see if there is no `prompt`; all of them by default."""

    prompt: NonBlank | None = None
    """What judges are shown: a template over the columns. With `compare` it has {first} and {second}."""

    compare: list[NonBlank] | None = Field(default=None, min_length=2, max_length=2)
    """Two columns that are judged against each other, in both orders."""

    judges: list[NonBlank] = Field(default=["judge"], min_length=1)
    """The names of the judges. Each has its provider under this name."""

    system_prompt: NonBlank | dict[str, NonBlank] | None = None
    """A system message for all judges, or one for each."""

    output_file: Accepts[UserPath, str | Path] = default_of(Path("judgements.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    _rows: SourceRows = PrivateAttr()
    _origin: Origin = PrivateAttr()
    _opened: Any = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)
    _template: Template | None = PrivateAttr(default=None)
    _rubric: Template | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _rows_fit(self, info: ValidationInfo) -> JudgementDatasetConfig:
        self._folder = (info.context or {}).get("folder", self._folder)
        if not same(self._opened, self.source):
            self._rows = opened(self.source, "source", self._folder, spool_beside(self.paths.rows, self.run))
            self._origin = Origin.as_given(self.source, self._rows, _CALLED)
            self._opened = self.source
        self._check_columns()
        self._check_judges()
        names = [*self._rows.columns, *((_FIRST, _SECOND) if self.compare else ())]
        self._template = parse_template(self.prompt, names=names, field="prompt") if self.prompt else None
        rubric = self.rubric_text
        self._rubric = parse_template(rubric, names=names, field="rubric") if rubric else None
        if self._template is not None and self.compare and not {_FIRST, _SECOND} <= self._template.names:
            raise ValueError("prompt: With compare it has both {first} and {second}. Add what is missing.")
        if self._template is not None and not self._template.names and not (self._rubric and self._rubric.names):
            raise ValueError("prompt: It shows judges nothing of a row. Name a column in it.")
        return self

    def _check_columns(self) -> None:
        rows = self._rows
        for field, given in (("columns", self.columns), ("compare", self.compare)):
            for name in given or ():
                if name not in rows.columns:
                    hint = did_you_mean(name, rows.columns)
                    raise ValueError(f"{field}: {rows.name} has no column {name!r}. {hint}")
        if self.compare and self.compare[0] == self.compare[1]:
            raise ValueError(f"compare: {self.compare[0]!r} is given twice. Name two columns.")
        for name in {_FIRST, _SECOND}.intersection(rows.columns).difference(self.compare or rows.columns):
            raise ValueError(
                f"compare: {rows.name} has a column {name!r} beside the compared ones, which prompts call so. Rename it."
            )
        rows.check(rows.columns, field="source")
        own = ComparisonRow if self.compare else JudgementRow
        taken = {*own.model_fields, *(["metadata"] if self.tells_origin else [])} - {"uuid"}
        for name in self.shown_columns:
            if name.startswith("_") or name in taken:
                raise ValueError(
                    f"columns: The column {name!r} of {rows.name} cannot be one of a judged row, which has names of its own. Name "
                    f"the columns to take without it, or rename it."
                )
        if "uuid" in self.shown_columns:
            cure = "Give each row its own uuid, or name under columns those to take without it."
            rows.ids_by("uuid", field="source", cure=cure)

    def _check_judges(self) -> None:
        if len(set(self.judges)) < len(self.judges):
            raise ValueError("judges: A name is given twice. Give each judge its own.")
        for name in self.system_prompt if isinstance(self.system_prompt, dict) else ():
            if name not in self.judges:
                raise ValueError(f"system_prompt: There is no judge {name!r}. {did_you_mean(name, self.judges)}")
        if self.run.fan_out != "all":
            raise ValueError(f"run.fan_out is {self.run.fan_out}, but this kind asks every judge. Leave it out.")

    @property
    def rows(self) -> SourceRows:
        """The rows that are judged."""
        return self._rows

    @property
    def tells_origin(self) -> bool:
        """Whether rows have metadata, which say what row of the source they are made of."""
        return bool(origin_names(self.source, _CALLED))

    def metadata_of(self, row: Mapping[str, Any]) -> dict[str, Metadata]:
        """The metadata of what is made of a row, if there are any."""
        return {"metadata": dict(self._origin.of(row))} if self.tells_origin else {}

    @property
    def roles(self) -> list[str]:
        """The roles that need a provider with this config: the judges."""
        return self.judges

    @property
    def shown_columns(self) -> Sequence[str]:
        """The columns of the source that rows have."""
        return self.columns or self._rows.columns

    def system_prompt_of(self, judge: str) -> str | None:
        return self.system_prompt.get(judge) if isinstance(self.system_prompt, dict) else self.system_prompt

    def asked(self, row: Mapping[str, Any], compared: Mapping[str, str] | None = None) -> str:
        """What judges are asked about a row; `compared`: the texts that stand first and second. Raises RenderError."""
        compared = compared or {}
        if self._template is not None:
            shown = rendered(self._template, "prompt", {**row, **compared})
        else:
            beside = [name for name in self.shown_columns if name not in (self.compare or ())]
            texts = {**{name: to_text(row.get(name)) for name in beside}, **compared}
            shown = "\n\n".join(f"{name}:\n{text}" for name, text in texts.items())
        rubric = rendered(self._rubric, "rubric", {**row, **compared}) if self._rubric is not None else None
        return self.judged(shown, rubric, both=bool(compared))

    def used_files(self) -> Iterator[UsedFile]:
        for file in self._rows.files:
            yield UsedFile("a source", file, written=False)
        yield from super().used_files()


class JudgementDataset(RoleDataset[JudgementDatasetConfig, BaseModel]):
    """A dataset of judgements: `generate({"judge": provider})`, with a provider for each of the judges."""

    kind = "judgement"
    config_model = JudgementDatasetConfig
    row_model: type[BaseModel] = JudgementRow

    def __init__(self, config: JudgementDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.row_model = _row_model(config)
        self._jury = Jury(config.judges, system_of=config.system_prompt_of)

    def agreement(self) -> Agreement:
        """How far the judges agree in the rows of the output file: about scores, or about margins where texts are compared.

        Raises:
            MissingExtraError: nltk is not installed.
        """
        rows: Any = self.data_rows
        said = ({"judgements": [one.model_dump() for one in row.judgements]} for row in rows)
        return agreement_of([scores for row in said for _, scores in scores_in(row)])

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config, rows = self.config, self.config.rows
        dimension = Dimension("row", rows, digests=Computed(len(rows), rows.id_of), fingerprint=rows.digest)
        told = [config.prompt or "", config.judged("", config.rubric_text, both=config.compare is not None)]
        told += [*(f"compare {name}" for name in config.compare or ()), *config.shown_columns]
        systems = [f"{judge}:{config.system_prompt_of(judge) or ''}" for judge in config.judges]
        return self.grid([dimension], routes=routes, shape=lambda edition: [*told, *systems])

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel | CallFailed]:
        row = item.values["row"]
        try:
            judged = await (self._compared(row, generate) if self.config.compare else self._scored(row, generate))
        except RenderError as error:
            return [generate.failure(str(error), category="prompt")]
        kept = {name: row.get(name) for name in self.config.shown_columns}
        told = self.config.metadata_of(row)
        return [self.row_model.model_validate({"uuid": item.row_uuid(0), **kept, **judged, **told})]

    async def _scored(self, row: Mapping[str, Any], generate: Generate) -> dict[str, Any]:
        model = judgement_model(self.config.bounds)
        opinions = await self._jury.score(generate, self.config.asked(row), model)
        scores = [opinion.score for opinion in opinions]
        return {
            "score": mean_score(opinions),
            "spread": max(scores) - min(scores),
            "judgements": [
                {
                    "judge": said.judge,
                    "model_id": generate.model_id(said.judge),
                    "score": said.score,
                    "reason": said.reason,
                }
                for said in opinions
            ],
        }

    async def _compared(self, row: Mapping[str, Any], generate: Generate) -> dict[str, Any]:
        one, other = self.config.compare or ("", "")
        found = await self._jury.compare(
            generate,
            lambda first, second: self.config.asked(row, {_FIRST: first, _SECOND: second}),
            (to_text(row.get(one)), to_text(row.get(other))),
            comparison_model(self.config.bounds),
        )
        first, second = mean_score(found.first), mean_score(found.second)
        return {
            "first_score": first,
            "second_score": second,
            "preferred": None if first == second else one if first > second else other,
            "margin": abs(first - second),
            "steady": found.steady,
            "judgements": [_comparison(pair, generate) for pair in zip(found.first, found.second, strict=True)],
        }


def _comparison(pair: tuple[Opinion, Opinion], generate: Generate) -> dict[str, Any]:
    first, second = pair
    return {
        "judge": first.judge,
        "model_id": generate.model_id(first.judge),
        "first_score": first.score,
        "first_reason": first.reason,
        "second_score": second.score,
        "second_reason": second.reason,
    }


def _row_model(config: JudgementDatasetConfig) -> type[BaseModel]:
    """The columns of the source, then what the judges say."""
    own = ComparisonRow if config.compare else JudgementRow
    fields: dict[str, Any] = {}
    for name in config.shown_columns:
        kind = common_kind(config.rows.kinds.get(name, ())) or Any
        told = Field(None, description="A column of the source.")
        fields[name] = (kind if kind is Any else kind | None, told)
    for name, info in own.model_fields.items():
        fields.setdefault(name, (info.annotation, info))
    if config.tells_origin:
        fields["metadata"] = (Metadata, Field(description="Where the row comes from in its source."))
    # A column may have the name of an old method of pydantic's models, like `copy` or `json`: the row's value is what counts.
    with foreign_warnings_ignored():
        made: type[BaseModel] = create_model(own.__name__, __doc__=own.__doc__, **fields)
    if config.compare:
        setattr(made, COMPARED, tuple(config.compare))
    return made
