"""The manifest of a remote output: which objects make it up. It is the one object that is ever replaced, and is replaced as a whole.

    manifest.json            this
    rows/...                 the rows, in parts that are never changed
    ledger/...               the ledger as it was at one moment, in pieces that are called by their content
    replies/...              replies that have come since
    files/...                other files beside the rows, called by their content
    lock.json                who writes; see `lock`

Readers read it, and then what it names. What it does not name any more is in `retired`, and stays for a while for those who are in the
midst of reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import orjson
from pydantic import TypeAdapter, ValidationError

from datafast.errors import OutputError
from datafast.storage.objects import Missing, Objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "GRACE",
    "MANIFEST",
    "Chunk",
    "FileEntry",
    "LedgerEntry",
    "Manifest",
    "Replies",
    "Retired",
    "RowsPart",
    "read_manifest",
    "removable",
]

MANIFEST = "manifest.json"
FORMAT = 1
_PARTS = ("rows/", "ledger/", "replies/", "files/")
GRACE = timedelta(hours=1)
"""For how long an object stays that no manifest names any more."""


@dataclass(frozen=True)
class RowsPart:
    """Rows behind each other: `bytes` of the JSONL, with the SHA-256 of these, in an object of `size` bytes.

    Attributes:
        level: how often it was put together from smaller parts.
    """

    name: str
    bytes: int
    lines: int
    sha256: str
    size: int
    level: int = 0


@dataclass(frozen=True)
class Chunk:
    """A piece of a file, compressed; `sha256` is of what it holds, and in its name."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class LedgerEntry:
    """The ledger at one moment.

    Attributes:
        rows_bytes: the bytes of the JSONL that were committed then.
        last_call: the newest reply in it.
    """

    bytes: int
    rows_bytes: int
    last_call: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Replies:
    """Records of the journal, compressed: the replies with these ids."""

    name: str
    first: int
    last: int
    sha256: str


@dataclass(frozen=True)
class FileEntry:
    """A file that stands beside the rows. `file` is how it is called there."""

    file: str
    bytes: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Retired:
    """An object that newer manifests do not name, since when."""

    name: str
    since: datetime


@dataclass(frozen=True)
class Manifest:
    """What is in an output at one moment.

    Attributes:
        output: the name of the file of rows.
        serial: rises by one with each.
        token: of this one alone.
        writer: the spool that has written it.
        host: the machine that it is on.
        ended: whether its run was over.
        kept: older manifests whose objects stay: those of an output that was started over.
    """

    output: str
    serial: int
    token: str
    writer: str
    host: str
    written_at: datetime
    rows: tuple[RowsPart, ...] = ()
    ledger: LedgerEntry | None = None
    replies: tuple[Replies, ...] = ()
    files: tuple[FileEntry, ...] = ()
    retired: tuple[Retired, ...] = ()
    kept: tuple[str, ...] = ()
    ended: bool = False
    format: int = field(default=FORMAT)

    @property
    def rows_bytes(self) -> int:
        return sum(part.bytes for part in self.rows)

    @property
    def last_call(self) -> int:
        """The newest reply that it holds."""
        newest = 0 if self.ledger is None else self.ledger.last_call
        return max([newest, *(part.last for part in self.replies)])

    def names(self) -> Iterator[str]:
        """The objects that it is made of."""
        for part in self.rows:
            yield part.name
        for chunk in () if self.ledger is None else self.ledger.chunks:
            yield chunk.name
        for replies in self.replies:
            yield replies.name
        for file in self.files:
            for chunk in file.chunks:
                yield chunk.name

    def after(self, before: Manifest | None, now: datetime) -> Manifest:
        """The same, with what the one before it named and this does not as retired, as long as it has to stay: what was retired long ago is
        removed like what no manifest ever named."""
        if before is None:
            return self
        mine = set(self.names())
        known = {one.name: one for one in before.retired if one.name not in mine and now - one.since <= 2 * GRACE}
        for name in before.names():
            if name not in mine:
                known.setdefault(name, Retired(name, now))
        return replace(self, retired=tuple(known.values()))

    def encoded(self) -> bytes:
        return orjson.dumps(self) + b"\n"

    @classmethod
    def decoded(cls, data: bytes, place: str) -> Manifest:
        """Raises OutputError: it is not one, or one of a newer format."""
        try:
            raw = orjson.loads(data)
            newest = raw["format"]
            if isinstance(newest, int) and newest > FORMAT:
                raise OutputError(
                    f"{place} has format {newest}, and this version of datafast knows formats up to {FORMAT}. Update datafast."
                )
            found = _adapter().validate_python(raw)
        except (orjson.JSONDecodeError, ValidationError, TypeError, KeyError):
            raise OutputError(
                f"{place} is not a manifest of an output. Give the URL of an output, or another place for a new one."
            ) from None
        return found


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def read_manifest(objects: Objects, place: str, name: str = MANIFEST) -> tuple[Manifest, str] | None:
    """The manifest of an output with the mark of its version; None if there is none."""
    try:
        data, version = objects.get(name)
    except Missing:
        return None
    return Manifest.decoded(data, f"{place}/{name}"), version


def removable(
    manifest: Manifest, kept: Iterable[Manifest], there: Iterable[tuple[str, datetime]], now: datetime
) -> list[str]:
    """The objects that nobody needs any more: those that were retired long enough ago, and old ones that no manifest ever named.

    Args:
        kept: the manifests in `manifest.kept`.
        there: the objects that there are, with the times at which they were written.
        now: by the clock of the store.
    """
    needed = {MANIFEST, *manifest.kept, *manifest.names()}
    for other in kept:
        needed.update(other.names())
    retired = {one.name: one.since for one in manifest.retired}
    return [
        name
        for name, written in there
        if name not in needed and name.startswith(_PARTS) and now - max(written, retired.get(name, written)) > GRACE
    ]
