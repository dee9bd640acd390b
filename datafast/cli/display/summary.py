"""What is printed before and after a run: labelled lines, and a row as an example. All of it is shown as text, escaped where needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from datafast._util.notify import plain_text
from datafast.amounts import counted, money, share
from datafast.cli.display.lines import Step, labelled, print_steps
from datafast.types import RunReport, StopCause, target_lines

__all__ = ["changed_line", "filtered_lines", "in_words", "show_report", "show_sample", "show_start"]

_NAMED_PROVIDERS = 4
_REASONS = 5
_REASON_LETTERS = 80
_SAMPLE_FIELDS = 8
_SAMPLE_LETTERS = 2_000  # more of a text is not looked at: no terminal shows it in one line


def show_start(
    console: Console,
    *,
    rows: int,
    kind: str,
    providers: Iterable[str],
    file: str,
    limit: int | None = None,
    in_batches: bool = False,
    are_accepted: bool = False,
) -> None:
    """What a run is going to do. `rows` are all that its output is to hold, `limit` the prompts that this run stops at.

    Args:
        are_accepted: whether as many are drawn as it takes to have these rows accepted.
    """
    names = list(dict.fromkeys(providers))
    shown = ", ".join(names[:_NAMED_PROVIDERS])
    more = f" and {len(names) - _NAMED_PROVIDERS} more" if len(names) > _NAMED_PROVIDERS else ""
    stop = f", up to {counted(limit, 'prompt')} for now" if limit is not None else ""
    which = "accepted" if are_accepted else "in all"
    labelled(console, "rows", f"{rows:,} {which}, of the kind {kind}{stop}")
    if names:
        labelled(console, "asking", f"{shown}{more}")
    if in_batches:
        labelled(console, "mode", "batch: replies come within 24 h, at a lower price; Ctrl-C cancels nothing")
    labelled(console, "into", file)


def show_report(
    console: Console, report: RunReport, *, new_rows: int, next_steps: list[Step], agreement: Iterable[str] = ()
) -> None:
    """The closing summary. `new_rows` are those that this run added; `agreement` says how far several judges agree."""
    # Rows that come from recorded replies say nothing about speed, nor do those that could not be saved.
    new_rows = min(new_rows, report.written)
    worked_s = max(report.elapsed_s - report.paused_s, 1e-3)
    speed = f", {new_rows / worked_s:,.1f} rows/s" if new_rows and not report.replayed else ""
    tokens = report.input_tokens + report.output_tokens
    speed += f", {tokens / worked_s:,.0f} tokens/s" if tokens else ""
    lines = [("rows", report.counts_line())]
    lines += [("target", text) for text in target_lines(report.targets)]
    lines += [("filtered", text) for text in filtered_lines(report.filtered_by_stage)]
    lines += [("changed", changed_line(report.changed_by_stage))] if report.changed_by_stage else []
    if report.dropped_again or report.returned or report.changed_again:
        others = f", {report.returned:,} came back, and {report.changed_again:,} have another text"
        both = others if report.changed_again else f", and {report.returned:,} came back"
        lines.append(
            (
                "decided",
                f"anew, by other stages or reviewers: {counted(report.dropped_again, 'row')} left the file{both}",
            )
        )
    if report.dropped_at_end or report.returned_at_end:
        what = "with each other and with the targets" if report.targets else "with each other"
        left = counted(report.dropped_at_end, "row")
        lines.append(("compared", f"{what}: {left} left the file, and {report.returned_at_end:,} came back"))
    if report.failures:
        ended = f" ({share(report.failed, report.written + report.filtered + report.failed)} of the rows that are done)"
        why = ", ".join(f"{count:,} {category}" for category, count in report.failures.items())
        lines.append(("failed", why + ended))
    lines += [
        ("calls", report.calls_line()),
        ("tokens", f"{report.input_tokens:,} in, {report.output_tokens:,} out"),
        ("cost", money(report.cost_usd)),
        *(("used", line) for line in report.usage_lines()),
        ("time", f"{report.time_line()}{speed}"),
        ("file", report.output_file + (" (these rows are simulated)" if report.simulated else "")),
    ]
    if report.decided_at_merge:
        lines.append(
            ("at merge", f"{', '.join(report.decided_at_merge)}: they compare rows, which needs those of all shards")
        )
    lines += [("agreement", text) for text in agreement]
    lines += [("set aside", path) for path in report.set_aside]
    lines += [("stopped", _stopped(report))] if report.stop_reason else []
    for name, value in lines:
        labelled(console, name, value)
    print_steps(console, next_steps)


def _stopped(report: RunReport) -> str:
    """Why the run stopped. What was wrong with a provider was said as an error when it was stopped, and is not said again."""
    if report.stop_cause is StopCause.PROVIDER and report.stopped_providers:
        return f"{', '.join(report.stopped_providers)} (see the error above)"
    return report.stop_reason or ""


def filtered_lines(by_stage: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A line for each stage with the most frequent of its reasons, each cut. `--json` has all of them in full."""
    for stage, reasons in by_stage.items():
        most = sorted(reasons.items(), key=lambda reason: -reason[1])
        shown = [f"{count:,} {_cut(reason)}" for reason, count in most[:_REASONS]]
        if rest := sum(count for _, count in most[_REASONS:]):
            shown.append(f"{rest:,} for {len(most) - _REASONS:,} other reasons")
        yield f"by {stage}: {', '.join(shown)}"


def changed_line(by_stage: Mapping[str, int]) -> str:
    """How many rows in the file each stage has changed."""
    return ", ".join(f"{counted(rows, 'row')} by {stage}" for stage, rows in by_stage.items())


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REASON_LETTERS else f"{line[: _REASON_LETTERS - 3]}..."


def show_sample(console: Console, row: Mapping[str, Any]) -> None:
    """One row, a line for each of its first fields, each cut to the width of the terminal."""
    fields = [(name, value) for name, value in row.items() if value is not None and value not in ({}, [], "")]
    if not fields:
        return
    labelled(console, "a row", "")
    for name, value in fields[:_SAMPLE_FIELDS]:
        text = plain_text(" ".join(in_words(value)[:_SAMPLE_LETTERS].split()))
        line = Text.assemble("  ", (f"{plain_text(name)}: ", "bold"), text)
        line.truncate(max(console.width - 1, 20), overflow="ellipsis")
        console.print(line)
    if len(fields) > _SAMPLE_FIELDS:
        console.print(f"  and {len(fields) - _SAMPLE_FIELDS} more fields")


def in_words(value: object) -> str:
    """A mapping as `name: value` pairs, chat messages one below the other, anything else as it is."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_listed(part)}" for key, part in value.items() if part is not None)
    if isinstance(value, list) and value and all(isinstance(part, dict) and "role" in part for part in value):
        return "\n".join(_message(part) for part in value)
    return str(value)


def _listed(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def _message(message: dict[str, Any]) -> str:
    thought = f"({message['reasoning_content']}) " if message.get("reasoning_content") else ""
    calls = [
        f" -> {call['function']['name']}({call['function']['arguments']})" for call in message.get("tool_calls", ())
    ]
    return f"[{message['role']}] {thought}{message['content']}{''.join(calls)}"
