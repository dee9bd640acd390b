"""What a `DataSetGenerator` hands back: rows in memory that can be saved and handed on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import orjson

from datafast.engine.wholefile import write_whole
from datafast.errors import DataSetGeneratorError

if TYPE_CHECKING:
    from datafast.types import RunReport

__all__ = ["GeneratedDataset"]


class GeneratedDataset(Sequence[dict[str, Any]]):
    """Generated rows, each a mapping like `{"messages": [...]}`.

    Attributes:
        report: what the run that made them did.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], *, report: RunReport) -> None:
        self._rows = list(rows)
        self.report = report

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._rows[index]

    def __repr__(self) -> str:
        return f"<{len(self._rows)} generated rows>"

    def save(self, path: str | Path) -> None:
        """Writes the rows as JSON lines, or as a JSON array where the name ends in `.json`; whole or not at all.

        Raises:
            DataSetGeneratorError: the file cannot be written, or its name ends in something else.
        """
        target = Path(path)
        if target.suffix == ".json":
            data = orjson.dumps(self._rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        elif target.suffix == ".jsonl":
            data = b"".join(orjson.dumps(row) + b"\n" for row in self._rows)
        else:
            raise DataSetGeneratorError(
                f"cannot save {target.name}: expected a name that ends in .jsonl or .json; to_huggingface() writes others"
            )
        try:
            write_whole(target, data)
        except OSError as error:
            raise DataSetGeneratorError(f"cannot write {target}: {error.strerror}") from error

    def to_huggingface(self) -> Any:
        """The rows as a `datasets.Dataset`."""
        from datafast.export.tables import to_dataset

        return to_dataset(self._rows)
