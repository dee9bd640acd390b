"""The list of outputs of a folder. With one file, it leads to its rows."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from datafast.plain import plain_text
from datafast.view.outputs import FileState, Output
from datafast.view.summary import Summary
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]


def _outputs(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    if viewer.run is not None:
        return RedirectResponse("/live", 303)
    if not viewer.outputs.is_folder:
        return RedirectResponse(f"/o/{viewer.outputs.all()[0].id}/rows", 303)
    return viewer.render(PAGE, place=str(viewer.outputs.place))


def _changes(request: Request) -> Response:
    """What has changed of the outputs since a version; see `Summaries`."""
    viewer: Viewer = request.app.state.viewer
    since = request.query_params.get("since", "0")
    found = viewer.summaries.changes(viewer.outputs.all(), int(since) if since.isdecimal() else 0)
    told = {
        "version": found.version,
        "pending": found.pending,
        "gone": found.gone,
        "is_cut": viewer.outputs.is_cut,
        "changed": [_entry(*one) for one in found.changed],
    }
    return Response(orjson.dumps(told), media_type="application/json")


def _entry(output: Output, state: FileState, summary: Summary | None) -> dict[str, Any]:
    folder, _, name = output.name.rpartition("/")
    told = {} if summary is None else summary._asdict() | {"told": plain_text(summary.told)}
    return {
        "id": output.id,
        "name": plain_text(name),
        "folder": plain_text(folder),
        "size": state.rows_size,
        "at": max(state.rows_time_ns, state.ledger_time_ns, state.log_time_ns) / 1e9,
        "is_known": summary is not None,
        **told,
    }


def _top(viewer: Viewer) -> str | None:
    return "/" if viewer.outputs.is_folder else None


PAGE = Page(name="outputs", title="Outputs", routes=[Route("/", _outputs), Route("/api/outputs", _changes)], top=_top)
