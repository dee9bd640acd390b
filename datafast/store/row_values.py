"""Values of the ledger as the rows of its tables, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datafast.store.records import DEFAULT_FORMAT, Append, CallRow, FailureRow, ItemRecord, ItemState

__all__ = ["append_from", "call_values", "failure_values", "item_from", "item_values", "masks_from", "pack", "storable"]


def failure_values(f: FailureRow) -> tuple[Any, ...]:
    who = (f.provider, f.role, f.attempts, f.rows)
    return (f.item, f.category, storable(f.error), *who, storable(f.prompt), f.raw, f.at)


def storable(text: str) -> str:
    """A text that UTF-8 can hold: an error may quote half a surrogate pair of a model's reply."""
    return text.encode("utf-8", "backslashreplace").decode()


def item_values(item: ItemRecord) -> tuple[Any, ...]:
    kept = item.kept.to_bytes((item.kept.bit_length() + 7) // 8, "little") if item.kept else None
    written = (item.rows_written, pack(item.slots), kept)
    return (item.id, item.key, item.content, item.position, item.state, item.generation, item.num_rows, *written)


def call_values(c: CallRow) -> tuple[Any, ...]:
    asked = (c.id, c.item, c.key, c.generation, c.role, c.provider, c.model_id, c.sent_at, c.latency_s, c.attempts)
    used = (c.input_tokens, c.output_tokens, c.cached_tokens, c.cost_usd)
    return (*asked, *used, c.raw, None if c.format == DEFAULT_FORMAT else c.format)


def item_from(row: tuple[Any, ...]) -> ItemRecord:
    item = ItemRecord(row[0], row[1], row[2], row[3], ItemState(row[4]), row[5], row[6], unpack(row[8], row[7]))
    if row[9] is not None:
        item.kept = int.from_bytes(row[9], "little")
    return item


def masks_from(numbers: Iterable[tuple[int, int]]) -> dict[int, int]:
    masks: dict[int, int] = {}
    for item_id, number in numbers:
        masks[item_id] = masks.get(item_id, 0) | 1 << number
    return masks


def append_from(row: tuple[Any, ...]) -> Append:
    return Append(row[0], row[1], row[3], row[4], row[5], unpack(row[6], row[2]))


def pack(slots: int) -> bytes | None:
    """A bit mask as stored; NULL if it means the first rows, which is nearly always so."""
    return None if slots & (slots + 1) == 0 else slots.to_bytes((slots.bit_length() + 7) // 8, "little")


def unpack(stored: bytes | None, count: int) -> int:
    return (1 << count) - 1 if stored is None else int.from_bytes(stored, "little")
