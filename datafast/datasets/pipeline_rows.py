"""The rows of a source that a pipeline asks about: those that are not skipped, as an axis of a plan.

Guarantee: a row is told apart by all that it holds in the source, equal ones by their order. What is skipped does not count in it.
Cost: one pass over the source where rows are skipped, one where they have a key; 8 bytes a row that is
not skipped, in a temporary file beyond some megabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, overload

from datafast._util.kinds import common_kind
from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.plan.dimensions import Computed, Dimension
from datafast.sources import SourceRows
from datafast.sources.origin import Origin
from datafast.sources.records import Numbers
from datafast.templates.base import RenderError
from datafast.templates.condition import Condition
from datafast.templates.values import to_text

__all__ = ["CALLED", "PipelineRows", "Skip", "SourceRow", "named"]

CALLED = "source"
"""What metadata call a row of the source."""


def named(columns: Sequence[str] | Mapping[str, str] | None) -> Mapping[str, str]:
    """Columns of a source by their names in rows; a list of them has the same names there."""
    return columns if isinstance(columns, Mapping) else {name: name for name in columns or ()}


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of the source: its columns under their names in the dataset."""

    columns: Mapping[str, Any]
    origin: Mapping[str, str | int]
    """What metadata say about where it comes from."""

    @property
    def key(self) -> str | int | None:
        """What tells it apart in its source, where that has keys."""
        return self.origin.get(f"{CALLED}_key")

    def __str__(self) -> str:
        return to_text(next(iter(self.columns.values()))) if self.key is None else str(self.key)


class PipelineRows(Sequence[SourceRow]):
    """The rows of a source that are asked about; see the module.

    Args:
        origin: where a row comes from.
        field: the config field of the source, for messages; the other arguments are called there as in configs.

    Raises:
        ConfigError: a column is not there, two rows have the same key, it is not known whether one is skipped, or nothing is left; names
            the field, and the row.
    """

    def __init__(
        self,
        source: SourceRows,
        *,
        field: str,
        input_columns: Mapping[str, str],
        forward_columns: Mapping[str, str],
        origin: Origin,
        skip: Skip,
        sample_count: int | None,
    ) -> None:
        self.source = source
        self._columns = {**input_columns, **forward_columns}
        self._origin = origin
        for setting, columns in (
            ("input_columns", input_columns.values()),
            ("forward_columns", forward_columns.values()),
        ):
            for column in columns:
                if column not in source.columns:
                    hint = did_you_mean(column, source.columns)
                    raise ConfigError(f"{setting}: {source.name} has no column {column!r}. {hint}")
        source.check([*self._columns.values(), *skip.columns], field=field)
        most = min(sample_count or len(source), len(source))
        self._places = skip.left(most) if skip else range(most)
        if not self._places:
            raise ConfigError(f"{skip.field}: Every row of {source.name} is skipped. Change it so that some are left.")
        self._digest = self._digested()

    def _digested(self) -> bytes:
        if len(self) == len(self.source):
            return self.source.digest
        state = blake2b(digest_size=16)
        for place in self._places:
            state.update(self.source.id_of(place))
        return state.digest()

    def dimension(self, name: str) -> Dimension:
        """The rows as an axis of a plan."""
        ids = Computed(len(self), lambda number: self.source.id_of(self._places[number]))
        return Dimension(name, self, digests=ids, fingerprint=self._digest)

    def kind(self, name: str) -> Any:
        """The type of a column, by its name in rows."""
        kind = common_kind(self.source.kinds.get(self._columns[name], ())) or Any
        return kind if kind is Any else kind | None

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> SourceRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[SourceRow]: ...
    def __getitem__(self, index: int | slice) -> SourceRow | list[SourceRow]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        row = self.source[self._places[index]]
        shown = {name: row.get(column) for name, column in self._columns.items()}
        return SourceRow(shown, self._origin.of(row))


class Skip:
    """Which rows of a source are left out.

    Args:
        condition: an expression over its columns.
        function: says it of a row; one of the two is enough.

    Attributes:
        field: what the config calls it, for messages.
        columns: those that the expression looks at.
    """

    def __init__(self, source: SourceRows, condition: str | None, function: Callable[[Any], Any] | None) -> None:
        self.field = "skip_function" if condition is None else "skip_if"
        self._source = source
        self._function = function
        self._condition: Condition | None = None
        if condition is not None:
            self._condition = Condition.parsed(condition, names=source.columns, field="skip_if")
        self.columns: Collection[str] = self._condition.names if self._condition else ()

    def __bool__(self) -> bool:
        return self._condition is not None or self._function is not None

    def left(self, most: int) -> Sequence[int]:
        """The numbers of the first rows that are not left out. Raises ConfigError."""
        places = Numbers()
        for number, row in enumerate(self._source):
            if not self._by_condition(number, row) and not self._by_function(number, row):
                places.append(number)
                if len(places) == most:
                    break
        return places

    def _by_condition(self, number: int, row: Mapping[str, Any]) -> bool:
        if self._condition is None:
            return False
        try:
            return self._condition.holds(row)
        except RenderError as error:
            raise self._error("skip_if", number, f"{str(error).rstrip('.')}.") from None

    def _by_function(self, number: int, row: Mapping[str, Any]) -> bool:
        if self._function is None:
            return False
        try:
            return bool(self._function(dict(row)))
        except Exception as error:  # the user's own code: whatever it raises is about this row
            why = f"{type(error).__name__}: {error}. Correct the function, or skip such rows by it."
            raise self._error("skip_function", number, why) from error

    def _error(self, field: str, number: int, why: str) -> ConfigError:
        return ConfigError(f"{field}: {self._source.name}, {self._source.place(number)}: {why[:1].upper()}{why[1:]}")
