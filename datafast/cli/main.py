"""The `datafast` command: finds subcommands by name and turns errors into one message and an exit code.

Exit codes:
    0    all rows are there, or as many as `--limit` asked for
    2    the config, the command or the environment is wrong; nothing was sent
    3    finished, but items failed for good, or there is no row at all
    4    stopped early; the same command goes on
    130  interrupted; the same command goes on
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from typing import Any

import click

from datafast import __version__
from datafast.errors import DatafastError

__all__ = ["cli", "main"]

_COMMANDS = ("init", "plan", "preview", "generate", "status", "failures", "topics", "schema")


class _Failure(click.ClickException):
    """A user's error: its message on stderr, no traceback."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance's; its stub says ClassVar

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}" if self.message else "", err=True)


class _Commands(click.Group):
    """Imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"datafast.cli.commands.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from datafast._util.notify import nearest

        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], _COMMANDS)
            hint = f"Did you mean {near!r}?" if near else f"Known: {', '.join(_COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DatafastError as error:
            raise _Failure(str(error), 2) from error
        except KeyboardInterrupt as error:
            raise _Failure("interrupted before anything was sent", 130) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="datafast")
def cli() -> None:
    """The factory for synthetic text datasets: one config in, a JSONL that survives anything out.

    \b
    datafast init                      write a commented starter config
    datafast plan raw.yaml             see what it would ask, without asking
    datafast generate raw.yaml --offline   try everything with simulated models
    datafast generate raw.yaml         do it
    """


def main() -> None:
    """Entry point of the script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character must not end a run that is being paid for.
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="backslashreplace")
    cli.main(prog_name="datafast")
