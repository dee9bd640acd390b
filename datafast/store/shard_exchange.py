"""The shards of a folder exchanged for those of another division, so that a death at any moment loses none.

The new files are made in a hidden folder, under the names that they will have. Then a note says what is to be done: first the old files
move into a folder of their own, then the new ones come into their place. The note is written as a whole before anything moves, and again
between the two. Whoever opens the folder does the rest of an exchange that was cut short, from whatever directory, and also if the folder
was moved; without the note, the hidden folder is nothing but a try.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from datafast._util.atomic_write import force, write_whole
from datafast.errors import OutputError, OutputInUseError, OutputWriteError
from datafast.store.lock import is_held

__all__ = ["exchange", "finish_exchange", "making_place", "place_in", "refuse_under_way"]

_HIDDEN = ".resharding"
_NOTE = "exchange.json"
_LOCK = ".resharding-lock"
_WAIT_S = 0.2
_LOOKS, _PAUSE_S = 20, 0.02


def place_in(folder: Path) -> Path:
    """The hidden folder in which new files are made."""
    return folder / _HIDDEN


@contextlib.contextmanager
def making_place(folders: Sequence[Path]) -> Iterator[None]:
    """Holds the lock of an exchange, with an empty hidden folder in each of these folders, the first of which is that of the shards. What
    is still in them when the context ends is removed, unless an exchange is noted.

    Raises:
        OutputInUseError: another process is at it.
    """
    with _locked(folders[0]):
        _remove_places(folders)
        for folder in folders:
            with _writing_in(folder):
                place_in(folder).mkdir()
        try:
            yield
        finally:
            if not _note_of(folders[0]).exists():
                _remove_places(folders)


def exchange(folders: Sequence[Path], old: Sequence[Path], aside: str) -> list[Path]:
    """Puts what is in the hidden folders in the place of old files. Called within `making_place`.

    Args:
        old: files in these folders.
        aside: the name of the folders in them into which these move.

    Returns:
        Those folders.
    """
    moves = [(path, path.parent / aside / path.name) for path in old if path.exists()]
    new = [(path, folder / path.name) for folder in folders for path in sorted(place_in(folder).iterdir())]

    def from_there(*paths: Path) -> list[str]:
        return [
            str(path.relative_to(folders[0]) if path.is_relative_to(folders[0]) else path.absolute()) for path in paths
        ]

    told = {
        "folders": from_there(*folders[1:]),
        "out": [from_there(*move) for move in moves],
        "in": [from_there(*move) for move in new],
    }
    with _writing_in(folders[0]):
        for path, _ in new:
            force(path)
        _write_note(folders[0], told)
    _carry_out(folders[0])
    return [folder / aside for folder in folders if (folder / aside).exists()]


def finish_exchange(folder: Path) -> None:
    """Does the rest of an exchange that was cut short, if there is one.

    Raises:
        OutputInUseError: another process is at it.
        OutputError: the note of it is damaged, or a new file is gone.
    """
    if not _note_of(folder).exists():
        return
    with _locked(folder):
        if _note_of(folder).exists():
            _carry_out(folder)


def refuse_under_way(folder: Path) -> None:
    """Raises OutputInUseError if the shards of a folder are being divided anew."""
    for _ in range(_LOOKS):  # others who look hold it for a moment
        if not is_held(folder / _LOCK):
            return
        time.sleep(_PAUSE_S)
    raise _in_use(folder)


def _in_use(folder: Path) -> OutputInUseError:
    return OutputInUseError(
        f"The shards of {folder} are being divided anew. Wait until that has ended, then try again."
    )


def _carry_out(folder: Path) -> None:
    told = _read_note(folder)
    try:
        _move(told["out"], folder)
        if told["out"]:  # what comes in may have the name of what went out
            told["out"] = []
            _write_note(folder, told)
        _require_new(told["in"], folder)
        _move(told["in"], folder)
        _remove_places([folder / one for one in told["folders"]])
        _note_of(folder).unlink()
        _remove_places([folder])
    except OSError as error:
        raise OutputWriteError(
            f"Cannot move the shards of {folder}: {error.strerror} ({error.filename}). Check the permissions; the next command that opens "
            f"the folder goes on."
        ) from error


def _move(moves: Sequence[Sequence[str]], folder: Path) -> None:
    """Moves files that are not moved yet. `moves`: from where to where, as seen from the folder."""
    for source, target in ([folder / path for path in move] for move in moves):
        if source.exists():
            target.parent.mkdir(exist_ok=True)
            source.replace(target)
    for place in {(folder / path).parent for move in moves for path in move}:
        force(place)


def _require_new(moves: Sequence[Sequence[str]], folder: Path) -> None:
    """Sees to it that each new file is in its place or on its way there, before what is left of the exchange is removed.

    Raises:
        OutputError: names one that is not.
    """
    for source, target in ([folder / path for path in move] for move in moves):
        if not source.exists() and not target.exists():
            raise OutputError(
                f"{source} is not there, so the shards of {folder} cannot be exchanged. Put it back; the next command that opens the "
                f"folder goes on."
            )


def _note_of(folder: Path) -> Path:
    return place_in(folder) / _NOTE


def _write_note(folder: Path, told: object) -> None:
    write_whole(_note_of(folder), orjson.dumps(told))
    force(place_in(folder))


def _read_note(folder: Path) -> dict[str, Any]:
    path = _note_of(folder)
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise OutputError(
            f"Cannot read {path}, which says how the shards of {folder} were to be exchanged: {error}. Restore the file."
        ) from error
    return found


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / _LOCK, timeout=_WAIT_S, thread_local=False)
    with _writing_in(folder):
        try:
            lock.acquire()
        except Timeout:
            raise _in_use(folder) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _writing_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputWriteError(
            f"Cannot write in {folder}: {error.strerror}. Check the space on its disk and its permissions."
        ) from error


def _remove_places(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(place_in(folder), ignore_errors=True)
