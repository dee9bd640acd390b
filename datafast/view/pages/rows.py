"""The rows of an output as a table: any part of it, chosen by facets, searched, and in any order.

    /o/{output}/rows                    the page
    /api/o/{output}/rows                some of its rows
    /api/o/{output}/rows/events         what is known of them while it becomes known: a stream, and as long as it is open passes go on
    /api/o/{output}/rows/place          where a row is among those that are wanted
    /api/o/{output}/rows/values         the values of one field

All of them take the same query: `f.FIELD=VALUE` for a facet, `q=TEXT` and `pattern=1` for a search, `sort=FIELD`, `by=text|number|length`
and `descending=1` for an order, `part=dropped|failed` for what the ledger has besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, get_args

import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datafast.statistics.rows import as_row
from datafast.view.cells import MOST_COLUMNS, preview, value_at
from datafast.view.facets import field_path
from datafast.view.index import Line
from datafast.view.outputs import Output, Part, closed_told
from datafast.view.passes import answering
from datafast.view.search import SearchError
from datafast.view.selection import place_of
from datafast.view.sorting import By
from datafast.view.table_states import TableStates, shown_values
from datafast.view.tables import Query, Table
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_MOST_ROWS = 500
_PARTS: tuple[Part, ...] = get_args(Part)
_BYS: tuple[By, ...] = get_args(By)
_BUSY_S, _IDLE_S = 0.15, 1.0
_VALUES = 200


def _page(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    return viewer.render(request, PAGE, output=output, parts=_PARTS if output.has_ledger else (), part=_part(request))


def _rows(request: Request) -> Response:
    """Rows from one on, by their places among those that are wanted."""
    with answering():
        table, query = _asked(request)
        start, count = _number(request, "start", 0), min(_number(request, "count", 100), _MOST_ROWS)
        paths = [field_path(name) for name in request.query_params.getlist("c")[:MOST_COLUMNS]]
        with _refusals():
            found = table.selected(query)
        numbers = (
            range(start, start + count) if found.numbers is None else found.numbers[start : start + count].tolist()
        )
        find = "" if query.is_pattern else query.text
        shown = _shown if _part(request) == "rows" else _shown_of_ledger
        rows = [shown(line, paths, find) for line in _lines(table, numbers)]
        return _json({"generation": table.generation, "start": start, "rows": rows, "of": found.rows._asdict()})


def _lines(table: Table, numbers: Sequence[int]) -> Iterator[Line]:
    """Rows by their numbers; of those that follow each other together."""
    for _, group in groupby(enumerate(numbers), lambda place: place[1] - place[0]):
        run = [number for _, number in group]
        yield from table.rows.lines(run[0], len(run))


def _shown(line: Line, paths: Sequence[tuple[str, ...]], find: str) -> dict[str, Any]:
    row = None if line.data is None else as_row(line.data)
    if row is not None:
        return {"number": line.number + 1, "cells": [preview(value_at(row, path), find) for path in paths]}
    if line.data is None:
        told = f"This line has {line.size:,} bytes, and is too long to be shown."
    elif not line.data.strip():
        told = "This line is empty."
    else:
        told = f"This line is not a row: {preview(line.data[:2_000].decode(errors='replace'))}"
    return {"number": line.number + 1, "told": told}


def _shown_of_ledger(line: Line, paths: Sequence[tuple[str, ...]], find: str) -> dict[str, Any]:
    """The same with the uuid by which the page of the row is found: it has no number in the file."""
    row = as_row(line.data or b"") or {}
    return {**_shown(line, paths, find), "uuid": row.get("uuid") or next(iter(row.get("uuids", ())), None)}


async def _events(request: Request) -> Response:
    """What is known of a query while it becomes known; the passes for it go on as long as somebody listens."""
    viewer: Viewer = request.app.state.viewer
    table, query = await run_in_threadpool(_asked, request)
    states = TableStates(table, query)

    async def told() -> AsyncIterator[ServerSentEvent]:
        try:
            with table.watching(query):
                while not viewer.ending.is_set():
                    for name, value in await run_in_threadpool(states.news):
                        yield ServerSentEvent(data=orjson.dumps(value).decode(), event=name)
                    await asyncio.sleep(_BUSY_S if states.is_busy else _IDLE_S)
        except SearchError as error:
            yield ServerSentEvent(data=orjson.dumps({"told": str(error)}).decode(), event="refused")
        except OSError as error:
            if error.filename is None:
                raise
            yield ServerSentEvent(data=orjson.dumps({"told": closed_told(error)}).decode(), event="refused")

    return EventSourceResponse(told())


def _place(request: Request) -> Response:
    """The place of a row, or of the next one after it where rows come in the order of the file; null if it has none."""
    table, query = _asked(request)
    row = _number(request, "number", 1) - 1
    with answering(), _refusals():
        found = table.selected(query)
        place = place_of(row, found.numbers, is_sorted=bool(query.sort)) if row >= 0 else None
        return _json({"place": place if place is not None and place < found.rows.rows else None})


def _values(request: Request) -> Response:
    """The values of one field that hold a text."""
    table, query = _asked(request)
    wanted = request.query_params.get("find", "")
    with answering(), _refusals():
        return _json(shown_values(table, query, request.query_params.get("field", ""), wanted, _VALUES))


def _asked(request: Request) -> tuple[Table, Query]:
    viewer: Viewer = request.app.state.viewer
    params = request.query_params
    filters: dict[str, set[str]] = {}
    for name, value in params.multi_items():
        if name.startswith("f."):
            filters.setdefault(name.removeprefix("f."), set()).add(value)
    by = params.get("by", "text")
    query = Query(
        {name: frozenset(values) for name, values in filters.items()},
        params.get("q", ""),
        params.get("pattern") == "1",
        field_path(params["sort"]) if params.get("sort") else (),
        next((one for one in _BYS if one == by), "text"),
        params.get("descending") == "1",
    )
    return viewer.output(request).table(_part(request)), query


def _part(request: Request) -> Part:
    wanted = request.query_params.get("part", "rows")
    return next((part for part in _PARTS if part == wanted), "rows")


def _number(request: Request, name: str, otherwise: int) -> int:
    given = request.query_params.get(name, str(otherwise))
    if not (given.isascii() and given.isdigit() and len(given) < 18):
        raise HTTPException(422, f"{name}: It is not a number from 0 on.")
    return int(given)


@contextmanager
def _refusals() -> Iterator[None]:
    """What cannot be searched for is told."""
    try:
        yield
    except SearchError as error:
        raise HTTPException(422, str(error)) from error


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _link(output: Output, viewer: Viewer) -> str:
    return f"/o/{output.id}/rows"


PAGE = Page(
    name="rows",
    title="Rows",
    routes=[
        Route("/o/{output}/rows", _page),
        Route("/api/o/{output}/rows", _rows),
        Route("/api/o/{output}/rows/events", _events),
        Route("/api/o/{output}/rows/place", _place),
        Route("/api/o/{output}/rows/values", _values),
    ],
    link=_link,
)
