"""What a dataset is made from, and under which licence that is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datafast.datasets.config import DatasetConfig
from datafast.export.card_info import CardSource
from datafast.export.source_license import license_of
from datafast.sources.addresses import is_address
from datafast.sources.finding import ENDINGS, ending_of
from datafast.sources.source import RowSource, SourceTexts, shown_source

__all__ = ["card_sources"]

_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_HUB_ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:@[^/]*)?(?:/|$)", re.ASCII)


def card_sources(config: DatasetConfig, *, asks_hub: bool = True) -> list[CardSource]:
    """The sources of a config. The licences of those on the Hub are asked for; one that is not told is named with the reason."""
    found = []
    for field, given, rows in _given(config):
        hub_id = _hub_id(given)
        licence, note = license_of(hub_id) if hub_id and asks_hub else ("", "")
        name = hub_id or _name(given)
        found.append(CardSource(field, name, rows, hub_id, licence, "" if licence else note or _note(hub_id)))
    return found


def _given(config: DatasetConfig) -> Iterator[tuple[str, Any, int | None]]:
    """Field, source and number of rows."""
    for field in type(config).model_fields:
        value = getattr(config, field)
        if isinstance(value, SourceTexts):
            yield field, value.source.source, len(value)
        elif isinstance(value, RowSource):
            yield field, value.source, None
        elif field == "source" and value is not None:
            yield field, value, None
    columns = getattr(config, "columns", None)
    for name, column in columns.items() if isinstance(columns, Mapping) else ():  # a judgement has names alone
        if (source := getattr(column, "source", None)) is not None:
            yield f"columns.{name}", source.source if isinstance(source, RowSource) else source, None


def _hub_id(given: object) -> str:
    """The id of a dataset on the Hub, '' for another source."""
    if not isinstance(given, str):
        return ""
    if (address := _HUB_ADDRESS.match(given)) is not None:
        return address[1]
    is_id = _ON_HUB.fullmatch(given) is not None and ending_of(given) not in ENDINGS
    return given if is_id and not Path(given).exists() else ""


def _name(given: object) -> str:
    if not isinstance(given, str | Path):
        return "rows in memory"
    shown = shown_source(given)
    return shown if is_address(shown) else Path(shown).name


def _note(hub_id: str) -> str:
    return "not known" if hub_id else "not known: it is not on the Hub"
