"""What is in the file of grown personas.

{"personas": ["a retired ferryman who ...", ...], "model_id": "gpt-6-luna", "grown_from": {"describe": "people of a harbour town"}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

__all__ = ["read_record"]


def read_record(path: Path) -> dict[str, Any] | None:
    """The record in a file; None if there is none."""
    try:
        record = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("personas"), list) or "grown_from" not in record:
        return None
    return record if all(isinstance(persona, str) for persona in record["personas"]) else None
