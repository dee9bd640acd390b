"""Drops rows by what one or several models think of them.

quality:
  - {stage: judge, rubric: Is every number in it explained?, providers: [openai/gpt-6-luna]}
  - stage: judge
    rubric: {1: invented, 5: every fact is in the document}
    keep_if: score >= 4 and spread < 3
    providers: [openai/gpt-6-luna, anthropic/claude-haiku-4-5-20251001]

Cost: a call for each judge and row that the stages before it have kept; so it stands behind those that cost nothing. A row is judged once:
another `keep_if` costs nothing, another rubric or another judge costs the judging alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, PrivateAttr, model_validator

from datafast._util.notify import did_you_mean
from datafast.engine.stages import METADATA, STAGE_ERROR
from datafast.errors import ConfigError
from datafast.judging import JudgeFields, Jury, Opinion, judgement_model, mean_score
from datafast.judging.families import families
from datafast.judging.shown import shown_row
from datafast.llms.spec import named_provider
from datafast.quality.base import KEEP, ModelStage, NonBlank, Verdict, annotate, drop, require_metadata
from datafast.templates.base import RenderError, Template, rendered
from datafast.templates.condition import Condition
from datafast.templates.parse import is_never_true, parse_template

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem

__all__ = ["JudgeStage"]

_PROMPT = "prompt"
_SAID = ("score", "reason", "spread", "lowest", "highest", "row")
_GOOD = 0.75  # of the scale
_OF_ROWS = "model_id"
_OF_JUDGES = "judge_model_id"


class JudgeStage(JudgeFields, ModelStage):
    """Drops rows that models give too low a score."""

    stage: Literal["judge"] = "judge"
    """Drops rows that models, who are asked about each, give too low a score."""

    keep_if: NonBlank | None = None
    """An expression over `score` (the mean of the judges' scores), `reason`, `spread`, `lowest`, `highest` and the fields of the `row`
    (`row.language`). By default a row is kept that has three quarters of the scale: 4 of 1 to 5."""

    field: NonBlank | None = None
    """The field that judges are shown; all that the row says where none is given."""

    prompt: NonBlank | None = None
    """What judges are shown in its place: a template over the fields of a row."""

    system_prompt: NonBlank | None = None
    """A system message for judges."""

    keep_as: NonBlank | None = None
    """The name under which a row's metadata has what the judges say of it: {judge, score, reason}, where there are several {score, spread,
    judgements}."""

    allow_own_family: bool = False
    """Let a model judge rows that a model of its own family has written. By default it is left out where others judge."""

    _template: Template | None = PrivateAttr(default=None)
    _rubric: Template | None = PrivateAttr(default=None)
    _condition: Condition | None = PrivateAttr(default=None)
    _judges: Mapping[str, str] = PrivateAttr(default={})

    @model_validator(mode="after")
    def _one_way_to_show_it(self) -> JudgeStage:
        if self.field is not None and self.prompt is not None:
            raise ValueError("field: The prompt says what judges are shown. Leave one of them out.")
        return self

    @property
    def kept_if(self) -> str:
        """The expression that decides."""
        return self.keep_if or f"score >= {self.min + _GOOD * (self.max - self.min):g}"

    @property
    def noted_as(self) -> list[str]:
        return [] if self.keep_as is None else [self.keep_as]

    def settings(self) -> dict[str, Any]:
        told = super().settings() | {"keep_if": self.kept_if}
        return told | {"providers": [named_provider(one).identity for one in self.providers]}

    # -- before rows are made

    def check(self, row_model: type[BaseModel]) -> None:
        names = list(row_model.model_fields)
        if self.field is not None and self.field not in names:
            raise ConfigError(f"field: Rows have no field {self.field!r}. {did_you_mean(self.field, names)}")
        if self.prompt is not None:
            self._template = parse_template(self.prompt, names=names, field="prompt")
        if (rubric := self.rubric_text) is not None:
            self._rubric = parse_template(rubric, names=names, field="rubric")
        if self._template is not None and not self._template.names and not (self._rubric and self._rubric.names):
            raise ConfigError("prompt: It shows judges nothing of a row. Name a field in it, as in {text}.")
        if self.keep_as is not None:
            require_metadata(row_model, "keep_as")
        self._condition = Condition.parsed(self.kept_if, names=_SAID, field="keep_if")
        if is_never_true(self.kept_if, self._known_of_scores()):
            raise ConfigError(
                f"keep_if: It is never true, because scores are from {self.min} to {self.max}. Choose another bound."
            )
        labels = [named_provider(provider).label for provider in self.providers]
        self._judges = dict(zip(self.roles, labels, strict=True))

    def _known_of_scores(self) -> Mapping[str, tuple[float, float]]:
        scores = (self.min, self.max)
        widest = self.max - self.min if len(self.providers) > 1 else 0
        return {"score": scores, "lowest": scores, "highest": scores, "spread": (0, widest)}

    def check_writers(self, writers: Sequence[Sequence[str]]) -> None:
        for route in writers:
            # Where several write, it shows in a row who has written it.
            if route and all(not self._fair(self._judges, [writer]) for writer in route):
                raise ConfigError(self._nobody(route))

    def _fair(self, judges: Mapping[str, str], writers: Sequence[str]) -> list[str]:
        """The roles of judges that are of no family of these writers."""
        written_by = frozenset[str]().union(*map(families, writers))
        return [role for role, label in judges.items() if self.allow_own_family or not families(label) & written_by]

    def _nobody(self, writers: Sequence[str]) -> str:
        told = " and ".join(dict.fromkeys(self._judges.values()))
        return (
            f"providers: {told} would judge rows of {' and '.join(dict.fromkeys(writers))}, which are of the same family. Name a judge of "
            f"another one, or write allow_own_family: true."
        )

    # -- deciding

    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict:
        if self._condition is None:
            self.check(type(row))
        if self.keep_as is not None and self.keep_as in (getattr(row, METADATA) or {}):
            told = (
                f"keep_as: The metadata of rows already has a {self.keep_as}, which would be lost. Choose another name."
            )
            raise generate.failure(told, category=STAGE_ERROR, ends_run=True)
        writers = self._writers_of(row) or generate.writers
        judges = self._fair(self._judges, writers)
        if not judges:
            raise generate.failure(self._nobody(writers), category=STAGE_ERROR, ends_run=True)
        try:
            prompt = self._asked(row)
        except RenderError as error:
            raise generate.failure(str(error), category=_PROMPT) from error
        jury = Jury(judges, system_of=lambda role: self.system_prompt)
        return self._verdict(row, await jury.score(generate, prompt, judgement_model(self.bounds)))

    def _writers_of(self, row: BaseModel) -> list[str]:
        """The models that have written what is judged, as the row says it."""
        fields = row.model_dump(mode="json")
        named = {name: value for name, value in fields.items() if name.endswith(_OF_ROWS) and name != _OF_JUDGES}
        field = self.field or ""  # chosen_response is written by the chosen_model_id
        own = named.get(f"{field}_{_OF_ROWS}") or named.get(f"{field.split('_')[0]}_{_OF_ROWS}")
        return [value for value in ([own] if own else named.values()) if isinstance(value, str)]

    def _asked(self, row: BaseModel) -> str:
        """What judges are asked about a row. Raises RenderError."""
        values = row.model_dump(mode="json") if self._template is not None or self._rubric is not None else {}
        shown = shown_row(row, self.field) if self._template is None else rendered(self._template, "prompt", values)
        return self.judged(shown, None if self._rubric is None else rendered(self._rubric, "rubric", values))

    def _verdict(self, row: BaseModel, opinions: Sequence[Opinion]) -> Verdict:
        assert self._condition is not None  # noqa: S101 - ask has checked
        scores = [opinion.score for opinion in opinions]
        score, spread = mean_score(opinions), max(scores) - min(scores)
        said = [{"judge": self._name(one), "score": one.score, "reason": one.reason} for one in opinions]
        values = {
            "score": score,
            "reason": opinions[0].reason
            if len(said) == 1
            else "\n".join("{judge}: {reason}".format(**one) for one in said),
            "spread": spread,
            "lowest": min(scores),
            "highest": max(scores),
            "row": row.model_dump(mode="json") if "row" in self._condition.names else None,
        }
        if not self._condition.holds(values):
            return drop(f"not {self.kept_if}", float(score))
        if self.keep_as is None:
            return KEEP
        told = {"score": score, "spread": spread, "judgements": said} if len(self.providers) > 1 else said[0]
        return annotate({self.keep_as: told})

    def _name(self, opinion: Opinion) -> str:
        return opinion.judge.removeprefix(f"{self.stage} ")
