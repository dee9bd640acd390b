"""The cases: what is measured, how large, and the target it is held against. docs/performance.md says what each one means.

Every measurement runs in a fresh process against a fresh server; ours and the floor take turns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from benchmarks.child import run
from benchmarks.export import FORMATS
from benchmarks.limits import Limits
from benchmarks.server import STREAM_S, running_server
from benchmarks.stages import STAGES
from benchmarks.table import Line

__all__ = ["CASES", "FULL", "QUICK", "Sizes", "measure", "schema"]


@dataclass(frozen=True)
class Sizes:
    """How large the cases are."""

    repeats: int = 5
    rows: int = 5_000
    warm_up: int = 200
    budget_rows: int = 2_000
    budget_times: float = 1.1  # the cost; few rows need more, since the last requests have to be reserved too
    waves: int = 10  # of requests of one second each
    widths: tuple[tuple[int, float], ...] = ((512, 1.06), (2_048, 1.20))
    litellm_calls: int = 3_000
    litellm_width: int = 700
    litellm_wait_s: float = (
        8.0  # litellm needs seconds to send so many: the first must not be answered before the last is sent
    )
    topics: int = 10_000
    memory_early: int = 5_000
    memory_rows: int = 200_000
    batch_calls: tuple[int, int] = (10_000, 100_000)
    axis: int = 1_000  # topics, and document types, of a large plan
    samples: int = 1_000
    local_calls: int = 32
    local_layers: int = 4
    said_calls: int = 160
    silent_calls: int = 1_200
    chance_calls: int = 400
    knee_calls: int = 6_000
    stage_rows: tuple[int, int] = (200_000, 20_000)  # through all stages, and through each by itself
    near_rows: int = 1_000_000
    live_rows: int = 2_560  # made while stages decide
    statistics_rows: int = 1_000_000
    export_rows: int = 1_000_000
    viewer_rows: int = 1_000_000
    large_items: int = 1_000_000
    large_rows: int = 20_000
    scale: tuple[tuple[int, int], ...] = ((1, 1), (4, 1), (100, 1), (1_000, 1), (1_000, 10))  # nodes and drivers
    scale_s: float = 10.0  # virtual
    scale_replies: int = 3_000  # by which costs are measured


FULL = Sizes()
QUICK = Sizes(
    repeats=3,
    rows=2_000,
    topics=3_000,
    waves=3,
    memory_rows=30_000,
    batch_calls=(3_000, 30_000),
    axis=300,
    litellm_calls=300,
    local_calls=16,
    said_calls=90,
    silent_calls=300,
    knee_calls=2_000,
    stage_rows=(20_000, 5_000),
    near_rows=50_000,
    live_rows=640,
    statistics_rows=50_000,
    export_rows=50_000,
    viewer_rows=50_000,
    large_items=100_000,
    large_rows=2_000,
    scale=((1, 1), (4, 1), (100, 1), (200, 2)),
    scale_s=5.0,
)

_IN_FLIGHT = 64
_BATCH = 8
_BUDGET_LATENCY_S = 0.2
# What jsonschema imports with itself where it finds it: 0.7 s, of which the first takes nearly all.
_OF_JUPYTER = (
    "rfc3987_syntax",
    "arrow",
    "fqdn",
    "isoduration",
    "jsonpointer",
    "rfc3339_validator",
    "uri_template",
    "webcolors",
)


def measure(
    function: str,
    *,
    latency_s: float = 0.0,
    folder: str | None = None,
    form: str = "texts",
    limits: Limits | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """One measurement in a fresh process against a fresh server, whose counts come with the result."""
    with (
        tempfile.TemporaryDirectory(prefix="datafast-bench-") as fresh,
        running_server(latency_s, form, limits) as server,
    ):
        if function != "floor:litellm":
            arguments["folder"] = folder or fresh
        result = run(function, url=server.url, **arguments)
        return {**result, **server.stats()}


def _zero_latency(sizes: Sizes) -> list[Line]:
    size: dict[str, Any] = {"items": sizes.rows, "in_flight": _IN_FLIGHT, "warm_up": sizes.warm_up}
    ours, floor = _in_turns(
        sizes, partial(measure, "ours:fan_out", **size), partial(measure, "floor:fan_out", schema=schema(), **size)
    )
    case, rows = "zero-latency", sizes.rows
    return [
        Line(
            case=case,
            measured=f"CPU a row, {rows:,} rows, {_IN_FLIGHT} in flight",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / rows for r in ours],
            peer=[1e3 * r["cpu_s"] / rows for r in floor],
            limit=1.8,
            rule="ratio",
            digits=3,
        ),
        Line(
            case=case,
            measured="rows a second",
            unit="",
            ours=[rows / r["wall_s"] for r in ours],
            peer=[rows / r["wall_s"] for r in floor],
            digits=0,
        ),
    ]


def _native(sizes: Sizes) -> list[Line]:
    rows = sizes.rows
    size: dict[str, Any] = {"items": rows, "in_flight": _IN_FLIGHT, "warm_up": sizes.warm_up}
    lines = []
    for vendor in ("anthropic", "gemini"):
        ours, chat = _in_turns(
            sizes, partial(measure, "ours:native", vendor=vendor, **size), partial(measure, "ours:fan_out", **size)
        )
        line = Line(
            case="native",
            measured=f"CPU a row, {rows:,} rows, {_IN_FLIGHT} in flight, {vendor}",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / rows for r in ours],
            peer=[1e3 * r["cpu_s"] / rows for r in chat],
            peer_is="chat completions",
            limit=1.5,
            rule="ratio",
            digits=3,
        )
        lines.append(line)
    return lines


def _streamed(sizes: Sizes) -> list[Line]:
    rows = sizes.rows
    size: dict[str, Any] = {"items": rows, "in_flight": _IN_FLIGHT, "warm_up": sizes.warm_up}
    lines = []
    for vendor, form in (("openai_compatible", "chat completions"), ("anthropic", "anthropic"), ("gemini", "gemini")):
        case = partial(measure, "ours:native", vendor=vendor, **size)
        # The whole reply comes as late as the last event of a stream, so that as much happens at once.
        streamed, whole = _in_turns(sizes, partial(case, stream=True), partial(case, latency_s=STREAM_S))
        line = Line(
            case="streamed",
            measured=f"CPU a row, {rows:,} rows, {_IN_FLIGHT} in flight, {form}",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / rows for r in streamed],
            peer=[1e3 * r["cpu_s"] / rows for r in whole],
            peer_is="not streamed",
            limit=2.0,
            rule="ratio",
            digits=3,
        )
        lines.append(line)
    return lines


def _topics(sizes: Sizes) -> list[Line]:
    rows = sizes.topics
    size: dict[str, Any] = {"items": rows, "in_flight": _IN_FLIGHT, "warm_up": sizes.warm_up}
    conversations, texts = _in_turns(
        sizes,
        partial(measure, "ours:conversations", form="conversations", **size),
        partial(measure, "ours:fan_out", **size),
    )
    return [
        Line(
            case="topics",
            measured=f"CPU a conversation, {rows:,} topics, {_IN_FLIGHT} in flight",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / rows for r in conversations],
            peer=[1e3 * r["cpu_s"] / rows for r in texts],
            peer_is="a raw text",
            limit=1.5,
            rule="ratio",
            digits=3,
        )
    ]


def _latency(sizes: Sizes) -> list[Line]:
    return [line for width, limit in sizes.widths for line in _latency_of(sizes, width, limit)]


def _latency_of(sizes: Sizes, width: int, limit: float) -> list[Line]:
    size: dict[str, Any] = {"items": sizes.waves * width, "in_flight": width, "warm_up": 1, "latency_s": 1.0}
    ours, floor = _in_turns(
        sizes, partial(measure, "ours:fan_out", **size), partial(measure, "floor:fan_out", schema=schema(), **size)
    )
    return [
        Line(
            case="latency",
            measured=f"wall time / ideal {sizes.waves} s, {width:,} in flight at 1 s each",
            unit="",
            ours=[r["wall_s"] / sizes.waves for r in ours],
            peer=[r["wall_s"] / sizes.waves for r in floor],
            limit=limit,
            digits=3,
        ),
        Line(
            case="latency",
            measured=f"most in flight at the server, set to {width:,}",
            unit="",
            ours=[r["peak"] for r in ours],
            peer=[r["peak"] for r in floor],
            limit=width,
            rule="exactly",
            digits=0,
        ),
    ]


def _budget(sizes: Sizes) -> list[Line]:
    rows = sizes.budget_rows
    size: dict[str, Any] = {"items": rows, "in_flight": _IN_FLIGHT, "warm_up": _IN_FLIGHT}
    run_with = partial(measure, "ours:budgeted", latency_s=_BUDGET_LATENCY_S, **size)
    first = run_with()
    budgets = {
        "the estimate": first["estimated_usd"],
        f"{sizes.budget_times} times the cost": sizes.budget_times * first["cost_usd"],
    }
    rounds = [[run_with(budget_usd=usd) for usd in (None, *budgets.values())] for _ in range(sizes.repeats)]
    without, *within = zip(*rounds, strict=True)
    return [
        Line(
            case="budget",
            measured=f"wall time of {rows:,} rows, {_IN_FLIGHT} in flight at {_BUDGET_LATENCY_S} s each, budget of {name}",
            unit="s",
            ours=[r["wall_s"] for r in runs],
            peer=[r["wall_s"] for r in without],
            peer_is="without one",
            limit=1.1,
            rule="ratio",
        )
        for name, runs in zip(budgets, within, strict=True)
    ]


def _litellm(sizes: Sizes) -> list[Line]:
    calls, width = sizes.litellm_calls, sizes.litellm_width
    size: dict[str, Any] = {"items": calls, "in_flight": _IN_FLIGHT, "warm_up": _IN_FLIGHT}
    ours, bare = _in_turns(
        sizes, partial(measure, "ours:litellm", **size), partial(measure, "floor:litellm", schema=schema(), **size)
    )
    wide: dict[str, Any] = {"items": width, "in_flight": width, "warm_up": 0, "latency_s": sizes.litellm_wait_s}
    return [
        Line(
            case="litellm",
            measured=f"CPU a call, {calls:,} calls, {_IN_FLIGHT} in flight",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / calls for r in ours],
            peer=[1e3 * r["cpu_s"] / calls for r in bare],
            peer_is="bare litellm",
            limit=1.1,
            rule="ratio",
        ),
        Line(
            case="litellm",
            measured=f"most in flight at the server, set to {width:,}",
            unit="",
            ours=[measure("ours:litellm", **wide)["peak"]],
            limit=width,
            rule="exactly",
            digits=0,
        ),
    ]


def _pace(sizes: Sizes) -> list[Line]:
    return [*_quotas(sizes), *_chance(sizes), *_knee(sizes)]


def _quotas(sizes: Sizes) -> list[Line]:
    """Servers that take so many at once and so many a minute: one says when to come again, the other does not."""
    said = Limits(bucket=_IN_FLIGHT, per_minute=120, says_when=True)
    silent = Limits(bucket=_IN_FLIGHT, per_minute=600)
    lines = []
    for limits, items, most in ((said, sizes.said_calls, 1.15), (silent, sizes.silent_calls, 1 / 0.95)):
        name = f"{_IN_FLIGHT} at once and {limits.per_minute:g} a minute, {items:,} prompts"
        name += ", Retry-After" if limits.says_when else ", nothing said"
        size: dict[str, Any] = {"items": items, "in_flight": _IN_FLIGHT, "warm_up": 0, "latency_s": 0.2}
        found = [measure("ours:limited", limits=limits, **size) for _ in range(min(sizes.repeats, 3))]
        ideal_s = (items - _IN_FLIGHT) * 60.0 / limits.per_minute
        lines += [
            Line(
                case="pace",
                measured=f"wall time / ideal: {name}",
                unit="",
                ours=[(r["last_at"] - r["first_at"]) / ideal_s for r in found],
                limit=round(most, 3),
                digits=3,
            ),
            Line(
                case="pace",
                measured=f"requests a call: {name}",
                unit="",
                ours=[r["total"] / items for r in found],
                limit=1.5,
            ),
            Line(
                case="pace",
                measured=f"most requests for one call: {name}",
                unit="",
                ours=[r["most_attempts"] for r in found],
                limit=5,
                digits=0,
            ),
        ]
    return lines


def _chance(sizes: Sizes) -> list[Line]:
    """A server that refuses some by chance, which is no reason to go slower."""
    calls, width, latency_s = sizes.chance_calls, 32, 0.2
    ideal_s = calls * latency_s / width
    size: dict[str, Any] = {"items": calls, "in_flight": width, "warm_up": 0, "latency_s": latency_s}
    return [
        Line(
            case="pace",
            measured=f"wall time / ideal {ideal_s:g} s, {100 * share:g} % refused by chance",
            unit="",
            ours=[
                (r["last_at"] - r["first_at"]) / ideal_s
                for r in (measure("ours:limited", limits=Limits(refuses=share), **size) for _ in range(sizes.repeats))
            ],
            limit=most,
        )
        for share, most in ((0.02, 1.3), (0.05, 1.5), (0.1, 2.0))
    ]


def _knee(sizes: Sizes) -> list[Line]:
    """A server whose replies take longer, in proportion, beyond 24 in flight; the best that a fixed number gives is 24 at a time."""
    items, knee, latency_s = sizes.knee_calls, 24, 0.2
    best = knee / latency_s
    found = [
        measure("ours:found_limit", limits=Limits(knee=knee), items=items, latency_s=latency_s)
        for _ in range(min(sizes.repeats, 3))
    ]
    return [
        Line(
            case="pace",
            measured=f"time / that of the best fixed number in flight, max_concurrency: auto, {items:,} calls, {knee} useful in flight",
            unit="",
            ours=[(r["last_at"] - r["first_at"]) * best / items for r in found],
            limit=1 / 0.9,
            digits=3,
        ),
        Line(
            case="pace",
            measured=f"in flight that auto settles at, {knee} are useful",
            unit="",
            ours=[r["limit"] for r in found],
            limit=36,
            digits=0,
        ),
    ]


def _memory(sizes: Sizes) -> list[Line]:
    size: dict[str, Any] = {"items": sizes.memory_rows, "early": sizes.memory_early, "in_flight": _IN_FLIGHT}
    found = [measure("ours:memory", **size) for _ in range(min(sizes.repeats, 3))]
    return [
        Line(
            case="memory",
            measured=f"RSS after {sizes.memory_rows:,} rows",
            unit="MB",
            ours=[r["late_mb"] for r in found],
            peer=[r["early_mb"] for r in found],
            peer_is=f"after {sizes.memory_early:,}",
            limit=20,
            rule="growth",
            digits=1,
        )
    ]


def _batches(sizes: Sizes) -> list[Line]:
    few, many = sizes.batch_calls
    repeats = range(min(sizes.repeats, 3))
    early = [measure("batches:run", items=few, in_flight=_IN_FLIGHT) for _ in repeats]
    late = [measure("batches:run", items=many, in_flight=_IN_FLIGHT) for _ in repeats]
    return [
        Line(
            case="batches",
            measured=f"peak RSS, {many:,} calls in batches of 20,000",
            unit="MB",
            ours=[r["peak_mb"] for r in late],
            peer=[r["peak_mb"] for r in early],
            peer_is=f"{few:,}",
            limit=100,
            rule="growth",
            digits=1,
        ),
        Line(
            case="batches",
            measured=f"CPU a call, {many:,} calls in batches of 20,000",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / many for r in late],
            digits=3,
        ),
    ]


def _start(sizes: Sizes) -> list[Line]:
    axis = sizes.axis
    plans: dict[str, dict[str, Any]] = {
        f"{axis * axis:,} prompts": {"topics": axis, "document_types": axis},
        f"{sizes.samples:,} of 10**12 combinations": {"topics": 1, "document_types": 1, "samples": sizes.samples},
    }
    lines = []
    for name, plan in plans.items():
        ours, floor = _in_turns(
            sizes,
            partial(measure, "ours:first_request", in_flight=_IN_FLIGHT, **plan),
            partial(measure, "floor:fan_out", schema=schema(), items=_IN_FLIGHT, in_flight=_IN_FLIGHT),
        )
        lines.append(
            Line(
                case="start",
                measured=f"process start to first request, {name}",
                unit="s",
                ours=_first_requests(ours),
                peer=_first_requests(floor),
                limit=1.0,
            )
        )
    return [*lines, *_start_beside_jupyter(sizes)]


def _start_beside_jupyter(sizes: Sizes) -> list[Line]:
    """The same where what Jupyter brings is installed, and where it is not."""
    if find_spec(_OF_JUPYTER[0]) is None:
        return []
    first = partial(measure, "ours:first_request", in_flight=_IN_FLIGHT, topics=sizes.axis, document_types=1)
    beside, alone = _in_turns(sizes, first, partial(first, hidden=_OF_JUPYTER))
    return [
        Line(
            case="start",
            measured=f"process start to first request, {sizes.axis:,} prompts, beside Jupyter's packages",
            unit="s",
            ours=_first_requests(beside),
            peer=_first_requests(alone),
            peer_is="without them",
            limit=1.1,
            rule="ratio",
        )
    ]


def _resume(sizes: Sizes) -> list[Line]:
    axis, repeats = sizes.axis, min(sizes.repeats, 5)
    done = axis * axis
    plan: dict[str, Any] = {"document_types": axis + 1, "in_flight": _IN_FLIGHT}
    with tempfile.TemporaryDirectory(prefix="datafast-bench-") as folder:
        run("ours:fill", items=done, topics=axis, document_types=axis + 1, folder=folder)
        # Each resumed run ends after its first replies, so the next one finds what this one found. A new topic each time
        # makes every config a changed one.
        same = [measure("ours:first_request", folder=folder, topics=axis, **plan) for _ in range(repeats)]
        grown = [
            measure("ours:first_request", folder=folder, topics=axis + 1 + number, **plan) for number in range(repeats)
        ]
    lines = []
    for name, found, seconds, megabytes in (("same config", same, 2, 150), ("one more topic", grown, 5, 250)):
        what = f"{done:,} rows done, {name}"
        times, peaks = _first_requests(found), [r["peak_mb"] for r in found]
        lines.append(Line(case="resume", measured=f"first request, {what}", unit="s", ours=times, limit=seconds))
        lines.append(
            Line(case="resume", measured=f"peak RSS, {what}", unit="MB", ours=peaks, limit=megabytes, digits=0)
        )
    return lines


def _columns(sizes: Sizes) -> list[Line]:
    rows = sizes.rows
    size: dict[str, Any] = {"in_flight": _IN_FLIGHT, "warm_up": sizes.warm_up}
    ours, plain = _in_turns(
        sizes,
        partial(measure, "ours:columns", rows=rows, **size),
        partial(measure, "ours:fan_out", items=rows, **size),
    )
    return [
        Line(
            case="columns",
            measured=f"CPU a call, {rows:,} rows of 12 columns, 4 calls each, {_IN_FLIGHT} in flight",
            unit="ms",
            ours=[1e3 * r["cpu_s"] / r["calls"] for r in ours],
            peer=[1e3 * r["cpu_s"] / rows for r in plain],
            peer_is="raw texts, one call a row",
            limit=3.0,
            rule="ratio",
            digits=3,
        )
    ]


def _large(sizes: Sizes) -> list[Line]:
    from benchmarks.large import lines

    return lines(done=sizes.large_items, rows=sizes.large_rows, repeats=sizes.repeats)


def _local(sizes: Sizes) -> list[Line]:
    from benchmarks.local_model import write_model

    calls = sizes.local_calls
    with tempfile.TemporaryDirectory(prefix="datafast-bench-") as folder:
        write_model(folder, layers=sizes.local_layers)
        size: dict[str, Any] = {"folder": folder, "calls": calls}
        batched, single = _in_turns(
            sizes,
            partial(run, "local_model:transformers", batch_size=_BATCH, **size),
            partial(run, "local_model:transformers", batch_size=1, **size),
        )
    return [
        Line(
            case="local",
            measured=f"wall time of {calls} replies of {batched[0]['reply_tokens']:.0f} tokens, batches of {_BATCH}",
            unit="s",
            ours=[r["wall_s"] for r in batched],
            peer=[r["wall_s"] for r in single],
            peer_is="one at a time",
            limit=0.5,
            rule="ratio",
        )
    ]


def _stages(sizes: Sizes) -> list[Line]:
    together, each = sizes.stage_rows
    names = list(STAGES)
    rounds = range(min(sizes.repeats, 3))
    runs = [_through(names, together) for _ in rounds]
    lines = [
        _stage_line(f"all {len(names)}", together, runs, limit=0.5),
        Line(
            case="stages",
            measured=f"peak RSS, {together:,} rows of 100 words, all {len(names)}",
            unit="MB",
            ours=[ours["peak_mb"] for ours, _ in runs],
            peer=[bare["peak_mb"] for _, bare in runs],
            peer_is="read and written",
            limit=500,
            digits=0,
        ),
    ]
    lines += [_stage_line(f"`{name}`", each, [_through([name], each) for _ in rounds]) for name in names]
    return lines + _live(sizes)


def _live(sizes: Sizes) -> list[Line]:
    # Such rows have no facts, and are compared only at the end.
    names = [name for name in STAGES if name not in ("check", "exact_duplicates", "near_duplicates")]
    size = {"rows": sizes.live_rows, "in_flight": _IN_FLIGHT, "reply_s": 0.5}
    ours, without = _in_turns(
        sizes,
        partial(_in_a_folder, "stages:live", **size, stages=names),
        partial(_in_a_folder, "stages:live", **size, stages=[]),
    )
    of = f"{sizes.live_rows:,} rows made, {_IN_FLIGHT} in flight at 0.5 s each, {len(names)} stages"
    shown: Any = {"case": "stages", "peer_is": "no stages"}
    return [
        Line(
            measured=f"wall time of {of}",
            unit="s",
            ours=[r["wall_s"] for r in ours],
            peer=[r["wall_s"] for r in without],
            limit=1.03,
            rule="ratio",
            **shown,
        ),
        Line(
            measured=f"delay of the event loop (99 %), {of}",
            unit="ms",
            ours=[1e3 * r["late_s"] for r in ours],
            peer=[1e3 * r["late_s"] for r in without],
            limit=10,
            rule="growth",
            **shown,
        ),
    ]


def _duplicates(sizes: Sizes) -> list[Line]:
    rows = sizes.near_rows
    runs = [_through(["near_duplicates"], rows)]  # it takes minutes, and is the same each time
    memory = Line(
        case="duplicates",
        measured=f"peak RSS, {rows:,} rows of 100 words, `near_duplicates`",
        unit="MB",
        ours=[ours["peak_mb"] for ours, _ in runs],
        peer=[bare["peak_mb"] for _, bare in runs],
        peer_is="read and written",
        limit=3_000,
        digits=0,
    )
    return [replace(_stage_line("`near_duplicates`", rows, runs), case="duplicates"), memory]


def _through(names: list[str], rows: int) -> tuple[_Result, _Result]:
    return _in_a_folder("stages:filtered", rows=rows, stages=names), _in_a_folder("stages:bare", rows=rows)


def _in_a_folder(function: str, **arguments: Any) -> _Result:
    with tempfile.TemporaryDirectory(prefix="datafast-bench-") as fresh:
        return run(function, folder=fresh, **arguments)


def _stage_line(what: str, rows: int, runs: list[tuple[_Result, _Result]], limit: float | None = None) -> Line:
    kept = min(ours["kept"] for ours, _ in runs)
    if kept < 0.95 * rows:
        raise RuntimeError(f"{what}: only {kept:,} of {rows:,} rows went through all of it")
    return Line(
        case="stages",
        measured=f"CPU a row, {rows:,} rows of 100 words, {what}",
        unit="ms",
        ours=[1e3 * ours["cpu_s"] / rows for ours, _ in runs],
        peer=[1e3 * bare["cpu_s"] / rows for _, bare in runs],
        peer_is="read and written",
        limit=limit,
        digits=3,
    )


def _statistics(sizes: Sizes) -> list[Line]:
    return _of_outputs(sizes, "statistics", "statistics:measured")


def _report(sizes: Sizes) -> list[Line]:
    return _of_outputs(sizes, "report", "statistics:reported")


def _of_outputs(sizes: Sizes, case: str, function: str) -> list[Line]:
    rows, rounds = sizes.statistics_rows, range(min(sizes.repeats, 3))
    lines = []
    for what, ledger in (("an output with its ledger", True), ("a file without one", False)):
        found = [_in_a_folder(function, rows=rows, ledger=ledger) for _ in rounds]
        seconds, peaks = [r["cpu_s"] for r in found], [r["peak_mb"] for r in found]
        of = f"{rows:,} rows of 100 words, {what}"
        lines.append(Line(case=case, measured=f"CPU, {of}", unit="s", ours=seconds, limit=60, digits=1))
        lines.append(Line(case=case, measured=f"peak RSS, {of}", unit="MB", ours=peaks, limit=500, digits=0))
    return lines


def _export(sizes: Sizes) -> list[Line]:
    lines = []
    with tempfile.TemporaryDirectory(prefix="datafast-bench-") as folder:
        of: dict[str, Any] = {"folder": folder, "rows": sizes.export_rows}
        run("export:written", **of)
        copied = run("export:copied", **of)
        for form in FORMATS:
            found = run("export:exported", form=form, **of)
            what = f"{sizes.export_rows:,} rows as `{form}`"
            speed: dict[str, Any] = {"ours": [found["rows_per_s"]], "peer": [copied["rows_per_s"]]}
            lines.append(Line(case="export", measured=f"rows a second of CPU, {what}", unit="/s", digits=0, **speed))
            peak = [found["peak_mb"]]
            lines.append(Line(case="export", measured=f"peak RSS, {what}", unit="MB", ours=peak, limit=300, digits=0))
    return lines


def _viewer(sizes: Sizes) -> list[Line]:
    rows, rounds = sizes.viewer_rows, range(min(sizes.repeats, 3))
    of = f"{rows:,} rows of 100 words"
    served = [_in_a_folder("viewer:served", rows=rows) for _ in rounds]
    with tempfile.TemporaryDirectory(prefix="datafast-bench-") as folder:
        passed = [run("viewer:passed", folder=folder, rows=rows) for _ in rounds]
    read: dict[str, Any] = {"peer": [r["read"] for r in passed], "peer_is": "read", "unit": "MB/s", "digits": 0}
    first, peaks = [r["first_s"] for r in served], [r["peak_mb"] for r in served]
    what = {
        "counted": "counted",
        "searched": "searched for a text that none has",
        "facets": "values counted for all facets",
        "ordered": "taken to be ordered by the length of a column",
    }
    return [
        Line(case="viewer", measured=f"first page of the table, {of}", unit="s", ours=first, limit=0.5),
        Line(case="viewer", measured=f"peak RSS of the server, {of}", unit="MB", ours=peaks, limit=300, digits=0),
        *(
            Line(case="viewer", measured=f"MB a second of CPU, {of}, {told}", ours=[r[name] for r in passed], **read)
            for name, told in what.items()
        ),
    ]


_Result = dict[str, Any]


def _scale(sizes: Sizes) -> list[Line]:
    """A cluster in virtual time, by the costs of a message and a reply on this machine."""
    costs = _in_a_folder("costs:calibrated", replies=sizes.scale_replies)
    size: dict[str, Any] = {"slots": _IN_FLIGHT, "reply_s": 2.0, "costs": costs}
    lines = [_scale_line(f"CPU {what}", "us", [1e6 * costs[name]], digits=1) for name, what in _SCALE_COSTS.items()]
    found: dict[int, _Result] = {}
    for nodes, drivers in sizes.scale:
        each = nodes // drivers
        ran = found.get(each) or run("scale:simulated", nodes=each, seconds=sizes.scale_s, **size)
        found[each] = ran
        at = f"{_counted(nodes, 'node')} of {_IN_FLIGHT} in flight at 2 s each, {_counted(drivers, 'driver')}"
        lines += [
            _scale_line(
                f"replies a second, {at}", "", [drivers * ran["done"]], peer=[drivers * ran["ideal"]], digits=0
            ),
            _scale_line(f"time of a driver, {at}", "%", [100.0 * ran["busy"]], digits=1),
            _scale_line(f"of it the broker, {at}", "%", [100.0 * ran["broker"]], digits=1),
            _scale_line(f"journal of a driver, {at}", "MB/s", [ran["done"] * costs["reply_bytes"] / 1e6]),
        ]
    few = 4 if sizes.scale_s < _SCALE_DEATHS_S else 20
    dying = run("scale:simulated", nodes=few, seconds=3.0 * sizes.scale_s, death_every_s=_SCALE_DEATHS_S, **size)
    paced = run("scale:simulated", nodes=few, seconds=6.5 * sizes.scale_s, rpm=1_200.0 * few, **size)
    at = f"{few} nodes, one lost every 5 s"
    return [
        *lines,
        _scale_line(
            f"replies a second, {at} and back after 10 s", "", [dying["done"]], peer=[dying["ideal"]], digits=0
        ),
        _scale_line(f"requests repeated for each loss, {at}", "", [dying["lost"]], digits=0),
        _scale_line(
            f"replies a second, {few} nodes, an rpm limit", "", [paced["done"]], peer=[paced["ideal"]], digits=0
        ),
        _scale_line(f"most in a minute, {few} nodes", "", [paced["most_a_minute"]], limit=1_200.0 * few, digits=0),
    ]


_SCALE_DEATHS_S = 5.0
_SCALE_COSTS = {
    "row_s": "of a row in a local run without HTTP",
    "journal_s": "of it the journal",
    "commit_s": "of it the ledger and the JSONL",
    "decode_s": "of reading a reply from a message",
    "message_s": "of a message and its answer",
    "broker_s": "of an ask and its grant",
}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _scale_line(measured: str, unit: str, ours: list[float], **of: Any) -> Line:
    return Line(case="scale", measured=measured, unit=unit, ours=ours, peer_is="ideal", **of)


CASES: Mapping[str, Callable[[Sizes], list[Line]]] = {
    "zero-latency": _zero_latency,
    "columns": _columns,
    "topics": _topics,
    "latency": _latency,
    "pace": _pace,
    "budget": _budget,
    "native": _native,
    "streamed": _streamed,
    "litellm": _litellm,
    "memory": _memory,
    "batches": _batches,
    "start": _start,
    "resume": _resume,
    "large": _large,
    "local": _local,
    "stages": _stages,
    "duplicates": _duplicates,
    "statistics": _statistics,
    "report": _report,
    "export": _export,
    "viewer": _viewer,
    "scale": _scale,
}
"""By name, in the order of the table."""


def _in_turns(
    sizes: Sizes, ours: Callable[[], _Result], floor: Callable[[], _Result]
) -> tuple[list[_Result], list[_Result]]:
    """Measures ours, the floor, ours, the floor, and so on: what the machine does meanwhile falls on both."""
    pairs = [(ours(), floor()) for _ in range(sizes.repeats)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _first_requests(found: list[_Result]) -> list[float]:
    return [result["first_at"] - result["started_at"] for result in found]


def schema() -> str:
    """The `response_format` that ours sends, as JSON."""
    from datafast.datasets.replies import texts_model
    from datafast.llms.schema import ResponseSchema

    asked = ResponseSchema.of(texts_model(1))
    return (asked.bounded_wire or asked.wire).decode()
