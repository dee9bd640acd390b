"""The folder beside the ledger where copies of sources stay for the next run: one folder a source, one in it for each state of it.

Guarantee: one process at a time copies a source, and others that want it wait and find the copy. What a killed process leaves half is never
taken for a copy. A state is removed when a later one is there whole, so that an outage in between leaves what there was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from datafast._util.digest import digest
from datafast.sources.progress import Progress
from datafast.sources.reading import Reading

__all__ = ["COPIES", "folder_of", "remove_other_states", "turn"]

COPIES = ".ledger-sources"
"""What the name of the folder ends with, unless the ledger has a name of its own."""
_LOOK_S = 0.5


def folder_of(reading: Reading, *source: str) -> Path | None:
    """The folder of the copies of a source, which these texts stand for; None where nothing stays."""
    return None if reading.spool is None else reading.spool / digest(*source).hex()[:16]


@contextmanager
def turn(folder: Path, name: str) -> Iterator[None]:
    """No other process copies this source meanwhile. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"), thread_local=False)
    with Progress(name) as progress:
        while True:
            try:
                lock.acquire(timeout=_LOOK_S)
                break
            except Timeout:
                progress.waits()
    try:
        yield
    finally:
        lock.release()


def remove_other_states(folder: Path, state: str) -> None:
    """Removes what there is of a source beside this state of it."""
    for other in folder.iterdir():
        if other.name != state:
            shutil.rmtree(other, ignore_errors=True)
