"""A folder of shards in lines: each shard, what is known of all of them, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datafast.amounts import counted
from datafast.cli.display.lines import Step
from datafast.cli.folder_status import command_for, number_of
from datafast.cli.outputs import output_command, retry_command

__all__ = ["folder_notes", "folder_steps", "shard_lines"]

_MOST_LINES = 40
_MOST_STEPS = 5
_MOST_NUMBERS = 12


def shard_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """A line for each shard; where they are many, for each that is not complete."""
    shards = {number_of(shard): _told(shard) for shard in status.get("shards", ())}
    of = status.get("of", 0)
    is_complete = {number_of(shard): _is_complete(shard) for shard in status.get("shards", ())}
    shards |= dict.fromkeys(status.get("unknown", ()), "has rows and no ledger, so nothing is known of it")
    shards |= dict.fromkeys(status.get("missing", ()), "has not begun")
    shown = sorted(shards)
    if len(shown) > _MOST_LINES:
        complete = [number for number in shown if is_complete.get(number)]
        shown = [number for number in shown if not is_complete.get(number)]
        if complete:
            yield f"{len(complete):,} of {of:,} are complete"
    for number in shown[:_MOST_LINES]:
        yield f"{number}/{of}: {shards[number]}"
    if len(shown) > _MOST_LINES:
        yield f"and {len(shown) - _MOST_LINES:,} more; --json has all of them"


def _told(shard: Mapping[str, Any]) -> str:
    parts = [f"{shard['written']:,} of {shard['requested']:,} rows written"]
    parts += [f"{shard[what]:,} {what}" for what in ("filtered", "failed", "pending") if shard[what]]
    told = ", ".join(parts)
    if shard["running"]:
        return f"{told}; a run is writing to it now{f' ({by})' if (by := shard['run_by']) else ''}"
    if shard["batches"]["open"]:
        return f"{told}; {shard['batches']['under_way']}"
    if shard["stop_reason"]:
        return f"{told}; stopped early: {shard['stop_reason']}"
    if replies := shard["unrecorded_replies"]:
        return f"{told}; cut off, with {replies:,} paid replies in its journal"
    return told


def _is_complete(shard: Mapping[str, Any]) -> bool:
    return not (shard["pending"] or shard["failed"] or shard["unrecorded_replies"] or shard["running"])


def folder_notes(status: Mapping[str, Any]) -> list[str]:
    """What is to be known of all shards together."""
    notes, shards = [], status["shards"]
    if running := [number_of(shard) for shard in shards if shard["running"]]:
        notes.append(f"{_shards(running)} {'is' if len(running) == 1 else 'are'} running now")
    if missing := status["missing"]:
        notes.append(
            f"{_shards(missing)} of {status['of']:,} {'has' if len(missing) == 1 else 'have'} not begun, and what "
            f"{'it asks' if len(missing) == 1 else 'they ask'} for is not counted above"
        )
    if unknown := status["unknown"]:
        notes.append(
            f"{_shards(unknown)}: there is no ledger beside the rows; if `run: {{ledger: ...}}` put the ledgers elsewhere, name their "
            "folder with --ledger"
        )
    if unlike := status["unlike"]:
        notes.append(
            f"{_shards(unlike)}: not of one output with shard {shards[0]['shard']}: the config was another one, or only one of them "
            "is simulated; run all shards with the same config: what stays in it is not bought again"
        )
    if status["decided_at_merge"]:
        names = ", ".join(status["decided_at_merge"])
        notes.append(
            f"not decided yet: {names}; stages that compare rows decide about those of all shards, at `datafast merge`"
        )
    return notes


def folder_steps(status: Mapping[str, Any]) -> list[Step]:
    """What is to be run for shards that lack something; where none does, that they can be merged."""
    to_do: list[tuple[int, str | None, str]] = []
    shards = status["shards"]
    for shard in shards:
        if shard["running"]:
            continue
        if shard["pending"] or shard["unrecorded_replies"]:
            to_do.append((number_of(shard), shard["resume"], "goes on"))
        elif shard["failed"]:
            to_do.append(
                (number_of(shard), retry_command(shard["resume"], kind=shard["kind"]), "tries failed rows again")
            )
    to_do += [(number, command_for(shards, number), "begins") for number in status["missing"]]
    to_do.sort()
    unknown = "generate(..., shard=({}, {}))" if shards else "datafast generate CONFIG.yaml --shard {}/{}"
    steps = [
        Step(command or unknown.format(number, status["of"]), f"shard {number} {what}")
        for number, command, what in to_do[:_MOST_STEPS]
    ]
    if left := len(to_do) - len(steps):
        steps.append(
            Step(f"{_command('status', status)} --json", f"the other {counted(left, 'shard')}, each with its command")
        )
    if status["failed"]:
        steps.append(Step(_command("failures", status), "what failed, with why"))
    if not to_do and not (status["running"] or status["unknown"] or status["unlike"]):
        steps.append(Step(f"{_command('merge', status)} -o FILE.jsonl", "one file of all shards, at no cost"))
    return steps


def _command(name: str, status: Mapping[str, Any]) -> str:
    ledgers = status["ledger"]
    return output_command(name, status["output_file"], None if ledgers is None else Path(ledgers))


def _shards(numbers: list[int]) -> str:
    """Shards by their numbers, with ranges where these follow on each other."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    told = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    more = f" and {len(told) - _MOST_NUMBERS:,} more" if len(told) > _MOST_NUMBERS else ""
    return f"shard{'' if len(numbers) == 1 else 's'} {', '.join(told[:_MOST_NUMBERS])}{more}"
