"""The header of a record in the journal: enough of a call and its item to rebuild both rows of the ledger."""

from __future__ import annotations

from typing import Any

from datafast.store.records import DEFAULT_FORMAT, CallRow, ItemRecord, ItemState

__all__ = ["call_of", "item_of", "journal_header"]


def journal_header(call: CallRow, item: ItemRecord) -> dict[str, Any]:
    """The header of a call. It names the wire format only if it is not the usual one."""
    header = {
        "id": call.id,
        "item": call.item,
        "key": call.key.hex(),
        "generation": call.generation,
        "role": call.role,
        "provider": call.provider,
        "model_id": call.model_id,
        "sent_at": call.sent_at,
        "latency_s": call.latency_s,
        "attempts": call.attempts,
        "item_key": item.key.hex(),
        "content": item.content.hex(),
        "position": item.position,
        "num_rows": item.num_rows,
    }
    if call.format != DEFAULT_FORMAT:
        header["format"] = call.format
    return header


def item_of(header: dict[str, Any]) -> ItemRecord:
    """The item of a call, as it was before the ledger had its first reply."""
    return ItemRecord(
        id=header["item"],
        key=bytes.fromhex(header["item_key"]),
        content=bytes.fromhex(header["content"]),
        position=header["position"],
        state=ItemState.OPEN,
        generation=header["generation"],
        num_rows=header["num_rows"],
    )


def call_of(header: dict[str, Any], raw: bytes) -> CallRow:
    """The call, without the usage that its reply states."""
    return CallRow(
        id=header["id"],
        item=header["item"],
        key=bytes.fromhex(header["key"]),
        generation=header["generation"],
        role=header["role"],
        provider=header["provider"],
        model_id=header["model_id"],
        sent_at=header["sent_at"],
        latency_s=header["latency_s"],
        attempts=header["attempts"],
        raw=raw,
        format=header.get("format", DEFAULT_FORMAT),
    )
