"""One upload: what is new on this machine goes to the store, then the manifest is replaced. Whatever happens in between, the manifest
that is there stays true, and the next upload begins where this one was.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from datafast.errors import OutputError
from datafast.storage.ledger_parts import (
    BatchNote,
    Moment,
    batches_of,
    chunks_of,
    entry_of,
    has_dropped,
    is_large,
    is_made,
    lacks_replies,
    moment_of,
    new_replies,
    taken,
)
from datafast.storage.lock import RemoteLock
from datafast.storage.manifest import (
    MANIFEST,
    Chunk,
    FileEntry,
    LedgerEntry,
    Manifest,
    Replies,
    RowsPart,
    read_manifest,
    removable,
)
from datafast.storage.objects import Conflict, Missing, Objects, StoreError
from datafast.storage.row_parts import Codec, put_together, sealed, still_true
from datafast.storage.rows_file import is_at, number_of, opened
from datafast.storage.spool import Spool
from datafast.store.held_replies import HeldReplies

__all__ = ["SpoolDeleted", "Uploads"]

_MOST_OFTEN = 20  # times as long as it takes, there is no further moment of the ledger
_NOT_UPLOADED = re.compile(r"-(wal|shm|lock)$|\.ledger-batch-|\.(tmp|bak)$")  # behind the name of the output
_NEVER = datetime.min.replace(tzinfo=UTC)


class SpoolDeleted(OutputError):
    """Somebody has deleted what is to be uploaded. Trying again does not help."""


@dataclass
class Uploads:
    """The uploads of one run, one after another.

    Args:
        current: the manifest that is there, with the mark of its version; None for none.
        lock: None where there is none.
        ahead: how far the clock of the store is ahead of ours.
        held: is told which replies may be dropped, where they are.
        is_given_up: set from outside: the manifest is not touched any more.
    """

    objects: Objects
    spool: Spool
    codec: Codec
    current: tuple[Manifest, str] | None
    lock: RemoteLock | None
    ahead: timedelta = timedelta()
    held: HeldReplies = field(default_factory=HeldReplies)
    is_given_up: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._inode: tuple[int, int] | None = None
        self._took_s = 0.0
        self._own: LedgerEntry | None = None
        self._copied: tuple[LedgerEntry | None, list[BatchNote]] = None, []  # the last copy, with the batches in it
        self._kept_open: int | None = None
        self._tried: list[str] = []
        self._taken_at = float("-inf")
        self._seen: dict[str, tuple[tuple[int, int] | None, FileEntry | None]] = {}

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def lacking(self) -> tuple[int, int]:
        """How many bytes of rows and how many replies are not uploaded."""
        paths = self.spool.paths
        if not is_made(paths.ledger):
            return 0, 0
        moment = moment_of(paths.ledger)
        manifest = None if self.current is None else self.current[0]
        rows, last = (0, 0) if manifest is None else (manifest.rows_bytes, manifest.last_call)
        return max(0, (moment.rows_bytes or 0) - rows), max(0, moment.last_call - last)

    def upload(self, *, ended: bool) -> bool:
        """Uploads what is new. Returns whether there was something.

        Args:
            ended: the run is over, and nothing is written any more.

        Raises:
            StoreError: the store failed; Conflict: somebody else writes there.
            OutputError, OSError, sqlite3.Error: the files on this machine cannot be read.
        """
        paths = self.spool.paths
        if not self.spool.folder.exists():
            raise SpoolDeleted(f"{self.spool.folder} was deleted while the run worked in it.")
        before = None if self.current is None else self.current[0]
        with opened(paths.rows) as rows:
            moment, ledger, replies = self._ledger(before, rows, ended=ended)
            if moment.rows_bytes is None or not is_at(paths.rows, rows) or (rows is None and moment.rows_bytes):
                if ended:
                    raise OutputError(
                        f"{paths.rows} is not what its ledger says. Run the same command again, which repairs it."
                    )
                return False  # rows are just being moved
            parts = self._rows(before, rows, moment.rows_bytes, ended=ended)
        manifest = Manifest(
            output=self.spool.url.name,
            serial=1 if before is None else before.serial + 1,
            token=secrets.token_hex(16),
            writer=self.spool.state.spool,
            host=platform.node(),
            written_at=self._now(),
            rows=tuple(parts),
            ledger=ledger,
            replies=tuple(replies),
            files=tuple(self._files(before)),
            kept=() if before is None else before.kept,
            ended=ended,
        )
        if before is not None and _same(before, manifest):
            return False
        self._replace(before, manifest)
        return True

    # -- its pieces

    def _ledger(
        self, before: Manifest | None, rows: BinaryIO | None, *, ended: bool
    ) -> tuple[Moment, LedgerEntry | None, Sequence[Replies]]:
        """The ledger at a moment: the file as a whole, or that of an earlier moment with the replies since."""
        path = self.spool.paths.ledger
        known = None if before is None else before.ledger
        if not is_made(path):  # what the rows are about is just being grown, or somebody has deleted it
            if known is not None and not self.spool.state.keeps:
                raise SpoolDeleted(f"{path} was deleted while the run worked with it.")
            return Moment(0, 0), None, ()
        if known is not None and before is not None and not ended and self._is_grown_by_replies(path, known):
            moment = moment_of(path)
            if self._goes_on(before, known.rows_bytes, rows, moment.rows_bytes or 0):
                replies = [*before.replies, *self._replies(path, before.last_call)]
                # Looked at last: a run drops what it has held when it ends, which may be between any two lines here.
                if not has_dropped(path, before.last_call):
                    return moment, known, replies
        began, is_counted = time.monotonic(), self.held.are_counted
        with taken(path) as copy:
            moment, batches = moment_of(copy), batches_of(copy)
            there = set() if known is None else {chunk.name for chunk in known.chunks}
            chunks = [] if moment.rows_bytes is None else list(self._chunks(copy, "ledger", there))
        self._taken_at = time.monotonic()
        self._took_s = self._taken_at - began
        entry = None if moment.rows_bytes is None else entry_of(moment, chunks)
        self._own = entry if is_counted else None
        self._copied = entry, batches
        return moment, entry, ()

    def _is_grown_by_replies(self, ledger: Path, known: LedgerEntry) -> bool:
        """Whether the replies since are uploaded, and not the ledger, as far as they are there. Of one that lacks replies, they are if the
        run has held them, which it does from the first ledger on that is uploaded for it until it ends. Of a large one, they are if the one
        that is uploaded knows all batches: whoever goes on with it would buy theirs again."""
        waits = time.monotonic() - self._taken_at < _MOST_OFTEN * self._took_s
        if lacks_replies(ledger):
            return waits and known == self._own
        if waits:
            return True
        entry, batches = self._copied
        return is_large(ledger) and batches_of(ledger) == (batches if known == entry else [])

    def _goes_on(self, before: Manifest, size: int, rows: BinaryIO | None, end: int) -> bool:
        """Whether the first bytes of the file of rows are those that the ledger of a manifest speaks of, and no row was moved since."""
        if self.spool.state.keeps or size > end:
            return False
        if rows is None:
            return size == 0
        parts = before.rows
        if number_of(rows) != self._inode:
            parts = tuple(still_true(rows, parts, end))
        return sum(part.bytes for part in parts) >= size

    def _chunks(self, file: Path, folder: str, there: set[str]) -> Iterator[Chunk]:
        for chunk, data in chunks_of(file, folder):
            if chunk.name not in there:
                self.objects.put(chunk.name, zlib.compress(data, 1))
                there.add(chunk.name)
            yield chunk

    def _replies(self, ledger: Path, after: int) -> Iterator[Replies]:
        for found in new_replies(ledger, after):
            name = f"replies/{found.first:012d}-{secrets.token_hex(4)}.z"
            self.objects.put(name, found.data)
            yield Replies(name, found.first, found.last, found.sha256)

    def _rows(self, before: Manifest | None, rows: BinaryIO | None, end: int, *, ended: bool) -> list[RowsPart]:
        if rows is None:
            return []
        parts = [] if before is None else list(before.rows)
        inode = number_of(rows)
        # At the end all are compared, whatever its number says.
        if ended or inode != self._inode or sum(part.bytes for part in parts) > end:
            parts = still_true(rows, parts, end)
        parts += sealed(self.objects, rows, sum(part.bytes for part in parts), end, self.codec)
        parts = put_together(self.objects, rows, parts, self.codec)
        self._inode = inode
        self._keep_open(rows)
        return parts

    def _keep_open(self, rows: BinaryIO) -> None:
        """Keeps the file of rows open until the next upload: if it is made anew twice until then, the second one must not have its number.
        Windows replaces no open files, and gives no number again."""
        self.close()
        if os.name != "nt":
            self._kept_open = os.dup(rows.fileno())

    def close(self) -> None:
        """There are no more uploads."""
        kept_open, self._kept_open = self._kept_open, None
        if kept_open is not None:
            os.close(kept_open)

    def _files(self, before: Manifest | None) -> Iterator[FileEntry]:
        """The other files beside the rows: their manifest, reviews, what they are about, rows that were moved aside."""
        there = set() if before is None else {chunk.name for entry in before.files for chunk in entry.chunks}
        paths = self.spool.paths
        for path in sorted(self.spool.folder.iterdir()):
            if (
                path in {paths.rows, paths.ledger, paths.journal}
                or not path.name.startswith(paths.rows.name)  # such as the state of the spool
                or _NOT_UPLOADED.search(path.name.removeprefix(paths.rows.name))
                or not path.is_file()
            ):
                continue
            with suppress(FileNotFoundError):  # it was there for a moment
                yield self._file(path, there)

    def _file(self, path: Path, there: set[str]) -> FileEntry:
        found = path.stat()
        seen, entry = self._seen.get(path.name, (None, None))
        is_ledger = path.name.endswith(".ledger")
        if entry is None or is_ledger or seen != (found.st_size, found.st_mtime_ns):
            with taken(path) if is_ledger else nullcontext(path) as whole:
                chunks = tuple(self._chunks(whole, "files", there))
            entry = FileEntry(path.name, sum(chunk.bytes for chunk in chunks), chunks)
            self._seen[path.name] = (found.st_size, found.st_mtime_ns), entry
        return entry

    # -- making it stand

    def _replace(self, before: Manifest | None, manifest: Manifest) -> None:
        """Puts a manifest in the place of the one before it."""
        if self.spool.state.keeps and before is not None:
            stamp = before.written_at.strftime("%Y%m%dT%H%M%SZ")
            kept = f"manifest-{stamp}-{before.serial}.bak.json"
            self.objects.put(kept, before.encoded())
            manifest = replace(manifest, kept=(*manifest.kept, kept))
        manifest = manifest.after(before, self._now())
        if self.lock is not None:
            self.lock.require()
        if self.is_given_up.is_set():
            raise StoreError(f"The upload to {self.spool.url} took too long.")
        self._tried.append(manifest.token)
        known = () if before is None else (before.token,)
        self.spool.note(tokens=(*known, *self._tried))
        try:
            version = self._written(manifest)
        except Conflict:
            found = read_manifest(self.objects, str(self.spool.url))
            if found is None or found[0].token not in self._tried:
                raise
            self.current = found  # one that seemed to fail had been written
            raise StoreError(f"An earlier upload to {self.spool.url} was carried out after all.") from None
        self.current = manifest, version
        self._tried.clear()
        if manifest.ledger is not None and manifest.ledger == self._own:
            self.held.safe = manifest.ledger.last_call
        self.spool.note(tokens=(manifest.token,), last_call=manifest.last_call, keeps=False)

    def _written(self, manifest: Manifest) -> str:
        data = manifest.encoded()
        if self.lock is None:
            self._require_known()
            return self.objects.overwrite(MANIFEST, data)
        if self.current is None:
            return self.objects.create(MANIFEST, data)
        return self.objects.replace(MANIFEST, data, self.current[1])

    def _require_known(self) -> None:
        """Without a lock, somebody else's manifest is at least never replaced that is there already."""
        found = read_manifest(self.objects, str(self.spool.url))
        if found is not None and found[0].token not in self.spool.state.tokens:
            raise Conflict(f"Another run writes to {self.spool.url}.")

    def clean(self) -> None:
        """Removes the objects that nobody needs any more. What cannot be removed now is removed later."""
        if self.current is None:
            return
        with suppress(StoreError):
            manifest = self.current[0]
            kept = [
                found[0] for name in manifest.kept if (found := read_manifest(self.objects, str(self.spool.url), name))
            ]
            there = [(found.name, found.modified) for found in self.objects.all()]
            with suppress(Missing):
                now = self.objects.modified(MANIFEST)
                self.objects.remove(removable(manifest, kept, there, now))


def _same(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests say the same of an output."""
    return replace(one, serial=0, token="", written_at=_NEVER, retired=(), writer="", host="") == replace(
        other, serial=0, token="", written_at=_NEVER, retired=(), writer="", host=""
    )
