"""What a conversation dataset is made of: its config, and its default prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    InstanceOf,
    PlainSerializer,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.config import NonBlank, TemplateNames
from datafast.datasets.conversation.example_data import ExampleData
from datafast.datasets.conversation.prompts import FIRST_FORM_TEXTS, FORM_TEXTS, form_of
from datafast.datasets.conversation.replies import DEFAULT_STEPS, Bounds, Style
from datafast.datasets.conversation.rows import RowFormat
from datafast.datasets.conversation.tool_forms import found_tools
from datafast.datasets.conversation.tool_functions import FunctionTool
from datafast.datasets.conversation.tool_prompts import TOOL_DEFAULTS, openings_form
from datafast.datasets.conversation.tool_results import ResultSources, ToolResultsField
from datafast.datasets.conversation.tool_talk import TalkSettings
from datafast.datasets.conversation.tools import Tools
from datafast.datasets.guided import GuidedConfig
from datafast.datasets.pairing import SENTENCES, given_names
from datafast.datasets.topical import TopicalConfig
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText, editions
from datafast.plan.template import Template
from datafast.store.paths import UsedFile
from datafast.topics.field import TopicSource
from datafast.topics.selection import Strategy

__all__ = ["DEFAULTS", "ConversationDatasetConfig"]

DEFAULT_PROMPTS = [
    "Write conversations between a user and an AI assistant in {language_name}: exactly {num_samples}. "
    "What they are about: {topic}"
]
_FIRST_PROMPTS = [
    "Write exactly {num_samples} conversations in {language_name} between a user and an AI assistant. "
    "What they are about: {topic}"
]
_SYSTEM_MESSAGES = ["You are a helpful assistant."]
_TELLING = {
    **SENTENCES,
    "persona": ["The user is this person, and writes as they would, without introducing themselves:\n\n{persona}"],
}
DEFAULTS = DefaultPrompts(
    "conversation",
    version=2,
    texts={"prompts": DEFAULT_PROMPTS, "system_message": _SYSTEM_MESSAGES, **FORM_TEXTS, **_TELLING},
    former=DefaultPrompts(
        "conversation",
        version=1,
        texts={"prompts": _FIRST_PROMPTS, "system_message": _SYSTEM_MESSAGES, **FIRST_FORM_TEXTS, **_TELLING},
    ),
)


_ToolGiven = Annotated[
    dict[str, Any] | InstanceOf[FunctionTool],
    PlainSerializer(lambda tool: tool.spec if isinstance(tool, FunctionTool) else tool),
]
_TOOL_OR_FILE = {"anyOf": [{"type": "object"}, {"type": "string"}]}
_ToolsField = Annotated[
    list[_ToolGiven],
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "array", "minItems": 1, "items": _TOOL_OR_FILE}, *_TOOL_OR_FILE["anyOf"]]}),
]
TOOL_EDITION = editions(TOOL_DEFAULTS)[0]


class ConversationDatasetConfig(TopicalConfig, GuidedConfig):
    """What a conversation dataset is made of: `num_rows` conversations in all, or one for each topic, language, expanded prompt and
    provider."""

    prompt_names = TemplateNames("num_samples", "topic", optional=["language_name"])
    own_metadata: ClassVar[tuple[str, ...]] = ("prompt_index", "topic", "topic_path", "variation")
    rows_field: ClassVar[str] = "examples_per_call"
    default_prompts = DEFAULTS
    input_fields: ClassVar[tuple[str, ...]] = ("example_data",)

    topics: TopicSource
    """What the conversations are about: a list, nested topics, a file, or topic_prompt, degree and depth to grow them from."""

    topic_selection: Strategy = "sequential"
    """sequential, shuffle (seeded), or balanced: branches take turns, so that their counts differ by at most one."""

    examples_per_call: int = Field(default=1, ge=1, le=100)
    """Conversations that one call asks for, each about the next topic."""

    instructions: str = ""
    """What the conversations should be like; may hold `<<placeholders>>`."""

    generation_system_prompt: NonBlank | None = None
    """The system message of the calls that write the conversations."""

    conversation_type: Literal["basic", "chain_of_thought", "tools"] = Field(
        default="basic", json_schema_extra={"enum": ["basic", "chain_of_thought", "cot", "tools"]}
    )
    """basic; chain_of_thought (also spelled cot): answers come with the reasoning that leads to them; tools: the assistant calls tools
    where it needs them."""

    reasoning_style: Literal["freetext", "agent"] | None = None
    """For chain_of_thought. freetext: reasoning in words. agent: steps of thought, action and observation."""

    tools: Accepts[_ToolsField | None, Any] = default_of(None)
    """Tools that can be called: in OpenAI's schema, MCP's or as a JSON Schema, Python functions, or files with any of these."""

    tool_results: Accepts[ToolResultsField, Any] = default_of("model")
    """For tools: where the results of calls come from. model: a model plays the tools. function: the Python functions that the tools
    are. Or for each tool by name one of these words, a function, or a table."""

    max_parallel_calls: int = Field(default=4, ge=1, le=64)
    """For tools: calls that the assistant makes at once, at most."""

    share_without_calls: float = Field(default=0.1, ge=0, le=1, allow_inf_nan=False)
    """For tools: the share of questions that are answered without a call. All others take at least one."""

    max_turns: int = Field(default=1, ge=1, le=50)
    """Questions of the user in one conversation, at most."""

    min_turns: int = Field(default=1, ge=1, le=50)
    """Questions of the user in one conversation, at least."""

    max_steps: int = Field(default=DEFAULT_STEPS, ge=1, le=50)
    """Steps that an agent takes for one question, at most; with tools each of them is a call, or several at once in type tools."""

    sys_msg: bool = True
    """Whether the conversations begin with a system message."""

    dataset_system_prompt: NonBlank | None = None
    """That system message; `generation_system_prompt` where none is given."""

    example_data: ExampleData = None
    """Rows that show what is wanted: a list, a file, or a Hugging Face dataset."""

    num_examples: int = Field(default=3, ge=0, le=100)
    """Rows of `example_data` in each prompt, chosen anew for each by the seed."""

    output_format: Literal["conversational", "instruction"] | dict[str, str] | None = None
    """How rows are written: conversational ({"messages": ...} alone), instruction ({"instruction", "response"} alone), or a field
    for each entry with a template over the row. By default messages with everything about their origin."""

    output_file: Accepts[UserPath, str | Path] = default_of(Path("conversations.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Prompt templates with {num_samples} and {topic}; {language_name} may occur. What is said about form comes by itself."""

    _tools: Tools | None = PrivateAttr(default=None)
    _talk: TalkSettings | None = PrivateAttr(default=None)

    @field_validator("conversation_type", mode="before")
    @classmethod
    def _short_spelling(cls, value: Any) -> Any:
        return "chain_of_thought" if value == "cot" else value

    @field_validator("tools", mode="before")
    @classmethod
    def _all_tools(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value is None else found_tools(value, (info.context or {}).get("folder"))

    @model_validator(mode="after")
    def _fits_together(self) -> ConversationDatasetConfig:
        _check_pairing(self)
        if self.output_format == "instruction" and self.max_turns > 1:
            raise ValueError(
                "output_format: instruction has room for one question and its answer. Leave max_turns at 1."
            )
        if isinstance(self.topics, list) and not self.topics:
            raise ValueError("topics: The list is empty. Give at least one topic.")
        if len(self.languages) > 1:
            _check_languages(self.prompts or [])
        self._tools = Tools(self.tools) if self.tools else None
        self._talk = _talk_settings(self, self._tools) if self._tools and self.style == "tools" else None
        self.row_format(self.editions()[0])
        return self

    def template_texts(self, edition: Edition) -> list[PromptText]:
        return super().template_texts(TOOL_EDITION if self.style == "tools" else edition)

    @property
    def guidance(self) -> str:
        return "\n\n".join(filter(None, [super().guidance, self.instructions.strip()]))

    def template_field(self, number: int) -> str:
        if self.prompts is not None:
            return super().template_field(number)
        return " and ".join(name for name in ("template", "instructions") if getattr(self, name)) or "instructions"

    @property
    def style(self) -> Style:
        """The style of answers, in one word."""
        if self.conversation_type == "chain_of_thought":
            return self.reasoning_style or "freetext"
        return self.conversation_type

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.min_turns, self.max_turns, self.max_steps)

    @property
    def tool_set(self) -> Tools | None:
        return self._tools

    @property
    def wish(self) -> Template | None:
        """What prompts that come after the first say about the user's messages: guidance, persona and seed text; None for nothing."""
        text = self.with_given(PromptText(self.guidance), self.editions()[0])
        if not text.text.strip():
            return None
        names = TemplateNames(optional=[*self.prompt_names.mandatory, *self.prompt_names.optional])
        told = PromptText(text.text.strip())
        return self.filled(names).parse(told, self.placeholders, field="instructions", remark=False)

    @property
    def talk_settings(self) -> TalkSettings | None:
        """What conversations with tools have in common; None in other types."""
        return self._talk

    def estimate_notes(self) -> Sequence[str]:
        if self._talk is None:
            return super().estimate_notes()
        calls = "once" if self.max_steps == 1 else f"1 to {self.max_steps} times (max_steps)"
        steps = f"How often an assistant calls tools for a question, {calls}, is its own choice; here it is that of simulated ones."
        return [*super().estimate_notes(), steps]

    def system_message(self, edition: Edition) -> PromptText | None:
        """The system message of every row; None for none."""
        if not self.sys_msg:
            return None
        own = self.dataset_system_prompt or self.generation_system_prompt
        return PromptText(own) if own else edition.texts("system_message")[0]

    def form(self, edition: Edition) -> PromptText:
        """The part of every prompt that describes the form of a conversation; of those with tools what is said about openings."""
        if self._talk is not None:
            return PromptText(openings_form((), 1, listing=self._talk.tools.listing(), known=()))
        return form_of(
            edition,
            self.style,
            bounds=self.bounds,
            tools=self.tool_set,
            system_message=self.dataset_system_prompt if self.sys_msg else None,
        )

    def used_files(self) -> Iterator[UsedFile]:
        for file in self.example_data.files if self.example_data is not None else ():
            yield UsedFile("example_data", file, written=False)
        yield from super().used_files()

    def row_format(self, edition: Edition) -> RowFormat:
        system = self.system_message(edition)
        return RowFormat(
            self.style,
            system=system.text if system else None,
            output_format=self.output_format,
            tools=self.tool_set,
            placeholders=[*self.placeholders, *given_names(self)],
            first=edition.version == 1,
        )


def _check_pairing(config: ConversationDatasetConfig) -> None:
    if config.conversation_type != "chain_of_thought" and config.reasoning_style is not None:
        named = "Basic conversations" if config.conversation_type == "basic" else "Conversations with tools"
        raise ValueError(
            f"reasoning_style: {named} have no {config.reasoning_style} reasoning. Set conversation_type: chain_of_thought."
        )
    if config.conversation_type == "chain_of_thought" and config.reasoning_style is None:
        raise ValueError("reasoning_style: chain_of_thought needs one. Set freetext or agent.")
    if config.min_turns > config.max_turns:
        raise ValueError(f"min_turns: There are at most {config.max_turns} questions. Raise max_turns, or lower this.")
    if config.max_steps != DEFAULT_STEPS and config.style not in ("agent", "tools"):
        raise ValueError(
            "max_steps: Only an agent takes steps. Set conversation_type: chain_of_thought and reasoning_style: agent, or "
            "conversation_type: tools."
        )
    if config.tools and config.style not in ("agent", "tools"):
        raise ValueError(
            "tools: Only an agent calls tools. Set conversation_type: tools, or chain_of_thought and reasoning_style: agent."
        )
    _check_tools(config)


def _check_tools(config: ConversationDatasetConfig) -> None:
    if config.style != "tools":
        fields = ConversationDatasetConfig.model_fields
        for name in ("tool_results", "max_parallel_calls", "share_without_calls"):
            if getattr(config, name) != fields[name].default:
                raise ValueError(f"{name}: Only conversations with tools have this. Set conversation_type: tools.")
        return
    if not config.tools:
        raise ValueError("tools: Conversations with tools need some. Give at least one tool.")
    if config.output_format == "instruction":
        raise ValueError(
            "output_format: instruction has no room for calls of tools. Leave it out, or choose conversational."
        )


def _talk_settings(config: ConversationDatasetConfig, tools: Tools) -> TalkSettings:
    return TalkSettings(
        tools=tools,
        results=ResultSources(config.tool_results, tools),
        bounds=config.bounds,
        max_parallel_calls=config.max_parallel_calls,
        share_without_calls=config.share_without_calls,
        told=config.generation_system_prompt,
    )


def _check_languages(prompts: Sequence[str]) -> None:
    for number, prompt in enumerate(prompts):
        if "{language_name}" not in prompt:
            raise ValueError(
                f"prompts[{number}]: There are several languages, but this template names none. Put {{language_name}} into it."
            )
