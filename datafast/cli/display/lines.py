"""Printing lines of text: on a terminal they break between words, below where the text began; anywhere else they stay whole.

Guarantee: text that comes from a model or a server is shown as text (no markup, control characters escaped). A word that is longer than
the terminal, such as a path, is left to the terminal, so that it can be copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from datafast._util.notify import plain_text

__all__ = ["Step", "labelled", "print_lines", "print_steps", "wrapped"]

_LABEL = 10
_NARROWEST = 20
_WORD = re.compile(r"\s*\S+\s*")


def print_lines(console: Console, text: Text, *, indent: int = 0) -> None:
    """Prints `text`; on a terminal, lines that follow its first one begin `indent` characters further right."""
    if not console.is_terminal:
        console.print(text, soft_wrap=True)
        return
    width = console.width - 1
    if width - indent < _NARROWEST:
        indent = 0
    for line in wrapped(text, width, indent):
        console.print(line, soft_wrap=True)


def wrapped(text: Text, width: int, indent: int = 0) -> Iterator[Text]:
    """The text in lines of at most `width` cells, broken at spaces; those after the first of a paragraph are indented."""
    for paragraph in text.split("\n", allow_blank=True):
        for number, line in enumerate(paragraph.divide(_breaks(paragraph.plain, width, indent))):
            line.rstrip()
            yield Text(" " * indent) + line if number else line


def _breaks(text: str, width: int, indent: int) -> list[int]:
    """Where new lines begin."""
    breaks, column = [], 0
    for word in _WORD.finditer(text):
        if column not in {0, indent} and column + cell_len(word[0].rstrip()) > width:
            breaks.append(word.start())
            column = indent
        column += cell_len(word[0])
    return breaks


def labelled(console: Console, name: str, value: str, *, width: int = _LABEL) -> None:
    """Prints a line that begins with what it is about."""
    print_lines(console, Text.assemble((f"{f'{name} ':<{width}}", "bold"), plain_text(value)), indent=width)


class Step(NamedTuple):
    """A command that makes sense next, and what it is for."""

    command: str
    why: str = ""


def print_steps(console: Console, steps: list[Step]) -> None:
    """Prints commands. None is ever broken, so that it can be copied."""
    for number, step in enumerate(steps):
        label = Text(f"{'' if number else 'next':<{_LABEL}}", "bold")
        why = f"({step.why})" if step.why else ""
        line = label + Text(plain_text(f"{step.command}   {why}".rstrip()))
        if not why or not console.is_terminal or line.cell_len < console.width:
            console.print(line, soft_wrap=True)
        else:
            console.print(label + Text(plain_text(step.command)), soft_wrap=True)
            print_lines(console, Text(" " * _LABEL + plain_text(why)), indent=_LABEL)
