"""The configs below a folder: which there are, their texts, and how a text is saved.

Guarantee: a name leads to a YAML file below the folder or nowhere, whatever dots, links or devices there are. A text is saved whole or
not at all, never over one that was not seen, and lines that were not changed keep their bytes, their ends among them.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from datafast._util.atomic_write import whole_file
from datafast._util.user_path import is_file, is_folder
from datafast.errors import ConfigError

__all__ = ["MOST_BYTES", "ConfigFiles", "Conflict", "Text", "config_address", "is_config"]

MOST_BYTES = 2 << 20
_ENDINGS = (".yaml", ".yml")
_DEPTH = 5
_MOST = 500
_LOOKED_INTO = 20_000  # entries of folders
_KIND = re.compile(rb"^(?:\xef\xbb\xbf)?kind[ \t]*:", re.MULTILINE)
_HEAD = 1 << 16
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BOM = "\ufeff"
_SHOWN = 400  # lines of a difference


class Text(NamedTuple):
    """The text of a file as an editor has it, with `\\n` between lines, and the digest of its bytes ('' where there is none)."""

    text: str
    digest: str


class Conflict(NamedTuple):
    """Why a text was not saved: the file has another one, with this digest. `difference` leads from that to the one to be saved."""

    digest: str
    difference: Sequence[str]


def is_config(place: Path) -> bool:
    """Whether a user who names this means a config.

    Raises:
        ConfigError: there is no such file.
    """
    if not place.name.lower().endswith(_ENDINGS) or is_folder(place):
        return False
    if not is_file(place):
        raise ConfigError(f"There is no file {place}. `datafast init` writes a config to start from.")
    return True


def config_address(name: str) -> str:
    """Where a config is edited, by its path below the folder that is shown."""
    return f"/config?path={quote(name, safe='')}"


class ConfigFiles:
    """The configs below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._saving = threading.Lock()

    def names(self) -> list[str]:
        """The YAML files that say a kind, by their paths below the folder."""
        found: list[str] = []
        for path in _yaml_files(self.folder):
            if len(found) >= _MOST:
                break
            if _says_kind(path):
                found.append(path.relative_to(self.folder).as_posix())
        return sorted(found)

    def path_of(self, name: str) -> Path:
        """Where a file of this name is, or would be.

        Raises:
            ConfigError: it would not be a YAML file below the folder.
        """
        parts = PurePosixPath(name).parts
        if (
            not name
            or "\0" in name
            or "\\" in name
            or PurePosixPath(name).is_absolute()
            or ".." in parts
            or ":" in name
        ):
            raise ConfigError(f"{name!r} is no file below {self.folder}. Give its path from there.")
        if not name.lower().endswith(_ENDINGS):
            raise ConfigError(f"{name!r} does not end in .yaml. Give a YAML file.")
        path = self.folder.joinpath(*parts)
        real = Path(os.path.realpath(path))
        if self.folder not in real.parents:
            raise ConfigError(f"{name!r} leads out of {self.folder}. Open the viewer on the folder that it leads to.")
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(real.stat().st_mode):
                raise ConfigError(f"{name!r} is no regular file. Give a YAML file.")
        return real

    def read(self, name: str) -> Text:
        """What a file says.

        Raises:
            ConfigError: there is no such file, or it is none that can be edited here.
        """
        data = self._bytes(name)
        if data is None:
            raise ConfigError(f"There is no file {name} in {self.folder}. Open another one, or start from a template.")
        return Text(_lf(_decoded(data, name).removeprefix(_BOM)), _digest(data))

    def save(self, name: str, text: str, digest: str) -> Text | Conflict:
        """Saves a text, if the file is still the one with this digest ('' where there was none).

        Raises:
            ConfigError: it cannot be written.
        """
        with self._saving:  # two pages may have seen the same text
            return self._saved(name, text, digest)

    def _saved(self, name: str, text: str, digest: str) -> Text | Conflict:
        path = self.path_of(name)
        before = self._bytes(name)
        if (now := "" if before is None else _digest(before)) != digest:
            disk = "" if before is None else _lf(_decoded(before, name).removeprefix(_BOM))
            return Conflict(now, _difference(disk, text))
        try:
            data = _with_ends_of("" if before is None else _decoded(before, name), text).encode()
            if not path.parent.is_dir():
                raise ConfigError(f"There is no folder {path.parent}. Make it, or give another name.")
            mode = None if before is None else stat.S_IMODE(path.stat().st_mode)
            with whole_file(path) as new:
                new.write_bytes(data)
                if mode is not None:
                    new.chmod(mode)
        except UnicodeEncodeError:
            raise ConfigError("The text has half a character in it (a surrogate). Take it out.") from None
        except OSError as error:
            raise ConfigError(f"Cannot write {name}: {error.strerror}. Check who may write it.") from error
        return Text(text, _digest(data))

    def _bytes(self, name: str) -> bytes | None:
        path = self.path_of(name)
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"Cannot read {name}: {error.strerror}. Check who may read it.") from error
        if len(data) > MOST_BYTES:
            raise ConfigError(
                f"{name} has more than {MOST_BYTES >> 20} MiB. Edit it in another editor; `datafast plan` plans it."
            )
        return data


def _yaml_files(folder: Path) -> Iterator[Path]:
    waiting, seen = [(folder, 0)], 0
    while waiting:
        place, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:  # it is closed to us, or gone
            continue
        for entry in entries:
            seen += 1
            if seen > _LOOKED_INTO:
                return
            if entry.name.startswith((".", "__")) or entry.name in {"node_modules", "site-packages"}:
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH:
                    waiting.append((place / entry.name, depth + 1))
            elif entry.name.lower().endswith(_ENDINGS) and not entry.is_symlink() and is_file(place / entry.name):
                yield place / entry.name


def _says_kind(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _KIND.search(file.read(_HEAD)) is not None
    except OSError:
        return False


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: Byte {error.start} is not UTF-8. Save the file as UTF-8.") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _with_ends_of(before: str, text: str) -> str:
    """The text with the ends of lines, and the mark at the beginning, of what was there: browsers know `\\n` alone."""
    bom, before = (_BOM, before.removeprefix(_BOM)) if before.startswith(_BOM) else ("", before)
    if "\r" not in before:
        return bom + text
    old = _LINE.findall(before)
    text = _lf(text)
    new = _LINE.findall(text)
    usual = "\r\n" if sum(line.endswith("\r\n") for line in old) * 2 >= len(old) else "\n"
    plain = [_lf(line) for line in old]
    made: list[str] = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, plain, new).get_opcodes():
        made += old[a:b] if what == "equal" else [line.replace("\n", usual) for line in new[c:d]]
    whole = "".join(made)
    # An end that was kept and one that is new may have become one.
    return bom + (whole if _lf(whole) == text else text.replace("\n", usual))


def _difference(disk: str, text: str) -> list[str]:
    found = list(difflib.unified_diff(disk.split("\n"), _lf(text).split("\n"), "the file", "your text", lineterm=""))
    more = len(found) - _SHOWN
    return [*found[:_SHOWN], *([f"... and {more:,} more lines"] if more > 0 else [])]
