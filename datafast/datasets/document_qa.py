"""Questions about documents, with answers that quote their evidence.

{"document": "manual.pdf", "heading": "Engines > Second stage", "chunk": "The second stage relit after ...",
 "question": "Why did the second stage burn longer?", "answer": "Because the first burn had ended early.",
 "evidence": ["After the first burn had ended early, it burned 41 seconds longer."], "model_id": "gpt-6-luna", "language": "en",
 "uuid": "6f0c...", "metadata": {"chunk": 3, "prompt_index": 0}}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.base import FanOutDataset
from datafast.datasets.chunks import Chunks, token_counter
from datafast.datasets.config import Metadata, NonBlank, TemplateNames
from datafast.datasets.documents import DocumentsConfig
from datafast.datasets.pairing import ASKING
from datafast.datasets.quotes import found_in
from datafast.datasets.replies import ReplyText, counted_model
from datafast.datasets.row import uuid_of_content
from datafast.engine.generate import Generate
from datafast.llms.reply_model import ReplyModel
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, BaseStage, Stage, Verdict, drop
from datafast.types import Pair

__all__ = ["DEFAULT_PROMPTS", "DocumentQADataset", "DocumentQADatasetConfig", "DocumentQARow", "EvidenceStage"]

_ASK = (
    "Write questions in {language_name} that this part answers: exactly {num_samples}, each with its answer and its evidence. Ask about "
    "what matters, nothing twice. A question can be understood without the document at hand. An answer says nothing that the part "
    "does not say. Evidence is quoted from the part word for word, in its own language: the shortest sentences that the answer follows "
    "from."
)
DEFAULT_PROMPTS = [
    f"Here is a part of a document, from the section {{heading}}:\n\n<part>\n{{chunk}}\n</part>\n\n{_ASK}"
]
_PROMPTS_WITH_CONTEXT = [
    "Here is what helps to understand a document:\n\n{context}\n\nHere is a part of it, from the section {heading}, which alone is asked "
    "about:\n\n<part>\n{chunk}\n</part>\n\n" + _ASK
]
DEFAULTS = DefaultPrompts(
    "document_qa",
    version=1,
    texts={"prompts": DEFAULT_PROMPTS, "prompts with context": _PROMPTS_WITH_CONTEXT, **ASKING},
)
_UNTITLED = "(without a title)"


class DocumentQARow(BaseModel):
    """A row of a dataset of questions about documents. Each text of `evidence` stands in `chunk`, letter for letter."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    document: str | None
    """The name of the document; null for a text without a file."""
    heading: str
    """The headings that the chunk stands under."""
    chunk: str
    """The part of the document that the question is about."""
    question: str
    """The question."""
    answer: str
    """Its answer, from the chunk alone."""
    evidence: list[str]
    """Quotes from the chunk, letter for letter, that the answer follows from."""
    model_id: str | None = None
    """The model that wrote the row, as it was asked for."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""

    def as_pair(self) -> Pair:
        """The part of the document with the question, and the answer."""
        return Pair(f"{self.chunk}\n\n{self.question}", self.answer)


class _Asked(ReplyModel):
    question: ReplyText = Field(description="the question")
    answer: ReplyText = Field(description="its answer, from the part of the document alone")
    evidence: list[str] = Field(
        min_length=1, description="quotes from the part, word for word, that the answer follows from"
    )


class Questions(ReplyModel):
    """Questions with answers and evidence."""

    elements: ClassVar[tuple[str, ...]] = ("questions",)

    questions: list[_Asked] = Field(min_length=1)


@cache
def questions_model(count: int) -> type[Questions]:
    """`Questions` whose schema asks for exactly `count` of them; a shorter reply is kept."""
    return counted_model(Questions, count, of="questions")


class EvidenceStage(Stage):
    """Drops rows whose evidence does not stand in their chunk."""

    stage: Literal["evidence"] = "evidence"

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        assert isinstance(row, DocumentQARow)  # noqa: S101 - it is this kind's own stage
        if not row.evidence:
            return drop("no evidence is quoted")
        found = all(quote in row.chunk and found_in(row.chunk, quote) for quote in row.evidence)
        return KEEP if found else drop("evidence is not in the chunk")


class DocumentQADatasetConfig(DocumentsConfig):
    """What a dataset of questions about documents is made of: rows = chunks x languages x expanded prompts x samples x providers."""

    prompt_names = TemplateNames("num_samples", "language_name", "chunk", optional=["heading", "context"])
    default_prompts = DEFAULTS
    own_metadata = ("prompt_index", "chunk")

    min_document_length: int = Field(default=1, ge=1)
    """Documents with fewer characters are left out."""

    max_document_length: int = Field(default=100_000_000, ge=1)
    """Documents with more characters are left out."""

    name_column: NonBlank | None = None
    """The column that rows call a document by; by default `file`, which documents from files have."""

    chunk_size: int = Field(default=800, ge=20, le=1_000_000)
    """The most tokens of a chunk."""

    chunk_overlap: int = Field(default=80, ge=0)
    """The most tokens that a chunk repeats of the one before, in whole sentences or paragraphs."""

    tokenizer: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """The tokenizer.json of a model, to count tokens as it does; without it there is a token for four characters."""

    num_samples_per_prompt: int = Field(default=3, ge=1, le=1000)
    """Questions that one call asks for, and so rows per prompt."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("document_qa.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Templates with {num_samples}, {language_name} and {chunk}; {heading} and {context} may occur."""

    system_prompt: NonBlank | None = None
    """A system message for every call."""

    _chunks: Chunks = PrivateAttr()
    _chunked_by: list[Any] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _chunks_fit(self) -> DocumentQADatasetConfig:
        self.check_context(self.prompt_expansion().templates)
        if self.chunk_overlap * 2 > self.chunk_size:
            raise ValueError(
                f"chunk_overlap: {self.chunk_overlap:,} is more than half of chunk_size, {self.chunk_size:,}. Choose a smaller one."
            )
        if self.name_column is not None and self.name_column not in self.documents.source.columns:
            raise ValueError(f"name_column: {self.documents.source.name} has no column {self.name_column!r}.")
        made_of = [id(self.documents), self.chunk_size, self.chunk_overlap, self.tokenizer, self.name_column]
        if made_of != self._chunked_by:
            path = None if self.tokenizer is None else (self._folder or Path()) / self.tokenizer
            self._chunks = Chunks(
                self.documents,
                size=self.chunk_size,
                overlap=self.chunk_overlap,
                count=token_counter(path),
                name_column=self.name_column or "file",
            )
            self._chunked_by = made_of
        return self

    @property
    def chunks(self) -> Chunks:
        """The parts of documents that are asked about."""
        return self._chunks

    def template_texts(self, edition: Edition) -> list[PromptText]:
        if self.prompts is None and self.context_column is not None:
            return edition.texts("prompts with context")
        return super().template_texts(edition)


@dataclass(frozen=True, slots=True)
class _Question:
    """A question that was asked, equal to one with the same words."""

    text: str
    answer: str = field(compare=False)
    evidence: list[str] = field(compare=False)


class DocumentQADataset(FanOutDataset[DocumentQADatasetConfig, DocumentQARow]):
    """A dataset of questions about documents."""

    kind = "document_qa"
    config_model = DocumentQADatasetConfig
    row_model = DocumentQARow

    @property
    def stages(self) -> Sequence[BaseStage]:
        return [EvidenceStage(), *self.config.quality]

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config = self.config
        dimensions = [config.chunks.dimension("chunk"), Dimension("language", list(config.languages.items()))]
        return self.grid(dimensions, routes=routes, shape=lambda edition: [config.system_prompt or ""])

    async def produce(self, item: WorkItem, generate: Generate) -> list[DocumentQARow]:
        chunk, (language, language_name) = item.values["chunk"], item.values["language"]
        values = {
            "language_name": language_name,
            "chunk": chunk.text,
            "heading": chunk.heading or _UNTITLED,
            "context": chunk.context,
        }
        questions = await generate.collect(
            "generator",
            item.num_rows,
            prompt=lambda count: self.render(item, {**values, "num_samples": str(count)}),
            response_model=questions_model,
            items=lambda reply: [_Question(asked.question, asked.answer, asked.evidence) for asked in reply.questions],
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt,
        )
        shown = self.config.shown_of(chunk)
        return [
            DocumentQARow(
                document=chunk.document,
                heading=chunk.heading,
                chunk=chunk.text,
                question=question.text,
                answer=question.answer,
                evidence=[found_in(chunk.text, quote) or quote for quote in question.evidence if quote.strip()],
                model_id=generate.model_id("generator"),
                language=language,
                uuid=item.row_uuid(number),
                metadata={"chunk": chunk.number, **self.metadata(item, **shown)},
            )
            for number, question in enumerate(questions)
        ]
