"""What a folder of shards holds: the sum of what its shards hold, and how far each of them is.

Cost: that of the status of each shard; nothing is merged, so stages that compare rows have not decided, and the sum says which these are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from datafast._util.counting import added, added_by_group
from datafast._util.user_path import is_file
from datafast.cli.output_status import output_status
from datafast.store.shards import ShardName, ShardNote
from datafast.types import ProviderUsage, TargetCount

if TYPE_CHECKING:
    from datafast._util.remote import RemoteUrl
    from datafast.store.paths import OutputPaths
    from datafast.store.shards import ShardFolder

__all__ = ["command_for", "folder_status", "number_of"]

_SUMMED = ("requested", "written", "filtered", "failed", "removed", "pending", "calls", "input_tokens", "output_tokens")


def folder_status(folder: ShardFolder, url: RemoteUrl | None = None) -> dict[str, Any]:
    """What the shards of a folder hold; `url` is where it is, if it is the copy of a remote one.

    The fields of the status of a file, summed (`agreement` is empty: no row is read), and these:

    of: how many shards there are.
    missing: the numbers of those that have not begun.
    unknown: those that have rows and no ledger.
    unlike: those that were made with another config than the first, or simulated where that was not.
    decided_at_merge: the stages that compare rows, which decide when shards are merged.
    shards: the status of each that has a ledger, and its `shard`, like 1/4.

    Raises:
        OutputError: a ledger cannot be read.
    """
    known = {name: folder.paths(name.number) for name in folder.names}
    shards = [
        {"shard": str(name), **output_status(_at(url, name, paths), agreement=False)}
        for name, paths in known.items()
        if is_file(paths.ledger)
    ]
    notes = _notes(folder, shards)
    decided = list(dict.fromkeys(stage for note in notes.values() for stage in note.deferred))
    first = shards[0] if shards else {}
    running = any(shard["running"] for shard in shards)
    return {
        "output_file": str(url or folder.path),
        "ledger": None if folder.ledger_folder is None else str(folder.ledger_folder),
        "kind": first.get("kind"),
        "simulated": any(shard["simulated"] for shard in shards),
        **{name: sum(shard[name] for shard in shards) for name in _SUMMED},
        "cost_usd": _sum_or_none(shard["cost_usd"] for shard in shards),
        "usage_by_provider": _usage(shards),
        "targets": _targets(shards),
        "filtered_by_stage": added_by_group(shard["filtered_by_stage"] for shard in shards),
        "changed_by_stage": added(shard["changed_by_stage"] for shard in shards),
        "compared": not decided,
        "agreement": {},
        "failures": _failures(shards),
        "failures_by_provider": added_by_group(shard["failures_by_provider"] for shard in shards),
        "stop_reason": None if running else next((told for shard in shards if (told := shard["stop_reason"])), None),
        "batches": _batches(folder, shards),
        "running": running,
        "unrecorded_replies": sum(shard["unrecorded_replies"] for shard in shards),
        "rows_file_exists": all(shard["rows_file_exists"] for shard in shards),
        "may_lack_replies": any(shard["may_lack_replies"] for shard in shards),
        "manifest": None,
        "command": first.get("command"),
        "directory": first.get("directory"),
        "resume": None,
        "of": folder.of,
        "missing": folder.missing,
        "unknown": [name.number for name, paths in known.items() if not is_file(paths.ledger)],
        "unlike": _unlike(shards, notes),
        "decided_at_merge": decided,
        "shards": shards,
    }


def _at(url: RemoteUrl | None, name: ShardName, paths: OutputPaths) -> OutputPaths:
    return paths if url is None else replace(paths, url=str(url.below(name.file_name)))


def command_for(shards: Sequence[Mapping[str, Any]], number: int) -> str | None:
    """The command that makes a shard, after that of another one; None where a script made that."""
    for shard in shards:
        words = shlex.split(shard["resume"] or "")
        for place, word in enumerate(words):
            if word == shard["shard"] and words[place - 1] == "--shard":
                words[place] = str(ShardName(number, int(word.partition("/")[2])))
                return " && ".join(map(shlex.join, _commands(words)))
    return None


def _commands(words: Sequence[str]) -> list[list[str]]:
    """The commands of a line, which && stands between."""
    if "&&" not in words:
        return [list(words)]
    place = words.index("&&")
    return [list(words[:place]), *_commands(words[place + 1 :])]


def _sum_or_none(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else sum(cost for cost in known if cost is not None)


def _usage(shards: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, ProviderUsage] = {}
    for shard in shards:
        for name, used in shard["usage_by_provider"].items():
            found.setdefault(name, ProviderUsage()).add(ProviderUsage(**used))
    return {name: asdict(used) for name, used in found.items()}


def _targets(shards: Sequence[Mapping[str, Any]]) -> list[TargetCount]:
    """The strata of all shards, each of which has its share of the targets."""
    found: dict[tuple[tuple[str, str], ...], list[TargetCount]] = {}
    for shard in shards:
        for one in shard["targets"]:
            found.setdefault(tuple(one.values.items()), []).append(one)
    return [_in_all(parts) for parts in found.values()]


def _in_all(parts: Sequence[TargetCount]) -> TargetCount:
    known = [part for part in parts if part.acceptance is not None]
    drawn = sum(part.drawn for part in known)
    short = [part for part in parts if part.accepted < part.target]
    return TargetCount(
        values=parts[0].values,
        target=sum(part.target for part in parts),
        accepted=sum(part.accepted for part in parts),
        drawn=sum(part.drawn for part in parts),
        acceptance=sum((part.acceptance or 0.0) * part.drawn for part in known) / drawn if drawn else None,
        # more are drawn as long as one shard does so
        given_up=short[0].given_up if short and all(part.given_up for part in short) else None,
    )


def _failures(shards: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for shard in shards:
        for category, told in shard["failures"].items():
            entry = found.setdefault(category, {**told, "rows": 0})
            entry["rows"] += told["rows"]
    return dict(sorted(found.items(), key=lambda one: -one[1]["rows"]))


def _batches(folder: ShardFolder, shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The batches that are under way in all shards."""
    from datafast.store.batches import under_way
    from datafast.store.reader import LedgerReader

    told = [shard["batches"] for shard in shards]
    rows = []
    for shard in shards:
        if shard["batches"]["open"]:
            with LedgerReader(folder.paths(number_of(shard)).ledger) as reader:
                rows += reader.batches.open()
    return {
        "open": sum(one["open"] for one in told),
        "calls": sum(one["calls"] for one in told),
        "under_way": under_way(rows) if rows else None,
    }


def _notes(folder: ShardFolder, shards: Sequence[Mapping[str, Any]]) -> dict[int, ShardNote]:
    """What shards note of the whole that they are parts of, by their numbers."""
    from datafast.store.reader import LedgerReader

    found = {}
    for number in map(number_of, shards):
        with LedgerReader(folder.paths(number).ledger) as reader:
            if (note := ShardNote.read(reader)) is not None:
                found[number] = note
    return found


def _unlike(shards: Sequence[Mapping[str, Any]], notes: Mapping[int, ShardNote]) -> list[int]:
    """The numbers of shards that are no parts of what the first is a part of."""
    parts = {
        number_of(shard): (
            shard["kind"],
            shard["simulated"],
            note.plan if (note := notes.get(number_of(shard))) else None,
        )
        for shard in shards
    }
    first = next(iter(parts.values()), None)
    return [number for number, part in parts.items() if part != first]


def number_of(shard: Mapping[str, Any]) -> int:
    """The number of a shard, from its status."""
    return int(shard["shard"].partition("/")[0])
