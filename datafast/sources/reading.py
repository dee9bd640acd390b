"""How a user wants a source to be read, and what stands at the beginning of a file."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

from datafast.errors import ConfigError
from datafast.sources.identity import Content, Identity

__all__ = ["BOM", "CellType", "Reading", "wide_encoding"]

CellType = Literal["text", "integer", "number", "boolean"]

BOM = codecs.BOM_UTF8
# UTF-32's first: one of them begins like one of UTF-16's.
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEGINNING = 1024  # bytes
_SELDOM = 8
_NULS_OF_UTF_32 = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read.

    Attributes:
        field: the config field that errors name.
        split: of a DatasetDict or a dataset on the Hub.
        config: of a dataset on the Hub that has several.
        revision: of a dataset on the Hub: a branch, a tag or a commit.
        streaming: whether a dataset on the Hub is read as it comes, without loading all its files.
        encoding: of text files, and of cells that are bytes; UTF-8 for files where none is given, or what a byte order mark says.
        types: of columns of a CSV or TSV file that are not text.
        delimiter: between the cells of a CSV or TSV file; a comma or a tab by default.
        lines: whether each line of a text file is a row; else the whole file is one.
        spool: the folder for what has to be copied to be read, which stays for the next run; None for a temporary one.
        where: an expression over the columns: rows of which it is false are left out.
        limit: only so many rows, the first.
        sample: of these so many, drawn by `seed`.
        identity: what tells rows apart; what they hold by default.
    """

    field: str
    split: str | None = None
    config: str | None = None
    revision: str | None = None
    streaming: bool = False
    encoding: str | None = None
    types: Mapping[str, CellType] | None = None
    delimiter: str | None = None
    lines: bool = False
    spool: Path | None = None
    where: str | None = None
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    identity: Identity = dataclasses.field(default_factory=Content)

    def __post_init__(self) -> None:
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, ValueError):
                raise ConfigError(
                    f"encoding: There is no encoding {self.encoding!r} for text. "
                    f"Write utf-8, cp1252, latin-1, utf-16 or another one of Python's."
                ) from None

    def encoding_of(self, file: IO[bytes]) -> str:
        """The name that Python has for the encoding of a file, which is left at its beginning."""
        begins = file.read(_BEGINNING)
        file.seek(0)
        if self.encoding is None:
            return next((name for bom, name in _BOMS if begins.startswith(bom)), "utf-8")
        name = codecs.lookup(self.encoding).name
        return "utf-8" if name == "utf-8-sig" else name


def wide_encoding(file: IO[bytes]) -> str | None:
    """UTF-16 or UTF-32, where a file is in one of these and has no mark that says so: as UTF-8 it would be text full of NUL characters.
    The file is left at its beginning."""
    begins = file.read(_BEGINNING)
    file.seek(0)
    width = 4 if begins[:4].count(0) == _NULS_OF_UTF_32 else 2
    if begins.count(0) * _SELDOM <= len(begins):
        return None
    last = begins[width - 1 :: width].count(0)
    return f"utf-{width * 8}-{'le' if last > begins[::width].count(0) else 'be'}"
