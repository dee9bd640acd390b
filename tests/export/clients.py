"""The Hub's client in several versions, each in a process and an environment of its own; `.ci/hub_clients` makes the environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.export.support import TOKEN
from tests.support import ROOT

__all__ = ["PYTHONS", "Client", "why_not"]

_BIN = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
PYTHONS = {
    "resolved": Path(sys.executable),
    **{name: ROOT / f".venv-hub-{name}" / _BIN for name in ("lowest", "before-2", "newest")},
}
"""The interpreters by the name of what they have; "resolved" is the one of these tests."""


def why_not(name: str) -> str | None:
    """Why there are no tests with this interpreter, if so."""
    python = PYTHONS[name]
    if not python.exists():
        return f"there is no .venv-hub-{name}; .ci/hub_clients makes it"
    if name == "newest" and _versions(python) == _versions(Path(sys.executable)):
        return "the newest versions are those of the lock"
    return None


def _versions(python: Path) -> str:
    script = "from importlib.metadata import version; print(version('huggingface_hub'), version('datasets'))"
    return subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout


class Client:
    """A process that pushes to the Hub at `endpoint` and loads from it, with these packages.

    Args:
        home: a folder of its own.
        impatient: whether no wait of the client or of ours takes longer than a moment.
    """

    def __init__(self, python: Path, endpoint: str, home: Path, *, impatient: bool = True) -> None:
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
        self.process = subprocess.Popen(
            [python, "-m", "tests.export.client_process", *["--impatient"] * impatient],
            env={
                **keep,
                "HF_ENDPOINT": endpoint,
                "HF_HOME": str(home / "hf"),
                "HF_TOKEN": TOKEN,
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "PYTHONPATH": str(ROOT),
                "PYTHONUTF8": "1",
            },
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()

    def push(self, source: Path, **options: Any) -> dict[str, Any]:
        """{"url": ...}, or {"error": its class, "message": ...} of an error of ours, or {"raw": its class} of any other."""
        self.send("push", str(source), options.pop("row_model", "TextRow"), **options)
        return self.answer()

    def load(self, *names: str) -> dict[str, Any]:
        """Rows, features and schema of each split, as `datasets.load_dataset` gives them."""
        self.send("load", *names)
        return self.answer()

    def versions(self) -> dict[str, str]:
        self.send("versions")
        return self.answer()

    def send(self, command: str, *arguments: Any, **options: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, arguments, options]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"raw": "the process has ended"}')
        return answer
