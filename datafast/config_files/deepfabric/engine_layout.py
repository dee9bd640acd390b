"""The layout of 1.x to 3.x: `data_engine`, `dataset.creation`, `save_as`, and a topic section.

    dataset_system_prompt: ...
    data_engine: {generation_system_prompt: ..., instructions: ..., provider: openai, model: gpt-4, temperature: 0.8}
    topic_tree: {topic_prompt: ..., degree: 3, depth: 2, save_as: topics.json}      # or topic_graph, or topics: [...]
    dataset: {creation: {num_steps: 100, batch_size: 5, provider: anthropic, model: ...}, save_as: rows.jsonl}

`num_steps` is the number of rows, `batch_size` how many one call asks for. Provider and model of the creation win over the engine's.
In the first versions the fields of a section are below its `args`, and have other names: `root_prompt`, `tree_degree`, `model_name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from datafast._util.config_model import ConfigModel, NonBlank
from datafast.config_files.deepfabric.recipe import (
    Layout,
    Recipe,
    Remarks,
    defined_tools,
    other_files,
    renamed,
    run_fields,
    spec_of,
)
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError
from datafast.facades.deepfabric.first_versions import FIRST_TOPIC_NAMES
from datafast.facades.deepfabric.input import ANY_TOPIC
from datafast.facades.deepfabric.rate_limit import RateLimit
from datafast.facades.deepfabric.styles import style_fields

__all__ = ["EngineLayout"]

_FIRST_NAMES = {
    "data_engine": {"system_prompt": "generation_system_prompt", "model_name": "model", "timeout": "request_timeout"},
    "topic": {**FIRST_TOPIC_NAMES, "model_name": "model"},
    "creation": {"model_name": "model"},
}
_PLACEHOLDER = "<system_prompt_placeholder>"


class DataEngine(ConfigModel):
    """The section `data_engine`."""

    generation_system_prompt: NonBlank
    instructions: str = ""
    provider: NonBlank
    model: NonBlank
    base_url: str | None = None
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_retries: int = Field(default=3, ge=0, le=100)
    sample_retries: int | None = Field(default=None, ge=0, le=20)
    request_timeout: float = Field(default=30, gt=0)
    default_batch_size: int = Field(default=5, ge=1, le=100)
    default_num_examples: int = Field(default=3, ge=0, le=100)
    conversation_type: str = "basic"
    reasoning_style: str | None = None
    agent_mode: str | None = None
    min_turns: int | None = None
    max_turns: int | None = None
    min_tool_calls: int | None = None
    sys_msg: bool = True
    dataset_system_prompt: NonBlank | None = None
    domain_context: str | None = None
    example_data: Any = None
    tools: list[dict[str, Any]] | None = None
    available_tools: list[str] = Field(default_factory=list)
    custom_tools: list[dict[str, Any]] = Field(default_factory=list)
    tool_registry: list[dict[str, Any]] = Field(default_factory=list)
    tool_registry_path: Path | None = None
    max_tools_per_query: int | None = Field(default=None, ge=1, le=50)
    max_tools_strict: bool = True
    rate_limit: RateLimit = Field(default_factory=RateLimit)
    save_as: Path | None = None
    batch_size: int | None = Field(default=None, ge=1, le=100)
    num_samples: int | None = None
    prompt_template: str | None = None
    tool_rotation_strategy: str | None = None
    tools_per_sample: int | None = None
    spin_endpoint: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _later_names(cls, given: Any) -> Any:
        return renamed(given, _FIRST_NAMES["data_engine"])


class Creation(ConfigModel):
    """The section `dataset.creation`."""

    num_steps: int = Field(ge=1)
    batch_size: int | None = Field(default=None, ge=1, le=100)
    provider: NonBlank | None = None
    model: NonBlank | None = None
    sys_msg: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _later_names(cls, given: Any) -> Any:
        return renamed(given, _FIRST_NAMES["creation"])


class DatasetSection(ConfigModel):
    """The section `dataset`."""

    creation: Creation
    save_as: Path
    rate_limit: RateLimit | None = None
    formatters: list[dict[str, Any]] = Field(default_factory=list)


class GrownTopics(ConfigModel):
    """The section `topic_tree` or `topic_graph`."""

    topic_prompt: NonBlank
    topic_system_prompt: str = ""
    provider: NonBlank | None = None
    model: NonBlank | None = None
    base_url: str | None = None
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    max_concurrent: int | None = Field(default=None, ge=1)
    rate_limit: RateLimit | None = None
    degree: int = Field(default=3, ge=1, le=100)
    depth: int = Field(default=2, ge=1, le=12)
    save_as: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _later_names(cls, given: Any) -> Any:
        return renamed(given, _FIRST_NAMES["topic"])


class EngineLayout(Layout):
    """The whole file."""

    data_engine: DataEngine
    dataset: DatasetSection
    dataset_system_prompt: NonBlank | None = None
    topic_generator: Literal["tree", "graph"] | None = None
    topic_tree: GrownTopics | None = None
    topic_graph: GrownTopics | None = None
    topics: Any = None
    topic_selection: Literal["sequential", "shuffle", "balanced"] = "sequential"
    formatter: dict[str, Any] | None = None
    huggingface: dict[str, Any] | None = None
    kaggle: dict[str, Any] | None = None
    run: RunConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_system_prompt(cls, given: Any) -> Any:
        """`system_prompt` of the first versions, and the placeholder that stands for it in sections."""
        if not isinstance(given, Mapping):
            return given
        found = dict(given)
        if "system_prompt" in found and "dataset_system_prompt" not in found:
            found["dataset_system_prompt"] = found.pop("system_prompt")
        prompt = found.get("dataset_system_prompt")
        return {name: _filled(section, prompt) for name, section in found.items()} if isinstance(prompt, str) else found

    @field_validator("topics")
    @classmethod
    def _given(cls, topics: Any) -> Any:
        return topics or None

    def recipe(self, folder: Path) -> Recipe:
        engine, creation = self.data_engine, self.dataset.creation
        remarks: Remarks = []
        self._without_effect(remarks)
        style = self._style(folder)
        fields = {
            **style,
            "topics": self._topics(),
            "topic_selection": self.topic_selection,
            "num_rows": creation.num_steps,
            "examples_per_call": self._batch_size,
            "generation_system_prompt": engine.generation_system_prompt,
            "sys_msg": engine.sys_msg if creation.sys_msg is None else creation.sys_msg,
            "dataset_system_prompt": engine.dataset_system_prompt or self.dataset_system_prompt,
            "example_data": engine.example_data,
            "num_examples": engine.default_num_examples,
            "output_format": "conversational",
            "output_file": self.dataset.save_as,
            "run": run_fields(self._limits, engine.max_retries, self.run, sample_retries=engine.sample_retries),
        }
        place = ["dataset", "formatters"]
        exports = other_files(self.dataset.formatters, place, remarks, calls=bool(style["tools"]))
        return Recipe(self._writer(), fields, self._writer_places(), self._field_places(), place, exports, remarks)

    @property
    def _limits(self) -> RateLimit:
        return self.dataset.rate_limit or self.data_engine.rate_limit

    @property
    def _batch_size(self) -> int:
        engine = self.data_engine
        return self.dataset.creation.batch_size or engine.batch_size or engine.default_batch_size

    def _style(self, folder: Path) -> dict[str, Any]:
        engine = self.data_engine
        own = [*(engine.tools or []), *engine.custom_tools, *engine.tool_registry]
        context = f"The setting: {engine.domain_context.strip()}" if engine.domain_context else ""
        try:
            return style_fields(
                engine.conversation_type,
                engine.reasoning_style,
                instructions="\n\n".join(filter(None, [engine.instructions.strip(), context])),
                agent_mode=engine.agent_mode,
                min_turns=engine.min_turns,
                max_turns=engine.max_turns,
                min_tool_calls=engine.min_tool_calls,
                max_steps=engine.max_tools_per_query,
                tools=defined_tools(own, "tools", engine.tool_registry_path, "tool_registry_path", folder),
                available_tools=engine.available_tools,
            )
        except ConfigError as error:
            raise ValueError(f"data_engine.{error}") from None

    def _writer(self) -> dict[str, Any]:
        engine, batch = self.data_engine, self._batch_size
        tokens = engine.max_tokens and engine.max_tokens * batch  # it is that of one sample
        spec = self._spec(self.dataset.creation, "dataset.creation", max_completion_tokens=tokens)
        return {**spec, "temperature": engine.temperature}

    def _spec(self, section: Creation | GrownTopics, where: str, **options: Any) -> dict[str, Any]:
        engine, provider = self.data_engine, section.provider
        if provider is not None and provider != engine.provider and section.model is None:
            raise ValueError(
                f"{where}.provider: {provider} needs a model of its own, since {engine.model} is {engine.provider}'s. Add model:."
            )
        own = provider is None or provider == engine.provider
        asked_too = section.rate_limit if isinstance(section, GrownTopics) else None
        return spec_of(
            provider=provider or engine.provider,
            model=section.model or engine.model,
            temperature=section.temperature if isinstance(section, GrownTopics) else None,
            base_url=(section.base_url if isinstance(section, GrownTopics) else None)
            or (engine.base_url if own else None),
            limits=asked_too or (self._limits if own or isinstance(section, Creation) else None),
            timeout=engine.request_timeout,
            **options,
        )

    def _topics(self) -> Any:
        sections = {
            name: section
            for name in ("topic_tree", "topic_graph", "topics")
            if (section := getattr(self, name)) is not None
        }
        if self.topic_generator is not None and len(sections) > 1:
            sections = {name: section for name, section in sections.items() if name == f"topic_{self.topic_generator}"}
        if len(sections) > 1:
            raise ValueError(
                f"{list(sections)[1]}: Topics are given twice, also under {next(iter(sections))}. Keep one of them."
            )
        if not sections:
            return [ANY_TOPIC]
        name, section = next(iter(sections.items()))
        if not isinstance(section, GrownTopics):
            return section
        limits = {"max_completion_tokens": section.max_tokens, "max_concurrency": section.max_concurrent}
        return {
            "topic_prompt": section.topic_prompt,
            "topic_system_prompt": section.topic_system_prompt.strip() or None,
            "shape": name.removeprefix("topic_"),
            "degree": section.degree,
            "depth": section.depth,
            "provider": self._spec(section, name, **limits),
            "file": section.save_as,
        }

    def _without_effect(self, remarks: Remarks) -> None:
        for name, why in _WITHOUT_EFFECT.items():
            if getattr(self.data_engine, name) is not None:
                remarks.append((["data_engine", name], why))
        if not self.data_engine.max_tools_strict:
            remarks.append(
                (["data_engine", "max_tools_strict"], "A reply with more calls is asked for again, never cut.")
            )
        for name in ("huggingface", "kaggle"):
            if getattr(self, name) is not None:
                remarks.append(
                    (
                        [name],
                        "Nothing is pushed by `datafast generate`. `datafast push` does it, see the guide to publishing.",
                    )
                )
        if self.formatter is not None:
            other_files(
                [{**self.formatter, "template": self.formatter.get("name")}], ["formatter"], remarks, calls=True
            )

    def _writer_places(self) -> dict[str, Any]:
        creation = self.dataset.creation
        engine = {
            "temperature": "temperature",
            "timeout": "request_timeout",
            "api_base": "base_url",
            "max_completion_tokens": "max_tokens",
        }
        return {
            "provider": ("dataset", "creation", "provider") if creation.provider else ("data_engine", "provider"),
            "model_id": ("dataset", "creation", "model") if creation.model else ("data_engine", "model"),
            **{name: ("data_engine", field) for name, field in engine.items()},
            "rpm_limit": ("data_engine", "rate_limit", "max_requests_per_minute"),
            "tpm_limit": ("data_engine", "rate_limit", "max_tokens_per_minute"),
        }

    def _field_places(self) -> dict[str, Any]:
        grown = next((name for name in ("topic_tree", "topic_graph") if getattr(self, name) is not None), "topics")
        inner = self.data_engine.dataset_system_prompt is not None or self.dataset_system_prompt is None
        return {
            **{name: ("data_engine", name) for name in _ENGINE.split()},
            "max_steps": ("data_engine", "max_tools_per_query"),
            "dataset_system_prompt": ("data_engine", "dataset_system_prompt") if inner else ("dataset_system_prompt",),
            "topics": (grown,),
            "num_rows": ("dataset", "creation", "num_steps"),
            "examples_per_call": ("dataset", "creation", "batch_size"),
            "num_examples": ("data_engine", "default_num_examples"),
            "sys_msg": ("dataset", "creation", "sys_msg"),
            "output_file": ("dataset", "save_as"),
        }


_ENGINE = (
    "instructions generation_system_prompt conversation_type reasoning_style tools min_turns max_turns example_data"
)
_WITHOUT_EFFECT = {
    "save_as": "Rows are written to dataset.save_as alone.",
    "num_samples": "The number of rows is dataset.creation.num_steps.",
    "prompt_template": "Prompts are written by datafast. Put what you want into instructions.",
    "tool_rotation_strategy": "Every call sees all tools.",
    "tools_per_sample": "Every call sees all tools.",
    "spin_endpoint": "No tool is run: the model also writes what they give back.",
}


def _filled(section: Any, prompt: str) -> Any:
    """A section with the system prompt in the place of its placeholder."""
    if isinstance(section, Mapping):
        return {name: _filled(value, prompt) for name, value in section.items()}
    return prompt if section == _PLACEHOLDER else section
