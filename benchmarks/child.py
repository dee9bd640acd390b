"""One measurement in a process of its own, so that nothing leaks from one to the next.

`run("ours:fan_out", url=...)` starts `python -m benchmarks.child ours:fan_out '{"url": ...}'`, which calls that function and
prints what it returns as its last line.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.instruments import ROOT, raise_file_limit

__all__ = ["Failed", "run"]


class Failed(Exception):
    """A measurement ended with an error; the message is what it said."""


def run(function: str, *, hidden: Sequence[str] = (), **arguments: Any) -> dict[str, Any]:
    """Carries out `module:function` of this package in a fresh process.

    Args:
        hidden: packages that cannot be imported there, as if they were not installed.

    Returns:
        What the function returned (a JSON object), and `started_at`: when the process was started, in system-wide monotonic
        seconds.

    Raises:
        Failed: it raised.
    """
    command = [sys.executable, "-m", "benchmarks.child", function, json.dumps(arguments), *hidden]
    started_at = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise Failed(f"{function}: {done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**result, "started_at": started_at}


def main() -> None:
    module, _, function = sys.argv[1].partition(":")
    sys.modules.update(dict.fromkeys(sys.argv[3:]))  # type: ignore[arg-type] - None: "there is no such module"
    raise_file_limit()
    result = getattr(importlib.import_module(f"benchmarks.{module}"), function)(**json.loads(sys.argv[2]))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
