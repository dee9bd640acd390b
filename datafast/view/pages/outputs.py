"""The list of outputs of a folder. With one file, it leads to its rows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]


def _outputs(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    found = viewer.outputs.all()
    if viewer.run is not None:
        return RedirectResponse("/live", 303)
    if not viewer.outputs.is_folder:
        return RedirectResponse(f"/o/{found[0].id}/rows", 303)
    return viewer.render(request, PAGE, outputs=found)


def _top(viewer: Viewer) -> str | None:
    return "/" if viewer.outputs.is_folder else None


PAGE = Page(name="outputs", title="Outputs", routes=[Route("/", _outputs)], top=_top)
