"""`datafast plan`: what a config will ask, without asking anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from datafast.config_files.project import Project
    from datafast.datasets.base import Dataset
    from datafast.engine.dry_run import DryRun
    from datafast.engine.estimated import Estimate
    from datafast.plan.grid import Dimension, GridPlan
    from datafast.plan.items import WorkItem

__all__ = ["command"]

_LABEL = 18
_SHOWN_VALUES = 4
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
@options.as_json
def command(config: Path, number: int, fill: bool, as_json: bool) -> None:
    """Show what a config will ask: its dimensions, calls and rows, an estimate of cost and time, and a few prompts.

    Nothing is sent or written, and no key is needed. The estimate is for the rows that are missing. It gets better after
    a preview, because some replies are then known. If the config has changed since the last run, it says which rows stay,
    which leave, and what these have cost.
    """
    from datafast.config_files.loader import load_project
    from datafast.datasets.entry import plan_ahead
    from datafast.logger_config import configure_logger

    configure_logger("WARNING", format_string="{level}: {message}", colorize=False)
    project = load_project(config)
    dataset = project.dataset()
    plan: Any = plan_ahead(dataset, project.routes, fill=fill)
    summary = _summary(project, dataset, plan, number)
    estimate = project.estimate(dataset, fill=fill)
    summary["first"] = _first(project, dataset)
    if as_json:
        options.print_json({**summary, "estimate": estimate.to_dict()})
    else:
        _show(summary, estimate)


def _summary(project: Project, dataset: Dataset[Any, Any], plan: GridPlan, number: int) -> dict[str, Any]:
    from datafast._util import background
    from datafast.engine.dry_run import dry_run, stand_ins
    from datafast.engine.past import SAMPLE
    from datafast.plan.grid import spread

    routes = stand_ins(project.routes, fan_out=project.config.run.fan_out)

    def ask(position: int) -> DryRun:
        item = plan[position]
        return background.run(dry_run(dataset.asking, item, routes[item.route]))

    seed = project.config.run.seed
    per_item = _calls_per_item([ask(position) for position in spread(plan, SAMPLE, seed=seed)])
    calls = [
        {
            "provider": project.label(route, role),
            "role": role,
            "calls": round(count * plan.num_items_of(route)),
        }
        for route in range(plan.num_routes)
        for role, count in per_item.items()
    ]
    return {
        "kind": dataset.kind,
        "output_file": str(project.config.output_file),
        "dimensions": [_dimension(dimension) for dimension in plan.dimensions],
        "paired": [{**_dimension(pairing.dimension), "pair": pairing.way} for pairing in plan.pairings],
        "prompts_per_combination": plan.num_variants,
        "rows_per_prompt": project.config.rows_per_item,
        "prompts": plan.num_items,
        "calls": calls,
        "total_calls": sum(entry["calls"] for entry in calls),
        "fan_out": project.config.run.fan_out,
        "target": None if dataset.targets is None else dataset.targets.total,
        "rows": plan.num_rows,
        "rows_by_provider": _rows_by_provider(project, plan),
        "examples": [
            _example(project, plan[position], ask(position))
            for position in (spread(plan, number, seed=seed) if number else [])
        ],
    }


def _calls_per_item(asked: Sequence[DryRun]) -> dict[str, float]:
    """The calls of an item in each role: the mean over a few, since in some kinds items differ in what they ask."""
    counts: Counter[str] = Counter()
    for run in asked:
        counts.update(run.calls)
    return {role: count / len(asked) for role, count in counts.items()}


def _first(project: Project, dataset: Dataset[Any, Any]) -> list[str]:
    """What has to be asked before the prompts are known."""
    from datafast.amounts import counted
    from datafast.datasets.entry import runs_before

    steps, obstacle = runs_before(dataset, project.routes)
    told = [f"{step.what}, about {counted(step.calls, 'call')}, in the estimate" for step in steps]
    return told if obstacle is None else [obstacle, *told]


def _rows_by_provider(project: Project, plan: GridPlan) -> list[dict[str, Any]]:
    """Rows that each provider of a fan-out is asked for; empty where roles share them or the run decides."""
    from datafast.engine.quotas import rows_by_share
    from datafast.engine.routes import labels_of

    members = [route.sole for route in project.routes if route.sole is not None]
    if plan.num_routes == len(members):
        rows = [plan.num_rows_of(route) for route in range(plan.num_routes)]
    elif members and not plan.radices and project.config.run.fan_out == "split":
        rows = rows_by_share([member.weight for member in members], plan)
    else:
        return []
    labels = labels_of(members)
    return [{"provider": labels[id(member)], "rows": count} for member, count in zip(members, rows, strict=True)]


def _dimension(dimension: Dimension) -> dict[str, Any]:
    from datafast.plan.items import shown_value

    return {
        "name": dimension.name,
        "count": len(dimension),
        "first_values": [shown_value(value) for value in dimension.values[:_SHOWN_VALUES]],
    }


def _example(project: Project, item: WorkItem, asked: DryRun) -> dict[str, Any]:
    from datafast.cli.display.asked import call_to_dict

    if not asked.asks:
        return {"provider": "no model", "values": item.shown_values, "messages": []}
    first = asked.asks[0]
    return {"provider": project.label(item.route, first.role), "values": item.shown_values, **call_to_dict(first)}


def _show(summary: dict[str, Any], estimate: Estimate) -> None:
    from rich.console import Console
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.cli.display.lines import labelled, print_lines

    console = Console(highlight=False)

    def line(name: str, count: int | str, what: str = "") -> None:
        shown = f"{count:>8,}" if isinstance(count, int) else f"  {count}"
        text = Text.assemble((f"{name:<{_LABEL}}", "bold"), shown, plain_text(f"   {what}" if what else ""))
        print_lines(console, text, indent=_LABEL + (11 if isinstance(count, int) else 2))

    line("kind", summary["kind"])
    line("output file", summary["output_file"])
    for dimension in summary["dimensions"]:
        numbered = dimension["name"] == "row"  # its values are numbers, and say nothing
        line(dimension["name"].replace("_", " "), dimension["count"], "" if numbered else _few(dimension))
    for pairing in summary["paired"]:
        line(pairing["name"].replace("_", " "), pairing["count"], f"{_MET[pairing['pair']]}: {_few(pairing)}")
    line("prompts for each", summary["prompts_per_combination"], "combination: templates with their placeholder values")
    for entry in summary["calls"]:
        line("calls", entry["calls"], f"{entry['role']}: {entry['provider']}")
    line("calls in all", summary["total_calls"])
    line("rows per prompt", summary["rows_per_prompt"])
    for entry in summary["rows_by_provider"]:
        line("rows", entry["rows"], entry["provider"])
    if summary["target"] is None:
        line("rows in all", summary["rows"], _DEALT.get(summary["fan_out"], ""))
    else:
        line(
            "rows drawn", summary["rows"], _DEALT.get(summary["fan_out"], "as many as are expected to be drawn in all")
        )
        line("rows accepted", summary["target"], "the target")
    for text in summary["first"]:
        line("first", text)
    console.print()
    for name, text in estimate.lines():
        labelled(console, name, text, width=_LABEL + 2)
    for number, example in enumerate(summary["examples"], start=1):
        _show_example(console, number, example)


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
    shown = ", ".join(_cut(value, 40) for value in dimension["first_values"])
    return f"{shown}, ..." if dimension["count"] > _SHOWN_VALUES else shown


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
