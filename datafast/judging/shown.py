"""What judges are shown of a row where no prompt says it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from datafast.templates.values import to_text

__all__ = ["ORIGIN", "shown_row"]

_METADATA = "metadata"
ORIGIN = frozenset(["uuid", "model_id", "language", _METADATA])
"""The fields that say where a row comes from."""
_SAID = frozenset(["role", "content"])


def shown_row(row: BaseModel, field: str | None = None) -> str:
    """All that a row says, as judges read it: what it was asked for first, without where it comes from, and without what a file has of its
    own (`_id`). `field`: what that one says."""
    if field is not None:
        return _told({field: row.model_dump(mode="json", include={field}).get(field)})
    origin = getattr(row, _METADATA, None)
    metadata = (
        {name: text for name, text in origin.items() if isinstance(text, str)} if isinstance(origin, Mapping) else {}
    )
    values = row.model_dump(mode="json", exclude=set(ORIGIN))
    return _told(
        {
            **metadata,
            **{name: value for name, value in values.items() if not _is_origin(name, getattr(row, name, None))},
        }
    )


def _told(values: Mapping[str, Any]) -> str:
    shown = {name: _shown(value) for name, value in values.items() if value not in (None, "", [], {})}
    return "\n\n".join(f"{name.replace('_', ' ')}:\n{text}" for name, text in shown.items())


def _is_origin(name: str, value: Any) -> bool:
    """Whether a field says where a row comes from. A judge that knows who has written it would not be fair."""
    return isinstance(value, Enum) or name.endswith("model_id") or name.startswith("_")


def _shown(value: Any) -> str:
    """A value as text; messages as who says what."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and one.keys() >= _SAID for one in value):
        return "\n\n".join(f"{one['role']}: {to_text(one['content'] or one.get('tool_calls') or '')}" for one in value)
    return to_text(value)
