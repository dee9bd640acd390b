"""Routes of pages that take something: each names the permission that the viewer needs for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

__all__ = ["Permission", "Post"]

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
