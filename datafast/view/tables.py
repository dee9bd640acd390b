"""What the pages of one table share: its rows, their columns and facets, and the searches and orders that somebody looks at.

Passes over the file run only while somebody watches what they find, and go on where they were when somebody does again. Where the file is
replaced, all begins anew.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import RLock, Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np

from datafast.statistics.rows import as_row
from datafast.view.cells import Column, columns_of
from datafast.view.facets import Facets, Mask
from datafast.view.index import Counted, RowIndex
from datafast.view.passes import Pass, answering
from datafast.view.search import Search
from datafast.view.selection import Rows, selected
from datafast.view.sorting import By, Sorting

__all__ = ["Query", "Selected", "Table"]

_HEAD = 300
_HEAD_BYTES = 2**21
_KEPT = 4  # searches, and orders, that nobody looks at any more
_PAUSE_S = 10.0


class Query(NamedTuple):
    """Which rows are wanted, and in which order.

    Attributes:
        filters: values by field; a row has one of them in each.
        text: that rows hold; all if it is empty.
        is_pattern: the text is a regular expression.
        sort: the column that gives the order; that of the file if there is none.
        by: what of it counts.
    """

    filters: Mapping[str, frozenset[str]]
    text: str = ""
    is_pattern: bool = False
    sort: tuple[str, ...] = ()
    by: By = "text"
    descending: bool = False


class Selected(NamedTuple):
    """The rows that are wanted, as far as they are known.

    Attributes:
        numbers: None for all, in the order of the file.
        rows: how many.
    """

    numbers: Rows | None
    rows: Counted


T = TypeVar("T")


class _Kept(OrderedDict[tuple[Any, ...], T]):
    """The newest few of something, and those that are watched."""

    def got(self, key: tuple[Any, ...], make: Callable[[], T], watched: Counter[tuple[Any, ...]]) -> T:
        if key not in self:
            self[key] = make()
        self.move_to_end(key)
        for old in [old for old in self if not watched[old]][:-_KEPT]:
            del self[old]
        return self[key]


class Table:
    """The rows of one file. Any thread may use it.

    Args:
        rows: of the file.
    """

    def __init__(self, rows: RowIndex) -> None:
        self.rows = rows
        self._lock = RLock()
        self._watched: Counter[tuple[Any, ...]] = Counter()
        self._counting: Thread | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.generation = self.rows.generation
        self._head: tuple[list[Column], int, int] = [], 0, 0
        facets = Facets()
        self._facets = Pass(self.rows, facets, is_enough=lambda: facets.is_full)
        self._searches: _Kept[Pass[Search]] = _Kept()
        self._sorts: _Kept[Pass[Sorting]] = _Kept()
        self._selected: tuple[Any, Rows | None] | None = None

    def refresh(self) -> None:
        """Notices what has become of the file."""
        with self._lock:
            self.rows.refresh()
            if self.rows.generation != self.generation:
                for through in self._passes().values():
                    through.stop()
                self._begin_anew()

    # -- what there is

    def columns(self) -> tuple[list[Column], int]:
        """The columns that the first rows have, and how many there are besides."""
        with self._lock:
            self.refresh()
            columns, more, seen = self._head
            if seen < min(_HEAD, self.rows.known or _HEAD):
                rows, size = [], 0
                for line in self.rows.lines(0, _HEAD):
                    rows.append(as_row(line.data or b"") or {})
                    size += line.size
                    if size > _HEAD_BYTES:
                        break
                # Rows that are large are not read again when there are more.
                columns, more = columns_of(rows)
                self._head = columns, more, _HEAD if size > _HEAD_BYTES else len(rows)
            return columns, more

    @property
    def facets(self) -> Pass[Facets]:
        return self._facets

    def search(self, query: Query) -> Pass[Search] | None:
        """The search of a query; None if it has none. Raises SearchError where it cannot be searched for."""
        if not query.text:
            return None
        with self._lock:
            return self._searches.got(_search_key(query), lambda: self._new_search(query), self._watched)

    def _new_search(self, query: Query) -> Pass[Search]:
        search = Search(query.text, is_pattern=query.is_pattern)
        return Pass(self.rows, search, is_enough=lambda: search.gave_up)

    def sorting(self, query: Query) -> Pass[Sorting] | None:
        """What puts the rows of a query in order; None if they come in that of the file."""
        if not query.sort:
            return None
        with self._lock:
            return self._sorts.got(_sort_key(query), lambda: self._new_sorting(query), self._watched)

    def _new_sorting(self, query: Query) -> Pass[Sorting]:
        sorting = Sorting(query.sort, query.by)
        return Pass(self.rows, sorting, at_end=sorting.put_in_order, pause_s=_PAUSE_S)

    # -- while somebody watches

    @contextmanager
    def watching(self, query: Query) -> Iterator[None]:
        """While somebody looks at this query. Raises SearchError where it cannot be searched for."""
        self.search(query)
        keys = [("facets",), _search_key(query), _sort_key(query)]
        with self._lock:
            self._watched.update(keys)
        try:
            yield
        finally:
            with self._lock:
                self._watched.subtract(keys)
                self._stop_unwatched()

    def _stop_unwatched(self) -> None:
        for key, through in self._passes().items():
            if not self._watched[key]:
                through.stop()

    def _passes(self) -> dict[tuple[Any, ...], Pass[Any]]:
        return {("facets",): self._facets, **self._searches, **self._sorts}

    def go_on(self, query: Query) -> None:
        """Goes on with what this query needs, in the background."""
        with self._lock:
            self.refresh()
            for through in (self.search(query), self.sorting(query), self._facets):
                if through is not None:
                    through.go_on()
            if not self.rows.is_complete and (self._counting is None or not self._counting.is_alive()):
                self._counting = Thread(target=_count, args=(self.rows,), daemon=True)
                self._counting.start()

    # -- the rows of a query

    def chosen(self, query: Query, *, but: str | None = None) -> Mask | None:
        """Which of the rows whose facets are known a query wants, by facets and text; None for all.

        Args:
            but: this field is left out of account.
        """
        rows = self._facets.taker.rows
        chosen = self._facets.taker.chosen(query.filters, rows, but=but)
        search = self.search(query)
        if search is None:
            return chosen
        found = np.zeros(rows, bool)
        numbers = search.taker.found
        found[numbers[numbers < rows]] = True
        return found if chosen is None else found & chosen

    def selected(self, query: Query) -> Selected:
        """The rows of a query, as far as they are known."""
        with self._lock:
            self.refresh()
            search, sorting, facets = self.search(query), self.sorting(query), self._facets.taker
            count = self.rows.count()
            if search is None and not query.filters and (sorting is None or not sorting.taker.ordered):
                return Selected(None, count)
            rows = self.rows.known
            state = (
                query,
                rows,
                query.filters and facets.rows,
                search and search.taker.num_found,
                sorting and sorting.taker.ordered,
            )
            if self._selected is None or self._selected[0] != state:
                order = sorting.taker.order(descending=query.descending) if sorting and sorting.taker.ordered else None
                found = None if search is None else search.taker.found
                chosen = facets.chosen(query.filters, facets.rows)
                self._selected = state, selected(rows, chosen=chosen, found=found, order=order)
            numbers = self._selected[1]
            whole = (search is None or search.is_done) and (not query.filters or self._facets.is_done)
            return Selected(numbers, Counted(0 if numbers is None else len(numbers), count.exact and whole))


def _search_key(query: Query) -> tuple[Any, ...]:
    return "search", query.text, query.is_pattern


def _sort_key(query: Query) -> tuple[Any, ...]:
    return "sort", query.sort, query.by


def _count(rows: RowIndex) -> None:
    while rows.step():
        answering.wait()
