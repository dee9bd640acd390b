"""Very large outputs: a ledger that says of 10**8 items that they are done, made by SQL in minutes; how long it takes to look at it, and to
go on.

What it has: a plan of 10**9 items, of which a run has made the first; the others are written into the tables as that run would have, with
random keys, a paid call each without its reply, and a row of 13 bytes in the JSONL. The sums are made as by any run. Needs about 210
bytes an item.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.instruments import ROOT, peak_mb
from benchmarks.workload import LANGUAGE, LANGUAGE_NAME, TEMPLATE, values
from datafast.datasets import RawDataset
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import PromptExpansionConfig, RawDatasetConfig, RunConfig
from datafast.store.ledger import Ledger

__all__ = ["make", "resume", "status"]

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
                "latency_s, 1, 90, 110, 0, cost_usd, x'', format FROM n, (SELECT * FROM calls WHERE id = 1) AS c"
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
    told = process.stdout.read()
    _, code, used = os.wait4(process.pid, 0)
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
