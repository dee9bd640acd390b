"""A file with keys (`NAME=value` lines) into the environment. Its values are in no message."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from datafast._util.read_whole import read_whole
from datafast.errors import ConfigError

__all__ = ["load_keys", "read_keys"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def load_keys(path: Path) -> None:
    """Loads the keys in a file into the environment. Variables that are set already win.

    The file is in UTF-8, or in UTF-16 with a byte order mark, as Windows PowerShell writes it.

    Raises:
        ConfigError: the file cannot be read, or holds what no variable can; names the line.
    """
    from dotenv import load_dotenv

    load_dotenv(stream=io.StringIO(_text_of(path)), override=False)


def read_keys(path: Path) -> dict[str, str]:
    """The keys in such a file, by the names of their variables. Raises ConfigError as `load_keys` does."""
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(stream=io.StringIO(_text_of(path))).items() if value}


def _text_of(path: Path) -> str:
    try:
        data = read_whole(path, most_mb=1, what="a file of keys")
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}. Check who may read it.") from error
    try:
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: This is not text in UTF-8. Save the file as UTF-8.") from None
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise ConfigError(f"{path}:{line}: There is a null character here, which no variable can hold. Take it out.")
    return text
