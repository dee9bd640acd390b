"""`datafast plan`: what a config will ask, without asking anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.engine.estimated import Estimate
    from datafast.store.shards import ShardName

__all__ = ["command"]

_LABEL = 18
_DEALT = {
    "split": "each from one of the providers, by their weight",
    "fallback": "each from the first provider that answers",
}
_MET = {"random": "each prompt with a drawn one", "cycle": "each prompt with one in turn"}


@click.command("plan", short_help="Show what a config will ask, and what it will cost.")
@options.config_file
@click.option(
    "-n",
    "number",
    metavar="N",
    type=click.IntRange(0, 1000),
    default=3,
    show_default=True,
    help="How many prompts to show.",
)
@click.option("--fill", is_flag=True, help="As for `generate --fill`: with what that would buy again.")
@options.shard
@options.as_json
def command(config: Path, number: int, fill: bool, shard: ShardName | None, as_json: bool) -> None:
    """Show what a config will ask: its dimensions, calls and rows, an estimate of cost and time, and a few prompts.

    Nothing is sent or written, and no key is needed. The estimate is for the rows that are missing. It gets better after
    a preview, because some replies are then known. If the config has changed since the last run, it says which rows stay,
    which leave, and what these have cost.
    """
    from datafast.config_files.ahead import Ahead
    from datafast.config_files.loader import load_project
    from datafast.logger_config import configure_logger

    configure_logger("WARNING", format_string="{level}: {message}", colorize=False)
    ahead = Ahead(load_project(config), fill=fill, shard=shard)
    summary = ahead.summary(number)
    estimate = ahead.estimate()
    summary["first"] = ahead.first()
    if as_json:
        options.print_json({**summary, "estimate": estimate.to_dict()})
    else:
        _show(summary, estimate)


def _show(summary: dict[str, Any], estimate: Estimate) -> None:
    from rich.console import Console
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled, print_lines

    console = Console(highlight=False)
    for name, count, what in _lines(summary):
        shown = f"{count:>8,}" if isinstance(count, int) else f"  {count}"
        line = Text.assemble((f"{name:<{_LABEL}}", "bold"), shown, plain_text(f"   {what}" if what else ""))
        print_lines(console, line, indent=_LABEL + (11 if isinstance(count, int) else 2))
    console.print()
    for name, text in estimate.lines():
        labelled(console, name, text, width=_LABEL + 2)
    for number, example in enumerate(summary["examples"], start=1):
        _show_example(console, number, example)


def _lines(summary: dict[str, Any]) -> Iterator[tuple[str, int | str, str]]:
    """What a config will ask, line by line: what it is about, a number or a text, and what more there is to say."""
    yield "kind", summary["kind"], ""
    yield "output file", summary["output_file"], ""
    if summary["shard"] is not None:
        yield (
            "shard",
            summary["shard"],
            "the counts below are its part; limits of the config are divided among all shards",
        )
    for dimension in summary["dimensions"]:
        numbered = dimension["name"] == "row"  # its values are numbers, and say nothing
        yield dimension["name"].replace("_", " "), dimension["count"], "" if numbered else _few(dimension)
    for pairing in summary["paired"]:
        yield pairing["name"].replace("_", " "), pairing["count"], f"{_MET[pairing['pair']]}: {_few(pairing)}"
    prompts = summary["prompts_per_combination"]
    yield "prompts for each", prompts, "combination: templates with their placeholder values"
    for entry in summary["calls"]:
        yield "calls", entry["calls"], f"{entry['role']}: {entry['provider']}"
    yield "calls in all", summary["total_calls"], ""
    yield "rows per prompt", summary["rows_per_prompt"], ""
    for entry in summary["rows_by_provider"]:
        yield "rows", entry["rows"], entry["provider"]
    if summary["target"] is None:
        yield "rows in all", summary["rows"], _DEALT.get(summary["fan_out"], "")
    else:
        dealt = _DEALT.get(summary["fan_out"], "as many as are expected to be drawn in all")
        yield "rows drawn", summary["rows"], dealt
        yield "rows accepted", summary["target"], "the target"
    for text in summary["first"]:
        yield "first", text, ""


def _show_example(console: Console, number: int, example: dict[str, Any]) -> None:
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.asked import show_messages
    from datafast.cli.display.lines import print_lines

    console.print()
    values = ", ".join(f"{name}: {_cut(value, 60)}" for name, value in example["values"].items())
    heading = f"prompt {number}, to {example['provider']} ({plain_text(values)})"
    print_lines(console, Text(heading, style="bold"))
    show_messages(console, example["messages"], example.get("json_schema"))


def _few(dimension: dict[str, Any]) -> str:
    from datafast.config_files.ahead import SHOWN_VALUES

    shown = ", ".join(_cut(value, 40) for value in dimension["first_values"])
    return f"{shown}, ..." if dimension["count"] > SHOWN_VALUES else shown


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
