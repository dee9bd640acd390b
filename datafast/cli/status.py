"""`datafast status`: what is in an output, from its ledger. Reads only; works while a run writes and after a crash."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options
from datafast.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from datafast.engine.ledger import Ledger
    from datafast.engine.startup import OutputPaths

__all__ = ["command"]


@click.command("status")
@click.argument("file", metavar="FILE.jsonl", type=click.Path(path_type=Path))
@click.option(
    "--ledger", metavar="FILE", type=click.Path(path_type=Path), help="The ledger, where `run: {ledger: ...}` moved it."
)
@options.as_json
def command(file: Path, ledger: Path | None, as_json: bool) -> None:
    """Show what an output holds: rows, calls, tokens, cost, what is pending or failed, and how to go on."""
    status = _status(file, ledger)
    if as_json:
        options.print_json(status)
    else:
        _show(status)


def _status(file: Path, ledger_path: Path | None) -> dict[str, Any]:
    from datafast.engine.ledger import Ledger
    from datafast.engine.startup import OutputPaths

    paths = OutputPaths.of(file, ledger_path)
    _require_files(paths)
    running = _is_running(paths)
    ledger = Ledger(paths.ledger, read_only=True)
    try:
        return {
            "output_file": str(file),
            "kind": ledger.meta("kind"),
            "simulated": ledger.meta("mode") == "simulated",
            **_rows(ledger),
            **_spent(ledger),
            "failures": _failures(ledger),
            "stop_reason": None if running else ledger.meta("stop_reason") or None,
            "running": running,
            "unrecorded_replies": 0 if running else _unrecorded(ledger, paths.journal),
            "rows_file_exists": paths.rows.exists(),
            "command": ledger.meta("command") or None,
            "directory": ledger.meta("directory") or None,
        }
    finally:
        ledger.close()


def _require_files(paths: OutputPaths) -> None:
    if paths.ledger.is_file():
        return
    if not paths.rows.exists():
        raise ConfigError(f"there is no file {paths.rows}; give the output_file of a config")
    if paths.rows.is_dir():
        raise ConfigError(f"{paths.rows} is a folder; give the output file in it")
    raise OutputError(
        f"{paths.rows} has no ledger beside it ({paths.ledger}), so nothing is known about it but its lines. "
        f"If `run: {{ledger: ...}}` put it elsewhere, name it with --ledger"
    )


def _is_running(paths: OutputPaths) -> bool:
    """Whether some process holds one of the output's locks. Each is held here for a moment to find out."""
    from filelock import FileLock, Timeout

    for path in paths.locks:
        try:
            if path.exists():
                FileLock(path, timeout=0).acquire().lock.release()
        except Timeout:
            return True
        except OSError:  # the lock may not be opened from here, so nothing can be told
            continue
    return False


def _rows(ledger: Ledger) -> dict[str, int]:
    requested = int(ledger.meta("requested") or 0)
    written, failed = ledger.row_counts()
    pending = max(0, requested - written - failed)
    return {"requested": requested, "written": written, "filtered": 0, "failed": failed, "pending": pending}


def _spent(ledger: Ledger) -> dict[str, Any]:
    totals = ledger.totals()
    return {
        "calls": totals.calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cost_usd": totals.cost_usd,
    }


def _failures(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Failed rows by category, most first, each with one error as an example."""
    examples: dict[str, dict[str, Any]] = {}
    for failure in ledger.failures():
        examples.setdefault(failure.category, {"provider": failure.provider, "example": failure.error})
    return {
        category: {"rows": count, **examples.get(category, {})} for category, count in ledger.failure_counts().items()
    }


def _unrecorded(ledger: Ledger, journal: Path) -> int:
    """Replies that a killed run left in the journal only."""
    from datafast.engine.journal import read_journal

    newest = ledger.max_id("calls")
    return sum(1 for header, _ in read_journal(journal) if header["id"] > newest)


def _show(status: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from datafast.cli.console import money, plain_text

    console = Console(highlight=False, soft_wrap=True)

    def line(name: str, value: str) -> None:
        console.print(Text.assemble((f"{name:<10}", "bold"), plain_text(value)))

    line("file", status["output_file"] + (" (these rows are simulated)" if status["simulated"] else ""))
    line("kind", status["kind"] or "unknown")
    line(
        "rows",
        f"{status['requested']:,} requested: {status['written']:,} written, {status['filtered']:,} filtered, "
        f"{status['failed']:,} failed, {status['pending']:,} pending",
    )
    line("calls", f"{status['calls']:,}")
    line("tokens", f"{status['input_tokens']:,} in, {status['output_tokens']:,} out")
    line("cost", money(status["cost_usd"]))
    for category, failure in status["failures"].items():
        line("failed", f"{failure['rows']:,} {category}, for example at {failure['provider']}: {failure['example']}")
    for note in _notes(status):
        line("note", note)
    for step in _next_steps(status):
        line("next", step)


def _notes(status: dict[str, Any]) -> list[str]:
    notes = []
    if status["running"]:
        notes.append("a run is writing to it now")
    if status["stop_reason"]:
        notes.append(f"the last run stopped early: {status['stop_reason']}")
    if count := status["unrecorded_replies"]:
        notes.append(
            f"the last run was cut off; {count:,} paid replies wait in its journal and the next run takes them in"
        )
    if not status["rows_file_exists"] and status["written"]:
        notes.append("the JSONL is gone; the next run writes its rows again from recorded replies, at no cost")
    return notes


def _next_steps(status: dict[str, Any]) -> list[str]:
    if status["running"] or not (status["pending"] or status["failed"] or status["unrecorded_replies"]):
        return []
    command = status["command"]
    if command is None:
        steps = ["run the same script again: it goes on, and nothing is paid for twice"] if status["pending"] else []
        return steps + (["generate(..., retry_failed=True) tries failed rows again"] if status["failed"] else [])
    directory = status["directory"]
    with contextlib.suppress(OSError):  # a working directory that was deleted
        if directory and Path(directory) != Path.cwd():
            command = f"cd {shlex.quote(directory)} && {command}"
    steps = [command] if status["pending"] else []
    return steps + ([f"{command} --retry-failed"] if status["failed"] else [])
