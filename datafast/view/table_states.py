"""What a page is told of a table while it becomes known: of each thing its newest state, and nothing twice."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Any

from datafast.plain import plain_text
from datafast.view.copies import CopiedRows
from datafast.view.facets import NO_VALUE, Facet, Mask, ValueCount
from datafast.view.passes import answering
from datafast.view.tables import Query, Table

__all__ = ["TableStates", "shown_values"]

_FIRST_VALUES = 60  # of a facet
_FACETS_EVERY_S = 1.0


class TableStates:
    """What becomes known of a query.

    Attributes:
        is_busy: there will soon be more to tell.
    """

    def __init__(self, table: Table, query: Query) -> None:
        self.is_busy = True
        self._table = table
        self._query = query
        self._told: dict[str, Any] = {}
        self._facets_of: tuple[int, int, int | None] | None = None
        self._facets_at = -_FACETS_EVERY_S

    def news(self) -> list[tuple[str, Any]]:
        """What has changed since it was called last, by name. Passes go on where they are not done."""
        self._table.go_on(self._query)
        with answering():
            found = [(name, value) for name, value in self._states() if self._told.get(name) != value]
        self._told.update(found)
        return found

    def _states(self) -> Iterator[tuple[str, Any]]:
        columns, more = self._table.columns()
        shown = [{"id": one.id, "name": one.name, "kind": one.kind, "isShown": one.is_shown} for one in columns]
        yield "columns", {"columns": shown, "more": more}
        yield "state", self._state()
        if self._facets_are_due():
            yield "facets", self._facets()

    def _state(self) -> dict[str, Any]:
        table, query = self._table, self._query
        rows, facets = table.rows, table.facets
        search, sorting = table.search(query), table.sorting(query)
        selected = table.selected(query)
        is_copying = isinstance(rows, CopiedRows) and rows.is_copying
        # Of a copy that was not made yet, or cannot be, only it says why.
        lacks_copy = isinstance(rows, CopiedRows) and not rows.path.exists()
        waits = [facets, *(through for through in (search, sorting) if through is not None)]
        self.is_busy = is_copying or not rows.is_complete or not all(through.is_done for through in waits)
        return {
            "generation": table.generation,
            "rows": rows.count()._asdict(),
            "selected": selected.rows._asdict(),
            "isCopying": is_copying,
            "problem": (rows.problem if isinstance(rows, CopiedRows) else None)
            or next((through.error for through in waits if through.error and not lacks_copy), None),
            "facets": {
                "share": _share(facets.share),
                "rows": facets.taker.rows,
                "isFull": facets.taker.is_full,
                "broken": facets.taker.broken,
            },
            "search": search
            and {
                "share": _share(search.share),
                "found": search.taker.num_found,
                "slow": search.taker.slow,
                "gaveUp": search.taker.gave_up,
            },
            "sort": sorting and {"share": _share(sorting.share), "ordered": sorting.taker.ordered},
        }

    def _facets_are_due(self) -> bool:
        search = self._table.search(self._query)
        state = (
            self._table.generation,
            self._table.facets.taker.rows,
            None if search is None else search.taker.num_found,
        )
        is_changed = state != self._facets_of
        is_done = self._table.facets.is_done and (search is None or search.is_done)
        if not is_changed or not (is_done or time.monotonic() - self._facets_at >= _FACETS_EVERY_S):
            return False
        self._facets_of, self._facets_at = state, time.monotonic()
        return True

    def _facets(self) -> dict[str, Any]:
        table, query = self._table, self._query
        facets = [facet for facet in table.facets.taker if facet.values or facet.is_many]
        same = table.chosen(query)
        listed = []
        for facet in facets:
            wanted = query.filters.get(facet.id, frozenset())
            among = table.chosen(query, but=facet.id) if wanted else same
            listed.append({**_named(facet), **_listed(table, facet, among, wanted)})
        return {"facets": listed, "more": table.facets.taker.more_fields, "of": self._facets_of}


def _named(facet: Facet) -> dict[str, Any]:
    return {"id": facet.id, "name": plain_text(".".join(facet.path))[:200], "isMany": not facet.is_telling}


def _listed(table: Table, facet: Facet, among: Mask | None, wanted: Collection[str]) -> dict[str, Any]:
    """The first values of a facet, and those that are chosen."""
    values = table.facets.taker.counted(facet, among) if facet.is_usable else []
    first = values[:_FIRST_VALUES] + [one for one in values[_FIRST_VALUES:] if one.value in wanted]
    return {"values": [_value(one) for one in first], "num": len(values)}


def shown_values(table: Table, query: Query, field: str, wanted: str, most: int) -> dict[str, Any]:
    """The values of a field that hold a text, at most so many, and how many there are."""
    facet = next((one for one in table.facets.taker if one.id == field and one.is_usable), None)
    if facet is None:
        return {"values": [], "num": 0}
    values = table.facets.taker.counted(facet, table.chosen(query, but=field))
    found = [one for one in values if wanted.casefold() in one.value.casefold()]
    return {"values": [_value(one) for one in found[:most]], "num": len(found)}


def _value(one: ValueCount) -> dict[str, Any]:
    return {"value": one.value, "shown": "(none)" if one.value == NO_VALUE else plain_text(one.value), "rows": one.rows}


def _share(share: float) -> float:
    return round(share, 3)
