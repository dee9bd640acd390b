"""Rows in each format: how fast an output of many rows is exported, and in how much memory, beside a bare loop that copies it.

The rows are instructions with responses of 60 words. The floor parses each line and writes it again with orjson, and does nothing else.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import orjson

from benchmarks.instruments import peak_mb, stopwatch
from benchmarks.workload import MODEL

__all__ = ["FORMATS", "copied", "exported", "written"]

FORMATS = (
    *("jsonl", "json", "csv", "parquet", "arrow", "save_to_disk"),
    *("prompt_only", "prompt_completion", "trl_conversational", "openai", "sharegpt", "alpaca", "chatml"),
)
"""Those that such rows can be written in; the others are made in the same way."""

_WORDS = 60


def written(folder: str, rows: int) -> dict[str, float]:
    """Writes the rows that are exported."""
    from datafast.datasets.instruction.rows import InstructionRow

    rng = random.Random(rows)
    words = [f"{'bcdfghklmnprstvz'[n % 16]}{'aeiou'[n % 5]}{n:x}" for n in range(20_000)]
    with (Path(folder) / "rows.jsonl").open("wb") as file:
        for number in range(rows):
            row = InstructionRow(
                instruction=f"Explain {number}.",
                response=" ".join(rng.choices(words, k=_WORDS)),
                response_model_id=MODEL,
                language="en",
                uuid=f"u{number}",
                metadata={"topic": f"topic {number % 1_000}", "prompt_index": number % 2},
            )
            file.write(row.model_dump_json().encode() + b"\n")
    return {}


def exported(folder: str, form: str, rows: int) -> dict[str, float]:
    """Rows a second of CPU, and the peak in MB, of one format."""
    from datafast.datasets.instruction.rows import InstructionRow
    from datafast.export.files import OutputRows, export_rows, targets_of

    home = Path(folder)
    spent = stopwatch()
    source = OutputRows(home / "rows.jsonl", InstructionRow)
    (done,) = export_rows(source, targets_of(home / f"of {form}", [form]), row_model=InstructionRow)
    seconds = spent().cpu_s
    if done.records != rows:
        raise RuntimeError(f"{rows:,} rows were written, and {done.records:,} were exported")
    if done.path.is_dir():
        shutil.rmtree(done.path)
    else:
        done.path.unlink()
    return {"rows_per_s": rows / seconds, "peak_mb": peak_mb()}


def copied(folder: str, rows: int) -> dict[str, float]:
    """The same of the floor."""
    home = Path(folder)
    spent = stopwatch()
    with (home / "rows.jsonl").open("rb") as source, (home / "copy").open("wb") as file:
        file.writelines(orjson.dumps(orjson.loads(line)) + b"\n" for line in source)
    return {"rows_per_s": rows / spent().cpu_s, "peak_mb": peak_mb()}
