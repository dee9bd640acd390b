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

from datafast._util.remote import RemoteUrl, remote_url
from datafast._util.user_path import is_folder, user_path
from datafast.errors import ConfigError, OutputError
from datafast.sources import SourceRows, open_source
from datafast.store.paths import CopyOf, OutputPaths
from datafast.store.shards import ShardFolder, is_shard_folder

__all__ = ["opened_output", "opened_source"]


def opened_output(
    name: str | Path, ledger: Path | None = None, *, rows: bool = True, replies: bool = True
) -> AbstractContextManager[OutputPaths]:
    """The files of an output, or of any other file of rows, as long as the context lasts. They need not be there.

    Args:
        name: as the user has written it.
        ledger: the ledger, if it is not beside the rows; of a folder of shards, the folder with theirs.
        rows: whether the rows are looked at. A copy of a remote output may lack them otherwise.
        replies: whether raw replies are looked at. A copy may lack them otherwise, which makes it much smaller.

    Raises:
        ConfigError: no file can have this name, or there is no such remote output.
        OutputError: shards do not belong together, or cannot be read; a store does not answer.
    """
    if (url := remote_url(name)) is not None:
        return _fetched(url, ledger, rows=rows, replies=replies)
    path = user_path(name)
    return _copied(str(name), path, ledger, replies=replies) or nullcontext(OutputPaths.of(path, ledger))


@contextmanager
def opened_source(given: str, *, field: str) -> Iterator[str | SourceRows]:
    """What `open_source` takes for a source, as long as the context lasts: as the user has written it, or the rows of a copy.

    Raises:
        ConfigError: as `open_source`, of a copy; names the field.
        OutputError: as `opened_output`.
    """
    copied: AbstractContextManager[OutputPaths] | None = None
    if (url := remote_url(given)) is not None:
        copied = _fetched(url, None, replies=False) if _is_output(url) else None
    else:
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


def _is_output(url: RemoteUrl) -> bool:
    """Whether there is a remote output, or a folder with its shards, rather than a file of that name. Not if that cannot be found out."""
    from datafast.storage.copies import is_remote_output

    try:
        return is_remote_output(url)
    except (ConfigError, OutputError):
        return False


@contextmanager
def _fetched(url: RemoteUrl, ledger: Path | None, *, rows: bool = True, replies: bool) -> Iterator[OutputPaths]:
    """A copy of a remote output, or of what a remote folder of shards makes together."""
    from datafast.storage.copies import copied_output, copied_shards, is_folder_of_shards

    if ledger is not None:
        raise ConfigError(f"--ledger: The ledger of {url} is at the same place. Leave it out.")
    if not is_folder_of_shards(url):
        with copied_output(url, rows=rows) as paths:
            yield paths
        return
    with copied_shards(url) as folder, _merged(str(url), ShardFolder.open(folder), replies=replies) as paths:
        assert paths.copy_of is not None  # noqa: S101 - of `_merged`
        yield replace(paths, copy_of=paths.copy_of._replace(place=Path.cwd() / url.name, files=()))


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
