"""One batch of requests while transformers' `generate` writes the replies: who may say what next, and who is done.

`generate` calls `choose` before each token and `ends` after it, on the model's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from datafast.llms.transformers_job import Job

__all__ = ["Batch", "Row"]


class Row:
    """One reply of a batch: its tokens, and why it ended ("" while it is being written)."""

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
    """The replies to some jobs.

    Args:
        ends: tokens that end a reply.
        closing: whether the model is about to go; then all are done.
    """

    def __init__(self, jobs: Sequence[Job], *, ends: frozenset[int], closing: Callable[[], bool]) -> None:
        self.rows = [Row(job) for job in jobs]
        self._ends = ends
        self._closing = closing

    def choose(self, tokens: Any, scores: Any) -> Any:
        """The scores, without what a reply must not go on with."""
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
        """Takes the token that was drawn for each reply, and says which are done."""
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
    if allowed.shape[1] < width:  # a padded output layer: what stands there is no token
        allowed = torch.nn.functional.pad(allowed, (0, width - allowed.shape[1]), value=False)
    return allowed[:, :width]
