"""Columns that a model writes: text, structured values, judgements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, create_model, field_serializer, field_validator, model_validator

from datafast.columns.base import Cell, CellError, Column, NonBlank, Setup
from datafast.columns.json_schema import schema_model, schema_parts
from datafast.llms.reply_model import ReplyModel, with_first_words
from datafast.templates.base import RenderError, Template
from datafast.templates.values import as_plain, to_text

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


class JudgeColumn(AskingColumn):
    """A score that a model gives, with its reason."""

    type: Literal["judge"] = "judge"
    """A score that a model gives, with its reason: {reason, score}."""

    rubric: NonBlank | dict[int, NonBlank] | None = None
    """What the scores mean: a text (a template), or a mapping of scores to what earns them."""

    scale: Literal["integer", "number"] = "integer"
    """Whole scores, or any number."""
    min: int | float = 1
    """The lowest score."""
    max: int | float = 5
    """The highest score."""

    _reply: ModelClass = PrivateAttr()
    _rubric: Template | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _range(self) -> JudgeColumn:
        if self.min >= self.max:
            raise ValueError(f"min: {self.min} is not below max, {self.max}. Exchange them, or choose others.")
        if self.scale == "integer" and not (isinstance(self.min, int) and isinstance(self.max, int)):
            raise ValueError("scale: min and max have fractions, and scores are whole numbers. Write scale: number.")
        for score in self.rubric if isinstance(self.rubric, dict) else ():
            if not self.min <= score <= self.max:
                raise ValueError(
                    f"rubric: {score} is not between min, {self.min}, and max, {self.max}. Leave it out, or widen the scale."
                )
        return self

    def prepare(self, setup: Setup) -> None:
        super().prepare(setup)
        given = self.rubric
        if isinstance(given, dict):
            given = "\n".join(f"{score}: {meaning}" for score, meaning in sorted(given.items()))
        self._rubric = setup.template(given, "rubric", also=self.variables) if given else None
        self._reply = _judgement(self.scale, self.min, self.max)

    def asked(self, cell: Cell) -> tuple[str, str | None]:
        prompt, system = super().asked(cell)
        try:
            rubric = self._rubric.render({**cell.values, **self.variables}) if self._rubric else ""
        except RenderError as error:
            raise CellError(f"rubric: {error}") from None
        whole = "whole number" if self.scale == "integer" else "number"
        parts = [prompt, f"What the scores mean:\n{rubric}" if rubric else ""]
        parts.append(
            f"Judge this. Give your reason in one to three sentences, then the score: a {whole} from {to_text(self.min)} (worst) "
            f"to {to_text(self.max)} (best)."
        )
        return "\n\n".join(part for part in parts if part), system

    async def make(self, cell: Cell) -> Any:
        prompt, system = self.asked(cell)
        reply = await cell.generate(self.provider, prompt, self._reply, system=system, tag=cell.name, part=cell.name)
        return reply.model_dump(mode="json")

    def row_type(self) -> Any:
        return self._reply

    def parts(self) -> frozenset[str] | None:
        return frozenset(["reason", "score"])


def _judgement(scale: str, lowest: float, highest: float) -> type[BaseModel]:
    """What a judge replies. The reason stands first: a score that is written before it would not follow from it."""
    about = f"{to_text(lowest)} (worst) to {to_text(highest)} (best)"
    reason: Any = (str, Field(min_length=1, description="why, in one to three sentences"))
    score: Any = (int if scale == "integer" else float, Field(ge=lowest, le=highest, description=about))
    model = create_model("Judgement", __base__=ReplyModel, reason=reason, score=score)
    return with_first_words(model, {"reason": "why, in one to three sentences", "score": about})
