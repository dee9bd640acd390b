"""Runs one program within limits: `python -I -S command_child.py SETTINGS`, started by `commands`.

The program gets what this process has as stdin, stdout and working directory. On Linux it runs without a network and among processes of
its own, which all end with it, if the system lets it (user namespaces). What keeps the program from being started is written to the file
descriptor `told`. Imports nothing of datafast.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

__all__ = ["main"]

_NEW_USER, _NEW_PROCESSES, _NEW_NETWORK, _NEW_MOUNTS = 0x10000000, 0x20000000, 0x40000000, 0x00020000
_PARENT_DIED, _NO_NEW_PRIVILEGES = 1, 38
_RECURSIVE, _PRIVATE = 0x4000, 0x40000


def main() -> None:
    """Runs the program, or with `probe` says by its status whether it would be apart from the others."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    try:
        apart = sys.platform == "linux" and _apart()
        if settings.get("probe"):
            os._exit(0 if apart else 1)
        if apart:
            _wait_for(_first, settings)
        _program(settings)
    except OSError as error:
        _tell(settings, str(error))


def _apart() -> bool:
    """Leaves the network and, for children, the processes of this machine. False if the system does not let us."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    kept = _NEW_PROCESSES | _NEW_NETWORK | _NEW_MOUNTS
    if libc.unshare(_NEW_USER | kept) == 0:
        # Files go on belonging to the user.
        with contextlib.suppress(OSError):
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib takes its time to load
                    file.write(text)
        return True
    return bool(libc.unshare(kept) == 0)


def _first(settings: dict[str, Any]) -> None:
    """The first process of its own world: when it ends, the kernel ends all others in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PARENT_DIED, signal.SIGKILL, 0, 0, 0)
    libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None)
    # What is under /proc tells of other processes, and of their environments.
    if libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
        libc.mount(b"tmpfs", b"/proc", b"tmpfs", 0, None)
    _wait_for(_program, settings)


def _wait_for(run: Any, settings: dict[str, Any]) -> NoReturn:
    """Carries out a part in a child, and ends as that does."""
    child = os.fork()
    if child == 0:
        try:
            run(settings)
        except OSError as error:
            _tell(settings, str(error))
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _program(settings: dict[str, Any]) -> NoReturn:
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) if sys.platform == "linux" else None
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, settings["cpu_s"])
    _limit(resource.RLIMIT_FSIZE, settings["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, settings["files"])
    if sys.platform == "linux":  # macOS has no such limit
        _limit(resource.RLIMIT_AS, settings["memory_bytes"])
    os.set_inheritable(settings["told"], False)
    os.execv(settings["command"][0], settings["command"])  # noqa: S606 - that is what it is for


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _tell(settings: dict[str, Any], why: str) -> NoReturn:
    os.write(settings["told"], why.encode())
    os._exit(1)


if __name__ == "__main__":
    main()
