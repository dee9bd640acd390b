"""What calls and items ask of the open output: the store in a run of its own, and a stand-in for it where another process has the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datafast.errors import OutputWriteError
    from datafast.plan.items import Context
    from datafast.store.records import Bound, CallRow, ItemRecord, Recorded

__all__ = ["Books", "CallBooks", "Reserves"]


class CallBooks(Protocol):
    """What calls ask. See `datafast.store.writer.Store` for each.

    Attributes:
        landing: waits until all replies that were recorded are safe; None where `record_reply` does not return before they are.
    """

    learned: dict[str, str]
    models: Counter[tuple[str, str]]
    landing: Callable[[], Awaitable[None]] | None

    @property
    def broken(self) -> OutputWriteError | None: ...
    def note_refused(self, record: ItemRecord) -> None: ...
    def learn(self, name: str, what: str) -> None: ...
    def record_reply(
        self,
        record: ItemRecord,
        *,
        key: bytes,
        role: str,
        provider: str,
        model_id: str,
        raw: bytes,
        format: str,  # noqa: A002 - what it is called everywhere
        latency_s: float,
        attempts: int,
    ) -> CallRow: ...


class Reserves(Protocol):
    """What a budget asks."""

    @property
    def broken(self) -> OutputWriteError | None: ...
    def reserve(self, provider: str, bound: Bound) -> int: ...
    def release(self, number: int, *, charged: bool) -> None: ...


class Books(CallBooks, Protocol):
    """What items ask beside that."""

    most_donated: int

    def recorded_calls(self, record: ItemRecord) -> dict[bytes, list[Recorded]]: ...
    def contexts_of(self, record: ItemRecord) -> list[Context]: ...
    def freeze(self, record: ItemRecord, context: Context) -> None: ...
