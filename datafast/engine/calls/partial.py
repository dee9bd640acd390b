"""Replies that are not whole and will do, where no whole one comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from datafast.errors import ReplyError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.engine.calls.call import Call
    from datafast.llms.base import Completion

__all__ = ["Partial", "best_of"]


class Partial(NamedTuple):
    """A reply that is not whole: what is wrong with it (and what can be used of it), its content, as it came, and its model."""

    flaw: ReplyError
    said: Completion | ReplyError
    raw: bytes
    model_id: str

    def taken_by(self, call: Call) -> BaseModel | str:
        """What can be used of it, as the answer of a call."""
        call.flaw, call.said, call.raw, call.model_id = self
        answer: BaseModel | str = self.flaw.usable
        return answer


def best_of(partial: Sequence[Partial]) -> Partial:
    """The one with the most in it, the earliest of several."""
    return max(partial, key=_size)


def _size(partial: Partial) -> int:
    usable = partial.flaw.usable
    if isinstance(usable, str):
        return len(usable)
    return sum(len(value) for _, value in usable if isinstance(value, list))
