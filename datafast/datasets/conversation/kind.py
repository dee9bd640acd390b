"""Conversations about topics, to train chat models: plain, with reasoning in words, or of an agent that calls tools.

{"messages": [{"role": "system", "content": "You are a patient teacher."},
              {"role": "user", "content": "Why are there two tides a day?"},
              {"role": "assistant", "content": "Because the Earth turns below two bulges of water ..."}],
 "model_id": "gpt-5-mini-2025-08-07", "language": "en", "uuid": "7c0f...",
 "metadata": {"topic": "Spring tides", "topic_path": "The sea > Tides > Spring tides", "variation": 0, "prompt_index": 0}}
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, Field, PrivateAttr, field_validator, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.base import FanOutDataset, RunOptions
from datafast.datasets.config import Metadata, NonBlank, PromptDatasetConfig, TemplateNames
from datafast.datasets.conversation.example_data import ExampleData
from datafast.datasets.conversation.prompts import FORM_TEXTS, form_of, shown_examples, shown_topics
from datafast.datasets.conversation.replies import DEFAULT_STEPS, Bounds, ReplyModels, Style
from datafast.datasets.conversation.rows import RowFormat
from datafast.datasets.conversation.tools import Tools
from datafast.engine.generate import Generate
from datafast.engine.routes import Route, route_identities
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText
from datafast.plan.grid import Computed, Dimension, GridPlan
from datafast.plan.items import WorkItem, digest
from datafast.store.paths import OutputPaths, UsedFile
from datafast.topics.field import TopicSource
from datafast.topics.selection import Pick, Selection, Strategy
from datafast.topics.supply import TopicSupply, grown_file

if TYPE_CHECKING:
    from datafast.engine.preparation import Preparation
    from datafast.llms.provider import LLMProvider
    from datafast.topics.model import TopicModel

__all__ = ["DEFAULT_PROMPTS", "ConversationDataset", "ConversationDatasetConfig"]

DEFAULT_PROMPTS = [
    "Write conversations between a user and an AI assistant in {language_name}: exactly {num_samples}. "
    "What they are about: {topic}"
]
_FIRST_PROMPTS = [
    "Write exactly {num_samples} conversations in {language_name} between a user and an AI assistant. "
    "What they are about: {topic}"
]
_OTHER_TEXTS = {"system_message": ["You are a helpful assistant."], **FORM_TEXTS}
DEFAULTS = DefaultPrompts(
    "conversation",
    version=2,
    texts={"prompts": DEFAULT_PROMPTS, **_OTHER_TEXTS},
    former=DefaultPrompts("conversation", version=1, texts={"prompts": _FIRST_PROMPTS, **_OTHER_TEXTS}),
)
_ROLE = "generator"


class ConversationDatasetConfig(PromptDatasetConfig):
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

    def template_texts(self, edition: Edition) -> list[PromptText]:
        wish = f"\n\nWhat they should be like:\n{self.instructions.strip()}" if self.instructions.strip() else ""
        return [PromptText.joined([prompt, PromptText(wish)], "") for prompt in super().template_texts(edition)]

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
        for name, given in (("topics", self.topics), ("example_data", self.example_data)):
            if (file := getattr(given, "read_from", None)) is not None:
                yield UsedFile(name, file, written=False)
        yield from super().used_files()
        if (file := grown_file(self.topics, self.output_file)) is not None:
            yield from OutputPaths.of(file).used("topics.file", "topics.file")

    def row_format(self, edition: Edition) -> RowFormat:
        system = self.system_message(edition)
        return RowFormat(
            self.style,
            system=system.text if system else None,
            output_format=self.output_format,
            tools=self.tool_set,
            placeholders=list(self.expansion.placeholders) if self.expansion else [],
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


class Slot:
    """The topics of one call, one for each conversation that it asks for."""

    def __init__(self, picks: Sequence[Pick]) -> None:
        self.picks = picks

    @property
    def name(self) -> str:
        more = f" and {len(self.picks) - 1} more" if len(self.picks) > 1 else ""
        return self.picks[0].path[-1] + more

    @property
    def digest(self) -> bytes:
        return digest("topic", *(part for pick in self.picks for part in (*pick.path, str(pick.repeat), "")))


class ConversationDataset(FanOutDataset[ConversationDatasetConfig, BaseModel]):
    """A dataset of conversations about topics."""

    kind = "conversation"
    config_model = ConversationDatasetConfig
    row_model = BaseModel

    def __init__(self, config: ConversationDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        editions = config.editions()
        # By version of the default texts, because an item is finished with the version that it was begun with.
        self._formats = {edition.prompts: config.row_format(edition) for edition in editions}
        self._forms = {edition.prompts: config.form(edition).text for edition in editions}
        self.row_model = self._formats[editions[0].prompts].row_model
        self._topics = TopicSupply(config.topics, config.output_file, run=config.run)
        self._replies = ReplyModels(config.style, config.bounds, config.tool_set)

    @property
    def topics(self) -> TopicModel:
        """The topic model; if the topics are not grown yet, a placeholder of the same size."""
        return self._topics.model

    @property
    def topic_supply(self) -> TopicSupply:
        """The source of the topics."""
        return self._topics

    def preparations(self, routes: Sequence[Route[LLMProvider]], options: RunOptions) -> Sequence[Preparation]:
        return self._topics.preparations(routes[0], options, executor=self.executor, ledger=self.paths.ledger)

    def other_ledgers(self) -> Sequence[Path]:
        return self._topics.ledgers

    def plan(self, routes: Sequence[str]) -> GridPlan:
        return self._plan(routes, each=self._counted_each())

    def plan_for(self, routes: Sequence[Route[object]], *, fresh: bool = False) -> GridPlan:
        each = not fresh and self._counted_each()
        return self._plan(route_identities(routes, fan_out=self.config.run.fan_out), each=each)

    def _counted_each(self) -> bool:
        """Whether the output was begun when `num_rows` counted the rows of each language, expanded prompt and provider."""
        return self.config.num_rows is not None and self.counted_before == "each"

    def _plan(self, routes: Sequence[str], *, each: bool) -> GridPlan:
        config, topics = self.config, self.topics
        num_rows = config.num_rows or topics.num_leaves
        drawn = config.num_rows is not None and not each
        selection = Selection(topics, config.topic_selection, seed=config.run.seed)
        size = config.examples_per_call

        @lru_cache(maxsize=256)  # value and digest of a position are asked for one after the other
        def slot(place: int) -> Slot:
            # The last call of a draw asks about the first of its topics, and about all of them when more rows are wanted.
            rows = range(place * size, (place + 1) * size if drawn else min((place + 1) * size, num_rows))
            return Slot([selection.pick(row) for row in rows])

        slots = Computed(-(-num_rows // size), slot)
        dimensions = [
            Dimension(
                "topic",
                slots,
                digests=Computed(len(slots), lambda place: slot(place).digest),
                fingerprint=digest(topics.digest, config.topic_selection, str([config.run.seed, size, num_rows])),
                rows=lambda slot: len(slot.picks),
                num_rows=num_rows,
                period=topics.num_leaves // math.gcd(topics.num_leaves, size) if drawn else None,
            ),
            Dimension("language", list(config.languages.items())),
        ]
        return self.grid(dimensions, routes=routes, shape=self._shape, each=each)

    def _shape(self, edition: Edition) -> list[str | bytes]:
        """The other settings that prompts and rows depend on."""
        config = self.config
        source = config.example_data if config.num_examples else None
        examples = b"" if source is None else source.former_digest if edition.version == 1 else source.digest
        system = config.system_message(edition)
        return [
            config.form(edition).keyed,
            config.generation_system_prompt or "",
            system.keyed if system else "",
            orjson.dumps(config.tools),
            orjson.dumps(config.output_format, option=orjson.OPT_SORT_KEYS),
            examples,
            str(config.num_examples if examples else 0),
        ]

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel | None]:
        picks = item.values["topic"].picks
        language, language_name = item.values["language"]
        form, row_format, examples = self._forms[item.defaults], self._formats[item.defaults], self._examples(item)

        def prompt(picks: Sequence[Pick]) -> str:
            values = {"num_samples": str(len(picks)), "language_name": language_name, "topic": shown_topics(picks)}
            return "\n\n".join([self.render(item, values), form, *examples])

        conversations = await generate.collect_for(
            _ROLE,
            picks,
            item.num_rows,
            prompt=prompt,
            response_model=self._replies,
            items=lambda reply: reply.conversations,
            system=self.config.generation_system_prompt,
        )
        return [
            conversation
            and row_format.row(
                conversation,
                model_id=generate.model_id(_ROLE),
                language=language,
                uuid=item.row_uuid(number),
                metadata=self._metadata(item, pick),
            )
            for number, (pick, conversation) in enumerate(zip(picks[: item.num_rows], conversations, strict=True))
        ]

    def _examples(self, item: WorkItem) -> list[str]:
        source, number = self.config.example_data, self.config.num_examples
        return [shown_examples(source, number, item.rng("examples"))] if source is not None and number else []

    def _metadata(self, item: WorkItem, pick: Pick) -> Metadata:
        about = {"topic": pick.path[-1], "topic_path": " > ".join(pick.path)}
        return {**about, "variation": pick.repeat, **self.metadata(item)}
