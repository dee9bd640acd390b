"""The report of an output, made in the background and made again while a run writes."""

from __future__ import annotations

import time

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datafast.view.outputs import Output
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]


def _page(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    return viewer.render(PAGE, output=viewer.output(request))


def _state(request: Request) -> Response:
    """How the report stands: the newest one, and for how long another is being made."""
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    made, making_s = viewer.reports.of(output)
    told = {
        "number": 0 if made is None else made.number,
        "age_s": None if made is None else max(0.0, time.time() - made.at),
        "rows": None if made is None else made.rows,
        "problem": "" if made is None else made.problem,
        "is_newest": made is not None and made.state == output.state,
        "making_s": making_s,
        "size": output.state.rows_size,
    }
    return Response(orjson.dumps(told), media_type="application/json")


def _contents(request: Request) -> Response:
    """What is shown of the newest report, as HTML that is put into the page."""
    made, _ = request.app.state.viewer.reports.of(request.app.state.viewer.output(request))
    if made is None or made.contents is None:
        raise HTTPException(404, "There is no report yet. Wait until it is made.")
    return Response(str(made.contents.head + made.contents.sections), media_type="text/html")


def _style(request: Request) -> Response:
    """The style sheet of the newest report, in force below `.report` alone: figures bring their own."""
    made, _ = request.app.state.viewer.reports.of(request.app.state.viewer.output(request))
    style = "" if made is None or made.contents is None else made.contents.style
    return Response(f".report{{{style}}}", media_type="text/css")


def _link(output: Output, viewer: Viewer) -> str:
    return f"/o/{output.id}/report"


PAGE = Page(
    name="report",
    title="Report",
    routes=[
        Route("/o/{output}/report", _page),
        Route("/api/o/{output}/report", _state),
        Route("/api/o/{output}/report.html", _contents),
        Route("/api/o/{output}/report.css", _style),
    ],
    link=_link,
)
