"""What a type checker says about the public API; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import assert_type

from pydantic import BaseModel

from datafast import Estimate, FailedItem, RunReport, expand_prompts
from datafast.datasets import ClassificationDataset, PreferenceDataset, RawDataset
from datafast.engine.events import Event
from datafast.llms import LLMProvider, OpenAIProvider, SimulatedProvider
from datafast.schema.config import ClassificationDatasetConfig, PreferenceDatasetConfig, RawDatasetConfig
from datafast.schema.data_rows import PreferenceRow, TextClassificationRow, TextRow


class Answer(BaseModel):
    text: str


def raw(providers: list[LLMProvider]) -> None:
    dataset = RawDataset(RawDatasetConfig(document_types=["a"], topics=["b"]))
    assert_type(dataset.generate(providers, limit=3, offline=True), RawDataset)
    assert_type(dataset.get_num_expected_rows(providers), int)
    assert_type(dataset.data_rows, Sequence[TextRow])
    assert_type(dataset.report, RunReport | None)
    assert_type(dataset.failed_items, Sequence[FailedItem])
    assert_type(dataset.estimate(providers), Estimate)
    assert_type(dataset.generate_events(providers, limit=3), AsyncGenerator[Event, None])


async def asynchronous(dataset: ClassificationDataset, provider: SimulatedProvider) -> None:
    assert_type(await dataset.generate_async([provider]), ClassificationDataset)
    assert_type(dataset.data_rows[0], TextClassificationRow)
    assert_type(dataset.config, ClassificationDatasetConfig)


def preference(config: PreferenceDatasetConfig, provider: LLMProvider) -> None:
    dataset = PreferenceDataset(config).generate(
        question_gen_llm=provider, chosen_response_gen_llm=provider, rejected_response_gen_llm=provider
    )
    assert_type(dataset, PreferenceDataset)
    assert_type(dataset.data_rows[:2], Sequence[PreferenceRow])


def calls(provider: OpenAIProvider) -> None:
    assert_type(provider.generate("hello"), str)
    assert_type(provider.generate(["hello"]), list[str])


assert_type(expand_prompts(["<<a>>"], {"a": ["x"]}), list[tuple[str, dict[str, str]]])
