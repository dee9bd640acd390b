"""The rows of an output."""

from __future__ import annotations

from itertools import islice

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datafast.view.outputs import Output
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_MOST = 50


def _rows(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    rows = []
    if output.is_jsonl and output.path.is_file():
        with output.path.open("rb") as file:
            rows = [orjson.loads(line) for line in islice(file, _MOST)]
    return viewer.render(
        request, PAGE, output=output, columns=list(dict.fromkeys(n for r in rows for n in r)), rows=rows
    )


def _link(output: Output, viewer: Viewer) -> str:
    return f"/o/{output.id}/rows"


PAGE = Page(name="rows", title="Rows", routes=[Route("/o/{output}/rows", _rows)], link=_link)
