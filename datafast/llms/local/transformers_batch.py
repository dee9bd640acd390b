"""One batch of requests while transformers' `generate` writes the replies: which tokens may follow, and which replies are
done. Also the jobs and replies that pass between the event loop and the model's thread.

`generate` calls `choose` before each token and `ends` after it, on the model's thread.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import torch

from datafast.errors import ErrorKind, ProviderError
from datafast.types import Message, Usage

__all__ = ["Batch", "Generated", "Job", "Row"]


class Row:
    """One reply of a batch: its tokens, and why it ended ("" while it is written)."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tokens: list[int] = []
        self.ended = ""
        self.seen: Counter[int] = Counter()

    @property
    def is_steered(self) -> bool:
        return not self.ended and self.job.matcher is not None

    def take(self, token: int, *, is_end: bool) -> None:
        job = self.job
        self.tokens.append(token)
        if job.penalty:
            self.seen[token] += 1
        if job.matcher is not None and not is_end:
            job.matcher.take(token)
        if is_end or (job.matcher is not None and job.matcher.is_over):
            self.ended = "stop"
        elif len(self.tokens) >= job.most:
            self.ended = "length"
        elif job.future.cancelled():
            self.ended = "cancelled"
        elif job.is_late:
            self.ended = "late"


class Batch:
    """The replies to the jobs of a batch.

    Args:
        ends: tokens that end a reply.
        closing: whether the model is being released; then all are done.
    """

    def __init__(self, jobs: Sequence[Job], *, ends: frozenset[int], closing: Callable[[], bool]) -> None:
        self.rows = [Row(job) for job in jobs]
        self._ends = ends
        self._closing = closing

    def choose(self, tokens: Any, scores: Any) -> Any:
        """The scores, without tokens that must not follow."""
        steered = [number for number, row in enumerate(self.rows) if row.is_steered]
        if steered:
            allowed = _allowed([self.rows[number].job.matcher.allowed() for number in steered], scores)
            scores[steered] = scores[steered].masked_fill(~allowed, float("-inf"))
        for number, row in enumerate(self.rows):
            if row.seen and not row.ended:
                said = torch.tensor(list(row.seen), device=scores.device)
                times = torch.tensor(list(row.seen.values()), device=scores.device, dtype=scores.dtype)
                scores[number, said] -= row.job.penalty * times
        return scores

    def ends(self, tokens: Any, scores: Any) -> Any:
        """Takes the sampled token of each reply. Says which replies are done."""
        closing = self._closing()
        for row, token in zip(self.rows, tokens[:, -1].tolist(), strict=True):
            if not row.ended:
                row.take(token, is_end=token in self._ends)
                if closing and not row.ended:
                    row.ended = "closed"
        return torch.tensor([bool(row.ended) for row in self.rows], device=tokens.device)


def _allowed(masks: list[bytes], scores: Any) -> Any:
    """Whether each token may follow, for each mask."""
    packed = torch.frombuffer(bytearray(b"".join(masks)), dtype=torch.uint8).view(len(masks), -1).to(scores.device)
    bits = (packed.unsqueeze(-1) >> torch.arange(8, device=scores.device, dtype=torch.uint8)) & 1
    allowed = bits.view(len(masks), -1).bool()
    width = scores.shape[-1]
    if allowed.shape[1] < width:  # a padded output layer, which has more places than tokens
        allowed = torch.nn.functional.pad(allowed, (0, width - allowed.shape[1]), value=False)
    return allowed[:, :width]


class Generated(NamedTuple):
    """A reply: its text, what it used, and whether it ended by itself ("stop") or at a limit ("length")."""

    text: str
    usage: Usage
    finish_reason: str


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One request.

    Attributes:
        label: the provider, for errors.
        template: arguments of the chat template. arguments: those of `generate`; only jobs with equal ones share a batch.
        penalty: subtracted from a token's score for each time that the reply already has it.
        grammar: JSON Schema that the reply must match, None for free text.
        max_tokens: of the reply; None for the usual number.
        future: gets the reply, or a `ProviderError`. Cancelled if nobody waits any more.
        prompt, most: the prompt's tokens, and the most tokens of the reply; set by the model's thread.
        matcher: follows the grammar; set by the model's thread.
    """

    label: str
    messages: Sequence[Message]
    template: Mapping[str, Any]
    arguments: Mapping[str, Any]
    penalty: float
    grammar: bytes | None
    max_tokens: int | None
    batch_size: int
    timeout_s: float
    future: concurrent.futures.Future[Generated] = field(default_factory=concurrent.futures.Future)
    prompt: list[int] = field(default_factory=list)
    most: int = 0
    matcher: Any = None
    deadline: float = 0.0
    kind: bytes = b""

    def __post_init__(self) -> None:
        self.kind = orjson.dumps(self.arguments, option=orjson.OPT_SORT_KEYS)

    def begin(self) -> None:
        """Called when its batch begins, from when its timeout counts."""
        self.deadline = time.monotonic() + self.timeout_s

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self.deadline

    def succeed(self, reply: Generated) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(reply)

    def fail(self, kind: ErrorKind, message: str, *, status: int | None = None, code: str | None = None) -> None:
        """Ends it with a `ProviderError`."""
        if self.future.done():
            return
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(ProviderError(f"{self.label}: {message}", kind=kind, status=status, code=code))
