"""Where an output lies that the user names: the one place in which a name becomes the files of an output.

Every command that takes FILE, and `datafast.load`, come here. What is not one file of this machine is read from a temporary copy, whose
`OutputPaths.copy_of` says what it is a copy of: a folder of shards, for instance. Whoever shows the name of an output takes `paths.name`,
whoever writes beside it `paths.place`, and whoever changes it calls `paths.refuse_copy` first. Commands that take any SOURCE use
`opened_source`.

Cost: nothing for a file; for a folder of shards that of merging them, in time and in room for a while, with or without their raw replies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from datafast._util.user_path import is_folder, user_path
from datafast.errors import ConfigError
from datafast.sources import SourceRows, open_source
from datafast.store.paths import CopyOf, OutputPaths
from datafast.store.shards import ShardFolder, is_shard_folder

__all__ = ["opened_output", "opened_source"]


def opened_output(
    name: str | Path, ledger: Path | None = None, *, replies: bool = True
) -> AbstractContextManager[OutputPaths]:
    """The files of an output, or of any other file of rows, as long as the context lasts. They need not be there.

    Args:
        name: as the user has written it.
        ledger: the ledger, if it is not beside the rows; of a folder of shards, the folder with theirs.
        replies: whether raw replies are looked at. A copy may lack them otherwise, which makes it much smaller.

    Raises:
        ConfigError: no file can have this name.
        OutputError: shards do not belong together, or cannot be read.
    """
    path = user_path(name)
    return _copied(str(name), path, ledger, replies=replies) or nullcontext(OutputPaths.of(path, ledger))


@contextmanager
def opened_source(given: str, *, field: str) -> Iterator[str | SourceRows]:
    """What `open_source` takes for a source, as long as the context lasts: as the user has written it, or the rows of a copy.

    Raises:
        ConfigError: as `open_source`, of a copy; names the field.
        OutputError: as `opened_output`.
    """
    copied = None
    with suppress(ConfigError):  # it is no path at all
        copied = _copied(given, user_path(given), None, replies=False)
    if copied is None:
        yield given
        return
    with copied as paths:
        rows = open_source(paths.rows, field=field)
        assert paths.copy_of is not None  # noqa: S101 - as `_copied` says
        rows.name, rows.files = paths.name, paths.copy_of.files
        yield rows


def _copied(name: str, path: Path, ledger: Path | None, *, replies: bool) -> AbstractContextManager[OutputPaths] | None:
    """A copy of what has this name, which has a `copy_of`; None if it is a file of this machine, or nothing at all."""
    if is_folder(path) and is_shard_folder(path, ledger):
        return _merged(name, ShardFolder.open(path, ledger), replies=replies)
    return None


@contextmanager
def _merged(name: str, folder: ShardFolder, *, replies: bool) -> Iterator[OutputPaths]:
    from datafast.datasets.shards import merged_view

    place = folder.path if folder.path.name not in {"", ".."} else folder.path.resolve()
    about = CopyOf(
        name,
        place,
        instead=f"`datafast merge {name} -o FILE.jsonl` makes one output of its shards, at no cost.",
        files=tuple(file for paths in folder.outputs for file in (paths.rows, paths.ledger)),
    )
    with merged_view(folder.path, folder.ledger_folder, keeps_replies=replies) as paths:
        yield replace(paths, copy_of=about)
