"""Getting one answer: replay from the ledger or send, parse, ask again.

Replaying walks through recorded replies exactly as if they had just arrived, so a resumed call continues where it was: a reply that
was not usable still counts as a try.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from datafast.engine.events import Retry
from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion, Request
from datafast.llms.replies.parse import correction, parse_reply, parse_text

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.calls.call import Call
    from datafast.engine.calls.sender import Sender
    from datafast.engine.event_log import Emitter
    from datafast.engine.settings import RunConfig
    from datafast.llms.schema import ResponseSchema
    from datafast.store.records import Recorded

__all__ = ["Caller", "read_reply"]


class Caller:
    """Answers the calls of one run."""

    def __init__(self, sender: Sender, *, settings: RunConfig, emit: Emitter) -> None:
        self._sender = sender
        self._settings = settings
        self._emit = emit

    async def answer(self, call: Call, recorded: list[Recorded]) -> BaseModel | str:
        """One usable answer: a validated instance of the asked model, or text. `call.raw` is the reply it stood in.

        Args:
            recorded: the replies already paid for, oldest first; taken from as they are used.

        Raises:
            CallFailed: no usable answer is to be had.
            ItemPending: the run, or this provider, has stopped.
        """
        endpoint, schema = call.endpoint, call.schema
        call.request = Request(
            call.messages,
            schema,
            endpoint.modes.choose() if schema is not None and not recorded else endpoint.modes.usual,
            text_bounds=endpoint.text_bounds,
            dropped_params=endpoint.dropped_params,
        )
        while True:
            counts = True
            if recorded:
                known = recorded.pop(0)
                call.replied(known.raw, known.format, known.model_id)
                # What failed in an earlier generation, or with another provider, is not held against this try.
                counts = known.generation == call.record.generation and known.provider == endpoint.label
                self._sender.tally.replayed += 1
            else:
                await self._sender.send(call)
            try:
                value = read_reply(call.said, schema)
            except ReplyError as error:
                if counts:
                    self._ask_again(call, error, replaying=bool(recorded))
                continue
            if schema is not None and call.sent:
                endpoint.modes.worked(call.request.mode)
            return value

    def _ask_again(self, call: Call, error: ReplyError, *, replaying: bool) -> None:
        """Prepares the next try, or gives up. `replaying`: its reply is recorded already."""
        call.unusable += 1
        formless = error.category in {ReplyCategory.INVALID, ReplyCategory.EMPTY} and call.schema is not None
        other_mode = call.other_mode() if formless and call.sent else None
        truncated = error.category is ReplyCategory.TRUNCATED
        limited = truncated and call.endpoint.provider.max_completion_tokens is not None
        hopeless = error.category is ReplyCategory.REFUSED or limited or (truncated and call.request.lift_token_limit)
        if hopeless or call.unusable > self._settings.max_parse_retries:
            raise call.failed(str(error), error.category.value) from error
        messages = list(call.messages)
        if error.category is ReplyCategory.INVALID and isinstance(call.said, Completion):
            messages += correction(error, call.said.text)
        # With every way tried, on with the one that works for others: this call has just had bad luck with it.
        mode = other_mode or (call.endpoint.modes.usual if formless else call.request.mode)
        lifted = truncated or call.request.lift_token_limit
        call.request = replace(call.request, messages=messages, mode=mode, lift_token_limit=lifted)
        if replaying:
            return
        self._sender.tally.retries += 1
        self._emit(Retry(provider=call.endpoint.label, reason=error.category.value, attempt=call.unusable, wait_s=0.0))


def read_reply(said: Completion | ReplyError, schema: ResponseSchema | None) -> BaseModel | str:
    """What a reply answers.

    Raises:
        ReplyError: it is not what was asked.
    """
    if isinstance(said, ReplyError):
        raise said
    return parse_reply(said, schema) if schema else parse_text(said)
