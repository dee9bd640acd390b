"""How many tokens a reply may have where a budget has to reserve it and the user has set no limit.

The limit goes on the wire with each request, so that what is reserved is what can come: without one, a budget would have to reserve the
model's whole context for each request in flight. It begins with a guess, or with what earlier runs of the output were given, and then
follows the replies. A reply that is cut off at it is asked for again with a far higher one, as high as model and budget allow, so it
never fails an item. A limit that the server refuses is lowered.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from datafast._util.notify import warn_user
from datafast.llms.base import LIFTED_TOKENS
from datafast.store.records import Sizes

if TYPE_CHECKING:
    from datafast.llms.base import Request
    from datafast.llms.provider import LLMProvider
    from datafast.types import Usage

__all__ = ["ReplyLimits", "Surprises", "most_given"]

_TOKENS_PER_MESSAGE = 16
_FIRST_TOKENS = 2048
_PER_FURTHER_ROW = 600  # as the upper end of what is guessed in estimates
_LEAST_TOKENS = 512
_LEAST_NEEDED_TOKENS = 1024
_FIRST_REASONING_TOKENS = 16_384
_LEAST_REASONING_TOKENS = 4096
_ENOUGH_REPLIES = 8
_ABOVE_LARGEST = 1.5
_ABOVE_LARGEST_REASONING = 2.0
_LIFTED = 4
_LIFTED_AT_MOST = 16 * LIFTED_TOKENS  # where the model's own limit is not known
_WORTH_TRYING = 1.25  # of the limit at which a reply was cut
_BEYOND = 2
_REASONING = re.compile(
    r"(?i)(^|[/:.\-_])(o[134]|gpt-?5|gpt-oss|r1|qwq|reasoner|reasoning|thinking|think|magistral|grok-[34]|gemini-(2\.5|[3-9])|claude-[a-z]+-[5-9]|gpt-[6-9])([/:.\-_]|$)"
)


class Surprises(NamedTuple):
    """What a provider has used beyond what was reserved.

    Attributes:
        hidden: tokens of a prompt, beyond what was sent: servers may put in texts of their own.
        beyond: the tokens of the largest reply that went on beyond its limit, 0 for none.
        times: the number of such replies.
    """

    hidden: int = 0
    beyond: int = 0
    times: int = 0


_NONE = Sizes(0, 0, 0)


class ReplyLimits:
    """The limits of one provider's replies during one run.

    Attributes:
        surprises: what it has used beyond what was reserved. What is reserved from now on is enough for that.
        needed: the limit that a request must have where nobody else gives one; None where it may go without.
    """

    def __init__(self, provider: LLMProvider) -> None:
        self._label = provider.label
        self.needed = provider.needed_limit
        self._own = provider.max_completion_tokens
        self._longest = provider.longest_reply or math.inf
        self._thinks = provider.thinking_tokens
        effort = provider.reasoning_effort
        self._reasons = (effort or "none") != "none" or (effort is None and bool(_REASONING.search(provider.model_id)))
        self._seen: dict[str, Sizes] = {}
        self._has_lowered = False
        self._accepted = 0
        self._highest = math.inf  # that the server takes
        self.surprises = Surprises()

    @property
    def are_ours(self) -> bool:
        """Whether the limit is chosen here, because the user has set none."""
        return self._own is None

    def recall(self, seen: Mapping[str, Sizes]) -> None:
        """Begins with what earlier runs were given, by role."""
        self._seen = dict(seen)

    def limit(self, role: str, num_rows: int) -> int:
        """The most tokens of a reply in a role, to an item that has so many rows."""
        count, largest, _ = self._seen.get(role, _NONE)
        first = _FIRST_REASONING_TOKENS if self._reasons else _FIRST_TOKENS + _PER_FURTHER_ROW * (num_rows - 1)
        above = math.ceil(largest * (_ABOVE_LARGEST_REASONING if self._reasons else _ABOVE_LARGEST))
        usual = max(above, self._least if count >= _ENOUGH_REPLIES else first + self._thinks)
        return int(min(usual, self._longest, self._highest))

    def least(self, role: str, cut_at: int | None) -> int:
        """The fewest tokens with which a request is worth its price, where the budget allows no more."""
        if cut_at is not None:
            return int(cut_at * _WORTH_TRYING) + 1
        count, largest, total = self._seen.get(role, _NONE)
        usual = min(largest, math.ceil(_ABOVE_LARGEST * total / count)) if count else self._least
        usual = max(usual, self._least if self._thinks else 0)
        return int(min(usual, self._longest, self._highest))

    @property
    def _least(self) -> int:
        return self._thinks + (_LEAST_REASONING_TOKENS if self._reasons and not self._thinks else _LEAST_TOKENS)

    def lifted(self, cut_at: int) -> int | None:
        """The most tokens of a reply to a request whose newest reply was cut off at `cut_at` tokens (0: at the server's own limit).

        None where the model gives no more than that.
        """
        most = min(self._longest, _LIFTED_AT_MOST, max(self._highest, self._accepted))
        limit = int(min(max(LIFTED_TOKENS, _LIFTED * cut_at), most))
        return limit if limit > cut_at else None

    # -- limits that the server refuses

    def below(self, refused: int, cut_at: int | None) -> int | None:
        """A lower limit for a request that was refused with this one, None where there is none that is worth a request."""
        if cut_at is None:
            return max(_LEAST_TOKENS, refused // _LIFTED) if refused > _LEAST_TOKENS else None
        middle = (cut_at + refused) // 2
        return middle if middle > max(cut_at * _WORTH_TRYING, _LEAST_TOKENS) else None

    def lower_needed(self, refused: int) -> int | None:
        """A limit that requests must have and that is below a refused one, None where there is none. The first time with a warning."""
        if self.needed is None or refused <= _LEAST_NEEDED_TOKENS:
            return None
        if refused <= self.needed:
            if not self._has_lowered:
                self._has_lowered = True
                warn_user(
                    f"{self._label} refuses a max_completion_tokens of {refused:,}, which datafast has chosen. A lower one is sent from "
                    "now on. Set max_completion_tokens to what the model takes."
                )
            self.needed = max(_LEAST_NEEDED_TOKENS, refused // 2)
        return self.needed

    def accepted(self, limit: int, refused: int | None) -> None:
        """Learns from a reply to a request with this limit on the wire. `refused`: the one with which it was refused before."""
        if refused is not None and refused > self._accepted:
            self._highest = max(limit, self._accepted, (limit + refused) // 2)
        self._accepted = max(self._accepted, limit)

    # -- what is reserved

    def bound(self, limit: int | None) -> int:
        """The most output tokens that a request with this limit on the wire is reserved for."""
        most = int(limit if limit is not None else min(self._longest, LIFTED_TOKENS))
        if not self.surprises.times:
            return most
        # Some servers count reasoning beside their limit, or know none. At the second reply beyond what was reserved all is possible.
        beyond = _BEYOND * self.surprises.beyond
        once = self.surprises.times == 1 or self._longest == math.inf
        return max(most, beyond if once else int(self._longest), beyond)

    def saw_reply(self, role: str, usage: Usage) -> None:
        """Learns from the usage of a reply to a request that is not at hand."""
        count, largest, total = self._seen.get(role, _NONE)
        self._seen[role] = Sizes(count + 1, max(largest, usage.output_tokens), total + usage.output_tokens)
        self._reasons |= usage.reasoning_tokens > 0

    def saw(self, role: str, request: Request, usage: Usage) -> None:
        """Learns from the usage of a reply to a request."""
        written = usage.output_tokens
        self.saw_reply(role, usage)
        hidden, beyond, times = self.surprises
        if written > self.bound(request.token_limit or self._own):
            beyond, times = max(beyond, written), times + 1
        hidden = max(hidden, usage.input_tokens - most_given(request))
        if (hidden, beyond, times) != self.surprises:
            self.surprises = Surprises(hidden, beyond, times)


def most_given(request: Request) -> int:
    """The most tokens that a request gives: a token is at least one byte, and the schema is part of the prompt."""
    given = sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in request.messages)
    given += _TOKENS_PER_MESSAGE * len(request.messages)
    if request.schema is not None:
        given += len(request.schema.wire) + len(request.schema.instructions())
    return given
