"""`python -m benchmarks.sources [GB]`: the memory and the time that a large source takes until its plan stands.

A file of JSON lines of about 1 kB each is written into a temporary folder, and `input_documents` of a config is made of it in a process of
its own: every row is read and checked. Not one of the cases of `python -m benchmarks`, because 5 GB take minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

_TEXT = "The tide comes in and goes out again, twice a day, and nobody asks it why. " * 13
_CHILD = """
import resource, sys, time
begun = time.monotonic()
from datafast.datasets import PreferenceDataset
from datafast.schema.config import PreferenceDatasetConfig
source = {"source": sys.argv[1], "column": "text", **({"where": sys.argv[2]} if len(sys.argv) > 2 else {})}
plan = PreferenceDataset(PreferenceDatasetConfig(input_documents=source)).plan(["one"])
last = plan[len(plan) - 1].values["document"]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{len(plan):,} documents, peak {peak:,.0f} MiB, {time.monotonic() - begun:.0f} s; the last begins with {last[:20]!r}")
"""


def main(arguments: list[str]) -> int:
    size = int(float(arguments[0] if arguments else 5) * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.jsonl"
        written = number = 0
        with path.open("w", encoding="utf-8") as file:
            while written < size:
                language = ("en", "fr", "de")[number % 3]
                written += file.write(json.dumps({"id": number, "text": f"{number} {_TEXT}", "lang": language}) + "\n")
                number += 1
        print(f"{written / 1e9:.1f} GB, {number:,} rows", flush=True)
        for where in ([], ["lang != 'de'"]):
            found = subprocess.run(
                [sys.executable, "-c", _CHILD, str(path), *where], capture_output=True, text=True, check=True
            )
            print(f"{' '.join(where) or 'all rows'}: {found.stdout.strip()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
