"""Writing rows into other files and for other libraries: what datasets and loaded files have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from datafast._util.notify import warn_user
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import BaseModel

    from datafast.datasets.dividing import SplitArguments
    from datafast.export.files import Exported
    from datafast.export.splits import Splitting
    from datafast.export.splits.rows import SplitRows

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

    @property
    @abstractmethod
    def paths(self) -> OutputPaths:
        """The file of the rows, and those that go with it."""

    @abstractmethod
    def used_files(self) -> Iterable[UsedFile]:
        """The files that belong to the rows, and are not to be replaced."""

    def export(
        self,
        path: str | Path,
        to: str | Sequence[str],
        *,
        container: str | None = None,
        keep: str | Sequence[str] = (),
        order: Order = "file",
        texts: bool = False,
        with_document: bool = False,
        custom: Mapping[str, str] | None = None,
        tokenizer: str | Path | None = None,
        read_as: Mapping[str, str] | None = None,
        **splits: Unpack[SplitArguments],
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
            tokenizer: of the format `chat_template`, the folder of a model, or the tokenizer.json in it.
            read_as: columns by the names that they are read by, like `{"prompt": "topic", "completion": "text"}`, where their own do not
                say it.
            splits: train_size, validation_size, seed, shuffle, stratify, group, stable: a file for each split, `train.train.jsonl` or in
                the folder; see `datafast.export.splits.Splitting`. Without the first two there is one file, in the order of the rows.

        Raises:
            ConfigError: there are no rows, they cannot be written in a format (the error lists those in which they can), or a path is one
                of the files that belong to them.
            OutputWriteError: a file cannot be written.
        """
        from datafast.export.files import export_rows, targets_of
        from datafast.export.formats import Options

        names = [name.lower().removeprefix(".") for name in ([to] if isinstance(to, str) else to)]
        if order not in ("file", "plan"):
            raise ConfigError(f"order: {order!r} is not known. Give 'file' or 'plan'.", key="order")
        for option, given, name in (("custom", custom, "custom"), ("tokenizer", tokenizer, "chat_template")):
            if given and name not in names:
                raise ConfigError(
                    f"{option}: It is for the format {name}, which is not asked for. Leave it out, or add the format.",
                    key=option,
                )
        options = Options(
            texts=texts,
            keep=[keep] if isinstance(keep, str) else keep,
            custom=dict(custom or {}),
            with_document=with_document,
            tokenizer=None if tokenizer is None else user_path(tokenizer),
            read_as=dict(read_as or {}),
        )
        asked = self._splitting(splits, order)
        if asked is not None:
            from datafast.export.split_files import export_splits, split_targets

            places = split_targets(user_path(path), names, container, [*asked.shares])
            self._refuse_own(target.path for found in places.values() for target in found)
            with self._divided(asked, order) as divided:
                done = export_splits(divided, places, row_model=self.written_model, options=options)
                divided.keep()
            return done
        targets = targets_of(user_path(path), names, container)
        self._refuse_own(target.path for target in targets)
        return export_rows(self.rows_to_export(order), targets, row_model=self.written_model, options=options)

    def _refuse_own(self, written: Iterable[Path]) -> None:
        kept = (UsedFile("which row is in which split", path, written=True) for path in self.paths.split_records)
        refuse_shared([*self.used_files(), *kept, *(UsedFile("export", path, written=True) for path in written)])

    def _splitting(self, given: SplitArguments, order: Order = "file") -> Splitting | None:
        """What splits are asked for; None for all rows together."""
        from datafast.datasets.dividing import splitting

        asked = splitting(**given)
        if not asked.is_asked:
            for name in ("seed", "shuffle"):
                if given.get(name) is not None:
                    raise ConfigError(
                        f"{name}: It says how rows are divided, and all are in one file. Give train_size or validation_size too.",
                        key=name,
                    )
            return None
        if order == "plan" and asked.shuffle:
            raise ConfigError(
                "order: The rows of splits have an order of their own. With shuffle=False they keep that of the plan.",
                key="order",
            )
        return asked

    @contextmanager
    def _divided(self, asked: Splitting, order: Order = "file") -> Iterator[SplitRows]:
        """The rows by split, as long as the context lasts."""
        from datafast.export.splits.rows import SplitRows

        with TemporaryDirectory(prefix="datafast-splits-") as folder:
            rows = self.rows_to_export(order)
            divided = SplitRows.copied(rows, Path(folder), asked, self.written_model, origin=self.paths.place)
            for note in divided.assignment.notes:
                warn_user(note)
            yield divided

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
        self._refuse_own([file])
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

    def to_huggingface(self, **splits: Unpack[SplitArguments]) -> Any:
        """The rows as a `datasets.Dataset`, with the types that a push would have; as a `DatasetDict` if splits are asked for.

        Args:
            splits: train_size, validation_size, seed, shuffle, stratify, group, stable; see `datafast.export.splits.Splitting`.

        Raises:
            ConfigError: there are no rows yet, a line is not a row, or the splits cannot be made.
        """
        from datafast.export.files import dataset_dict, narrowed, to_dataset

        rows = self.rows_to_export()
        model = narrowed(self.written_model, rows)
        asked = self._splitting(splits)
        if asked is None:
            return to_dataset(rows, row_model=model)
        with self._divided(asked) as divided:
            found = {name: to_dataset(divided.rows(name), row_model=model) for name in divided.names}
            divided.keep()
        return dataset_dict(found)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a DataFrame; lists and objects stay what they are.

        Raises:
            ConfigError: there are no rows yet, or a line is not a row.
        """
        from datafast.export.views import frame_of

        return frame_of(self.rows_to_export(), list(self.written_model.model_fields))
