"""What a conversation dataset is made of: its config, and its default prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.config import NonBlank, TemplateNames
from datafast.datasets.conversation.example_data import ExampleData
from datafast.datasets.conversation.prompts import FIRST_FORM_TEXTS, FORM_TEXTS, form_of
from datafast.datasets.conversation.replies import DEFAULT_STEPS, Bounds, Style
from datafast.datasets.conversation.rows import RowFormat
from datafast.datasets.conversation.tools import Tools
from datafast.datasets.guided import GuidedConfig
from datafast.datasets.pairing import SENTENCES, given_names
from datafast.datasets.topical import TopicalConfig
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText
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


class ConversationDatasetConfig(TopicalConfig, GuidedConfig):
    """What a conversation dataset is made of: `num_rows` conversations in all, or one for each topic, language, expanded prompt and
    provider."""

    prompt_names = TemplateNames("num_samples", "topic", optional=["language_name"])
    own_metadata: ClassVar[tuple[str, ...]] = ("prompt_index", "topic_path", "variation")
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

    conversation_type: Literal["basic", "chain_of_thought"] = Field(
        default="basic", json_schema_extra={"enum": ["basic", "chain_of_thought", "cot"]}
    )
    """basic, or chain_of_thought (also spelled cot): answers come with the reasoning that leads to them."""

    reasoning_style: Literal["freetext", "agent"] | None = None
    """For chain_of_thought. freetext: reasoning in words. agent: steps of thought, action and observation."""

    tools: list[dict[str, Any]] | None = Field(default=None, min_length=1)
    """Tools that the agent calls, in OpenAI's tool schema."""

    max_turns: int = Field(default=1, ge=1, le=50)
    """Questions of the user in one conversation, at most."""

    min_turns: int = Field(default=1, ge=1, le=50)
    """Questions of the user in one conversation, at least."""

    max_steps: int = Field(default=DEFAULT_STEPS, ge=1, le=50)
    """Steps that an agent takes for one question, at most; with tools each of them is a call."""

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

    @field_validator("conversation_type", mode="before")
    @classmethod
    def _short_spelling(cls, value: Any) -> Any:
        return "chain_of_thought" if value == "cot" else value

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
        self.row_format(self.editions()[0])
        return self

    @property
    def guidance(self) -> str:
        return "\n\n".join(filter(None, [super().guidance, self.instructions.strip()]))

    def template_field(self, number: int) -> str:
        return "instructions" if self.prompts is None else super().template_field(number)

    @property
    def style(self) -> Style:
        """The style of answers, in one word."""
        return "basic" if self.conversation_type == "basic" else self.reasoning_style or "freetext"

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.min_turns, self.max_turns, self.max_steps)

    @property
    def tool_set(self) -> Tools | None:
        return self._tools

    def system_message(self, edition: Edition) -> PromptText | None:
        """The system message of every row; None for none."""
        if not self.sys_msg:
            return None
        own = self.dataset_system_prompt or self.generation_system_prompt
        return PromptText(own) if own else edition.texts("system_message")[0]

    def form(self, edition: Edition) -> PromptText:
        """The part of every prompt that describes the form of a conversation."""
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
    if config.conversation_type == "basic" and config.reasoning_style is not None:
        raise ValueError(
            f"reasoning_style: Basic conversations have no {config.reasoning_style} reasoning. Set conversation_type: chain_of_thought."
        )
    if config.conversation_type == "chain_of_thought" and config.reasoning_style is None:
        raise ValueError("reasoning_style: chain_of_thought needs one. Set freetext or agent.")
    if config.min_turns > config.max_turns:
        raise ValueError(f"min_turns: There are at most {config.max_turns} questions. Raise max_turns, or lower this.")
    if config.max_steps != DEFAULT_STEPS and config.style != "agent":
        raise ValueError(
            "max_steps: Only an agent takes steps. Set conversation_type: chain_of_thought and reasoning_style: agent."
        )
    if config.tools and config.style != "agent":
        raise ValueError(
            "tools: Only an agent calls tools. Set conversation_type: chain_of_thought and reasoning_style: agent."
        )


def _check_languages(prompts: Sequence[str]) -> None:
    for number, prompt in enumerate(prompts):
        if "{language_name}" not in prompt:
            raise ValueError(
                f"prompts[{number}]: There are several languages, but this template names none. Put {{language_name}} into it."
            )
