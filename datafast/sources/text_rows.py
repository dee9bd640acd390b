"""`.txt` and `.md`: a row for the whole file, {"text": ..., "file": ...}, or with `lines` one for each line that is not blank."""

from __future__ import annotations

from collections.abc import Iterator

from datafast._util.jsonl import LineIndex
from datafast._util.read_whole import MIB
from datafast.errors import ConfigError
from datafast.sources.file import SourceFile
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.records import Numbers
from datafast.sources.text_file import TextFile
from datafast.sources.values import Row, RowReader

__all__ = ["read_text"]

_MOST_MB = 64  # of a document: no prompt is that long


def read_text(file: SourceFile, reading: Reading, reader: RowReader) -> Part:
    return _lines(file, reading, reader) if reading.lines else _whole(file, reading, reader)


def _whole(file: SourceFile, reading: Reading, reader: RowReader) -> Part:
    if file.path.stat().st_size > _MOST_MB * MIB:
        raise ConfigError(
            f"{reading.field}: {file.name} has more than {_MOST_MB} MiB, too much for one text. "
            f"If each line of it is a text, write lines: true."
        )
    text = TextFile(file, reading, in_lines=False)

    def read(number: int) -> Row:
        with text.open() as opened:
            content = opened.read()
        return reader.plain({"text": text.decoded(content), "file": file.path.name}, number)

    def rows() -> Iterator[Row]:
        yield read(0)

    return Part(
        file.name,
        rows,
        read,
        lambda: text.digest,
        columns=["text", "file"],
        place=lambda number: "line 1",
        files=file.files,
    )


def _lines(file: SourceFile, reading: Reading, reader: RowReader) -> Part:
    text = TextFile(file, reading)
    index = LineIndex(Numbers([0]))
    filled = Numbers()

    def row(line: bytes, place: int, number: int) -> Row:
        return reader.plain({"text": text.text(line.rstrip(b"\r\n"), place + 1)}, number)

    def rows() -> Iterator[Row]:
        with text.open() as opened:
            for line in index.scan(opened):
                if not line.isspace():
                    filled.append(len(index) - 1)
                    yield row(line, len(index) - 1, len(filled) - 1)

    def read(number: int) -> Row:
        with text.open() as opened:
            return row(index.read(opened, filled[number]), filled[number], number)

    return Part(
        file.name,
        rows,
        read,
        lambda: text.digest,
        columns=["text"],
        place=lambda number: f"line {filled[number] + 1}",
        files=file.files,
    )
