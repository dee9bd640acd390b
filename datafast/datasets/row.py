"""What the rows of several kinds have in common."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import orjson

__all__ = ["uuid_of_content"]

_NAMESPACE = UUID("7d7d5d0c-3a0c-5f5e-9d0a-2f6c1c1f4b52")


def uuid_of_content(fields: dict[str, Any]) -> str:
    """The uuid of a row that comes without one, from its fields before it: the same whenever and wherever it is read."""
    return str(uuid5(_NAMESPACE, orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()))
