"""Statistics on a console: all rows in words, then a table for each thing that tells rows apart. Fits any terminal.

What does not fit beside the names is left out column by column, the least important first; `--json` has everything.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from datafast._util.notify import plain_text
from datafast.cli.display.lines import labelled
from datafast.statistics.display import Column, cells, columns_of, title_of
from datafast.statistics.models import Group, Grouping, named
from datafast.statistics.result import Statistics
from datafast.statistics.shaping import EFFECT_HEADINGS, coverage_lines, effect_cells, effect_title

__all__ = ["print_statistics"]

_GAP = 2
_NAME = 40
_SHOWN = 8
_MEANINGS = {
    "failed": "red",
    "refusals": "red",
    "cut": "red",
    "filtered": "yellow",
    "repeated": "yellow",
    "near dup.": "yellow",
}
_LABEL = 12


def print_statistics(statistics: Statistics, by: Sequence[str]) -> None:
    """Prints them. `by`: only groups by these fields, but all of them.

    Raises:
        ConfigError: there are no groups by a field.
    """
    console = Console(highlight=False, soft_wrap=True)
    chosen = [statistics.grouping(field) for field in by] if by else statistics.by
    for name, text in statistics.facts():
        labelled(console, name, text, width=_LABEL)
    for note in statistics.notes:
        labelled(console, "note", note, width=_LABEL)
    for grouping in chosen:
        if by or _tells(grouping):
            console.print()
            _print_groups(console, grouping, most=None if by else _SHOWN)
    if not by:
        _print_shaping(console, statistics)


def _print_shaping(console: Console, statistics: Statistics) -> None:
    """What shaped the texts, and which combinations of values have no rows."""
    if statistics.effects:
        console.print()
        console.print(Text(effect_title(statistics.effects), style="bold"))
        lines = [list(EFFECT_HEADINGS), *effect_cells(statistics.effects)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(EFFECT_HEADINGS))]
        for number, (name, *numbers) in enumerate(lines):
            padded = (cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True))
            text = f"  {plain_text(name):<{widths[0]}}  {'  '.join(padded)}".rstrip()
            console.print(Text(text, style="" if number else "bold"))
    lost = [] if statistics.coverage is None else list(coverage_lines(statistics.coverage))
    if lost:
        console.print()
        console.print(Text("combinations without a row", style="bold"))
        width = max(len(name) for name, _ in lost) + _GAP
        for name, told in lost:
            labelled(console, f"  {plain_text(name)}", told, width=width + _GAP)


def _tells(grouping: Grouping) -> bool:
    """Whether there is more than one group."""
    return len(named(grouping)) > 1


def _print_groups(console: Console, grouping: Grouping, *, most: int | None) -> None:
    listed = named(grouping)
    shown = listed if most is None else listed[:most]
    console.print(Text(plain_text(title_of(grouping)), style="bold"))
    columns, name_width = _fitting(shown, console.width - 1 if console.is_terminal else None)
    widths = [max(len(column.name), *(len(column.cell(group)) for _, group in shown)) for column in columns]
    _print_line(console, "", [column.name for column in columns], columns, widths, name_width, heading=True)
    for name, *numbers in cells(shown, columns):
        _print_line(console, name, numbers, columns, widths, name_width)
    if len(listed) > len(shown):
        console.print(Text(f"  and {len(listed) - len(shown):,} more; --by {plain_text(grouping.field)} shows all"))


def _print_line(
    console: Console,
    name: str,
    numbers: Sequence[str],
    columns: Sequence[Column],
    widths: Sequence[int],
    name_width: int,
    *,
    heading: bool = False,
) -> None:
    line = Text("  ") + _name(name, name_width)
    for number, column, width in zip(numbers, columns, widths, strict=True):
        style = "bold" if heading else _MEANINGS.get(column.name, "")
        line.append(" " * _GAP).append(number.rjust(width), style)
    line.rstrip()
    console.print(line)


def _name(name: str, width: int) -> Text:
    text = Text(" ".join(plain_text(name).split()))
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _fitting(groups: Sequence[tuple[str, Group]], width: int | None) -> tuple[list[Column], int]:
    """The columns that fit, in their order, and how wide names may be."""
    columns = columns_of(group for _, group in groups)
    longest = min(_NAME, max(Text(" ".join(plain_text(name).split())).cell_len for name, _ in groups))
    if width is None:
        return columns, longest
    left = width - 2 - min(longest, max(8, width // 3))
    chosen: list[Column] = []
    for column in sorted(columns, key=lambda column: column.worth):
        needed = _GAP + max(len(column.name), *(len(column.cell(group)) for _, group in groups))
        if needed <= left:
            chosen.append(column)
            left -= needed
    return [column for column in columns if column in chosen], min(longest, max(8, width // 3) + left)
