"""Keeps a process that plans from doing anything but reading: no network, no other program, no file written but scratch, and no file read
outside some folders.

What is refused fails with `Fenced`, an OSError whose words a message about a file passes on. It is for texts that somebody has copied from
somewhere, and for slips; the process runs nothing of such a text anyway. It cannot be taken away again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Fenced", "close_fence"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ssl",
    "/etc/mime.types",
    "/etc/localtime",
    "/etc/os-release",
    "/opt",
    "/System",
)
_ALWAYS = ("/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/proc/self/status", "/proc/self/cgroup")
_CODE = (
    ".py",
    ".pyc",
    ".so",
    ".pyd",
    ".dylib",
    ".dll",
)  # of packages that are installed to be edited, which lie anywhere
_NETWORK = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
)
_PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.fork",
    "os.forkpty",
)
_CHANGES = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.utime",
)  # fmt: skip
_OF_TWO = ("os.link", "os.rename", "os.symlink")


class Fenced(PermissionError):
    """Something that a plan in the viewer does not do."""


def close_fence(folders: Sequence[Path]) -> None:
    """Keeps this process within.

    Args:
        folders: below which files may be read.
    """
    sys.dont_write_bytecode = True
    scratch = _real(tempfile.gettempdir())
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(entry for entry in sys.path if entry), *_SYSTEM]
    readable = tuple(dict.fromkeys([scratch, *map(_real, map(str, folders)), *map(_real, own)]))
    where = " or ".join(dict.fromkeys(map(str, folders)))

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            _check_open(given, scratch, readable, where)
        elif event == "sqlite3.connect":
            _check_read(_named(given[0]), readable, where)
        elif event in _NETWORK:
            raise Fenced(1, "A plan in the viewer asks no network. `datafast plan` in a terminal does")
        elif event in _PROGRAMS:
            raise Fenced(1, "A plan in the viewer starts no program")
        elif event in _CHANGES:
            for path in given[: 2 if event in _OF_TWO else 1]:
                if not _is_below(_named(path), (scratch,)):
                    raise Fenced(1, "A plan in the viewer changes no file", str(path))

    sys.addaudithook(hook)


def _check_open(given: tuple[Any, ...], scratch: str, readable: Sequence[str], where: str) -> None:
    path, mode, flags = given
    if isinstance(path, int):
        return
    name = _named(path)
    writes = bool(flags & _WRITING) if isinstance(flags, int) else any(sign in str(mode) for sign in "wax+")
    if writes:
        if name != os.devnull and not _is_below(name, (scratch,)):
            raise Fenced(1, "A plan in the viewer writes no file", name)
        return
    _check_read(name, readable, where)


def _check_read(name: str, readable: Sequence[str], where: str) -> None:
    if name not in _ALWAYS and not name.endswith(_CODE) and not _is_below(name, readable):
        raise Fenced(
            1, f"A plan in the viewer reads files below {where} alone. `datafast plan` in a terminal reads others", name
        )


def _named(path: Any) -> str:
    """The path that was given, as text; a ledger is opened by an address."""
    name = os.fsdecode(path) if isinstance(path, bytes | os.PathLike) else str(path)
    return name.removeprefix("file://").removeprefix("file:").partition("?")[0] if name.startswith("file:") else name


def _is_below(name: str, folders: Sequence[str]) -> bool:
    real = _real(name)
    return any(real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _real(path: str) -> str:
    return os.path.realpath(path)
