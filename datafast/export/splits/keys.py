"""What splits depend on: hashes of a row's uuid and of the fields that strata and groups are made of.

Memory: 8 bytes a row for each hash.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.export.splits.splitting import Splitting

__all__ = ["ALONE", "RowKeys", "value_of"]

ALONE = 0
"""Stands for the group of a row that has no value in the field."""


class RowKeys:
    """Takes the rows of a file one after the other.

    Attributes:
        ranks: of each row a hash of the seed and its uuid, or of the whole line where it has none; empty if nothing depends on it.
        strata: of each row a hash of its values in the fields of `stratify`; empty without them.
        groups: for each field of `group` a hash of each row's value, or ALONE.
    """

    def __init__(self, splitting: Splitting) -> None:
        self.ranks, self.strata = array("Q"), array("Q")
        self.groups = {field: array("Q") for field in splitting.group_fields}
        self._splitting = splitting
        self._salt = b"%d\n" % splitting.seed
        self._needs_ranks = splitting.shuffle or splitting.stable or bool(splitting.group)
        self._fields = dict.fromkeys([*splitting.stratify, *splitting.group_fields], False)
        self._names: Mapping[str, None] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, row: Mapping[str, Any], line: bytes) -> None:
        """Takes a row, and the line that it stands in."""
        if not self._count:
            self._names = dict.fromkeys(_names(row))
        self._count += 1
        if self._needs_ranks:
            uuid = row.get("uuid")
            self.ranks.append(self._hash((b"" if uuid is None else str(uuid).encode()) or line.strip()))
        if self._splitting.stratify:
            values = [value_of(row, field) for field in self._splitting.stratify]
            self._note(zip(self._splitting.stratify, values, strict=True))
            self.strata.append(self._hash(_spelt(values)))
        for field, hashes in self.groups.items():
            value = value_of(row, field)
            self._note([(field, value)])
            hashes.append(ALONE if value is None else self._hash(_spelt([field, value])) or 1)

    def check(self) -> None:
        """Raises ConfigError if no row has a value in one of the fields."""
        for field, is_there in self._fields.items():
            if not is_there:
                argument = "stratify" if field in self._splitting.stratify else "group"
                raise ConfigError(
                    f"{argument}: No row has a value in {field!r}. Give one of {', '.join(self._names)}, or a part of one, like "
                    "metadata.topic.",
                    key=argument,
                )

    def _note(self, values: Iterable[tuple[str, Any]]) -> None:
        for field, value in values:
            if value is not None:
                self._fields[field] = True

    def _hash(self, data: bytes) -> int:
        return int.from_bytes(blake2b(self._salt + data, digest_size=8).digest(), "big")


def value_of(row: Mapping[str, Any], field: str) -> Any:
    """The value of a field, of a key in the metadata, or of a part of either (`metadata.topic`); None where there is none."""
    first, _, rest = field.partition(".")
    for place in (row, _object(row.get("metadata"))):
        if field in place:
            return place[field]
        if rest and first in place:
            return value_of(_object(place[first]), rest)
    return None


def _object(value: Any) -> Mapping[str, Any]:
    """An object, also one that stands as JSON text in a published file."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    return value if isinstance(value, Mapping) else {}


def _names(row: Mapping[str, Any]) -> Iterable[str]:
    yield from row
    yield from _object(row.get("metadata"))


def _spelt(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
