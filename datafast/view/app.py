"""The viewer as an ASGI application: its pages, its static files, its pages of errors, and the guard around all of them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from datafast.errors import DatafastError
from datafast.view.guard import Guard
from datafast.view.outputs import closed_told
from datafast.view.pages import (
    config,
    live,
    outputs,
    pairs,
    report,
    review,
    row,
    rows,
    side,
)
from datafast.view.posts import Post
from datafast.view.viewer import STATIC, Page, Viewer

__all__ = ["PAGES", "error_page", "viewer_app"]

PAGES: tuple[Page, ...] = (
    outputs.PAGE,
    rows.PAGE,
    row.PAGE,
    side.PAGE,
    live.PAGE,
    report.PAGE,
    review.PAGE,
    pairs.PAGE,
    config.PAGE,
)
"""All pages, in the order of the navigation."""

_TITLES = {
    403: "Not permitted",
    404: "Not found",
    405: "Not possible",
    500: "This page could not be made",
}
_NEXT = {
    404: "There is no such page. Go to the list of outputs.",
    405: "This address does not take such a request.",
    500: "The terminal in which the viewer runs shows why. The other pages go on.",
}


def viewer_app(viewer: Viewer, *, token: str) -> Guard:
    """The application of a viewer.

    Args:
        token: that the first address of a browser has in it.
    """
    viewer.pages = PAGES
    routes: list[BaseRoute] = [route for page in PAGES for route in page.routes]
    for route in routes:
        if isinstance(route, Route) and not isinstance(route, Post) and (route.methods or set()) - {"GET", "HEAD"}:
            raise TypeError(f"{route.path} takes {route.methods}: what is not GET has to be a Post")
    app = Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=STATIC), name="static")],
        exception_handlers={
            HTTPException: _http_error,
            DatafastError: _own_error,
            OSError: _closed,
            Exception: _failure,
        },
    )
    app.state.viewer = viewer
    return Guard(app, token=token, refused=lambda status, told: error_page(viewer, status, told))


def error_page(viewer: Viewer, status: int, told: str) -> HTMLResponse:
    """A page that says what is wrong and what to do."""
    title = _TITLES.get(status, "This cannot be shown")
    return HTMLResponse(viewer.template("error", title=title, told=told), status)


def _error(request: Request, status: int, told: str, kind: str) -> Response:
    """An error, as JSON below /api/."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": {"type": kind, "message": told}}, status)
    return error_page(request.app.state.viewer, status, told)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the types: that is what it handles
    own = error.detail if " " in error.detail and error.detail.endswith(".") else None
    told = own or _NEXT.get(error.status_code, error.detail)
    return _error(request, error.status_code, told, "HTTPException")


def _own_error(request: Request, error: Exception) -> Response:
    """What is wrong with a file is said in words; it is nothing of the server's."""
    assert isinstance(error, DatafastError)  # noqa: S101 - for the types: that is what it handles
    return _error(request, 422, str(error), error.public_name)


def _closed(request: Request, error: Exception) -> Response:
    """A file that the system does not let be read: neither is that anything of the server's."""
    if not isinstance(error, OSError) or error.filename is None:
        raise error
    return _error(request, 422, closed_told(error), type(error).__name__)


def _failure(request: Request, error: Exception) -> Response:
    return _error(request, 500, _NEXT[500], type(error).__name__)
