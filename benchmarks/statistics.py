"""Statistics of many rows of 100 words, and the page of a report: of an output with its ledger, and of the same file without one."""

from __future__ import annotations

import random
import zlib
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from benchmarks.instruments import peak_mb, stopwatch
from benchmarks.workload import MODEL
from datafast.datasets.reporting import report_of
from datafast.llms.replies.completion import encode_completion
from datafast.plan.items import digest, row_uuid
from datafast.report import html_page
from datafast.statistics import measure
from datafast.store.ledger import Ledger
from datafast.store.paths import OutputPaths
from datafast.store.records import Append, CallRow, ItemRecord, ItemState
from datafast.types import Usage

__all__ = ["measured", "reported", "write_output"]

_WORDS = 100
_VOCABULARY = 20_000
_AT_ONCE = 10_000
_LANGUAGES = ("en", "fr", "de", "es", "it")


def measured(folder: str, rows: int, ledger: bool) -> dict[str, float]:
    """CPU seconds and the peak in MB for the statistics of so many rows, each of an item of its own, bought with one call."""
    paths = OutputPaths.of(Path(folder) / "rows.jsonl")
    write_output(paths, rows, ledger=ledger)
    spent = stopwatch()
    found = measure(paths)
    if found.total.rows != rows or found.total.calls != (rows if ledger else None):
        raise RuntimeError(f"{rows:,} rows were written, and {found.total.rows:,} were found")
    return {"cpu_s": spent().cpu_s, "peak_mb": peak_mb()}


def reported(folder: str, rows: int, ledger: bool) -> dict[str, float]:
    """The same for the page of a report of such rows."""
    paths = OutputPaths.of(Path(folder) / "rows.jsonl")
    write_output(paths, rows, ledger=ledger)
    spent = stopwatch()
    page = html_page(report_of(paths))
    if f"{rows:,} rows" not in page:
        raise RuntimeError(f"The page does not tell of {rows:,} rows")
    return {"cpu_s": spent().cpu_s, "peak_mb": peak_mb()}


def write_output(paths: OutputPaths, rows: int, *, ledger: bool) -> None:
    """An output as a run would have left it, by the ledger's own code: in seconds, where a run would take minutes."""
    made = _Output(rows)
    with paths.rows.open("wb") as file:
        book = Ledger(paths.ledger) if ledger else None
        numbers = iter(range(rows))
        while part := list(islice(numbers, _AT_ONCE)):
            records = [made.item(number) for number in part]
            file.write(b"".join(line for _, _, _, line in records))
            if book is not None:
                with book.transaction():
                    book.put_items(item for item, _, _, _ in records)
                    book.calls.put(call for _, call, _, _ in records)
                    book.appends.put(append for _, _, append, _ in records)
        if book is not None:
            with book.transaction():
                for name, value in {"kind": "raw", "mode": "real", "requested": str(rows)}.items():
                    book.set_meta(name, value)
            book.close()


class _Output:
    """Makes the items of an output one after the other: the item, its call, its append, its line."""

    def __init__(self, rows: int) -> None:
        self._rng = random.Random(rows)
        words = [f"{'bcdfghklmnprstvz'[n % 16]}{'aeiou'[n % 5]}{n:x}" for n in range(_VOCABULARY)]
        weights = [1 / (n + 10) for n in range(_VOCABULARY)]  # as often as words of a language are
        self._pool = self._rng.choices(words, weights, k=1_000_000)
        self._end = 0

    def item(self, number: int) -> tuple[ItemRecord, CallRow, Append, bytes]:
        key = digest("item", str(number))
        text = " ".join(self._pool[(start := self._rng.randrange(len(self._pool) - _WORDS)) : start + _WORDS])
        line = orjson.dumps(self._row(number, text, key)) + b"\n"
        raw = encode_completion(text, model=MODEL, usage=Usage(90, 110))
        one = number + 1
        call = CallRow(one, one, key, 0, "generator", f"openai/m{number % 3}", MODEL, 0.0, self._rng.random(), 1, raw)
        call.settle(Usage(90, 110), 0.0001)
        append = Append(one, one, self._end, len(line), zlib.crc32(line), 1)
        self._end += len(line)
        return ItemRecord(one, key, key, number, ItemState.DONE, 0, 1, slots=1), call, append, line

    def _row(self, number: int, text: str, key: bytes) -> dict[str, Any]:
        metadata = {
            "document_type": f"type {number % 4}",
            "topic": f"topic {number % 1_000}",
            "prompt_index": number % 2,
        }
        language = _LANGUAGES[number % len(_LANGUAGES)]
        return {
            "text": text,
            "text_source": "synthetic",
            "model_id": MODEL,
            "language": language,
            "uuid": row_uuid(key, 0),
            "metadata": metadata,
        }
