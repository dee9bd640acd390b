"""`datafast explain`: everything that is recorded of one row. Reads only; works while a run writes and after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options
from datafast.cli.outputs import outputs_of

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.datasets.explaining import Explained
    from datafast.store.paths import OutputPaths

__all__ = ["command"]

_LETTERS = 2_000


@click.command("explain", short_help="Show everything that is recorded of one row.")
@options.output_file
@click.argument("uuid", metavar="UUID", required=False, default="")
@click.option(
    "--line", metavar="N", type=click.IntRange(min=1), help="The row in this line of the file, instead of a UUID."
)
@options.ledger
@options.as_json
def command(file: str, uuid: str, line: int | None, ledger: Path | None, as_json: bool) -> None:
    """Show everything that is recorded of one row: what it is about, what was asked and answered, attempts and cost, and what stages have
    said and changed. FILE may be a folder of shards, where the row is looked for in each.

    UUID is that of a row in the file, or of one that was dropped or has failed. Its beginning is enough if no other begins so. `--json`
    gives everything in full, raw replies too.
    """
    from datafast.datasets.explaining import explain
    from datafast.datasets.of_output import dataset_in
    from datafast.errors import ConfigError

    if bool(uuid) == (line is not None):
        raise click.UsageError("Give the UUID of a row, or its --line.")
    with _output_with(file, ledger, uuid) as paths:
        dataset, why_none = None, ""
        try:
            dataset = dataset_in(paths)
        except ConfigError as error:
            why_none = f"Its prompts are not known: {error}"
        told = explain(paths, uuid, dataset, line=line, why_none=why_none)
    if as_json:
        options.print_json(told.to_dict())
    else:
        _show(told)


@contextmanager
def _output_with(file: str, ledger: Path | None, uuid: str) -> Iterator[OutputPaths]:
    """The output, or the shard in which the row is."""
    from datafast.errors import ConfigError
    from datafast.store.finding_rows import has_uuid
    from datafast.store.reader import LedgerReader

    with outputs_of(file, ledger) as outputs:
        if "" in outputs:
            yield outputs[""]
            return
        if not uuid:
            raise ConfigError(f"--line: {file} has the lines of several shards. Give a UUID, or the file of a shard.")
        found = []
        for paths in outputs.values():
            with LedgerReader(paths.ledger) as reader:
                found += [paths] if has_uuid(paths.rows, reader, uuid) else []
        if not found:
            raise ConfigError(f"{file}: No shard has a row whose uuid begins with {uuid!r}. Check it.")
        if len(found) > 1:
            raise ConfigError(
                f"{uuid!r} is the beginning of rows in {found[0].rows} and {found[1].rows}. Give more of it."
            )
        yield found[0]


def _show(told: Explained) -> None:
    from rich.console import Console

    from datafast.amounts import money
    from datafast.cli.display.lines import labelled

    console = Console(highlight=False)
    labelled(console, "row", told.uuid)
    where = "" if told.line is None else f", line {told.line:,} of {told.output_file}"
    labelled(console, "state", f"{told.state}{where}")
    item = told.item
    place = "" if item["position"] is None else f" at place {item['position'] + 1:,} of the plan"
    rows = "" if item["rows"] == 1 else f", row {item['number'] + 1} of {item['rows']}"
    labelled(console, "item", f"{item['key']}{place}{rows}")
    for name, value in told.values.items():
        labelled(console, "about", f"{name}: {_cut(value)}")
    used = told.totals
    labelled(
        console,
        "calls",
        f"{used['calls']:,}, {used['attempts']:,} requests, {used['input_tokens']:,} tokens in, {used['output_tokens']:,} out, "
        f"cost {money(used['cost_usd'])}" + ("" if item["rows"] == 1 else f", for all {item['rows']} rows"),
    )
    for note in told.notes:
        labelled(console, "note", note)
    _show_calls(console, told.calls)
    _show_stages(console, told)
    if told.failure is not None:
        _rule(console, f"failed: {told.failure['category']}")
        _text(console, told.failure["error"])
    if told.row is not None:
        _rule(console, "the row" if told.state == "written" else "the row as it was made")
        _fields(console, told.row)


def _show_calls(console: Console, calls: list[dict[str, Any]]) -> None:
    from datafast.cli.display.asked import show_messages

    known: list[Any] = []
    for number, call in enumerate(calls, start=1):
        _rule(console, f"call {number} of {len(calls)}: {_heading(call)}")
        if call["messages"] is not None:
            shared = len(known) if known and call["messages"][: len(known)] == known else 0
            show_messages(console, call["messages"], call["json_schema"], known=shared)
            known = call["messages"]
        _text(console, call["said"] or "(nothing)", head="[answer] ")


def _heading(call: dict[str, Any]) -> str:
    from datafast.amounts import money

    if not call["attempts"]:
        return f"what {call['provider']} gave back"
    parts = [call["provider"], *([f"answered as {call['model']}"] if call["model"] not in call["provider"] else [])]
    parts += [f"as {call['role']}"] if call["role"] else []
    parts += [f"{call['attempts']} attempts"] if call["attempts"] > 1 else []
    parts += [f"try {call['try']}"] if call["try"] > 1 else []
    tokens = f"{call['input_tokens'] or 0:,} tokens in, {call['output_tokens'] or 0:,} out"
    parts += [tokens, money(call["cost_usd"]), f"{call['latency_s']:.2f} s", call["sent_at"]]
    return ", ".join(parts) + ("" if call["used"] is not False else " (not usable)")


def _show_stages(console: Console, told: Explained) -> None:
    for said in told.verdicts:
        times = f", made for the {said['generation'] + 1}. time" if said["generation"] or len(told.verdicts) > 1 else ""
        if said["stage"] is None:
            _rule(console, f"made and not used{times}")
        else:
            score = "" if said["score"] is None else f" ({said['score']:g})"
            _rule(console, f"dropped by {said['stage']}{score}{times}: {said['reason']}")
        if len(told.verdicts) > 1 or told.state != "filtered":
            _fields(console, said["row"])
    for change in told.changes:
        _rule(console, f"changed by {', '.join(change['stages'])}; before, it was")
        _fields(console, change["before"])
    for one in told.made_again:
        _rule(console, f"made again, because: {'; '.join(dict.fromkeys(one['reasons']))}")


def _rule(console: Console, text: str) -> None:
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import print_lines

    console.print()
    print_lines(console, Text(plain_text(_cut(text)), style="bold"))


def _text(console: Console, text: str, head: str = "") -> None:
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import print_lines

    print_lines(console, Text.assemble((head, "bold"), plain_text(_cut(text))))


def _fields(console: Console, row: dict[str, Any]) -> None:
    from datafast.cli.display.summary import in_words

    for name, value in row.items():
        if value not in (None, "", {}, []):
            _text(console, in_words(value), head=f"{name}: ")


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
