"""Which fields of rows make groups, and which hold texts.

Groups are made by what datafast knows of (language, label, topic, the number of the prompt template, placeholders) and, found in the
first rows, by other fields with short values that come again and again. What is said about a row is not text, and neither is a field that
makes groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from pydantic import BaseModel

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.plan.items import WorkItem, shown_value
from datafast.quality.base import texts_in

__all__ = ["HEAD", "About", "Field", "Fields"]

HEAD = 2_000
"""Rows that are looked at to find fields that make groups."""
_FEWEST = 20  # of rows, from which on a field is found to make groups
_MOST_VALUES = 100
_MOST_NUMBERS = 20
_LETTERS = 60
_TEMPLATE = "prompt_index"
_NOT_GROUPS = frozenset({"uuid", "id", "_id"})
_BY_NAME: dict[str, Kind] = {"language": "language", "label": "label", "topic": "topic", _TEMPLATE: "template"}

Kind: TypeAlias = Literal["template", "placeholder", "language", "topic", "label", "field"]


class About(NamedTuple):
    """What is known of the rows of a dataset before one is read.

    Attributes:
        row_model: None if it is not known.
        placeholders: the names of optional placeholders.
    """

    row_model: type[BaseModel] | None = None
    placeholders: Collection[str] = ()

    @property
    def not_texts(self) -> frozenset[str]:
        """Fields that hold no text of the row."""
        if self.row_model is None:
            return frozenset()
        fields = self.row_model.model_fields.items()
        listed: Collection[str] = getattr(self.row_model, "about_the_row", ())
        return frozenset(listed) | {name for name, field in fields if _is_choice(field.annotation)}


def _is_choice(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return True
    return any(_is_choice(part) for part in get_args(annotation))


class Field(NamedTuple):
    """A field that makes groups, of the row itself or in its metadata."""

    key: str
    kind: Kind
    in_metadata: bool

    @property
    def name(self) -> str:
        return "template" if self.kind == "template" else self.key

    def value(self, row: Mapping[str, Any]) -> str | None:
        """The value of a row; None if it has none."""
        return _shown(_metadata(row).get(self.key) if self.in_metadata else row.get(self.key))

    def planned(self, item: WorkItem) -> str | None:
        """The value that the rows of an item have; None if the plan does not say."""
        if self.kind == "template":
            return str(item.variant.template_index)
        if self.key in item.variant.values:
            return item.variant.values[self.key]
        value = item.values.get(self.key)
        if value is None:
            return None
        return str(value[0]) if self.kind == "language" and isinstance(value, tuple) else shown_value(value)


class Fields:
    """The fields of some rows.

    Args:
        head: the first rows.
        by: fields that make groups in any case.
        text_fields: the fields whose texts are looked at; None for all that hold text.

    Raises:
        ConfigError: no row has a field of `by` or `text_fields`.
    """

    def __init__(
        self,
        head: Sequence[Mapping[str, Any]],
        about: About,
        *,
        by: Sequence[str] = (),
        text_fields: Sequence[str] | None = None,
    ) -> None:
        own = list(dict.fromkeys(name for row in head for name in row if isinstance(name, str)))
        of_metadata = list(dict.fromkeys(name for row in head for name in _metadata(row) if isinstance(name, str)))
        _check([*by], {*own, *of_metadata, "template"} - {"metadata"}, head, "by")
        _check(text_fields or [], own, head, "text_fields")
        wanted = {_TEMPLATE if name == "template" else name for name in by}
        self.groups = [
            *_found(own, [[row.get(name) for name in own] for row in head], about, wanted, in_metadata=False),
            *_found(
                [name for name in of_metadata if name not in own],
                [[_metadata(row).get(name) for name in of_metadata if name not in own] for row in head],
                about,
                wanted,
                in_metadata=True,
            ),
        ]
        self.text_fields = text_fields
        self._not_texts = about.not_texts | {field.key for field in self.groups if not field.in_metadata}

    def texts(self, row: Mapping[str, Any]) -> list[str]:
        """The texts of a row."""
        if self.text_fields is None:
            return list(texts_in(row, self._not_texts))
        # Without their names, because one that is asked for is text, whatever it is called.
        return [text for name in self.text_fields if name in row for text in texts_in({"": row[name]})]


def _found(
    names: Sequence[str], rows: Sequence[Sequence[Any]], about: About, wanted: Collection[str], *, in_metadata: bool
) -> Iterable[Field]:
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        kind: Kind = "placeholder" if name in about.placeholders and in_metadata else _BY_NAME.get(name, "field")
        known = [shown for shown in map(_shown, values) if shown is not None]
        if name in wanted or (known and (kind != "field" or (name not in about.not_texts and _is_group(name, values)))):
            yield Field(name, kind, in_metadata)


def _is_group(name: str, values: Sequence[Any]) -> bool:
    """Whether a field that nothing is known of makes groups."""
    if name in _NOT_GROUPS or any(isinstance(value, float | list | dict) for value in values):
        return False
    shown = [text for text in map(_shown, values) if text is not None]
    different = set(shown)
    few = _MOST_NUMBERS if any(type(value) is int for value in values) else _MOST_VALUES
    return (
        len(shown) >= _FEWEST
        and 1 < len(different) <= min(few, len(shown) // 4)
        and max(map(len, different)) <= _LETTERS
    )


def _shown(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


def _metadata(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = row.get("metadata")
    return found if isinstance(found, dict) else {}


def _check(names: Sequence[str], known: Collection[str], head: Sequence[object], field: str) -> None:
    for name in names if head else ():
        if name not in known:
            raise ConfigError(f"{field}: Rows have no field {name!r}. {did_you_mean(name, sorted(known))}")
