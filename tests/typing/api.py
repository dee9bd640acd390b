"""What a type checker says about the public API; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, assert_type

from pydantic import BaseModel

from datafast import (
    DataSetGenerator,
    Estimate,
    FailedItem,
    RunReport,
    Tree,
    dataset,
    evaluate,
    expand_prompts,
    generator,
    sample,
)
from datafast.datasets import ClassificationDataset, PreferenceDataset, RawDataset
from datafast.deepfabric import Dataset
from datafast.engine.events import Event
from datafast.llms import LLMProvider, OpenAIProvider, SimulatedProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import (
    ClassificationDatasetConfig,
    ColumnsDatasetConfig,
    PersonasConfig,
    PreferenceDatasetConfig,
    PromptExpansionConfig,
    RawDatasetConfig,
    RunConfig,
    TextClass,
)
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


def positional(config: PreferenceDatasetConfig, provider: LLMProvider) -> None:
    dataset = PreferenceDataset(config)
    assert_type(dataset.get_num_expected_rows(llms=[provider]), int)
    assert_type(dataset.generate(provider, provider, provider, judge_llm=provider), PreferenceDataset)
    assert_type(dataset.estimate(provider, provider, provider), Estimate)
    assert_type(OpenAIProvider("some-model", "a key"), OpenAIProvider)


def plain_values() -> None:
    """Paths as text, classes, runs, expansions and stages as mappings, and what is read back."""
    config = ClassificationDatasetConfig(
        classes=[{"name": "leak", "description": "Water gets in."}, TextClass(name="dry", description="It does not.")],
        output_file="labels.jsonl",
        languages={"en": "English", "fr": "French"},
        run={"seed": 7, "ledger": "kept.sqlite"},
        quality=[{"stage": "length", "min_words": 3}],
        expansion={"placeholders": {"tone": ["dry", "warm"]}},
    )
    assert_type(config.output_file, Path)
    assert_type(config.classes, list[TextClass])
    assert_type(config.run, RunConfig)
    assert_type(config.run.seed, int)
    assert_type(config.run.ledger_path, Path | None)
    assert_type(config.expansion, PromptExpansionConfig | None)
    config.output_file = "other.jsonl"
    config.run = RunConfig(ledger=Path("elsewhere.sqlite"))
    ColumnsDatasetConfig(num_rows=3, columns={"level": {"type": "choice", "values": [1, 2]}}, output_file="rows.jsonl")
    RawDatasetConfig(document_types=3, topics=["tides"])  # type: ignore[arg-type]


def frame() -> None:
    made = dataset({"day": sample.datetime("2024-01-01", "2024-12-31"), "text": generator("openai")("On {day}.")}, n=5)
    assert_type(evaluate({"same": made.eval.exact_match("day", "text")}), dict[str, float])
    made.generate_sync(progress=True, concurrency=4, offline=True)
    made.generate_sync(3, max_concurrency="4")  # type: ignore[arg-type]
    assert_type(made.n, int)


def deepfabric(tree: Tree) -> None:
    made = DataSetGenerator(
        instructions="Short.",
        generation_system_prompt="You teach.",
        provider="openai",
        model_name="some-model",
        conversation_type="chain_of_thought",
        reasoning_style="freetext",
        rate_limit={
            "max_requests_per_minute": 60,
            "max_retries": 5,
            "initial_retry_delay": 1.0,
            "max_retry_delay": 60.0,
        },
    )
    rows = made.create_data(num_steps=100, batch_size=5, topic_model=tree, sys_msg=False)
    assert_type(rows, Dataset)
    rows.save("rows.jsonl")
    assert_type(made.summarize_failures()["failure_types"], Any)
    for event in made.create_data_with_events(num_steps=10, batch_size=5, topic_model=["a", "b"]):
        assert_type(event, dict[str, Any] | Dataset)


def calls(provider: OpenAIProvider) -> None:
    assert_type(provider.generate("hello"), str)
    assert_type(provider.generate(["hello"]), list[str])


assert_type(expand_prompts(["<<a>>"], {"a": ["x"]}), list[tuple[str, dict[str, str]]])

# The configs that guides show, as they stand there.
RawDatasetConfig(
    document_types=["log"],
    topics=["tides"],
    personas={"describe": "people of a harbour", "count": 20},
    seed_texts=Path("texts.jsonl"),
    pair={"personas": "random"},
)
RawDatasetConfig(
    document_types=["log"],
    topics=["tides"],
    personas=PersonasConfig(describe="people of a harbour", count=20),
    pair="cycle",
)
RawDatasetConfig(document_types=["log"], topics=["tides"], pair="sometimes")  # type: ignore[arg-type]
RawDatasetConfig(
    document_types=["logbook", "manual"],
    topics=["Ballast", "Fouling"],
    num_samples_per_prompt=1,
    output_file="hull_texts.jsonl",
    languages={"en": "English", "fr": "French"},
    prompts=[("Write {num_samples} pages of a {document_type} in {language_name} about {topic} for {{reader}}.")],
    expansion=PromptExpansionConfig(
        placeholders={"reader": ["owners", "divers"]}, combinatorial=True, num_random_samples=100
    ),
)
ClassificationDatasetConfig(
    classes=[{"name": "leak", "description": "Water gets in."}, {"name": "dry", "description": "No water gets in."}],
    num_samples_per_prompt=5,
    output_file="hulls.jsonl",
    languages={"en": "English", "fr": "French"},
)
configure_logger(level="DEBUG", log_file="debug.log")
