"""`datafast plugins`: everything that can be named in a config or on the command line, and where it comes from."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from datafast import __version__
from datafast._util.plugins import without_door
from datafast.cli.options import as_json as json_option
from datafast.cli.options import print_json
from datafast.plain import plain_text

if TYPE_CHECKING:
    from datafast._util.plugins import Door, Offered

__all__ = ["command"]

# The first sentence of a text, up to a full stop before a new one.
_SENTENCE = re.compile(r".*?[.!?](?=\s+[A-Z`]|$)|.+")


@click.command("plugins", short_help="List kinds, columns, providers, stages, formats and commands.")
@json_option
def command(as_json: bool) -> None:
    """List all kinds, columns, providers, stages, formats and commands, each with what it is and the package it comes from.

    All of them are imported for this. What cannot be used is named with its package and the reason.
    """
    # An import that prints would spoil the document.
    with redirect_stdout(sys.stderr):
        doors = _doors()
        found = {name: [_described(offered) for offered in door.offered()] for name, door in doors.items()}
        for offered in without_door([door.group for door in doors.values()]):
            found.setdefault(offered.point.group.removeprefix("datafast."), []).append(_described(offered))
    if as_json:
        print_json(found)
        return
    entries = [entry for listed in found.values() for entry in listed]
    widths = [max(len(part(entry)) for entry in entries) for part in (_name, _origin)]
    for door, listed in found.items():
        click.echo(plain_text(door))
        for entry in listed:
            what = f"error: {entry['problem']}" if entry["problem"] else entry["summary"]
            line = f"  {_name(entry):{widths[0]}}  {_origin(entry):{widths[1]}}  {what}"
            click.echo(line.rstrip())


def _doors() -> dict[str, Door[Any]]:
    from datafast.cli.registry import COMMANDS
    from datafast.columns.registry import COLUMNS
    from datafast.export.formats import FORMATS
    from datafast.llms.registry import DOOR as PROVIDERS
    from datafast.quality.registry import STAGES
    from datafast.registry import KINDS

    doors: list[Door[Any]] = [KINDS, COLUMNS, PROVIDERS, STAGES, FORMATS, COMMANDS]
    return {door.group.removeprefix("datafast."): door for door in doors}


def _described(offered: Offered) -> dict[str, str | None]:
    point = offered.point
    package, version = (point.dist.name, point.dist.version) if point.dist is not None else ("datafast", __version__)
    return {
        "name": point.name,
        "package": package,
        "version": version,
        "summary": _summary(offered.thing) if offered.problem is None else None,
        "problem": _one_line(offered.problem) if offered.problem is not None else None,
    }


def _summary(thing: Any) -> str:
    """The first sentence that a thing says of itself; empty if it says nothing."""
    text = thing.help or thing.short_help if isinstance(thing, click.Command) else thing.__doc__
    if not isinstance(text, str):
        return ""
    paragraph = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    found = _SENTENCE.match(_one_line(paragraph))
    return found[0] if found else ""


def _one_line(text: str) -> str:
    return plain_text(" ".join(text.split()))


def _name(entry: dict[str, str | None]) -> str:
    return plain_text(str(entry["name"]))


def _origin(entry: dict[str, str | None]) -> str:
    return plain_text(f"{entry['package']} {entry['version']}")
