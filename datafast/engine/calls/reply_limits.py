"""How many tokens a reply may have where a budget has to reserve it and the user has set no limit.

The limit goes on the wire with each request, so that what is reserved is what can come: without one, a budget would have to reserve the
model's whole context for each request in flight. It begins with a guess and then follows the replies. A reply that is cut off at it is
asked for once more with a far higher one, so it never fails an item.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from datafast.llms.base import LIFTED_TOKENS

if TYPE_CHECKING:
    from datafast.llms.base import Request
    from datafast.llms.provider import LLMProvider
    from datafast.types import Usage

__all__ = ["ReplyLimits", "most_given"]

_TOKENS_PER_MESSAGE = 16
_FIRST_TOKENS = 2048
_PER_FURTHER_ROW = 600  # as the upper end of what is guessed in estimates
_LEAST_TOKENS = 512
_FIRST_REASONING_TOKENS = 16_384
_LEAST_REASONING_TOKENS = 4096
_ENOUGH_REPLIES = 8
_ABOVE_LARGEST = 1.5
_ABOVE_LARGEST_REASONING = 2.0
_LIFTED = 4
_BEYOND = 2
_REASONING = re.compile(
    r"(?i)(^|[/:.\-_])(o[134]|gpt-?5|gpt-oss|r1|qwq|reasoner|reasoning|thinking|think|magistral|grok-[34]|gemini-(2\.5|[3-9]))([/:.\-_]|$)"
)


class ReplyLimits:
    """The limits of one provider's replies during one run.

    Attributes:
        hidden_tokens: of the prompts, beyond what was sent: servers may put in texts of their own.
    """

    def __init__(self, provider: LLMProvider) -> None:
        self._own = provider.max_completion_tokens
        self._longest = provider.longest_reply or math.inf
        effort = provider.reasoning_effort
        self._reasons = (effort or "none") != "none" or (effort is None and bool(_REASONING.search(provider.model_id)))
        self._seen: dict[str, tuple[int, int]] = {}  # role -> replies, and the tokens of the largest
        self._largest_beyond = 0
        self._disobeyed = 0
        self.hidden_tokens = 0

    @property
    def are_ours(self) -> bool:
        """Whether the limit is chosen here, because the user has set none."""
        return self._own is None

    def limit(self, role: str, num_rows: int) -> int:
        """The most tokens of a reply in a role, to an item that has so many rows."""
        count, largest = self._seen.get(role, (0, 0))
        first = _FIRST_REASONING_TOKENS if self._reasons else _FIRST_TOKENS + _PER_FURTHER_ROW * (num_rows - 1)
        least = _LEAST_REASONING_TOKENS if self._reasons else _LEAST_TOKENS
        above = math.ceil(largest * (_ABOVE_LARGEST_REASONING if self._reasons else _ABOVE_LARGEST))
        return int(min(max(above, least if count >= _ENOUGH_REPLIES else first), self._longest))

    def lifted(self, cut_at: int) -> int:
        """The most tokens of a reply to a request whose first reply was cut off at `cut_at` tokens (0: the server's own limit)."""
        return int(min(max(LIFTED_TOKENS, _LIFTED * cut_at), self._longest))

    def bound(self, limit: int | None) -> int:
        """The most output tokens that a request with this limit on the wire is reserved for."""
        most = int(limit if limit is not None else min(self._longest, LIFTED_TOKENS))
        if not self._disobeyed:
            return most
        # Some servers count reasoning beside their limit, or know none. At the second reply beyond what was reserved all is possible.
        beyond = _BEYOND * self._largest_beyond
        return max(most, beyond if self._disobeyed == 1 or self._longest == math.inf else int(self._longest), beyond)

    def saw(self, role: str, request: Request, usage: Usage) -> None:
        """Learns from the usage of a reply to a request."""
        written = usage.output_tokens
        count, largest = self._seen.get(role, (0, 0))
        self._seen[role] = (count + 1, max(largest, written))
        self._reasons |= usage.reasoning_tokens > 0
        if written > self.bound(request.token_limit or self._own):
            self._disobeyed += 1
            self._largest_beyond = max(self._largest_beyond, written)
        if usage.input_tokens > (most := most_given(request)):
            self.hidden_tokens = max(self.hidden_tokens, usage.input_tokens - most)


def most_given(request: Request) -> int:
    """The most tokens that a request gives: a token is at least one byte, and the schema is part of the prompt."""
    given = sum(len(message["content"].encode("utf-8", "surrogatepass")) for message in request.messages)
    given += _TOKENS_PER_MESSAGE * len(request.messages)
    if request.schema is not None:
        given += len(request.schema.wire) + len(request.schema.instructions())
    return given
