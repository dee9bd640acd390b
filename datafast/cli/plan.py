"""`datafast plan`: what a config will ask, without asking anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.cli.project import Project
    from datafast.datasets.base import Dataset
    from datafast.engine.plan import Plan, WorkItem

__all__ = ["command"]

_SHOWN_LETTERS = 2000


@click.command("plan")
@options.config_file
@click.option(
    "-n", "number", metavar="N", type=click.IntRange(0, 1000), default=3, show_default=True, help="Prompts to show."
)
@options.as_json
def command(config: Path, number: int, as_json: bool) -> None:
    """Show what a config will ask: its dimensions, calls and rows, and a few prompts.

    Nothing is sent or written, and no key is needed.
    """
    from datafast.cli.yaml_config import load_project
    from datafast.engine.job import lane_identities
    from datafast.logger_config import configure_logger

    configure_logger("WARNING", format_string="<level>{level}</level>: {message}")
    project = load_project(config)
    dataset = project.dataset()
    summary = _summary(project, dataset, dataset.plan(lane_identities(project.lanes)), number)
    if as_json:
        options.print_json(summary)
    else:
        _show(summary)


def _summary(project: Project, dataset: Dataset[Any, Any], plan: Plan, number: int) -> dict[str, Any]:
    from datafast import background
    from datafast.engine.plan import spread
    from datafast.engine.rehearsal import rehearse

    axes = {dimension.name: [_shown(value) for value in dimension.values] for dimension in getattr(plan, "dimensions", ())}
    items = plan.num_items
    examples = []
    for position in spread(plan, number, seed=project.config.run.seed):
        item = plan[position]
        asked = background.run(rehearse(dataset.produce, item))
        examples.append(
            {"provider": project.lane_labels[item.lane], "values": _values(item), "messages": list(asked.first)}
        )
    calls = background.run(rehearse(dataset.produce, plan[0])).calls
    return {
        "kind": dataset.kind,
        "output_file": str(project.config.output_file),
        "dimensions": {name: len(values) for name, values in axes.items()},
        "values": axes,
        "prompts_per_combination": len(project.config.prompt_expansion()),
        "items": items,
        "calls": {role: count * items for role, count in calls.items()},
        "rows": plan.num_rows,
        "providers": [{"name": label, "rows": plan.num_rows // plan.num_lanes} for label in project.lane_labels],
        "examples": examples,
    }


def _values(item: WorkItem) -> dict[str, str]:
    named = {name: _shown(value) for name, value in reversed(item.values.items())}
    return {**named, **item.variant.values}


def _shown(value: object) -> str:
    """A value of a dimension in a few words: of a language its name, of a class its label."""
    if isinstance(value, tuple):
        value = value[-1]
    return str(getattr(value, "name", value))


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def line(name: str, value: str) -> None:
        console.print(Text.assemble((f"{name:<24}", "bold"), value))

    line("kind", summary["kind"])
    line("file", summary["output_file"])
    for name, values in summary["values"].items():
        line(name.replace("_", " "), f"{len(values):>6,}   {_few(values)}")
    line("prompts for each of them", f"{summary['prompts_per_combination']:>6,}")
    for provider in summary["providers"]:
        line("rows", f"{provider['rows']:>6,}   {provider['name']}")
    line("rows in total", f"{summary['rows']:>6,}")
    for role, count in summary["calls"].items():
        line("calls", f"{count:>6,}   {role}")
    if len(summary["calls"]) > 1:
        line("calls in total", f"{sum(summary['calls'].values()):>6,}")
    for number, example in enumerate(summary["examples"], start=1):
        _show_example(console, number, example)


def _show_example(console: Any, number: int, example: dict[str, Any]) -> None:
    from rich.text import Text

    from datafast.cli.console import plain_text

    console.print()
    values = ", ".join(f"{name}: {_cut(value, 60)}" for name, value in example["values"].items())
    console.print(Text(f"prompt {number}, to {example['provider']} ({plain_text(values)})", style="bold"))
    for message in example["messages"]:
        role = "" if message["role"] == "user" else f"[{message['role']}] "
        console.print(Text(role + plain_text(_cut(message["content"], _SHOWN_LETTERS))))


def _few(values: list[str]) -> str:
    shown = ", ".join(_cut(value, 40) for value in values[:4])
    return f"{shown}, ..." if len(values) > 4 else shown


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
