"""Text files as UTF-8, whatever they are in, from their beginning and at any place."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO

from datafast._util.read_whole import MIB, read_whole
from datafast._util.scratch import Scratch
from datafast.errors import ConfigError
from datafast.sources.file import SourceFile
from datafast.sources.reading import BOM, Reading, wide_encoding

__all__ = ["TextFile", "digest_of", "whole_text"]

_BLOCK = 1 << 20
_MOST_WHOLE_MB = 256
_MOST_MB = 64  # of a line: no prompt is that long, and a line is read into memory


def digest_of(path: Path, *, field: str | None = None, name: str = "") -> bytes:
    """16 bytes that stand for the bytes of a file.

    Args:
        field, name: the config field of a file that is read line by line, and what messages call it.

    Raises:
        ConfigError: a line of such a file is too long for a row.
    """
    state = blake2b(digest_size=16)
    line = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
            end = max(block.rfind(b"\n"), block.rfind(b"\r"))
            line = len(block) - end - 1 if end >= 0 else line + len(block)
            if field is not None and line > _MOST_MB * MIB:
                raise ConfigError(
                    f"{field}: {name} has a line of more than {_MOST_MB} MiB, which is no row. Check that it is the right file."
                )
    return state.digest()


def whole_text(path: Path) -> str:
    """A small file as text: in UTF-8, or in what the byte order mark at its beginning says.

    Raises:
        ConfigError: it cannot be read, is not such text, or is not small; names the line.
    """
    try:
        data = read_whole(path, most_mb=_MOST_WHOLE_MB, what="a file that is read whole")
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}. Check its name and permissions.") from error
    encoding = Reading(field="").encoding_of(io.BytesIO(data))
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: The byte {data[error.start]:#04x} is not {encoding.upper()}. Save the file as UTF-8."
        ) from None


class TextFile:
    """A text file that can be read in UTF-8 at any place.

    What is not in UTF-8 is written once more in it, into a temporary folder that goes with this object.

    Attributes:
        name: what messages call it.
        digest: of its bytes.
    """

    def __init__(self, source: SourceFile, reading: Reading, *, in_lines: bool = True) -> None:
        path = source.path
        self.name = source.name
        self.digest = digest_of(path, field=reading.field if in_lines else None, name=self.name)
        self._source = source
        self._field = reading.field
        self._signature = _signature(path)
        self._given = reading.encoding
        with path.open("rb") as file:
            encoding = reading.encoding_of(file)
            if encoding == "utf-8" and (wide := wide_encoding(file)):
                raise ConfigError(
                    f"{reading.field}: {self.name} seems to be in UTF-16 or UTF-32, without a mark at its beginning that says so. "
                    f"Write encoding: {wide}, or save it as UTF-8."
                )
            self._readable = path if encoding == "utf-8" else self._rewritten(file, encoding)

    def open(self) -> IO[bytes]:
        """The file in UTF-8, without a byte order mark in front of what is read.

        Raises:
            ConfigError: it has changed since it was opened first.
        """
        if (now := _signature(self._source.path)) != self._signature:
            if digest_of(self._source.path) != self.digest:
                raise ConfigError(
                    f"{self._field}: {self.name} has changed while it was used. Start again to use it as it is now."
                )
            self._signature = now
        file = self._readable.open("rb")
        if file.read(len(BOM)) != BOM:
            file.seek(0)
        return file

    def text(self, line: bytes, number: int) -> str:
        """A line (from 1) as text. Raises ConfigError with its place and the cure."""
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise self.not_text(number, f"column {len(line[: error.start].decode()) + 1}", line[error.start]) from None

    def decoded(self, content: bytes) -> str:
        """All of it as text. Raises ConfigError with the place of what is none, and the cure."""
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            lines = content[: error.start].decode().split("\n")
            raise self.not_text(len(lines), f"column {len(lines[-1]) + 1}", content[error.start]) from None

    def not_text(self, line: int, column: str, byte: int) -> ConfigError:
        """What says that a file is not in the encoding that it was read in."""
        return ConfigError(
            f"{self._field}: {self.name}:{line}: The byte {byte:#04x} in {column} is not {self._given or 'UTF-8'}. "
            f"Say what the file is in, for example encoding: cp1252 for one of Excel's, or save it as UTF-8."
        )

    def _rewritten(self, file: IO[bytes], encoding: str) -> Path:
        scratch = Scratch()
        scratch.remove_with(self)
        path = scratch.folder / "source"
        with path.open("wb") as target:
            for text in self._decoded(file, encoding):
                target.write(text.encode("utf-8", "surrogatepass"))
        return path

    def _decoded(self, file: IO[bytes], encoding: str) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(encoding)()
        line = 1
        while True:
            block = file.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding, "replace").split("\n")
                place = line + len(before) - 1
                raise self.not_text(place, f"column {len(before[-1]) + 1}", error.object[error.start]) from None
            line += text.count("\n")
            yield text
            if not block:
                return


def _signature(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
