"""One writer at a time: the kernel's locks on an output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from datafast.errors import OutputInUseError, OutputWriteError
from datafast.store.paths import OutputPaths

__all__ = ["is_running", "take_locks"]

_ROWS = "an output file"


_LOCK_S = 0.2  # `datafast status` holds a lock for a moment to find out whether a run is active


def _make_folder(path: Path, what: str) -> None:
    """Makes the folder for a file."""
    try:
        if path.exists() and not path.is_file():
            raise OutputWriteError(
                f"Cannot write to {path}: it is {'a folder' if path.is_dir() else 'not a regular file'}. "
                f"Choose {what}, for example {'rows.jsonl' if what == _ROWS else 'rows.jsonl.ledger'}."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputWriteError(
            f"Cannot write to {path}: a part of its path is not a folder. Choose {what} in a folder that you may write to."
        ) from error
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write to {path}: {error.strerror}. Choose {what} in a folder that you may write to."
        ) from error


def take_locks(paths: OutputPaths) -> contextlib.ExitStack:
    with contextlib.ExitStack() as held:
        _make_folder(paths.rows, _ROWS)
        _make_folder(paths.ledger, "a place for the ledger (run.ledger)")
        try:
            for path in paths.locks:
                lock = FileLock(path, timeout=_LOCK_S, thread_local=False)
                lock.acquire()
                held.callback(lock.release)
            held.enter_context(_locked(paths.rows))
        except (Timeout, BlockingIOError) as error:
            if isinstance(error, Timeout) and not Path(error.lock_file).exists():
                raise OutputWriteError(
                    f"Cannot write to {paths.rows}: no file can be made at {error.lock_file}. "
                    f"Choose an output file in a folder that you may write to."
                ) from None
            raise OutputInUseError(
                f"Another run is writing to {paths.rows}. Wait for it to end, or choose another output file."
            ) from None
        except OSError as error:
            raise OutputWriteError(
                f"Cannot write to {paths.rows}: {error.strerror}. Choose an output file in a folder that you may write to."
            ) from error
        return held.pop_all()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Locks a file itself if there is one, because hard links give it several names. Raises BlockingIOError if it is locked."""
    if sys.platform == "win32" or not path.exists():
        yield
        return
    import fcntl

    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # the file system has no such locks; the lock beside the file is held all the same
            pass
        yield
    finally:
        os.close(descriptor)


def is_running(paths: OutputPaths) -> bool:
    """Whether a process holds one of the output's locks. Takes each for a moment to find out."""
    for path in paths.locks:
        try:
            if path.exists():
                FileLock(path, timeout=0).acquire().lock.release()
        except Timeout:
            return True
        except OSError:  # the lock cannot be opened here, so it is not known
            continue
    return False
