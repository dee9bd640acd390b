"""The files of an export: those of records, and what a trainer wants to have beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from datafast.errors import ConfigError

__all__ = ["Beside", "Target", "common_name", "content_beside"]

_MARK = "# Written by datafast"


@dataclass(frozen=True, slots=True)
class Target:
    """A file to write: its format, its container, None where the format makes its own file, and the split that it holds, if there are
    several."""

    format: str
    path: Path
    container: str | None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What a trainer wants to have beside the files of a format.

    Attributes:
        path: the file in which it stands.
        text: what it says of the files, as it is printed; all of the file if there are no entries.
        entries: entries of a JSON object, by the name that each gives to a file. Those of other files in it stay.
    """

    path: Path
    text: str
    entries: Mapping[str, Mapping[str, Any]] | None = None

    @classmethod
    def of_yaml(cls, path: Path, lines: Sequence[str]) -> Beside:
        """A YAML file, replaced only where it is one that datafast has written."""
        return cls(path, "\n".join([f"{_MARK}, for the config of the trainer.", *lines, ""]))

    @classmethod
    def of_entries(cls, path: Path, entries: Mapping[str, Mapping[str, Any]]) -> Beside:
        """Entries of a JSON file that knows other files too."""
        return cls(path, orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode(), entries)


def common_name(targets: Sequence[Target]) -> str:
    """What the names of the files of one format have in common: `rows` of `rows.axolotl.train.jsonl`; empty if there is nothing."""
    first = targets[0]
    parts = (first.path.name if first.container == "save_to_disk" else first.path.stem).split(".")
    return ".".join(part for part in parts if part not in (first.split, first.format))


def content_beside(found: Sequence[Beside]) -> dict[Path, bytes]:
    """What is to be written into each file, with what stands there and is not about these files.

    Raises:
        ConfigError: a file is there that is not of this kind, or that knows another file by the same name.
    """
    contents: dict[Path, bytes] = {}
    known: dict[Path, dict[str, Any]] = {}
    for beside in found:
        if beside.entries is None:
            _check_own(beside.path)
            contents[beside.path] = beside.text.encode()
            continue
        entries = known.setdefault(beside.path, _entries_in(beside.path))
        for name, entry in beside.entries.items():
            if name in entries and entries[name].get("file_name") != entry.get("file_name"):
                raise ConfigError(
                    f"{beside.path} knows other rows as {name!r} already. Give the file another name, or another folder.",
                    key="path",
                )
            entries[name] = dict(entry)
        contents[beside.path] = orjson.dumps(entries, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return contents


def _check_own(path: Path) -> None:
    if path.exists() and not path.read_bytes().startswith(_MARK.encode()):
        raise ConfigError(
            f"{path} is there, and datafast has not written it. Move it away, or give the file another name.",
            key="path",
        )


def _entries_in(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise ConfigError(
            f"{path} is not a list of datasets, so no entry can be added to it. Move it away, or choose another folder.",
            key="path",
        )
    return found
