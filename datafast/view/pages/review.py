"""Rows one after the other, to accept, reject, edit, label or say something about, by one key each."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datafast.view.desk import WANTED, Desk, Found, Wanted, desk_of, fields_of, said_of, seen_of, told_of
from datafast.view.outputs import Output
from datafast.view.posts import Post, body_of
from datafast.view.rendering import Texts, row_html
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_REASONS = 9


def _page(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    desk = desk_of(output)
    return viewer.render(
        PAGE, output=output, reviewer=desk.reviewer, wanted=WANTED, may_decide="review" in viewer.permits
    )


def _row(request: Request) -> Response:
    output, desk = _output_and_desk(request)
    query = request.query_params
    wanted = query.get("wanted", "open")
    if wanted not in WANTED:
        raise HTTPException(404, f"There are no rows called {wanted!r} here. Load the page again.")
    reviewer = query.get("reviewer", "") or desk.reviewer
    start = _number(query.get("from", "0"))
    found = desk.look(wanted, start, back=query.get("back") == "1", reviewer=reviewer)
    return JSONResponse(_told(output, desk, wanted, found))


def _told(output: Output, desk: Desk, wanted: Wanted, found: Found) -> dict[str, Any]:
    output.rows.step()  # each look gets a little further
    count = output.rows.count()
    told: dict[str, Any] = {
        "number": found.number,
        "ended": found.ended,
        "rows": len(desk.dropped) if wanted == "dropped" else count.rows,
        "exact": wanted == "dropped" or count.exact,
        "reasons": desk.reasons[:_REASONS],
        "reviewers": {
            name: one.accepted + one.rejected + one.edited for name, one in desk.by_reviewer().by_reviewer.items()
        },
    }
    if found.one is not None:
        one = found.one
        told |= {
            "row": one.state.key.row,
            "seen": seen_of(one),
            "html": row_html(one.current, Texts()),
            "state": told_of(one.state),
            "fields": fields_of(one),
            "dropped_by": one.dropped_by,
            "why": one.why,
        }
    return told


async def _decide(request: Request) -> Response:
    _, desk = _output_and_desk(request)
    told = await body_of(request)
    record, state = await run_in_threadpool(desk.decide, told)
    return JSONResponse({"record": said_of(record), "state": told_of(state)})


async def _undo(request: Request) -> Response:
    _, desk = _output_and_desk(request)
    told = await body_of(request)
    record = await run_in_threadpool(desk.undo, str(told.get("reviewer") or ""))
    return JSONResponse({"record": None if record is None else said_of(record)})


def _output_and_desk(request: Request) -> tuple[Output, Desk]:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    return output, desk_of(output)


def _number(given: str) -> int:
    try:
        return max(0, int(given))
    except ValueError:
        raise HTTPException(404, f"There is no row {given!r}. Give a number.") from None


def _link(output: Output, viewer: Viewer) -> str | None:
    return f"/o/{output.id}/review" if "review" in viewer.permits or output.paths.reviews.is_file() else None


PAGE = Page(
    name="review",
    title="Review",
    routes=[
        Route("/o/{output}/review", _page),
        Route("/api/o/{output}/review/row", _row),
        Post("/api/o/{output}/review/decide", _decide, permission="review"),
        Post("/api/o/{output}/review/undo", _undo, permission="review"),
    ],
    link=_link,
)
