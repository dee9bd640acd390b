"""Rows -> files on this machine, in one or several formats at once, or a `datasets.Dataset`.

The formats are in `datafast.export.formats`, the containers in `datafast.export.containers`.

Guarantee: a file is complete or not there: it is written under another name and then renamed. Cost: one pass over the rows for all formats
together, and one before it where a column may hold anything and the container is typed; a batch of rows in memory. A format of another
package that writes its own file takes a pass of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from datafast._util.atomic_write import whole_file, whole_folder
from datafast._util.columns_model import columns_model
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.kinds import common_kind, kind_of
from datafast.amounts import counted
from datafast.errors import ConfigError, OutputWriteError
from datafast.export.containers import CONTAINERS, Container, container_of, table_of
from datafast.export.features import row_schema
from datafast.export.formats import FORMATS, Opened, Options, Record, Row, Rows, Writer, opened_format
from datafast.export.messages import TalkKinds, has_call_objects, is_talk
from datafast.export.reading import Unfit
from datafast.export.targets import Beside, Target, content_beside
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.rows import RowSequence

__all__ = [
    "Exported",
    "OutputRows",
    "Target",
    "dataset_dict",
    "export_parts",
    "export_rows",
    "narrowed",
    "records_of",
    "save_rows",
    "targets_of",
    "to_dataset",
]

_BATCH = 1_000


@dataclass(slots=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file, or the folder of `save_to_disk`.
        format, container: what it holds, and how.
        rows: rows that were read.
        records: what they became; -1 where the format writes its own file.
        left_out: rows that became nothing, by reason.
        split: the split that the rows are, if there are several.
        record_model: of its records; None where the format writes its own file.
        beside: what was written beside it for a trainer, if anything was; one for the files of all splits.
        arguments_as_text: columns of messages in which the arguments of calls are JSON text because of the container's types.
        late: columns of a file without types that hold something else later than at its beginning, from which `datasets` guesses types.
    """

    path: Path
    format: str
    container: str | None
    rows: int = 0
    records: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    split: str | None = None
    record_model: type[BaseModel] | None = None
    beside: Beside | None = None
    late: list[str] = field(default_factory=list)
    arguments_as_text: list[str] = field(default_factory=list)

    @property
    def features(self) -> Any:
        """The `datasets.Features` of its records, for loading files that hold no types: `load_dataset("json", ..., features=...)`. None
        where the format writes its own file."""
        return None if self.record_model is None else row_schema(self.record_model).features

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; `split` only if there are several, `beside` and `arguments_as_text` only if there is something."""
        told: dict[str, Any] = {
            "path": str(self.path),
            "format": self.format,
            "container": self.container,
            "rows": self.rows,
            "records": self.records,
            "left_out": dict(self.left_out),
            "late": self.late,
        }
        if self.arguments_as_text:
            told["arguments_as_text"] = self.arguments_as_text
        if self.beside is not None:
            told["beside"] = {"path": str(self.beside.path), "text": self.beside.text}
        return told if self.split is None else {**told, "split": self.split}

    def in_words(self) -> str:
        """What was written and what was not, in a sentence or two."""
        told = f"{self.path}: {counted(self.rows, 'row')} as {self.format}"
        if self.records not in (-1, self.rows - self.left_out.total()):
            told += f", {counted(self.records, 'record')}"
        for why, rows in self.left_out.items():
            told += f". Left out, because a row {why}: {rows:,}"
        if self.late:
            told += (
                f". What {', '.join(self.late)} {'holds' if len(self.late) == 1 else 'hold'} is of another type at first than later, so "
                f"load_dataset, which guesses from the beginning, would refuse the file: write parquet, or give it the features"
            )
        if self.arguments_as_text:
            told += (
                f". The arguments of calls in {', '.join(self.arguments_as_text)} are JSON text, which many chat templates would write as "
                f"a text in quotes: write jsonl for them"
            )
        return f"{told}."


def targets_of(path: Path, formats: Sequence[str | None], container: str | None = None) -> list[Target]:
    """The files that formats are written to.

    Args:
        path: of one format the file; of several, `rows.jsonl` stands for `rows.FORMAT.jsonl`, and a path without an ending for a folder.
        formats: their names; None for what the path ends in.
        container: by default what the path ends in, else JSON Lines.

    Raises:
        ConfigError: a format or a container is not known, one is given twice, or they do not fit each other.
    """
    if container is not None and container not in CONTAINERS:
        raise ConfigError(
            f"There is no container {container!r}. Choose one of {', '.join(CONTAINERS)}.", key="container"
        )
    if not formats:
        raise ConfigError("to: There is no format. Give one, like openai or parquet.", key="format")
    if len(set(formats)) < len(formats):
        raise ConfigError("to: A format is given twice. Name each once.", key="format")
    several = len(formats) > 1
    return [_target(path, name, container, several=several) for name in formats]


def _target(path: Path, given: str | None, container: str | None, *, several: bool) -> Target:
    name = _named(path, given)
    found = FORMATS.load(name)
    if not isinstance(found, type):
        return Target(name, _beside(path, name, path.suffix) if several else path, None)
    container = _fitting(container, found.containers, name)
    if not issubclass(found, Rows):  # these are named after a container, whatever the path ends in
        container = container or _fitting(container_of(path), found.containers, name)
    container = container or next(iter(found.containers), "jsonl")
    if several:
        endings = CONTAINERS[container].endings
        ending = path.suffix if path.suffix.lower() in endings else "".join(endings[:1])
        path = _beside(path, name, ending)
    return Target(name, path, container)


def _fitting(container: str | None, allowed: Sequence[str], format: str) -> str | None:  # noqa: A002
    """A container that is given, if the format is for it."""
    if container is None or not allowed or container in allowed:
        return container
    raise ConfigError(
        f"The format {format} is not for the container {container}, but for {', '.join(allowed)}.", key="container"
    )


def _beside(path: Path, name: str, ending: str) -> Path:
    return path.with_name(f"{path.stem}.{name}{ending}") if path.suffix else path / f"{name}{ending}"


def _named(path: Path, given: str | None) -> str:
    if given:
        return given.lower().removeprefix(".")
    if (container := container_of(path)) is not None:
        return container
    if path.suffix:
        return path.suffix.lower().removeprefix(".")
    raise ConfigError(
        f"{path} does not say its format. Give format=, one of {', '.join(FORMATS.names())}.", key="format"
    )


def export_rows(
    rows: Iterable[Row], targets: Sequence[Target], *, row_model: type[BaseModel], options: Options | None = None
) -> list[Exported]:
    """Writes rows into the files of all targets.

    Args:
        rows: plain JSON. Gone through as often as it takes, if there are several targets or columns that may hold anything.

    Raises:
        ConfigError: these rows cannot be written in a format, or a value does not fit its column.
        OutputWriteError: a file cannot be written.
    """
    return export_parts([(rows, targets)], rows, row_model=row_model, options=options)


@foreign_warnings_ignored()
def export_parts(
    parts: Sequence[tuple[Iterable[Row], Sequence[Target]]],
    rows: Iterable[Row],
    *,
    row_model: type[BaseModel],
    options: Options | None = None,
) -> list[Exported]:
    """Writes rows into files, each part into its own. Either all files are there in the end, or none.

    Args:
        parts: rows, and the targets that they go to.
        rows: those of all parts, from which the types of columns follow that may hold anything.

    Raises:
        ConfigError, OutputWriteError: as of `export_rows`.
    """
    opened = [
        [opened_format(target.format, row_model, options or Options()) for target in targets] for _, targets in parts
    ]
    done: list[Exported] = []
    besides = _besides([target for _, targets in parts for target in targets], [one for made in opened for one in made])
    contents = content_beside(list(besides.values()))
    with ExitStack() as whole:
        for (own, targets), made in zip(parts, opened, strict=True):
            into = [(target, whole.enter_context(_part(target))) for target in targets]
            done += _written(own, into, made, rows, row_model)
        for path, content in contents.items():
            whole.enter_context(_file_beside(path, content))
    for exported in done:
        exported.beside = besides.get(exported.format)
    return done


def _besides(targets: Sequence[Target], opened: Sequence[Opened | Writer]) -> dict[str, Beside]:
    """What is to be written beside the files, by format."""
    found = {}
    for target, made in zip(targets, opened, strict=True):
        if isinstance(made, Opened) and target.format not in found:
            told = made.beside([one for one in targets if one.format == target.format])
            if told is not None:
                found[target.format] = told
    return found


def _written(
    rows: Iterable[Row],
    into: Sequence[tuple[Target, Path]],
    opened: Sequence[Opened | Writer],
    all_rows: Iterable[Row],
    row_model: type[BaseModel],
) -> list[Exported]:
    """Writes rows into files that are not complete before the others are."""
    done = [Exported(target.path, target.format, target.container, split=target.split) for target, _ in into]
    files: list[_File] = []
    with ExitStack() as stack:
        for (target, part), made, exported in zip(into, opened, done, strict=True):
            if isinstance(made, Opened):
                files.append(stack.enter_context(_File(made, target, part, all_rows, exported)))
            else:
                made(_counting(rows, exported), part, row_model)
        if files:
            _write(rows, files)
    return done


@contextmanager
def _part(target: Target) -> Iterator[Path]:
    """The file or folder of a target until it is complete."""
    kind = None if target.container is None else CONTAINERS[target.container]
    whole = whole_folder(target.path, kind.files) if kind and kind.is_folder else whole_file(target.path)
    try:
        with whole as part:
            yield part
    except OSError as error:
        raise _unwritable(target.path, error) from error


@contextmanager
def _file_beside(path: Path, content: bytes) -> Iterator[None]:
    try:
        with whole_file(path) as new:
            new.write_bytes(content)
            yield
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"Cannot write {path}: {error.strerror or error}. Choose another place.")


def _counting(rows: Iterable[Row], exported: Exported) -> Iterator[Row]:
    exported.records = -1
    for row in rows:
        exported.rows += 1
        yield row


class _File:
    """A file of one format that is being written."""

    def __init__(self, made: Opened, target: Target, part: Path, rows: Iterable[Row], exported: Exported) -> None:
        assert target.container is not None  # noqa: S101 - only formats with a file of their own have none
        kind = CONTAINERS[target.container]
        model = made.record_model
        self.exported = exported
        self._made = made
        if kind.typed:
            model = narrowed(model, self._all(rows))
            fields = model.model_fields
            exported.arguments_as_text = [name for name in fields if has_call_objects(fields[name].annotation)]
        exported.record_model = model
        self._container: Container = kind(part, model)
        self._guesses = self._container.guesses(list(model.model_fields))
        self._begins = True

    def _all(self, rows: Iterable[Row]) -> Iterator[Record]:
        for row in rows:
            try:
                yield from self._made.records(row)
            except Unfit:
                continue

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *raised: object) -> None:
        self._container.close()

    def write(self, batch: Sequence[Row]) -> None:
        records: list[Record] = []
        done = self.exported
        for row in batch:
            done.rows += 1
            try:
                records.extend(self._made.records(row))
            except Unfit as error:
                done.left_out[str(error)] += 1
            except ConfigError as error:
                raise ConfigError(f"Row {done.rows:,}: {error}", key=error.key) from error
        for step in [[record] for record in records] if self._guesses and self._begins else [records]:
            self._put(step)

    def _put(self, records: Sequence[Record]) -> None:
        """Writes records; one at a time in the beginning of a file, so that it is known where that ends."""
        self._container.write(records)
        self.exported.records += len(records)
        if self._guesses is not None:
            for record in records:
                self._guesses.note(record, is_beginning=self._begins)
            self._begins = self._begins and self._container.begins(self.exported.records)
            self.exported.late = self._guesses.late


def _write(rows: Iterable[Row], files: Sequence[_File]) -> None:
    source = iter(rows)
    while batch := list(islice(source, _BATCH)):
        for file in files:
            try:
                file.write(batch)
            except OSError as error:
                raise _unwritable(file.exported.path, error) from error


def narrowed(row_model: type[BaseModel], rows: Iterable[Row]) -> type[BaseModel]:
    """The row model with a type of its own for each column of free form whose values all have one in common, or are all messages."""
    free = {name for name, field in row_model.model_fields.items() if field.annotation is Any}
    if not free:
        return row_model
    kinds: dict[str, set[Any]] = {name: set() for name in free}
    talks: dict[str, TalkKinds] = {}
    for row in rows:
        for name in free:
            value = row.get(name)
            if value is None:
                continue
            if is_talk(value):
                talks.setdefault(name, TalkKinds()).note(value)
                kinds[name].add(TalkKinds)
            else:
                kinds[name].add(kind_of(value))
    types = {name: kind | None for name in free if (kind := _common(kinds[name], talks.get(name))) is not None}
    fields: dict[str, Any] = {
        name: (types.get(name) or field.annotation, field) for name, field in row_model.model_fields.items()
    }
    return columns_model(row_model.__name__, fields, config=row_model.model_config)


def _common(kinds: set[Any], talks: TalkKinds | None) -> Any:
    if talks is not None:
        return talks.type if kinds <= {TalkKinds, list} else None
    return common_kind(kinds)


def save_rows(rows: Iterable[Row], path: Path, format: str | None = None, *, row_model: type[BaseModel]) -> Path:  # noqa: A002
    """Writes rows into a file.

    Args:
        format: of `FORMATS`; by default what the path ends in.

    Raises:
        ConfigError: the format is not known.
        OutputWriteError: the file cannot be written.
    """
    export_rows(rows, targets_of(path, [format]), row_model=row_model)
    return path


def records_of(rows: Iterable[Row], format: str, *, row_model: type[BaseModel]) -> Iterator[Record]:  # noqa: A002
    """What rows become in a format of records.

    Raises:
        ConfigError: the format is not known, makes a file of its own, or is not for such rows or for one of them.
    """
    made = opened_format(format, row_model, Options())
    if not isinstance(made, Opened):
        raise ConfigError(f"The format {format} makes a file of its own. Save the rows with it.", key="format")
    for number, row in enumerate(rows, 1):
        try:
            yield from made.records(row)
        except Unfit as error:
            raise ConfigError(
                f"Row {number:,} cannot be written as {format}: it {error}. Leave it out.", key="format"
            ) from error


class OutputRows(Iterable[Row]):
    """The rows of a JSONL as plain values, as often as they are gone through.

    Args:
        ledger: what knows the order of the plan; None for the order of the file.
    """

    def __init__(self, path: Path, row_model: type[BaseModel], ledger: Path | None = None) -> None:
        self._path = path
        self._row_model = row_model
        self._ledger = ledger

    @classmethod
    def of(cls, paths: OutputPaths, row_model: type[BaseModel], *, order: str = "file") -> OutputRows:
        """Those of an output, in the order of the file or of the plan.

        Raises:
            ConfigError: it has no file, or no ledger that knows the plan.
        """
        if not paths.rows.exists():
            raise ConfigError(f"There are no rows in {paths.name}. Generate the dataset first.")
        if order == "plan" and not paths.ledger.is_file():
            raise ConfigError(f"order: {paths.name} has no ledger that tells of its plan. Leave it out.", key="order")
        return cls(paths.rows, row_model, paths.ledger if order == "plan" else None)

    def __iter__(self) -> Iterator[Row]:
        number = 1
        rows = RowSequence(self._path, self._row_model) if self._ledger is None else self._in_plan_order()
        try:
            for row in rows:
                yield row.model_dump(mode="json")
                number += 1
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the line"
            line = "line" if self._ledger is None else "in the order of the plan, row"
            raise ConfigError(
                f"{self._path}: {line} {number} is not a {self._row_model.__name__} ({place}: {first['msg']}). Correct the line, "
                f"or move the file away and generate again: its rows come back from the ledger at no cost."
            ) from error

    def _in_plan_order(self) -> Iterator[BaseModel]:
        """The rows by their places in the plan; lines that the ledger does not know, which users have added, come last."""
        assert self._ledger is not None  # noqa: S101 - it knows the order
        with LedgerReader(self._ledger) as ledger, self._path.open("rb") as file:
            for append in ledger.appends.in_plan_order():
                file.seek(append.start)
                for line in file.read(append.size).splitlines():
                    yield self._row_model.model_validate_json(line)
            file.seek(ledger.appends.committed_size())
            for line in file:
                if line.endswith(b"\n"):
                    yield self._row_model.model_validate_json(line)


@foreign_warnings_ignored()
def to_dataset(rows: Iterable[Row], *, row_model: type[BaseModel]) -> Any:
    """The rows as a `datasets.Dataset` with the row model's types."""
    import pyarrow
    from datasets import Dataset

    tables = list(_tables(rows, row_model))
    return Dataset(
        pyarrow.concat_tables(tables) if tables else row_schema(row_model).features.arrow_schema.empty_table()
    )


@foreign_warnings_ignored()
def dataset_dict(splits: Mapping[str, Any]) -> Any:
    """Datasets by split as a `datasets.DatasetDict`."""
    from datasets import DatasetDict

    return DatasetDict(splits)


def _tables(rows: Iterable[Row], row_model: type[BaseModel]) -> Iterator[Any]:
    """The rows as Arrow tables with the row model's types, a batch at a time."""
    schema = row_schema(row_model)
    source, first = iter(rows), 1
    while batch := list(islice(source, _BATCH)):
        yield table_of(schema, batch, first=first)
        first += len(batch)
