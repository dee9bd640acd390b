"""What the metadata of a dataset's rows say about the rows of a source that they are made of: the key, and on request all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.sources.records import Records
from datafast.sources.rows import SourceRows
from datafast.sources.source import RowSource, key_shown
from datafast.sources.values import written

__all__ = ["Origin", "origin_names"]


def origin_names(given: object, name: str) -> list[str]:
    """What rows have in their metadata because of a source, whose rows are called by `name` there."""
    if not isinstance(given, RowSource):
        return []
    return [f"{name}_{part}" for part, is_wanted in (("key", given.key), ("row", given.keep_row)) if is_wanted]


class Origin:
    """Where rows come from.

    Args:
        rows: of a source.
        name: what metadata call one of them.
        key: the column with their keys.
        keep_row: whether metadata have all of a row.
        field: the config field that names the key, for messages.

    Attributes:
        ids: 16 bytes for the key of each row; None without one.

    Raises:
        ConfigError: there is no such column, a row has no key, or two have the same; a row that is kept whole cannot be.
    """

    def __init__(self, rows: SourceRows, name: str, *, key: str | None, keep_row: bool, field: str = "key") -> None:
        self.ids: Records | None = None
        self._name = name
        self._key = key
        self._keeps_row = keep_row
        if key is not None:
            if key not in rows.columns:
                raise ConfigError(f"{field}: {rows.name} has no column {key!r}. {did_you_mean(key, rows.columns)}")
            self.ids = rows.ids_by(key, field=field)
        if keep_row:
            rows.check(rows.columns, field="keep_row")

    @classmethod
    def as_given(cls, given: object, rows: SourceRows, name: str) -> Origin:
        """What the source in a config says about it."""
        if not isinstance(given, RowSource):
            return cls(rows, name, key=None, keep_row=False)
        return cls(rows, name, key=given.key, keep_row=given.keep_row)

    def of(self, row: Mapping[str, Any]) -> dict[str, str | int]:
        """What the metadata of what is made of a row say."""
        told: dict[str, str | int] = {}
        if self._key is not None:
            told[f"{self._name}_key"] = key_shown(row[self._key])
        if self._keeps_row:
            told[f"{self._name}_row"] = written(row).decode()
        return told
