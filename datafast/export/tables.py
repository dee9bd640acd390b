"""Rows in memory as a table of another library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["to_dataset"]


def to_dataset(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows as a `datasets.Dataset`."""
    from datasets import Dataset

    return Dataset.from_list(list(rows))
