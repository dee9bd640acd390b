"""Formats: what records look like. Built-in ones and those of other packages enter by the same door.

A format is a class derived from `Format`. It says how it reads a row (`reads`, see `datafast.export.reading`), which columns its records
have, and which records a row becomes. In which files they lie is the matter of containers, and each format goes into all of them.

    class Headline(Format):
        reads = "text"

        def columns(self):
            return {"headline": str}

        def records(self, read, row):
            yield {"headline": f"# {read}"}

A package offers it by an entry point:

    [project.entry-points."datafast.formats"]
    headline = "my_package.formats:Headline"

A function that takes rows, a path and the row model is a format too, with a file of its own making. It writes the whole file at the path
it is given, which is not the final one: the file gets its name when it is complete.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from datafast._util.columns_model import columns_model
from datafast._util.plugins import Door, blaming
from datafast.errors import ConfigError
from datafast.export.messages import message_list
from datafast.export.reading import READINGS, Reader, Reading, Row
from datafast.export.targets import Beside, Target
from datafast.registry import BUILT_IN

__all__ = ["FORMATS", "Format", "Options", "Record", "Row", "Rows", "Writer", "format_names", "opened_format"]

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What users choose beside the format.

    Attributes:
        texts: prompts and answers as texts, not as messages, where the format may have both.
        keep: columns of the rows that records have besides.
        custom: of the format `custom`, a template for each column.
        with_document: put the document that a row is about before its prompt.
        tokenizer: of the format `chat_template`, the folder of a model, or the tokenizer.json in it.
        read_as: columns by the names that they are read by, like `{"prompt": "topic", "completion": "text"}`.
    """

    texts: bool = False
    keep: Sequence[str] = ()
    custom: Mapping[str, str] = field(default_factory=dict)
    with_document: bool = False
    tokenizer: Path | None = None
    read_as: Mapping[str, str] = field(default_factory=dict)


class Format(ABC):
    """What records look like. One is made for each export.

    Args:
        row_model: the model of the rows.
        reader: how they read.
        options: what the user chose.

    Raises:
        ConfigError: an option does not fit.
    """

    reads: ClassVar[Reading]
    """How it reads a row."""
    containers: ClassVar[Sequence[str]] = ()
    """The containers that it is for, the usual one first; none for all."""

    def __init__(self, row_model: type[BaseModel], reader: Reader, options: Options) -> None:
        self.row_model = row_model
        self.reader = reader
        self.options = options

    @abstractmethod
    def columns(self) -> Mapping[str, Any]:
        """The columns of its records, each with the type of its values."""

    def message_list(self, *, reasoning: bool = True, arguments_as_text: bool = False) -> Any:
        """The type of a column of messages; `Any` where only a pass over the records can say it."""
        if self.options.read_as:
            return Any
        return message_list(self.row_model, reasoning=reasoning, arguments_as_text=arguments_as_text)

    @abstractmethod
    def records(self, read: Any, row: Row) -> Iterable[Record]:
        """What a row becomes.

        Args:
            read: the row, as `reads` says.
            row: all of it.

        Raises:
            Unfit: it becomes nothing, and why; it is left out and counted.
        """

    def beside(self, targets: Sequence[Target]) -> Beside | None:
        """What is to be written and printed beside its files, which are those of all splits, for a trainer to find them."""
        del targets
        return None


class Writer(Protocol):
    """A format with a file of its own making."""

    def __call__(self, rows: Iterable[Row], path: Path, row_model: type[BaseModel]) -> None:
        """`rows` are plain JSON and can be gone through once. Raises OSError where the file cannot be written."""
        ...


class Rows(Format):
    """Rows as they are."""

    reads = "row"

    def columns(self) -> Mapping[str, Any]:
        return dict(self.row_model.model_fields)

    def records(self, read: Any, row: Row) -> Iterator[Record]:
        yield dict(row)


def _check(name: str, thing: Any) -> str | None:
    if isinstance(thing, type) and not issubclass(thing, Format):
        return "a class derived from datafast.export.formats.Format is expected"
    if isinstance(thing, type) and getattr(thing, "reads", None) not in READINGS:
        return f"its `reads` is none of {', '.join(READINGS)}"
    return (
        None
        if callable(thing)
        else "a class derived from Format, or a function of rows, path and row model, is expected"
    )


FORMATS: Door[type[Format] | Writer] = Door(
    "datafast.formats", noun="format", built_in=BUILT_IN["datafast.formats"], check=_check, key="format"
)


class Opened:
    """A format for rows of one model: what it makes of each, and the model of its records."""

    def __init__(self, name: str, made: Format) -> None:
        self.name = name
        self.containers = made.containers
        self.beside = made.beside
        self._made = made
        self._keep = made.options.keep
        with blaming(made, "columns()"):
            fields = {name: _field(kind) for name, kind in made.columns().items()}
        self._columns = None if isinstance(made, Rows) else set(fields)
        for kept in self._keep:
            if kept in fields and not isinstance(made, Rows):
                raise ConfigError(
                    f"keep: The format {name} has a column {kept!r} of its own. Leave it out.", key="keep"
                )
            fields.setdefault(kept, _field(made.row_model.model_fields[kept]))
        self.record_model: type[BaseModel] = columns_model("Record", fields)

    def records(self, row: Row) -> Iterator[Record]:
        """Raises Unfit."""
        made = self._made
        kept = {name: row.get(name) for name in self._keep}
        read = made.reader.read(made.reads, row)
        with blaming(made, "records()"):
            for record in made.records(read, row):
                if self._columns is not None and not record.keys() <= self._columns:
                    raise ConfigError(
                        f"The format {self.name} made a column {min(record.keys() - self._columns)!r}, which its columns() lacks. Ask its "
                        f"author to mend it, or leave it out.",
                        key="format",
                    )
                yield {**record, **kept} if kept else record


def _field(kind: Any) -> Any:
    return (kind.annotation, kind) if isinstance(kind, FieldInfo) else (kind, ...)


def opened_format(name: str, row_model: type[BaseModel], options: Options) -> Opened | Writer:
    """A format for rows of this model.

    Raises:
        ConfigError: there is no such format, these rows cannot be read its way (the error lists the formats for which they can), or an
            option does not fit.
    """
    found = FORMATS.load(name)
    for kept in options.keep:
        if kept not in row_model.model_fields:
            raise ConfigError(
                f"keep: The rows have no column {kept!r}. They have {', '.join(row_model.model_fields)}.", key="keep"
            )
    if not isinstance(found, type):
        return found
    reader = Reader(row_model, with_document=options.with_document, read_as=options.read_as)
    if found.reads not in reader.can:
        raise ConfigError(
            f"The format {name} is for rows with {_WORDS[found.reads]}. Rows with {', '.join(row_model.model_fields)} can be "
            f"written as {', '.join(format_names(row_model))}.",
            key="format",
        )
    return Opened(name, found(row_model, reader, options))


_WORDS: Mapping[Reading, str] = {
    "text": "a text",
    "label": "a text and its label",
    "messages": "messages, or with a question and its answer",
    "prompt": "a prompt",
    "pair": "a question and its answer",
    "preference": "a better and a worse answer",
    "steps": "steps that are right or wrong",
}


def format_names(row_model: type[BaseModel]) -> list[str]:
    """The formats that rows of this model can be written in."""
    can = Reader(row_model).can
    return [name for name, found in FORMATS.loaded().items() if not isinstance(found, type) or found.reads in can]
