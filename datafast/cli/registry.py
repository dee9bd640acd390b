"""Commands by name: built-in ones and those of other packages, by the group `datafast.commands`."""

from __future__ import annotations

from typing import Any

import click

from datafast._util.plugins import Door
from datafast.registry import BUILT_IN

__all__ = ["COMMANDS"]


def _check(name: str, command: Any) -> str | None:
    return None if isinstance(command, click.Command) else "a click.Command is expected"


COMMANDS: Door[click.Command] = Door(
    "datafast.commands", noun="command", built_in=BUILT_IN["datafast.commands"], check=_check
)
