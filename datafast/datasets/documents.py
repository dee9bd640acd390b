"""The documents that a kind asks about: the config fields that name them, and texts of a source as an axis of a plan.

Guarantee: a document is told apart by its own text and context, so a change anywhere else in the source pays for nothing again.
Texts are never changed. Which texts are left out, and why, is said.
Cost: one more pass over the source, which is quick, and 24 bytes a document, which are in a temporary file beyond some megabytes; texts are
read from the source as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Protocol, overload

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from datafast._util.config_model import Accepts, NonBlank, UserPath, default_of
from datafast._util.notify import did_you_mean, warn_user
from datafast.datasets.config import PromptDatasetConfig
from datafast.errors import ConfigError
from datafast.plan.dimensions import Dimension
from datafast.plan.items import digest
from datafast.plan.template import Template
from datafast.sources import SourceRows, open_source
from datafast.sources.field import TextRowInput, spool_beside
from datafast.sources.identity import ID_BYTES, number_equal
from datafast.sources.origin import Origin
from datafast.sources.records import Numbers, Records
from datafast.sources.source import RowSource, Source
from datafast.store.paths import UsedFile

__all__ = [
    "Document",
    "Documents",
    "DocumentsConfig",
    "by_line",
    "ids_dimension",
    "numbered",
    "opened",
    "same",
    "the_given",
]

_USUAL = "text"
_CALLED = "document"  # in metadata


@dataclass(frozen=True, slots=True)
class Document:
    """A text, and what stands beside it in the source."""

    text: str
    context: str = ""
    origin: Mapping[str, str | int] = field(default_factory=dict, compare=False)
    """What metadata say about where it comes from."""

    def __str__(self) -> str:
        return self.text


class Documents(Sequence[Document]):
    """The documents of a source; see the module.

    Args:
        given: the source as the config says it.
        field: the config field of the source, for messages; the other arguments are called there as in configs.
        text_column: where the texts are; None for the only column, or the one named text.
        context_column: where that is what stands beside them.
        min_document_length, max_document_length: shorter and longer texts are left out.
        sample_count: the most documents.

    Raises:
        ConfigError: there are none, or one is not text; names the field, the source and the row.
    """

    def __init__(
        self,
        rows: SourceRows,
        *,
        given: object = None,
        field: str,
        text_column: str | None = None,
        context_column: str | None = None,
        min_document_length: int = 1,
        max_document_length: int | None = None,
        sample_count: int | None = None,
    ) -> None:
        self.source = rows
        self._field = field
        self._column = self._checked("text_column", text_column or _usual_column(rows))
        self._context = self._checked("context_column", context_column) if context_column else None
        self._least, self._most = min_document_length, max_document_length
        self._origin = Origin.as_given(given, rows, _CALLED)
        self._places = Numbers()
        self._short = self._long = 0
        self._ids = numbered(self._fitting(sample_count))
        if not self._places:
            raise ConfigError(f"{field}: {rows.name} has no documents. {self._left_out()}")

    def remark(self) -> None:
        """Says which texts are left out, if any are."""
        if self._short or self._long:
            warn_user(f"{self._field}: {self.source.name} gives {len(self):,} documents. {self._left_out()}")

    def dimension(self, name: str) -> Dimension:
        """The documents as an axis of a plan."""
        return ids_dimension(name, self, self._ids)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._of(self.row(index))

    def __iter__(self) -> Iterator[Document]:
        return map(self._of, self.source.several(self._places))

    def _of(self, row: Mapping[str, Any]) -> Document:
        return Document(row[self._column], self._beside(row), self._origin.of(row))

    def row(self, index: int) -> Mapping[str, Any]:
        """The whole row of a document."""
        return self.source[self._places[index]]

    def _beside(self, row: Mapping[str, object]) -> str:
        value = row.get(self._context) if self._context else None
        return "" if value is None else str(value)

    def _checked(self, setting: str, column: str) -> str:
        if column not in self.source.columns:
            hint = did_you_mean(column, self.source.columns)
            raise ConfigError(f"{setting}: {self.source.name} has no column {column!r}. {hint}")
        self.source.check([column], field=self._field)
        return column

    def _fitting(self, most: int | None) -> Iterator[tuple[bytes | str, ...]]:
        """The texts that are documents, with what stands beside them, and what stands for their keys."""
        keys = self._origin.ids
        for number, row in enumerate(self.source):
            text = row.get(self._column)
            if text is not None and not isinstance(text, str):
                raise ConfigError(
                    f"{self._field}: {self.source.name}, {self.source.place(number)}: The column {self._column!r} holds {text!r:.60}, "
                    f"which is not text. Name a column of texts by text_column."
                )
            length = len((text or "").strip())
            if text is None or length < self._least:
                self._short += 1
            elif self._most is not None and length > self._most:
                self._long += 1
            else:
                self._places.append(number)
                yield (text, self._beside(row), *(() if keys is None else (keys[number],)))
                if len(self._places) == most:
                    return

    def _left_out(self) -> str:
        said = []
        if self._short:
            said.append(f"{self._short:,} are shorter than min_document_length, {self._least:,} characters")
        if self._long:
            said.append(f"{self._long:,} are longer than max_document_length, {self._most:,} characters")
        return f"Of its texts {' and '.join(said)}: they are left out."


def ids_dimension(name: str, values: Sequence[Any], ids: Records) -> Dimension:
    """Values with ids of 16 bytes as an axis of a plan."""
    state = blake2b((len(ids) * ID_BYTES).to_bytes(8, "little"), digest_size=16)
    for block in ids.blocks():
        state.update(block)
    return Dimension(name, values, digests=ids, fingerprint=state.digest())


def numbered(values: Iterable[tuple[bytes | str, ...]]) -> Records:
    """An id of 16 bytes for each; equal ones are numbered among themselves."""
    ids = Records(ID_BYTES, (digest(*parts) for parts in values))
    number_equal(ids, lambda made, ordinal: digest(made, str(ordinal)))
    return ids


def _usual_column(rows: SourceRows) -> str:
    return rows.columns[0] if len(rows.columns) == 1 else _USUAL


class HasContext(Protocol):
    """A document, or a part of one."""

    @property
    def context(self) -> str: ...
    @property
    def origin(self) -> Mapping[str, str | int]: ...


class DocumentsConfig(PromptDatasetConfig):
    """The fields of kinds that ask about documents of a source."""

    input_fields = ("source", "local_file_path", "documents")
    rows_called: ClassVar[str] = _CALLED
    local_lines: ClassVar[bool] = False
    """Whether each line of a text file that `local_file_path` names is a document."""

    source: TextRowInput = None
    """The texts: a list of them; a JSONL, JSON, CSV, TSV or Parquet file; a dataset on the Hugging Face Hub by its name; in Python also a
    list of mappings, a DataFrame or a Dataset; or a mapping of `source` and which of its rows."""

    hf_dataset_name: NonBlank | None = None
    """A dataset on the Hugging Face Hub, in the place of `source`."""

    local_file_path: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """A file, in the place of `source`."""

    text_column: NonBlank | None = None
    """The column with the texts; by default the only one, or the one named text."""

    context_column: NonBlank | None = None
    """A column with what helps to understand a text, such as a summary of what it belongs to. Prompts have it as {context}."""

    sample_count: int | None = Field(default=None, ge=1)
    """At most this many documents: the first ones that are not left out."""

    min_document_length: int = Field(default=100, ge=1)
    """Texts with fewer characters are left out."""

    max_document_length: int = Field(default=10_000, ge=1)
    """Texts with more characters are left out."""

    _documents: Documents = PrivateAttr()
    _made_of: list[Any] = PrivateAttr(default_factory=list)
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _documents_fit(self, info: ValidationInfo) -> DocumentsConfig:
        self._folder = (info.context or {}).get("folder", self._folder)
        given = {name: getattr(self, name) for name in ("source", "hf_dataset_name", "local_file_path")}
        settings: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("text_column", "context_column", "min_document_length", "max_document_length", "sample_count")
        }
        settings["text_column"] = self._named_column()
        made_of = [*given.values(), *settings.values()]
        if len(self._made_of) == len(made_of) and all(map(same, self._made_of, made_of)):
            return self  # another field was assigned
        field = the_given(given, "texts")
        source = by_line(given[field], field) if self.local_lines else given[field]
        self._documents = Documents(
            opened(source, field, self._folder, spool_beside(self.paths.rows, self.run)),
            given=source,
            field=field,
            **settings,
        )
        self._documents.remark()
        self._made_of = made_of
        return self

    def _named_column(self) -> str | None:
        """The column with the texts, where the config names it."""
        column = self.source.column if isinstance(self.source, Source) else None
        if column is not None and self.text_column not in (None, column):
            raise ValueError(
                f"text_column: It is {self.text_column!r}, and column of source is {column!r}. Leave one of them out."
            )
        return column or self.text_column

    @property
    def documents(self) -> Documents:
        """The documents that are asked about."""
        return self._documents

    def check_context(self, templates: Iterable[Template]) -> None:
        """Raises ValueError where {context} stands in a template and no column is named, or the other way round."""
        is_asked = any("context" in template.kind_names for template in templates)
        if is_asked and self.context_column is None:
            raise ValueError(
                "context_column: A prompt has {context}, and it is not said what that is. Name the column, or leave {context} out."
            )
        if self.context_column is not None and not is_asked:
            raise ValueError(
                "context_column: No prompt has {context}. Write {context} into one of them, or leave context_column out."
            )

    def shown_of(self, document: HasContext) -> dict[str, str | int]:
        """What stands in a row's metadata about its document: where it comes from, and its context."""
        return {**document.origin, **({"context": document.context} if self.context_column else {})}

    @property
    def metadata_names(self) -> set[str]:
        return super().metadata_names | ({"context"} if self.context_column else set())

    def used_files(self) -> Iterator[UsedFile]:
        for file in self.documents.source.files:
            yield UsedFile("a source", file, written=False)
        yield from super().used_files()


def the_given(given: Mapping[str, object], what: str) -> str:
    """The one field of these that names a source. Raises ValueError."""
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        told = f"{' and '.join(named)} are given" if named else f"No {what} are given"
        raise ValueError(f"source: {told}. Give one of {', '.join(list(given)[:-1])} and {list(given)[-1]}.")
    return named[0]


def by_line(given: Any, field: str) -> Any:
    """What a field names, of a text file under `local_file_path` its lines, as the first datafast reads them."""
    if field == "local_file_path" and given.suffix.lower() == ".txt":
        return RowSource(source=given, lines=True)
    return given


def opened(given: object, field: str, folder: Path | None, spool: Path | None) -> SourceRows:
    """The rows of what a user gave as a source; texts are rows with one column."""
    if isinstance(given, Sequence) and not isinstance(given, str) and any(isinstance(text, str) for text in given):
        given = [{_USUAL: text} if isinstance(text, str) else text for text in given]
    if isinstance(given, RowSource):
        return given.rows(field=field, folder=folder, spool=spool)
    return open_source(given, field=field, folder=folder, spool=spool)


def same(one: object, other: object) -> bool:
    """Whether a setting has not changed. Tables are compared by identity: they have no equality."""
    return one is other or (isinstance(one, str | Path | int | RowSource) and one == other)
