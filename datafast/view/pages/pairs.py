"""Two texts side by side, without telling who wrote them: which is better? And what has come of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from datafast.errors import ConfigError
from datafast.reviews import ReviewedRow
from datafast.reviews.rows import row_in_line
from datafast.store.review_records import RowKey
from datafast.view.desk import desk_of, reach, said_of
from datafast.view.outputs import Output
from datafast.view.pairs import Candidate, Candidates, candidates_of, in_order, is_turned, shown
from datafast.view.posts import Post, body_of
from datafast.view.rendering import Texts, row_html
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_BETTER = {"left": 0, "right": 1, "tie": None}


class _Queue:
    """The pairs of one output."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._known: tuple[Any, Candidates] | None = None

    @property
    def candidates(self) -> Candidates:
        rows = self._output.rows
        with self._lock:
            rows.wait()
            state = rows.generation, rows.size
            if self._known is None or self._known[0] != state:
                self._known = state, candidates_of(self._output)
            return self._known[1]

    def rows(self, pair: Candidate) -> tuple[ReviewedRow, ReviewedRow] | None:
        """Both rows and how they stand; None where one of them is gone."""
        found = [self._row(number) for number, _ in pair]
        if found[0] is None or found[1] is None:
            return None
        with desk_of(self._output).held() as reviews:
            decisions = reviews.decisions
            one, other = (ReviewedRow(row, decisions.of(RowKey.of(row))) for row in found if row is not None)
        return one, other

    def _row(self, number: int) -> Mapping[str, Any] | None:
        reach(self._output.rows, number)
        line = self._output.rows.line(number)
        return None if line is None or line.data is None else row_in_line(line.data)

    def waiting(self, reviewer: str) -> list[Candidate]:
        """The pairs that a reviewer has not compared, in the order of this reviewer."""
        with desk_of(self._output).held() as reviews:
            done = {
                frozenset((side.row, side.field) for side in one.pair.sides)
                for one in reviews.decisions.preferences
                if one.pair is not None and one.reviewer == reviewer
            }
        known = self.candidates
        names = known.names
        return [
            pair
            for pair in in_order(known.pairs, reviewer)
            if frozenset((names[number], field) for number, field in pair) not in done
        ]


@lru_cache(maxsize=64)
def _queue_of(output: Output) -> _Queue:
    return _Queue(output)


def _page(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    desk = desk_of(output)
    return viewer.render(PAGE, output=output, reviewer=desk.reviewer, may_decide="review" in viewer.permits)


def _next(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    queue, reviewer = _queue_of(output), request.query_params.get("reviewer", "") or desk_of(output).reviewer
    waiting = queue.waiting(reviewer)
    candidates = queue.candidates
    told: dict[str, Any] = {
        "left": len(waiting),
        "pairs": len(candidates.pairs),
        "rows": candidates.rows,
        "are_all": candidates.are_all,
    }
    skipped = set(request.query_params.getlist("skip"))
    pair = next((one for one in waiting if one.name not in skipped), waiting[0] if waiting else None)
    rows = None if pair is None else queue.rows(pair)
    if pair is not None and rows is not None:
        told["pair"] = _shown(pair, rows, is_turned(pair, reviewer))
    return JSONResponse(told)


def _shown(pair: Candidate, rows: tuple[ReviewedRow, ReviewedRow], turned: bool) -> dict[str, Any]:
    said = shown((rows[0].current, rows[1].current), (pair.one[1], pair.other[1]))
    sides = [row_html(side, Texts()) for side in said.sides]
    return {
        "name": pair.name,
        "rows": _texts_of(rows),
        "common": row_html(said.common, Texts()) if said.common else "",
        "sides": sides[::-1] if turned else sides,
    }


def _texts_of(rows: tuple[ReviewedRow, ReviewedRow]) -> list[list[str]]:
    """What tells whether two rows say what was shown: of each its name, and the digest of what it says with its edits."""
    return [[one.state.key.row, one.state.becomes] for one in rows]


async def _prefer(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    told = await body_of(request)
    return JSONResponse(await run_in_threadpool(_preferred, output, told))


def _preferred(output: Output, told: Mapping[str, Any]) -> dict[str, Any]:
    queue, desk = _queue_of(output), desk_of(output)
    reviewer = str(told.get("reviewer") or desk.reviewer)
    pair = next((one for one in queue.candidates.pairs if one.name == told.get("pair")), None)
    rows = None if pair is None else queue.rows(pair)
    if pair is None or rows is None or _texts_of(rows) != told.get("rows"):
        raise ConfigError(
            "pair: The file or the texts have changed since they were shown, and this pair is gone. Nothing was saved; load the page again."
        )
    if told.get("better") not in _BETTER:
        raise ConfigError(f"better: Give one of {', '.join(_BETTER)}.")
    better, first = _BETTER[told["better"]], int(is_turned(pair, reviewer))
    sides = [one.row if field is None else (one.row, field) for one, (_, field) in zip(rows, pair, strict=True)]
    with desk.held() as reviews:
        record = reviews.prefer(
            sides[0],
            sides[1],
            None if better is None else better ^ first,
            shown_first=first,
            reviewer=reviewer,
        )
    return {"record": said_of(record)}


def _results(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    output = viewer.output(request)
    with desk_of(output).held() as reviews:
        return JSONResponse(reviews.pairs().model_dump(mode="json"))


def _link(output: Output, viewer: Viewer) -> str | None:
    return f"/o/{output.id}/pairs" if "review" in viewer.permits else None


PAGE = Page(
    name="pairs",
    title="Pairs",
    routes=[
        Route("/o/{output}/pairs", _page),
        Route("/api/o/{output}/pairs/next", _next),
        Route("/api/o/{output}/pairs/results", _results),
        Post("/api/o/{output}/pairs/prefer", _prefer, permission="review"),
    ],
    link=_link,
)
