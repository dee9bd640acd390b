"""Rows side by side: any two, chosen against rejected, models against each other for one prompt, and rows that are nearly the same."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datafast.view.alike import MOST_COMPARED, near_groups, same_prompt
from datafast.view.comparing import compared_pair, compared_rows
from datafast.view.found_row import FoundRow
from datafast.view.outputs import Output
from datafast.view.pages.row import found, neighbours
from datafast.view.rendering import Texts
from datafast.view.rendering.layouts import laid_out
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_COLUMNS = 6


def _side(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    asked = request.query_params
    keys = [key.strip() for key in (asked.get("first", ""), asked.get("second", "")) if key.strip()]
    row = asked.get("row", "").strip()
    values: dict[str, Any] = {
        "rows": [],
        "comparison": None,
        "twins": [],
        "near": None,
        "titles": ("", ""),
        "before": None,
        "behind": None,
    }
    if len(keys) == 2:
        values |= _of_two(*(_readable(output, key) for key in keys))
    elif row or keys:
        values |= _of_one(output, one := _readable(output, row or keys[0]))
        values |= neighbours(output, one, f"/o/{output.id}/side?row=")
    elif asked.get("near"):
        values["near"] = near_groups(output)
    return viewer.render(PAGE, output=output, most_compared=MOST_COMPARED, **values)


def _readable(output: Output, key: str) -> FoundRow:
    row = found(output, key)
    if row.problem or (row.value is None and row.number is None):
        raise HTTPException(404, f"Row {key} cannot be compared. {row.problem or 'It was never made.'}")
    return row


def _of_two(first: FoundRow, second: FoundRow) -> dict[str, Any]:
    return {
        "rows": [first, second],
        "comparison": compared_rows(first.value, second.value),
        "titles": (_title(first), _title(second)),
    }


def _of_one(output: Output, row: FoundRow) -> dict[str, Any]:
    """The two responses of a row, and the rows that answer the same prompt."""
    pair = compared_pair(row.value) if isinstance(row.value, dict) else None
    texts = Texts()
    twins = [(twin, laid_out(_without_metadata(twin.value), texts)) for twin in same_prompt(output, row)[:_COLUMNS]]
    return {"rows": [row], "comparison": pair, "twins": twins, "titles": ("chosen", "rejected")}


def _without_metadata(row: Any) -> Any:
    return {name: value for name, value in row.items() if name != "metadata"} if isinstance(row, dict) else row


def _title(row: FoundRow) -> str:
    return f"row {row.number:,}" if row.number is not None else f"row {row.key[:8]}"


def _link(output: Output, viewer: Viewer) -> str:
    return f"/o/{output.id}/side"


PAGE = Page(name="side", title="Side by side", routes=[Route("/o/{output}/side", _side)], link=_link)
