"""Raw text: documents of given types about given topics.

{"text": "Outgassing begins the moment the chamber is pumped down ...", "text_source": "synthetic",
 "model_id": "gpt-6-luna", "language": "en", "uuid": "0b0e6d1e-...",
 "metadata": {"document_type": "space engineering textbook", "topic": "Vacuum", "expertise_level": "executives", "prompt_index": 0}}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import Metadata, NonBlank, PromptDatasetConfig, TemplateNames
from datafast.datasets.inputs import texts_dimension
from datafast.datasets.pairing import SENTENCES
from datafast.datasets.replies import texts_model
from datafast.datasets.row import uuid_of_content
from datafast.engine.generate import Generate
from datafast.plan.defaults import DefaultPrompts
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.sources.field import TextInput

__all__ = ["DEFAULT_PROMPTS", "RawDataset", "RawDatasetConfig", "TextRow", "TextSource"]

DEFAULT_PROMPTS = [
    "Write texts in {language_name}: exactly {num_samples}. Each one is an excerpt of this type of document: {document_type}. "
    "Each one is about this topic: {topic}. Write as an expert of the field would, be specific, and let no two texts be alike "
    "in content, structure and tone."
]
_FIRST_PROMPTS = [
    "Write {num_samples} different texts in {language_name}. Each one is an excerpt of this type of document: {document_type}. "
    "Each one is about this topic: {topic}. Write as an expert of the field would, be specific, and make the texts differ "
    "in content, structure and tone."
]
_TELLING = {
    **SENTENCES,
    "persona": [
        "The writer is this person, whether an expert or not. Write as they would, in content and tone, without naming or describing them:"
        "\n\n{persona}"
    ],
}
DEFAULTS = DefaultPrompts(
    "raw",
    version=2,
    texts={"prompts": DEFAULT_PROMPTS, **_TELLING},
    former=DefaultPrompts("raw", version=1, texts={"prompts": _FIRST_PROMPTS, **_TELLING}),
)


class TextSource(StrEnum):
    """Where a text comes from."""

    SYNTHETIC = "synthetic"
    VERIFIED = "verified"
    HUMAN = "human"
    CONSENSUS = "consensus"


class TextRow(BaseModel):
    """A row of a raw text dataset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    text: str
    """The text."""
    text_source: TextSource = TextSource.SYNTHETIC
    """Where the text comes from; `synthetic` as it was generated."""
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


class RawDatasetConfig(PromptDatasetConfig):
    """What a raw text dataset is made of: rows = document types x topics x languages x expanded prompts x samples x providers."""

    prompt_names = TemplateNames("num_samples", "language_name", "document_type", "topic")
    default_prompts = DEFAULTS
    own_metadata = ("prompt_index", "document_type", "topic")

    document_types: Accepts[Annotated[Sequence[str], TextInput("document_type", lines=True)], Iterable[Any] | Path]
    """Types of document, for example "tech blog". A list, a file, or a source with its column."""

    topics: Accepts[Annotated[Sequence[str], TextInput("topic", lines=True)], Iterable[Any] | Path]
    """What the texts are about. A list, a file, or a source with its column."""

    num_samples_per_prompt: int = Field(default=5, ge=1, le=1000)
    """Texts that one call asks for."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("text.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Prompt templates with {num_samples}, {language_name}, {document_type} and {topic}."""

    system_prompt: NonBlank | None = None
    """A system message for every call."""


class RawDataset(FanOutDataset[RawDatasetConfig, TextRow]):
    """A dataset of raw texts."""

    kind = "raw"
    config_model = RawDatasetConfig
    row_model = TextRow

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        dimensions = [
            texts_dimension("document_type", config.document_types),
            texts_dimension("topic", config.topics),
            Dimension("language", list(config.languages.items())),
        ]
        return self.grid(dimensions, routes=routes, shape=lambda edition: [config.system_prompt or ""])

    async def produce(self, item: WorkItem, generate: Generate) -> list[TextRow]:
        document_type, topic = item.values["document_type"], item.values["topic"]
        language, language_name = item.values["language"]
        values = {"language_name": language_name, "document_type": document_type, "topic": topic}
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
            TextRow(
                text=text,
                model_id=generate.model_id("generator"),
                language=language,
                uuid=item.row_uuid(number),
                metadata=self.metadata(item, document_type=document_type, topic=topic),
            )
            for number, text in enumerate(texts)
        ]
