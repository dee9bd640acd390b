"""Items that failed for good, read from the ledger on demand.

Cost: eight bytes a failed item, and a hundred items at a time while they are read, because prompts and replies may be long.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import overload

from datafast._util.user_path import is_file
from datafast.errors import OutputError
from datafast.plan.items import Plan, WorkItem, row_uuid
from datafast.store.reader import LedgerReader
from datafast.store.records import FailureRow, ItemRecord
from datafast.types import FailedItem

__all__ = ["FailedItems", "PlanOf", "ValuesOf", "finder", "planned", "values_of"]

PlanOf = Callable[[Sequence[str]], Plan]
"""Gives the plan of a config for routes of these identities."""
ValuesOf = Callable[[ItemRecord], Mapping[str, str]]
"""Gives what distinguishes an item, in words; empty if it is not known."""

_PAGE = 100


class FailedItems(Sequence[FailedItem]):
    """The failed items of an output when this was made, oldest failure first.

    Args:
        ledger: its ledger; if there is none, there are no failed items.
        values_of: gives what distinguishes an item.
        category, provider: only items of this category, at this provider.

    Raises:
        OutputError: the ledger cannot be read, or a run has begun to retry some of the items in between.
    """

    def __init__(
        self,
        ledger: Path,
        values_of: ValuesOf = lambda item: {},
        *,
        category: str | None = None,
        provider: str | None = None,
    ) -> None:
        self._path = ledger
        self._values_of = values_of
        self._ids: Sequence[int] = array("q")
        if is_file(ledger):
            with LedgerReader(ledger) as reader:
                self._ids = reader.failure_ids(category=category, provider=provider)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> FailedItem: ...
    @overload
    def __getitem__(self, index: slice) -> list[FailedItem]: ...
    def __getitem__(self, index: int | slice) -> FailedItem | list[FailedItem]:
        if isinstance(index, slice):
            return list(self._read(self._ids[index]))
        return next(self._read([self._ids[index]]))

    def __iter__(self) -> Iterator[FailedItem]:
        return self._read(self._ids)

    def __repr__(self) -> str:
        return f"<{len(self)} failed items in {self._path}>"

    def _read(self, ids: Sequence[int]) -> Iterator[FailedItem]:
        for start in range(0, len(ids), _PAGE):
            page = list(ids[start : start + _PAGE])
            with LedgerReader(self._path) as reader:
                found = reader.failed(page)
            if len(found) < len(page):
                raise OutputError(
                    f"A run has begun to retry failed items of {self._path} since they were listed. List them again."
                )
            for failure, item in found:
                yield self._item(failure, item)

    def _item(self, failure: FailureRow, item: ItemRecord) -> FailedItem:
        missing = [number for number in range(item.num_rows) if not item.decided >> number & 1]
        return FailedItem(
            key=item.key.hex(),
            uuids=tuple(row_uuid(item.key, number) for number in missing),
            rows=failure.rows,
            values=dict(self._values_of(item)),
            category=failure.category,
            error=failure.error,
            provider=failure.provider,
            role=failure.role,
            attempts=failure.attempts,
            prompt=failure.prompt,
            raw_reply=failure.raw.decode("utf-8", "replace"),
            failed_at=datetime.fromtimestamp(failure.at, UTC),
        )


def values_of(plan_of: PlanOf, ledger: Path) -> ValuesOf:
    """Finds what distinguishes items of a ledger, in the plan of the config that they were made with."""
    if not is_file(ledger):
        return lambda item: {}
    with LedgerReader(ledger) as reader:
        find = finder(planned(plan_of, reader))

    def values(item: ItemRecord) -> Mapping[str, str]:
        found = find(item)
        return {} if found is None else found.shown_values

    return values


def planned(plan_of: PlanOf, ledger: LedgerReader) -> Plan:
    """The plan for as many routes as a ledger was made with; who they are does not matter."""
    routes = int(ledger.meta("routes") or ledger.requested // max(1, plan_of(["any"]).num_rows))
    return plan_of(["any"] * max(1, routes))


def finder(plan: Plan) -> Callable[[ItemRecord], WorkItem | None]:
    """Finds items of a ledger in a plan.

    An item is recognised by its content, so a changed config gives nothing rather than something wrong.
    """

    def find(item: ItemRecord) -> WorkItem | None:
        if item.position >= len(plan):
            return None
        for same in (plan, *plan.former):
            if (found := same[item.position]).content == item.content:
                return found
        return None

    return find
