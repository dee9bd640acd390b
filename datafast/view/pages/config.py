"""Editing a config: its problems where they are, and what it will ask, while one types."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from datafast.config_files.starting import starter, starter_kinds
from datafast.errors import ConfigError
from datafast.plain import plain_text
from datafast.registry import kind_names
from datafast.view.config.files import MOST_BYTES, ConfigFiles, Conflict, config_address
from datafast.view.config.planner import Planner
from datafast.view.posts import Permission, Post, body_of
from datafast.view.viewer import Page, Viewer

__all__ = ["PAGE"]

_MOST_BODY = 3 * MOST_BYTES  # JSON writes some characters as six
_PERMISSION: Permission = "config"


class _Shared:
    """What the page keeps for a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        place = viewer.outputs.place
        self.files = ConfigFiles(place if viewer.outputs.is_folder else place.parent)
        self.planner = Planner([self.files.folder, Path.cwd()])


_kept: WeakKeyDictionary[Viewer, _Shared] = WeakKeyDictionary()
_lock = threading.Lock()


def _shared(request: Request) -> _Shared:
    viewer: Viewer = request.app.state.viewer
    with _lock:
        found = _kept.get(viewer)
        if found is None:
            found = _kept[viewer] = _Shared(viewer)
    return found


def _config(request: Request) -> Response:
    viewer: Viewer = request.app.state.viewer
    files = _shared(request).files
    names = files.names()
    name, kind = request.query_params.get("path", ""), request.query_params.get("kind", "")
    text, digest, told = "", "", ""
    try:
        if name:
            text, digest = files.read(name)
        elif kind:
            name, text = _free(f"{kind}.yaml", names), starter(kind)
    except ConfigError as error:
        name, told = "", str(error)
    return viewer.render(
        PAGE,
        status_code=404 if told else 200,
        names=[(one, config_address(one)) for one in names],
        starters=starter_kinds(),
        config=name,
        text=text,
        digest=digest,
        told=told,
        kinds=" ".join(kind_names()),
        folder=files.folder,
        current=Path.cwd(),
        way=os.path.relpath(files.folder),
        may_save=_PERMISSION in viewer.permits,
    )


def _free(name: str, names: list[str]) -> str:
    """A name that no config has yet."""
    stem, number = name.removesuffix(".yaml"), 1
    while name in names:
        number += 1
        name = f"{stem}_{number}.yaml"
    return name


async def _asked(request: Request, **types: type) -> dict[str, Any]:
    """What the body says: these fields, each of its type."""
    given = await body_of(request, most_bytes=_MOST_BODY)
    if any(type(given.get(name)) is not kind for name, kind in types.items()):
        raise ConfigError(f"The viewer expects a JSON object with {', '.join(types)}. Load the page again.")
    return {name: given[name] for name in types}


async def _plan(request: Request) -> Response:
    asked = await _asked(request, page=str, path=str, text=str)
    return _answer(request, asked, "plan", text=asked["text"])


async def _prompt(request: Request) -> Response:
    asked = await _asked(request, page=str, path=str, text=str, position=int)
    return _answer(request, asked, "prompt", text=asked["text"], position=asked["position"])


def _answer(request: Request, asked: dict[str, Any], what: str, **given: Any) -> Response:
    """One JSON object a line, as they are known."""
    shared = _shared(request)
    path = shared.files.path_of(asked["path"] or "config.yaml")
    return _streamed(shared.planner.ask(f"{what} {asked['page']}", what, path=str(path), **given))


def _schema(request: Request) -> Response:
    shared = _shared(request)
    kind = request.query_params.get("kind", "")
    page = request.query_params.get("page", "")
    return _streamed(shared.planner.ask(f"schema {page}", "schema", kind=kind))


def _streamed(parts: Iterator[dict[str, Any]]) -> Response:
    lines = (orjson.dumps(_shown(part)) + b"\n" for part in parts)
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def _save(request: Request) -> Response:
    asked = await _asked(request, path=str, text=str, digest=str)
    files = _shared(request).files
    done = await run_in_threadpool(files.save, asked["path"], asked["text"], asked["digest"])
    if isinstance(done, Conflict):
        return JSONResponse({"conflict": {"digest": done.digest, "difference": [*map(plain_text, done.difference)]}})
    return JSONResponse({"digest": done.digest})


def _text(request: Request) -> Response:
    found = _shared(request).files.read(request.query_params.get("path", ""))
    return JSONResponse({"text": found.text, "digest": found.digest})


def _shown(value: Any) -> Any:
    """With marks of direction and control characters as codes."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if isinstance(value, dict):
        return {plain_text(name): _shown(one) for name, one in value.items()}
    return value


def _top(viewer: Viewer) -> str:
    return "/config"


PAGE = Page(
    name="config",
    title="Config",
    routes=[
        Route("/config", _config),
        Route("/api/config/schema", _schema),
        Route("/api/config/text", _text),
        Post("/api/config/plan", _plan, permission=None),
        Post("/api/config/prompt", _prompt, permission=None),
        Post("/api/config/save", _save, permission=_PERMISSION),
    ],
    top=_top,
)
