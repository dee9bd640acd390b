"""The layout of 3.x and 4.x.

    llm: {provider: openai, model: gpt-4o}                                                      # for the sections that name none
    topics: {prompt: ..., mode: graph, depth: 2, degree: 3, save_as: topics.jsonl, llm: {...}}
    generation: {system_prompt: ..., instructions: ..., conversation: {type: cot, reasoning_style: agent}, tools: {...}, llm: {...}}
    output: {system_prompt: ..., num_samples: 100, batch_size: 5, save_as: rows.jsonl}

One call writes one sample, and `batch_size` is how many are written at once.
"""

from __future__ import annotations

import math
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
    run_fields,
    spec_of,
)
from datafast.engine.settings import RunConfig
from datafast.errors import ConfigError
from datafast.facades.deepfabric.rate_limit import RateLimit
from datafast.facades.deepfabric.styles import style_fields
from datafast.facades.deepfabric.tools import FILE_TOOLS, chosen_tools

__all__ = ["SectionsLayout"]


class Llm(ConfigModel):
    """A section `llm`."""

    provider: NonBlank | None = None
    model: NonBlank | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    base_url: str | None = None


class Topics(ConfigModel):
    """The section `topics`."""

    prompt: NonBlank
    mode: Literal["tree", "graph"] = "graph"
    system_prompt: str = ""
    depth: int = Field(default=2, ge=1, le=12)
    degree: int = Field(default=3, ge=1, le=100)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    rate_limit: RateLimit | None = None
    save_as: Path | None = None
    prompt_style: Literal["default", "isolated", "anchored"] = "default"
    llm: Llm | None = None


class ConversationSection(ConfigModel):
    """The section `generation.conversation`."""

    type: str = "basic"
    reasoning_style: str | None = None
    agent_mode: str | None = None
    min_turns: int | None = None
    max_turns: int | None = None
    min_tool_calls: int | None = None


class ToolsSection(ConfigModel):
    """The section `generation.tools`."""

    available: list[str] = Field(default_factory=list)
    custom: list[dict[str, Any]] = Field(default_factory=list)
    registry_path: Path | None = None
    components: dict[str, list[str]] = Field(default_factory=dict)
    tools_endpoint: str | None = None
    spin_endpoint: str | None = None
    tool_execute_path: str | None = None
    max_per_query: int | None = Field(default=None, ge=1, le=50)
    max_agent_steps: int | None = Field(default=None, ge=1, le=50)
    strict: bool = True
    scenario_seed: dict[str, Any] | None = None


class Generation(ConfigModel):
    """The section `generation`."""

    system_prompt: NonBlank
    instructions: str = ""
    conversation: ConversationSection = Field(default_factory=ConversationSection)
    tools: ToolsSection | None = None
    max_retries: int = Field(default=3, ge=0, le=100)
    sample_retries: int | None = Field(default=None, ge=0, le=20)
    max_tokens: int | None = Field(default=None, ge=1)
    rate_limit: RateLimit = Field(default_factory=RateLimit)
    scenario_seed: dict[str, Any] | None = None
    save_as: Path | None = None
    output_schema: dict[str, Any] | None = None
    example_data: Any = None
    llm: Llm | None = None

    @model_validator(mode="before")
    @classmethod
    def _not_below_tools(cls, given: Any) -> Any:
        """The first example of 3.x and 4.x has three fields one level too deep."""
        tools = given.get("tools") if isinstance(given, Mapping) else None
        if not isinstance(tools, Mapping):
            return given
        moved = {name: tools[name] for name in ("max_retries", "sample_retries", "max_tokens") if name in tools}
        return {**moved, **given, "tools": {name: value for name, value in tools.items() if name not in moved}}


class Output(ConfigModel):
    """The section `output`."""

    system_prompt: NonBlank | None = None
    include_system_message: bool = True
    num_samples: int | str = 3
    batch_size: int = Field(default=5, ge=1)
    save_as: Path
    format: Literal["messages", "custom"] = "messages"
    formatters: list[dict[str, Any]] = Field(default_factory=list)
    checkpoint: dict[str, Any] | None = None

    @field_validator("num_samples")
    @classmethod
    def _a_number_or_a_share(cls, given: int | str) -> int | str:
        text = str(given).strip().lower()
        number = text.removesuffix("%")
        try:
            positive = text == "auto" or 0 < float(number) < math.inf
        except ValueError:
            positive = False
        if not positive or (text != "auto" and number == text and not text.isdigit()):
            raise ValueError("expected a whole number, 1 or more, or auto, or a share of the topics like 50%")
        return text


class SectionsLayout(Layout):
    """The whole file."""

    llm: Llm | None = None
    topics: Topics
    generation: Generation
    output: Output
    huggingface: dict[str, Any] | None = None
    kaggle: dict[str, Any] | None = None
    deepfabric_cloud: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    topic_selection: Literal["sequential", "shuffle", "balanced"] = "sequential"
    run: RunConfig | None = None

    def recipe(self, folder: Path) -> Recipe:
        generation, output = self.generation, self.output
        if generation.output_schema is not None or output.format == "custom":
            raise ValueError(
                "generation.output_schema: Rows in a schema of your own are a dataset of kind columns, with a column of the type "
                "structured and this json_schema. `datafast init columns` writes a config to start from."
            )
        remarks: Remarks = []
        style = self._style(folder, remarks)
        self._without_effect(remarks)
        fields = {
            **style,
            "topics": self._topics(),
            "topic_selection": self.topic_selection,
            "num_rows": self._num_rows(),
            "generation_system_prompt": generation.system_prompt,
            "sys_msg": output.include_system_message,
            "dataset_system_prompt": output.system_prompt,
            "example_data": generation.example_data,
            "output_format": "conversational",
            "output_file": output.save_as,
            "run": run_fields(
                generation.rate_limit, generation.max_retries, self.run, sample_retries=generation.sample_retries
            ),
        }
        place = ["output", "formatters"]
        exports = other_files(output.formatters, place, remarks, calls=bool(style["tools"]))
        return Recipe(self._writer(), fields, self._writer_places(), _FIELD_PLACES, place, exports, remarks)

    def _style(self, folder: Path, remarks: Remarks) -> dict[str, Any]:
        asked, tools = self.generation.conversation, self.generation.tools or ToolsSection()
        caps = [cap for cap in (tools.max_per_query, tools.max_agent_steps) if cap is not None]
        given = defined_tools(
            tools.custom, "generation.tools.custom", tools.registry_path, "generation.tools.registry_path", folder
        )
        if tools.components:
            given = [*(given or []), *self._components(tools, given or [])]
        elif given is None and tools.spin_endpoint and not tools.available:
            given = FILE_TOOLS
        try:
            return style_fields(
                asked.type,
                asked.reasoning_style,
                instructions=self.generation.instructions,
                agent_mode=asked.agent_mode,
                min_turns=asked.min_turns,
                max_turns=asked.max_turns,
                min_tool_calls=asked.min_tool_calls,
                max_steps=min(caps) if caps else None,
                tools=given,
                available_tools=tools.available,
                tools_field="generation.tools.available",
            )
        except ConfigError as error:
            for name, field in _STYLE_PLACES.items():
                if str(error).startswith(f"{name}: "):
                    raise ValueError(f"{field}{str(error).removeprefix(name)}") from None
            raise ValueError(str(error)) from None

    def _components(self, tools: ToolsSection, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The tools that components name. Those of `builtin` are known, others have to be defined in the config."""
        found = []
        defined = {tool["function"]["name"] for tool in given}
        for component, names in tools.components.items():
            missing = [name for name in names if name not in defined]
            if not missing:
                continue
            place = f"generation.tools.components.{component}"
            if component == "builtin":
                found += chosen_tools(missing, FILE_TOOLS, place)
                continue
            asked = f" What {tools.tools_endpoint} answers can be saved there." if tools.tools_endpoint else ""
            raise ValueError(
                f"{place}: The tools of a running server are not asked for, so {missing[0]!r} is not known. Define it under "
                f"generation.tools.custom, or in a file that generation.tools.registry_path names.{asked}"
            )
        return found

    def _num_rows(self) -> int | None:
        text = str(self.output.num_samples)
        if text == "auto":
            return None
        if text.endswith("%"):
            return max(1, int(self.topics.degree**self.topics.depth * float(text[:-1]) / 100))
        return int(text)

    def _model(self, section: Llm | None, place: str, *, others: Llm | None = None) -> dict[str, Any]:
        shared, own = self.llm or others or Llm(), section or Llm()
        provider, model = own.provider or shared.provider, own.model or shared.model
        for name, value in (("provider", provider), ("model", model)):
            if value is None:
                raise ValueError(
                    f"{place}.llm.{name}: The field is missing. Name it here, or under llm for all sections."
                )
        if own.provider not in (None, shared.provider) and own.model is None:
            raise ValueError(f"{place}.llm.provider: {own.provider} needs a model of its own. Add model:.")
        inherits = own.provider in (None, shared.provider)
        temperature = own.temperature if own.temperature is not None else shared.temperature
        return {
            "provider": provider,
            "model": model,
            "temperature": 0.7 if temperature is None else temperature,
            "base_url": own.base_url or (shared.base_url if inherits else None),
        }

    def _writer(self) -> dict[str, Any]:
        generation = self.generation
        return spec_of(
            **self._model(generation.llm, "generation"),
            limits=generation.rate_limit,
            max_completion_tokens=generation.max_tokens,
            max_concurrency=self.output.batch_size,
        )

    def _writer_places(self) -> dict[str, Any]:
        own = self.generation.llm or Llm()

        def place(name: str) -> tuple[str, ...]:
            return ("generation", "llm", name) if getattr(own, name) is not None else ("llm", name)

        return {
            "provider": place("provider"),
            "model_id": place("model"),
            "temperature": place("temperature"),
            "api_base": place("base_url"),
            "max_completion_tokens": ("generation", "max_tokens"),
            "rpm_limit": ("generation", "rate_limit"),
            "tpm_limit": ("generation", "rate_limit"),
            "max_concurrency": ("output", "batch_size"),
        }

    def _topics(self) -> dict[str, Any]:
        topics = self.topics
        spec = spec_of(
            **self._model(topics.llm, "topics", others=self.generation.llm),
            limits=topics.rate_limit,
            max_completion_tokens=topics.max_tokens,
            max_concurrency=topics.max_concurrent,
        )
        return {
            "topic_prompt": topics.prompt,
            "topic_system_prompt": topics.system_prompt.strip() or None,
            # Without links between branches a graph is a tree.
            "shape": topics.mode if topics.prompt_style == "default" else "tree",
            "degree": topics.degree,
            "depth": topics.depth,
            "provider": spec,
            "file": topics.save_as,
        }

    def _without_effect(self, remarks: Remarks) -> None:
        tools = self.generation.tools or ToolsSection()
        if tools.spin_endpoint or tools.tool_execute_path:
            remarks.append(
                (["generation", "tools", "spin_endpoint"], "No tool is run: the model also writes what they give back.")
            )
        if tools.scenario_seed or self.generation.scenario_seed:
            remarks.append(
                (
                    ["generation", "scenario_seed"],
                    "No tool is run, so there are no files to begin with. Describe them in generation.instructions.",
                )
            )
        if not tools.strict:
            remarks.append(
                (["generation", "tools", "strict"], "A reply with more calls is asked for again, never cut.")
            )
        if self.generation.save_as:
            remarks.append((["generation", "save_as"], "Rows are written to output.save_as alone."))
        for name, instead in _ELSEWHERE.items():
            if getattr(self, name) is not None:
                remarks.append(([name], instead))


_STYLE_PLACES = {
    "conversation_type": "generation.conversation.type",
    "reasoning_style": "generation.conversation.reasoning_style",
    "agent_mode": "generation.conversation.agent_mode",
}
_ELSEWHERE = {
    "huggingface": "Nothing is pushed by `datafast generate`. `datafast push` does it, see the guide to publishing.",
    "kaggle": "Nothing is uploaded to Kaggle. Upload the file with its own client.",
    "deepfabric_cloud": "Nothing is uploaded.",
    "evaluation": "Models are not evaluated. This section is not read.",
}
_CONVERSATION = ("generation", "conversation")
_FIELD_PLACES: dict[str, Any] = {
    "topics": ("topics",),
    "num_rows": ("output", "num_samples"),
    "output_file": ("output", "save_as"),
    "sys_msg": ("output", "include_system_message"),
    "dataset_system_prompt": ("output", "system_prompt"),
    "generation_system_prompt": ("generation", "system_prompt"),
    "instructions": ("generation", "instructions"),
    "example_data": ("generation", "example_data"),
    "conversation_type": (*_CONVERSATION, "type"),
    "reasoning_style": (*_CONVERSATION, "reasoning_style"),
    "min_turns": (*_CONVERSATION, "min_turns"),
    "max_turns": (*_CONVERSATION, "max_turns"),
    "max_steps": ("generation", "tools", "max_agent_steps"),
    "tools": ("generation", "tools"),
}
