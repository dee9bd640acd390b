"""File descriptors: every request in flight is an open connection, and systems limit how many a process may open."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["raise_limit", "room"]

_SPARE = 64  # for the ledger, the output, logs and other files of the process


def room() -> int | None:
    """Connections that this process can still open, None if the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(1, soft - _num_open() - _SPARE)


def raise_limit(connections: int) -> None:
    """Raises this process's limit as far as the system allows. For programs; a library leaves it alone."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _num_open() + 2 * _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _num_open() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        if Path(folder).is_dir():
            return len(os.listdir(folder))  # noqa: PTH208 - names alone: the descriptor of the listing is among them
    return 0
