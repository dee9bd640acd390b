"""A real notebook's kernel, and what executes cells in it.

Run as a program, it executes a cell for each line of its stdin, a JSON object {"code", "interrupt"}, and answers with a JSON list of
what the cell published: (type, content). It is a process of its own, because Jupyter's client leaves event loops open behind it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import ROOT

__all__ = ["Notebook", "Published"]

Published = list[tuple[str, dict[str, Any]]]
_WRITTEN = re.compile(r"\b[1-9][\d,]* of [\d,]+ rows")


class Notebook:
    """A kernel in a folder, from `with` on."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.notebook"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Notebook:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)  # at the end of its stdin it ends the kernel

    def run(self, code: str, *, interrupt: bool = False) -> Published:
        """Executes a cell.

        Args:
            interrupt: press the stop button when what is shown says that a row is written.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "interrupt": interrupt}) + "\n")
        self._process.stdin.flush()
        return [(kind, content) for kind, content in json.loads(self._process.stdout.readline())]

    def value(self, code: str) -> str:
        """The text of a cell's result."""
        (result,) = [content["data"]["text/plain"] for kind, content in self.run(code) if kind == "execute_result"]
        return str(result)


def main() -> None:
    """Serves cells until stdin ends."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")  # of the Python that runs here
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        for line in sys.stdin:
            asked = json.loads(line)
            published = _execute(client, manager, asked["code"], asked["interrupt"])
            sys.stdout.write(json.dumps(published) + "\n")
            sys.stdout.flush()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _execute(client: Any, manager: Any, code: str, interrupt: bool) -> Published:
    published: Published = []
    pressed = False

    def take(message: dict[str, Any]) -> None:
        nonlocal pressed
        kind, content = message["msg_type"], message["content"]
        published.append((kind, content))
        if (
            interrupt
            and not pressed
            and kind == "update_display_data"
            and _WRITTEN.search(content["data"]["text/html"])
        ):
            pressed = True
            os.kill(manager.provisioner.process.pid, signal.SIGINT)

    client.execute_interactive(code, output_hook=take, timeout=120)
    return published


if __name__ == "__main__":
    main()
