"""What scripts of chatan write differently, read as what it means here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from string import Formatter
from typing import TYPE_CHECKING, Any

from datafast.engine.events import Event, ItemDone, ItemFailed, RunStarted
from datafast.engine.options import RunOptions

if TYPE_CHECKING:
    from datafast.engine.events import EventCallback

__all__ = ["FrameOptions", "model_options", "run_options", "shown", "unescaped"]

_ROWS_AT_ONCE = 10  # where a script only says how many columns of a row are made at once
_OPTIONS = {"base_url": "api_base", "max_tokens": "max_completion_tokens", "max_new_tokens": "max_completion_tokens"}
_FIELD = re.compile(r"[^\W\d][\w .-]*(\[[\w .-]+\])*")
_DOUBLED = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class FrameOptions(RunOptions, total=False):
    """Keyword arguments of `generate` of a frame."""

    concurrency: int
    """Requests in flight at once, as chatan calls them."""
    max_concurrent_rows: int
    """Rows at once; each may have as many requests in flight as `max_concurrent_columns` says, 1 by default."""
    max_concurrent_columns: int
    """Columns of a row at once."""


def model_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a model under the names that they have here."""
    return {
        _OPTIONS.get(name, name) if _OPTIONS.get(name) not in options else name: value
        for name, value in options.items()
    }


def run_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a run: `concurrency`, or rows and columns at once, are the requests in flight."""
    rest = dict(options)
    rows = rest.pop("concurrency", None)
    rows, columns = rest.pop("max_concurrent_rows", rows), rest.pop("max_concurrent_columns", None)
    if rows is None and columns is None:
        return rest
    at_once = (_ROWS_AT_ONCE if rows is None else rows) * max(1 if columns is None else columns, 1)
    return {"max_concurrency": at_once, **rest}


def unescaped(prompt: str) -> str:
    """A template for `str.format` with doubled braces around text, `{{"k": 1}}`, as one with single ones, which are text here.

    Where Jinja would understand what stands in doubled braces, or the template has Jinja's tags, it is left as it is.
    """
    doubled = _DOUBLED.findall(prompt)
    if not doubled or "{%" in prompt or any(map(_is_an_expression, doubled)):
        return prompt
    try:
        parts = list(Formatter().parse(prompt))
    except ValueError:
        return prompt
    if any(name is not None and not _FIELD.fullmatch(name) for _, name, _, _ in parts):
        return prompt
    return "".join(
        text + ("" if name is None else f"{{{name}{'!' + how if how else ''}{':' + form if form else ''}}}")
        for text, name, form, how in parts
    )


def _is_an_expression(text: str) -> bool:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(autoescape=False).parse(f"{{{{ {text} }}}}")  # noqa: S701 - it is only parsed
    except TemplateSyntaxError:
        return False
    return True


@contextmanager
def shown(on_event: EventCallback | None) -> Iterator[EventCallback]:
    """A bar on stderr that shows how many rows are done; it hands the events on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Generating rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def watch(event: Event) -> None:
            if isinstance(event, RunStarted):
                done = event.written + event.filtered + event.failed
                bar.update(task, total=event.requested, completed=done)
            elif isinstance(event, ItemDone):
                bar.advance(task, event.rows + event.filtered)
            elif isinstance(event, ItemFailed):
                bar.advance(task, event.rows)
            if on_event is not None:
                on_event(event)

        yield watch
