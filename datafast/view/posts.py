"""Routes of pages that take something, each with the permission that the viewer needs for it; and what they are sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from datafast.errors import ConfigError

__all__ = ["Permission", "Post", "body_of"]

_MOST_BYTES = 1 << 26

Permission = Literal["review", "control", "config"]
"""What a viewer may be permitted to change: decisions about rows, a run of this process, the file of a config."""

_HOW = {
    "review": "This viewer only shows. Start it with `datafast view FILE --review` to decide about rows.",
    "control": "This run is not one of this viewer. Only the command that runs it can control it: `datafast generate CONFIG --view`.",
    "config": "This viewer does not write configs. Start it with `datafast view CONFIG.yaml --edit`, or copy the text.",
}


class Post(Route):
    """A route that takes JSON by POST.

    Args:
        permission: that the viewer needs for it; None for what changes nothing.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], *, permission: Permission | None) -> None:
        super().__init__(path, endpoint, methods=["POST"])
        self.permission = permission

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.permission is not None and self.permission not in scope["app"].state.viewer.permits:
            raise HTTPException(403, _HOW[self.permission])
        await super().handle(scope, receive, send)


async def body_of(request: Request, *, most_bytes: int = _MOST_BYTES) -> dict[str, Any]:
    """The JSON object that a page has sent.

    Raises:
        ConfigError: it is none.
        HTTPException: 413, it is too large.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise HTTPException(
                413, f"The viewer takes no more than {most_bytes >> 20} MiB. Edit it in another editor."
            )
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise ConfigError("The viewer expects a JSON object here. Load the page again.")
    return told
