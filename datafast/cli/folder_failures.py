"""What failed in a folder of shards, in all, and how it is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datafast._util.counting import added, added_by_group

__all__ = ["in_all", "retries"]

_MOST_RETRIES = 5


def in_all(folder: str, shards: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What `datafast failures` says of each shard, summed; `retry` has the command for each shard in which something failed."""
    failed = {name: shard for name, shard in shards.items() if shard["failed"]}
    return {
        "output_file": folder,
        "failed": sum(shard["failed"] for shard in shards.values()),
        "failures": added(shard["failures"] for shard in shards.values()),
        "failures_by_provider": added_by_group(shard["failures_by_provider"] for shard in shards.values()),
        "retry": {name: shard["retry"] for name, shard in failed.items()},
    }


def retries(summary: Mapping[str, Any]) -> list[str]:
    """The commands that try again what failed; none for what a run is writing to."""
    given = summary["retry"]
    commands = list(given.values()) if isinstance(given, Mapping) else [given]
    return [command for command in commands if command][:_MOST_RETRIES]
