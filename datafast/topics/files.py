"""Files of topic models: our own JSON, any nested JSON, and JSON lines of paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from datafast._util.atomic_write import write_whole
from datafast.errors import ConfigError, OutputWriteError
from datafast.sources.text_file import whole_text
from datafast.sources.values import RepeatedNameError, parsed_json

__all__ = ["FORMAT", "is_deepfabric_graph", "is_record", "of_deepfabric_graph", "read", "save", "save_paths"]

FORMAT = "datafast-topics-1"


def is_record(value: Mapping[str, Any]) -> bool:
    """Whether this comes from `TopicModel.to_dict`, rather than being nested topics."""
    return bool(value.get("format") == FORMAT)


def is_deepfabric_graph(value: Mapping[str, Any]) -> bool:
    """Whether this is the content of a graph file of DeepFabric: nodes by their ids, and the id of the root."""
    return isinstance(value.get("nodes"), Mapping) and "root_id" in value


def of_deepfabric_graph(value: Mapping[str, Any], shape: str) -> dict[str, Any]:
    """What `TopicModel.to_dict` gives for such a graph.

    Raises:
        ConfigError: a node is not what it should be.
    """
    try:
        order = sorted(value["nodes"], key=lambda name: (int(name) != int(value["root_id"]), int(name)))
        place = {int(name): number for number, name in enumerate(order)}
        topics = [
            {"topic": node["topic"], "children": [place[int(child)] for child in node.get("children", ())]}
            for node in (value["nodes"][name] for name in order)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"This is not a topic graph of DeepFabric: {type(error).__name__}: {error}.") from error
    return {"format": FORMAT, "shape": shape, "topics": topics}


def save_paths(paths: Iterable[Sequence[str]], path: Path) -> None:
    """Writes a path on each line."""
    _write(b"".join(orjson.dumps({"path": list(found)}) + b"\n" for found in paths), path)


def save(record: Mapping[str, Any], path: Path) -> None:
    """Writes what `TopicModel.to_dict` gives; see `TopicModel.save`."""
    _write(orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE), path)


def _write(data: bytes, path: Path) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise OutputWriteError(f"Cannot write {path}: {error.strerror}. Check its folder and permissions.") from error


def read(path: Path) -> Any:
    """The content of a file: JSON, or for JSON lines the list of their paths.

    Raises:
        ConfigError: there is no such file, or it is neither.
    """
    text = whole_text(path)
    try:
        whole = parsed_json(text)
    except RepeatedNameError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (ValueError, RecursionError):
        return _paths_in_lines(text, path)
    if path.suffix == ".jsonl" and not (isinstance(whole, Mapping) and is_record(whole)):
        return _paths_in_lines(text, path)  # a file of one line
    return whole


def _paths_in_lines(text: str, path: Path) -> list[list[str]]:
    paths: list[list[str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = parsed_json(line)
        except (ValueError, RecursionError) as error:
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
