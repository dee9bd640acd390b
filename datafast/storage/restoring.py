"""Making the files of an output on this machine from what a store has: a spool that a run goes on in, or a copy to look at.

Everything is checked against the manifest. An object that is gone was replaced by a newer manifest, which is then read instead.
"""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from datafast._util.remote import RemoteUrl
from datafast.errors import OutputError
from datafast.storage.manifest import Chunk, Manifest, read_manifest
from datafast.storage.objects import Missing, Objects
from datafast.storage.row_parts import JSONL, Codec
from datafast.store.paths import OutputPaths

__all__ = ["codec_of", "fetched", "whole_manifest"]

_TRIES = 3


def whole_manifest(objects: Objects, url: RemoteUrl) -> tuple[Manifest, str] | None:
    """The manifest of an output; None if there is none."""
    return read_manifest(objects, str(url))


def fetched(
    objects: Objects, url: RemoteUrl, folder: Path, *, rows: bool = True, ledger: bool = True, resumes: bool = False
) -> tuple[Manifest, str] | None:
    """Makes the files of an output in a new folder; None if there is no output.

    Args:
        folder: must not be there.
        rows, ledger: what is needed.
        resumes: a run is to go on with it. Then rows that are newer than the ledger are left out, because they are built from the replies,
            which stand in the journal.

    Raises:
        StoreError: the store failed again and again.
        OutputError: it is damaged there.
    """
    found = whole_manifest(objects, url)
    while found is not None:
        manifest = found[0]
        try:
            _fetch(objects, url, manifest, folder, rows=rows, ledger=ledger, resumes=resumes)
        except Missing as error:
            shutil.rmtree(folder, ignore_errors=True)
            newer = whole_manifest(objects, url)
            if newer is not None and newer[0].token == manifest.token:
                raise OutputError(
                    f"{url} is damaged: {error} Its manifest names it. Restore it from a backup of the store."
                ) from None
            found = newer
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        else:
            return found
    return None


def _fetch(
    objects: Objects, url: RemoteUrl, manifest: Manifest, folder: Path, *, rows: bool, ledger: bool, resumes: bool
) -> None:
    folder.mkdir(parents=True)
    paths = OutputPaths.of(folder / url.name)
    entry = manifest.ledger
    end = manifest.rows_bytes
    if ledger and entry is not None:
        _put_together(objects, entry.chunks, paths.ledger)
        end = min(end, entry.rows_bytes)
    if resumes and entry is None:
        end = 0
    if rows and (end or not resumes):
        _rows(objects, manifest, paths.rows, end)
    elif not rows:
        paths.rows.touch()
    if ledger and manifest.replies:
        with paths.journal.open("wb") as journal:
            for part in manifest.replies:
                journal.write(zlib.decompress(_object(objects, part.name, bytes, part.sha256)))
    for file in manifest.files:
        if Path(file.file).name != file.file or (file.file.startswith(".") and not file.file.startswith(url.name)):
            raise OutputError(f"{url} is damaged: {file.file!r} is no name of a file.")
        _put_together(objects, file.chunks, folder / file.file)


def _rows(objects: Objects, manifest: Manifest, path: Path, end: int) -> None:
    """Writes the first bytes of the rows."""
    with path.open("wb") as file:
        for part in manifest.rows:
            if file.tell() >= end:
                break
            file.write(_object(objects, part.name, codec_of(part.name).decode, part.sha256))
        file.truncate(end)


def codec_of(name: str) -> Codec:
    """How the object of a part is read."""
    if name.endswith(".parquet"):
        from datafast.storage.parquet import ParquetCodec

        return ParquetCodec()
    return JSONL


def _put_together(objects: Objects, chunks: tuple[Chunk, ...], path: Path) -> None:
    """Writes a file of its pieces."""
    with path.open("wb") as file:
        for chunk in chunks:
            unpack = partial(_unpacked, size=chunk.bytes)
            file.write(_object(objects, chunk.name, unpack, chunk.sha256))


def _unpacked(data: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, size + 1)
    except zlib.error:
        return b""


def _object(objects: Objects, name: str, unpack: Callable[[bytes], bytes], sha256: str) -> bytes:
    """What an object holds, asked for again where it did not come as it was written."""
    for _ in range(_TRIES):
        found = unpack(objects.get(name)[0])
        if hashlib.sha256(found).hexdigest() == sha256:
            return found
    raise OutputError(f"The object {name} is not what its manifest says. Restore it from a backup of the store.")
