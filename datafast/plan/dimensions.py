"""The axes of a plan: values, each with an identity that does not depend on its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

import orjson

from datafast.plan.items import digest

__all__ = ["Computed", "Dimension"]

T = TypeVar("T")


class Computed(Sequence[T]):
    """A sequence whose elements are made on demand and not kept."""

    def __init__(self, size: int, make: Callable[[int], T]) -> None:
        self._size = size
        self._make = make

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        found = range(self._size)[index]
        return self._make(found) if isinstance(found, int) else [self._make(number) for number in found]

    def __iter__(self) -> Iterator[T]:
        return map(self._make, range(self._size))


class Dimension:
    """One axis of a plan: values, each with an identity that is unique on the axis.

    Equal values are numbered among themselves, so asking for the same topic twice gives two different items.

    Args:
        identity: what distinguishes a value, as plain JSON values.
        digests: the identities as 16 bytes each, if the values are known to be distinct and are too many to go through.
        fingerprint: bytes that change whenever one of these digests does; by default made of all of them.
        states: of each value, what is not in its digest and still makes its items anew, from the calls that they made before as far as
            these ask the same: what else stands in a row that is known by its key.
        rows: the rows that an item asks for, by value, if they differ; `num_rows` is their sum over all values.
        period: given if the values go on with a drawn plan, one for each of its items: their number until they are about the
            same things again.
        called: what users call it, if that is not its name.
    """

    def __init__(
        self,
        name: str,
        values: Sequence[Any],
        *,
        identity: Callable[[Any], Any] = lambda value: value,
        digests: Sequence[bytes] | None = None,
        fingerprint: bytes | None = None,
        states: Sequence[bytes] | None = None,
        rows: Callable[[Any], int] | None = None,
        num_rows: int | None = None,
        period: int | None = None,
        called: str | None = None,
    ) -> None:
        self.name = name
        self.called = called or name
        self.values = values
        self.rows = rows
        self.num_rows = num_rows
        self.period = period
        self.digests: Sequence[bytes] = digests if digests is not None else self._numbered(identity)
        self.states = states
        self._fingerprint = fingerprint

    def _numbered(self, identity: Callable[[Any], Any]) -> list[bytes]:
        seen: Counter[bytes] = Counter()
        digests = []
        for value in self.values:
            plain = digest(
                self.name, orjson.dumps(identity(value), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
            )
            ordinal = seen[plain]
            seen[plain] += 1
            digests.append(digest(plain, str(ordinal)) if ordinal else plain)
        return digests

    @property
    def fingerprint(self) -> bytes:
        """Bytes that change whenever an identity or its place does."""
        return self._fingerprint if self._fingerprint is not None else b"".join(self.digests)

    def __len__(self) -> int:
        return len(self.values)
