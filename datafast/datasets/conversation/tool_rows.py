"""The rows of an item of conversations with tools: first messages of users in one call, then a conversation from each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from datafast.datasets.conversation.tool_prompts import openings_form
from datafast.datasets.conversation.tool_replies import ToolReplies
from datafast.datasets.conversation.tool_talk import USER, Subject, Talk, TalkSettings
from datafast.datasets.pairing import given
from datafast.datasets.replies import unnumbered
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.plan.items import WorkItem
from datafast.plan.template import Template
from datafast.prompt_library.template import PromptTemplate
from datafast.topics.selection import Pick

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ToolTalks"]


class ToolTalks:
    """Makes the rows.

    Args:
        wish: what the user's messages should be like; None for nothing.
        template: what the answers of each conversation have to have.
    """

    def __init__(
        self, settings: TalkSettings, *, wish: Template | None, template: PromptTemplate | None, keep_repeats: bool
    ) -> None:
        self._settings = settings
        self._wish = wish
        self._keep_repeats = keep_repeats
        self._replies = ToolReplies(settings.tools, max_parallel_calls=settings.max_parallel_calls, template=template)

    async def rows(
        self,
        item: WorkItem,
        generate: Generate,
        *,
        system: str | None,
        prompt: Callable[[Sequence[Pick], str], str],
        row: Callable[[list[dict[str, Any]], int, Pick], BaseModel],
    ) -> Sequence[BaseModel | CallFailed | None]:
        """The rows of an item, or their errors; None where no first message came.

        Args:
            system: the system message of the rows.
            prompt: the prompt for first messages about these topics, with this about their form.
            row: the row of a conversation, by its number in the item.
        """
        subjects = item.of_rows(self._subjects(item))
        known = self._settings.results.known(item.rng("known"))

        def asked(subjects: Sequence[Subject]) -> str:
            without = {number for number, subject in enumerate(subjects) if subject.without_calls[0]}
            some = known if len(without) < len(subjects) else ()
            form = openings_form(without, len(subjects), listing=self._settings.tools.listing(), known=some)
            return prompt([subject.pick for subject in subjects], form)

        openings = await generate.collect_for(
            USER,
            subjects,
            item.num_rows,
            prompt=asked,
            response_model=self._replies.openings,
            items=lambda reply: unnumbered(reply.messages),
            keep_repeats=self._keep_repeats,
            system=self._settings.told,
        )
        values = {**given(item), **item.variant.values, "language_name": item.values["language"][1]}

        async def one(number: int, subject: Subject, opening: str | None) -> BaseModel | CallFailed | None:
            if opening is None:
                return None
            talk = Talk(
                settings=self._settings,
                replies=self._replies,
                generate=generate,
                number=number,
                subject=subject,
                opening=opening,
                system=system,
                language_name=values["language_name"],
                wish=self._wish.render({**values, "topic": subject.pick.path[-1], "num_samples": "1"})
                if self._wish
                else "",
            )
            try:
                return row(await talk.held(), number, subject.pick)
            except CallFailed as error:
                return error

        pairs = zip(subjects[: item.num_rows], openings, strict=True)
        return await generate.gather(*(one(number, *pair) for number, pair in enumerate(pairs)))

    def _subjects(self, item: WorkItem) -> list[Subject]:
        """How many questions each conversation has, and which of them are answered without a call: seeded draws."""
        bounds, subjects = self._settings.bounds, []
        for number, pick in enumerate(item.values["topic"].picks):
            rng = item.rng(f"talk {number}")
            turns = rng.randint(bounds.min_turns, bounds.max_turns)
            subjects.append(Subject(pick, [rng.random() < self._settings.share_without_calls for _ in range(turns)]))
        return subjects
