"""`datafast.load(FILE)`: the rows of any file, of this process or an earlier one, with all that can be made of them.

The model of the rows is that of the run that wrote the file, if its ledger or its manifest is there; else what one pass over the file
finds.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from pydantic import BaseModel, ValidationError

from datafast._util.columns_model import columns_model
from datafast._util.kinds import common_kind
from datafast._util.user_path import is_file, user_path
from datafast.datasets.card.subject import Subject
from datafast.datasets.exporting import Order
from datafast.datasets.opened import opened_output
from datafast.datasets.publishing import Publishing
from datafast.datasets.row import COMPARED
from datafast.errors import ConfigError
from datafast.registry import load_kind
from datafast.sources import SourceRows, open_source
from datafast.store.manifest import ABOUT, read_manifest
from datafast.store.paths import OutputPaths, UsedFile
from datafast.store.reader import LedgerReader

if TYPE_CHECKING:
    from datafast.export.card_info import CardInfo
    from datafast.store.ledger import Ledger

__all__ = ["LoadedRows", "dataset_of", "load", "loaded_from"]


def load(file: str | Path, *, ledger: str | Path | None = None) -> LoadedRows:
    """The rows of a file: of an output, of which kind ever, or of any other file that `datafast stats` reads.

    Args:
        file: JSONL, JSON, CSV, TSV, Parquet or Arrow; or a folder of shards, of which a temporary copy is made that goes with what this
            returns.
        ledger: the ledger, if it is not beside the file; the folder with their ledgers, of shards.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
        OutputError: a ledger cannot be read, or shards do not belong together.
    """
    with ExitStack() as stack:
        loaded = loaded_from(stack.enter_context(opened_output(file, None if ledger is None else user_path(ledger))))
        weakref.finalize(loaded, stack.pop_all().close)  # a copy goes with the last who can read it
    return loaded


def loaded_from(paths: OutputPaths) -> LoadedRows:
    """The same of files that are known. Raises as `load` does."""
    recorded = _recorded(paths)
    if recorded is not None:
        model, kind, dataset = recorded
        return LoadedRows(paths, model, kind=kind, dataset=dataset)
    rows = open_source(paths.rows, field="FILE")
    rows.check(rows.columns, field="FILE")  # all of a row is written
    return LoadedRows(paths, _model_of(rows), rows)


_Recorded: TypeAlias = tuple[type[BaseModel], str, Subject | None]


def _recorded(paths: OutputPaths) -> _Recorded | None:
    """The model of the rows as its run has recorded it, their kind, and the dataset that made them if it is known: by the config in the
    ledger where that can still be read, else by the columns in ledger or manifest. None if nothing is recorded."""
    if is_file(paths.ledger):
        with LedgerReader(paths.ledger) as reader:
            dataset = dataset_of(reader)
            noted = reader.meta(ABOUT)
        if dataset is not None:
            return dataset.written_model, dataset.kind, dataset
        return _as_noted(orjson.loads(noted)["row"]) if noted else None
    if is_file(paths.manifest):
        return _as_noted(read_manifest(paths.manifest).get("row", {}))
    return None


def _as_noted(row: Mapping[str, Any]) -> _Recorded | None:
    """The model of rows with the columns that a run has noted, and their kind; the model of the kind itself where it has these columns,
    which says more."""
    from datafast.export.features import described, model_of

    columns = row.get("columns")
    if not columns:
        return None
    kind = str(row.get("kind") or "")
    with suppress(ConfigError):
        own: type[BaseModel] = load_kind(kind).row_model
        if own.model_fields and described(own) == columns:
            return own, kind, None
    made = model_of(columns)
    if row.get("compared"):
        setattr(made, COMPARED, tuple(row["compared"]))
    return made, kind, None


def dataset_of(ledger: Ledger) -> Any:
    """The dataset whose config the last run left in the ledger; None if its kind is not installed here or is of another version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run itself has given them
            kind = load_kind(str(ledger.meta("kind")))
            return kind(kind.config_model.model_validate_json(ledger.meta("config") or ""))
    except (ConfigError, ValidationError):
        return None


class LoadedRows(Publishing):
    """The rows of a file. Made by `load`.

    Args:
        row_model: of its rows.
        source: its rows, where the file is not an output of ours.
        kind: of the dataset that they are, '' if that is not known.
        dataset: that made them, if it is known.
    """

    def __init__(
        self,
        paths: OutputPaths,
        row_model: type[BaseModel],
        source: SourceRows | None = None,
        *,
        kind: str = "",
        dataset: Subject | None = None,
    ) -> None:
        self._paths = paths
        self._model = row_model
        self._source = source
        self._kind = kind
        self._dataset = dataset

    @property
    def is_output(self) -> bool:
        return self._source is None

    def card_info(self, title: str = "") -> CardInfo:
        from datafast.datasets.card.info import card_info

        return card_info(self.paths, self._dataset, rows=self._source, kind=self._kind, title=title)

    @property
    def _made_by(self) -> Subject | None:
        return self._dataset

    @property
    def paths(self) -> OutputPaths:
        return self._paths

    @property
    def written_model(self) -> type[BaseModel]:
        return self._model

    def rows_to_export(self, order: Order = "file") -> Iterable[Mapping[str, Any]]:
        if self._source is None:
            from datafast.export.files import OutputRows

            return OutputRows.of(self.paths, self._model, order=order)
        if order == "plan":
            raise ConfigError(
                f"order: {self.paths.name} has no ledger that tells of its plan. Leave it out.", key="order"
            )
        return _Whole(self._source, list(self._model.model_fields))

    def used_files(self) -> Iterator[UsedFile]:
        yield from self.paths.read()

    def __repr__(self) -> str:
        return f"<rows of {self.paths.name}: {', '.join(self._model.model_fields)}>"


class _Whole(Iterable[Mapping[str, Any]]):
    """Rows that all have the same columns, null where they lack one."""

    def __init__(self, rows: SourceRows, columns: list[str]) -> None:
        self._rows = rows
        self._columns = columns

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self._rows:
            yield {name: row.get(name) for name in self._columns}


def _model_of(rows: SourceRows) -> type[BaseModel]:
    """A model of rows that are not ours, with the type that the values of each column have in common."""
    fields: dict[str, Any] = {}
    for name in rows.columns:
        kind = common_kind(rows.kinds.get(name, ()))
        fields[name] = (Any if kind is None else kind | None, None)
    return columns_model("Row", fields)
