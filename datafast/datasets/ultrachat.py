"""Chats of several turns about the subtopics of a domain, between simulated users with personas and an assistant.

{"opening_question": "We lose blades to UV. Does a clear coat help?",
 "messages": [{"role": "user", "content": "We lose blades to UV. Does a clear coat help?"},
              {"role": "assistant", "content": "It does, for some years ..."},
              {"role": "user", "content": "How would I test that in a week?"}, ...],
 "model_id": "gpt-6-luna", "user_model_id": "gpt-6-luna", "question_model_id": "gpt-6-luna", "language": "en", "uuid": "b0d1...",
 "metadata": {"domain": "Wind turbines", "topic": "Polymers", "subtopic": "UV degradation", "question": "How does UV ...?",
              "prompt_index": 0}, "persona": "A site manager who ..."}

How a chat is held is in `datafast.datasets.ultrachat_talk`. The method is that of UltraChat (Ding et al. 2023, arXiv:2305.14233): one model
plays the user and another one answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import ConfigDict, Field, field_validator, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import Metadata, NonBlank, TemplateNames
from datafast.datasets.inputs import origin, texts_dimension
from datafast.datasets.pairing import given
from datafast.datasets.row import ChatMessage, TalkRow, uuid_of_content
from datafast.datasets.topical import TopicalConfig, TopicalDataset
from datafast.datasets.ultrachat_prompts import DEFAULTS, WITHOUT_PERSONAS
from datafast.datasets.ultrachat_talk import Role, Talk, questions_model
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.personas.config import PersonasConfig
from datafast.personas.field import PersonaInput
from datafast.plan.defaults import Edition, PromptText
from datafast.plan.expansion import Expansion
from datafast.plan.grid import Computed, Dimension, GridPlan
from datafast.plan.items import WorkItem, digest
from datafast.plan.pairing import Pairing
from datafast.plan.template import Template
from datafast.sources.source import SourceTexts
from datafast.topics.field import TopicSource
from datafast.topics.nodes import TopicPath

__all__ = ["ChatRow", "Role", "UltrachatDataset", "UltrachatDatasetConfig"]

ROLES: tuple[Role, ...] = ("question", "user", "assistant")


class ChatRow(TalkRow):
    """A row of a chat dataset. `model_id` is the assistant's."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    about_the_row: ClassVar[Collection[str]] = ("opening_question", "persona")
    """What stages do not count among its texts: the first message once more, and who says it."""

    opening_question: str
    """The first thing that the user says."""
    messages: list[ChatMessage]
    """The conversation, message by message, each with `role` and `content`."""
    model_id: str | None = None
    """The model that spoke as the assistant, as it was asked for."""
    user_model_id: str | None = None
    """The model that played the user; null where no model did."""
    question_model_id: str | None = None
    """The model that wrote the opening question."""
    language: str | None = None
    """The code of the language that the row was asked for in."""
    uuid: str = Field(default_factory=uuid_of_content)
    """Identifies the row. It stays the same when the row is made again from recorded replies."""
    metadata: Metadata = Field(default_factory=dict)
    """The values that the prompt was made of, such as topic and placeholders, and `prompt_index`, the number of its template."""
    persona: str | None = None
    """Who the user is; null where nobody in particular."""


class UltrachatDatasetConfig(TopicalConfig):
    """What a chat dataset is made of: rows = subtopics x languages x expanded prompts x samples x providers."""

    prompt_names = TemplateNames("num_samples", "language_name", "domain", "topic", "subtopic")
    prompts_field = "question_generation_prompts"
    rows_field = "num_samples"
    writer_role = "assistant"
    topics_field = "topics_and_subtopics"
    own_metadata = ("prompt_index", "domain", "topic", "subtopic", "question")
    has_free_text = True
    default_prompts = DEFAULTS
    stand_ins: ClassVar[Mapping[str, Role]] = {"question": "user"}

    domain: NonBlank = "Science, Technology, Engineering, and Mathematics"
    """What all topics belong to."""

    topics_and_subtopics: Accepts[TopicSource, Any]
    """What the chats are about: a mapping of topics to lists of subtopics, topics nested in any depth, a list, a file, or topic_prompt,
    degree and depth to grow them from. The last level are the subtopics."""

    personas: Accepts[
        Annotated[Sequence[str] | PersonasConfig, PersonaInput()] | None, Iterable[Any] | Path | PersonasConfig | None
    ] = default_of(None)
    """Who the users are; one is drawn for each chat, unless `pair` says how they meet prompts. A list, a file, a source with its column, or
    describe and count to grow them. Without them the opening questions are used as they are asked."""

    num_samples: int = Field(default=10, ge=1, le=1000)
    """Opening questions that one call asks for, and so rows per prompt."""

    max_turns: int = Field(default=1, ge=1, le=10)
    """Questions of the user in one chat, at most."""

    conversation_continuation_prob: float = Field(default=0.5, ge=0, le=1)
    """How probable it is that the user asks on after an answer, until there are `max_turns`."""

    output_file: Accepts[UserPath, str | Path] = default_of(Path("ultrachat_dataset.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    question_generation_prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Templates of the opening questions, with {num_samples}, {language_name}, {domain}, {topic} and {subtopic}."""

    persona_question_reformulation_prompt: NonBlank | None = None
    """Template that puts an opening question into the words of a persona, with {question}, {persona} and {subtopic}; {topic}, {domain} and
    {language_name} may occur."""

    simulated_assistant_prompt: NonBlank | None = None
    """Template that the assistant is shown in the place of the first question, with {domain}, {topic}, {subtopic} and {question};
    {language_name} may occur."""

    user_followup_prompt: NonBlank | None = None
    """Template of what the user asks next, with {dialog_summary} (all that was said), {persona}, {domain} and {subtopic}; {topic} and
    {language_name} may occur. Without personas it has no {persona}."""

    user_system_prompt: NonBlank | None = None
    """A system message for the model that plays the user: another name of `system_prompt.user`."""

    system_prompt: NonBlank | dict[Role, NonBlank] | None = None
    """A system message for every call, or one for each role: question, user, assistant."""

    dataset_system_prompt: NonBlank | None = None
    """A system message that the messages of each row begin with. The assistant is sent it too, unless it has one in `system_prompt`."""

    @field_validator("personas", mode="before")
    @classmethod
    def _none_at_all(cls, personas: Any) -> Any:
        return None if isinstance(personas, list | tuple) and not personas else personas

    @model_validator(mode="after")
    def _fits_together(self) -> UltrachatDatasetConfig:
        if isinstance(self.topics_and_subtopics, list) and not self.topics_and_subtopics:
            raise ValueError("topics_and_subtopics: The list is empty. Give at least one topic.")
        self._refuse_unused()
        self.role_templates(self.editions()[0])
        return self

    def _refuse_unused(self) -> None:
        """Raises ValueError for what is given and has no effect."""
        if self.personas is None:
            if self.persona_question_reformulation_prompt is not None:
                raise ValueError(
                    "persona_question_reformulation_prompt: There are no personas, so questions are used as they are asked. "
                    "Give personas, or leave it out."
                )
            if "{persona}" in (self.user_followup_prompt or ""):
                raise ValueError("user_followup_prompt: There are no personas. Give some, or leave {persona} out.")
        if self.user_followup_prompt is not None and not self.asks_on:
            field = "max_turns" if self.max_turns == 1 else "conversation_continuation_prob"
            raise ValueError(
                f"user_followup_prompt: {field} is {getattr(self, field):g}, so users ask once. Raise it, or leave this out."
            )
        if self.user_system_prompt is not None and self.system_prompt_of("user") != self.user_system_prompt:
            raise ValueError("user_system_prompt: system_prompt has one for the user too. Leave one of them out.")

    @property
    def roles(self) -> Sequence[Role]:
        """Who is asked. The model that plays the user asks the opening questions too, unless another one is given for them."""
        return ROLES

    @property
    def plays_user(self) -> bool:
        """Whether a model plays the user at all."""
        return self.personas is not None or self.asks_on

    @property
    def asks_on(self) -> bool:
        """Whether there may be more than one turn."""
        return self.max_turns > 1 and self.conversation_continuation_prob > 0

    @property
    def paired_fields(self) -> Sequence[str]:
        said = self.pair if not isinstance(self.pair, dict) else self.pair.get("personas")
        return [field for field in super().paired_fields if said or field != "personas"]

    def _build_expansion(self, edition: Edition, *, remark: bool = True) -> Expansion:
        for number, text in enumerate(self.question_generation_prompts or []):
            if "{persona}" in text and "personas" not in self.paired_fields:
                raise ValueError(
                    f"{self.template_field(number)}: Each chat has its own persona, so these questions are nobody's. Leave {{persona}} "
                    f"out, or give personas with pair: all."
                )
        return super()._build_expansion(edition, remark=remark)

    def role_templates(self, edition: Edition, *, remark: bool = True) -> dict[str, Template]:
        """The templates of all sorts of calls except the question's: reformulation, assistant, followup."""
        sorts: dict[str, tuple[str, str, list[str], list[str]]] = {
            "assistant": ("simulated_assistant_prompt", "", ["domain", "topic", "subtopic", "question"], [])
        }
        persona = ["persona"] if self.personas is not None else []
        if persona:
            mandatory = ["question", "persona", "subtopic"]
            sorts["reformulation"] = ("persona_question_reformulation_prompt", "", mandatory, ["topic", "domain"])
        if self.asks_on:
            mandatory = ["dialog_summary", *persona, "domain", "subtopic"]
            sorts["followup"] = ("user_followup_prompt", "" if persona else WITHOUT_PERSONAS, mandatory, ["topic"])
        found = {}
        for sort, (field, less, mandatory, optional) in sorts.items():
            names = self.filled(TemplateNames(*mandatory, optional=[*optional, "language_name"]))
            own = getattr(self, field)
            text = PromptText(own) if own else edition.texts(f"{field}{less}")[0]
            found[sort] = names.parse(text, names.others(self.placeholders), field=field, remark=remark)
        return found

    def other_templates(self, edition: Edition) -> Sequence[Template]:
        return list(self.role_templates(edition, remark=False).values())

    def system_prompt_of(self, role: Role) -> str | None:
        """The system message of a role."""
        given = self.system_prompt.get(role) if isinstance(self.system_prompt, dict) else self.system_prompt
        others: dict[Role, str | None] = {"user": self.user_system_prompt, "assistant": self.dataset_system_prompt}
        return given or others.get(role)


class Subtopic:
    """What a chat is about: the last topic of a path. One that stands alone is a topic and its own subtopic."""

    def __init__(self, path: TopicPath) -> None:
        self.name = path[-1]
        self.topic = " > ".join(path[:-1]) or path[-1]


class UltrachatDataset(TopicalDataset[UltrachatDatasetConfig, ChatRow], FanOutDataset[UltrachatDatasetConfig, ChatRow]):
    """A dataset of chats."""

    kind = "ultrachat"
    config_model = UltrachatDatasetConfig
    row_model = ChatRow
    has_parts = True

    def __init__(self, config: UltrachatDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self._draw: Pairing | None = None
        # By version of the default texts, because an item is finished with the version that it was begun with.
        self._templates = {
            edition.prompts: config.role_templates(edition, remark=False) for edition in config.editions()
        }

    def plan(self, routes: Sequence[str]) -> GridPlan:
        config, topics = self.config, self.topics
        subtopics = Dimension(
            "subtopic",
            Computed(topics.num_leaves, lambda leaf: Subtopic(topics.leaf_path(leaf))),
            digests=Computed(topics.num_leaves, lambda leaf: digest("subtopic", *topics.leaf_path(leaf))),
            fingerprint=topics.digest,
        )
        return self.grid(
            [subtopics, Dimension("language", list(config.languages.items()))], routes=routes, shape=self._shape
        )

    def _shape(self, edition: Edition) -> list[str | bytes]:
        """The other settings that prompts and rows depend on."""
        config = self.config
        own = self.personas is not None and "personas" not in config.paired_fields
        personas = self.personas or [] if own else []
        turns = [config.max_turns, config.conversation_continuation_prob] if config.asks_on else []
        return [
            config.domain,
            personas.digest if isinstance(personas, SourceTexts) else digest(*personas),
            orjson.dumps(turns),
            *(f"{sort}={template.keyed}" for sort, template in config.role_templates(edition, remark=False).items()),
            *(f"{role}:{config.system_prompt_of(role) or ''}" for role in ROLES),
            config.dataset_system_prompt or "",
        ]

    async def produce(self, item: WorkItem, generate: Generate) -> list[ChatRow | CallFailed]:
        values = self._values(item)
        questions = await generate.collect(
            "question",
            item.num_rows,
            prompt=lambda count: self.render(item, {**values, "num_samples": str(count)}),
            response_model=questions_model,
            items=lambda reply: reply.usable(),
            keep_repeats=self.config.keep_repeats,
            system=self.config.system_prompt_of("question"),
        )
        chats = [self._chat(item, generate, number, question) for number, question in enumerate(questions)]
        return await generate.gather(*chats)

    def _values(self, item: WorkItem) -> dict[str, str]:
        subtopic = item.values["subtopic"]
        return {
            "language_name": item.values["language"][1],
            "domain": self.config.domain,
            "topic": subtopic.topic,
            "subtopic": subtopic.name,
        }

    def _persona(self, item: WorkItem, number: int) -> str | None:
        """The item's persona; without one, one that is drawn for each chat. A persona that comes or goes changes the chats that get it."""
        if (paired := item.values.get("persona")) is not None:
            return str(paired)
        personas = self.personas
        if personas is None:
            return None
        if self._draw is None or self._draw.dimension.values is not personas:
            self._draw = Pairing(texts_dimension("persona", personas), "random", seed=item.seed)
        return personas[self._draw.place(digest(item.content, f"chat {number}"), 0)]

    def _num_turns(self, item: WorkItem, number: int) -> int:
        turns, draw = 1, item.rng(f"turns {number}").random
        while turns < self.config.max_turns and draw() < self.config.conversation_continuation_prob:
            turns += 1
        return turns

    async def _chat(self, item: WorkItem, generate: Generate, number: int, question: str) -> ChatRow | CallFailed:
        """One row, or its error; the other chats of the item are not affected."""
        config, templates = self.config, self._templates[item.defaults]
        slot = item.slot(number)
        persona = self._persona(item, slot)
        filled = {**item.variant.values, **given(item), **self._values(item), "persona": persona or ""}

        def prompt(sort: str, **values: str) -> str:
            return templates[sort].render({**filled, **values})

        talk = Talk(generate, prompt, number=number, system_of=config.system_prompt_of)
        try:
            await talk.hold(question, num_turns=self._num_turns(item, slot), is_reformulated=persona is not None)
        except CallFailed as error:
            return error
        told = config.dataset_system_prompt
        messages: list[ChatMessage] = [{"role": "system", "content": told}] if told else []
        messages += [{"role": said["role"], "content": said["content"]} for said in talk.messages]
        return ChatRow(
            opening_question=talk.messages[0]["content"],
            messages=messages,
            model_id=generate.model_id("assistant"),
            user_model_id=generate.model_id("user") if config.plays_user else None,
            question_model_id=generate.model_id("question"),
            language=item.values["language"][0],
            uuid=item.row_uuid(number),
            metadata=self._metadata(item, question, persona, was_cut=talk.was_cut),
            persona=persona,
        )

    def _metadata(self, item: WorkItem, question: str, persona: str | None, *, was_cut: bool) -> Metadata:
        subtopic = item.values["subtopic"]
        told: Metadata = {"domain": self.config.domain, "topic": subtopic.topic, "subtopic": subtopic.name}
        if persona is not None:
            told |= {"question": question, **origin("persona", persona)}
        if self.config.run.on_truncation == "keep":
            told["truncated"] = was_cut
        return {**told, **self.metadata(item)}
