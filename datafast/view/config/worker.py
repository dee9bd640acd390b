"""The process that says what texts of configs mean, started by `planner` with the folders below which files may be read.

It takes one JSON object a line on stdin and answers with some on stdout, the last one `{"part": "end"}`. It ends when stdin does.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from datafast._util import background
from datafast.config_files.foreseen import Foreseen
from datafast.config_files.json_schema import config_schema
from datafast.registry import kind_names
from datafast.view.config.fence import close_fence

__all__ = ["main"]

_MOST_BYTES = 2 << 30  # of memory


def main() -> None:
    """Answers until nobody asks any more."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print is no answer
        background.run(_nothing())  # its loop has sockets of its own
        _limit_memory()
        close_fence([Path(folder) for folder in sys.argv[1:]])
        worker = _Worker()
        for line in sys.stdin.buffer:
            asked = orjson.loads(line)
            _limit_time(asked.pop("longest_s"))
            for said in worker.answers(asked):
                answers.write(orjson.dumps(said, option=orjson.OPT_NON_STR_KEYS, default=str) + b"\n")
                answers.flush()
            _limit_time(0)
            answers.write(b'{"part":"end"}\n')
            answers.flush()


class _Worker:
    def __init__(self) -> None:
        self._last: Foreseen | None = None

    def answers(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            yield from getattr(self, f"_{asked.pop('what')}")(**asked)
        except (MemoryError, RecursionError):
            yield _failed("This takes more memory than a plan in the viewer may have.")
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            yield _failed(f"{named}{error.strerror or error}.")
        except Exception as error:  # noqa: BLE001 - the page says so, and goes on
            yield _failed(
                f"This could not be planned: {type(error).__name__}: {error}. `datafast plan` in a terminal tells more."
            )

    def _plan(self, text: str, path: str) -> Iterator[dict[str, Any]]:
        self._last = Foreseen(text, Path(path))
        for part in self._last.parts():
            yield {"part": part.name, **part.said}

    def _prompt(self, text: str, path: str, position: int) -> Iterator[dict[str, Any]]:
        known = self._last
        if known is None or (known.text, known.path) != (text, Path(path)):
            known = self._last = Foreseen(text, Path(path))
            for part in known.parts():
                if part.name == "plan":
                    break
        try:
            yield {"part": "prompt", **known.prompt(position)}
        except IndexError:
            yield _failed("There is no such prompt.")

    def _schema(self, kind: str) -> Iterator[dict[str, Any]]:
        yield {"part": "schema", "schema": config_schema([kind] if kind in kind_names() else [])}


def _failed(message: str) -> dict[str, Any]:
    return {"part": "failed", "message": message}


async def _nothing() -> None:
    pass


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # there is no such limit on this system
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))


def _limit_time(seconds: float) -> None:
    """Ends this process after so many seconds, even within a pattern that takes for ever; 0 takes the limit away."""
    if hasattr(signal, "alarm"):  # which Windows does not have
        signal.alarm(math.ceil(seconds) + 1 if seconds else 0)
