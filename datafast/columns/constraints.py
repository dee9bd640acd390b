"""Constraints between drawn columns: the columns that they name are drawn again, together, until they hold.

Guarantee: a row has the values that its columns would have without constraints, where these hold there; otherwise the first of further
draws, each with a number of its own in the streams of random numbers, so that the same seed gives the same values. Drawing again all
columns of constraints that touch one another gives them the distribution that they have without constraints, given these and the columns
that they depend on and that no constraint names.
Cost: nothing is asked of a model before the constraints of a row hold. A draw takes some 20 microseconds for each column and constraint;
after `MOST_DRAWS` the row fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datafast.columns.base import Cell, CellError, Column
from datafast.errors import ConfigError
from datafast.plan.items import WorkItem
from datafast.templates.base import RenderError
from datafast.templates.condition import Condition
from datafast.templates.parse import parse_expression

__all__ = ["MOST_DRAWS", "Drawing", "Group", "Unsettled", "groups_of", "settle"]

MOST_DRAWS = 10_000


class Unsettled(CellError):
    """The values of a row could not be drawn.

    Attributes:
        column: the column whose cell cannot be made, None where a constraint does not hold.
        reason: why, in the words of the column.
    """

    def __init__(self, reason: CellError | RenderError, column: str | None = None) -> None:
        super().__init__(f"{column}: {reason}" if column else str(reason))
        self.column = column
        self.reason = reason


class Constraint(NamedTuple):
    """One constraint. Its `place` is that in the config."""

    place: str
    text: str
    condition: Condition

    @property
    def names(self) -> frozenset[str]:
        """The columns that it names."""
        return self.condition.names

    def broken(self, columns: Mapping[str, Column], values: Mapping[str, Any]) -> str | None:
        """How the values of a row break it: by being false (nothing more to say), or by an error; None where they do not.

        What is null is not compared: it holds, as in databases.
        """
        if any(values[name] is None for name in self.names):
            return None
        try:
            known = {name: columns[name].compared(values[name]) for name in self.names}
            return None if self.condition.holds(known) else ""
        except RenderError as error:
            return str(error)


class Drawing:
    """The columns of one row that are drawn before any model is asked.

    Attributes:
        values: their values.
        memo: what columns keep for others of the same row.
        nulls: the cells that are null because they could not be made.
        num_draws: how often groups were drawn.
    """

    def __init__(self, columns: Mapping[str, Column], item: WorkItem) -> None:
        self.columns = columns
        self.item = item
        self.values: dict[str, Any] = {}
        self.memo: dict[Any, Any] = {}
        self.nulls: dict[str, CellError | RenderError] = {}
        self.num_draws = 0

    def fill(self, name: str, number: int) -> None:
        """Makes a cell, in the draw of this number. Raises Unsettled."""
        column = self.columns[name]
        self.nulls.pop(name, None)
        try:
            wanted = column.is_wanted(self.values)
            cell = Cell(name, self.item, self.values, None, self.memo, draw=number)
            self.values[name] = column.make(cell) if wanted else None
        except (CellError, RenderError) as error:
            if column.on_error != "null":
                raise Unsettled(error, name) from error
            self.values[name] = None
            self.nulls[name] = error


@dataclass
class Group:
    """Constraints that touch one another, with the columns that they need.

    Attributes:
        redrawn: the columns that are drawn again.
        needed: these, and all that the constraints depend on.
        fixed: those of them that stay as they are, in an order in which they can be made.
        moving: the others, likewise, what is drawn again and what depends on it; each with the constraints that can be looked at then.
    """

    redrawn: set[str]
    needed: set[str]
    constraints: list[Constraint]
    fixed: list[str] = field(default_factory=list)
    moving: dict[str, list[Constraint]] = field(default_factory=dict)

    def touches(self, other: Group) -> bool:
        return bool(self.needed & other.redrawn or other.needed & self.redrawn)

    def join(self, other: Group) -> None:
        self.redrawn |= other.redrawn
        self.needed |= other.needed
        self.constraints += other.constraints

    def order(self, columns: Mapping[str, Column], order: Sequence[str]) -> None:
        """Divides what is needed into what is fixed and what moves."""
        for name in (name for name in order if name in self.needed):
            if name in self.redrawn or not self.moving.keys().isdisjoint(columns[name].needs):
                self.moving[name] = []
            else:
                self.fixed.append(name)
        for constraint in self.constraints:
            last = [name for name in self.moving if name in constraint.names][-1]
            self.moving[last].append(constraint)

    def settle(self, drawing: Drawing) -> None:
        """Draws all columns that are needed.

        Raises:
            Unsettled: a cell cannot be made, or the constraints do not hold.
        """
        for name in self.fixed:
            if name not in drawing.values:
                drawing.fill(name, 0)
        reasons: Counter[str] = Counter()
        failed: dict[str, Unsettled] = {}
        for number in range(MOST_DRAWS):
            drawing.num_draws += 1
            try:
                reason = self._broken(drawing, number)
            except Unsettled as error:
                reason = str(error)
                failed[reason] = error
            if reason is None:
                return
            reasons[reason] += 1
        reason, times = reasons.most_common(1)[0]
        if reason in failed:
            raise failed[reason]
        drawn = ", ".join(name for name in self.moving if name in self.redrawn)
        row = drawing.item.values["row"]
        once = [name for name in self.fixed if drawing.columns[name].redraws]
        kept = f", which depend on {', '.join(once)} as drawn before" if once else ""
        raise Unsettled(CellError(f"{reason} in {times:,} of {MOST_DRAWS:,} draws of {drawn} for row {row}{kept}"))

    def _broken(self, drawing: Drawing, number: int) -> str | None:
        """Draws until a constraint is broken, and says which; None where none is. Raises Unsettled."""
        for name, constraints in self.moving.items():
            drawing.fill(name, number if name in self.redrawn else 0)
            for constraint in constraints:
                how = constraint.broken(drawing.columns, drawing.values)
                if how is not None:
                    return f"{constraint.place}: {constraint.text!r} {f'failed ({how})' if how else 'did not hold'}"
        return None


def settle(groups: Iterable[Group], drawing: Drawing) -> None:
    """Draws all columns that constraints need. Raises Unsettled."""
    for group in groups:
        group.settle(drawing)


def groups_of(
    texts: Sequence[str],
    columns: Mapping[str, Column],
    *,
    order: Sequence[str],
    together: Mapping[str, Collection[str]],
) -> list[Group]:
    """The constraints of a schema, in groups.

    Args:
        texts: expressions over columns.
        columns: all of them by name, prepared.
        order: their names, each after those that it needs.
        together: for a column that is drawn together with others, these.

    Raises:
        ConfigError: one of them cannot be kept to; begins with its place.
    """
    groups: list[Group] = []
    for number, text in enumerate(texts):
        group = _group(f"constraints.{number}", text, columns, together)
        # One group may bring others together, which then touch still others.
        while touched := [other for other in groups if other.touches(group)]:
            for other in touched:
                groups.remove(other)
                other.join(group)
                group = other
        groups.append(group)
    for group in groups:
        group.order(columns, order)
    return groups


def _group(place: str, text: str, columns: Mapping[str, Column], together: Mapping[str, Collection[str]]) -> Group:
    """A group of one constraint. Raises ConfigError."""
    expression = parse_expression(text, names=columns, field=place)
    needed = _reached(expression.names, columns, lambda name: True)
    for name in sorted(needed, key=[*columns].index):
        if columns[name].waits:
            who = "a model writes" if columns[name].calls else "a function gives"
            raise ConfigError(
                f"{place}: It needs the column {name!r}, which {who}. Constraints are for drawn columns, which cost nothing to draw "
                f"again. Ask for it in a prompt, or let an expression column say which rows fulfil it."
            )
    for name in sorted(expression.names):
        if why := columns[name].incomparable:
            raise ConfigError(f"{place}: The column {name!r} cannot be compared. {why}")
    # What is computed is drawn again by way of what it is computed from.
    reached = _reached(expression.names, columns, lambda name: not columns[name].redraws)
    redrawn = {name for name in reached if columns[name].redraws}
    redrawn |= {other for name in redrawn for other in together.get(name, ())}
    if not redrawn:
        raise ConfigError(
            f"{place}: None of its columns can be drawn again. Name one that is drawn at random; balanced and round_robin choices, "
            f"sources and constants stay as they are."
        )
    needed |= _reached(redrawn, columns, lambda name: True)
    return Group(redrawn, needed, [Constraint(place, text, Condition(text, expression, place=place))])


def _reached(names: Iterable[str], columns: Mapping[str, Column], beyond: Callable[[str], bool]) -> set[str]:
    """These columns and what they need; further where `beyond` says so."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += columns[name].needs if beyond(name) else ()
    return found
