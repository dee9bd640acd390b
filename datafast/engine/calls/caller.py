"""Getting one answer: replay from the ledger or send, parse, ask again.

Replaying walks through recorded replies exactly as if they had just arrived, so a resumed call continues where it was: a reply that
was not usable still counts as a try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pydantic import BaseModel

from datafast.engine.calls.call import Ask, Reply, Trial, decode
from datafast.engine.calls.endpoint import Endpoint
from datafast.engine.calls.sender import Sender
from datafast.engine.event_log import Emitter
from datafast.engine.events import Retry
from datafast.engine.settings import RunConfig
from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion, Request
from datafast.llms.replies.parse import correction, parse_reply, parse_text
from datafast.llms.schema import ResponseSchema
from datafast.store.records import ItemRecord, Recorded

__all__ = ["Answer", "Caller"]


class Answer(NamedTuple):
    """A validated instance of the asked model, or text; the raw reply it stood in, and the model that gave it."""

    value: BaseModel | str
    raw: bytes
    model_id: str


class Caller:
    """Answers the calls of one run."""

    def __init__(self, sender: Sender, *, settings: RunConfig, emit: Emitter) -> None:
        self._sender = sender
        self._settings = settings
        self._emit = emit

    async def answer(
        self,
        ask: Ask,
        *,
        endpoint: Endpoint,
        record: ItemRecord,
        recorded: list[Recorded],
        waiting: Callable[[int], None],
    ) -> Answer:
        """One usable answer.

        Args:
            recorded: the replies already paid for, oldest first; taken from as they are used.

        Raises:
            CallFailed: no usable answer is to be had.
            ItemPending: the run, or this provider, has stopped.
        """
        step = endpoint.steps.choose() if ask.schema is not None and not recorded else endpoint.steps.usual
        request = Request(
            ask.messages,
            ask.schema,
            step,
            text_bounds=endpoint.text_bounds,
            dropped_params=endpoint.dropped_params,
        )
        trial = Trial(ask, record, endpoint, request, waiting)
        while True:
            model_id, counts = endpoint.provider.model_id, True
            if recorded:
                known = recorded.pop(0)
                reply, model_id = decode(known.raw, known.format), known.model_id
                # What failed in an earlier generation, or with another provider, is not held against this try.
                counts = known.generation == record.generation and known.provider == endpoint.label
                self._sender.tally.replayed += 1
            else:
                reply = await self._sender.send(trial)
            trial.last_raw = reply.raw
            try:
                value = _read(reply, ask.schema)
            except ReplyError as error:
                if counts:
                    self._ask_again(trial, reply, error, replaying=bool(recorded))
                continue
            if ask.schema is not None and trial.sent:
                endpoint.steps.worked(trial.request.step)
            return Answer(value, reply.raw, model_id)

    def _ask_again(self, trial: Trial, reply: Reply, error: ReplyError, *, replaying: bool) -> None:
        """Prepares the next try, or gives up. `replaying`: its reply is recorded already."""
        trial.unusable += 1
        formless = error.category in {ReplyCategory.INVALID, ReplyCategory.EMPTY} and trial.ask.schema is not None
        other_step = trial.other_step() if formless and trial.sent else None
        truncated = error.category is ReplyCategory.TRUNCATED
        limited = truncated and trial.endpoint.provider.max_completion_tokens is not None
        hopeless = error.category is ReplyCategory.REFUSED or limited or (truncated and trial.request.lift_token_limit)
        if hopeless or trial.unusable > self._settings.max_parse_retries:
            raise trial.failed(str(error), error.category.value) from error
        messages = list(trial.ask.messages)
        if error.category is ReplyCategory.INVALID and isinstance(reply.content, Completion):
            messages += correction(error, reply.content.text)
        # With every way tried, on with the one that works for others: this call has just had bad luck with it.
        step = other_step or (trial.endpoint.steps.usual if formless else trial.request.step)
        lifted = truncated or trial.request.lift_token_limit
        trial.request = replace(trial.request, messages=messages, step=step, lift_token_limit=lifted)
        if replaying:
            return
        self._sender.tally.retries += 1
        self._emit(
            Retry(provider=trial.endpoint.label, reason=error.category.value, attempt=trial.unusable, wait_s=0.0)
        )


def _read(reply: Reply, schema: ResponseSchema | None) -> BaseModel | str:
    if isinstance(reply.content, ReplyError):
        raise reply.content
    return parse_reply(reply.content, schema) if schema else parse_text(reply.content)
