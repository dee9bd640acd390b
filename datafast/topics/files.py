"""Topic models on the disk: our own JSON, nested JSON of anybody's, and JSON lines of paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from datafast._util.atomic_write import write_whole
from datafast.errors import ConfigError, OutputWriteError
from datafast.topics.model import is_record

if TYPE_CHECKING:
    from datafast.topics.model import TopicModel

__all__ = ["load", "read", "save"]

M = TypeVar("M", bound="TopicModel")


def save(model: TopicModel, path: Path) -> None:
    """See `TopicModel.save`."""
    data = orjson.dumps(model.to_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    try:
        write_whole(path, data)
    except OSError as error:
        raise OutputWriteError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> Any:
    """What a file holds: JSON, or for JSON lines the list of their paths.

    Raises:
        ConfigError: there is no such file, or it is neither.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the topic model {path}: {error.strerror}") from error
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _paths_in_lines(text, path)
    if path.suffix == ".jsonl" and not (isinstance(whole, Mapping) and is_record(whole)):
        return _paths_in_lines(text, path)  # a file of one line
    return whole


def load(shape: type[M], path: Path) -> M:
    """See `TopicModel.load`."""
    try:
        return _from_json(shape, read(path))
    except ConfigError as error:
        if str(path) in str(error):
            raise
        raise ConfigError(f"{path}: {error}") from error


def _from_json(shape: type[M], whole: Any) -> M:
    if isinstance(whole, Mapping):
        if isinstance(whole.get("path"), list) and len(whole) == 1:
            return shape.from_paths([whole["path"]])
        return shape.from_dict(whole)
    if isinstance(whole, list) and all(isinstance(entry, list) for entry in whole):
        return shape.from_paths(whole)
    if isinstance(whole, list):
        return shape.from_topics(whole)
    raise ConfigError("expected a topic model: nested topics, a list of topics, or a list of paths")


def _paths_in_lines(text: bytes, path: Path) -> list[list[str]]:
    paths: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"{path}:{number}: this is neither JSON nor JSON lines: {error}") from None
        if isinstance(entry, list):
            paths.append(entry)
        elif isinstance(entry, Mapping) and isinstance(entry.get("path"), list):
            paths.append(entry["path"])
        elif isinstance(entry, Mapping) and isinstance(entry.get("paths"), list):
            paths += entry["paths"]
        else:
            raise ConfigError(f'{path}:{number}: expected a path, as in {{"path": ["Sea", "Tides"]}}')
    return paths
