"""Text classification: texts that belong to given classes.

{"text": "I waited forty minutes and nobody came to the table.", "label": "negative", "label_source": "synthetic",
 "confidence_scores": {}, "model_id": "claude-haiku-4-5-20251001", "language": "en", "uuid": "7c1f...",
 "metadata": {"prompt_index": 0}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datafast._util.config_model import Accepts, ConfigModel, UserPath, default_of
from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import Metadata, NonBlank, PromptDatasetConfig, TemplateNames
from datafast.datasets.pairing import SENTENCES
from datafast.datasets.replies import texts_model
from datafast.datasets.row import uuid_of_content
from datafast.engine.generate import Generate
from datafast.plan.defaults import DefaultPrompts
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.types import Pair

__all__ = [
    "DEFAULT_PROMPTS",
    "ClassificationDataset",
    "ClassificationDatasetConfig",
    "LabelSource",
    "TextClass",
    "TextClassificationRow",
]

DEFAULT_PROMPTS = [
    "A text classifier has these classes:\n{labels_listing}\n\n"
    "Write texts in {language_name}: exactly {num_samples}. Each one belongs to the class '{label_name}' ({label_description}) "
    "and to none of the others. Make them read like texts that real people write, vary length, wording and situation, "
    "and do not mention the name of the class."
]
_FIRST_PROMPTS = [
    "A text classifier has these classes:\n{labels_listing}\n\n"
    "Write {num_samples} different texts in {language_name} that belong to the class '{label_name}' ({label_description}) "
    "and to none of the others. Make them read like texts that real people write, vary length, wording and situation, "
    "and do not mention the name of the class."
]
DEFAULTS = DefaultPrompts(
    "classification",
    version=2,
    texts={"prompts": DEFAULT_PROMPTS, **SENTENCES},
    former=DefaultPrompts("classification", version=1, texts={"prompts": _FIRST_PROMPTS, **SENTENCES}),
)


class LabelSource(StrEnum):
    """Where a label comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class TextClassificationRow(BaseModel):
    """A row of a classification dataset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    text: str
    """The text."""
    label: str
    """The class that the text was asked to belong to."""
    label_source: LabelSource = LabelSource.SYNTHETIC
    """Where the label comes from; `synthetic` as it was generated."""
    confidence_scores: dict[str, float] | None = Field(default_factory=dict)
    """Scores by class, for those who add some; empty as it was generated."""
    model_id: str | None = None
    """The model that wrote the row, as it was asked for."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""

    def as_text(self) -> str:
        return self.text

    def as_label(self) -> str:
        return self.label

    def as_pair(self) -> Pair:
        return Pair(self.text, self.label)


class TextClass(ConfigModel):
    """A class of texts."""

    name: NonBlank
    """The label that rows carry."""
    description: NonBlank
    """What belongs to the class; it goes into the prompt."""


class ClassificationDatasetConfig(PromptDatasetConfig):
    """What a classification dataset is made of: rows = classes x languages x expanded prompts x samples x providers."""

    prompt_names = TemplateNames(
        "num_samples", "language_name", "label_name", "label_description", optional=["labels_listing"]
    )
    default_prompts = DEFAULTS

    classes: Accepts[list[TextClass], Sequence[TextClass | Mapping[str, str]]] = Field(min_length=1)
    """The classes, each with a name and a description."""

    num_samples_per_prompt: int = Field(default=5, ge=1, le=1000)
    """Texts that one call asks for."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("classification.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Prompt templates with {num_samples}, {language_name}, {label_name}, {label_description}; {labels_listing} may occur."""

    system_prompt: NonBlank | None = None
    """A system message for every call."""

    @model_validator(mode="after")
    def _distinct_names(self) -> ClassificationDatasetConfig:
        names = [text_class.name for text_class in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"classes: The name {twice[0]!r} is used twice. Give each class its own name.")
        return self

    @property
    def labels_listing(self) -> str:
        return "\n".join(f"- {text_class.name}: {text_class.description}" for text_class in self.classes)


class ClassificationDataset(FanOutDataset[ClassificationDatasetConfig, TextClassificationRow]):
    """A dataset of labelled texts."""

    kind = "classification"
    config_model = ClassificationDatasetConfig
    row_model = TextClassificationRow

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        dimensions = [
            Dimension(
                "class",
                config.classes,
                identity=lambda text_class: [text_class.name, text_class.description],
                called="label",
            ),
            Dimension("language", list(config.languages.items())),
        ]
        listed = any("labels_listing" in template.kind_names for template in config.prompt_expansion().templates)
        shape = [config.system_prompt or "", config.labels_listing if listed else ""]
        return self.grid(dimensions, routes=routes, shape=lambda edition: shape)

    async def produce(self, item: WorkItem, generate: Generate) -> list[TextClassificationRow]:
        text_class = item.values["class"]
        language, language_name = item.values["language"]
        values = {
            "language_name": language_name,
            "label_name": text_class.name,
            "label_description": text_class.description,
            "labels_listing": self.config.labels_listing,
        }
        texts = await generate.collect(
            "generator",
            item.num_rows,
            prompt=lambda count: self.render(item, {**values, "num_samples": str(count)}),
            response_model=texts_model,
            items=lambda reply: reply.usable(),
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt,
        )
        return [
            TextClassificationRow(
                text=text,
                label=text_class.name,
                model_id=generate.model_id("generator"),
                language=language,
                uuid=item.row_uuid(number),
                metadata=self.metadata(item),
            )
            for number, text in enumerate(texts)
        ]
