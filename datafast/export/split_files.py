"""A file for each split, named as `datasets.load_dataset` reads it.

    OUT                 OUT/train.jsonl, OUT/test.jsonl, for load_dataset("OUT"); of several formats OUT/FORMAT/train.jsonl
    rows.jsonl          rows.train.jsonl, rows.test.jsonl
    save_to_disk        OUT/train, OUT/test and OUT/dataset_dict.json, for load_from_disk("OUT")

Guarantee: the files of all splits are there together, or none. Where a file would be left that would be read as a split of the same rows,
nothing is written.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from datafast._util.atomic_write import write_whole
from datafast.errors import ConfigError, OutputWriteError
from datafast.export.containers import CONTAINERS
from datafast.export.files import Exported, export_parts, targets_of
from datafast.export.splits import SPLITS
from datafast.export.targets import Target

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.export.formats import Options
    from datafast.export.splits.rows import SplitRows

__all__ = ["export_splits", "split_targets"]

# The words by which `datasets` finds splits in the names of files.
_READ_AS_SPLIT = re.compile(
    r"(?:^|[._ \-\d])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?:$|[._ \-\d])"
)


def split_targets(
    path: Path, formats: Sequence[str], container: str | None, splits: Sequence[str]
) -> dict[str, list[Target]]:
    """The files of each split.

    Args:
        path, formats, container: as of `targets_of`.

    Raises:
        ConfigError: as of `targets_of`; or a name would be read as that of another split; or a file is there that would be read as a split
            of the same rows.
    """
    found: dict[str, list[Target]] = {name: [] for name in splits}
    for target in targets_of(path, formats, container):
        folder, before, ending = _place(path, target, several=len(formats) > 1)
        _check_name(before)
        places = {name: folder / f"{before}{name}{ending}" for name in splits}
        _check_left(folder, before, [*places.values()])
        for name, place in places.items():
            found[name].append(Target(target.format, place, target.container, name))
    return found


def _place(path: Path, target: Target, *, several: bool) -> tuple[Path, str, str]:
    """The folder of a target's files, and what stands before and behind the split in their names."""
    kind = None if target.container is None else CONTAINERS[target.container]
    if path.suffix and not (kind and kind.is_folder):
        return target.path.parent, f"{target.path.stem}.", target.path.suffix
    folder = path / target.format if several else path
    return folder, "", f".{target.format}" if kind is None else "".join(kind.endings[:1])


def _check_name(before: str) -> None:
    if read := _READ_AS_SPLIT.search(before.lower()):
        raise ConfigError(
            f"Files of splits get names like {before}train, and would be read as the split {read[1]} because of {before!r}. Give "
            "another name, or a folder: a path without an ending.",
            key="path",
        )


def _check_left(folder: Path, before: str, written: Sequence[Path]) -> None:
    """Refuses files that would be read with those that are written."""
    patterns = [f"{glob.escape(before)}{name}.*" for name in SPLITS]
    if not written[0].suffix:
        patterns = ["state.json"]
    for other in (found for pattern in patterns for found in folder.glob(pattern) if found not in written):
        raise ConfigError(
            f"{other} is there already, and would be read in place of the splits or as one of them. Move it away, or choose "
            "another place.",
            key="path",
        )


def export_splits(
    divided: SplitRows,
    targets: Mapping[str, Sequence[Target]],
    *,
    row_model: type[BaseModel],
    options: Options,
) -> list[Exported]:
    """Writes the rows of each split into its files.

    Raises:
        ConfigError, OutputWriteError: as of `export_parts`.
    """
    parts = [(divided.rows(name), targets[name]) for name in divided.names]
    done = export_parts(parts, divided.rows(*divided.names), row_model=row_model, options=options)
    for folder in {one.path.parent for one in done if one.container == "save_to_disk"}:
        try:
            write_whole(folder / "dataset_dict.json", orjson.dumps({"splits": divided.names}))
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write to {folder}: {error.strerror or error}. Choose another place."
            ) from error
    return done
