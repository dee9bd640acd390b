"""A run whose output is remote: what has to be so before it begins, and what comes after its end.

before   hold the spool, try out the store, take its lock, make the spool as new as the store, start uploading
after    upload what is left, say what could not be uploaded, give the lock back
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from datafast._util.notify import warn_user
from datafast.storage.ledger_parts import has_dropped
from datafast.storage.lock import RemoteLock, proven, refusal, written
from datafast.storage.objects import Conflict, Objects
from datafast.storage.opening import objects_of
from datafast.storage.patient import LONG, SHORT, Patient
from datafast.storage.restoring import fetched, whole_manifest
from datafast.storage.row_parts import JSONL, Codec
from datafast.storage.shards import refuse_neighbours
from datafast.storage.spool import Spool, spool_of
from datafast.storage.taking_along import take_along
from datafast.storage.uploader import Uploader
from datafast.storage.uploads import SpoolDeleted, Uploads
from datafast.store.paths import OutputPaths
from datafast.types import RunReport, StopCause

if TYPE_CHECKING:
    from datafast._util.remote import RemoteUrl
    from datafast.engine.settings import RunConfig
    from datafast.storage.manifest import Manifest
    from datafast.store.held_replies import HeldReplies

__all__ = ["RemoteRun", "refreshed"]


class RemoteRun:
    """The context of a run over a remote output.

    Args:
        fresh: the output is started over.
        columns: gives the names and types of the columns of its rows, for parts in Parquet.
        stop: ends the run as Ctrl-C does; called when somebody else has taken the output over.
        held: the run drops no reply before this allows it.

    Raises, when it is entered:
        ConfigError: there is no such bucket, no way in, or no lock can be held there.
        OutputInUseError: another run writes to the output.
        StoreError: the store does not answer. Nothing was sent.
    """

    def __init__(
        self,
        url: RemoteUrl,
        settings: RunConfig,
        *,
        fresh: bool,
        columns: Callable[[], Sequence[Mapping[str, Any]]],
        stop: Callable[[], None],
        held: HeldReplies,
    ) -> None:
        self._url = url
        self._settings = settings
        self._fresh = fresh
        self._columns = columns
        self._stop = stop
        self._held = held
        self._store = objects_of(url)
        self._objects = Patient(self._store, LONG)
        self._spool = Spool(url, spool_of(url, settings.spool))
        self._stack = ExitStack()
        self._uploads: Uploads | None = None
        self._uploader: Uploader | None = None
        self._lost = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._spool.locked())
            self._spool.reread()
            lock, ahead = self._locked(stack)
            current = brought(self._objects, self._spool, fresh=self._fresh)
            ends = threading.Event()
            patient = Patient(self._store, SHORT, ends)
            self._uploads = Uploads(
                patient,
                self._spool,
                self._codec(),
                current,
                lock,
                ahead=ahead,
                held=self._held,
                is_given_up=ends,
            )
            every_s = max(self._settings.upload_every_s, self._objects.least_upload_s)
            self._uploader = Uploader(self._uploads, every_s, self._lose, lambda: patient.answered_at)
            self._uploader.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            if self._uploader is not None:  # the run has raised, or was left
                self._finish(self._settings.grace_s, in_all=True)

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)

    def ended(self, report: RunReport) -> RunReport:
        """Uploads what is left. Returns the report of the run with what became of that."""
        is_interrupted = report.stop_cause is StopCause.INTERRUPTED and not self._lost
        patience_s = self._settings.grace_s if is_interrupted else self._settings.max_stall_s
        why = self._finish(patience_s, in_all=is_interrupted)
        if not why:
            return replace(report, output_file=str(self._url))
        reason = why if report.stop_cause is None or self._lost else f"{report.stop_reason}; {why}"
        cause = StopCause.UPLOAD if report.stop_cause is None or self._lost else report.stop_cause
        return replace(report, output_file=str(self._url), stop_cause=cause, stop_reason=reason)

    async def ended_async(self, report: RunReport) -> RunReport:
        """`ended`, without holding up the event loop."""
        return await asyncio.to_thread(self.ended, report)

    def _locked(self, stack: ExitStack) -> tuple[RemoteLock | None, timedelta]:
        """The lock, and how far the clock of the store is ahead of ours."""
        if self._settings.lock == "none":
            return None, written(self._objects) - datetime.now(UTC)
        now = proven(self._objects)
        if now is None:
            raise refusal(str(self._url))
        lock = RemoteLock(Patient(self._store, SHORT), str(self._url), self._spool.state.spool, self._lose)
        lock.take(now)
        stack.callback(lock.release)
        return lock, now - datetime.now(UTC)

    def _codec(self) -> Codec:
        if self._settings.parts == "jsonl":
            return JSONL
        from datafast.storage.parquet import ParquetCodec

        return ParquetCodec(self._columns())

    def _lose(self, who: str) -> None:
        """Called in a thread when somebody else writes to the output."""
        if not self._lost:
            self._lost = who.removesuffix(".")
            self._stop()

    def _finish(self, patience_s: float, *, in_all: bool) -> str:
        """Ends the uploads. Returns what is not uploaded and why, '' where everything is. The arguments are those of `Uploader.finish`."""
        uploader, self._uploader = self._uploader, None
        assert uploader is not None  # noqa: S101 - called once
        assert self._uploads is not None  # noqa: S101 - made with it
        if uploader.finish(patience_s, in_all=in_all) and not self._lost:
            return ""
        if isinstance(uploader.error, SpoolDeleted):
            return (
                f"the files of the run in {self._spool.folder} were deleted while it worked. What was bought since the last upload is "
                f"lost, and the same command goes on with what is at {self._url}"
            )
        rows, replies = self._uploads.lacking
        what = f"{rows:,} bytes of rows and {_replies(replies)} are not uploaded to {self._url}"
        if self._lost or isinstance(uploader.error, Conflict):
            return (
                f"{self._lost or uploader.error} has taken {self._url} over. {what}; they are in {self._spool.folder}. The next run here "
                f"goes on with what is there and takes these replies along"
            )
        why = "the store did not answer in time" if uploader.error is None else str(uploader.error).removesuffix(".")
        return (
            f"{what}: {why}. They are in {self._spool.folder}, and the same command uploads them and buys nothing again"
        )


def refreshed(url: RemoteUrl, settings: Any) -> None:
    """Makes the spool of an output as new as the store, so that what is planned is what a run would do. Where a run is going on here, its
    spool is the newest there is."""
    from datafast.errors import OutputInUseError

    spool = Spool(url, spool_of(url, settings.spool))
    try:
        with spool.locked():
            spool.reread()
            brought(Patient(objects_of(url), LONG), spool, fresh=False)
    except OutputInUseError:
        return


def brought(objects: Objects, spool: Spool, *, fresh: bool) -> tuple[Manifest, str] | None:
    """Makes a spool as new as the store. Returns the manifest that is there.

    A spool that is not what the store has, because somebody has gone on elsewhere, is replaced. Replies in it that were never uploaded are
    taken along, and it is then kept aside.

    Raises:
        OutputError: there is nothing yet, and shards or a whole output stand in its way.
    """
    found = whole_manifest(objects, spool.url)
    if found is None:
        refuse_neighbours(spool.url)
    if found is None or fresh:
        if found is None and spool.state.tokens and spool.is_used:
            warn_user(f"There is nothing at {spool.url} any more. What is in {spool.folder} is uploaded again.")
        if found is not None and spool.is_used and found[0].token not in spool.state.tokens:
            place = (
                spool.set_aside()
            )  # --fresh would move it aside too, but a kill before that would leave it in the place of newer rows
            warn_user(f"{spool.url} was gone on with elsewhere. What was here is in {place}.")
            spool.forget()
        spool.folder.mkdir(parents=True, exist_ok=True)
        spool.note(tokens=() if found is None else (found[0].token,), last_call=0, keeps=fresh and found is not None)
        return found
    manifest = found[0]
    is_known = manifest.token in spool.state.tokens
    if (spool.has_ledger and is_known) or (
        spool.is_used and manifest.ledger is None and (is_known or not manifest.files)
    ):
        spool.note(tokens=(manifest.token,), last_call=manifest.last_call)
        return found
    new = spool.folder.with_name(f"{spool.folder.name}.new-{secrets.token_hex(4)}")
    try:
        found = fetched(objects, spool.url, new, resumes=True) or found
        _exchange(spool, new)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    spool.note(tokens=(found[0].token,), last_call=found[0].last_call)
    return found


def _exchange(spool: Spool, new: Path) -> None:
    """Puts a new folder in the place of that of a spool."""
    taken, after = 0, spool.state.last_call if spool.state.tokens else 0
    if spool.is_used:
        taken = take_along(spool.paths, after, OutputPaths.of(new / spool.url.name))
    reviews = new / spool.paths.reviews.name
    if spool.paths.reviews.exists() and not _is_same(spool.paths.reviews, reviews):
        place = spool.set_aside()
        warn_user(
            f"{spool.url} was gone on with elsewhere, and decisions of people that were taken here are not there. They are in {place}; "
            f"`datafast reviews` merges them. {_replies(taken)} that had not been uploaded are taken along."
        )
    elif taken:
        place = spool.set_aside()
        warn_user(
            f"{spool.url} was gone on with elsewhere, and {_replies(taken)} that were bought here had not "
            f"been uploaded. They are taken along. The files as they were are in {place}."
        )
    elif spool.has_ledger and has_dropped(spool.paths.ledger, after):
        place = spool.set_aside()
        warn_user(
            f"{spool.url} was gone on with elsewhere, and rows that were made here may not have been uploaded. Their replies were dropped "
            f"(run.ledger.replies), so what is lacking there is bought again. The files as they were are in {place}."
        )
    else:
        shutil.rmtree(spool.folder, ignore_errors=True)
    new.rename(spool.folder)
    spool.forget()


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


def _replies(number: int) -> str:
    return f"{number:,} {'reply' if number == 1 else 'replies'}"
