"""Preference pairs: a question about a document, a chosen and a rejected response, optionally evolved and judged.

{"input_document": "The second stage relit after ...", "question": "Why was the second burn shorter?",
 "chosen_response": "Because the residual ...", "rejected_response": "It was shorter.", "preference_source": "synthetic",
 "chosen_model_id": "claude-haiku-4-5-20251001", "rejected_model_id": "gemma3:4b", "chosen_response_score": 9,
 "rejected_response_score": 3, "chosen_response_assessment": "Complete and grounded in ...", ..., "language": "en",
 "uuid": "51aa...", "metadata": {"prompt_index": 0}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.base import RoleDataset
from datafast.datasets.config import Metadata, NonBlank, PromptDatasetConfig, TemplateNames
from datafast.datasets.inputs import texts_dimension
from datafast.datasets.replies import texts_model
from datafast.datasets.row import uuid_of_content
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.judging import Jury, Opinion, Scale, judgement_model
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.plan.template import Template
from datafast.sources.field import TextInput

__all__ = ["PreferenceDataset", "PreferenceDatasetConfig", "PreferenceRow", "PreferenceSource", "Role"]

Role = Literal["question", "chosen", "rejected", "evolution", "judge"]
DEFAULT_QUESTION_PROMPTS = [
    "Read this document:\n\n{document}\n\nWrite questions in {language_name}: exactly {num_samples}. Ask what a curious reader of the "
    "document would ask and what it helps to answer, nothing twice. Each question must be understandable on its own, without the "
    "document at hand."
]
_FIRST_QUESTION_PROMPTS = [
    "Read this document:\n\n{document}\n\nWrite {num_samples} different questions in {language_name} that a curious reader of it "
    "would ask and that it helps to answer. Each question must be understandable on its own, without the document at hand."
]
DEFAULT_CHOSEN_PROMPT = (
    "Here is a document:\n\n{document}\n\nAnswer this question in {language_name}, correctly, completely and to the point, "
    "using what the document says:\n\n{question}"
)
DEFAULT_REJECTED_PROMPT = (
    "Here is a document:\n\n{document}\n\nGive a short, superficial answer in {language_name} to this question, one that misses "
    "important points:\n\n{question}"
)
DEFAULT_EVOLUTION_PROMPT = (
    "Here is a document:\n\n{document}\n\nA question about it:\n\n{question}\n\nAn answer:\n\n{answer}\n\nRewrite the answer in its "
    "language so that it is deeper, more precise and better reasoned, without anything that the document contradicts. "
    "Reply with the new answer alone."
)
DEFAULT_JUDGE_PROMPT = (
    "Here is a document:\n\n{document}\n\nA question about it:\n\n{question}\n\nA response:\n\n{response}\n\nJudge how correct, complete "
    "and helpful the response is. Give a short assessment, then a score from 1 (useless) to 10 (cannot be improved)."
)


_OTHER_PROMPTS = {
    "chosen_response_generation_prompt": [DEFAULT_CHOSEN_PROMPT],
    "rejected_response_generation_prompt": [DEFAULT_REJECTED_PROMPT],
    "evolution_prompt": [DEFAULT_EVOLUTION_PROMPT],
    "judge_prompt": [DEFAULT_JUDGE_PROMPT],
}
DEFAULTS = DefaultPrompts(
    "preference",
    version=2,
    texts={"question_generation_prompts": DEFAULT_QUESTION_PROMPTS, **_OTHER_PROMPTS},
    former=DefaultPrompts(
        "preference", version=1, texts={"question_generation_prompts": _FIRST_QUESTION_PROMPTS, **_OTHER_PROMPTS}
    ),
)
SCALE = Scale(1, 10, worst="useless", best="cannot be improved")
JUDGEMENT = judgement_model(
    SCALE,
    reason="assessment",
    about="what is good and what is missing, in one to three sentences",
    first_docstring="What a judge replies.",
)


class PreferenceSource(StrEnum):
    """Where a preference comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class PreferenceRow(BaseModel):
    """A row of a preference dataset. Scores and assessments are null where no judge was asked."""

    input_document: str
    question: str
    chosen_response: str
    rejected_response: str
    preference_source: PreferenceSource = PreferenceSource.SYNTHETIC
    chosen_model_id: str | None = None
    rejected_model_id: str | None = None
    chosen_response_score: int | None = None
    rejected_response_score: int | None = None
    chosen_response_assessment: str | None = None
    rejected_response_assessment: str | None = None
    question_model_id: str | None = None
    evolution_model_id: str | None = None
    judge_model_id: str | None = None
    language: str | None = None
    uuid: str = Field(default_factory=uuid_of_content)
    metadata: Metadata = Field(default_factory=dict)


class PreferenceDatasetConfig(PromptDatasetConfig):
    """What a preference dataset is made of: rows = documents x question templates x expansion x languages x samples."""

    prompt_names = TemplateNames("num_samples", "language_name", "document")
    prompts_field = "question_generation_prompts"
    input_fields = ("input_documents",)
    default_prompts = DEFAULTS
    response_names: ClassVar[TemplateNames] = TemplateNames("language_name", "document", "question")
    evolution_names: ClassVar[TemplateNames] = TemplateNames("document", "question", "answer")
    judge_names: ClassVar[TemplateNames] = TemplateNames("document", "question", "response")
    role_switches: ClassVar[Mapping[str, str]] = {"judge": "llm_as_judge", "evolution": "evol_instruct"}

    input_documents: Accepts[Annotated[Sequence[str], TextInput("document")], Iterable[Any] | Path]
    """The texts that questions are asked about. A list, a file, or a source with its column."""

    num_samples_per_prompt: int = Field(default=3, ge=1, le=1000)
    """Questions that one call asks for, and so rows per prompt."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("preference_dataset.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    question_generation_prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Templates with {num_samples}, {language_name} and {document}; all of them are used."""
    chosen_response_generation_prompt: NonBlank | None = None
    """Template of the better response, with {language_name}, {document} and {question}."""
    rejected_response_generation_prompt: NonBlank | None = None
    """Template of the worse response, with {language_name}, {document} and {question}."""
    evolution_prompt: NonBlank | None = None
    """Template that improves the chosen response, with {document}, {question} and {answer}."""
    judge_prompt: NonBlank | None = None
    """Template that scores a response from 1 to 10, with {document}, {question} and {response}."""

    evol_instruct: bool = False
    """Have the chosen response rewritten by the evolution model."""
    llm_as_judge: bool = False
    """Have both responses scored; they are swapped when the rejected one wins."""

    system_prompt: NonBlank | dict[Role, NonBlank] | None = None
    """A system message for every call, or one for each role."""

    @model_validator(mode="after")
    def _role_prompts_fit(self) -> PreferenceDatasetConfig:
        for name, switch in (("evolution_prompt", "evol_instruct"), ("judge_prompt", "llm_as_judge")):
            if getattr(self, name) is not None and not getattr(self, switch):
                raise ValueError(f"{name} is given, but {switch} is false, so it is not used. Set {switch}: true.")
        if self.run.fan_out != "all":
            raise ValueError(
                f"run.fan_out is {self.run.fan_out}, but this kind asks one provider in each role. Leave it out."
            )
        if self.run.on_truncation == "keep" and self.expansion and "truncated" in self.expansion.placeholders:
            raise ValueError(
                "expansion.placeholders.truncated: With run.on_truncation: keep, the metadata of rows already has a truncated. "
                "Choose another name."
            )
        self.role_templates(self.editions()[0])
        return self

    def role_templates(self, edition: Edition, *, remark: bool = True) -> dict[Role, Template]:
        """The templates of all roles except the question's."""
        given: list[tuple[Role, str, TemplateNames]] = [
            ("chosen", "chosen_response_generation_prompt", self.response_names),
            ("rejected", "rejected_response_generation_prompt", self.response_names),
            ("evolution", "evolution_prompt", self.evolution_names),
            ("judge", "judge_prompt", self.judge_names),
        ]
        return {
            role: names.parse(
                self._text_of(field, edition), names.others(self.placeholders), field=field, remark=remark
            )
            for role, field, names in given
            if role in self.roles
        }

    def other_placeholders(self, edition: Edition) -> Sequence[str]:
        templates = self.role_templates(edition, remark=False).values()
        return [name for template in templates for name in template.placeholder_names]

    def _text_of(self, field: str, edition: Edition) -> PromptText:
        own = getattr(self, field)
        return PromptText(own) if own else edition.texts(field)[0]

    @property
    def roles(self) -> list[Role]:
        """The roles that need a provider with this config."""
        roles: list[Role] = ["question", "chosen", "rejected"]
        return roles + (["evolution"] if self.evol_instruct else []) + (["judge"] if self.llm_as_judge else [])

    def system_prompt_of(self, role: Role) -> str | None:
        return self.system_prompt.get(role) if isinstance(self.system_prompt, dict) else self.system_prompt


class PreferenceDataset(RoleDataset[PreferenceDatasetConfig, PreferenceRow]):
    """A dataset of preference pairs: `generate(question_gen_llm=..., chosen_response_gen_llm=..., rejected_response_gen_llm=...)`.

    `evolution_llm` and `judge_llm` are given too if the config needs them.
    """

    kind = "preference"
    config_model = PreferenceDatasetConfig
    row_model = PreferenceRow
    provider_keywords: ClassVar[Mapping[str, str]] = {
        "question": "question_gen_llm",
        "chosen": "chosen_response_gen_llm",
        "rejected": "rejected_response_gen_llm",
        "evolution": "evolution_llm",
        "judge": "judge_llm",
    }

    def __init__(self, config: PreferenceDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        # By version of the default texts, because an item is finished with the version that it was begun with.
        self._templates = {
            edition.prompts: config.role_templates(edition, remark=False) for edition in config.editions()
        }

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        dimensions = [
            texts_dimension("document", config.input_documents),
            Dimension("language", list(config.languages.items())),
        ]
        systems = [f"{role}:{config.system_prompt_of(role) or ''}" for role in config.roles]

        def shape(edition: Edition) -> list[str]:
            templates = config.role_templates(edition, remark=False)
            return [*(f"{role}={template.keyed}" for role, template in templates.items()), *systems]

        return self.grid(dimensions, routes=routes, shape=shape)

    async def produce(self, item: WorkItem, generate: Generate) -> list[PreferenceRow | CallFailed]:
        language_name = item.values["language"][1]
        document = item.values["document"]
        questions = await generate.collect(
            "question",
            item.num_rows,
            prompt=lambda count: self.render(
                item, {"num_samples": str(count), "language_name": language_name, "document": document}
            ),
            response_model=lambda count: texts_model(count, of="questions"),
            items=lambda reply: reply.usable(),
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt_of("question"),
        )
        pairs = [self._pair(item, generate, number, question) for number, question in enumerate(questions)]
        return await generate.gather(*pairs)

    async def _pair(self, item: WorkItem, generate: Generate, number: int, question: str) -> PreferenceRow | CallFailed:
        """One row, or its error; the other questions of the item are not affected."""
        language, language_name = item.values["language"]
        row = PreferenceRow(
            input_document=item.values["document"],
            question=question,
            chosen_response="",
            rejected_response="",
            chosen_model_id=generate.model_id("chosen"),
            rejected_model_id=generate.model_id("rejected"),
            question_model_id=generate.model_id("question"),
            language=language,
            uuid=item.row_uuid(number),
            metadata=self.metadata(item),
        )
        filled = {**item.variant.values, "language_name": language_name}
        ask = _Asker(self.config, self._templates[item.defaults], generate, row, filled, number=number)
        try:
            row.chosen_response, row.rejected_response = await generate.gather(ask.text("chosen"), ask.text("rejected"))
            if self.config.evol_instruct:
                row.chosen_response = await ask.text("evolution", answer=row.chosen_response)
                row.evolution_model_id = generate.model_id("evolution")
            if self.config.llm_as_judge:
                await ask.judge_both()
        except CallFailed as error:
            return error
        if self.config.run.on_truncation == "keep":
            row.metadata["truncated"] = generate.was_cut(str(number))
        return row


class _Asker:
    """The calls about one question."""

    def __init__(
        self,
        config: PreferenceDatasetConfig,
        templates: Mapping[Role, Template],
        generate: Generate,
        row: PreferenceRow,
        filled: Mapping[str, str],
        *,
        number: int,
    ) -> None:
        self._config = config
        self._templates = templates
        self._generate = generate
        self._row = row
        self._filled = filled
        self._number = number
        self._jury = Jury(["judge"], system_of=lambda role: config.system_prompt_of("judge"))

    def _prompt(self, role: Role, **values: str) -> str:
        known = {"document": self._row.input_document, "question": self._row.question}
        return self._templates[role].render({**self._filled, **known, **values})

    async def text(self, role: Role, **values: str) -> str:
        prompt = self._prompt(role, **values)
        system = self._config.system_prompt_of(role)
        return await self._generate(role, prompt, system=system, tag=str(self._number), row=self._number)

    async def _opinions(self, response: str, *, part: str) -> list[Opinion]:
        prompt = self._prompt("judge", response=response)
        tag, row = str(self._number), self._number
        return await self._jury.score(
            self._generate, prompt, JUDGEMENT, reason="assessment", tag=tag, row=row, part=part
        )

    async def judge_both(self) -> None:
        """Scores both responses. The better one becomes the chosen one."""
        row = self._row
        (chosen,), (rejected,) = await self._generate.gather(
            self._opinions(row.chosen_response, part="chosen"), self._opinions(row.rejected_response, part="rejected")
        )
        row.judge_model_id = self._generate.model_id("judge")
        if rejected.score > chosen.score:
            chosen, rejected = rejected, chosen
            row.chosen_response, row.rejected_response = row.rejected_response, row.chosen_response
            row.chosen_model_id, row.rejected_model_id = row.rejected_model_id, row.chosen_model_id
            self._generate.swap_reasoning(self._number, "chosen", "rejected")
            self._generate.swap_reasoning(self._number, "chosen_judge", "rejected_judge")
        row.chosen_response_score, row.chosen_response_assessment = int(chosen.score), chosen.reason
        row.rejected_response_score, row.rejected_response_assessment = int(rejected.score), rejected.reason
