"""Who holds a lock: a line in the lock file, for messages, and for machines that cannot see each other's locks.

It is written when the lock has been taken, and taken out before it is given back. The death of a process leaves it; the lock itself, which
the kernel gives back, then says more.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import orjson

__all__ = ["Holder", "is_elsewhere", "read_holder", "sign_off", "sign_on"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MOST = 4096


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes:
        pid: its number on its machine.
        host: the name of the machine.
        since: when it took the lock, in UTC.
        view: its view of the file: the kernel, and the mount. Two processes with the same one share memory of the file.
    """

    pid: int
    host: str
    since: str
    view: str

    @classmethod
    def here(cls, file: Path) -> Self:
        """This process, for a file that may not exist yet."""
        return cls(os.getpid(), platform.node(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", _view_of(file))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def _view_of(file: Path) -> str:
    try:
        kernel = _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        kernel = platform.node()
    try:
        device = file.stat().st_dev
    except OSError:
        device = 0
    return f"{kernel} {device}"


def is_elsewhere(holder: Holder, lock: Path) -> bool:
    """Whether a holder is not on this machine, or sees the file through another mount."""
    return holder.view != _view_of(lock)


def sign_on(lock: Path) -> None:
    """Writes this process into its lock file. Where locks keep other readers out of the file (Windows), nothing is written."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # it is for messages; that the file can be locked is what counts
        lock.write_bytes(orjson.dumps(asdict(Holder.here(lock))) + b"\n")


def sign_off(lock: Path) -> None:
    """Empties the lock file."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        os.truncate(lock, 0)


def read_holder(lock: Path) -> Holder | None:
    """Who has signed on and not off; None if nobody has, or if it cannot be read."""
    try:
        with lock.open("rb") as file:
            found = orjson.loads(file.read(_MOST))
        return Holder(int(found["pid"]), str(found["host"]), str(found["since"]), str(found["view"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
