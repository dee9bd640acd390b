"""Uploads beside a run: in a thread of its own, every so many seconds and at the end. A store that fails delays no call and loses
nothing."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from datafast._util.notify import warn_user
from datafast.errors import DatafastWarning, OutputError
from datafast.storage.objects import Conflict, Refused, StoreError
from datafast.storage.uploads import Uploads

__all__ = ["Uploader"]

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_CLEAN_EVERY = 20  # uploads
_LOOK_S = 0.2


class Uploader:
    """The thread. `start` once, then `finish` once.

    Args:
        on_lost: called in the thread when somebody else writes to the output.
        answered_at: when the store did last what it was asked (monotonic seconds).

    Attributes:
        error: why the last upload failed; None where it did not.
    """

    def __init__(
        self, uploads: Uploads, every_s: float, on_lost: Callable[[str], None], answered_at: Callable[[], float]
    ) -> None:
        self.error: Exception | None = None
        self._uploads = uploads
        self._every_s = every_s
        self._on_lost = on_lost
        self._answered_at = answered_at
        self._ends = threading.Event()
        self._done = threading.Event()
        self._failures = 0
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="datafast-uploader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, patience_s: float, *, in_all: bool) -> bool:
        """Uploads what is left, once the run is over. Returns whether everything is there.

        Args:
            patience_s: for so long it is tried; where it is not `in_all`, for so long without an answer of the store.
        """
        began = time.monotonic()
        try:
            self._ends.set()
            while not self._done.wait(_LOOK_S):
                since = began if in_all else max(began, self._answered_at())
                if time.monotonic() - since > patience_s:
                    break
        finally:
            self._uploads.is_given_up.set()
        return self._done.is_set() and self.error is None

    def _run(self) -> None:
        try:
            while not self._uploads.is_given_up.is_set():
                self._wait()
                is_end = self._ends.is_set()
                if self._try(is_end=is_end) and is_end:
                    return
        except Exception as error:  # noqa: BLE001 - a fault of ours: told at the end, since nobody awaits this thread
            self.error = error
            if not self._ends.is_set():
                _tell(
                    f"Uploads have ended: {type(error).__name__}: {error}. The run goes on; run the same command again."
                )
        finally:
            self._uploads.close()
            self._done.set()

    def _wait(self) -> None:
        """Waits until the next upload is due."""
        backoff_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**self._failures / 2) if self._failures else 0.0
        if self._ends.is_set():
            self._uploads.is_given_up.wait(backoff_s)
        else:
            self._ends.wait(backoff_s or self._every_s)

    def _try(self, *, is_end: bool) -> bool:
        """Uploads what is new. Returns whether there is no use in going on at the end."""
        try:
            self._uploads.upload(ended=is_end)
            self._number += 1
            if is_end or self._number % _CLEAN_EVERY == 0:
                self._uploads.clean()
        except Conflict as error:
            self.error = error
            self._on_lost(str(error))
            self._ends.set()
            return True
        except (OutputError, OSError, sqlite3.Error) as error:
            self.error = error
            self._failures += 1
            if self._failures == 1 and not is_end and not self._uploads.is_given_up.is_set():
                _tell(
                    f"An upload failed: {str(error).removesuffix('.')}. The run goes on, and uploads are tried again."
                )
            # What is wrong with files of this machine stays wrong once nothing is written any more.
            return isinstance(error, Refused) or (isinstance(error, OutputError) and not isinstance(error, StoreError))
        if self._failures and not is_end:
            _tell("Uploads work again.")
        self._failures, self.error = 0, None
        return True


def _tell(message: str) -> None:
    """Warns; where warnings are errors, this thread goes on all the same."""
    with suppress(DatafastWarning):
        warn_user(message)
