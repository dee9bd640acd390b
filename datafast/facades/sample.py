"""`sample`: columns of drawn values, for `dataset`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from datetime import date, time
from datetime import datetime as datetime_type
from typing import Any, Literal

from datafast._util.config_model import NO_SET
from datafast.columns.base import Column
from datafast.columns.drawn import Number
from datafast.columns.registry import load_column
from datafast.columns.types.choice import ChoiceColumn
from datafast.columns.types.datetime import DatetimeColumn
from datafast.columns.types.person import PersonColumn, PersonField
from datafast.columns.types.samplers import ConstantColumn, RangeColumn, UuidColumn
from datafast.columns.types.source import SourceColumn
from datafast.errors import ConfigError

__all__ = ["Sampler", "sample"]

Moment = str | date | datetime_type


class Sampler:
    """Makes columns whose values are drawn with the seed of the dataset.

    Each method also takes `when` and `on_error`; `cases`, other settings under conditions; and the further fields of its type of column.
    In place of a number may stand an expression over other columns.
    """

    def choice(
        self,
        values: Sequence[Any] | Mapping[Any, float],
        *,
        mode: Literal["random", "balanced", "round_robin"] = "random",
        by: str | None = None,
        **options: Any,
    ) -> ChoiceColumn:
        """One of several values; if a mapping is given, in proportion to its weights. See `datafast.columns.types.choice`."""
        if isinstance(values, set | frozenset):
            raise ConfigError(f"values: {NO_SET}")
        given: Any = values.tolist() if hasattr(values, "tolist") else values  # an array's, or a Series's
        if not isinstance(given, str):
            given = dict(given) if isinstance(given, Mapping) else list(given)
        return ChoiceColumn(values=given, mode=mode, by=by, **options)

    def weighted(self, weights: Mapping[Any, float], **options: Any) -> ChoiceColumn:
        """One of several values, in proportion to their weights."""
        return ChoiceColumn(values=dict(weights), **options)

    def uuid(self, **options: Any) -> UuidColumn:
        """A unique id."""
        return UuidColumn(**options)

    def range(
        self, start: float | str, end: float | str, step: float | str | None = None, **options: Any
    ) -> RangeColumn:
        """A number from `start` to `end`, both included. A text is an expression over other columns."""
        return RangeColumn(start=start, end=end, step=step, **options)

    def normal(self, mean: Number | str, std: Number | str, **options: Any) -> Column:
        """A number from a normal distribution. `min` and `max` cut it off; `decimals=0` gives whole numbers."""
        return _column("normal", mean=mean, std=std, **options)

    def lognormal(self, median: Number | str, sigma: Number | str, **options: Any) -> Column:
        """A number whose logarithm is normal, with the standard deviation `sigma`. `min`, `max` and `decimals` as of `normal`."""
        return _column("lognormal", median=median, sigma=sigma, **options)

    def exponential(self, mean: Number | str, **options: Any) -> Column:
        """A number from an exponential distribution. `min`, `max` and `decimals` as of `normal`."""
        return _column("exponential", mean=mean, **options)

    def poisson(self, mean: Number | str, **options: Any) -> Column:
        """A whole number from a Poisson distribution. `min` and `max` cut it off."""
        return _column("poisson", mean=mean, **options)

    def binomial(self, n: Number | str, p: Number | str, **options: Any) -> Column:
        """How many of `n` attempts succeed, each with the probability `p`. `min` and `max` cut it off."""
        return _column("binomial", n=n, p=p, **options)

    def distribution(self, name: str, params: Mapping[str, Number | str], **options: Any) -> Column:
        """A number from a distribution of scipy.stats, by its name and the names of its parameters. Needs the extra `scipy`."""
        return _column("distribution", name=name, params=dict(params), **options)

    def datetime(self, start: Moment, end: Moment, format: str | None = "%Y-%m-%d", **options: Any) -> DatetimeColumn:  # noqa: A002
        """A time from `start` to `end`, both included, as text in this format; `format=None` for ISO 8601.

        `start` and `end` may be written in the format too.
        """
        return DatetimeColumn(start=_moment(start, format), end=_moment(end, format), format=format, **options)

    def person(
        self,
        field: PersonField | None = None,
        *,
        locale: str | list[str] = "en_US",
        fields: list[PersonField] | None = None,
        **options: Any,
    ) -> PersonColumn:
        """A made-up person: an object, or one field of it as text."""
        return PersonColumn(field=field, locale=locale, fields=fields, **options)

    def from_dataset(
        self,
        source: Any,
        column: str | None = None,
        *,
        split: str | None = None,
        mode: Literal["once", "cycle", "random"] = "cycle",
        shuffle: bool = True,
        default: Any = None,
        key: str | None = None,
        **options: Any,
    ) -> Column:
        """A column of a dataset: a file, a list of rows, a DataFrame, a Dataset or DatasetDict, a name on the Hub.

        `default`, a value or a sampler, stands for its nulls, and for all its values if it has no rows.

        Columns of one source with the same settings come from the same row. `options` are those of `SourceColumn`, like `encoding`,
        `types` and `delimiter`.
        """
        if default is not None and _is_empty(source):
            return default if isinstance(default, Column) else ConstantColumn(value=default)
        return SourceColumn(
            source=source, column=column, split=split, mode=mode, shuffle=shuffle, default=default, key=key, **options
        )

    def constant(self, value: Any) -> ConstantColumn:
        """The same value in every row."""
        return ConstantColumn(value=value)


def _column(type: str, /, **fields: Any) -> Column:  # noqa: A002 - as configs call it
    """A column of a type, which is loaded by now only."""
    made: Any = load_column(type)
    return made(**fields)  # type: ignore[no-any-return]  # as its class says


def _is_empty(source: object) -> bool:
    """Whether rows in memory are none."""
    if isinstance(source, Mapping):
        return all(isinstance(part, Sized) and not len(part) for part in source.values())
    return isinstance(source, Sized) and not isinstance(source, str | bytes) and not len(source)


def _moment(given: Moment, format: str | None) -> Moment:  # noqa: A002 - as the sampler calls it
    """A bound that is written in the sampler's format, read; anything else as it is."""
    if not isinstance(given, str) or format is None or "{" in given:
        return given
    try:
        datetime_type.fromisoformat(given.strip())
    except ValueError:
        pass
    else:
        return given
    try:
        found = datetime_type.strptime(given.strip(), format)
    except ValueError:
        return given  # refused by the column, with what is expected
    return found.date() if found.time() == time() else found


sample = Sampler()
"""What `dataset` takes for columns of drawn values: `sample.choice([...])`; see `Sampler`."""
