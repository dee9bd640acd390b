"""One call: what is asked, how it is tried, and what was replied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import TYPE_CHECKING

from datafast.errors import CallFailed, ErrorKind, ProviderError, ReplyCategory, ReplyError
from datafast.llms.base import Completion, ReplyMode, Request
from datafast.llms.replies.formats import decode_reply
from datafast.plan.items import digest

if TYPE_CHECKING:
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.llms.schema import ResponseSchema
    from datafast.store.records import ItemRecord
    from datafast.types import Message, Usage

__all__ = ["Call"]


@dataclass(slots=True, eq=False)
class Call:
    """A call of a kind, from the question to the answer. `Generate` makes it, `Caller` and `Sender` fill in the rest.

    Attributes:
        key: its key in the ledger.
        role, messages, schema: what the kind asks. `schema` is the structure of the answer; None for text.
        endpoint: who is asked.
        record: the item that it belongs to.
        waiting: called with +1 and -1 around a wait without a slot.
        discount: the part of the price that its next request saves, because it goes into a batch.
        elsewhere: says whether another provider can take over now, if this one does not work; None where there is no other.
        request: what is sent next; it changes with what is learned from errors and replies.
        again: how often the same was asked before, for further things of the same sort.
        sent: requests sent in this run; `sent_before` of them before the newest reply. `sent_at`: when the newest was (monotonic s);
            `number`: which request of the provider in this run it was.
        place: its place among those who wait for a turn; the lower, the longer it waits.
        cut_at: the tokens at which the newest reply was cut off, though the user has set no limit (0: unknown); None if none was.
        refused_limit: our own token limit with which the request was refused before it was lowered; None if it was not.
        has_needed_limit: whether the request has a limit because the API wants one, and there is no budget.
        limit_is_fine: whether the request was refused with every lower limit too.
        unusable: the number of replies of this generation that were not what was asked.
        on_trial: the parameter that was left out of the request last, because a refusal named it; None once that has helped.
        modes_tried: reply modes that have failed for this call.
        raw: the newest reply as recorded. `said` is its content: a completion, or the error that it is not one.
        model_id: the model that gave it.
        flaw: what is wrong with the reply that was taken all the same; None where nothing is.
        is_proof: whether it only shows that the provider works.
    """

    key: bytes
    role: str
    messages: Sequence[Message]
    schema: ResponseSchema | None
    endpoint: Endpoint
    record: ItemRecord
    waiting: Callable[[int], None]
    elsewhere: Callable[[], bool] | None = None
    request: Request = field(init=False)
    again: int = 0
    discount: float = 0.0
    sent: int = 0
    sent_before: int = 0
    sent_at: float = 0.0
    number: int = 0
    place: int = 0
    cut_at: int | None = None
    refused_limit: int | None = None
    limit_is_fine: bool = False
    has_needed_limit: bool = False
    unusable: int = 0
    on_trial: str | None = None
    modes_tried: set[ReplyMode] = field(default_factory=set)
    raw: bytes = b""
    said: Completion | ReplyError = field(init=False)
    model_id: str = ""
    flaw: ReplyError | None = None
    is_proof: bool = False

    @property
    def prompt(self) -> str:
        """The newest user message."""
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")

    @property
    def is_new(self) -> bool:
        """Whether its newest reply came in this run."""
        return self.sent > 0 or self.record.reopened

    @property
    def sends_bounds(self) -> bool:
        """Whether the request states bounds on lengths of texts."""
        request = self.request
        by_schema = request.schema is not None and request.mode is ReplyMode.JSON_SCHEMA
        return by_schema and request.text_bounds and request.schema.bounded_wire is not None  # type: ignore[union-attr]

    def proof(self) -> Call:
        """A call like this one with a prompt that was answered before. Its replies are recorded beside those of the item, for their cost.

        A few letters at its end keep a cache on the way from answering in the provider's place.
        """
        *before, last = self.endpoint.known_good or ()
        known: list[Message] = [*before, {**last, "content": f"{last['content']}\n\n({token_hex(4)})"}]
        proof = replace(
            self, key=digest(self.record.key, "proof"), messages=known, is_proof=True, sent=0, sent_before=0
        )
        proof.request = replace(self.request, messages=known)
        return proof

    def replied(self, raw: bytes, wire_format: str, model_id: str) -> Usage | None:
        """Takes a recorded reply. Returns the usage that it states."""
        self.raw = raw
        self.model_id = model_id
        try:
            self.said = decode_reply(raw, wire_format)
        except ReplyError as error:
            self.said = error
            return None
        return self.said.usage

    def limit_to(self, tokens: int) -> None:
        """Sends so high a limit on the reply along."""
        if tokens != self.request.token_limit:
            self.request = replace(self.request, token_limit=tokens)

    def lower_needed_limit(self) -> bool:
        """Lowers a limit that the request had to have and that was refused. Says whether there is a lower one to try."""
        refused = self.request.token_limit
        lower = self.endpoint.reply_limits.lower_needed(refused) if self.has_needed_limit and refused else None
        if lower is not None:
            self.limit_to(lower)
        return lower is not None

    def lower_limit(self) -> bool:
        """Lowers a limit of our own with which the request was refused. Says whether there is a lower one to try.

        Raises:
            CallFailed: a reply was cut off, and the server takes no limit that is higher.
        """
        limits, refused = self.endpoint.reply_limits, self.request.token_limit
        if refused is None or not limits.are_ours or self.limit_is_fine or self.has_needed_limit:
            return False
        lower = limits.below(refused, self.cut_at)
        if lower is not None:
            self.refused_limit = refused
            self.limit_to(lower)
            return True
        if self.cut_at is not None:
            raise self.failed(
                f"The reply was cut off, and the server refuses to give more than {self.cut_at:,} tokens. Ask for less in one "
                f"prompt, or choose a model with longer replies.",
                ReplyCategory.TRUNCATED.value,
            )
        self.refused_limit, self.limit_is_fine = None, True
        return False

    def other_mode(self, error: ProviderError | None = None) -> ReplyMode | None:
        """Records that this reply mode brought an unusable reply or an error. Returns another mode for this call, or None."""
        mode, modes = self.request.mode, self.endpoint.modes
        refused = error is not None and error.kind is ErrorKind.BAD_REQUEST
        if mode not in self.modes_tried:  # a call that fails again teaches nothing new
            self.modes_tried.add(mode)
            if error is None:
                modes.failed(mode)
            else:
                modes.met_error(mode, refused=refused)
        return modes.next_after(mode, self.modes_tried, refused=refused)

    def failed(self, message: str, category: str) -> CallFailed:
        """The failure that this call ends with."""
        return CallFailed(
            message,
            category=category,
            provider=self.endpoint.label,
            role=self.role,
            attempts=self.sent,
            prompt=self.prompt,
            raw=self.raw,
        )
