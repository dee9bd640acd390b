"""The fields that say how a source is read and which of its rows are used: the same wherever a config takes one."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datafast._util.config_model import ConfigModel, NonBlank, Seed
from datafast.sources.reading import CellType

__all__ = ["READING", "SourceFields"]


class SourceFields(ConfigModel):
    """How a source is read, and which of its rows are used: those that `where` leaves, the first `limit` of them, a `sample` of these."""

    split: NonBlank | None = None
    """Of a DatasetDict or a dataset on the Hub: which split. `train` by default, or all of them where there is none."""

    config: NonBlank | None = None
    """Of a dataset on the Hub that has several: the name of one, often a language."""

    revision: NonBlank | None = None
    """Of a dataset on the Hub: a branch, a tag or a commit."""

    streaming: bool = False
    """Of a dataset on the Hub: read rows as they come, without loading all files first; with `limit` only the first are loaded."""

    where: NonBlank | None = None
    """A Jinja expression over the columns: rows of which it is false are left out. An empty text and the text "false" are false."""

    limit: int | None = Field(default=None, ge=1)
    """The first so many rows of those that `where` leaves; the source is read no further."""

    sample: int | None = Field(default=None, ge=1)
    """So many rows of those that `where` and `limit` leave, drawn by `seed`, in their own order."""

    seed: Seed = 0
    """Of `sample`. A source that changes leaves the rows that were drawn, but for those that changed themselves."""

    encoding: NonBlank | None = None
    """What a text file is in, like cp1252, and cells that are bytes; UTF-8 by default."""

    types: dict[str, CellType] | None = None
    """Of a CSV or TSV file: the columns that are not text, each with integer, number or boolean. Empty cells are null there."""

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Of a CSV or TSV file: what stands between cells, like ";"."""

    lines: bool | None = None
    """Of text files: true for a row for each line that is not blank, false for one for the whole file. By default true for topics,
    document types and personas, false for all else."""

    @property
    def reading(self) -> dict[str, Any]:
        """What `open_source` takes."""
        return {**{name: getattr(self, name) for name in READING}, "lines": bool(self.lines)}


READING = tuple(SourceFields.model_fields)
"""The names of these fields."""
