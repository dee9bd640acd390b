"""The files that a path, a pattern or an address stands for, and the reader of each."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from datafast._util.manifest import is_manifest
from datafast._util.notify import warn_user
from datafast._util.user_path import is_file, is_folder, is_special
from datafast.errors import ConfigError
from datafast.sources.addresses import fetched, is_address, remote_names, shown_address
from datafast.sources.copies import COPIES
from datafast.sources.delimited import read_delimited
from datafast.sources.file import COMPRESSED, SourceFile, unpacked
from datafast.sources.json_files import read_json, read_jsonl
from datafast.sources.pages import read_page
from datafast.sources.parquet import read_arrow, read_parquet
from datafast.sources.part import Part, chained
from datafast.sources.reading import Reading
from datafast.sources.text_rows import read_text
from datafast.sources.values import RowReader

__all__ = ["ENDINGS", "at_address", "at_path", "ending_of", "is_pattern"]

_READERS: dict[str, Callable[[SourceFile, Reading, RowReader], Part]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".tab": read_delimited,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    ".txt": read_text,
    ".md": read_text,
    ".html": read_page,
    ".htm": read_page,
    ".pdf": read_page,
    ".docx": read_page,
}
ENDINGS = tuple(_READERS)
_MOST_NAMED = 5


def ending_of(name: str) -> str:
    """The ending of a file that says what is in it, that of a compression aside."""
    path = Path(name)
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()


def is_pattern(path: Path) -> bool:
    """Whether it stands for several files."""
    return glob.has_magic(str(path)) and not path.exists()


def at_path(path: Path, reading: Reading, reader: RowReader) -> Part:
    """The rows of a file, of those that a pattern means, or of those in a folder.

    Raises:
        ConfigError: there are none, or it is not known how one is read.
    """
    if is_pattern(path):
        files = [Path(found) for found in _matching(path, reading)]
        if not files:
            raise ConfigError(f"{reading.field}: No file matches {path}. Check the pattern and its folder.")
    elif is_folder(path):
        files = [Path(name) for name in _readable(_below(path, reading), str(path), reading)]
    else:
        if not is_file(path):
            if is_special(path):
                raise ConfigError(f"{reading.field}: {path} is not a regular file. Write what it gives into one.")
            raise ConfigError(f"{reading.field}: There is no file {path}. Check its name and its folder.")
        files = [path]
    return _all(str(path), [str(file) for file in files], lambda name: _local(Path(name), reading), reading, reader)


def at_address(address: str, reading: Reading, reader: RowReader) -> Part:
    """The same for an address."""
    names = remote_names(address, reading)
    shown = shown_address(address)
    if not names:
        raise ConfigError(
            f"{reading.field}: There is no file at {shown}. Check the address; that of a file ends in one of {', '.join(ENDINGS)}."
        )
    if names != [address]:
        names = _readable(names, shown, reading)
    return _all(shown, names, lambda name: fetched(name, reading), reading, reader)


def _local(path: Path, reading: Reading) -> SourceFile:
    return unpacked(path, reading) if path.suffix.lower() in COMPRESSED else SourceFile.of(path)


def _all(
    name: str, names: Sequence[str], made: Callable[[str], SourceFile], reading: Reading, reader: RowReader
) -> Part:
    readers = [_reader_of(shown_address(file) if is_address(file) else file, reading) for file in names]

    each = reading if len(names) == 1 else replace(reading, limit=None)  # which counts over all of them

    def parts() -> Iterator[Part]:
        for file, read in zip(names, readers, strict=True):
            yield read(made(file), each, reader)

    return next(parts()) if len(names) == 1 else chained(name, parts(), reader)


def _reader_of(name: str, reading: Reading) -> Callable[[SourceFile, Reading, RowReader], Part]:
    read = _READERS.get(ending_of(name))
    if read is None:
        raise ConfigError(
            f"{reading.field}: {name} does not end in one of {', '.join(ENDINGS)}. Convert it, or rename it to match its content."
        )
    if (reading.types or reading.delimiter) and read is not read_delimited:
        option = "types" if reading.types else "delimiter"
        raise ConfigError(f"{option}: This is for CSV and TSV files, and {name} says the types of its values itself.")
    return read


def _matching(pattern: Path, reading: Reading) -> list[str]:
    """The files that a pattern means."""
    fixed = next(number for number, part in enumerate(pattern.parts) if glob.has_magic(part))
    return _below(Path(*pattern.parts[:fixed]), reading, str(Path(*pattern.parts[fixed:])))


def _below(folder: Path, reading: Reading, pattern: str = "**/*") -> list[str]:
    """The files below a folder that are neither hidden, nor copies of sources beside a ledger, nor manifests of outputs."""
    copies = None if reading.spool is None else reading.spool.resolve()

    def is_left_out(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        if any(name.startswith(".") or name.endswith(COPIES) for name in parts):
            return True
        return is_manifest(path) or (copies is not None and copies in path.resolve().parents)

    return sorted(str(path) for path in folder.glob(pattern) if is_file(path) and not is_left_out(path))


def _readable(names: Iterable[str], folder: str, reading: Reading) -> list[str]:
    """The files of a folder that can be read, which are of one sort."""
    all_names = list(names)
    found = [name for name in all_names if ending_of(name) in _READERS]
    if not found:
        raise ConfigError(
            f"{reading.field}: {folder} has no file that ends in one of {', '.join(ENDINGS)}. Check its name."
        )
    endings = sorted({ending_of(name) for name in found})
    if len(endings) > 1:
        raise ConfigError(
            f"{reading.field}: {folder} has files of several sorts: {', '.join(endings)}. "
            f"Say which by a pattern, as in {folder.rstrip('/')}/*{endings[0]}."
        )
    if left := [Path(name).name for name in all_names if name not in set(found)]:
        more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
        warn_user(
            f"{reading.field}: Of {folder}, {', '.join(left[:_MOST_NAMED])}{more} are not read: they are no data."
        )
    return found
