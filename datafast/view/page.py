"""What a page of the viewer is: a module in `datafast/view/pages` that gives `PAGE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from datafast.view.outputs import Output
    from datafast.view.viewer import Viewer

__all__ = ["Page", "Permission", "Post"]

Permission = Literal["review", "control", "config"]
"""What a viewer may be permitted to change: decisions about rows, a run of this process, the file of a config."""

_HOW = {
    "review": "This viewer only shows. Start it with `datafast view FILE --review` to decide about rows.",
    "control": "This run is not one of this viewer. Only the command that runs it can control it: `datafast generate CONFIG --view`.",
    "config": "This viewer does not write configs. Start it with `datafast view CONFIG.yaml`.",
}


def _nowhere(*_: Any) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page, with all that it needs of the server.

    Attributes:
        name: of its template `NAME.html.jinja`, its script `NAME.js` and its style sheet `NAME.css`.
        title: in the navigation.
        routes: GET routes, and `Post` for what changes something or takes a body.
        link: the address of the page of an output, for the navigation between the pages of an output; None where it has none.
        top: the address of the page in the bar of all pages; None where it is not there.
    """

    name: str
    title: str
    routes: Sequence[BaseRoute]
    link: Callable[[Output, Viewer], str | None] = _nowhere
    top: Callable[[Viewer], str | None] = _nowhere


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
