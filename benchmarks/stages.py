"""Rows of 100 words through the stages, as `datafast filter` decides about them, and through a loop that reads and writes them; and in a
run, between replies."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults import clean_texts, test_texts
from benchmarks.instruments import peak_mb, stopwatch

__all__ = ["STAGES", "bare", "filtered", "live", "notes", "writer_of"]

_WORDS = 100
_TEXT_LINES = 5_000  # of a test that rows are compared with

STAGES: dict[str, dict[str, Any]] = {
    "length": {"min_words": 10},
    "regex": {"deny": ["(?i)lorem ipsum", "(?i)click here"]},
    "keep_if": {"expression": "text | length > 20"},
    "refusals": {},
    "echo": {},
    "language": {},
    "repetition": {},
    "pii": {},
    "contamination": {},
    "exact_duplicates": {},
    "near_duplicates": {},
    "check": {"field": "facts", "json_schema": {"type": "object", "required": ["words"]}},
}
"""By name: the settings of each stage that needs no model."""


def notes(count: int) -> Iterator[dict[str, Any]]:
    """Rows of English sentences in changing order."""
    rng = random.Random(count)
    lines = [text.text for text in clean_texts(labelled=True) if text.language == "en"]
    plain = [line for line in lines if not re.search(r"[\n{}<>|=_@\"]", line)]
    sentences = [part for line in plain for part in re.split(r"(?<=[.?!])\s", line) if len(part.split()) > 4]
    for number in range(count):
        words = f"Note {number} of the harbour office.".split()
        for at in rng.sample(range(len(sentences)), 30):
            words += sentences[at].split()
        yield {"id": number, "language": "en", "text": " ".join(words[:_WORDS]), "facts": {"words": _WORDS}}


def _write(folder: str, rows: int) -> Path:
    path = Path(folder) / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in notes(rows))
    return path


def filtered(folder: str, rows: int, stages: list[str]) -> dict[str, float]:
    """Lets these stages decide about so many rows by `datafast filter`. CPU seconds without imports, and the peak in MB."""
    from datafast.cli.commands.filter import command

    source = _write(folder, rows)
    quality = [{"stage": name, **STAGES[name], **_against(folder, name)} for name in stages]
    (Path(folder) / "quality.yaml").write_text(json.dumps({"quality": quality}), encoding="utf-8")

    def run(path: Path, output: str) -> None:
        arguments = [str(path), "--quality", f"{folder}/quality.yaml", "-o", f"{folder}/{output}", "--json"]
        command.main(arguments, standalone_mode=False)

    few = Path(folder) / "few.jsonl"
    few.write_text("".join(json.dumps(row) + "\n" for row in notes(20)), encoding="utf-8")
    run(few, "warm.jsonl")
    spent = stopwatch()
    run(source, "kept.jsonl")
    with (Path(folder) / "kept.jsonl").open(encoding="utf-8") as file:
        kept = sum(1 for _ in file)
    return {"cpu_s": spent().cpu_s, "peak_mb": peak_mb(), "kept": kept}


def _against(folder: str, name: str) -> dict[str, Any]:
    if name != "contamination":
        return {}
    path = Path(folder) / "test.jsonl"
    made = (f"Case {number}: {text}" for number in range(_TEXT_LINES // 20) for text in test_texts())
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in made), encoding="utf-8")
    return {"against": {"source": str(path), "column": "question"}}


def live(folder: str, rows: int, in_flight: int, reply_s: float, stages: list[str]) -> dict[str, float]:
    """Makes so many rows with replies that take so long, while stages decide about them. Seconds of the run, and by how many seconds the
    event loop was late at the 99th percentile."""
    from datafast._util import background
    from datafast.datasets import RawDataset
    from datafast.schema.config import RawDatasetConfig, RunConfig
    from datafast.schema.data_rows import TextRow

    def run(name: str, count: int) -> float:
        writer = writer_of([row["text"] for row in notes(count)], reply_s)
        config = RawDatasetConfig(
            document_types=["note"],
            topics=[f"topic {number}" for number in range(count)],
            num_samples_per_prompt=1,
            output_file=f"{folder}/{name}.jsonl",
            quality=[{"stage": one, **STAGES[one], **_against(folder, one)} for one in stages],
            run=RunConfig(max_concurrency=in_flight),
        )
        first = TextRow(uuid="", text="A first row.", language="en", metadata={})
        for stage in config.quality:  # what it reads once is not counted
            stage.check(TextRow)
            stage.decide(first, None)
        started = time.perf_counter()
        RawDataset(config).generate([writer], progress=False)
        return time.perf_counter() - started

    run("warm", in_flight)
    late: list[float] = []
    watching = background.submit(_watch(late))
    wall_s = run("measured", rows)
    watching.cancel()
    return {"wall_s": wall_s, "late_s": sorted(late)[int(0.99 * len(late))]}


def writer_of(texts: list[str], reply_s: float) -> Any:
    """A model that gives these texts."""
    from datafast.llms.base import Response
    from datafast.llms.replies.completion import encode_completion
    from datafast.llms.simulated.provider import SimulatedBackend, SimulatedProvider
    from datafast.types import Usage

    class Backend(SimulatedBackend):
        async def complete(self, request: Any) -> Response:
            await asyncio.sleep(reply_s)
            reply = json.dumps({"texts": [texts.pop()]})
            raw = encode_completion(
                reply, model="simulated/writer", usage=Usage(1, 1), finish_reason="stop", refusal=""
            )
            return Response(raw=raw, latency_s=reply_s)

    class Writer(SimulatedProvider):
        def open(self, *, max_connections: int) -> Backend:
            return Backend(self)

    return Writer("writer")


async def _watch(late: list[float]) -> None:
    """Notes by how many seconds the event loop is late, every few milliseconds."""
    while True:
        started = time.perf_counter()
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - started - 0.002)


def bare(folder: str, rows: int) -> dict[str, float]:
    """Reads and writes the same rows, and decides nothing."""
    import orjson

    source = _write(folder, rows)
    spent = stopwatch()
    with source.open("rb") as read, (Path(folder) / "kept.jsonl").open("wb") as written:
        for line in read:
            written.write(orjson.dumps(orjson.loads(line)) + b"\n")
    return {"cpu_s": spent().cpu_s, "peak_mb": peak_mb(), "kept": rows}
