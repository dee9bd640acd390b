"""Configs and waits that the tests of Slurm and Kubernetes share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from datafast.cli.main import cli

__all__ = ["SHARDED", "kill_all", "one_process", "rows_in", "until_rows", "write_config"]

SHARDED = 48
"""The rows of the config."""

_CONFIG = """\
kind: raw
output_file: rows
document_types: [note, letter]
topics: [tides, lamps, kettles, bicycles, tents, ropes, ice cores, harbours]
languages: {{en: English, fr: French, de: German}}
num_samples_per_prompt: 1
providers: [{{provider: simulated, model_id: demo, latency_s: {latency_s}}}]
quality: [{{stage: exact_duplicates}}]
run: {{{run}}}
"""


def write_config(folder: Path, *, latency_s: float = 0.0, run: str = "ordered: true, max_concurrency: 2") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(_CONFIG.format(latency_s=latency_s, run=run), encoding="utf-8")
    return path


def one_process(folder: Path) -> bytes:
    """The rows of the config as one process makes them, which are those of the shards too."""
    whole = folder / "whole.jsonl"
    done = CliRunner().invoke(cli, ["generate", str(write_config(folder)), "--output", str(whole)])
    assert done.exit_code == 0, done.output
    return whole.read_bytes()


def rows_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def until_rows(file: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Waits until so many rows have been written."""
    while len(rows_in(file)) < number:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def kill_all(process: subprocess.Popen[str]) -> None:
    """What the death of a node does to the processes of a session."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
