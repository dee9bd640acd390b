"""Columns of dates and times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Literal

from pydantic import PrivateAttr

from datafast.columns.base import Cell, CellError, NonBlank, Setup
from datafast.columns.drawn import DrawnColumn
from datafast.errors import ConfigError
from datafast.templates.base import Template

__all__ = ["DatetimeColumn"]

_PROBE = datetime(2024, 11, 23, 21, 45, 33)
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class DatetimeColumn(DrawnColumn):
    """A moment between two others, both included, as text."""

    type: Literal["datetime"] = "datetime"
    """A date, or a date and a time."""
    same_in_cases = ("format",)

    start: datetime | date | NonBlank
    """The earliest, as 2024-01-31 or 2024-01-31T12:00:00; or a template over other columns that gives such a text."""
    end: datetime | date | NonBlank
    """The latest. A day without a time is included as a whole."""
    unit: Literal["second", "minute", "hour", "day"] = "second"
    """Values lie a whole number of these after `start`."""
    format: NonBlank | None = None
    """As of strftime, for example "%d.%m.%Y"; by default 2024-01-31 for whole days from a date, else 2024-01-31T12:00:00."""

    _bounds: dict[str, datetime | Template] = PrivateAttr(default_factory=dict)

    @property
    def says_the_day(self) -> bool:
        """Whether the texts tell year, month and day, so that they can be read back."""
        parts = ("%Y", "%y"), ("%m", "%b", "%B"), ("%d",)
        form = self.format or "%Y-%m-%d"
        return all(any(part in form for part in some) for some in parts)

    def prepare_draw(self, setup: Setup) -> None:
        self._bounds = {field: self._bound(getattr(self, field), field, setup) for field in ("start", "end")}
        start, end = self._bounds["start"], self._bounds["end"]
        if isinstance(start, datetime) and isinstance(end, datetime):
            if (start.tzinfo is None) is not (end.tzinfo is None):
                raise ConfigError(
                    "end: One of start and end has a time zone and the other has none. Write it in both, or in neither."
                )
            if start > end:
                raise ConfigError(f"start: {self.start} is later than end, {self.end}. Exchange them.")

    @staticmethod
    def _bound(given: datetime | date | str, field: str, setup: Setup) -> datetime | Template:
        if isinstance(given, str):
            if "{" in given:
                return setup.template(given, field)
            try:
                return datetime.fromisoformat(given.strip())
            except ValueError:
                raise ConfigError(
                    f"{field}: expected a date as 2024-01-31 or 2024-01-31T12:00:00, got {given!r}."
                ) from None
        return given if isinstance(given, datetime) else datetime(given.year, given.month, given.day)

    def draw(self, cell: Cell) -> str:
        (start, _), (end, whole_day) = (self._moment(field, cell) for field in ("start", "end"))
        try:
            length = (end - start).total_seconds()
        except TypeError:
            raise CellError("end: one of start and end has a time zone and the other has none") from None
        if length < 0:
            raise CellError(f"start: {start} is later than end, {end}")
        unit = _UNITS[self.unit]
        # In rows that version 0.1.0 began, the last day ended as it began.
        if whole_day and cell.edition > 1:
            length += _UNITS["day"] - unit
        moment = start + timedelta(seconds=unit * cell.rng().randrange(int(length // unit) + 1))
        if self.format is not None:
            return moment.strftime(self.format)
        days = self.unit == "day" and (moment.hour, moment.minute, moment.second) == (0, 0, 0)
        return moment.date().isoformat() if days else moment.isoformat(timespec="seconds")

    def _moment(self, field: str, cell: Cell) -> tuple[datetime, bool]:
        """A bound, and whether it is a day without a time."""
        bound = self._bounds[field]
        if isinstance(bound, datetime):
            given = getattr(self, field)
            return bound, not isinstance(given, datetime) and (isinstance(given, date) or _is_day(given))
        text = cell.rendered(bound, field)
        try:
            return datetime.fromisoformat(text.strip()), _is_day(text)
        except ValueError:
            raise CellError(f"{field}: expected a date as 2024-01-31, got {text[:40]!r}") from None

    @property
    def incomparable(self) -> str | None:
        if self.format is None or self._read_back(self.format) is not None:
            return None
        return (
            f"Its format, {self.format!r}, does not tell the moment. Leave it out, or write year (%Y), month, day and, with hours, "
            f"%H; a template in an expression column can show less."
        )

    @staticmethod
    @cache
    def _read_back(form: str) -> bool | None:
        """Whether texts in this format tell times, None where they do not tell even the day."""
        try:
            back = datetime.strptime(_PROBE.strftime(form), form)
        except ValueError:
            return None
        times = (back.hour, back.minute, back.second)
        if "%y" in form or back.date() != _PROBE.date() or not all(map(_zero_or, times, (21, 45, 33))):
            return None
        return any(times)

    def compared(self, value: str) -> str:
        """The moment as ISO text, in UTC where it has a time zone, whose order is that of moments."""
        if self.format is None:
            moment, tells_time = datetime.fromisoformat(value), "T" in value
        else:
            moment, tells_time = datetime.strptime(value, self.format), bool(self._read_back(self.format))
        moment = _in_utc(moment)
        return Moment(moment.isoformat() if tells_time else moment.date().isoformat())

    def drawn_type(self) -> Any:
        return str


class Moment(str):
    """A moment as ISO text, which another one, or an ISO text in an expression, can be compared with. A day is its midnight."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and _in_full(self) == _in_full(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(_in_full(self))

    def __lt__(self, other: str) -> bool:
        return _in_full(self) < _in_full(other) if isinstance(other, str) else NotImplemented

    def __le__(self, other: str) -> bool:
        return _in_full(self) <= _in_full(other) if isinstance(other, str) else NotImplemented

    def __gt__(self, other: str) -> bool:
        return _in_full(self) > _in_full(other) if isinstance(other, str) else NotImplemented

    def __ge__(self, other: str) -> bool:
        return _in_full(self) >= _in_full(other) if isinstance(other, str) else NotImplemented


def _in_full(text: str) -> str:
    if not isinstance(text, Moment):
        return _read(text)
    return f"{text}T00:00:00" if len(text) == 10 else str(text)


@lru_cache(maxsize=1024)
def _read(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a date as 2024-01-31 or 2024-01-31T12:00:00") from None
    return _in_utc(moment).isoformat()


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _zero_or(found: int, other: int) -> bool:
    return found in (0, other)


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return False
    return True
