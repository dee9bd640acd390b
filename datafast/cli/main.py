"""The `datafast` command: finds subcommands by name and turns errors into one message and an exit code.

With `--json`, an error is one JSON document on stdout too: `{"error": {"type", "message", "exit_code"}}`. Its message is on stderr
all the same.

Exit codes:
    0    all rows are there, or as many as `--limit` asked for
    1    stdout took nothing more: its disk is full, or its reader has gone
    2    the config, the command or the environment is wrong; nothing was sent
    3    finished, but items failed for good, or there is no row at all
    4    stopped early; the same command goes on
    130  interrupted; the same command goes on
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import click

from datafast import __version__
from datafast._util.notify import did_you_mean
from datafast.cli.display.streams import StdoutError, guard_streams
from datafast.cli.options import print_json
from datafast.cli.registry import COMMANDS
from datafast.errors import ConfigError, DatafastError, DatafastWarning

__all__ = ["COMMANDS", "cli", "main"]


class _Failure(click.ClickException):
    """A user's error: its message on stderr, no traceback."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance's; its stub says ClassVar

    def show(self, file: Any = None) -> None:
        if not sys.stderr.isatty():
            click.echo(f"error: {self.message}", err=True)
            return
        from rich.console import Console  # only here, because it is slow to import
        from rich.text import Text

        from datafast.cli.display.lines import print_lines

        print_lines(Console(stderr=True, highlight=False), Text(f"error: {self.message}"))


class _Commands(click.Group):
    """Imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return COMMANDS.names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if not COMMANDS.is_built_in(name) and name not in COMMANDS.names():
            return None
        try:
            return COMMANDS.load(name)
        except ConfigError as error:
            return _broken(name, error)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"There is no command {args[0]!r}. {did_you_mean(args[0], COMMANDS.names())}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Kept from here on, because an error may come before the command has read its options.
        ctx.meta[_JSON] = any(arg.partition("=")[0] == "--json" for arg in args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if ctx.meta[_JSON]:
                _print_error("UsageError", error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DatafastError, KeyboardInterrupt) as error:
            failure = _failure(error)
            if ctx.meta[_JSON]:
                _print_error(error.public_name if isinstance(error, DatafastError) else type(error).__name__, failure)
            raise failure from error
        except click.ClickException as error:
            told = _with_hint(error)
            if ctx.meta[_JSON]:
                _print_error("UsageError", told)
            raise told from error


_JSON = f"{__name__}.json"
_MISSING = {
    "CONFIG.yaml": "Give the file that describes the dataset. `datafast init` writes one to start from.",
    "FILE.jsonl.manifest.json": "Give the file that a run has written beside its rows.",
    "FILE.jsonl": "Give the file with the rows, which a config names as output_file.",
}


def _failure(error: DatafastError | KeyboardInterrupt) -> _Failure:
    if isinstance(error, KeyboardInterrupt):
        return _Failure("Interrupted before anything was sent. Run the same command again to start.", 130)
    return _Failure(str(error), 2)


def _with_hint(error: click.ClickException) -> click.ClickException:
    """click's error; that of a missing file says what file is meant."""
    if not isinstance(error, click.MissingParameter) or error.param is None:
        return error
    hint = _MISSING.get(str(error.param.metavar)) if isinstance(error.param, click.Argument) else None
    return click.UsageError(f"{error.format_message()} {hint}", error.ctx) if hint else error


def _print_error(kind: str, error: click.ClickException) -> None:
    print_json({"error": {"type": kind, "message": error.format_message(), "exit_code": error.exit_code}})


def _broken(name: str, error: ConfigError) -> click.Command:
    """Stands in for a command of another package that cannot be loaded: the others must go on working."""

    def fail(**_: Any) -> None:
        raise error

    options: Any = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=fail, short_help="(cannot be loaded)", add_help_option=False, context_settings=options
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="datafast")
def cli() -> None:
    """The factory for synthetic text datasets: one config in, a JSONL that survives anything out.

    \b
    datafast init                          write a commented starter config
    datafast plan raw.yaml                 see what it would ask, without asking
    datafast generate raw.yaml --offline   try everything with simulated models
    datafast generate raw.yaml             do it
    """


def main() -> None:
    """Entry point of the script."""
    guard_streams()
    # What is told before a command has set up the log looks as it does in the log.
    warnings.formatwarning = _as_in_the_log
    try:
        cli.main(prog_name="datafast")
    except StdoutError as error:
        _Failure(f"Cannot write to stdout: {error.strerror}. What was written to files is there.", 1).show()
        sys.exit(1)


_as_python_does = warnings.formatwarning


def _as_in_the_log(message: Any, category: type[Warning], *place: Any, **line: Any) -> str:
    if issubclass(category, DatafastWarning):
        return f"WARNING: {message}\n"
    return _as_python_does(message, category, *place, **line)
