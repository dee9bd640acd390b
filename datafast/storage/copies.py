"""Remote outputs on this machine for those who only look: in the spool where it is as new as the store, else in a temporary copy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from datafast._util.remote import RemoteUrl
from datafast.errors import ConfigError, OutputInUseError
from datafast.storage.opening import objects_of
from datafast.storage.patient import SHORT, Patient
from datafast.storage.restoring import fetched, whole_manifest
from datafast.storage.shards import shards_at
from datafast.storage.spool import Spool, spool_of
from datafast.store.paths import CopyOf, OutputPaths

__all__ = ["copied_output", "copied_shards", "is_folder_of_shards", "is_remote_output"]


@contextmanager
def copied_output(url: RemoteUrl, *, rows: bool = True) -> Iterator[OutputPaths]:
    """The files of a remote output to look at, as long as the context lasts. A run that goes on on this machine is seen as it is now,
    another one as it was last uploaded.

    Args:
        rows: whether the rows are looked at; else their file may be empty.

    Raises:
        ConfigError: there is no such output, or no way to it.
        StoreError: the store does not answer.
    """
    objects = Patient(objects_of(url), SHORT)
    spool = Spool(url, spool_of(url, None))
    found = whole_manifest(objects, url)
    if found is None and not (spool.is_used and _is_worked_in(spool)):
        raise ConfigError(f"There is no output at {url}. Give the output_file of a config.")
    instead = "Only a run of the config that names it as output_file changes it."
    copy_of = CopyOf(str(url), Path.cwd() / url.name, instead)
    is_newest = found is None or found[0].token in spool.state.tokens
    is_here = spool.has_ledger or (spool.is_used and (found is None or found[0].ledger is None))
    if is_here and (is_newest or _is_worked_in(spool)):
        yield replace(spool.paths, copy_of=copy_of)
        return
    with tempfile.TemporaryDirectory(prefix="datafast-remote-") as made:
        folder = Path(made) / "copy"
        fetched(objects, url, folder, rows=rows)
        yield replace(OutputPaths.of(folder / url.name), copy_of=copy_of)


@contextmanager
def copied_shards(url: RemoteUrl, *, rows: bool = True) -> Iterator[Path]:
    """A folder with the shards of a remote folder as they were last uploaded, as long as the context lasts.

    `rows` and what is raised are those of `copied_output`.
    """
    names = shards_at(Patient(objects_of(url), SHORT))
    if not names:
        raise ConfigError(
            f"There is no folder of shards at {url}. Give the output_file of a config that was run with --shard."
        )
    with tempfile.TemporaryDirectory(prefix="datafast-remote-") as made:
        folder = Path(made) / url.name
        folder.mkdir()
        for name in names:
            one = url.below(name.file_name)
            place = Path(made) / name.file_name
            fetched(Patient(objects_of(one), SHORT), one, place, rows=rows)
            for path in place.iterdir():
                path.rename(folder / path.name)
        yield folder


def is_folder_of_shards(url: RemoteUrl) -> bool:
    """Whether there are shards at a URL, and no output."""
    objects = Patient(objects_of(url), SHORT)
    return whole_manifest(objects, url) is None and bool(shards_at(objects))


def is_remote_output(url: RemoteUrl) -> bool:
    """Whether there is an output at a URL, or a folder with its shards."""
    objects = Patient(objects_of(url), SHORT)
    return whole_manifest(objects, url) is not None or bool(shards_at(objects))


def _is_worked_in(spool: Spool) -> bool:
    """Whether a run on this machine works in a spool."""
    with suppress(OutputInUseError), spool.locked():
        return False
    return True
