"""Logging of datafast: silent until `configure_logger()` is called, and separate from the host's own logging.

The package writes to a loguru logger of its own. Its records reach only the sinks made here. The host's loguru handlers are
never touched and receive nothing, so nothing is printed twice.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

# Only a logger with its own core has sinks of its own; loguru has no public constructor for it.
from loguru._logger import Core
from loguru._logger import Logger as LoguruLogger

from datafast.errors import ConfigError, plain_text

if TYPE_CHECKING:
    from loguru import Logger, Record

__all__ = ["configure_logger", "is_configured", "log_file", "logger", "redirect_console", "unconfigure"]

_CONSOLE_FORMAT = "<green>{time:HH:mm:ss}</green> <level>{level: <7}</level> {message}"
_FILE_FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {name}:{line} {message}"


def _made_plain(record: Record) -> None:
    """Makes a record safe for a terminal: it may quote what a server or a model said."""
    record["message"] = plain_text(record["message"])
    if (raised := record["exception"]) is not None:
        trace = "".join(traceback.format_exception(raised.type, raised.value, raised.traceback))
        record["message"] += f"\n{plain_text(trace.rstrip())}"
        record["exception"] = None


logger = cast(
    "Logger",
    LoguruLogger(  # type: ignore[no-untyped-call]
        core=Core(),  # type: ignore[no-untyped-call]
        exception=None,
        depth=0,
        record=False,
        lazy=False,
        colors=False,
        raw=False,
        capture=True,
        patchers=[_made_plain],
        extra={},
    ),
)

_sink_ids: list[int] = []
_log_file: Path | None = None
_console_writer: Callable[[str], object] | None = None


def configure_logger(
    level: str | int = "INFO",
    log_file: str | Path | None = None,
    *,
    format_string: str | None = None,
    colorize: bool | None = None,
    serialize: bool = False,
) -> None:
    """Turns datafast's messages on: on the console, and in a file if one is given.

    Calling it again replaces the earlier settings. Log files rotate at 10 MB and are kept for a week.

    Args:
        level: the least severe level shown: DEBUG, INFO, WARNING or ERROR, or a number as in `logging`.
        log_file: a file for the messages.
        format_string: a loguru format, for both console and file.
        colorize: colours on the console; None means only if it is a terminal.
        serialize: write the file as one JSON object per line.

    Raises:
        ConfigError: there is no such level; the earlier settings stay.
    """
    least = _severity(level)
    unconfigure()
    if colorize is None:
        colorize = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    _sink_ids.append(
        logger.add(
            _write_console,
            level=least,
            format=format_string or _CONSOLE_FORMAT,
            colorize=colorize,
            diagnose=False,  # a traceback must not show the values of variables, which may be keys
        )
    )
    if log_file is not None:
        global _log_file
        _log_file = Path(log_file)
        _sink_ids.append(
            logger.add(
                Path(log_file).expanduser(),
                level=least,
                format=format_string or _FILE_FORMAT,
                serialize=serialize,
                rotation="10 MB",
                retention="1 week",
                encoding="utf-8",
                diagnose=False,
            )
        )


def _severity(level: str | int) -> int:
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    with contextlib.suppress(ValueError, AttributeError):
        return logger.level(level.upper()).no  # type: ignore[union-attr]
    raise ConfigError(f"level: expected DEBUG, INFO, WARNING, ERROR or a number from 0, got {level!r}.")


def unconfigure() -> None:
    """Undoes `configure_logger()`: the package is silent again and its log file is closed."""
    for sink_id in _sink_ids:
        logger.remove(sink_id)
    _sink_ids.clear()
    global _log_file
    _log_file = None


def is_configured() -> bool:
    """Whether `configure_logger()` has been called, so that log records are seen."""
    return bool(_sink_ids)


def log_file() -> Path | None:
    """The file that messages are written into, if there is one."""
    return _log_file


def redirect_console(writer: Callable[[str], object] | None) -> None:
    """Sends console messages through `writer` while a live progress display owns the terminal; None ends that."""
    global _console_writer
    _console_writer = writer


def _write_console(message: str) -> None:
    if _console_writer is not None:
        _console_writer(message)
    else:
        # Looked up for each message, because pytest, notebooks and redirections replace sys.stderr.
        sys.stderr.write(message)
