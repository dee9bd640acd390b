"""The protocol between the engine and a provider's batch service: one batch of requests, and what became of each.

Keeping track, retries, prices and the ledger are in the engine. A back end (`BatchBackend`) is opened for one run, inside its event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from datafast.errors import ProviderError
from datafast.llms.base import Request, Response

__all__ = [
    "BatchBackend",
    "BatchLimits",
    "BatchReply",
    "BatchState",
    "BatchStatus",
    "NoBatchService",
    "ResultsGone",
    "UnknownBatch",
]


class NoBatchService(ProviderError):
    """The server has no batch service (HTTP 404, 405 or 501 where files or batches should be). Nothing was taken, and nothing will be."""


class ResultsGone(ProviderError):
    """A batch has ended, and its service keeps some or all of its results no more (HTTP 404 or 410). They were paid for, and are lost."""


class UnknownBatch(ProviderError):
    """The service knows no such batch (HTTP 404). It was removed, or belongs to another account than the key does; so it may be under way
    all the same, and nothing of it may be bought again unasked."""


class BatchLimits(NamedTuple):
    """The most that one batch takes: requests, and bytes of what is uploaded."""

    requests: int
    size: int


class BatchState(Enum):
    """What a batch job is doing.

    ENDED: nothing more is answered, and what was answered can be collected; also after a cancellation, or after its time was over.
    REFUSED: the service took the job and then answered nothing of it, because of the job as a whole (`BatchStatus.error`).
    """

    UNDER_WAY = "under way"
    CANCELLING = "being cancelled"
    ENDED = "ended"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch job as its service describes it.

    Attributes:
        id: the service's name for it.
        total, done, failed: requests; those answered, those answered with an error. 0 where the service does not say.
        created_at: seconds since the epoch; 0.0 where it is not said.
        tag: what it was submitted with, where the service keeps such a thing; '' elsewhere.
        error: why it was refused. For `REFUSED` only.
        results: where its results are, in the service's own words; empty until there are some.
    """

    id: str
    state: BatchState
    total: int = 0
    done: int = 0
    failed: int = 0
    created_at: float = 0.0
    tag: str = ""
    error: ProviderError | None = None
    results: tuple[str, ...] = ()


class BatchReply(NamedTuple):
    """What became of one request of a batch: a reply, an error, or neither, where it was cancelled or expired before its turn."""

    custom_id: str
    response: Response | None = None
    error: ProviderError | None = None


class BatchBackend(Protocol):
    """An open connection to one provider's batch service.

    Every method may raise `ProviderError`: the service refused, or no answer came. Its kind says what may be done about it, as for
    requests; a limit on what may be enqueued is RATE_LIMITED.
    """

    limits: BatchLimits

    def line(self, custom_id: str, request: Request) -> bytes:
        """One request as it stands in the upload, without a newline.

        Args:
            custom_id: 1 to 64 letters, digits, '-' and '_'; unique in its batch. The first 24 characters are the batch's tag.
        """
        ...

    async def submit(self, lines: Path, *, tag: str, num_requests: int) -> BatchStatus:
        """Submits a batch: a file of `line`s, each with a newline. Everything that the service keeps of it carries the tag, where it can.

        Nothing is bought twice by a second call only if `find` was asked in between.

        Raises:
            NoBatchService: there is none at the address; no second call will find one.
        """
        ...

    async def find(self, *, tag: str, since: float, num_requests: int) -> list[BatchStatus]:
        """The batches that a `submit` may have made whose answer never came: that with the tag; where the service keeps none, all created
        since (seconds since the epoch, clocks may differ by minutes) with so many requests. Then the custom ids of results decide.
        """
        ...

    async def status(self, batch_id: str) -> BatchStatus:
        """What the batch is doing now.

        Raises:
            UnknownBatch: the service knows it no more, or not by this key.
        """
        ...

    def replies(self, status: BatchStatus, *, scratch: Path) -> AsyncIterator[BatchReply]:
        """What became of the requests of a batch that has ended, in any order. Requests that are not named were never answered.

        Memory is bounded by one reply. A reply that is larger than the provider's `max_reply_mb` is an error.

        Args:
            scratch: a path where a download may be kept meanwhile; the caller removes it.

        Raises:
            ResultsGone: after all that is still kept.
        """
        ...

    async def cancel(self, batch_id: str) -> BatchStatus:
        """Asks for the end of a batch; what was answered can be collected once it has ended. No error where it has ended already.

        Raises:
            UnknownBatch: as `status`.
        """
        ...

    async def discard(self, status: BatchStatus) -> None:
        """Removes what the service keeps of a batch whose results are collected (uploaded and result files), where that can be done."""
        ...

    async def aclose(self) -> None: ...
