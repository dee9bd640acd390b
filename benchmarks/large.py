"""Very large outputs: a ledger that says of up to 10**8 items that they are done, made by SQL in minutes; how long it takes to look at it,
and to go on. And what a row takes on the disk, in each form of its reply.

What the first has: a plan of 10**9 items, of which a run has made the first; the others are written into the tables as that run would have,
with random keys, a paid call each without its reply, and a row of 13 bytes in the JSONL. The sums are made as by any run. Needs about 210
bytes an item. The rows of the second are 100 English words each, made by a run.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.child import run
from benchmarks.instruments import ROOT, peak_mb, stopwatch
from benchmarks.stages import notes, writer_of
from benchmarks.table import Line
from benchmarks.workload import LANGUAGE, LANGUAGE_NAME, TEMPLATE, values
from datafast.datasets import RawDataset
from datafast.datasets.compacting import compact
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import PromptExpansionConfig, RawDatasetConfig, RunConfig
from datafast.store.ledger import Ledger

__all__ = ["FORMS", "lines", "make", "on_disk", "resume", "status"]

FORMS: dict[str, Any] = {"keep": "keep", "compress": "compress", "drop": {"drop_after": "written"}}
"""What becomes of replies, as `run.ledger.replies` says it."""

_AXIS = 1_000
_LINE = b'{"text":"x"}\n'
_AT_ONCE = 5_000_000


def dataset(folder: str, *, axis: int = _AXIS) -> RawDataset:
    """A plan of axis x axis x axis items of one row."""
    placeholders = {"aspect": values("aspect", axis)}
    return RawDataset(
        RawDatasetConfig(
            topics=values("topic", axis),
            document_types=values("note", axis),
            languages={LANGUAGE: LANGUAGE_NAME},
            num_samples_per_prompt=1,
            prompts=[f"{TEMPLATE} <<aspect>>"],
            expansion=PromptExpansionConfig(placeholders=placeholders, max_samples=axis),
            output_file=Path(folder) / "rows.jsonl",
            run=RunConfig(max_concurrency=8),
        )
    )


def make(*, folder: str, done: int, apart: int = 1) -> dict[str, float]:
    """Makes the output. Items that are done are so many positions apart."""
    began = time.perf_counter()
    made = dataset(folder)
    made.generate([SimulatedProvider("m")], limit=1)
    rows, path = Path(folder) / "rows.jsonl", Path(folder) / "rows.jsonl.ledger"
    first, size = 1, rows.stat().st_size
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-200000")
        for start in range(1, done, _AT_ONCE):
            count = min(_AT_ONCE, done - start)
            db.execute("BEGIN")
            numbers = f"WITH RECURSIVE n(i) AS (SELECT {start + first} UNION ALL SELECT i + 1 FROM n LIMIT {count})"
            known = "SELECT position FROM items WHERE id = 1"
            db.execute(
                f"INSERT INTO items {numbers} SELECT i, randomblob(16), randomblob(16), "
                f"(({known}) + (i - 1) * {apart}) % {_AXIS**3}, 1, 0, 1, 1, NULL, NULL FROM n"
            )
            db.execute(
                f"INSERT INTO calls {numbers} SELECT i, i, randomblob(16), 0, role, provider, model_id, sent_at + i * 0.0001, "
                "latency_s, 1, 90, 110, 0, cost_usd, x'', format, NULL FROM n, (SELECT * FROM calls WHERE id = 1) AS c"
            )
            places = f"{size} + (i - 2) * {len(_LINE)}, {len(_LINE)}, {zlib.crc32(_LINE)}"
            db.execute(f"INSERT INTO appends {numbers} SELECT i, i, 1, {places}, NULL FROM n")
            db.execute("COMMIT")
    with rows.open("ab") as file:
        for _ in range(0, done - 1, 1_000_000):
            file.write(_LINE * 1_000_000)
        file.truncate(size + (done - 1) * len(_LINE))
    filled = time.perf_counter()
    with closing(Ledger(path)) as ledger:
        ledger.seal()
        ledger.checkpoint()
    return {"seconds": filled - began, "sealed_s": time.perf_counter() - filled, "bytes": float(path.stat().st_size)}


def status(folder: str) -> tuple[float, float, dict[str, Any]]:
    """Seconds and highest resident memory of `datafast status`, and what it says."""
    import json

    command = [sys.executable, "-m", "datafast", "status", str(Path(folder) / "rows.jsonl"), "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    with process.stdout as stdout:
        told = stdout.read()
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = code
    seconds = time.perf_counter() - began
    if code:
        raise RuntimeError(f"datafast status ended with {code}")
    return seconds, used.ru_maxrss / 1024, json.loads(told)


def resume(*, folder: str) -> dict[str, float]:
    """Goes on with it until the first reply has come."""
    times: list[float] = []

    def end(event: Any) -> None:
        if event.type == "call_finished":
            times.append(time.monotonic())
            raise SystemExit

    try:
        dataset(folder).generate([SimulatedProvider("m")], on_event=end)
    except SystemExit:
        return {"first_at": times[0], "ended_at": time.monotonic(), "peak_mb": peak_mb()}
    raise RuntimeError("the run made no call")


def on_disk(*, folder: str, rows: int, form: str) -> dict[str, float]:
    """Makes rows of 100 words in random order, because sentences that come again would pack better than those of a model.

    Returns:
        The bytes of a row in the JSONL, in the ledger after the run, and in the journal, which is not emptied before the end of a run that
        is so small. Then those in the ledger after `compact` has packed all replies, and its CPU seconds.
    """
    output = Path(folder) / "rows.jsonl"
    ledger, journal = (output.with_name(f"rows.jsonl.ledger{part}") for part in ("", "-replies"))
    seen, largest, step = 0, 0, max(1, rows // 400)

    def look(event: Any) -> None:
        nonlocal seen, largest
        seen += event.type == "call_finished"
        if seen % step == 0 and journal.exists():
            largest = max(largest, journal.stat().st_size)

    config = RawDatasetConfig(
        document_types=["note"],
        topics=values("topic", rows),
        num_samples_per_prompt=1,
        output_file=output,
        run=RunConfig(max_concurrency=64, ledger={"replies": FORMS[form]}),
    )
    rng = random.Random(rows)
    texts = [" ".join(rng.sample(words, len(words))) for row in notes(rows) if (words := row["text"].split())]
    RawDataset(config).generate([writer_of(texts, 0.0)], on_event=look, progress=False)
    found = {"jsonl": output.stat().st_size / rows, "ledger": ledger.stat().st_size / rows, "journal": largest / rows}
    spent = stopwatch()
    compact(output, replies="compress")
    return {**found, "compacted": ledger.stat().st_size / rows, "compact_cpu_s": spent().cpu_s}


def lines(*, done: int, rows: int, repeats: int) -> list[Line]:
    """The figures: of an output with so many items that are done, and of so many rows in each form."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="datafast-bench-") as folder:
        made = run("large:make", folder=folder, done=done)
        looked = [status(folder) for _ in range(repeats)]
        resumed = [run("large:resume", folder=folder) for _ in range(repeats)]
    at = f"{done:,} items done of 10**9"
    found = [
        _line(f"`datafast status`, {at}", "s", [one[0] for one in looked], limit=2.0),
        _line(f"peak RSS of it, {at}", "MB", [one[1] for one in looked], digits=0),
        _line(f"first request, {at}", "s", [one["first_at"] - one["started_at"] for one in resumed], limit=10.0),
        _line(f"peak RSS until then, {at}", "MB", [one["peak_mb"] for one in resumed], limit=500.0, digits=0),
        _line(f"ledger without replies, {at}", "bytes an item", [made["bytes"] / done], digits=0),
    ]
    what = f"a row of 100 words, {rows:,} rows"
    for form in FORMS:
        with tempfile.TemporaryDirectory(prefix="datafast-bench-") as folder:
            sizes = run("large:on_disk", folder=folder, rows=rows, form=form)
        if form == "keep":
            found.append(_line(f"JSONL, {what}", "bytes", [sizes["jsonl"]], digits=0))
            found.append(_line(f"journal until it is emptied, {what}", "bytes", [sizes["journal"]], digits=0))
        found.append(_line(f"ledger, replies: {form}, {what}", "bytes", [sizes["ledger"]], digits=0))
        if form == "keep":
            found.append(
                _line(
                    f"ledger after `datafast compact --replies compress`, {what}",
                    "bytes",
                    [sizes["compacted"]],
                    digits=0,
                )
            )
            found.append(
                _line(f"CPU of that a row, {rows:,} rows", "us", [1e6 * sizes["compact_cpu_s"] / rows], digits=0)
            )
    return found


def _line(measured: str, unit: str, ours: list[float], **of: Any) -> Line:
    return Line(case="large", measured=measured, unit=unit, ours=ours, **of)
