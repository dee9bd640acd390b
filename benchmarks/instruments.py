"""What is read off a process: CPU seconds, wall seconds, resident memory. Linux only, as far as memory is concerned."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "Spent", "peak_mb", "raise_file_limit", "resident_mb", "stopwatch"]

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: where child processes find this package."""


class Spent(NamedTuple):
    """Seconds: of CPU over all threads of this process, and on the wall."""

    cpu_s: float
    wall_s: float


def stopwatch() -> Callable[[], Spent]:
    """Starts now; call what it returns to read it."""
    cpu, wall = time.process_time(), time.perf_counter()
    return lambda: Spent(time.process_time() - cpu, time.perf_counter() - wall)


def resident_mb() -> float:
    """Resident memory of this process now, in MB (10**6 bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """The highest resident memory this process ever had, in MB. (`ru_maxrss` would begin with the parent's.)"""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def raise_file_limit() -> None:
    """Raises the soft limit of open files to the hard one: a connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
