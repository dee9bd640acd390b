"""Joint rates: how often chosen combinations of values of several choices come.

    joint:
      - {values: {dish: soup, mood: sad}, rate: 0.1}
      - {values: {dish: cake, mood: happy}, rate: 0.3}

Guarantee: a combination that is listed comes in its share of all rows. The others divide what is left as they would without joint rates,
in proportion to the product of their values' weights. One draw for each row gives all of these columns. With `mode: random` shares are
probabilities; with `mode: balanced` they are exact in every hundred rows, to one row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field

from datafast._util.config_model import ConfigModel
from datafast._util.notify import did_you_mean
from datafast.columns.base import Cell, Column
from datafast.errors import ConfigError
from datafast.templates.values import to_text

if TYPE_CHECKING:
    from datafast.columns.types.choice import ChoiceColumn, Options

__all__ = ["JointDraw", "JointRate", "joint_draws"]

_MOST = 100_000


class JointRate(ConfigModel):
    """How often a combination of values comes."""

    values: dict[str, Any] = Field(min_length=2)
    """The combination: a value for each of two or more `choice` columns."""

    rate: float = Field(gt=0, le=1)
    """The share of all rows that have it."""


class JointDraw:
    """Columns whose values are drawn together.

    Attributes:
        names: the columns.
        options: tuples of their values, with the share of each.
    """

    def __init__(self, names: Sequence[str], options: Options, *, balanced: bool) -> None:
        self.names = tuple(names)
        self._places = {name: place for place, name in enumerate(names)}
        self.options = options
        self._balanced = balanced
        self._stream = "\0".join(["joint", *names])  # no column has such a name

    def value(self, cell: Cell) -> Any:
        """The value of the cell's column in its row."""
        key = (self._stream, cell.draw)
        if key not in cell.memo:
            choose = self.options.balanced if self._balanced else self.options.drawn
            cell.memo[key] = choose(cell, self._stream)
        return cell.memo[key][self._places[cell.name]]


def joint_draws(rates: Sequence[JointRate], columns: Mapping[str, Column]) -> list[JointDraw]:
    """The joint draws of a schema; the columns are told of theirs.

    Raises:
        ConfigError: begins with the place of what is wrong.
    """
    groups: dict[frozenset[str], list[tuple[str, JointRate]]] = {}
    for number, rate in enumerate(rates):
        place, names = f"joint.{number}", frozenset(rate.values)
        for others in groups:
            if names != others and names & others:
                raise ConfigError(
                    f"{place}.values: It shares {sorted(names & others)[0]!r} with an entry before it, whose columns are "
                    f"{', '.join(sorted(others))}. Write a value for the same columns."
                )
        groups.setdefault(names, []).append((place, rate))
    made = []
    for listed in groups.values():
        # In the order of their names: another order of the columns, or of the entries, changes nothing.
        chosen = {name: _choice(listed[0][0], name, columns) for name in sorted(listed[0][1].values)}
        joint = _joint(listed, chosen)
        for column, _ in chosen.values():
            column.join(joint)
        made.append(joint)
    return made


def _choice(place: str, name: str, columns: Mapping[str, Column]) -> tuple[ChoiceColumn, Options]:
    """A column that can be drawn together with others, and what is drawn. Raises ConfigError."""
    from datafast.columns.types.choice import ChoiceColumn  # a config without joint rates need not load it

    if name not in columns:
        raise ConfigError(f"{place}.values.{name}: There is no such column. {did_you_mean(name, columns)}")
    column = columns[name]
    options = column.options if isinstance(column, ChoiceColumn) and column.mode != "round_robin" else None
    if isinstance(column, ChoiceColumn) and options is not None and column.when is None:
        return column, options
    raise ConfigError(
        f"{place}.values.{name}: The column cannot be drawn together with others. It has to be a choice from a list or from weights, "
        f"of the mode random or balanced, without by, cases and when."
    )


def _joint(listed: Sequence[tuple[str, JointRate]], chosen: Mapping[str, tuple[ChoiceColumn, Options]]) -> JointDraw:
    from datafast.columns.types.choice import Options

    modes = {column.mode for column, _ in chosen.values()}
    if len(modes) > 1:
        raise ConfigError(
            f"{listed[0][0]}.values: The columns {', '.join(chosen)} have several modes. Write the same mode in all."
        )
    weights = [_weights(options) for _, options in chosen.values()]
    if math.prod(map(len, weights)) > _MOST:
        raise ConfigError(
            f"{listed[0][0]}.values: {', '.join(chosen)} have more than {_MOST:,} combinations. Name fewer columns."
        )
    rates: dict[tuple[bytes, ...], float] = {}
    for place, rate in listed:
        combination = tuple(
            _listed(place, name, rate.values[name], known) for name, known in zip(chosen, weights, strict=True)
        )
        if combination in rates:
            raise ConfigError(f"{place}.values: The same combination was listed before. Leave one of them out.")
        rates[combination] = rate.rate
    shares = _shares(rates, weights, place=listed[-1][0], names=", ".join(chosen))
    values = [tuple(known[key][0] for known, key in zip(weights, combination, strict=True)) for combination in shares]
    return JointDraw(list(chosen), Options(values, list(shares.values())), balanced=modes == {"balanced"})


def _shares(
    rates: Mapping[tuple[bytes, ...], float],
    weights: Sequence[Mapping[bytes, tuple[Any, float]]],
    *,
    place: str,
    names: str,
) -> dict[tuple[bytes, ...], float]:
    """The shares of all combinations. Raises ConfigError."""
    left = 1 - math.fsum(rates.values())
    if left < -1e-9:
        raise ConfigError(f"{place}.rate: The rates of {names} add up to {1 - left:g}, more than 1. Lower them.")
    others = {
        combination: math.prod(known[key][1] for known, key in zip(weights, combination, strict=True))
        for combination in itertools.product(*weights)
        if combination not in rates
    }
    mass = math.fsum(others.values())
    if left > 1e-9 and not mass > 0:
        raise ConfigError(
            f"{place}.rate: The rates of {names} add up to {1 - left:g}, and no other combination has a weight for the rest. Make "
            f"them add up to 1."
        )
    scale = max(left, 0.0) / mass if mass else 0.0
    return {**dict(sorted(rates.items())), **{combination: scale * weight for combination, weight in others.items()}}


def _weights(options: Options) -> dict[bytes, tuple[Any, float]]:
    """The values of a column with their shares, by themselves as JSON."""
    found: dict[bytes, tuple[Any, float]] = {}
    for value, weight in zip(options.values, options.weights, strict=True):
        key = _key(value)
        found[key] = (value, found.get(key, (value, 0.0))[1] + weight / options.sums[-1])
    return found


def _listed(place: str, name: str, value: Any, known: Mapping[bytes, tuple[Any, float]]) -> bytes:
    """The key of a value of a column. Raises ConfigError."""
    key = _key(value)
    if key not in known:
        hint = did_you_mean(to_text(value), [to_text(one) for one, _ in known.values()])
        raise ConfigError(f"{place}.values.{name}: {value!r} is not one of the values of {name!r}. {hint}")
    return key


def _key(value: Any) -> bytes:
    return orjson.dumps(value, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
