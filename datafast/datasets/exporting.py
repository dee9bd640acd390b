"""Writing rows into other files and for other libraries: what datasets and loaded files have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datafast._util.user_path import user_path
from datafast.store.paths import UsedFile, refuse_shared

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from datafast.export.files import Exported

__all__ = ["Exporting", "Order"]

Order = Literal["file", "plan"]


class Exporting(ABC):
    """Rows that can be written in all formats."""

    @abstractmethod
    def rows_to_export(self, order: Order = "file") -> Iterable[Mapping[str, Any]]:
        """The rows as plain values, as often as they are gone through.

        Raises:
            ConfigError: there are none, or no plan whose order is known.
        """

    @property
    @abstractmethod
    def written_model(self) -> type[BaseModel]:
        """The model of the rows."""

    @abstractmethod
    def used_files(self) -> Iterable[UsedFile]:
        """The files that belong to the rows, and are not to be replaced."""

    def export(
        self,
        path: str | Path,
        to: str | Sequence[str],
        *,
        container: str | None = None,
        keep: Sequence[str] = (),
        order: Order = "file",
        texts: bool = False,
        with_document: bool = False,
        custom: Mapping[str, str] | None = None,
    ) -> list[Exported]:
        """Writes the rows in one or several formats, each file completely or not at all, in one pass over the rows.

        Args:
            path: the new file; an existing one is replaced. Of several formats, `train.jsonl` stands for `train.FORMAT.jsonl`, and a path
                without an ending for a folder.
            to: the format, or several.
            container: jsonl, json, csv, parquet, arrow or save_to_disk; by default what the path ends in, else jsonl.
            keep: columns of the rows that records have besides.
            order: of the rows: as in the file, or as in the plan.
            texts: prompts and answers as texts, not as messages.
            with_document: put the document that a row is about before its prompt.
            custom: of the format `custom`, a template over the row for each column.

        Raises:
            ConfigError: there are no rows, they cannot be written in a format (the error lists those in which they can), or a path is one
                of the files that belong to them.
            OutputWriteError: a file cannot be written.
        """
        from datafast.export.files import export_rows, targets_of
        from datafast.export.formats import Options

        names = [to] if isinstance(to, str) else list(to)
        targets = targets_of(user_path(path), names, container)
        refuse_shared([*self.used_files(), *(UsedFile("export", target.path, written=True) for target in targets)])
        options = Options(texts=texts, keep=keep, custom=dict(custom or {}), with_document=with_document)
        return export_rows(self.rows_to_export(order), targets, row_model=self.written_model, options=options)

    def save(self, path: str | Path, format: str | None = None) -> Path:  # noqa: A002 - as pandas and datasets call it
        """Writes the rows into another file, completely or not at all, and returns its path.

        Args:
            path: the new file; an existing one is replaced.
            format: as of `export`; by default the ending of the path.

        Raises:
            ConfigError: there are no rows yet, the format is not known, or the path is one of the files that belong to them.
            OutputWriteError: the file cannot be written.
        """
        from datafast.export.files import save_rows

        file = user_path(path)
        refuse_shared([*self.used_files(), UsedFile("save", file, written=True)])
        return save_rows(self.rows_to_export(), file, format, row_model=self.written_model)

    def to_csv(self, path: str | Path) -> Path:
        """`save` as CSV, whatever the path ends in."""
        return self.save(path, "csv")

    def to_parquet(self, path: str | Path) -> Path:
        """`save` as Parquet, whatever the path ends in."""
        return self.save(path, "parquet")

    def to_jsonl(self, path: str | Path) -> Path:
        """`save` as JSON Lines, whatever the path ends in."""
        return self.save(path, "jsonl")

    def to_huggingface(self) -> Any:
        """The rows as a `datasets.Dataset`, with the types that a push would have.

        Raises:
            ConfigError: there are no rows yet, or a line is not a row.
        """
        from datafast.export.files import narrowed, to_dataset

        rows = self.rows_to_export()
        return to_dataset(rows, row_model=narrowed(self.written_model, rows))

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a DataFrame; lists and objects stay what they are.

        Raises:
            ConfigError: there are no rows yet, or a line is not a row.
        """
        from datafast.export.views import frame_of

        return frame_of(self.rows_to_export(), list(self.written_model.model_fields))
