"""Conversations about topics, to train chat models: plain, with reasoning in words, or of an agent that calls tools.

{"messages": [{"role": "system", "content": "You are a patient teacher."},
              {"role": "user", "content": "Why are there two tides a day?"},
              {"role": "assistant", "content": "Because the Earth turns below two bulges of water ..."}],
 "model_id": "gpt-6-luna", "language": "en", "uuid": "7c0f...",
 "metadata": {"topic": "Spring tides", "topic_path": "The sea > Tides > Spring tides", "variation": 0, "prompt_index": 0}}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import orjson
from pydantic import BaseModel

from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import Metadata
from datafast.datasets.conversation.config import ConversationDatasetConfig
from datafast.datasets.conversation.prompts import shown_examples, shown_topics
from datafast.datasets.conversation.replies import ReplyModels
from datafast.datasets.conversation.rows import ConversationRow
from datafast.datasets.conversation.tool_rows import ToolTalks
from datafast.datasets.conversation.tool_talk import ASSISTANT
from datafast.datasets.topical import TopicalDataset
from datafast.engine.generate import Generate
from datafast.engine.routes import Route, route_identities
from datafast.errors import CallFailed
from datafast.plan.defaults import Edition
from datafast.plan.grid import Computed, Dimension, GridPlan
from datafast.plan.items import WorkItem, digest
from datafast.topics.selection import Pick, Selection

__all__ = ["ConversationDataset"]

_ROLE = "generator"
_ENDLESS = 2**40
"""Rows that no target takes."""


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


class ConversationDataset(
    TopicalDataset[ConversationDatasetConfig, BaseModel], FanOutDataset[ConversationDatasetConfig, BaseModel]
):
    """A dataset of conversations about topics."""

    kind = "conversation"
    config_model = ConversationDatasetConfig
    row_model: type[BaseModel] = ConversationRow

    def __init__(self, config: ConversationDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        editions = config.editions()
        # By version of the default texts, because an item is finished with the version that it was begun with.
        self._formats = {edition.prompts: config.row_format(edition) for edition in editions}
        self._forms = {edition.prompts: config.form(edition).text for edition in editions}
        self.row_model = self._formats[editions[0].prompts].row_model
        self._talks: ToolTalks | None = None
        if (settings := config.talk_settings) is not None:
            self._talks = ToolTalks(
                settings, wish=config.wish, template=config.template, keep_repeats=config.keep_repeats
            )
        self.has_parts = self._talks is not None

    @cached_property
    def _replies(self) -> ReplyModels:
        config = self.config
        return ReplyModels(config.style, config.bounds, config.tool_set, config.template)

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
        num_rows = _ENDLESS if config.target_rows else config.num_rows or topics.num_leaves
        drawn = config.is_drawn and not each
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
            orjson.dumps(config.model_dump(include={"tools"})["tools"]),
            orjson.dumps(config.output_format, option=orjson.OPT_SORT_KEYS),
            examples,
            str(config.num_examples if examples else 0),
            *(config.talk_settings.keyed if config.talk_settings else ()),
            *(config.template.keyed if config.template is not None else ()),
        ]

    async def produce(self, item: WorkItem, generate: Generate) -> Sequence[BaseModel | CallFailed | None]:
        if self._talks is not None:
            return await self._with_tools(self._talks, item, generate)
        picks = item.of_rows(item.values["topic"].picks)
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
            keep_repeats=self.config.keep_repeats,
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

    async def _with_tools(
        self, talks: ToolTalks, item: WorkItem, generate: Generate
    ) -> Sequence[BaseModel | CallFailed | None]:
        row_format = self._formats[item.defaults]

        def prompt(picks: Sequence[Pick], form: str) -> str:
            values = {
                "num_samples": str(len(picks)),
                "language_name": item.values["language"][1],
                "topic": shown_topics(picks),
            }
            return "\n\n".join([self.render(item, values), form, *self._examples(item)])

        def row(messages: list[dict[str, Any]], number: int, pick: Pick) -> BaseModel:
            return row_format.row_of_messages(
                messages,
                model_id=generate.model_id(ASSISTANT),
                language=item.values["language"][0],
                uuid=item.row_uuid(number),
                metadata=self._metadata(item, pick),
            )

        return await talks.rows(item, generate, system=row_format.system, prompt=prompt, row=row)

    def _examples(self, item: WorkItem) -> list[str]:
        source, number = self.config.example_data, self.config.num_examples
        return [shown_examples(source, number, item.rng("examples"))] if source is not None and number else []

    def _metadata(self, item: WorkItem, pick: Pick) -> Metadata:
        about = {"topic": pick.path[-1], "topic_path": " > ".join(pick.path)}
        return {**about, "variation": pick.repeat, **self.metadata(item)}
