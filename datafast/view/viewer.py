"""What the pages of one viewer share, its outputs, what it may change and its templates; and what a page is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute

from datafast._util.version import VERSION
from datafast.engine.live import LiveRun
from datafast.plain import plain_text
from datafast.view.outputs import Output, Outputs
from datafast.view.posts import Permission
from datafast.view.recorded import Recorded
from datafast.view.rendering import part_html
from datafast.view.reports import Reports
from datafast.view.summaries import Summaries

__all__ = ["STATIC", "Page", "Viewer"]

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"


def _nowhere(*_: Any) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of the viewer: what a module in `datafast/view/pages` gives as `PAGE`, with all that it needs of the server.

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


class Viewer:
    """One viewer.

    Args:
        outputs: that it shows.
        permits: what its pages may change; nothing by default.
        run: the run of this process that it shows while it works; None for none.

    Attributes:
        summaries, reports: of its outputs.
        ending: is set when its server ends: streams end then.
        pages: that it has, in the order of the navigation. `app.viewer_app` sets them.
        watchers: pages that are being told how the run goes.
    """

    def __init__(self, outputs: Outputs, *, permits: Collection[Permission] = (), run: LiveRun | None = None) -> None:
        self.outputs = outputs
        self.run = run
        self.watchers = 0
        self._recorded: dict[str, Recorded] = {}
        self.permits = frozenset(permits)
        self.ending = threading.Event()
        self.summaries = Summaries()
        self.reports = Reports()
        self.pages: Sequence[Page] = ()
        self._templates = Environment(
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
            finalize=_plain,
            loader=FileSystemLoader(_TEMPLATES),
        )
        self._templates.globals["part"] = part_html

    def close(self) -> None:
        """Ends what is going on in the background."""
        self.reports.close()

    def recorded(self, output: Output) -> Recorded:
        """How the runs of an output stand, as far as it is recorded."""
        return self._recorded.setdefault(output.id, Recorded(output))

    def output(self, request: Request) -> Output:
        """The output that `{output}` in the path of a request names.

        Raises:
            HTTPException: 404, there is none.
        """
        found = self.outputs.get(request.path_params["output"])
        if found is None:
            raise HTTPException(404, "There is no such output any more. Look for it in the list of outputs.")
        return found

    def render(
        self, page: Page, *, output: Output | None = None, status_code: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page from its template, which extends `base.html.jinja`, with `viewer`, `page`, `output` and these values."""
        return HTMLResponse(self.template(page.name, page=page, output=output, **values), status_code)

    def template(self, name: str, *, page: Page | None = None, output: Output | None = None, **values: Any) -> str:
        """What a template gives."""
        return self._templates.get_template(f"{name}.html.jinja").render(
            viewer=self,
            page=page,
            output=output,
            navigation=[] if output is None else _links((one, one.link(output, self)) for one in self.pages),
            bar=_links((one, one.top(self)) for one in self.pages),
            version=VERSION,
            **values,
        )


def _links(found: Any) -> list[tuple[Page, str]]:
    return [(page, href) for page, href in found if href is not None]


def _plain(value: object) -> object:
    """Marks of direction and control characters are shown as codes, wherever a value comes from."""
    return value if isinstance(value, Markup) else plain_text(str(value))
