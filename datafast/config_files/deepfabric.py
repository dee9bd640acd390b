"""Configs in DeepFabric's layout: `data_engine`, `dataset.creation`, `save_as`, and a topic section. They run as conversations.

    data_engine: {generation_system_prompt: ..., instructions: ..., provider: openai, model: gpt-4, temperature: 0.8}
    topic_tree: {topic_prompt: ..., degree: 3, depth: 2, save_as: topics.json}      # or topic_graph, or topics: [...]
    dataset: {creation: {num_steps: 100, batch_size: 5, provider: anthropic, model: ...}, save_as: rows.jsonl}

`num_steps` is the number of rows, `batch_size` how many one call asks for. Provider and model of the creation win over the engine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from datafast._util.config_model import ConfigModel, NonBlank
from datafast.engine.settings import RunConfig
from datafast.facades.deepfabric.input import ANY_TOPIC
from datafast.facades.deepfabric.rate_limit import RateLimit

__all__ = ["PipelineConfig", "conversation_fields", "field_places", "provider_spec", "spec_places"]


class DataEngine(ConfigModel):
    """The section `data_engine`."""

    generation_system_prompt: NonBlank
    instructions: str = ""
    provider: NonBlank
    model: NonBlank
    base_url: str | None = None
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    max_retries: int = Field(default=3, ge=0, le=100)
    request_timeout: float = Field(default=30, gt=0)
    default_batch_size: int = Field(default=5, ge=1, le=100)
    default_num_examples: int = Field(default=3, ge=0, le=100)
    conversation_type: str = "basic"
    reasoning_style: str | None = None
    sys_msg: bool = True
    dataset_system_prompt: NonBlank | None = None
    example_data: Any = None
    tools: list[dict[str, Any]] | None = None
    max_turns: int = 1
    rate_limit: RateLimit = Field(default_factory=RateLimit)


class Creation(ConfigModel):
    """The section `dataset.creation`."""

    num_steps: int = Field(ge=1)
    batch_size: int | None = Field(default=None, ge=1, le=100)
    provider: NonBlank | None = None
    model: NonBlank | None = None
    sys_msg: bool | None = None


class DatasetSection(ConfigModel):
    """The section `dataset`."""

    creation: Creation
    save_as: Path


class GrownTopics(ConfigModel):
    """The section `topic_tree` or `topic_graph`."""

    topic_prompt: NonBlank
    topic_system_prompt: str = ""
    provider: NonBlank | None = None
    model: NonBlank | None = None
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    degree: int = Field(default=3, ge=1, le=100)
    depth: int = Field(default=2, ge=1, le=12)
    save_as: Path | None = None


class PipelineConfig(ConfigModel):
    """The whole file."""

    data_engine: DataEngine
    dataset: DatasetSection
    topic_tree: GrownTopics | None = None
    topic_graph: GrownTopics | None = None
    topics: Any = None
    topic_selection: Literal["sequential", "shuffle", "balanced"] = "sequential"
    run: RunConfig | None = None


def provider_spec(config: PipelineConfig) -> dict[str, Any]:
    """Who writes the rows, in the form that `provider_from_spec` takes."""
    engine, creation = config.data_engine, config.dataset.creation
    return _spec(engine, creation, engine.temperature, "dataset.creation") | _limits(engine)


def _limits(engine: DataEngine) -> dict[str, Any]:
    limits = engine.rate_limit
    return {"rpm_limit": limits.max_requests_per_minute, "tpm_limit": limits.max_tokens_per_minute}


def spec_places(config: PipelineConfig) -> dict[str, tuple[str, ...]]:
    """Where each entry of `provider_spec` stands in such a file."""
    creation = config.dataset.creation
    engine = {"temperature": "temperature", "timeout": "request_timeout", "api_base": "base_url"}
    return {
        "provider": ("dataset", "creation", "provider") if creation.provider else ("data_engine", "provider"),
        "model_id": ("dataset", "creation", "model") if creation.model else ("data_engine", "model"),
        **{name: ("data_engine", field) for name, field in engine.items()},
        "rpm_limit": ("data_engine", "rate_limit", "max_requests_per_minute"),
        "tpm_limit": ("data_engine", "rate_limit", "max_tokens_per_minute"),
    }


def _spec(engine: DataEngine, section: Creation | GrownTopics, temperature: float | None, where: str) -> dict[str, Any]:
    provider, model = section.provider, section.model
    if provider is not None and provider != engine.provider and model is None:
        raise ValueError(
            f"{where}.provider: {provider} needs a model of its own, since {engine.model} is {engine.provider}'s. Add model:."
        )
    spec: dict[str, Any] = {
        "provider": provider or engine.provider,
        "model_id": model or engine.model,
        "temperature": temperature,
        "timeout": engine.request_timeout,
    }
    if engine.base_url and spec["provider"] == engine.provider:
        spec["api_base"] = engine.base_url
    return spec


def conversation_fields(config: PipelineConfig) -> dict[str, Any]:
    """The fields of a `ConversationDatasetConfig` that asks for the same.

    Raises:
        ValueError: sections contradict each other; the message begins with the field.
    """
    engine, creation = config.data_engine, config.dataset.creation
    return {
        "topics": _topics(config),
        "topic_selection": config.topic_selection,
        "num_rows": creation.num_steps,
        "examples_per_call": creation.batch_size or engine.default_batch_size,
        "instructions": engine.instructions,
        "generation_system_prompt": engine.generation_system_prompt,
        "conversation_type": engine.conversation_type,
        "reasoning_style": engine.reasoning_style,
        "tools": engine.tools,
        "max_turns": engine.max_turns,
        "sys_msg": engine.sys_msg if creation.sys_msg is None else creation.sys_msg,
        "dataset_system_prompt": engine.dataset_system_prompt,
        "example_data": engine.example_data,
        "num_examples": engine.default_num_examples,
        "output_format": "conversational",
        "output_file": config.dataset.save_as,
        "run": _run(config),
    }


def _run(config: PipelineConfig) -> dict[str, Any]:
    limits = config.data_engine.rate_limit
    given = {
        "max_retries": limits.max_retries if limits.max_retries is not None else config.data_engine.max_retries,
        "retry_delay_s": limits.initial_retry_delay,
        "max_retry_delay_s": limits.max_retry_delay,
    }
    own = config.run.model_dump(exclude_unset=True) if config.run else {}
    return {**{name: value for name, value in given.items() if value is not None}, **own}


def _topics(config: PipelineConfig) -> Any:
    sections = {
        name: section
        for name in ("topic_tree", "topic_graph", "topics")
        if (section := getattr(config, name)) is not None
    }
    if len(sections) > 1:
        raise ValueError(
            f"{list(sections)[1]}: Topics are given twice, also under {next(iter(sections))}. Keep one of them."
        )
    if not sections:
        return [ANY_TOPIC]
    name, section = next(iter(sections.items()))
    if not isinstance(section, GrownTopics):
        return section
    spec = _spec(config.data_engine, section, section.temperature, name)
    if spec["provider"] == config.data_engine.provider:
        spec |= _limits(config.data_engine)
    return {
        "topic_prompt": section.topic_prompt,
        "topic_system_prompt": section.topic_system_prompt.strip() or None,
        "shape": name.removeprefix("topic_"),
        "degree": section.degree,
        "depth": section.depth,
        "provider": {key: value for key, value in spec.items() if value is not None},
        "file": section.save_as,
    }


_ENGINE = "instructions generation_system_prompt conversation_type reasoning_style tools max_turns dataset_system_prompt example_data"


def field_places(config: PipelineConfig) -> dict[str, tuple[str, ...]]:
    """Where each field of the conversation config stands in such a file."""
    grown = next((name for name in ("topic_tree", "topic_graph") if getattr(config, name) is not None), "topics")
    return {
        **{name: ("data_engine", name) for name in _ENGINE.split()},
        "topics": (grown,),
        "num_rows": ("dataset", "creation", "num_steps"),
        "examples_per_call": ("dataset", "creation", "batch_size"),
        "num_examples": ("data_engine", "default_num_examples"),
        "sys_msg": ("dataset", "creation", "sys_msg"),
        "output_file": ("dataset", "save_as"),
    }
