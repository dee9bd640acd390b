"""The result of a `DataSetGenerator`: rows in memory that can be saved and converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.user_path import user_path
from datafast.errors import ConfigError, DataSetGeneratorError, OutputWriteError
from datafast.html import paragraph, row_table

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from datafast.types import RunReport

__all__ = ["GeneratedDataset"]


_SHOWN = 5


class GeneratedDataset(Sequence[dict[str, Any]]):
    """Generated rows, each a mapping like `{"messages": [...]}`.

    Attributes:
        report: the report of the run that made them.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], *, report: RunReport, row_model: type[BaseModel]) -> None:
        self._rows = list(rows)
        self._row_model = row_model
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

    def _repr_html_(self) -> str:
        """For notebooks: the first rows, and the report of the run."""
        count = f"{len(self._rows):,} generated rows"
        return paragraph(count, bold=True) + row_table(self._rows[:_SHOWN]) + self.report._repr_html_()

    def save(self, path: str | Path, format: str | None = None) -> Path:  # noqa: A002 - as pandas and datasets call it
        """Writes the rows into a file, completely or not at all, and returns its path.

        Args:
            format: jsonl, json, csv or parquet; by default the ending of the path.

        Raises:
            DataSetGeneratorError: the format is not known, or the file cannot be written.
        """
        from datafast.export.files import save_rows

        try:
            return save_rows(self._rows, user_path(path), format, row_model=self._row_model)
        except (ConfigError, OutputWriteError) as error:
            raise DataSetGeneratorError(f"Cannot save {path}: {error}") from error

    def to_huggingface(self) -> Any:
        """The rows as a `datasets.Dataset`."""
        from datafast.export.files import to_dataset

        return to_dataset(self._rows, row_model=self._row_model)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a DataFrame; lists and objects stay what they are."""
        with foreign_warnings_ignored():
            import pandas as pd

            return pd.DataFrame(self._rows)
