"""The type that plain JSON values have in common: a scalar, or a list of scalars."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = ["common_kind", "kind_of"]

_SCALARS = frozenset([str, int, float, bool])


def kind_of(value: Any) -> Any:
    """The type of a value; of a list with elements of one sort `list[...]`, of an empty one `list`, of any other `object`."""
    kind = type(value)
    if kind is not list or not value:
        return kind
    inner = common_kind({type(element) for element in value})
    return object if inner is None else list[inner]  # type: ignore[valid-type]


def common_kind(kinds: Collection[Any]) -> Any:
    """The type that holds values of all these kinds unchanged, null aside; None where there is none narrower than any value."""
    left = set(kinds) - {type(None)}
    if len(left) > 1 and all(kind is list or getattr(kind, "__origin__", None) is list for kind in left):
        left.discard(list)  # an empty list is one of whatever elements
    if left == {int, float}:
        return float
    if left == {list[int], list[float]}:
        return list[float]
    (only,) = left if len(left) == 1 else (None,)
    return only if only in _SCALARS or getattr(only, "__origin__", None) is list else None
