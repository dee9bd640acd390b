"""A stand-in for Slurm: `sbatch` and `scontrol` that note what they are asked for, and a driver that starts the scripts as Slurm does.

Directives of a script and options of `sbatch` are read as strictly as Slurm reads them; what is not known is refused. Each task is the real
script in a real bash, with the variables that Slurm sets (sbatch(1), "OUTPUT ENVIRONMENT VARIABLES").
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Job", "Slurm", "array_of", "directives"]

ROOT = Path(__file__).parents[2]  # by itself, so that the stand-ins start as fast as they can
_VALUES = {
    "array": r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%\d+)?",
    "cpus-per-task": r"\d+",
    "dependency": r"(afterok|afterany|afternotok|after):\d+(:\d+)*",
    "job-name": r"[\w.-]+",
    "kill-on-invalid-dep": r"yes|no",
    "mem": r"\d+[KMGT]?",
    "ntasks": r"\d+",
    "open-mode": r"append|truncate",
    "output": r"(\w|[/.-]|%[xjAaNn])+",
    "signal": r"([RB]+:)?(SIG)?(USR1|USR2|TERM|INT|HUP|\d+)@\d{1,5}",
    "time": r"(\d+-)?\d+(:\d\d(:\d\d)?)?",
}
_FLAGS = {"parsable", "requeue"}


def directives(script: Path) -> dict[str, str]:
    """The `#SBATCH` lines of a script. Slurm reads them until the first line that is neither empty nor a comment."""
    found: dict[str, str] = {}
    for line in script.read_text("utf-8").splitlines():
        if line.startswith("#SBATCH"):
            for word in shlex.split(line[len("#SBATCH") :], comments=True):
                name, value = option(word)
                assert name not in found, f"{script.name}: --{name} is there twice"
                found[name] = value
        elif line and not line.startswith("#"):
            break
    behind = [line for line in script.read_text("utf-8").splitlines() if line.startswith("#SBATCH")]
    assert len(behind) >= len(found) > 0
    return found


def option(word: str) -> tuple[str, str]:
    """The name and the value of `--name=value`; raises ValueError for what Slurm would not take."""
    match = re.fullmatch(r"--([a-z-]+)(?:=(.*))?", word)
    if match is None:
        raise ValueError(f"sbatch: {word} is no option with a value")
    name, value = match[1], match[2] or ""
    if name in _FLAGS and not value:
        return name, value
    if name not in _VALUES or not re.fullmatch(_VALUES[name], value):
        raise ValueError(f"sbatch: {word}")
    return name, value


def array_of(text: str) -> list[int]:
    """The task ids of `--array`."""
    ids: list[int] = []
    for part in text.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        assert match, text
        ids += range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1))
    return ids


@dataclass(frozen=True)
class Job:
    """What `sbatch` was asked for."""

    id: int
    options: dict[str, str]
    script: Path
    arguments: list[str]

    @property
    def tasks(self) -> list[int]:
        return array_of(self.options["array"])

    @property
    def after(self) -> int | None:
        found = re.fullmatch(r"afterok:(\d+)", self.options.get("dependency", ""))
        return int(found[1]) if found else None


@dataclass
class Slurm:
    """A folder with the commands, and what they have noted."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        for name, command in {
            "sbatch": [sys.executable, "-m", "tests.clusters.slurm", "sbatch"],
            "scontrol": [sys.executable, "-m", "tests.clusters.slurm", "scontrol"],
            "datafast": [sys.executable, "-m", "datafast"],
            "python3": [sys.executable],
        }.items():
            path = programs / name
            path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
            path.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        self.environment = {
            **kept,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "STAND_IN": str(self.folder),
        }

    @property
    def jobs(self) -> list[Job]:
        return [
            Job(one["id"], one["options"], Path(one["script"]), one["arguments"])
            for one in _noted(self.folder, "sbatch")
        ]

    def take_requeued(self) -> list[str]:
        """The ids, like `1_2`, that were queued again since the last call."""
        found = [one["id"] for one in _noted(self.folder, "scontrol")]
        (self.folder / "scontrol.jsonl").unlink(missing_ok=True)
        return found

    def begin(self, job: Job, cwd: Path, *, task: int | None = None, restarts: int = 0) -> subprocess.Popen[str]:
        """Starts the script of a job, or of one task of its array, in a session of its own."""
        own = {"SLURM_JOB_ID": str(job.id * 100 + (task or 0)), "SLURM_SUBMIT_DIR": str(cwd)}
        if task is not None:
            ids = job.tasks
            own |= {
                "SLURM_ARRAY_JOB_ID": str(job.id),
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_COUNT": str(len(ids)),
                "SLURM_ARRAY_TASK_MIN": str(min(ids)),
                "SLURM_ARRAY_TASK_MAX": str(max(ids)),
            }
        if restarts:
            own["SLURM_RESTART_COUNT"] = str(restarts)
        # Slurm runs a copy of the script from a folder of its own, so the script cannot find its neighbours.
        spooled = self.folder / f"spooled-{job.id}"
        spooled.write_bytes(job.script.read_bytes())
        return subprocess.Popen(
            ["/bin/bash", str(spooled), *job.arguments],
            cwd=cwd,
            env={**self.environment, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def _noted(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _note(folder: Path, name: str, **values: Any) -> None:
    with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def _sbatch(folder: Path, words: list[str]) -> None:
    options: dict[str, str] = {}
    while words and words[0].startswith("-"):
        name, value = option(words.pop(0))
        options[name] = value
    script = Path(words.pop(0)).resolve()
    number = len(_noted(folder, "sbatch")) + 1
    _note(folder, "sbatch", id=number, options={**directives(script), **options}, script=str(script), arguments=words)
    sys.stdout.write(f"{number}\n" if "parsable" in options else f"Submitted batch job {number}\n")


def _scontrol(folder: Path, words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["requeue"])
    parser.add_argument("id")
    asked = parser.parse_args(words)
    assert re.fullmatch(r"\d+_\d+", asked.id), "the task alone, not its array"
    _note(folder, "scontrol", id=asked.id)


if __name__ == "__main__":
    {"sbatch": _sbatch, "scontrol": _scontrol}[sys.argv[1]](Path(os.environ["STAND_IN"]), sys.argv[2:])
