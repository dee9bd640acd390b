"""`.jsonl`: an object a line; blank lines count for nothing. `.json`: a list of objects."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from datafast._util.jsonl import LineIndex
from datafast.errors import ConfigError
from datafast.sources.file import SourceFile
from datafast.sources.memory import of_list
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.records import Numbers
from datafast.sources.text_file import TextFile
from datafast.sources.values import RepeatedNameError, Row, RowReader, parsed_json

__all__ = ["read_json", "read_jsonl"]

_MOST_GIB = 1


def read_jsonl(source: SourceFile, reading: Reading, reader: RowReader) -> Part:
    """A broken line is found while all are gone through, before anything is sent."""
    text = TextFile(source, reading)
    index = LineIndex(Numbers([0]))
    blank = Numbers()

    def plain() -> Iterator[Row]:
        with text.open() as file:
            for line in index.scan(file):
                number = len(index) - 1
                if line.isspace():
                    blank.append(number)
                else:
                    yield reader.plain(_object(text, line, number + 1, reading.field), number - len(blank))

    def again() -> Iterator[tuple[int, Row]]:
        apart, number = reader.apart(), 0
        with text.open() as file:
            for place, line in enumerate(file):
                if not line.isspace():
                    yield number, apart.plain(_object(text, line, place + 1, reading.field), number)
                    number += 1

    def line_of(number: int) -> int:
        before = bisect_right(range(len(blank)), number, key=lambda place: blank[place] - place)
        return number + before

    def read(number: int) -> Row:
        place = line_of(number)
        with text.open() as file:
            line = index.read(file, place)
        return reader.plain(_object(text, line, place + 1, reading.field), number)

    return Part(
        source.name,
        plain,
        read,
        lambda: text.digest,
        place=lambda number: f"line {line_of(number) + 1}",
        files=source.files,
        again=again,
    )


def _object(text: TextFile, line: bytes, number: int, field: str) -> Any:
    written = text.text(line, number)
    try:
        row = parsed_json(written)
    except RepeatedNameError as error:
        raise ConfigError(f"{field}: {text.name}:{number}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{field}: {text.name}:{number}: This line is not JSON: {error}. Correct or remove it."
        ) from None
    if not isinstance(row, dict):
        raise ConfigError(f"{field}: {text.name}:{number}: expected a JSON object, got {type(row).__name__}.")
    return row


def read_json(source: SourceFile, reading: Reading, reader: RowReader) -> Part:
    if source.path.stat().st_size > _MOST_GIB * 2**30:
        raise ConfigError(
            f"{reading.field}: {source.name} has more than {_MOST_GIB} GiB, and is read whole. Write it as .jsonl, read row by row."
        )
    text = TextFile(source, reading, in_lines=False)
    with text.open() as file:
        content = text.decoded(file.read())
    try:
        rows = parsed_json(content)
    except RepeatedNameError as error:
        raise ConfigError(f"{reading.field}: {source.name}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{reading.field}: {source.name} is not JSON: {error}. Correct it, or name it .jsonl if it has one object a line."
        ) from None
    if not isinstance(rows, list):
        raise ConfigError(f"{reading.field}: {source.name}: expected a list of objects, got {type(rows).__name__}.")
    return of_list(rows, reading, reader, source.name, files=source.files)
