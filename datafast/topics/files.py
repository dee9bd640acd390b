"""Files of topic models: our own JSON, any nested JSON, and JSON lines of paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from datafast._util.atomic_write import write_whole
from datafast.errors import ConfigError, OutputWriteError

__all__ = ["FORMAT", "is_record", "read", "save"]

FORMAT = "datafast-topics-1"


def is_record(value: Mapping[str, Any]) -> bool:
    """Whether this comes from `TopicModel.to_dict`, rather than being nested topics."""
    return bool(value.get("format") == FORMAT)


def save(record: Mapping[str, Any], path: Path) -> None:
    """Writes what `TopicModel.to_dict` gives; see `TopicModel.save`."""
    data = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        write_whole(path, data)
    except OSError as error:
        raise OutputWriteError(f"Cannot write {path}: {error.strerror}. Check its folder and permissions.") from error


def read(path: Path) -> Any:
    """The content of a file: JSON, or for JSON lines the list of their paths.

    Raises:
        ConfigError: there is no such file, or it is neither.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"Cannot read the topic model {path}: {error.strerror}. Check its name and permissions."
        ) from error
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _paths_in_lines(text, path)
    if path.suffix == ".jsonl" and not (isinstance(whole, Mapping) and is_record(whole)):
        return _paths_in_lines(text, path)  # a file of one line
    return whole


def _paths_in_lines(text: bytes, path: Path) -> list[list[str]]:
    paths: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"{path}:{number}: This is neither JSON nor JSON lines: {error}. Correct it.") from None
        if isinstance(entry, list):
            paths.append(entry)
        elif isinstance(entry, Mapping) and isinstance(entry.get("path"), list):
            paths.append(entry["path"])
        elif isinstance(entry, Mapping) and isinstance(entry.get("paths"), list):
            paths += entry["paths"]
        else:
            raise ConfigError(f'{path}:{number}: expected a path, as in {{"path": ["Sea", "Tides"]}}.')
    return paths
