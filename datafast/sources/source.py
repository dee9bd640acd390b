"""`{source: ..., column: ..., where: ...}` in a config, and the texts that it stands for.

input_documents: articles.jsonl                                  one column, or one that is called `text`
input_documents: {source: articles.csv, column: body, key: id, where: "lang == 'en'", limit: 1000}
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import orjson
from pydantic import field_serializer

from datafast._util.config_model import NonBlank
from datafast._util.digest import digest
from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.sources.addresses import is_address, shown_address
from datafast.sources.fields import SourceFields
from datafast.sources.identity import ID_BYTES, CellProblem, key_id
from datafast.sources.opening import open_source
from datafast.sources.records import Records
from datafast.sources.rows import SourceRows
from datafast.sources.values import Row, written
from datafast.templates.values import to_text

__all__ = ["RowSource", "Source", "SourceText", "SourceTexts", "key_shown", "shown_source", "written_source"]

_MOST_WRITTEN, _MOST_BYTES_WRITTEN = 1_000, 1 << 18
_NEAR = 64  # rows; the prompts of one document mostly follow one another


def shown_source(source: object) -> str:
    """A source where its config is written down."""
    if isinstance(source, str) and is_address(source):
        return shown_address(source)
    if isinstance(source, SourceRows):
        return source.name
    return str(source) if isinstance(source, str | Path) else f"<{type(source).__name__}>"


def written_source(source: object) -> Any:
    """The same, where rows that stand in the config are written as they are, so that it can be read again. Not where they are many."""
    if isinstance(source, list) and len(source) <= _MOST_WRITTEN:
        with suppress(TypeError):  # no JSON
            as_json = orjson.dumps(source)
            if len(as_json) <= _MOST_BYTES_WRITTEN and orjson.loads(as_json) == source:
                return source
    return shown_source(source)


class RowSource(SourceFields):
    """Rows of a dataset that there is already."""

    source: Any
    """A file, all that a pattern like `data/*.jsonl` means, or a folder: JSONL, JSON, CSV, TSV, Parquet, Arrow, text, Markdown, HTML,
    PDF or Word, also as `.gz` or `.zst`; a folder of `save_to_disk`; an address like `https://`, `hf://` or `s3://`; a dataset on the
    Hugging Face Hub by its name; in Python also a list of mappings, a DataFrame, a Dataset, an IterableDataset or a DatasetDict."""

    key: NonBlank | None = None
    """A column whose values tell the rows apart. It goes into the metadata of what is made of a row."""

    keep_row: bool = False
    """Put the whole row of the source into the metadata of what is made of it, as JSON."""

    @field_serializer("source")
    def _written(self, source: Any) -> Any:
        return written_source(source)

    def rows(self, *, field: str, folder: Path | None, spool: Path | None = None) -> SourceRows:
        """Reads them all once. Raises ConfigError; see `open_source`."""
        return open_source(self.source, field=field, folder=folder, spool=spool, **self.reading)


class Source(RowSource):
    """Texts of a dataset that there is already."""

    column: NonBlank | None = None
    """The column with the texts. By default the only one, or the one that is called `text`."""

    def texts(self, dimension: str, *, folder: Path | None, spool: Path | None) -> SourceTexts:
        """Reads them all once.

        Args:
            dimension: what a plan calls them.
            folder: what relative paths are relative to.
            spool: where copies stay for the next run; see `Reading`.

        Raises:
            ConfigError: see `open_source`; or a row has no text; names file, line and column.
        """
        identity = _TextIdentity(dimension, self.column, self.key)
        how = {**self.reading, "sample": None, "spool": spool, "identity": identity}
        rows = open_source(self.source, field="source", folder=folder, **how)
        if self.key is not None and identity.keys is not None:
            rows.refuse_repeats(identity.keys, self.key, field="key")
        if self.keep_row:
            rows.check(rows.columns, field="keep_row")
        if self.sample is not None:
            rows = rows.sample(self.sample, self.seed)
        return SourceTexts(self, rows, str(identity.column), dimension)


class _TextIdentity:
    """Texts are told apart as those of a list in a config are, so that a list that is moved into a file buys nothing again."""

    def __init__(self, dimension: str, column: str | None, key: str | None) -> None:
        self.column = column
        self.keys = Records(ID_BYTES) if key is not None else None
        self._key = key
        self._dimension = dimension

    def of(self, row: Row) -> bytes:
        if self.column is None:
            self.column = _only_column(row, self._key)
        text = row.get(self.column)
        if not isinstance(text, str) or not text.strip():
            raise CellProblem(self.column, _wrong(text, self.column, row))
        parts = [self._dimension.encode(), orjson.dumps(text)]
        if self._key is not None and self.keys is not None:
            if row.get(self._key) is None:
                raise CellProblem(self._key, _wrong(None, self._key, row))
            self.keys.append(key := key_id(row[self._key]))
            parts.append(key)
        return digest(*parts)

    def again(self, made: bytes, ordinal: int) -> bytes:
        return digest(made, str(ordinal))


def _only_column(row: Row, key: str | None) -> str:
    names = [name for name in row if name != key] or list(row)
    if len(names) == 1:
        return names[0]
    if "text" in names:
        return "text"
    raise ConfigError(f"column: It is not clear which column holds the texts. Say which one: {', '.join(names)}.")


def _wrong(value: object, column: str, row: Row) -> str:
    """Why a cell holds no text, as the rest of a sentence."""
    if column not in row:
        return f"is missing. {did_you_mean(column, row).rstrip('.')}"
    if value is None or isinstance(value, str):
        name = column if column.isidentifier() else f"{{{column}}}"
        return f"is empty; fill it, or leave such rows out with where: {name} | trim"
    return f"holds {value!r:.60}, which is not text; choose another column, or write it as text"


def key_shown(key: object) -> str | int:
    """A key as metadata have it."""
    return key if isinstance(key, int) else to_text(key)


class SourceText(str):
    """A text of a source, with what the metadata of its rows say about where it comes from.

    Attributes:
        key: of its row, where the source has one.
        row: all of its row as JSON, where it is to be kept.
    """

    __slots__ = ("key", "row")

    key: str | int | None
    row: str | None


class SourceTexts(Sequence[str]):
    """The texts of a source, read when they are asked for.

    Attributes:
        source: what the config says.
        ids: 16 bytes for each text.
        digest: 16 bytes that change when the texts do.
        files: that they are in, if they are in some.
    """

    def __init__(self, source: Source, rows: SourceRows, column: str, dimension: str) -> None:
        self.source = source
        self.ids = rows.ids
        self.digest = rows.digest
        self.files = rows.files
        self._rows = rows
        self._column = column
        self._dimension = dimension
        self._text = lru_cache(maxsize=_NEAR)(self._read)

    def _read(self, number: int) -> SourceText:
        row = self._rows[number]
        text = SourceText(row[self._column])
        text.key = None if self.source.key is None else key_shown(row[self.source.key])
        text.row = written(row).decode() if self.source.keep_row else None
        return text

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> SourceText: ...
    @overload
    def __getitem__(self, index: slice) -> list[SourceText]: ...
    def __getitem__(self, index: int | slice) -> SourceText | list[SourceText]:
        found = range(len(self))[index]
        return self._text(found) if isinstance(found, int) else [self._read(number) for number in found]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SourceTexts):
            return NotImplemented
        return self.digest == other.digest and self.source == other.source

    __hash__ = None  # type: ignore[assignment]  # as of a list

    @property
    def name(self) -> str:
        """What the source is called in messages."""
        return self._rows.name

    def __repr__(self) -> str:
        return f"<{len(self)} texts of {self.name}>"

    @property
    def written(self) -> dict[str, Any]:
        """What stands for it where a config is written: how it is read, its files by their whole paths."""
        told = self.source.model_dump(mode="json", exclude_defaults=True)
        return {**told, "source": str(self.files[0].resolve())} if len(self.files) == 1 else told

    @property
    def metadata_names(self) -> list[str]:
        """What rows have in their metadata because of this source."""
        given = {"key": self.source.key is not None, "row": self.source.keep_row}
        return [f"{self._dimension}_{name}" for name, is_given in given.items() if is_given]
