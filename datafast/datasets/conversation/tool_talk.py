"""One conversation with tools: a loop of questions, steps of the assistant, and results.

The messages of the row are the only memory: the assistant is asked with them and nothing else, so whoever is trained on a row sees what
the answers were made from. Whether a question is answered with or without a call is drawn before it is asked, and the assistant's first
step is held to it. Calls and results of a step belong together, in the order of the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from datafast.datasets.conversation.replies import Bounds
from datafast.datasets.conversation.rows import call_id, called
from datafast.datasets.conversation.tool_prompts import assistant_told, follow_up, results_asked, results_told
from datafast.datasets.conversation.tool_replies import Answer, Message, ToolReplies
from datafast.datasets.conversation.tool_results import ResultSources, shown_result
from datafast.datasets.conversation.tools import Tools
from datafast.datasets.mcq_answers import normalised
from datafast.engine.generate import Generate
from datafast.types import Message as ChatMessage

__all__ = ["ASSISTANT", "USER", "Subject", "Talk", "TalkSettings"]

ASSISTANT, TOOLS, USER = "assistant", "tools", "user"
"""The roles that are asked; all of them are the same provider."""


@dataclass(frozen=True)
class TalkSettings:
    """What all conversations of a dataset have in common.

    Attributes:
        told: the system message of the calls that write what users say and what tools give back.
    """

    tools: Tools
    results: ResultSources
    bounds: Bounds
    max_parallel_calls: int
    share_without_calls: float
    told: str | None

    @property
    def keyed(self) -> list[str | bytes]:
        """What of it is in the keys of items."""
        numbers = [*self.bounds, self.max_parallel_calls, self.share_without_calls]
        return [orjson.dumps(numbers), self.results.keyed]


@dataclass(frozen=True)
class Subject:
    """What a conversation is to be like, drawn before it begins.

    Attributes:
        without_calls: for each of its questions, whether it is answered without a call.
    """

    pick: Any
    without_calls: Sequence[bool]


@dataclass
class Talk:
    """A conversation that is being made.

    Args:
        opening: the first message of the user.
        system: the system message of the row; None for none.
        number: the number of its row in the item.
        wish: what the user's messages should be like.

    Attributes:
        messages: the messages of the row so far.
    """

    settings: TalkSettings
    replies: ToolReplies
    generate: Generate
    number: int
    subject: Subject
    opening: str
    system: str | None
    language_name: str
    wish: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    _calls: int = 0
    _steps: int = 0

    async def held(self) -> list[dict[str, Any]]:
        """Holds the conversation, and returns its messages."""
        if self.system:
            self.messages.append({"role": "system", "content": self.system})
        question = self.opening
        for turn, without_calls in enumerate(self.subject.without_calls):
            if turn:
                question = await self._next_question(turn, without_calls=without_calls)
            self.messages.append({"role": "user", "content": question})
            is_last = turn == len(self.subject.without_calls) - 1 and self.replies.lacks(self._answers())
            answer = await self._answer(without_calls=without_calls, is_last=is_last)
            self.messages.append({"role": "assistant", "content": answer})
        return self.messages

    def _answers(self) -> list[str]:
        answers = [message for message in self.messages if message["role"] == "assistant"]
        return [message["content"] for message in answers if "tool_calls" not in message]

    async def _next_question(self, turn: int, *, without_calls: bool) -> str:
        said = {"user": "User", "assistant": "Assistant"}
        conversation = "\n\n".join(
            f"{said[message['role']]}: {message['content']}"
            for message in self.messages
            if message["role"] in said and message["content"]
        )
        known = [] if without_calls else self.settings.results.known(self.generate.rng(f"known {self.number} {turn}"))
        prompt = follow_up(
            conversation,
            language_name=self.language_name,
            without=without_calls,
            listing=self.settings.tools.listing(),
            known=known,
            wish=self.wish,
        )
        told: dict[str, Any] = {"system": self.settings.told, "tag": self._tag(), "row": self.number}
        reply = await self.generate(USER, prompt, Message, **told)
        earlier = frozenset(normalised(one["content"]) for one in self.messages if one["role"] in said)
        if normalised(reply.message) in earlier:
            self.generate.drop_reasoning(USER, self._tag())
            model = type("Message", (Message,), {"earlier": earlier, "__module__": __name__})
            reply = await self.generate(USER, f"{prompt}\n\nSay nothing that was said before.", model, **told)
        return reply.message

    async def _answer(self, *, without_calls: bool, is_last: bool) -> str:
        """The answer to the newest question, after the calls that it takes."""
        steps, made = 0 if without_calls else self.settings.bounds.max_steps, None
        for step in range(steps):
            said = await self._step(self.replies.step("either" if step else "call", is_last=is_last))
            if isinstance(said, Answer):
                return said.answer
            if said.calls == made:
                self.generate.drop_reasoning(ASSISTANT, self._tag())
                break  # it would go on like that, and knows all that these calls bring
            made = said.calls
            await self._call(made)
        said = await self._step(self.replies.step("answer", is_last=is_last))
        return str(said.answer)

    async def _step(self, model: Any) -> Any:
        self._steps += 1
        reply = await self.generate(
            ASSISTANT, response_model=model, messages=self._seen(), tag=self._tag(), row=self.number
        )
        return reply.next

    async def _call(self, calls: Sequence[dict[str, Any]]) -> None:
        """Makes calls: appends them and their results."""
        message = called(calls, first=self._calls)
        said = [known for known in self.messages if known["role"] != "system"]
        results = await self._results(calls, [*said, message])
        self.messages.append(message)
        for call, result in zip(calls, results, strict=True):
            told = {"role": "tool", "content": shown_result(result), "name": call["name"]}
            self.messages.append({**told, "tool_call_id": call_id(self._calls)})
            self._calls += 1

    async def _results(self, calls: Sequence[dict[str, Any]], conversation: Sequence[dict[str, Any]]) -> list[Any]:
        """What these calls bring, in their order."""
        sources = self.settings.results
        played = [
            call for call in calls if call["name"] not in sources.tables and call["name"] not in sources.functions
        ]
        run = [self._run(call, number) for number, call in enumerate(calls) if call["name"] in sources.functions]
        of_functions = iter(await self.generate.gather(*run))
        of_model = iter(await self._played(played, conversation) if played else ())

        def result(call: dict[str, Any]) -> Any:
            if (table := sources.tables.get(call["name"])) is not None:
                return table.result(call["arguments"])
            return next(of_functions if call["name"] in sources.functions else of_model)

        return [result(call) for call in calls]

    async def _run(self, call: dict[str, Any], number: int) -> Any:
        """What the function of a call gives back."""
        function = self.settings.results.functions[call["name"]]
        raw = await self.generate.own(
            function.name,
            orjson.dumps(call["arguments"], option=orjson.OPT_SORT_KEYS),
            lambda: function.call(call["arguments"]),
            timeout_s=function.timeout_s,
            tag=f"{self._tag()} {number:02}",
        )
        return orjson.loads(raw)

    async def _played(self, calls: Sequence[dict[str, Any]], conversation: Sequence[dict[str, Any]]) -> list[Any]:
        """What a model says that these calls bring."""
        names = [call["name"] for call in calls]
        prompt = results_asked(calls, listing=self.settings.tools.full_listing(), conversation=conversation)
        reply = await self.generate(
            TOOLS, prompt, self.replies.results(names), system=self.settings.told, tag=self._tag(), row=self.number
        )
        return [getattr(reply, f"result_{number}") for number in range(1, len(calls) + 1)]

    def _seen(self) -> list[ChatMessage]:
        """The messages of the row, as the assistant is asked with them: its calls as the replies that they were."""
        told = assistant_told(
            self.system, listing=self.settings.tools.listing(), max_calls=self.settings.max_parallel_calls
        )
        seen: list[ChatMessage] = [{"role": "system", "content": told}]
        results: list[dict[str, Any]] = []
        for message in self.messages:
            if message["role"] == "tool":
                told_of = {"name": message["name"], "id": message["tool_call_id"], "result": message["content"]}
                results.append(told_of)
                continue
            if results:
                seen.append({"role": "user", "content": results_told(results)})
                results = []
            if message["role"] == "user":
                seen.append({"role": "user", "content": message["content"]})
            elif message["role"] == "assistant":
                seen.append({"role": "assistant", "content": _as_reply(message)})
        if results:
            seen.append({"role": "user", "content": results_told(results)})
        return seen

    def _tag(self) -> str:
        """Tells the calls of this conversation apart, in their order."""
        return f"{self.number:04} {self._steps:04}"


def _as_reply(message: dict[str, Any]) -> str:
    """A message of the assistant as the step that it was."""
    if "tool_calls" not in message:
        return orjson.dumps({"next": {"answer": message["content"]}}).decode()
    calls = [
        {"name": call["function"]["name"], "arguments": call["function"]["arguments"]} for call in message["tool_calls"]
    ]
    return orjson.dumps({"next": {"calls": calls}}).decode()
