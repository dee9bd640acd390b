"""Texts that a config takes from a source: as a dimension of the plan, and what rows say about where they come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel

from datafast.plan.dimensions import Dimension
from datafast.plan.items import WorkItem
from datafast.sources.origin import origin_names as source_names
from datafast.sources.source import SourceText, SourceTexts

__all__ = ["origin", "origin_names", "origins", "sources_of", "texts_dimension"]


def texts_dimension(name: str, texts: Sequence[str]) -> Dimension:
    """Texts of a list, or of a source, as an axis."""
    if isinstance(texts, SourceTexts):
        return Dimension(name, texts, digests=texts.ids, fingerprint=texts.digest)
    return Dimension(name, texts)


def sources_of(config: BaseModel) -> Mapping[str, SourceTexts]:
    """The sources of a config, by field."""
    given = {name: getattr(config, name) for name in type(config).model_fields}
    return {name: value for name, value in given.items() if isinstance(value, SourceTexts)}


def origin_names(config: BaseModel) -> Collection[str]:
    """What stands in the metadata of rows because of the sources of a config."""
    names = [name for texts in sources_of(config).values() for name in texts.metadata_names]
    return [*names, *source_names(getattr(config, "source", None), getattr(config, "rows_called", ""))]


def origins(item: WorkItem) -> dict[str, str | int | None]:
    """What the metadata of an item's rows say about the rows of sources that it is made of."""
    told: dict[str, str | int | None] = {}
    for dimension, value in item.values.items():
        if isinstance(value, SourceText):
            told |= origin(dimension, value)
    return told


def origin(dimension: str, value: object) -> dict[str, str | int | None]:
    """The same of one value."""
    if not isinstance(value, SourceText):
        return {}
    told = {f"{dimension}_key": value.key, f"{dimension}_row": value.row}
    return {name: known for name, known in told.items() if known is not None}
