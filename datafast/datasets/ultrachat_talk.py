"""One chat between a simulated user and an assistant, turn by turn."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from datafast.datasets.mcq_answers import normalised
from datafast.datasets.replies import counted_model, unnumbered
from datafast.datasets.said import AssistantsWords, said, said_anew, why_not_said
from datafast.engine.generate import Generate
from datafast.llms.reply_model import ReplyModel
from datafast.types import Message

__all__ = ["Role", "Talk", "questions_model"]

Role = Literal["question", "user", "assistant"]
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


class Questions(ReplyModel):
    """Opening questions."""

    elements: ClassVar[tuple[str, ...]] = ("questions",)

    questions: list[str] = Field(min_length=1)

    def usable(self) -> list[str]:
        """The questions that users ask; what is none counts as missing."""
        asked = unnumbered(self.questions)
        return [said("user", question) for question in asked if why_not_said("user", question) is None]


@cache
def questions_model(count: int) -> type[Questions]:
    """`Questions` whose schema asks for exactly `count` of them; a shorter reply is kept."""
    return counted_model(Questions, count, of="questions", listed=list[Annotated[str, Field(min_length=1)]])


class UserMessage(ReplyModel):
    """What the user says."""

    earlier: ClassVar[Collection[str]] = ()
    """What was said before, normalised, where it must not be said again."""

    question: str = Field(min_length=1, description="the user's message, word for word, and nothing else")

    @field_validator("question")
    @classmethod
    def _is_said(cls, text: str) -> str:
        return said_anew("user", text, cls.earlier)


class AssistantMessage(ReplyModel):
    """What the assistant answers, asked for in this form where a plain text was not it."""

    answer: AssistantsWords = Field(description="the assistant's answer, and nothing else")


class Talk:
    """One conversation, and how its turns are asked for.

    Args:
        prompt: the prompt of a sort of call: reformulation, assistant or followup.
        number: the conversation's number in its item.
        system_of: the system message of a role.
    """

    def __init__(
        self,
        generate: Generate,
        prompt: Callable[..., str],
        *,
        number: int,
        system_of: Callable[[Role], str | None],
    ) -> None:
        self._generate = generate
        self._prompt = prompt
        self._number = number
        self._system_of = system_of
        self.messages: list[Message] = []

    async def hold(self, question: str, *, num_turns: int, is_reformulated: bool) -> None:
        """Holds it, from an opening question on. Raises CallFailed."""
        if is_reformulated:
            question = await self._user(self._prompt("reformulation", question=question))
        first = self._prompt("assistant", question=question)
        self._say("user", question)
        await self._answer(first)
        for _ in range(1, num_turns):
            self._say("user", await self._follow_up())
            await self._answer(first)

    @property
    def was_cut(self) -> bool:
        """Whether an answer was cut at the token limit, and is kept all the same."""
        return any(self._generate.was_cut(self._tag(turn)) for turn in range(1, len(self.messages) // 2 + 1))

    def _say(self, role: str, text: str) -> None:
        self.messages.append({"role": role, "content": text})

    @property
    def _turn(self) -> int:
        """The number of the turn that is asked for, from 1."""
        return len(self.messages) // 2 + 1

    def _tag(self, turn: int) -> str:
        return f"{self._number} {turn:02}"

    async def _answer(self, first: str) -> None:
        """The assistant sees what was said, with the prompt in the place of the first question."""
        turn = self._turn
        asked: list[Message] = [{"role": "user", "content": first}, *self.messages[1:]]
        told: dict[str, Any] = {
            "messages": asked,
            "system": self._system_of("assistant"),
            "tag": self._tag(turn),
            "row": self._number,
            "part": f"assistant {turn}",
        }
        answer = await self._generate("assistant", **told)
        if why_not_said("assistant", answer) is None:
            self._say("assistant", said("assistant", answer))
        else:
            self._generate.drop_reasoning("assistant", self._tag(turn))
            self._say("assistant", (await self._generate("assistant", response_model=AssistantMessage, **told)).answer)

    async def _follow_up(self) -> str:
        """What the user says next; asked for again where it was said before, by whomever."""
        shown = "\n\n".join(f"{_SPEAKERS[one['role']]}: {one['content']}" for one in self.messages)
        prompt = self._prompt("followup", dialog_summary=shown)
        earlier = frozenset(normalised(one["content"]) for one in self.messages)
        text = await self._user(prompt)
        if normalised(text) in earlier:
            self._generate.drop_reasoning("user", self._tag(self._turn))
            # A class costs half a millisecond, so it is made only where something was said again.
            model = type("UserMessage", (UserMessage,), {"earlier": earlier, "__module__": __name__})
            text = await self._user(f"{prompt}\n\nSay nothing that was said before.", model)
        return text

    async def _user(self, prompt: str, model: type[UserMessage] = UserMessage) -> str:
        turn = self._turn
        reply = await self._generate(
            "user",
            prompt,
            model,
            system=self._system_of("user"),
            tag=self._tag(turn),
            row=self._number,
            part=f"user {turn}",
        )
        return reply.question
