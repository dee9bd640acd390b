"""Parts of rows as Parquet files that give back the very bytes of the JSONL.

Columns have the types of the row model; what may hold anything is JSON text. A row whose line would not come back byte for byte from its
columns has the line itself in a further column, `_line`, which is there only where a part has such a row.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from datafast.errors import OutputError

__all__ = ["ParquetCodec"]

_LINE = "_line"
_JSON = b"datafast.json"
_PLAIN = frozenset(["string", "bool", "int64", "float64"])


class ParquetCodec:
    """Args: columns: name and type of each column of the rows, as `export.features.described` tells them; not needed for reading."""

    suffix = ".parquet"

    def __init__(self, columns: Sequence[Mapping[str, Any]] = ()) -> None:
        self._columns = {str(column["name"]): column["type"] for column in columns}

    def encode(self, lines: bytes) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = lines.splitlines(keepends=True)
        values = [self._value(text) for text in texts]
        try:
            table = pa.Table.from_pylist(values, schema=self._schema)
        except (pa.ArrowException, OverflowError):  # a row that does not fit has its line alone
            values = [value if self._fits(value, text) else {} for value, text in zip(values, texts, strict=True)]
            table = pa.Table.from_pylist(values, schema=self._schema)
        back = [_line(row, self._json) for row in table.to_pylist()]
        other = [None if same == text else text for same, text in zip(back, texts, strict=True)]
        if any(other):
            table = table.append_column(_LINE, pa.array(other, pa.binary()))
        written = io.BytesIO()
        pq.write_table(table, written, compression="zstd")
        return written.getvalue()

    def decode(self, data: bytes) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(data))
        except pa.ArrowException:
            return b""  # its hash says that it did not come whole
        json = frozenset(orjson.loads((table.schema.metadata or {}).get(_JSON, b"[]")))
        return b"".join(row.pop(_LINE, None) or _line(row, json) for row in table.to_pylist())

    @cached_property
    def _json(self) -> frozenset[str]:
        return frozenset(name for name, kind in self._columns.items() if not _is_plain(kind))

    @cached_property
    def _schema(self) -> Any:
        import pyarrow as pa

        fields = [
            pa.field(name, pa.string() if name in self._json else _type(kind)) for name, kind in self._columns.items()
        ]
        return pa.schema(fields, metadata={_JSON: orjson.dumps(sorted(self._json))})

    def _value(self, line: bytes) -> dict[str, Any]:
        """A row as it is stored."""
        row = orjson.loads(line)
        if not isinstance(row, dict):
            raise OutputError("A line of the rows is no JSON object. Restore the file, or set run.parts to jsonl.")
        for name in self._json & row.keys():
            row[name] = None if row[name] is None else orjson.dumps(row[name]).decode()
        return row

    def _fits(self, value: dict[str, Any], line: bytes) -> bool:
        """Whether a row comes back from its columns as it was."""
        import pyarrow as pa

        try:
            (back,) = pa.Table.from_pylist([value], schema=self._schema).to_pylist()
        except (pa.ArrowException, OverflowError):
            return False
        return _line(back, self._json) == line


def _line(row: Mapping[str, Any], json: frozenset[str]) -> bytes:
    """A row as it is written, of what is stored."""
    values = {name: orjson.loads(value) if name in json and value is not None else value for name, value in row.items()}
    try:
        return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # such a row has its line
        return b""


def _is_plain(kind: Any) -> bool:
    """Whether a type has no free-form part."""
    if isinstance(kind, str):
        return kind in _PLAIN
    return all(map(_is_plain, kind.values() if isinstance(kind, dict) else kind))


def _type(kind: Any) -> Any:
    import pyarrow as pa

    if isinstance(kind, str):
        return {"string": pa.string(), "bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64()}[kind]
    if isinstance(kind, dict):
        return pa.struct([pa.field(name, _type(inner)) for name, inner in kind.items()])
    return pa.list_(_type(kind[0]))
