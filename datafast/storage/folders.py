"""Objects as files in a folder of a file system that several machines share, such as NFS.

A new file is written whole under another name and then linked to its own, which fails if that is there: that is atomic on NFS too, and
needs no locks of the kernel. A file is replaced on condition that it has a version in this way: the new one is first linked to a name that
the old version alone leads to (`.NAME.after-VERSION`), which only one process can do, and then takes the place of the old one. Readers
follow these links from what they find, so a process that dies in between, or comes late, changes nothing of what is true.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from datafast.storage.objects import Conflict, Missing, ObjectInfo, Refused, StoreError

if TYPE_CHECKING:
    from datafast._util.remote import RemoteUrl

__all__ = ["Folder"]

T = TypeVar("T")

_KEPT_S = 3600.0
_NO_LINKS = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EPERM})


class Folder:
    """The objects of one output in a folder, which is called like the file of rows."""

    lease_s = 60.0
    least_upload_s = 0.0

    def __init__(self, url: RemoteUrl) -> None:
        self._url = url
        self._folder = Path(url.key)

    def get(self, name: str) -> tuple[bytes, str]:
        data = self._asked(name, lambda: self._newest(name).read_bytes())
        return data, _version(data)

    def put(self, name: str, data: bytes) -> None:
        self.overwrite(name, data)

    def create(self, name: str, data: bytes) -> str:
        self._asked(name, lambda: self._write(name, data, lambda new: _link(new, self._path(name))))
        return _version(data)

    def replace(self, name: str, data: bytes, version: str) -> str:
        if self.get(name)[1] != version:
            raise Conflict(f"{self._url}: The object {name} was written by another process meanwhile.")
        claim = self._claim(name, version)

        def place(new: Path) -> None:
            _link(new, claim)
            new.replace(self._path(name))

        self._asked(name, lambda: self._write(name, data, place))
        with suppress(OSError):  # it is written all the same
            self._forget_old(name)
        return _version(data)

    def overwrite(self, name: str, data: bytes) -> str:
        self._asked(name, lambda: self._write(name, data, lambda new: new.replace(self._path(name))))
        return _version(data)

    def all(self) -> Iterator[ObjectInfo]:
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    found = path.stat()
                    modified = datetime.fromtimestamp(found.st_mtime, UTC)
                    yield ObjectInfo(path.relative_to(self._folder).as_posix(), modified, found.st_size)

    def modified(self, name: str) -> datetime:
        found = self._asked(name, lambda: self._newest(name).stat())
        return datetime.fromtimestamp(found.st_mtime, UTC)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            for path in (self._path(name), *self._claims(name)):
                self._asked(name, lambda path=path: path.unlink(missing_ok=True))  # type: ignore[misc]

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _claim(self, name: str, version: str) -> Path:
        return self._folder / f".{name}.after-{version}"

    def _claims(self, name: str) -> Iterator[Path]:
        return self._folder.glob(f".{name}.after-*") if "/" not in name else iter(())

    def _newest(self, name: str) -> Path:
        """The file with the newest version of an object."""
        path = self._path(name)
        if "/" in name:  # never replaced on a condition
            return path
        seen: set[Path] = set()  # bytes that were written twice would lead in a circle
        while (
            path.exists() and (claim := self._claim(name, _version(path.read_bytes()))).exists() and claim not in seen
        ):
            seen.add(claim)
            path = claim
        return path

    def _forget_old(self, name: str) -> None:
        """Removes links that nobody can follow any more."""
        newest = self._newest(name)
        for claim in self._claims(name):
            with suppress(FileNotFoundError):
                if claim != newest and not claim.samefile(newest) and time.time() - claim.stat().st_mtime > _KEPT_S:
                    claim.unlink()

    def _write(self, name: str, data: bytes, place: Callable[[Path], object]) -> None:
        """Writes a file under another name, and has it put in its place."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
        try:
            with new.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            place(new)
        finally:
            new.unlink(missing_ok=True)

    def _asked(self, name: str, ask: Callable[[], T]) -> T:
        """What a function of the system gives."""
        try:
            return ask()
        except FileNotFoundError:
            raise Missing(f"{self._url} has no object {name}.") from None
        except FileExistsError:
            raise Conflict(f"{self._url}: The object {name} was written by another process meanwhile.") from None
        except PermissionError as error:
            raise Refused(f"{self._url}: {error.strerror}. Give a folder that you may write to.") from None
        except OSError as error:
            raise StoreError(f"{self._url}: {error.strerror}.") from None


def _link(new: Path, name: Path) -> None:
    """Gives a file another name, which must not be there. Raises NotImplementedError: this file system has no links."""
    try:
        os.link(new, name)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise NotImplementedError from error
        raise


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
