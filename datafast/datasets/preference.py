"""Preference pairs: a question about a document, a chosen and a rejected response, optionally evolved and judged.

{"input_document": "The second stage relit after ...", "question": "Why was the second burn shorter?",
 "chosen_response": "Because the residual ...", "rejected_response": "It was shorter.", "preference_source": "synthetic",
 "chosen_model_id": "claude-haiku-4-5-20251001", "rejected_model_id": "gemma3:4b", "chosen_response_score": 9,
 "rejected_response_score": 3, "chosen_response_assessment": "Complete and grounded in ...", ..., "language": "en",
 "uuid": "51aa...", "metadata": {"prompt_index": 0}}

How the two responses come about is in `datafast.datasets.preference_pairs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, PrivateAttr, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast._util.notify import did_you_mean
from datafast.datasets.base import RoleDataset
from datafast.datasets.config import NonBlank, PromptDatasetConfig, TemplateNames
from datafast.datasets.inputs import texts_dimension
from datafast.datasets.pairing import given
from datafast.datasets.preference_pairs import Judging, Maker, Recipe, Strategy, of_judges
from datafast.datasets.preference_prompts import DEFAULT_FLAWS, DEFAULTS, LATER_DEFAULTS, WITHOUT_DOCUMENT
from datafast.datasets.preference_rows import JudgedPreferenceRow, PreferenceRow, PreferenceSource
from datafast.datasets.replies import texts_model
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.plan.defaults import Edition, PromptText, editions
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.plan.template import Template
from datafast.quality.base import KEEP, BaseStage, Stage, Verdict, drop
from datafast.sources.field import TextInput

__all__ = ["JudgedPreferenceRow", "PreferenceDataset", "PreferenceDatasetConfig", "PreferenceRow", "PreferenceSource"]

DEFAULT_NUM_RESPONSES = 4
_KEYWORDS = {
    "question": "question_gen_llm",
    "chosen": "chosen_response_gen_llm",
    "rejected": "rejected_response_gen_llm",
    "evolution": "evolution_llm",
    "judge": "judge_llm",
}


class PairStage(Stage):
    """Drops pairs that say nothing about what is better."""

    stage: Literal["pair"] = "pair"

    def settings(self) -> dict[str, Any]:
        return {}

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        assert isinstance(row, PreferenceRow)  # noqa: S101 - it is this kind's own stage
        if row.chosen_response.split() == row.rejected_response.split():
            return drop("both responses are the same")
        chosen, rejected = row.chosen_response_score, row.rejected_response_score
        is_worse = chosen is not None and rejected is not None and chosen < rejected
        return drop("the degraded response is judged better") if is_worse else KEEP


class MarginStage(Stage):
    """Drops pairs whose responses are too much alike to prefer one."""

    stage: Literal["margin"] = "margin"
    min_margin: float
    """Pairs with a smaller margin are dropped, and those without any."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        margin: float = row.margin  # type: ignore[attr-defined]  # rows of a config with this stage have it
        if margin == 0:
            return drop("neither response is better")
        return drop(f"margin below {self.min_margin:g}") if margin < self.min_margin else KEEP


class PreferenceDatasetConfig(PromptDatasetConfig):
    """What a preference dataset is made of: rows = documents x question templates x expansion x languages x samples."""

    given_instead = "questions"
    prompt_names = TemplateNames("num_samples", "language_name", "document")
    prompts_field = "question_generation_prompts"
    input_fields = ("input_documents", "questions")
    has_free_text = True
    default_prompts = DEFAULTS
    role_switches: ClassVar[Mapping[str, str]] = {"judge": "llm_as_judge", "evolution": "evol_instruct"}

    input_documents: Accepts[Annotated[Sequence[str], TextInput("document")] | None, Iterable[Any] | Path | None] = (
        default_of(None)
    )
    """The texts that questions are asked about. A list, a file, or a source with its column."""

    questions: Accepts[Annotated[Sequence[str], TextInput("question")] | None, Iterable[Any] | Path | None] = (
        default_of(None)
    )
    """In the place of `input_documents`: questions, or prompts of any sort, that are answered as they are. A list, a file, or a source with
    its column. Prompts have no {document} then."""

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
    """Template that scores a response from 1 to 10, with {document}, {question} and {response}; of both_orders with {document},
    {question}, {first} and {second}."""

    degrade_prompt: NonBlank | None = None
    """For degrade: template that makes an answer worse, with {question} and {answer}; {document}, {flaw} and {language_name} may occur."""

    strategy: Strategy = "two_models"
    """two_models: a response each of two models. degrade: a response, and the same made worse. best_of_n: the best and the worst of
    several responses, by their scores."""
    num_responses: int | None = Field(default=None, ge=2, le=64)
    """For best_of_n: how many responses are chosen from. 4 where it is not said."""
    flaws: list[NonBlank] | None = Field(default=None, min_length=1)
    """For degrade: in what ways answers are made worse, one for each row, as {flaw}."""

    chosen_by: list[NonBlank] = Field(default=["chosen"], min_length=1)
    """The roles that write better responses, in turn from question to question; each has its provider under this name."""
    rejected_by: list[NonBlank] = Field(default=["rejected"], min_length=1)
    """The roles that write worse responses, likewise."""
    judges: list[NonBlank] = Field(default=["judge"], min_length=1)
    """The roles that judge; each judges every pair."""
    judging: Judging = "separate"
    """separate: a response at a time. both_orders: both together, once in each order, so that neither wins by its place."""
    min_margin: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Pairs whose scores differ by less are filtered out, and those with equal scores."""

    evol_instruct: bool = False
    """Have the chosen response rewritten by the evolution model."""
    llm_as_judge: bool = False
    """Have both responses scored; they are swapped when the rejected one wins."""

    system_prompt: NonBlank | dict[str, NonBlank] | None = None
    """A system message for every call, or one for each role."""

    _asks_for_flaw: bool = PrivateAttr(default=True)

    @model_validator(mode="after")
    def _role_prompts_fit(self) -> PreferenceDatasetConfig:
        self._check_inputs()
        self._refuse_unused()
        if self.run.fan_out != "all":
            raise ValueError(
                f"run.fan_out is {self.run.fan_out}, but this kind asks one provider in each role. Leave it out."
            )
        templates = self.role_templates(self.editions()[0])
        if self.strategy == "degrade":
            self._asks_for_flaw = "flaw" in templates["rejected"].kind_names
            self._check_flaws()
        return self

    @property
    def metadata_names(self) -> set[str]:
        return super().metadata_names | ({"flaw"} if self.strategy == "degrade" else set())

    def _check_flaws(self) -> None:
        """Raises ValueError where flaws are not asked for."""
        if self.flaws is not None and not self._asks_for_flaw:
            raise ValueError("flaws: degrade_prompt has no {flaw}. Write {flaw} into it, or leave flaws out.")

    def _check_inputs(self) -> None:
        """Raises ValueError unless there are either documents or questions."""
        if (self.input_documents is None) == (self.questions is None):
            raise ValueError(
                "input_documents: Give documents that questions are asked about, or questions, and not both."
            )
        given = {"num_samples_per_prompt", "question_generation_prompts"} & self.model_fields_set
        if self.questions is not None and given:
            raise ValueError(f"{min(given)}: The questions are given, so none are asked for. Leave it out.")

    def _refuse_unused(self) -> None:
        """Raises ValueError for what is given and has no effect."""
        needed = {
            "evolution_prompt": ("evol_instruct: true", self.evol_instruct),
            "degrade_prompt": ("strategy: degrade", self.strategy == "degrade"),
            "flaws": ("strategy: degrade", self.strategy == "degrade"),
            "num_responses": ("strategy: best_of_n", self.strategy == "best_of_n"),
            "rejected_response_generation_prompt": ("strategy: two_models", self.strategy == "two_models"),
            **dict.fromkeys(("judge_prompt", "min_margin"), ("llm_as_judge: true", self.is_judged)),
        }
        for name, (setting, is_set) in needed.items():
            if getattr(self, name) is not None and not is_set:
                raise ValueError(f"{name} is given, but not used without {setting}. Set it, or leave {name} out.")
        if self.best_of_n is not None:
            raise ValueError("best_of_n: Pairs are made of the best and the worst of several. Set strategy: best_of_n.")
        if self.judging == "both_orders" and not self.is_judged:
            raise ValueError("judging: Nothing is judged. Set llm_as_judge: true, or leave judging out.")
        if self.strategy == "best_of_n" and (self.judging == "both_orders" or self.evol_instruct):
            field = "evol_instruct" if self.evol_instruct else "judging"
            raise ValueError(f"{field}: With strategy: best_of_n each response is judged as it is. Leave {field} out.")
        for field in ("chosen_by", "rejected_by", "judges"):
            names = getattr(self, field)
            if len(set(names)) < len(names):
                raise ValueError(f"{field}: A name is given twice. Give each its own.")
        for role in self.system_prompt if isinstance(self.system_prompt, dict) else ():
            if role not in {*_KEYWORDS, *self.roles}:
                raise ValueError(f"system_prompt: There is no role {role!r}. {did_you_mean(role, self.roles)}")

    @property
    def is_judged(self) -> bool:
        """Whether responses are scored."""
        return self.llm_as_judge or self.strategy == "best_of_n"

    @property
    def has_margins(self) -> bool:
        """Whether rows say more about scores than those of one judge who scores each response."""
        news = self.judging == "both_orders" or self.min_margin is not None or len(self.judges) > 1
        return self.is_judged and (news or self.strategy == "best_of_n")

    def role_templates(self, edition: Edition, *, remark: bool = True) -> dict[str, Template]:
        """The templates of all sorts of calls except the question's: chosen, rejected, evolution, judge."""
        return {
            sort: names.parse(
                self._text_of(field, default, edition), names.others(self.placeholders), field=field, remark=remark
            )
            for sort, (field, default, of_sort) in self._sorts().items()
            for names in [self.filled(of_sort)]
        }

    def _sorts(self) -> dict[str, tuple[str, str, TemplateNames]]:
        """The field of each of these templates, its default text, and what it is filled with."""
        about = ["document"] if self.questions is None else []
        less = "" if about else WITHOUT_DOCUMENT
        chosen, rejected = "chosen_response_generation_prompt", "rejected_response_generation_prompt"
        response = TemplateNames("language_name", *about, "question")
        sorts = {"chosen": (chosen, f"{chosen}{less}", response)}
        if self.strategy == "two_models":
            sorts["rejected"] = (rejected, f"{rejected}{less}", response)
        elif self.strategy == "degrade":
            names = TemplateNames("question", "answer", optional=[*about, "flaw", "language_name"])
            sorts["rejected"] = ("degrade_prompt", f"degrade_prompt{less}", names)
        if self.evol_instruct:
            names = TemplateNames(*about, "question", "answer")
            sorts["evolution"] = ("evolution_prompt", f"evolution_prompt{less}", names)
        if self.is_judged:
            shown, default = (
                (["response"], "judge_prompt")
                if self.judging == "separate"
                else (["first", "second"], "comparison_prompt")
            )
            sorts["judge"] = ("judge_prompt", f"{default}{less}", TemplateNames(*about, "question", *shown))
        return sorts

    def template_texts(self, edition: Edition) -> list[PromptText]:
        if self.questions is not None:
            # Nobody is asked for questions: this one carries the placeholders of the other prompts.
            return [PromptText("{num_samples} {language_name} {document}", "\0preference.questions")]
        return super().template_texts(edition)

    @property
    def rows_per_item(self) -> int:
        return 1 if self.questions is not None else self.num_samples_per_prompt

    def other_templates(self, edition: Edition) -> Sequence[Template]:
        return list(self.role_templates(edition, remark=False).values())

    @property
    def tells_given(self) -> bool:
        return self.questions is None and super().tells_given

    def _text_of(self, field: str, default: str, edition: Edition) -> PromptText:
        own = getattr(self, field)
        if own is not None:
            return PromptText(own)
        if default in LATER_DEFAULTS.texts:
            edition = editions(LATER_DEFAULTS)[0]
        text = edition.texts(default)[0]
        # Whoever asks the questions that are given is the one whom answers are for.
        answers = self.questions is not None and field.endswith("_response_generation_prompt")
        return self.with_given(text, edition) if answers else text

    @property
    def roles(self) -> list[str]:
        """The roles that need a provider with this config."""
        rejected = self.rejected_by if self.strategy != "best_of_n" else ()
        evolution, judges = ["evolution"] if self.evol_instruct else [], self.judges if self.is_judged else ()
        question = ["question"] if self.questions is None else []
        return list(dict.fromkeys([*question, *self.chosen_by, *rejected, *evolution, *judges]))

    @property
    def recipe(self) -> Recipe:
        """How the two responses come about."""
        return Recipe(
            strategy=self.strategy,
            chosen_by=self.chosen_by,
            rejected_by=self.rejected_by,
            judges=self.judges if self.is_judged else (),
            judging=self.judging,
            num_responses=self.num_responses or DEFAULT_NUM_RESPONSES,
            flaws=(self.flaws or DEFAULT_FLAWS) if self._asks_for_flaw else (),
            evolves=self.evol_instruct,
            system_of=self.system_prompt_of,
        )

    @property
    def told_recipe(self) -> list[str]:
        """What of it is in the keys of items: nothing where it is as version 0.1.0 had it."""
        recipe = self.recipe
        told = {
            "strategy": recipe.strategy != "two_models",
            "num_responses": recipe.strategy == "best_of_n",
            "flaws": recipe.strategy == "degrade",
            "chosen_by": list(recipe.chosen_by) != ["chosen"],
            "rejected_by": list(recipe.rejected_by) != ["rejected"] and recipe.strategy != "best_of_n",
            "judges": list(recipe.judges) not in ([], ["judge"]),
            "judging": recipe.judging != "separate",
        }
        return [f"{name}={getattr(recipe, name)}" for name, is_told in told.items() if is_told]

    def system_prompt_of(self, role: str) -> str | None:
        return self.system_prompt.get(role) if isinstance(self.system_prompt, dict) else self.system_prompt


class PreferenceDataset(RoleDataset[PreferenceDatasetConfig, PreferenceRow]):
    """A dataset of preference pairs: `generate(question_gen_llm=..., chosen_response_gen_llm=..., rejected_response_gen_llm=...)`.

    `evolution_llm` and `judge_llm` are given too if the config needs them.
    """

    kind = "preference"
    config_model = PreferenceDatasetConfig
    row_model: type[BaseModel] = PreferenceRow
    provider_keywords = _KEYWORDS

    def __init__(self, config: PreferenceDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        if config.has_margins:
            self.row_model = JudgedPreferenceRow
        # By version of the default texts, because an item is finished with the version that it was begun with.
        self._templates = {
            edition.prompts: config.role_templates(edition, remark=False) for edition in config.editions()
        }

    @property
    def stages(self) -> Sequence[BaseStage]:
        config = self.config
        decides = config.min_margin is not None or config.strategy == "best_of_n"
        margin = [MarginStage(min_margin=config.min_margin or 0)] if decides else []
        return [PairStage(), *margin, *config.quality]

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        name, texts = ("question", config.questions) if config.questions else ("document", config.input_documents)
        dimensions = [texts_dimension(name, texts or ()), Dimension("language", list(config.languages.items()))]
        systems = [f"{role}:{config.system_prompt_of(role) or ''}" for role in config.roles]

        def shape(edition: Edition) -> list[str]:
            templates = config.role_templates(edition, remark=False)
            return [
                *(f"{sort}={template.keyed}" for sort, template in templates.items()),
                *systems,
                *config.told_recipe,
            ]

        return self.grid(dimensions, routes=routes, shape=shape)

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel | CallFailed]:
        questions = [item.values["question"]] if self.config.questions else await self._questions(item, generate)
        pairs = [self._pair(item, generate, number, question) for number, question in enumerate(questions)]
        return await generate.gather(*pairs)

    async def _questions(self, item: WorkItem, generate: Generate) -> list[str]:
        values = {"language_name": item.values["language"][1], "document": item.values["document"]}
        return await generate.collect(
            "question",
            item.num_rows,
            prompt=lambda count: self.render(item, {**values, "num_samples": str(count)}),
            response_model=lambda count: texts_model(count, of="questions"),
            items=lambda reply: reply.usable(),
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt_of("question"),
        )

    async def _pair(self, item: WorkItem, generate: Generate, number: int, question: str) -> BaseModel | CallFailed:
        """One row, or its error; the other questions of the item are not affected."""
        language, language_name = item.values["language"]
        templates = self._templates[item.defaults]
        filled = {
            **item.variant.values,
            **given(item),
            "language_name": language_name,
            "document": item.values.get("document", ""),
            "question": question,
        }

        def prompt(sort: str, **values: str) -> str:
            return templates[sort].render({**filled, **values})

        try:
            pair = await Maker(self.config.recipe, generate, prompt, number=number).make()
        except CallFailed as error:
            return error
        metadata = self.metadata(item, **({"flaw": pair.flaw} if pair.flaw is not None else {}))
        if self.config.run.on_truncation == "keep":
            metadata["truncated"] = any(generate.was_cut(response.tag) for response in (pair.chosen, pair.rejected))
        judges = self.config.recipe.judges
        fields = {
            "input_document": item.values.get("document", ""),
            "question": question,
            "chosen_response": pair.chosen.text,
            "rejected_response": pair.rejected.text,
            "chosen_model_id": pair.chosen.model_id,
            "rejected_model_id": pair.rejected.model_id,
            "chosen_response_score": pair.chosen.score,
            "rejected_response_score": pair.rejected.score,
            "chosen_response_assessment": pair.chosen.assessment,
            "rejected_response_assessment": pair.rejected.assessment,
            "question_model_id": None if self.config.questions else generate.model_id("question"),
            "evolution_model_id": generate.model_id("evolution") if self.config.evol_instruct else None,
            "judge_model_id": generate.model_id(judges[0]) if len(judges) == 1 else None,
            "language": language,
            "uuid": item.row_uuid(number),
            "metadata": metadata,
        }
        if self.config.has_margins:
            judged = of_judges(pair, {judge: generate.model_id(judge) for judge in judges})
            fields |= {"margin": pair.margin, "steady": pair.steady, "judgements": judged}
        return self.row_model.model_validate(fields)
