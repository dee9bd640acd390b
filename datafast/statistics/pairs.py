"""Which rows of two files belong together: those with the same uuid, else those that were asked for with the same values, else any two.

Memory: 40 bytes a row while they are matched. The same files and seed give the same pairs in the same order, which is random.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import orjson

from datafast.errors import ConfigError
from datafast.quality.base import WHO_MADE_IT
from datafast.templates.values import to_text

if TYPE_CHECKING:
    import numpy as np

    from datafast.sources import SourceRows

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Match", "Pair", "Pairs", "asked_of", "said_in"]

Match: TypeAlias = Literal["uuid", "values", "random"]

_METADATA = "metadata"
_SHAPE = ("language", "label")
_ABOUT_THE_ANSWER = frozenset({"best_of_n", "reasoning", "truncated", "score"})
_NOT_SAID = frozenset({"uuid", "language", "label", _METADATA, "reasoning"}) | WHO_MADE_IT
_ENOUGH = 0.5


class Pair(NamedTuple):
    """Two rows: what both were asked for, where that is known, what each says, and the models that wrote them."""

    asked: str
    one: str
    other: str
    models: tuple[Sequence[str], Sequence[str]] = ((), ())


def asked_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a row was asked for with: language, label and metadata, without who wrote it and how that went."""
    metadata = row.get(_METADATA)
    told = dict(metadata) if isinstance(metadata, Mapping) else {}
    values = {**{name: row[name] for name in _SHAPE if name in row}, **told}
    return {name: value for name, value in values.items() if name not in _ABOUT_THE_ANSWER and not _is_model(name)}


def said_in(row: Mapping[str, Any], field: str | None = None) -> str:
    """What a row says, without anything about it: who wrote it, its uuid, its metadata. Or one field of it."""
    if field is not None:
        return to_text(row.get(field))
    said = {name: value for name, value in row.items() if name not in _NOT_SAID and not _is_model(name)}
    if len(said) == 1:
        return to_text(next(iter(said.values())))
    return "\n\n".join(f"{name}:\n{to_text(value)}" for name, value in said.items() if value not in (None, ""))


def _models(row: Mapping[str, Any]) -> list[str]:
    return [value for name, value in row.items() if _is_model(name) and isinstance(value, str)]


def _is_model(name: str) -> bool:
    return name.endswith("model_id")


class Pairs:
    """The pairs of two files, in a random order.

    Args:
        match: how rows are matched; by default the first way that finds a partner for half of the rows of the smaller file.

    Attributes:
        match: how they were matched.

    Raises:
        ConfigError: no two rows match in the way that was asked for.
    """

    def __init__(
        self,
        one: SourceRows,
        other: SourceRows,
        *,
        seed: int = 0,
        match: Match | None = None,
        field: str | None = None,
    ) -> None:
        self._one, self._other, self._field = one, other, field
        for rows in (one, other):
            if field is not None and field not in rows.columns:
                raise ConfigError(f"field: {rows.name} has no column {field!r}. It has {', '.join(rows.columns)}.")
        ways: tuple[Match, ...] = ("uuid", "values", "random") if match is None else (match,)
        for way in ways:
            self.match = way
            self._places = _matched(one, other, way, seed)
            if len(self._places) >= _ENOUGH * min(len(one), len(other)):
                break
        if not len(self._places):
            raise ConfigError(f"No two rows of {one.name} and {other.name} match by {match}. Match them at random.")

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Pair]:
        for first, second in self._places:
            one, other = self._one[int(first)], self._other[int(second)]
            values = {} if self.match == "random" else asked_of(one)
            asked = "\n".join(f"{name}: {to_text(value)}" for name, value in values.items() if value is not None)
            yield Pair(asked, said_in(one, self._field), said_in(other, self._field), (_models(one), _models(other)))


def _matched(one: SourceRows, other: SourceRows, match: Match, seed: int) -> Array:
    """The places of the rows of each pair in the two files."""
    import numpy as np

    rng = np.random.default_rng(seed)
    if match == "random":
        number = min(len(one), len(other))
        return np.stack([rng.permutation(len(one))[:number], rng.permutation(len(other))[:number]], axis=1)
    keys, at = _numbered(_keys(one, match))
    other_keys, other_at = _numbered(_keys(other, match))
    _, first, second = np.intersect1d(keys, other_keys, return_indices=True)
    places: Array = np.stack([at[first], other_at[second]], axis=1)
    return places[rng.permutation(len(places))]


def _keys(rows: Iterable[Mapping[str, Any]], match: Match) -> Array:
    """Eight bytes for each row that say what it was asked for; 0 where that is not known."""
    import numpy as np

    def key(row: Mapping[str, Any]) -> int:
        told = (
            {"uuid": row["uuid"]} if match == "uuid" and row.get("uuid") else {} if match == "uuid" else asked_of(row)
        )
        if not told:
            return 0
        return int.from_bytes(
            blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=8).digest(), "little"
        )

    return np.fromiter(map(key, rows), dtype=np.uint64)


def _numbered(keys: Array) -> tuple[Array, Array]:
    """The keys with equal ones numbered, in the order of the rows, and the place of the row of each. Rows without a key are left out."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    order = order[keys[order] > 0]
    ordered = keys[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, dtype=int)
    ordinals = np.arange(len(ordered)) - np.repeat(begins, np.diff(np.append(begins, len(ordered))))
    return ordered + ordinals.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), order
