"""The folder on this machine in which a run of a remote output works: a local output, and what of it was uploaded.

<spool>/rows.jsonl ...       the output, with its ledger, journal and so on
<spool>/.datafast-spool.json what is known of the remote state
<spool>/.datafast-spool-lock held by the process that works in it
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from datafast._util.atomic_write import write_whole
from datafast._util.remote import RemoteUrl
from datafast.errors import OutputInUseError, OutputWriteError
from datafast.store.paths import OutputPaths

__all__ = ["Spool", "SpoolState", "spool_folder", "spool_of", "spooled_paths"]

_STATE = ".datafast-spool.json"
_LOCK = ".datafast-spool-lock"
_LOCK_S = 0.2
_READABLE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class SpoolState:
    """What a spool knows of its remote output.

    Attributes:
        spool: a name of its own, which no other spool has.
        tokens: of the manifest that it wrote or read last, and of one that it was about to write.
        last_call: the newest reply in the former.
        keeps: whether the next manifest keeps what the one before it names, because the output was started over.
    """

    url: str
    spool: str
    tokens: tuple[str, ...] = ()
    last_call: int = 0
    keeps: bool = False


def spool_folder(given: Path | None) -> Path:
    """The folder of all spools: as given, else that of caches of this user."""
    if given is not None:
        return given
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "datafast" / "spools"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "datafast" / "spools"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "datafast" / "spools"


def spool_of(url: RemoteUrl, given: Path | None) -> Path:
    """The spool of an output: a name that people know it by, and the hash of its URL."""
    readable = _READABLE.sub("-", f"{url.container}-{url.key}").strip("-.")[-80:]
    digest = hashlib.sha256(str(url).encode()).hexdigest()[:16]
    return spool_folder(given) / f"{readable}-{digest}"


def spooled_paths(url: RemoteUrl, given: Path | None) -> OutputPaths:
    """The files of a remote output on this machine."""
    return replace(OutputPaths.of(spool_of(url, given) / url.name), url=str(url))


@dataclass
class Spool:
    """The spool of one remote output."""

    url: RemoteUrl
    folder: Path
    state: SpoolState = field(init=False)

    def __post_init__(self) -> None:
        self.state = self._read() or SpoolState(str(self.url), secrets.token_hex(8))

    @property
    def paths(self) -> OutputPaths:
        return OutputPaths.of(self.folder / self.url.name)

    @property
    def is_used(self) -> bool:
        """Whether something was made in it."""
        return self.paths.ledger.exists() or self.paths.rows.exists() or self.paths.journal.exists()

    @property
    def has_ledger(self) -> bool:
        """Whether its ledger is there. Somebody may have deleted files of it."""
        return self.paths.ledger.exists()

    def note(self, *, tokens: tuple[str, ...], last_call: int | None = None, keeps: bool | None = None) -> None:
        """Keeps what is known of the remote output. On the disk when it returns."""
        last_call = self.state.last_call if last_call is None else last_call
        keeps = self.state.keeps if keeps is None else keeps
        self.state = replace(self.state, tokens=tokens, last_call=last_call, keeps=keeps)
        try:
            write_whole(self.folder / _STATE, orjson.dumps(asdict(self.state)))
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write {self.folder / _STATE}: {error.strerror}. Check the space on its disk, or set run.spool."
            ) from error

    def reread(self) -> None:
        """Looks at the state anew, after the folder was made or exchanged."""
        self.state = self._read() or self.state

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the spool for this process. The kernel's lock ends with it.

        Raises:
            OutputInUseError: another process works in it.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder.with_name(self.folder.name + _LOCK), timeout=_LOCK_S, thread_local=False)
            lock.acquire()
        except Timeout:
            raise OutputInUseError(
                f"Another run is writing to {self.url} on this machine. Wait for it to end. A run beside it needs another output file."
            ) from None
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write to {self.folder}: {error.strerror}. Set run.spool to a folder that you may write to."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def set_aside(self) -> Path:
        """Moves the folder away, whole. Returns where to."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        place = self.folder.with_name(f"{self.folder.name}.aside-{stamp}-{secrets.token_hex(2)}")
        self.folder.rename(place)
        return place

    def forget(self) -> None:
        """Knows nothing any more, because other files have taken the place of its own."""
        self.state = SpoolState(str(self.url), secrets.token_hex(8))

    def _read(self) -> SpoolState | None:
        try:
            found = orjson.loads((self.folder / _STATE).read_bytes())
            return SpoolState(**{**found, "tokens": tuple(found["tokens"])})
        except (OSError, ValueError, TypeError, KeyError):  # then it is as if nothing of it was ever uploaded
            return None
