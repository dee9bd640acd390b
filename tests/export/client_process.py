"""Pushes and loads as it is told on stdin, a JSON object a line: the other end of `tests.export.clients`.

Runs in environments that have other versions of the Hub's client, and nothing of the tests but what is beside this file.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from datafast.errors import DatafastError
from tests.export import support

MODELS = {"TextRow": support.TextRow, "PreferenceRow": support.PreferenceRow}


def push(source: str, row_model: str, **options: Any) -> dict[str, Any]:
    return {"url": support.push(Path(source), row_model=MODELS[row_model], **options)}


def load(*names: str) -> dict[str, Any]:
    import datasets

    datasets.disable_progress_bars()
    found = datasets.load_dataset(*names)
    return {
        split: {
            "rows": list(rows),
            "features": rows.features._to_yaml_list(),
            "schema": str(rows.features.arrow_schema),
        }
        for split, rows in found.items()
    }


def versions() -> dict[str, Any]:
    import datasets
    import huggingface_hub

    return {"huggingface_hub": huggingface_hub.__version__, "datasets": datasets.__version__}


def answered(command: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    try:
        return {"push": push, "load": load, "versions": versions}[command](*arguments, **options)
    except DatafastError as error:
        return {"error": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
    except Exception as error:
        return {"raw": type(error).__name__, "traceback": traceback.format_exc()}


def main() -> None:
    asleep = time.sleep
    if "--impatient" in sys.argv:  # the client has waits of its own
        time.sleep = lambda seconds: asleep(min(seconds, 0.005))
    for line in sys.stdin:
        command, arguments, options = json.loads(line)
        sys.stdout.write(json.dumps(answered(command, *arguments, **options)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
