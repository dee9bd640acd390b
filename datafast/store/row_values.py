"""Values of the ledger as the rows of its tables, and back.

Cost: of every value that is not exactly an int, a float, a str or a bytearray, sqlite3 first asks whether it adapts itself, which takes
longer than writing it. So what is written for each call is given as these: a blob as a bytearray, NULL as '', which `nullif(?, '')`
makes of it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datafast.store.records import (
    DEFAULT_FORMAT,
    Append,
    CallRow,
    FailureRow,
    FilteredRow,
    ItemRecord,
    ItemState,
)

__all__ = [
    "append_from",
    "append_values",
    "call_values",
    "failure_values",
    "filtered_values",
    "item_from",
    "item_values",
    "masks_from",
    "numbers_of",
    "storable",
]


def failure_values(f: FailureRow) -> tuple[Any, ...]:
    who = (f.provider, f.role, f.attempts, f.rows)
    return (f.item, f.category, storable(f.error), *who, storable(f.prompt), f.raw, f.at)


def filtered_values(row: FilteredRow) -> tuple[Any, ...]:
    told = (storable(row.stage), storable(row.reason), row.row, row.at, row.place, row.score)
    return (row.item, row.number, *told, row.generation, int(row.hidden))


def storable(text: str) -> str:
    """A text that UTF-8 can hold: an error may quote half a surrogate pair of a model's reply."""
    return text.encode("utf-8", "backslashreplace").decode()


def item_values(item: ItemRecord) -> tuple[Any, ...]:
    return (
        item.id,
        bytearray(item.key),
        bytearray(item.content),
        item.position,
        int(item.state),
        item.generation,
        item.num_rows,
        item.slots.bit_count(),
        _pack(item.slots),
        _bits(item.kept) if item.kept else "",
    )


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


def call_values(call: CallRow) -> tuple[Any, ...]:
    return (
        call.id,
        call.item,
        bytearray(call.key),
        call.generation,
        call.role,
        call.provider,
        call.model_id,
        call.sent_at,
        call.latency_s,
        call.attempts,
        call.input_tokens,
        call.output_tokens,
        call.cached_tokens,
        "" if call.cost_usd is None else call.cost_usd,
        bytearray(call.raw),
        "" if call.format == DEFAULT_FORMAT else call.format,
    )


def append_values(append: Append) -> tuple[Any, ...]:
    return (
        append.id,
        append.item,
        append.slots.bit_count(),
        append.start,
        append.size,
        append.crc,
        _pack(append.slots),
    )


def append_from(row: tuple[Any, ...]) -> Append:
    return Append(row[0], row[1], row[3], row[4], row[5], unpack(row[6], row[2]))


def numbers_of(slots: int) -> list[int]:
    """The numbers of the rows in a bit mask."""
    return [number for number in range(slots.bit_length()) if slots >> number & 1]


def _pack(slots: int) -> bytearray | str:
    """A bit mask as stored; NULL if it means the first rows, which is nearly always so."""
    return "" if slots & (slots + 1) == 0 else _bits(slots)


def _bits(mask: int) -> bytearray:
    return bytearray(mask.to_bytes((mask.bit_length() + 7) // 8, "little"))


def unpack(stored: bytes | None, count: int) -> int:
    return (1 << count) - 1 if stored is None else int.from_bytes(stored, "little")
