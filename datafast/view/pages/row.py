"""The page of one row: what it holds, and all that is recorded of how it was made."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from datafast.store.manifest import ABOUT
from datafast.view.found_row import FoundRow, NoSuchRow, explained, find_row, row_number, rows_of
from datafast.view.outputs import Output
from datafast.view.provenance import Provenance, provenance_of
from datafast.view.rendering import Texts
from datafast.view.rendering.layouts import laid_out, pair_names
from datafast.view.rendering.texts import PIECE, piece_of
from datafast.view.rendering.values import write
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE", "found", "neighbours"]

_ROW, _TOLD, _LINE = "row", "told", "line"


def found(output: Output, key: str) -> FoundRow:
    """The row that a part of an address names.

    Raises:
        HTTPException: 404, there is none.
    """
    try:
        return find_row(output, key)
    except NoSuchRow as error:
        raise HTTPException(404, str(error)) from error


def _row(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output, key = viewer.output(request), request.path_params["row"]
    row = found(output, key)
    if row.number is not None and row_number(key) is None:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/o/{output.id}/rows/{row.number}{query}", 303)
    raw = request.query_params.get("texts") == "raw"
    texts = Texts(raw=raw, within=(_ROW,))
    return viewer.render(
        PAGE,
        output=output,
        row=row,
        view=None if (row.number is None and row.value is None) or row.problem else laid_out(row.value, texts),
        line=Texts(within=()).as_it_is(row.text, (_LINE,)) if row.text else None,
        is_raw=raw,
        has_pair=isinstance(row.value, dict) and pair_names(row.value) is not None,
        is_jsonl=output.is_jsonl,
        provenance=_provenance(output, row, raw),
        **neighbours(output, row, f"/o/{output.id}/rows/", "?texts=raw" if raw else ""),
    )


def _provenance(output: Output, row: FoundRow, raw: bool) -> Provenance | None:
    told = explained(output, row)
    if told is None:
        return None
    with output.reader() as reader:
        about = reader.noted(ABOUT)
    providers = about.get("providers", []) if isinstance(about, dict) else []
    specs = {one["label"]: one.get("spec", {}) for one in providers if isinstance(one, dict) and "label" in one}
    return provenance_of(told, row.value, specs, Texts(raw=raw, within=(_TOLD,)))


def neighbours(output: Output, row: FoundRow, begins: str, ends: str = "") -> dict[str, Any]:
    """The addresses of the pages for the rows before and behind a row, made of their numbers, and how many rows there are."""
    count = rows_of(output)
    number = row.number
    if number is None:
        return {"count": count, "before": None, "behind": None}
    return {
        "count": count,
        "before": f"{begins}{number - 1}{ends}" if number > 1 else None,
        "behind": f"{begins}{number + 1}{ends}" if number < count.rows or not count.exact else None,
    }


def _json(request: Request) -> Response:
    """The row as JSON: its line as it is, or what the ledger has of it."""
    output = request.app.state.viewer.output(request)
    row = found(output, request.path_params["row"])
    return Response(row.text or write(row.value), media_type="application/json")


def _text(request: Request) -> Response:
    """A piece of a text: `path` is where it is, `from` at which letter the piece begins."""
    output = request.app.state.viewer.output(request)
    try:
        path, start = json.loads(request.query_params.get("path", "")), int(request.query_params.get("from", ""))
    except ValueError:
        path, start = None, -1
    if not isinstance(path, list) or not path or start < 0:
        raise HTTPException(422, "The address has to say which text is meant: its path as JSON, and from which letter.")
    row = found(output, request.path_params["row"])
    values: dict[str, Any] = {_ROW: row.value, _LINE: row.text}
    if path[0] == _TOLD and (told := explained(output, row)) is not None:
        values[_TOLD] = told.to_dict()
    piece = piece_of(values, path, start)
    if piece is None:
        raise HTTPException(404, "There is no such text in the row any more. Load the page again.")
    return JSONResponse({"text": piece, "next": start + PIECE})


PAGE = Page(
    name="row",
    title="Row",
    routes=[
        Route("/o/{output}/rows/{row}", _row),
        Route("/api/o/{output}/rows/{row}", _json),
        Route("/api/o/{output}/rows/{row}/text", _text),
    ],
)
