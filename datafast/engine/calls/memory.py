"""What a run has learned about its providers, for later runs of the same output.

That is the reply mode that works: without it a run that is killed and begun again would go through the reply modes each time, and an
unusable reply in each of them counts as a try. And what a provider uses beyond what a budget reserves: without it each run would pass its
budget by what is in flight. And a prompt that was answered, which tells whether a provider works (see `faults`). Parameters that a model
refuses, and bounds on texts, are learned anew: a refusal costs nothing and is no try.
Cost: one look at a flag a call; the ledger is written where something has changed. Limits: a kill loses what was learned in the last
moment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

import orjson

from datafast.engine.calls.reply_limits import Surprises
from datafast.engine.calls.reply_modes import ReplyModes
from datafast.llms.base import ReplyMode

if TYPE_CHECKING:
    from datafast.engine.calls.books import CallBooks
    from datafast.engine.calls.call import Call
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.llms.provider import LLMProvider
    from datafast.types import Message

__all__ = ["Memory", "surprises_of"]

_SURPRISES = " surprises"


class Memory:
    """The memory of one output."""

    def __init__(self, store: CallBooks) -> None:
        self._store = store
        self._surprises: dict[Endpoint, Surprises] = {}

    def recall(self, endpoint: Endpoint) -> None:
        """Lets an endpoint begin with what an earlier run has learned of the same model with the same parameters at the same address."""
        endpoint.reply_limits.surprises = surprises_of(endpoint.provider, self._store.learned)
        mode, _, proven = self._store.learned.get(_name(endpoint.provider), "").partition(" ")
        if mode in set(ReplyMode):
            endpoint.modes = ReplyModes(ReplyMode(mode), proven=bool(proven))
        endpoint.known_good = _messages(self._store.learned.get(f"{_name(endpoint.provider)} answered", ""))

    def keep_answered(self, call: Call) -> None:
        """Keeps the messages of a call as some that its endpoint has answered."""
        call.endpoint.known_good = call.messages
        call.endpoint.has_known_good = True
        self._store.learn(f"{_name(call.endpoint.provider)} answered", json.dumps(call.messages))

    def note(self, endpoint: Endpoint) -> None:
        """Keeps what was learned at an endpoint."""
        modes = endpoint.modes
        if not modes.changed:
            return
        modes.changed = False
        self._store.learn(_name(endpoint.provider), f"{modes.usual} proven" if modes.proven else modes.usual.value)

    def note_surprises(self, endpoint: Endpoint) -> None:
        """Keeps what an endpoint has used beyond what was reserved."""
        surprises = endpoint.reply_limits.surprises
        if surprises != self._surprises.get(endpoint, Surprises()):
            self._surprises[endpoint] = surprises
            self._store.learn(_name(endpoint.provider) + _SURPRISES, " ".join(map(str, surprises)))


def surprises_of(provider: LLMProvider, learned: Mapping[str, str]) -> Surprises:
    """What earlier runs have learned that a provider uses beyond what was reserved."""
    numbers = learned.get(_name(provider) + _SURPRISES, "").split()
    known = len(numbers) == len(Surprises()) and all(number.isdecimal() for number in numbers)
    return Surprises(*map(int, numbers)) if known else Surprises()


def _messages(text: str) -> list[Message] | None:
    """What stands there; None where it is anything else than messages."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    sound = isinstance(found, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("role", "content")) for one in found
    )
    return cast("list[Message]", found) if sound and found else None


def _name(provider: LLMProvider) -> str:
    """A name that tells nothing of the parameters."""
    return blake2b(f"{provider.identity}\n{provider.api_base}".encode(), digest_size=16).hexdigest()
