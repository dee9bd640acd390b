"""Starts and ends the llama.cpp server behind a `LlamaCppProvider`.

Guarantee: it listens only on loopback, requires a random key that no other user of the machine can read, and ends with
this process in any case, or at once with `close`. A fault in llama.cpp ends only that process. Cost: one process per
model, started in about 0.2 s plus the time to load the model.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datafast.errors import ConfigError

__all__ = ["LlamaServer", "LlamaSettings", "start_llama_server"]

_CHILD = Path(__file__).with_name("llama_child.py")
_END_S = 5.0
_SHOWN_ERRORS = 3
_STAMP = re.compile(r"^[\d.]+ E ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaSettings:
    """The settings of a server. `context_tokens` are those of each slot; None leaves the choice to llama.cpp."""

    path: Path
    alias: str
    slots: int
    context_tokens: int
    threads: int | None
    gpu_layers: int | None


class LlamaServer:
    """A running server: `address` and `key` of its chat completions, and the number of requests that it answers at once."""

    def __init__(self, process: subprocess.Popen[bytes], log: Any, *, address: str, key: str, slots: int) -> None:
        self.address = address
        self.key = key
        self.slots = slots
        self._process = process
        self._log = log

    @property
    def ended(self) -> str | None:
        """How it ended; None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        if self._log.closed:
            return "it was released."
        return f"its process ended with status {status}{_errors(self._log)}"

    def close(self) -> None:
        _end(self._process)
        self._log.close()


def start_llama_server(settings: LlamaSettings) -> LlamaServer:
    """Starts a server and waits until it has loaded the model.

    Raises:
        ConfigError: llama.cpp cannot load the model; contains its log.
    """
    log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the server
    key = secrets.token_urlsafe(24)
    process = _start(log)
    try:
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        told = asdict(settings) | {"path": str(settings.path), "key": key}
        with contextlib.suppress(BrokenPipeError):  # it ended at once, so there is no line either
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        line = process.stdout.readline()
    except BaseException:
        _end(process)
        log.close()
        raise
    address = json.loads(line).get("address") if line else None
    if address is None:
        _end(process)
        said = _errors(log)
        log.close()
        raise ConfigError(
            f"model_path: llama.cpp cannot load {settings.path}. The file may be damaged or newer than the installed "
            f"xllamacpp, or there is too little memory for {settings.slots} x {settings.context_tokens:,} tokens of context. Lower "
            f"context_tokens or slots{said}",
            key="model_path",
        )
    return LlamaServer(process, log, address=address, key=key, slots=settings.slots)


def _start(log: Any) -> subprocess.Popen[bytes]:
    # In a session of its own, because a Ctrl-C in the terminal must not end it before calls in flight land.
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    # -P: the folder of the script, with our modules in it, stays out of its path. -W: a warning must not keep it from
    # serving, whatever PYTHONWARNINGS says.
    return subprocess.Popen(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-P", "-W", "ignore", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        **apart,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # it has nothing to save
    process.wait(_END_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _errors(log: Any) -> str:
    """The first lines of llama.cpp's log, which have the cause, as the end of a sentence; '.' if there are none."""
    log.seek(0)
    lines = (_STAMP.sub("", line).strip() for line in log.read().decode(errors="replace").splitlines())
    said = [line for line in lines if line][:_SHOWN_ERRORS]
    return f". It said: {' | '.join(said).rstrip('.')}." if said else "."
