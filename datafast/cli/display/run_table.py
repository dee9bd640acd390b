"""The table of a run that goes on: a line for each provider, one for all, and how far it has come. Fits any terminal.

What does not fit is left out column by column, the least important first; nothing is broken within a word or a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datafast._util.notify import plain_text
from datafast.cli.display.lines import wrapped
from datafast.engine.open_batches import BATCH_HEADINGS, BatchLine
from datafast.engine.progress import Line, Progress

__all__ = ["run_table"]

Row = Line | BatchLine

_GAP = 2
_NAME = 24  # what is left of a long name at least
_BAR = 30
_SHORTEST_BAR = 8
_MOST_LINES = 12
_BY_WORTH = ("done", "failed", "cost", "in_flight", "rate", "retries", "tokens", "note")
_BATCHES_BY_WORTH = ("answered", "since", "look", "state", "failed")
_WORDS = frozenset({"note", "state"})  # columns that are not of numbers
_HEADINGS = {"in_flight": "in flight", "tokens": "tokens/s", "note": ""}


def run_table(progress: Progress, in_flight: dict[str, int], console: Console) -> RenderableType:
    """How a run stands, for a terminal as wide as this console."""
    width = console.width - 1
    unit, lines = progress.unit, progress.lines(in_flight)
    heading = Line(*(_HEADINGS.get(name, name) for name in Line._fields))
    heading = heading._replace(name="", done=unit, rate=f"{unit}/s")
    parts: list[RenderableType] = _table(heading, _few(lines), _BY_WORTH, width)
    parts += _bar(progress, width)
    if waiting := progress.batches.lines():
        parts += _table(BatchLine(**BATCH_HEADINGS), waiting, _BATCHES_BY_WORTH, width)
    for remark in progress.remarks():
        parts += wrapped(Text(plain_text(remark)), width)
    return Group(*parts)


def _table(heading: Row, lines: Sequence[Row], by_worth: Sequence[str], width: int) -> list[RenderableType]:
    rows = [heading, *lines]
    shown = _columns(rows, by_worth, width)
    widths = {name: _widest(rows, name) for name in shown}
    left = width - sum(widths.values()) - _GAP * len(shown)
    name_width = min(_widest(rows, "name"), left)
    return [Text(_line(row, name_width, widths), no_wrap=True) for row in rows]


def _line(row: Row, name_width: int, widths: dict[str, int]) -> str:
    name = Text(plain_text(row.name))
    name.truncate(name_width, overflow="ellipsis", pad=True)
    cells = [_aligned(getattr(row, column), column, width) for column, width in widths.items()]
    return (" " * _GAP).join([name.plain, *cells]).rstrip()


def _few(lines: Sequence[Line]) -> list[Line]:
    """The first lines and the last, which adds all up."""
    if len(lines) <= _MOST_LINES:
        return list(lines)
    more = len(lines) - _MOST_LINES + 1
    return [*lines[: _MOST_LINES - 2], Line(f"and {more} more", *[""] * (len(Line._fields) - 1)), lines[-1]]


def _columns(rows: Sequence[Row], by_worth: Sequence[str], width: int) -> list[str]:
    """The columns that fit beside a name, in their order."""
    left = width - min(_widest(rows, "name"), _NAME, width // 2)
    fitting = set()
    for column in by_worth:
        needed = _widest(rows, column) + _GAP
        if needed > left or not any(getattr(row, column) for row in rows[1:]):
            continue
        fitting.add(column)
        left -= needed
    return [column for column in rows[0]._fields if column in fitting]


def _widest(rows: Sequence[Row], column: str) -> int:
    return max(Text(plain_text(getattr(row, column))).cell_len for row in rows)


def _aligned(cell: str, column: str, width: int) -> str:
    return cell.ljust(width) if column in _WORDS else cell.rjust(width)


def _bar(progress: Progress, width: int) -> Iterator[RenderableType]:
    state = Text(progress.state())
    room = min(_BAR, width - state.cell_len - 1)
    if room < _SHORTEST_BAR:
        yield from wrapped(state, width)
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=progress.total, completed=min(progress.written, progress.total), width=room), state)
    yield grid
