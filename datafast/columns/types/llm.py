"""Columns that a model writes: text, structured values, judgements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, field_serializer, field_validator, model_validator

from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.columns.json_schema import schema_model, schema_parts
from datafast.judging import JudgeFields, Jury, judgement_model, mean_score
from datafast.templates.base import RenderError, Template
from datafast.templates.values import as_plain

__all__ = ["DEFAULT_PROVIDER", "JudgeColumn", "StructuredColumn", "TextColumn"]

DEFAULT_PROVIDER = "default"

ModelClass = type[BaseModel]


class AskingColumn(Column):
    """What the columns that ask a model have in common."""

    waits = True
    calls = True

    prompt: NonBlank
    """What the model is asked: a template over other columns."""

    system: NonBlank | None = None
    """A system message in front, a template too."""

    provider: NonBlank = DEFAULT_PROVIDER
    """Who is asked: a name under `providers`."""

    variables: dict[str, Any] = Field(default_factory=dict)
    """Further names for the templates, with their values. They are not columns."""

    _prompt: Template = PrivateAttr()
    _system: Template | None = PrivateAttr(default=None)

    _plain_variables = field_validator("variables")(as_plain)

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.provider,)

    def prepare(self, setup: Setup) -> None:
        self._prompt = setup.template(self.prompt, "prompt", also=self.variables)
        self._system = setup.template(self.system, "system", also=self.variables) if self.system else None

    def asked(self, cell: Cell) -> tuple[str, str | None]:
        """The prompt and the system message of a cell. Raises CellError."""
        values: Mapping[str, Any] = {**cell.values, **self.variables} if self.variables else cell.values
        try:
            prompt = self._prompt.render(values)
            system = self._system.render(values) if self._system else None
        except RenderError as error:
            raise CellError(str(error)) from None
        if not prompt.strip():
            raise CellError("the prompt is empty with the values of this row, so there is nothing to ask")
        return prompt, system


class TextColumn(AskingColumn):
    """A text that a model writes."""

    type: Literal["text"] = "text"
    """A text that a model writes."""

    async def make(self, cell: Cell) -> str:
        prompt, system = self.asked(cell)
        return await cell.generate(self.provider, prompt, system=system, tag=cell.name, part=cell.name)

    def row_type(self) -> Any:
        return str


class StructuredColumn(AskingColumn):
    """An object that a model writes, in a form that is checked."""

    type: Literal["structured"] = "structured"
    """An object that a model writes, in a form that is checked."""

    json_schema: dict[str, Any] | None = None
    """The form as a JSON Schema of an object."""

    response_model: Any = None
    """In Python instead: a pydantic model."""

    _model: ModelClass = PrivateAttr()

    @model_validator(mode="after")
    def _one_form(self) -> StructuredColumn:
        if (self.json_schema is None) == (self.response_model is None):
            raise ValueError(
                "json_schema: expected the form of the object, or response_model in its place, and not both."
            )
        return self

    @field_validator("response_model")
    @classmethod
    def _a_model(cls, given: Any) -> Any:
        if given is not None and not (isinstance(given, type) and issubclass(given, BaseModel)):
            raise ValueError(f"expected a class derived from pydantic.BaseModel, got {given!r}.")
        return given

    @field_serializer("response_model")
    def _described(self, model: ModelClass | None) -> str | None:
        return model.__name__ if model else None

    def prepare(self, setup: Setup) -> None:
        super().prepare(setup)
        self._model = self.response_model or schema_model(self.json_schema or {}, name=setup.name)

    async def make(self, cell: Cell) -> Any:
        prompt, system = self.asked(cell)
        reply = await cell.generate(self.provider, prompt, self._model, system=system, tag=cell.name, part=cell.name)
        return reply.model_dump(mode="json")

    def row_type(self) -> Any:
        return self.response_model or dict[str, Any]

    def parts(self) -> frozenset[str] | None:
        if self.response_model is not None:
            return frozenset(self.response_model.model_fields)
        return schema_parts(self.json_schema or {})

    def identity(self) -> Any:
        form = self.json_schema or self.response_model.model_json_schema()
        return {**self.model_dump(mode="json", exclude={"json_schema", "response_model"}), "form": form}


class _Said(BaseModel):
    """What one of several judges says."""

    judge: str
    reason: str
    score: int | float


class Verdict(BaseModel):
    """What several judges say together: the mean of their scores, and each of them."""

    reason: str
    score: int | float
    spread: int | float
    judgements: list[_Said]


class JudgeColumn(JudgeFields, AskingColumn):
    """A score that one or several models give, with the reason."""

    type: Literal["judge"] = "judge"
    """A score that a model gives, with its reason: {reason, score}. Of several judges the mean, and what each says: {reason, score, spread,
    judgements}."""

    judges: list[NonBlank] | None = Field(default=None, min_length=1)
    """In the place of `provider`: several who are asked, by their names under `providers`."""

    _reply: ModelClass = PrivateAttr()
    _rubric: Template | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_way_to_name_them(self) -> JudgeColumn:
        if self.judges is None:
            return self
        if "provider" in self.model_fields_set:
            raise ValueError("judges: The judge is named under provider already. Leave one of them out.")
        if len(set(self.judges)) < len(self.judges):
            raise ValueError("judges: A name is given twice. Give each judge its own.")
        return self

    @property
    def providers(self) -> tuple[str, ...]:
        return super().providers if self.judges is None else tuple(self.judges)

    def prepare(self, setup: Setup) -> None:
        super().prepare(setup)
        given = self.rubric_text
        self._rubric = setup.template(given, "rubric", also=self.variables) if given else None
        self._reply = judgement_model(self.bounds)

    def asked(self, cell: Cell) -> tuple[str, str | None]:
        prompt, system = super().asked(cell)
        try:
            rubric = self._rubric.render({**cell.values, **self.variables}) if self._rubric else ""
        except RenderError as error:
            raise CellError(f"rubric: {error}") from None
        return self.judged(prompt, rubric), system

    async def make(self, cell: Cell) -> Any:
        prompt, system = self.asked(cell)
        if self.judges is not None:
            return await self._of_several(cell, prompt, system)
        reply = await cell.generate(self.provider, prompt, self._reply, system=system, tag=cell.name, part=cell.name)
        return reply.model_dump(mode="json")

    async def _of_several(self, cell: Cell, prompt: str, system: str | None) -> dict[str, Any]:
        jury = Jury(self.judges or (), system_of=lambda judge: system)
        opinions = await jury.score(cell.generate, prompt, self._reply, tag=cell.name, part=cell.name)
        scores = [said.score for said in opinions]
        return {
            "reason": "\n".join(f"{said.judge}: {said.reason}" for said in opinions),
            "score": mean_score(opinions),
            "spread": max(scores) - min(scores),
            "judgements": [{"judge": said.judge, "reason": said.reason, "score": said.score} for said in opinions],
        }

    def row_type(self) -> Any:
        return self._reply if self.judges is None else Verdict

    def parts(self) -> frozenset[str] | None:
        return frozenset(["reason", "score"] if self.judges is None else Verdict.model_fields)
