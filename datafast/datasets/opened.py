"""Where an output lies that the user names: the one place in which a name becomes the files of an output.

Every command that takes FILE, and `datafast.load`, come here. What is not a file of this machine is read from a temporary copy, whose
`OutputPaths.copy_of` says what it is a copy of. Whoever shows the name of an output takes `paths.name`, whoever writes beside it
`paths.place`, and whoever changes it asks `refuse_copy` first. Commands that take any SOURCE use `opened_source`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from datafast._util.remote import RemoteUrl, remote_url
from datafast._util.user_path import user_path
from datafast.errors import ConfigError, OutputError
from datafast.sources import SourceRows, open_source
from datafast.store.paths import CopyOf, OutputPaths

__all__ = ["opened_output", "opened_source", "refuse_copy"]


@contextmanager
def opened_output(name: str | Path, ledger: Path | None = None, *, rows: bool = True) -> Iterator[OutputPaths]:
    """The files of an output, or of any other file of rows, as long as the context lasts. They need not be there.

    Args:
        name: as the user has written it.
        ledger: the ledger, if it is not beside the rows.
        rows: whether the rows are looked at; those of a remote output are not fetched otherwise.

    Raises:
        ConfigError: no file can have this name, or there is no such remote output.
        OutputError: its store does not answer.
    """
    if (url := remote_url(name)) is not None:
        with _remote(url, ledger, rows=rows) as paths:
            yield paths
        return
    yield OutputPaths.of(user_path(name), ledger)


@contextmanager
def opened_source(given: str, *, field: str) -> Iterator[str | SourceRows]:
    """What `open_source` takes for a source, as long as the context lasts: as the user has written it, or the rows of a copy.

    Raises:
        ConfigError: as `open_source`, of a copy; names the field.
    """
    url = remote_url(given)
    if url is None or not _is_output(url):
        yield given
        return
    with opened_output(given) as paths:
        yield open_source(str(paths.rows), field=field)


def _is_output(url: RemoteUrl) -> bool:
    """Whether there is a remote output, or a folder with its shards, rather than a file of that name. Not if that cannot be found out."""
    from datafast.storage.copies import is_remote_output

    try:
        return is_remote_output(url)
    except (ConfigError, OutputError):
        return False


@contextmanager
def _remote(url: RemoteUrl, ledger: Path | None, *, rows: bool) -> Iterator[OutputPaths]:
    """A copy of a remote output, or of what a remote folder of shards makes together."""
    from datafast.storage.copies import copied_output, copied_shards, is_folder_of_shards

    if ledger is not None:
        raise ConfigError(f"--ledger: The ledger of {url} is at the same place. Leave it out.")
    if not is_folder_of_shards(url):
        with copied_output(url, rows=rows) as paths:
            yield paths
        return
    from datafast.datasets.shards import merged_view

    with copied_shards(url) as folder, merged_view(folder) as paths:
        yield replace(paths, copy_of=CopyOf(str(url), Path.cwd() / url.name))


def refuse_copy(paths: OutputPaths, why: str) -> None:
    """Refuses to change what would be gone with a copy.

    Args:
        why: what the user may do instead, as sentences.

    Raises:
        ConfigError: the files are a copy.
    """
    if paths.copy_of is not None:
        raise ConfigError(f"{paths.name}: {why}")
