"""`generate`: how a dataset kind asks a model. One is made for each item.

    answer = await generate("question", prompt, response_model=Questions)
    good, bad = await generate.gather(generate("chosen", p), generate("rejected", q))

A call's key is made of what the kind asked (item content, the provider's identity, role, messages, response schema, tag, ordinal among
equal calls), never of how it was sent. So a paid call is found again after a crash, after changes in other parts of the config, and in
any order of the replies.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from functools import lru_cache
from typing import Any, TypeVar, overload

import orjson
from pydantic import BaseModel

from datafast.engine.calls.call import Call
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.calls.own_code import OWN_CODE_FAILED, OwnCodeError, run_own
from datafast.engine.calls.sender import Caller
from datafast.engine.reasoning import Thoughts
from datafast.engine.routes import Route, label_of
from datafast.errors import CallFailed, ReplyCategory
from datafast.llms.base import Completion
from datafast.llms.replies.reasoning import reasoning_of
from datafast.llms.schema import ResponseSchema
from datafast.plan.items import WorkItem, digest, hashed
from datafast.store.records import ItemRecord, Recorded
from datafast.types import Message

__all__ = ["Generate"]

_TOP_UP_ASKS = 3
_FURTHER = 1000  # replacements count behind all candidates
_DRAWN_AGAIN = 101  # and further draws of a prompt behind all replacements (`regenerate`)

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S")
T = TypeVar("T")


class Generate:
    """The callback that a kind's `produce` is given; see the module.

    Attributes:
        last: the newest call with an answer, for the failure record if rows are missing although no call failed.
        writers: for stages, who may have written the rows of the item, as `provider/model_id`; empty where that is not known.
    """

    def __init__(
        self,
        *,
        caller: Caller,
        item: WorkItem,
        record: ItemRecord,
        recorded: dict[bytes, list[Recorded]],
        most_rows: int,
        route: Route[Endpoint],
        waiting: Callable[[int], None],
        elsewhere: Callable[[], bool] | None = None,
        top_up: bool = False,
        thoughts: Thoughts | None = None,
        recorded_further: dict[bytes, list[Recorded]] | None = None,
    ) -> None:
        self._thoughts = thoughts
        self._caller = caller
        self._item = item
        self._record = record
        self._recorded = recorded
        self._recorded_further = recorded if recorded_further is None else recorded_further
        self._most_rows = most_rows
        self._route = route
        self._waiting = waiting
        self._elsewhere = elsewhere
        self._ordinals: dict[bytes, int] = {}
        self._answered: dict[str, str] = {}
        self._cut: set[str] = set()
        self._flaws: list[str] = []
        self._try = 0
        self._context = item.context
        self._of_stages: dict[bytes, asyncio.Future[BaseModel | str]] | None = None  # the answers so far
        self.writers: Sequence[str] = ()
        self._whole: Generate | None = None  # of a candidate: what it is one for. Itself would be a cycle for each item
        self.last: Call | None = None
        # Each retry of a failed item asks for the missing rows once more.
        self._tops_up = top_up
        self._extra_asks = _TOP_UP_ASKS if top_up else min(record.generation, 1)

    @overload
    async def __call__(
        self,
        role: str,
        prompt: str | None = None,
        response_model: None = None,
        *,
        messages: Sequence[Message] | None = None,
        system: str | None = None,
        tag: str = "",
        row: int | None = None,
        part: str = "",
        again: int = 0,
    ) -> str: ...
    @overload
    async def __call__(
        self,
        role: str,
        prompt: str | None = None,
        response_model: type[M] = ...,
        *,
        messages: Sequence[Message] | None = None,
        system: str | None = None,
        tag: str = "",
        row: int | None = None,
        part: str = "",
        again: int = 0,
    ) -> M: ...
    async def __call__(
        self,
        role: str,
        prompt: str | None = None,
        response_model: type[BaseModel] | None = None,
        *,
        messages: Sequence[Message] | None = None,
        system: str | None = None,
        tag: str = "",
        row: int | None = None,
        part: str = "",
        again: int = 0,
    ) -> BaseModel | str:
        """Asks the model of a role.

        Args:
            role: who is asked, as the kind names it.
            prompt: the user message; or `messages`, a whole conversation.
            response_model: the model of the reply; None for text.
            system: a system message that is put in front.
            tag: distinguishes calls that are otherwise the same.
            row: the row of the item that the answer is for, where it is not for all of them; `part`: what of a row it is, if that is
                not the role. Neither changes what is asked: they say where the model's reasoning belongs (`reasoning` in configs).
            again: how often the same was asked before, with other tags, for several answers to choose from. It is not sent.

        Returns:
            An instance of `response_model`, or the text.

        Raises:
            CallFailed: no usable answer came; the item fails unless the kind catches it.
        """
        call = self._call(role, _conversation(prompt, messages, system), response_model, tag)
        call.again = again + self._tries_before
        answer = await self._answer(call)
        self._note(call)
        self._keep_thought(call, tag, part, None if row is None else (row,))
        if call.flaw is not None and isinstance(answer, str):
            self._cut.add(tag)
        return answer

    def _call(self, role: str, conversation: list[Message], response_model: type[BaseModel] | None, tag: str) -> Call:
        schema = ResponseSchema.of(response_model) if response_model is not None else None
        endpoint = self._route.of(role)
        key = self._key(endpoint, role, conversation, schema, tag)
        return Call(key, role, conversation, schema, endpoint, self._record, self._waiting, self._elsewhere)

    def _answer(self, call: Call) -> Awaitable[BaseModel | str]:
        if self._of_stages is not None and call.key in self._of_stages:
            return self._of_stages[call.key]
        answering = self._caller.answer(call, self._recorded_of(call.role).get(call.key, []))
        if self._of_stages is None:
            return answering
        future = self._of_stages[call.key] = asyncio.ensure_future(answering)
        return future

    def _note(self, call: Call) -> None:
        """Keeps who has answered."""
        self._answered[call.role] = call.model_id
        self.last = call
        if self._whole is not None:
            self._whole.last = call

    def _keep_thought(self, call: Call, tag: str, part: str, rows: Collection[int] | None) -> None:
        """Keeps what the model thought before the answer that was taken."""
        if self._thoughts is None or not isinstance(call.said, Completion):
            return
        if text := reasoning_of(call.said, is_json=call.schema is not None):
            self._thoughts.add(text, role=call.role, tag=tag, part=part, rows=rows)

    def _places(self, found: Sequence[object]) -> set[int]:
        """The numbers of the things that are there, where reasoning is kept."""
        return set() if self._thoughts is None else {n for n, thing in enumerate(found) if thing is not None}

    def swap_reasoning(self, row: int, one: str, other: str) -> None:
        """Exchanges the reasoning of two parts of a row, as a kind does that exchanges the answers."""
        if self._thoughts is not None:
            self._thoughts.swap(row, one, other)

    def drop_reasoning(self, role: str, tag: str) -> None:
        """Forgets the reasoning of calls with this tag, as a kind does that does not take the answer and asks again."""
        if self._thoughts is not None:
            self._thoughts.drop(role, tag)

    @property
    def generation(self) -> int:
        """How often the item was retried after it had failed."""
        return self._record.generation

    @property
    def _tries_before(self) -> int:
        """How often the item, or one of the same prompt, was made before, in whatever way."""
        generation = self._context.generation if self._context is not None else 0
        return self._try + _FURTHER * (generation + _DRAWN_AGAIN * self._item.variant.repeat)

    def candidate(self, number: int) -> Generate:
        """The same, for one of several tries at the whole item, from 0. Its calls differ from those of other tries, and it has its own
        models, reasoning and cut texts. The calls of the first try are those of an item that is made once.
        """
        made = copy.copy(self)
        made._try = number
        made._whole = self._whole or self
        made._ordinals, made._answered, made._cut = {}, {}, set()
        made._thoughts = None if self._thoughts is None else Thoughts()
        return made

    def for_stages(self, writers: Sequence[str] | None = None) -> Generate:
        """The same, for the stages that decide about the rows of the item.

        Their calls have no ordinals: the same question has one answer, which all stages share, whichever of them asks first. So it is
        found again whatever other stages there are.

        Args:
            writers: by default those who are asked in the kind's own roles.
        """
        made = self.candidate(0)
        made._of_stages, made._thoughts, made._whole = {}, None, None
        made.writers = [one.provider.label for one in self._route.own] if writers is None else writers
        return made

    def take_reasoning(self, row: int, candidate: Generate) -> None:
        """Keeps what a try thought about a row that is taken from it."""
        if self._thoughts is not None and candidate._thoughts is not None:
            self._thoughts.take(row, candidate._thoughts)

    async def gather(self, *calls: Awaitable[T]) -> list[T]:
        """Runs calls at once and returns their answers in order. If one fails, the others land first, because they are paid for."""
        tasks = [asyncio.ensure_future(call) for call in calls]
        if not tasks:
            return []
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        for task in tasks:
            task.exception()  # marks each as retrieved; only the first is raised
        return [task.result() for task in tasks]

    async def own(self, name: str, asked: bytes, make: Callable[[], Any], *, timeout_s: float, tag: str = "") -> bytes:
        """What code of the user's gives back, as JSON, recorded like a reply: a replay has it without running the code again.

        Args:
            name: what is run, for keys and records; `asked`: what it is given.
            make: runs it, in a thread if it is not async. What it gives is written as JSON.
            timeout_s: seconds that it may take. A thread cannot be ended: what takes longer goes on unheard.

        Raises:
            CallFailed: it raised an error, took too long, or gave what JSON cannot hold. A plan and an estimate do not run it.
        """
        key = digest(self._item.content, "own code", str(self._try), name, asked, tag)
        if recorded := self._recorded.get(key):
            return recorded[-1].raw

        async def made() -> bytes:
            try:
                return await run_own(make, timeout_s=timeout_s)
            except OwnCodeError as error:
                raise self.failure(f"{name}: {error}", category=OWN_CODE_FAILED) from error

        return await self._caller.own(self._record, key, name, made)

    def was_cut(self, tag: str) -> bool:
        """Whether a text that answered a call with this tag was cut at the token limit, and is kept all the same."""
        return tag in self._cut

    def shortfall(self, came: int, asked: int) -> CallFailed:
        """The failure of rows that are missing although no call failed, with what was wrong with the replies."""
        told = f"Only {came} of the {asked} rows that were asked for came in a usable form."
        cure = "" if self._tops_up else "With run.top_up: true a run asks for the missing ones by itself."
        return self.failure(" ".join(filter(None, [told, *self._flaws, cure])), category=ReplyCategory.SHORT.value)

    def failure(self, message: str, *, category: str, ends_run: bool = False) -> CallFailed:
        """A failure that no single call is to blame for, with the newest answer."""
        last = self.last
        return CallFailed(
            message,
            category=category,
            provider=last.endpoint.label if last else label_of(self._route),
            role=last.role if last else "",
            attempts=0,
            prompt=last.prompt if last else "",
            raw=last.raw if last else b"",
            ends_run=ends_run,
        )

    def collect(
        self,
        role: str,
        count: int,
        *,
        prompt: Callable[[int], str],
        response_model: Callable[[int], type[M]],
        items: Callable[[M], Sequence[T]],
        keep_repeats: bool = True,
        system: str | None = None,
    ) -> Coroutine[Any, Any, list[T]]:
        """Asks for `count` things in one call, and again for missing ones if the run tops up or retries this item.

        If the item asked for fewer things when it was begun, the others are asked for now.

        Args:
            prompt, response_model: the prompt and model that ask for a number of things.
            items: gives the usable things of a reply.
            keep_repeats: False: a thing that is equal to one that came before counts as missing.

        Returns:
            At most `count` things; fewer if the replies fell short.
        """
        found: list[T] = []

        def take(reply: M, left_out: Sequence[int], wanted: int) -> int:
            found.extend(thing for thing in items(reply) if keep_repeats or thing not in found)
            return count - len(found)

        return self._collect(found, take, role, count, prompt, response_model, system)

    def collect_for(
        self,
        role: str,
        subjects: Sequence[S],
        count: int,
        *,
        prompt: Callable[[Sequence[S]], str],
        response_model: Callable[[int], type[M]],
        items: Callable[[M], Sequence[T]],
        keep_repeats: bool = True,
        system: str | None = None,
    ) -> Coroutine[Any, Any, list[T | None]]:
        """The same where each thing is about a subject of its own: a reply holds one for each, in the order of the subjects.

        Args:
            subjects: at least `count`; with more rows, the item would ask about the others too.
            prompt: the prompt that asks for a thing about each of these subjects.

        Returns:
            A thing for each of the first `count` subjects, None where it is missing.
        """
        found: list[T | None] = [None] * len(subjects)

        def missing() -> list[int]:
            return [number for number, thing in enumerate(found) if thing is None]

        def take(reply: M, left_out: Sequence[int], wanted: int) -> int:
            things: list[T | None] = list(items(reply))
            for number in left_out:
                things.insert(number, None)
            for number, thing in zip(missing()[:wanted], things, strict=False):
                if keep_repeats or thing not in found:
                    found[number] = thing
            return sum(number < count for number in missing())

        def text(wanted: int) -> str:
            return prompt([subjects[number] for number in missing()[:wanted]])

        return self._collect(found, take, role, count, text, response_model, system)

    async def _collect(
        self,
        found: list[T],
        take: Callable[[M, Sequence[int], int], int],
        role: str,
        count: int,
        prompt: Callable[[int], str],
        response_model: Callable[[int], type[M]],
        system: str | None,
    ) -> list[T]:
        """Asks until nothing is missing, or no more asks are left. Returns the first `count` of what was found.

        Args:
            take: puts into `found` what a reply holds; it is given the numbers of the things that the reply lacks between others,
                and how many were asked for, and says how many are still missing.
            prompt: the prompt for so many of the things that are missing now.
        """

        def asked(wanted: int) -> tuple[list[Message], type[M]]:
            return _conversation(prompt(wanted), None, system), response_model(wanted)

        missing = count
        asks_left, came = self._extra_asks, False
        resized = bool(self._recorded)  # perhaps; the first call tells
        for number in itertools.count():
            if missing <= 0:
                break
            tag = f"top-up {number}" if number else ""
            wanted = missing
            if resized:
                wanted = self._recorded_number(missing, lambda wanted: self._paid(role, *asked(wanted), tag))  # noqa: B023 - called at once
                resized = wanted != missing
                asks_left += wanted < missing
            conversation, model = asked(wanted)
            if number:
                # Recorded replies are used whatever the settings are now; only new calls are limited.
                generations = self._paid(role, conversation, model, tag)
                if not generations and asks_left <= 0:
                    break
                asks_left -= min(generations, default=self._record.generation) >= self._record.generation
            call = self._call(role, conversation, model, tag)
            call.again = number + self._tries_before
            try:
                reply: Any = await self._answer(call)
            except CallFailed as error:
                if not came:
                    raise
                self._flaws.append(str(error))
                break  # earlier things are kept; the rest counts as a short reply
            self._note(call)
            came = True
            if call.flaw is not None:
                self._flaws.append(str(call.flaw))
            before = self._places(found)
            missing = take(reply, call.flaw.left_out if call.flaw is not None else (), wanted)
            # The things are the rows, unless the kind makes another number of them.
            new = self._places(found) - before
            self._keep_thought(call, tag, "", new if count == self._item.num_rows else None)
        return found[:count]

    def model_id(self, role: str) -> str:
        """The id of the model in a role, for rows; once it has answered, the id that the server gave."""
        return self._answered.get(role) or self._route.of(role).provider.model_id

    def rng(self, name: str) -> random.Random:
        """See `WorkItem.rng`."""
        return self._item.rng(name)

    def _recorded_number(self, missing: int, paid: Callable[[int], object]) -> int:
        """How many things a recorded call asked for, if the item had another number of rows then; else what is missing."""
        numbers = (*range(missing, 0, -1), *range(missing + 1, self._most_rows + 1))
        return next(filter(paid, numbers), missing)

    def _paid(self, role: str, conversation: list[Message], model: type[BaseModel], tag: str) -> list[int]:
        """The generations of the recorded replies to a call that was not made in this run yet."""
        key = self._key(self._route.of(role), role, conversation, ResponseSchema.of(model), tag, peek=True)
        return [reply.generation for reply in self._recorded_of(role).get(key, ())]

    def _recorded_of(self, role: str) -> dict[bytes, list[Recorded]]:
        """The recorded replies that a role may use. What a route was asked before says nothing of further roles."""
        return self._recorded_further if role in self._route.further else self._recorded

    def _key(
        self,
        endpoint: Endpoint,
        role: str,
        messages: Sequence[Message],
        schema: ResponseSchema | None,
        tag: str,
        *,
        peek: bool = False,
    ) -> bytes:
        """The key of a call: the former one if its replies were recorded under it."""
        asked = orjson.dumps(messages)
        key = self._numbered(endpoint, role, asked, schema.key if schema else b"", tag, peek=peek)
        recorded = self._recorded_of(role)
        if schema is None or not recorded or key in recorded or schema.former_key == schema.key:
            return key
        former = self._numbered(endpoint, role, asked, schema.former_key, tag, peek=peek)
        return former if former in recorded else key

    def _numbered(
        self, endpoint: Endpoint, role: str, asked: bytes, schema_key: bytes, tag: str, *, peek: bool
    ) -> bytes:
        identity = endpoint.provider.identity if role in self._route.further else endpoint.identity
        if self._context is not None:
            tag = f"generation {self._context.generation} of {self._context.rows} {tag}"
        if self._try:
            tag = f"candidate {self._try + 1} {tag}"
        if self._of_stages is not None:
            tag, peek = f"stage {tag}", True
        who = _asked_digest(identity, role, schema_key, tag)
        plain = hashed(self._item.content + who + asked)
        ordinal = self._ordinals.get(plain, 0)
        if not peek:
            self._ordinals[plain] = ordinal + 1
        return digest(plain, str(ordinal)) if ordinal else plain


@lru_cache(maxsize=4096)
def _asked_digest(identity: str, role: str, schema: bytes, tag: str) -> bytes:
    return digest(identity, role, schema, tag)


def _conversation(prompt: str | None, messages: Sequence[Message] | None, system: str | None) -> list[Message]:
    if (prompt is None) == (messages is None):
        raise ValueError("generate() takes either a prompt or messages. Give exactly one of them.")
    conversation: list[Any] = [{"role": "system", "content": system}] if system else []
    if prompt is not None:
        conversation.append({"role": "user", "content": prompt})
    else:
        conversation.extend(messages or ())
    return conversation
