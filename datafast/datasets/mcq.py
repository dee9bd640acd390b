"""Multiple-choice questions: a question about a text, its right answer, and three wrong ones.

{"source_document": "The second stage relit after ...", "question": "Why did the second stage burn longer?",
 "correct_answer": "The first burn had ended early.", "incorrect_answer_1": "The tanks were overfilled.",
 "incorrect_answer_2": "The payload was too heavy.", "incorrect_answer_3": "A valve stuck open.",
 "options": ["The payload was too heavy.", "The first burn had ended early.", ...], "answer_index": 1, "answer_letter": "B",
 "mcq_source": "synthetic", "model_id": "gpt-6-luna", "language": "en", "uuid": "6f0c...", "metadata": {"prompt_index": 0}}
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.by_source import BySourceDataset
from datafast.datasets.config import Metadata, NonBlank, TemplateNames
from datafast.datasets.documents import DocumentsConfig
from datafast.datasets.mcq_answers import others
from datafast.datasets.pairing import ASKING, given
from datafast.datasets.replies import ReplyText, counted_model
from datafast.datasets.row import uuid_of_content
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.llms.reply_model import ReplyModel
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem, digest
from datafast.plan.template import Template
from datafast.types import Pair

__all__ = [
    "DEFAULT_DISTRACTOR_PROMPT",
    "DEFAULT_PROMPTS",
    "MCQDataset",
    "MCQDatasetConfig",
    "MCQRow",
    "MCQSource",
    "Role",
]

Role = Literal["question", "distractors"]

_ASK = (
    "Write multiple-choice questions in {language_name}: exactly {num_samples}, each with its right answer. Ask about what matters in "
    "the text, nothing twice. Each question can be understood without the text at hand and has one right answer, which the text "
    "gives. Keep the answer short, and do not repeat the question in it."
)
DEFAULT_PROMPTS = [f"Read this text:\n\n{{document}}\n\n{_ASK}"]
_PROMPTS_WITH_CONTEXT = [
    "Here is what helps to understand a text:\n\n{context}\n\nThe text itself, which alone is asked about:\n\n{document}\n\n"
    + _ASK
]
DEFAULT_DISTRACTOR_PROMPT = (
    "A multiple-choice question:\n\n{question}\n\nIts right answer:\n\n{correct_answer}\n\n"
    "Write 3 wrong answers in {language_name}. Each is wrong beyond doubt, yet plausible to somebody who does not know the right one, "
    "and alike in form, length and detail. Let no two of them say the same, and write them without letters or numbers in front."
)
DEFAULTS = DefaultPrompts(
    "mcq",
    version=1,
    texts={
        "prompts": DEFAULT_PROMPTS,
        "prompts with context": _PROMPTS_WITH_CONTEXT,
        "distractor_prompt": [DEFAULT_DISTRACTOR_PROMPT],
        **ASKING,
    },
)
_LETTERS = "ABCD"
_NUM_WRONG = 3


class MCQSource(StrEnum):
    """Where a question comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class MCQRow(BaseModel):
    """A row of a multiple-choice dataset. Rows of the first datafast, which have no options, can be read."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    prompt_document: ClassVar[str] = "source_document"
    """What can stand before the prompt."""

    source_document: str
    """The text that the question is about."""
    question: str
    """The question, without its options."""
    correct_answer: str
    """The right answer."""
    incorrect_answer_1: str
    """A wrong answer."""
    incorrect_answer_2: str
    """Another wrong answer."""
    incorrect_answer_3: str
    """A third wrong answer."""
    options: list[str] = Field(default_factory=list)
    """The four answers in the order in which they are shown."""
    answer_index: int | None = None
    """Which of the options is right, counted from 0."""
    answer_letter: str | None = None
    """The same as a letter."""
    mcq_source: MCQSource = MCQSource.SYNTHETIC
    """Where the question comes from; `synthetic` as it was generated."""
    model_id: str | None = None
    """The model that wrote the row, as it was asked for."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""

    def as_pair(self) -> Pair:
        """The question with its lettered options, and the letter of the right one."""
        options, place = self.options, self.answer_index
        if not options or place is None:
            options = [self.incorrect_answer_1, self.incorrect_answer_2, self.incorrect_answer_3]
            place = int.from_bytes(digest(self.question, self.correct_answer)) % len(_LETTERS)
            options.insert(place, self.correct_answer)
        listed = "\n".join(f"{letter}. {option}" for letter, option in zip(_LETTERS, options, strict=True))
        return Pair(f"{self.question}\n\n{listed}", _LETTERS[place])


class _Asked(ReplyModel):
    question: ReplyText = Field(description="the question alone, without answers to choose from")
    correct_answer: ReplyText = Field(description="its right answer")


class Questions(ReplyModel):
    """Questions with their right answers."""

    elements: ClassVar[tuple[str, ...]] = ("questions",)

    questions: list[_Asked] = Field(min_length=1)


@cache
def questions_model(count: int) -> type[Questions]:
    """`Questions` whose schema asks for exactly `count` of them; a shorter reply is kept."""
    return counted_model(Questions, count, of="questions")


class Distractors(ReplyModel):
    """Three wrong answers, no two of which are the same."""

    right: ClassVar[str] = ""
    """The right answer, where they are compared with it."""

    incorrect_answers: list[str] = Field(
        min_length=_NUM_WRONG,
        description="exactly 3 wrong answers",
        json_schema_extra={"maxItems": _NUM_WRONG, "items": {"type": "string", "minLength": 1}},
    )

    @field_validator("incorrect_answers")
    @classmethod
    def _distinct(cls, given: list[str]) -> list[str]:
        found = list(others(given, cls.right))
        if len(found) < _NUM_WRONG:
            than = " and different from the right answer" if cls.right else ""
            raise ValueError(f"{_NUM_WRONG} wrong answers that are different from each other{than} are needed")
        return found


def distractors_model(right: str) -> type[Distractors]:
    """`Distractors` that are compared with the right answer too."""
    # A class costs half a millisecond, so it is made only after a reply has held the right answer.
    return type("Distractors", (Distractors,), {"right": right, "__module__": __name__})


class MCQDatasetConfig(DocumentsConfig):
    """What a multiple-choice dataset is made of: rows = documents x languages x expanded prompts x samples x providers."""

    prompt_names = TemplateNames("num_samples", "language_name", "document", optional=["context"])
    distractor_names: ClassVar[TemplateNames] = TemplateNames(
        "language_name", "question", "correct_answer", optional=["document", "context"]
    )
    default_prompts = DEFAULTS
    local_lines = True  # as the first datafast reads them

    num_samples_per_prompt: int = Field(default=3, ge=1, le=1000)
    """Questions that one call asks for, and so rows per prompt."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("mcq_dataset.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Templates of the questions with their answers, with {num_samples}, {language_name} and {document}; {context} may occur."""

    distractor_prompt: NonBlank | None = None
    """Template of the wrong answers, with {language_name}, {question} and {correct_answer}; {document} and {context} may occur."""

    system_prompt: NonBlank | dict[Role, NonBlank] | None = None
    """A system message for every call, or one for each role: question, distractors."""

    @model_validator(mode="after")
    def _distractors_fit(self) -> MCQDatasetConfig:
        distractors = self.distractor_template(self.editions()[0])
        self.check_context([*self.prompt_expansion().templates, distractors])
        return self

    def template_texts(self, edition: Edition) -> list[PromptText]:
        if self.prompts is None and self.context_column is not None:
            return edition.texts("prompts with context")
        return super().template_texts(edition)

    def distractor_template(self, edition: Edition, *, remark: bool = True) -> Template:
        """The template of the wrong answers."""
        own = self.distractor_prompt
        text = PromptText(own) if own else edition.texts("distractor_prompt")[0]
        names = self.filled(self.distractor_names)
        return names.parse(text, names.others(self.placeholders), field="distractor_prompt", remark=remark)

    def other_templates(self, edition: Edition) -> Sequence[Template]:
        return [self.distractor_template(edition, remark=False)]

    def system_prompt_of(self, role: Role) -> str | None:
        return self.system_prompt.get(role) if isinstance(self.system_prompt, dict) else self.system_prompt


@dataclass(frozen=True, slots=True)
class _Question:
    """A question that was asked, equal to one with the same words."""

    text: str
    answer: str = field(compare=False)


class MCQDataset(BySourceDataset[MCQDatasetConfig, MCQRow]):
    """A dataset of multiple-choice questions."""

    kind = "mcq"
    config_model = MCQDatasetConfig
    row_model = MCQRow

    def __init__(self, config: MCQDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        # By version of the default texts, because an item is finished with the version that it was begun with.
        self._templates = {
            edition.prompts: config.distractor_template(edition, remark=False) for edition in config.editions()
        }

    @property
    def source_rows(self) -> Sized:
        return self.config.documents

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        dimensions = [config.documents.dimension("document"), Dimension("language", list(config.languages.items()))]
        systems = [f"{role}:{config.system_prompt_of(role) or ''}" for role in ("question", "distractors")]

        def shape(edition: Edition) -> list[str]:
            return [config.distractor_template(edition, remark=False).keyed, *systems]

        return self.grid(dimensions, routes=routes, shape=shape)

    async def produce(self, item: WorkItem, generate: Generate) -> list[MCQRow | CallFailed]:
        questions = await generate.collect(
            "question",
            item.num_rows,
            prompt=lambda count: self.render(item, {**_values(item), "num_samples": str(count)}),
            response_model=questions_model,
            items=lambda reply: [_Question(asked.question, asked.correct_answer) for asked in reply.questions],
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt_of("question"),
        )
        return await generate.gather(
            *(self._row(item, generate, number, question) for number, question in enumerate(questions))
        )

    async def _row(self, item: WorkItem, generate: Generate, number: int, question: _Question) -> MCQRow | CallFailed:
        """One row, or its error; the other questions of the item are not affected."""
        try:
            wrong = await self._wrong_answers(item, generate, number, question)
        except CallFailed as error:
            return error
        document, right = item.values["document"], question.answer
        index = place_of_answer(item.turn * item.most_rows + item.slot(number), seed=item.seed)
        options = item.rng(f"options {number}").sample(wrong, k=len(wrong))
        options.insert(index, right)
        return MCQRow(
            source_document=document.text,
            question=question.text,
            correct_answer=right,
            incorrect_answer_1=wrong[0],
            incorrect_answer_2=wrong[1],
            incorrect_answer_3=wrong[2],
            options=options,
            answer_index=index,
            answer_letter=_LETTERS[index],
            model_id=generate.model_id("question"),
            language=item.values["language"][0],
            uuid=item.row_uuid(number),
            metadata=self.metadata(item, **self.config.shown_of(document)),
        )

    async def _wrong_answers(self, item: WorkItem, generate: Generate, number: int, question: _Question) -> list[str]:
        """Three wrong answers; asked for again where one of them is the right one."""
        values = {
            **item.variant.values,
            **given(item),
            **_values(item),
            "question": question.text,
            "correct_answer": question.answer,
        }
        prompt = self._templates[item.defaults].render(values)
        system = self.config.system_prompt_of("distractors")
        reply = await generate("distractors", prompt, Distractors, system=system, tag=str(number), row=number)
        found = list(others(reply.incorrect_answers, question.answer))
        if len(found) < _NUM_WRONG:
            generate.drop_reasoning("distractors", str(number))
            prompt = f"{prompt}\n\nNone of them may say the same as the right answer."
            model = distractors_model(question.answer)
            again = await generate("distractors", prompt, model, system=system, tag=str(number), row=number)
            found = again.incorrect_answers
        return found[:_NUM_WRONG]


def _values(item: WorkItem) -> Mapping[str, str]:
    document = item.values["document"]
    return {
        "language_name": item.values["language"][1],
        "document": document.text,
        "context": document.context,
    }


def place_of_answer(row: int, *, seed: int) -> int:
    """Where the right answer stands among the options of a row: each place once in every four rows, in an order that the seed decides."""
    turn, place = divmod(row, len(_LETTERS))
    order = random.Random(digest(str(seed), "places", str(turn))).sample(range(len(_LETTERS)), k=len(_LETTERS))
    return order[place]
