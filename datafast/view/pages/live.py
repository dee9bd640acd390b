"""A run while it works, and how it stands afterwards: the one of this process, which can be controlled, or one of another, which is shown.

`/live` is the run of this process, `/o/{output}/live` what is recorded of an output's runs, whoever carries them out. Each page begins with
the whole state, and then gets it anew as it changes, by server-sent events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from datafast.engine.live import LiveRun, Phase
from datafast.errors import ConfigError
from datafast.view.outputs import Output
from datafast.view.posts import Post, body_of
from datafast.view.recorded import Recorded, State
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_OWN_S = 0.5
_OTHERS_S = 1.0
_PING_S = 15
_WAITS = 6  # looks, for the files to be closed after the end of a run
_NO_RUN = "This viewer has no run of its own. `datafast generate CONFIG --view` starts one."


def _viewer(request: Request) -> Viewer:
    viewer: Viewer = request.app.state.viewer
    return viewer


def _own(request: Request) -> tuple[LiveRun, Output]:
    """The run of this process and its output."""
    viewer = _viewer(request)
    if viewer.run is None:
        raise HTTPException(404, _NO_RUN)
    return viewer.run, viewer.outputs.all()[0]


def _live(request: Request) -> Response:
    viewer = _viewer(request)
    if viewer.run is None:
        found = viewer.outputs.all()
        return RedirectResponse("/" if viewer.outputs.is_folder else f"/o/{found[0].id}/live", 303)
    _, output = _own(request)
    return viewer.render(PAGE, output=output, is_own=True)


def _recorded(request: Request) -> Response:
    viewer = _viewer(request)
    output = viewer.output(request)
    return viewer.render(PAGE, output=output, is_own=False)


# -- the state, whole or as it changes


def _state(run: LiveRun | None, recorded: Recorded) -> dict[str, Any]:
    figures = None if run is None else run.figures()
    return {"run": None if figures is None else figures.to_dict(), "recorded": recorded.figures().to_dict()}


def _own_state(request: Request) -> Response:
    run, output = _own(request)
    state = _state(run, _viewer(request).recorded(output))
    return Response(orjson.dumps(state), media_type="application/json")


def _recorded_state(request: Request) -> Response:
    viewer = _viewer(request)
    state = _state(None, viewer.recorded(viewer.output(request)))
    return Response(orjson.dumps(state), media_type="application/json")


async def _own_stream(request: Request) -> Response:
    viewer, (run, output) = _viewer(request), _own(request)
    return EventSourceResponse(_watched(viewer, _changes(run, viewer.recorded(output), _OWN_S)), ping=_PING_S)


async def _recorded_stream(request: Request) -> Response:
    viewer = _viewer(request)
    output = await run_in_threadpool(viewer.output, request)
    return EventSourceResponse(_changes(None, viewer.recorded(output), _OTHERS_S), ping=_PING_S)


async def _watched(viewer: Viewer, changes: AsyncGenerator[dict[str, str], None]) -> AsyncIterator[dict[str, str]]:
    """The same, counted as long as somebody is told."""
    viewer.watchers += 1
    try:
        async with contextlib.aclosing(changes):
            async for change in changes:
                yield change
    finally:
        viewer.watchers -= 1


async def _changes(run: LiveRun | None, recorded: Recorded, every_s: float) -> AsyncGenerator[dict[str, str], None]:
    """The state whenever it has changed; of a run of this process until it is over."""
    sent, waited = b"", 0
    while True:
        state = await run_in_threadpool(_state, run, recorded)
        is_over = run is not None and state["run"]["phase"] == Phase.ENDED
        if is_over and state["recorded"]["state"] == State.RUNNING and waited < _WAITS:
            waited += 1
        elif (made := orjson.dumps(state)) != sent:
            sent = made
            yield {"event": "state", "data": made.decode()}
            if is_over:
                return
        await asyncio.sleep(every_s)


# -- what changes something


async def _pause(request: Request) -> Response:
    _own(request)[0].control.pause()
    return _done()


async def _resume(request: Request) -> Response:
    _own(request)[0].control.resume()
    return _done()


async def _stop(request: Request) -> Response:
    _own(request)[0].control.stop()
    return _done()


async def _concurrency(request: Request) -> Response:
    run, _ = _own(request)
    asked = await body_of(request)
    if not {"provider", "concurrency"} <= asked.keys():
        raise ConfigError("The viewer expects a JSON object with provider, concurrency. Load the page again.")
    run.control.set_concurrency(str(asked["provider"]), asked["concurrency"])
    return _done()


def _done() -> Response:
    """It takes effect in the next moments, as the state tells."""
    return Response(b"{}", media_type="application/json")


def _link(output: Output, viewer: Viewer) -> str | None:
    if viewer.run is not None:
        return "/live"
    return f"/o/{output.id}/live" if output.has_ledger else None


PAGE = Page(
    name="live",
    title="Run",
    routes=[
        Route("/live", _live),
        Route("/o/{output}/live", _recorded),
        Route("/api/live", _own_state),
        Route("/api/live/stream", _own_stream),
        Route("/api/o/{output}/live", _recorded_state),
        Route("/api/o/{output}/live/stream", _recorded_stream),
        Post("/api/live/pause", _pause, permission="control"),
        Post("/api/live/resume", _resume, permission="control"),
        Post("/api/live/stop", _stop, permission="control"),
        Post("/api/live/concurrency", _concurrency, permission="control"),
    ],
    link=_link,
)
