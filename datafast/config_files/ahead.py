"""What a config will ask, in numbers and in prompts, before anything is asked. Nothing is sent or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datafast._util import background
from datafast.amounts import counted
from datafast.datasets.entry import plan_ahead, runs_before
from datafast.engine.dry_run import DryRun, dry_run, stand_ins
from datafast.engine.past import SAMPLE
from datafast.engine.quotas import rows_by_share
from datafast.engine.routes import labels_of
from datafast.plan.grid import spread
from datafast.plan.items import shown_value

if TYPE_CHECKING:
    from datafast.config_files.project import Project
    from datafast.engine.calls.call import Call
    from datafast.engine.estimated import Estimate
    from datafast.plan.grid import Dimension
    from datafast.store.shards import ShardName

__all__ = ["SHOWN_VALUES", "Ahead", "call_to_dict"]

SHOWN_VALUES = 4


def call_to_dict(call: Call) -> dict[str, Any]:
    """What a call asks, as plain values; `json_schema` is null where the reply is free text."""
    schema = call.schema.json_schema if call.schema is not None else None
    return {"role": call.role, "messages": list(call.messages), "json_schema": schema}


class Ahead:
    """The plan of a project, for a run with these options.

    Attributes:
        plan: with targets, the one that it is expected to end with.

    Raises:
        ConfigError: the plan cannot be made.
        OutputError: what is in the output does not allow it.
    """

    def __init__(self, project: Project, *, fill: bool = False, shard: ShardName | None = None) -> None:
        self.project = project
        self.dataset = project.dataset()
        self.plan: Any = plan_ahead(self.dataset, project.routes, fill=fill, shard=shard)
        self._fill = fill
        self._shard = shard
        self._routes = stand_ins(project.routes, fan_out=project.config.run.fan_out)

    def sample(self, number: int) -> list[int]:
        """Positions of so many prompts, spread over the plan by its seed."""
        return list(spread(self.plan, number, seed=self.project.config.run.seed)) if number else []

    def prompt(self, position: int) -> dict[str, Any]:
        """The first call of a prompt of the plan: who is asked, with which values, and the messages."""
        item, asked = self.plan[position], self._ask(position)
        if not asked.asks:
            return {"provider": "no model", "values": item.shown_values, "messages": []}
        first = asked.asks[0]
        provider = self.project.label(item.route, first.role)
        return {"provider": provider, "values": item.shown_values, **call_to_dict(first)}

    def estimate(self) -> Estimate:
        """What is left to generate will use, cost and take."""
        return self.project.estimate(self.dataset, fill=self._fill, shard=self._shard)

    def first(self) -> list[str]:
        """What has to be asked before the prompts are known."""
        steps, obstacle = runs_before(self.dataset, self.project.routes)
        told = [f"{step.what}, about {counted(step.calls, 'call')}, in the estimate" for step in steps]
        return told if obstacle is None else [obstacle, *told]

    def summary(self, number: int) -> dict[str, Any]:
        """The counts, and so many prompts, as plain values."""
        project, plan, dataset = self.project, self.plan, self.dataset
        calls = self._calls()
        return {
            "kind": dataset.kind,
            "output_file": dataset.paths.name,
            "shard": None if self._shard is None else str(self._shard),
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
            "rows_by_provider": self._rows_by_provider(),
            "examples": [self.prompt(position) for position in self.sample(number)],
        }

    def _ask(self, position: int) -> DryRun:
        item = self.plan[position]
        return background.run(dry_run(self.dataset.asking, item, self._routes[item.route]))

    def _calls(self) -> list[dict[str, Any]]:
        """The calls in each role on each route."""
        plan = self.plan
        per_item = _calls_per_item([self._ask(position) for position in self.sample(SAMPLE)])
        return [
            {
                "provider": self.project.label(route, role),
                "role": role,
                "calls": round(count * plan.num_items_of(route)),
            }
            for route in range(plan.num_routes)
            for role, count in per_item.items()
        ]

    def _rows_by_provider(self) -> list[dict[str, Any]]:
        """Rows that each provider of a fan-out is asked for; empty where roles share them or the run decides."""
        project, plan = self.project, self.plan
        members = [route.sole for route in project.routes if route.sole is not None]
        if plan.num_routes == len(members):
            rows = [plan.num_rows_of(route) for route in range(plan.num_routes)]
        elif members and not plan.radices and project.config.run.fan_out == "split":
            rows = rows_by_share([member.weight for member in members], plan)
        else:
            return []
        labels = labels_of(members)
        return [{"provider": labels[id(member)], "rows": count} for member, count in zip(members, rows, strict=True)]


def _calls_per_item(asked: Sequence[DryRun]) -> dict[str, float]:
    """The calls of an item in each role: the mean over a few, since in some kinds items differ in what they ask."""
    counts: Counter[str] = Counter()
    for run in asked:
        counts.update(run.calls)
    return {role: count / len(asked) for role, count in counts.items()}


def _dimension(dimension: Dimension) -> dict[str, Any]:
    return {
        "name": dimension.name,
        "count": len(dimension),
        "first_values": [shown_value(value) for value in dimension.values[:SHOWN_VALUES]],
    }
