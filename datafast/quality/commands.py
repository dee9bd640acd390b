"""A program that is run over the text of a row, within limits of time, memory and files.

Guarantee, on Linux and macOS: it has a temporary folder as its working directory and home, no environment but PATH and a language, no open
files of this process; it is killed with its process group when its time is over; processor time and the size of each file that it writes
are bounded. On Linux so are its address space and, where the system lets us make namespaces, it has no network, sees no other process,
and all that it started ends with it.
Limits: it is no sandbox. The program reads and writes whatever files the user may; what is not trusted with them belongs into a container
or a user of its own. Processes that leave their group live on where there are no namespaces. Windows has none of this, and is refused.
Cost: about 40 ms of processor time beside the program's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from datafast.errors import ConfigError

__all__ = ["FILE", "Limits", "Ran", "is_apart", "program_of", "run", "run_in_turn"]

FILE = "{file}"
_CHILD = Path(__file__).with_name("command_child.py")
_OPEN_FILES = 256
_MB = 1_000_000
_LONGEST_PAUSE_S = 0.02


class Limits(NamedTuple):
    """What a program may use: seconds, MB of memory, MB of each file that it writes."""

    timeout_s: float
    memory_mb: int
    file_mb: int


class Ran(NamedTuple):
    """How a program has ended: its exit status, 128 and more for a signal, None if its time was over; and what it wrote to stdout."""

    status: int | None
    output: str


def program_of(command: Sequence[str]) -> str:
    """The path of a command's program.

    Raises:
        ConfigError: there is no such program, or no such thing on this system.
    """
    if sys.platform == "win32":
        raise ConfigError("command: Programs over rows can be limited on Linux and macOS alone. Run it there.")
    found = shutil.which(command[0])
    if found is None:
        raise ConfigError(f"command: There is no program {command[0]!r}. Install it, or give its path.")
    return str(Path(found).absolute())


def run(command: Sequence[str], text: str, limits: Limits) -> Ran:
    """Runs a command over a text, which it finds in the file that `{file}` in its arguments stands for, or else on stdin.

    Raises:
        OSError: it could not be started.
    """
    with tempfile.TemporaryDirectory(prefix="datafast-") as folder, tempfile.TemporaryFile() as output:
        work = Path(folder)
        arguments = [program_of(command), *(one.replace(FILE, str(work / "row")) for one in command[1:])]
        names = {Path(one).name for one in arguments[1:] if one.startswith(str(work / "row"))}
        for name in names or {"row"}:
            (work / name).write_text(text, encoding="utf-8", errors="surrogatepass")
        with (work / "row").open("rb") if not names else open(os.devnull, "rb") as stdin:  # noqa: PTH123
            status = _carried_out(arguments, limits, work, stdin.fileno(), output.fileno())
        output.seek(0)
        return Ran(status, output.read(limits.file_mb * _MB).decode("utf-8", "replace"))


async def run_in_turn(command: Sequence[str], text: str, limits: Limits) -> Ran:
    """`run`, beside the event loop: as many programs at once as there are cores."""
    return await asyncio.get_running_loop().run_in_executor(_slots(), run, command, text, limits)


@lru_cache(maxsize=1)
def _slots() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="datafast-commands")


def _carried_out(command: Sequence[str], limits: Limits, work: Path, stdin: int, stdout: int) -> int | None:
    told, tells = os.pipe()
    try:
        settings = {
            "command": command,
            "cpu_s": math.ceil(limits.timeout_s) + 1,
            "memory_bytes": limits.memory_mb * _MB,
            "file_bytes": limits.file_mb * _MB,
            "files": _OPEN_FILES,
            "told": tells,
        }
        process = _started(settings, work, stdin=stdin, stdout=stdout, told=tells)
        os.close(tells)
        tells = -1
        in_time = _ends_within(process.pid, limits.timeout_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only the dead are left
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        os.set_blocking(told, False)
        with contextlib.suppress(BlockingIOError):
            if why := os.read(told, 4096):
                raise OSError(f"{command[0]} could not be run: {why.decode('utf-8', 'replace')}")
        return (status if status >= 0 else 128 - status) if in_time else None
    finally:
        os.close(told)
        if tells >= 0:
            os.close(tells)


def _started(settings: dict[str, object], work: Path, *, stdin: int, stdout: int, told: int) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(work),
        "TMPDIR": str(work),
    }
    return subprocess.Popen(  # noqa: S603 - the user has allowed it
        [sys.executable, "-I", "-S", str(_CHILD), json.dumps(settings)],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        cwd=work,
        env=environment,
        pass_fds=(told,),
        start_new_session=True,
    )


def _ends_within(process: int, seconds: float) -> bool:
    """Whether a process ends in time. It stays a zombie, so that its number is not given to another one before its group is killed."""
    over, pause = time.monotonic() + seconds, 0.001
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        left = over - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE_S)
    return True


@lru_cache(maxsize=1)
def is_apart() -> bool:
    """Whether programs run without the network, and apart from other processes, on this machine."""
    settings = json.dumps({"probe": True})
    words = [sys.executable, "-I", "-S", str(_CHILD), settings]
    return subprocess.run(words, check=False).returncode == 0  # noqa: S603 - a program of ours
