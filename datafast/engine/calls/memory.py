"""What a run has learned about its providers, for later runs of the same output: the reply mode that works.

Without it a run that is killed and begun again would go through the reply modes each time, and an unusable reply in each of them counts
as a try. Parameters that a model refuses, and bounds on texts, are learned anew: a refusal costs nothing and is no try.
Cost: one look at a flag a call; the ledger is written where something has changed. Limits: a kill loses what was learned in the last
moment.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from datafast.engine.calls.reply_modes import ReplyModes
from datafast.llms.base import ReplyMode

if TYPE_CHECKING:
    from datafast.engine.calls.endpoint import Endpoint
    from datafast.llms.provider import LLMProvider
    from datafast.store.writer import Store

__all__ = ["Memory"]


class Memory:
    """The memory of one output."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def recall(self, endpoint: Endpoint) -> None:
        """Lets an endpoint begin with what an earlier run has learned of the same model with the same parameters at the same address."""
        mode, _, proven = self._store.learned.get(_name(endpoint.provider), "").partition(" ")
        if mode in set(ReplyMode):
            endpoint.modes = ReplyModes(ReplyMode(mode), proven=bool(proven))

    def note(self, endpoint: Endpoint) -> None:
        """Keeps what was learned at an endpoint."""
        modes = endpoint.modes
        if not modes.changed:
            return
        modes.changed = False
        self._store.learn(_name(endpoint.provider), f"{modes.usual} proven" if modes.proven else modes.usual.value)


def _name(provider: LLMProvider) -> str:
    """A name that tells nothing of the parameters."""
    return blake2b(f"{provider.identity}\n{provider.api_base}".encode(), digest_size=16).hexdigest()
