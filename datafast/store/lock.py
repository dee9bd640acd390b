"""One writer at a time: the kernel's locks on an output.

A lock goes with the process that holds it, however that ends. On NFS the file server keeps it, so it holds against other machines too; that
of a machine that is gone is given back after the server's lease. Where a file system has no locks, a run is refused. Where its locks are
known to one machine alone, the lock file says who held it last, and a run of another machine that has not signed off is not overrun.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from datafast._util.notify import warn_user
from datafast.errors import OutputInUseError, OutputWriteError
from datafast.store.holder import Holder, is_elsewhere, read_holder, sign_off, sign_on
from datafast.store.mounts import Mount, mount_of
from datafast.store.paths import OutputPaths

__all__ = ["is_held", "is_running", "take_locks", "who_runs", "written_elsewhere"]

_ROWS = "an output file"
_LOCK_S = 0.2  # `datafast status` holds a lock for a moment to find out whether a run is active
_LEASE_S = 120.0  # a file server keeps the locks of a machine that is gone for a while; 90 s is what most are set to
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
_HELD = (errno.EAGAIN, errno.EACCES)


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


def take_locks(paths: OutputPaths, *, required: bool = True) -> contextlib.ExitStack:
    """Takes all locks of an output; closing what is returned gives them back.

    Args:
        required: refuse a file system that has no locks. Otherwise a warning is all, and nothing keeps another run out there.

    Raises:
        OutputInUseError: another run has one of them.
        OutputWriteError: no lock can be taken here.
    """
    with contextlib.ExitStack() as held:
        _make_folder(paths.rows, _ROWS)
        _make_folder(paths.ledger, "a place for the ledger (run.ledger)")
        short: set[Mount] = set()
        for path in paths.locks:
            try:
                short |= _take(path, paths, held, required=required)
            except (Timeout, FileNotFoundError) as error:  # its folder is there, but takes no files
                raise OutputWriteError(
                    f"Cannot write to {paths.rows}: no file can be made at {path}. "
                    f"Choose an output file in a folder that you may write to."
                ) from error
            except OSError as error:
                raise OutputWriteError(
                    f"Cannot write to {paths.rows}: {error.strerror}. Choose an output file in a folder that you may write to."
                ) from error
        try:
            held.enter_context(_locked(paths.rows))
        except BlockingIOError:
            raise _in_use(paths, None) from None
        for mount in short:
            warn_user(
                f"Locks on {mount.point} ({mount.local_locks}) do not reach other machines. Start no run on {paths.rows} from two "
                f"machines at once."
            )
        return held.pop_all()


def _take(path: Path, paths: OutputPaths, held: contextlib.ExitStack, *, required: bool) -> set[Mount]:
    """Takes one lock. Returns its file system if other machines do not see it.

    Raises:
        OSError: its file cannot be made (a Timeout is one).
    """
    try:
        give_back = _acquired(path, _LOCK_S)
    except _NoLocksError:
        _refuse_without_locks(path, paths, required=required)
        return set()
    except Timeout:
        if not path.exists():
            raise
        give_back = _wait_for(path, paths)
    held.callback(give_back)
    mount = mount_of(path)
    if mount is not None and mount.local_locks:
        _heed_other_machines(path, paths, mount)
    sign_on(path)
    held.callback(sign_off, path)  # before it is given back
    return {mount} if mount is not None and mount.local_locks else set()


class _NoLocksError(Exception):
    """A file system has no locks."""


def _acquired(path: Path, timeout_s: float, *, pause_s: float = 0.05) -> Callable[[], None]:
    """Takes the lock of a file, which is made if there is none. Returns what gives it back.

    What stands in the file stays there. `FileLock` empties it on Unix, up to its version 3, also where the lock is another's.

    Raises:
        Timeout: another has it.
        _NoLocksError: the file system has none.
        OSError: the file cannot be made.
    """
    if sys.platform == "win32":
        lock = FileLock(path, timeout=timeout_s, thread_local=False)
        lock.acquire()
        return lock.release
    until = time.monotonic() + timeout_s
    while (descriptor := _flocked(path)) is None:
        if time.monotonic() >= until:
            raise Timeout(str(path))
        time.sleep(pause_s)
    return partial(_give_back, descriptor)


def _flocked(path: Path) -> int | None:
    """A descriptor that has the lock of a file; None if another has it. Raises what `_acquired` raises."""
    import fcntl

    with contextlib.ExitStack() as opened:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        opened.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise _NoLocksError from error
            if error.errno not in _HELD:
                raise
            return None
        if not is_there:  # somebody has deleted it, and others make a new one
            return None
        opened.pop_all()
    return descriptor


def _give_back(descriptor: int) -> None:
    """Gives a lock back, also where a child of this process has its descriptor still."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _wait_for(path: Path, paths: OutputPaths) -> Callable[[], None]:
    """Waits for a lock of another machine, which may be gone: its work is then started again elsewhere, before its locks are given back.
    Returns what gives the lock back.

    Raises:
        OutputInUseError: a process of this machine has it, or it was not given back.
    """
    holder = read_holder(path)
    if holder is None or not is_elsewhere(holder, path):
        raise _in_use(paths, holder) from None
    warn_user(
        f"Another run has {paths.rows}: {holder}. Waiting for at most {_LEASE_S:.0f} s, because the file server keeps its lock for a while "
        f"if that machine is gone."
    )
    try:
        return _acquired(path, _LEASE_S, pause_s=0.25)
    except Timeout:
        raise _in_use(paths, read_holder(path)) from None


def _in_use(paths: OutputPaths, holder: Holder | None) -> OutputInUseError:
    who = f": {holder}" if holder else ""
    return OutputInUseError(
        f"Another run is writing to {paths.rows}{who}. Wait for it to end. A run beside it needs another output file."
    )


def _refuse_without_locks(path: Path, paths: OutputPaths, *, required: bool) -> None:
    mount, folder = mount_of(path), path.absolute().parent
    where = f"{folder} ({mount.type})" if mount else str(folder)
    if required:
        raise OutputWriteError(
            f"Cannot lock {path}: the file system of {where} has no locks, so nothing would keep two runs from writing to "
            f"{paths.rows} at once. Choose an output file elsewhere, or mount the file system with locks. If you see to it that only one "
            f"run at a time writes to it, set `run: {{lock: none, ledger: PATH}}` with a ledger on a local disk."
        )
    warn_user(
        f"The file system of {where} has no locks, and run.lock is none: nothing keeps another run from writing to {paths.rows}."
    )


def _heed_other_machines(path: Path, paths: OutputPaths, mount: Mount) -> None:
    """Where a lock says nothing about other machines, asks what the lock file tells of them.

    Raises:
        OutputInUseError: a run of another machine has not signed off.
    """
    if (holder := read_holder(path)) is not None and is_elsewhere(holder, path):
        raise OutputInUseError(
            f"Another run has written to {paths.rows} and not signed off: {holder}. Whether it still runs cannot be known here, because "
            f"locks on {mount.point} ({mount.local_locks}) do not reach other machines. If it has ended, delete {path} and start again."
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Locks a file itself if there is one, because hard links give it several names. Raises BlockingIOError if it is locked."""
    if sys.platform == "win32" or not path.exists():
        yield
        return
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR)  # NFS locks only what is open for writing
    except OSError:  # it cannot be written, which is told by whoever writes it
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise
            # The file system has no such locks. The lock beside the file is held all the same, or was not required.
        yield
    finally:
        _give_back(descriptor)


def is_running(paths: OutputPaths) -> bool:
    """Whether a process holds one of the output's locks. Takes each for a moment to find out."""
    return any(is_held(path) for path in paths.locks)


def who_runs(paths: OutputPaths) -> Holder | None:
    """The process that has signed on to the output, if one has. Whether it still runs says `is_running`."""
    return next((holder for lock in paths.locks if (holder := read_holder(lock)) is not None), None)


def is_held(lock: Path) -> bool:
    """Whether somebody has this lock; where that cannot be found out, whether its last holder has not signed off."""
    if sys.platform == "win32":
        return _is_held_on_windows(lock)
    import fcntl

    try:
        descriptor = _open_lock(lock)
    except OSError:  # it is not there, or cannot be opened here, so it is not known
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD or read_holder(lock) is not None
    finally:
        os.close(descriptor)
    holder = read_holder(lock)
    if holder is None or not is_elsewhere(holder, lock):
        return False
    mount = mount_of(lock)
    return mount is not None and bool(mount.local_locks)


def _open_lock(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:  # of another user; a local file system locks it all the same
        return os.open(lock, os.O_RDONLY | os.O_CLOEXEC)


def _is_held_on_windows(lock: Path) -> bool:
    try:
        if lock.exists():
            FileLock(lock, timeout=0).acquire().lock.release()
    except Timeout:
        return True
    except OSError:  # the lock cannot be opened here, so it is not known
        return False
    return False


def written_elsewhere(lock: Path) -> Holder | None:
    """Who writes what this lock guards, if that is a run of another machine."""
    holder = read_holder(lock)
    return holder if holder is not None and is_elsewhere(holder, lock) and is_held(lock) else None
