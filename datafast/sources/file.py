"""A file of the user's: where its bytes can be read, and what messages call it.

What is compressed, or lies elsewhere, is written once into a local file: into the folder that the reading names, where it stays for the
next run until the original changes, else into a temporary one.
Limits: what is unpacked takes at most a thousand times the file (a quarter of a gigabyte in any case), and never the last of the disk.
"""

from __future__ import annotations

import gzip
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from datafast._util.digest import digest
from datafast._util.scratch import Scratch
from datafast.errors import ConfigError
from datafast.sources.copies import folder_of, remove_other_states, turn
from datafast.sources.progress import Progress
from datafast.sources.reading import Reading
from datafast.sources.zstd import ZstdReader

__all__ = ["COMPRESSED", "SourceFile", "copied", "copy_of", "unpacked"]

COMPRESSED = (".gz", ".zst")
_PART = ".part"  # behind the name of what is not there whole
_BLOCK = 1 << 20
_LARGEST_RATIO = 1_000
_ALWAYS = 2**28
_SPARE = 2**30  # bytes that stay free, or a twentieth of a small disk


@dataclass(slots=True, weakref_slot=True)
class SourceFile:
    """A file that can be read.

    Attributes:
        path: where its bytes are.
        name: what messages call it.
        given: the user's own file; None for one that lies elsewhere.
        kept: what goes with it, and must not go before it.
    """

    path: Path
    name: str
    given: Path | None
    kept: object = field(default=None, repr=False)

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        return cls(path, str(path), path)

    @property
    def suffix(self) -> str:
        """The ending that says what is in it."""
        return self.path.suffix.lower()

    @property
    def files(self) -> list[Path]:
        return [] if self.given is None else [self.given]


def unpacked(path: Path, reading: Reading) -> SourceFile:
    """A compressed file, unpacked."""
    status = path.stat()
    at_most = max(_ALWAYS, _LARGEST_RATIO * status.st_size)
    told = digest(str(path.resolve()), str(status.st_size), str(status.st_mtime_ns))

    def write(target: IO[bytes]) -> None:
        with path.open("rb") as packed, Progress(str(path), status.st_size) as progress:
            opened = _plain(packed, path.suffix.lower(), reading, str(path))
            _copy(opened, target, reading, str(path), at_most=at_most, told=lambda done: progress.at(packed.tell()))

    return _made(str(path), path, told, path.stem, write, reading)


def copied(name: str, told: bytes, size: int | None, opened: Callable[[], Any], reading: Reading) -> SourceFile:
    """A file that lies elsewhere, copied, and unpacked if it is compressed.

    Args:
        name: its address.
        told: changes when the file does.
        size: its bytes, where they are known.
        opened: opens it.
    """
    last = name.rstrip("/").rpartition("/")[2]
    suffix = Path(last).suffix.lower()
    is_packed = suffix in COMPRESSED

    def write(target: IO[bytes]) -> None:
        with opened() as remote, Progress(name, size) as progress:
            plain = _plain(remote, suffix, reading, name) if is_packed else remote
            at_most = None if not is_packed or size is None else max(_ALWAYS, _LARGEST_RATIO * size)
            _copy(plain, target, reading, name, at_most=at_most, told=progress.at)

    return _made(name, None, told, Path(last).stem if is_packed else last, write, reading)


def copy_of(name: str, reading: Reading) -> SourceFile | None:
    """What an earlier run has copied from an address."""
    folder = folder_of(reading, name)
    found = folder.glob("*/*") if folder is not None else ()
    whole = sorted((path for path in found if path.suffix != _PART), key=lambda path: path.stat().st_mtime_ns)
    return SourceFile(whole[-1], name, None) if whole else None


def _made(
    name: str, given: Path | None, told: bytes, last: str, write: Callable[[IO[bytes]], None], reading: Reading
) -> SourceFile:
    """The local file: that of an earlier run, or a new one, which is there whole or not at all."""
    scratch = None
    folder = folder_of(reading, name)
    if folder is None:
        scratch = Scratch()
        folder = scratch.folder
    path = folder / told.hex()[:16] / (last or "source")
    found = SourceFile(path, name, given, scratch)
    if scratch is not None:
        scratch.remove_with(found)
    if path.exists():
        return found
    try:
        with turn(folder, name) if scratch is None else nullcontext():
            if path.exists():
                return found
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + _PART)
            with part.open("wb") as target:
                write(target)
            part.replace(path)
            remove_other_states(folder, path.parent.name)
    except OSError as error:
        raise ConfigError(
            f"{reading.field}: Cannot copy {name} into {folder}: {error.strerror or error}. Check the file, and the folder's permissions."
        ) from error
    return found


def _copy(
    source: Any,
    target: IO[bytes],
    reading: Reading,
    name: str,
    *,
    at_most: int | None,
    told: Callable[[int], None],
) -> None:
    done = 0
    with _broken(reading, name):
        while block := source.read(_BLOCK):
            done += len(block)
            if at_most is not None and done > at_most:
                raise ConfigError(
                    f"{reading.field}: {name} unpacks to more than {at_most:,} bytes, a thousand times the file. "
                    f"If that is right, unpack it yourself and name the unpacked file."
                )
            room = shutil.disk_usage(Path(target.name).parent)
            if room.free < min(_SPARE, room.total // 20):
                raise ConfigError(
                    f"{reading.field}: There is no room for {name} in {Path(target.name).parent}. Free some space."
                )
            target.write(block)
            told(done)
        target.flush()
        os.fsync(target.fileno())


@contextmanager
def _broken(reading: Reading, name: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConfigError(
            f"{reading.field}: {name} cannot be unpacked: {error}. It is cut off or not what its ending says; fetch it again."
        ) from error


def _plain(packed: Any, suffix: str, reading: Reading, name: str) -> Any:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=packed, mode="rb")
    try:
        return ZstdReader(packed)
    except ImportError:
        raise ConfigError(
            f"{reading.field}: {name} is compressed with zstd. Install what reads it: pip install 'datafast[zstd]', or unpack it."
        ) from None
