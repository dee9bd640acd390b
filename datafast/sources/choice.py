"""Which rows of a source are used: those that `where` is true of, and of these the first `limit`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.sources.part import Part
from datafast.sources.reading import Reading
from datafast.sources.records import Numbers
from datafast.sources.values import Row, RowReader
from datafast.templates.base import RenderError

if TYPE_CHECKING:
    from datafast.templates.condition import Condition

__all__ = ["Choice"]


class Choice:
    """Chooses while the rows are read; made for one pass.

    Attributes:
        places: the numbers in the source of the rows that were chosen.
        needed: the columns that `where` looks at.
    """

    def __init__(self, part: Part, reading: Reading, reader: RowReader) -> None:
        self._part = part
        self._reading = reading
        self._reader = reader
        self._where = None if reading.where is None else _condition(reading.where)
        self._chosen = Numbers()
        self._count = 0
        self.needed: Collection[str] = self._where.names if self._where else ()

    @property
    def places(self) -> Sequence[int]:
        return range(self._count) if self._where is None else self._chosen

    def of(self, rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
        """The chosen rows, each with its number in the source. What was wrong in the others is forgotten."""
        if self._reading.limit == 0:
            return
        for number, row in enumerate(rows):
            if self._where is not None:
                if not self._is_wanted(self._where, number, row):
                    self._reader.forget(number)
                    continue
                self._chosen.append(number)
            self._count += 1
            yield number, row
            if self._count == self._reading.limit:
                return

    def _is_wanted(self, where: Condition, number: int, row: Row) -> bool:
        for name in self.needed:
            if (refused := self._reader.refused.get(name)) and refused[0] == number:
                raise self._error(number, f"The column {name!r} {refused[1]}.")
        try:
            return where.holds(row)
        except RenderError as error:
            self.check(row)
            raise self._error(number, _sentence(error)) from None

    def _error(self, number: int, message: str) -> ConfigError:
        return ConfigError(f"where: {self._part.name}, {self._part.place(number)}: {message}")

    def check(self, columns: Collection[str]) -> None:
        """Raises ConfigError where `where` looks at a column that no row has."""
        for name in sorted(self.needed):
            if name not in columns:
                raise ConfigError(f"where: {self._part.name} has no column {name!r}. {did_you_mean(name, columns)}")


def _sentence(error: RenderError) -> str:
    words = str(error).rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."


def _condition(text: str) -> Condition:
    """The condition over whatever columns it names: which ones there are is known when the rows have been read."""
    from datafast.templates.condition import Condition  # Jinja is needed with `where` alone

    return Condition.parsed(text, names=None, field="where")
