"""Which combinations of values a plan asks for, and which of them have rows: pairs of languages and topics, of a tone and a template, ...

A combination is lost where all its rows were filtered or have failed. While some are pending it is neither lost nor, without a row, there.

Cost: some 30 microseconds an item, of `MOST_ITEMS` at most. A larger plan is looked at in so many items, drawn with a seed, and rare
combinations of it may then be missing from the count.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from datafast.store.matching import former_of
from datafast.store.records import ItemState

if TYPE_CHECKING:
    import numpy as np

    from datafast.plan.items import Plan, WorkItem
    from datafast.store.reader import LedgerReader
    from datafast.store.records import ItemRecord

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

__all__ = ["MOST_ITEMS", "AxesCoverage", "Combination", "Coverage", "CoverageMatrix", "coverage_of"]

MOST_ITEMS = 50_000
_MOST_VALUES = 200
_MOST_AXES = 12
_TOLD = 50
_MOST_IN_MATRIX = 24
_OUTCOMES = ("planned", "written", "filtered", "failed", "pending")


class Combination(BaseModel):
    """Rows that were asked for with these values: `planned = written + filtered + failed + pending`."""

    model_config = ConfigDict(frozen=True)

    values: dict[str, str]
    planned: int
    written: int
    filtered: int
    failed: int
    pending: int


class CoverageMatrix(BaseModel):
    """Each combination of the values of two axes: `written[n][m]` rows of `planned[n][m]` for `down[n]` and `across[m]`."""

    model_config = ConfigDict(frozen=True)

    across: list[str]
    down: list[str]
    planned: list[list[int]]
    written: list[list[int]]


class AxesCoverage(BaseModel):
    """The combinations of the values of some axes.

    Attributes:
        axes: dimensions, placeholders, `template`, `provider`.
        combinations: that the plan asks for; of these
        written: have rows, and
        lost: have none, and none is pending.
        lost_combinations: the first 50 of these, those with most rows planned first.
        matrix: all of them, for two axes of at most 24 values each; None for others.
    """

    model_config = ConfigDict(frozen=True)

    axes: list[str]
    combinations: int
    written: int
    lost: int
    lost_combinations: list[Combination]
    matrix: CoverageMatrix | None = None


class Coverage(BaseModel):
    """What a plan asks for, and what there is of it.

    Attributes:
        strength: how many axes are combined: 2 for pairs, 3 for triples; fewer where there are not so many.
        items: those of the plan.
        items_looked_at: those of them that were counted.
        axes: the axes with several values, and how many.
        left_out: axes with more values than 200, like the rows of a source.
        total: all rows that were looked at.
        of: each combination of axes.
        prompts: different prompts that were looked at, whoever answers them and however often they are asked.
        prompts_lost: those of which no provider has a row, and none is pending.
    """

    model_config = ConfigDict(frozen=True)

    strength: int
    items: int
    items_looked_at: int
    axes: dict[str, int]
    left_out: list[str]
    total: Combination
    of: list[AxesCoverage]
    prompts: int
    prompts_lost: int


def coverage_of(
    plan: Plan,
    ledger: LedgerReader | None,
    *,
    strength: int = 2,
    most_items: int = MOST_ITEMS,
    seed: int = 0,
) -> Coverage:
    """What of a plan there is.

    Args:
        plan: with as many routes as that of the ledger; who they are does not matter.
        ledger: of the output; None if nothing was made yet.
        strength: 1 to 3.
        most_items: how many items are looked at; more of a plan are not.
        seed: chooses them.
    """
    import numpy as np

    every = range(len(plan))
    chosen = every if len(plan) <= most_items else sorted(random.Random(f"{seed} coverage").sample(every, most_items))
    axes = _Axes(_providers(plan, ledger))
    outcomes = np.zeros((len(_OUTCOMES), len(chosen)), dtype=np.int64)
    prompts = np.zeros(len(chosen), dtype=np.int64)
    known: dict[tuple[int, tuple[tuple[str, str], ...]], int] = {}
    for number, position in enumerate(chosen):
        item = plan[position]
        axes.add(item)
        outcomes[0, number] = item.num_rows
        told = item.variant.template_index, tuple(sorted(item.shown_values.items()))
        prompts[number] = known.setdefault(told, len(known))
    if ledger is not None:
        _fill_in(outcomes, ledger, _Places(plan, chosen, ledger))
    outcomes[4] = outcomes[0] - outcomes[1:4].sum(axis=0)
    by_prompt = _summed(outcomes, prompts, len(known))
    used = axes.several
    strength = max(1, min(strength, len(used)))
    return Coverage(
        strength=strength,
        items=len(plan),
        items_looked_at=len(chosen),
        axes={name: len(axes.values[name]) for name in used},
        left_out=axes.left_out,
        total=_combination({}, outcomes.sum(axis=1)),
        of=[_covered(axes, names, outcomes) for names in combinations(used, strength)] if used else [],
        prompts=len(known),
        prompts_lost=int(_is_lost(by_prompt).sum()),
    )


class _Axes:
    """The values of items, axis by axis, as numbers. -1 for an item that has none on an axis."""

    def __init__(self, providers: Sequence[str]) -> None:
        self.values: dict[str, dict[str, int]] = {}
        self._codes: dict[str, list[int]] = {}
        self._count = 0
        self._providers = providers

    def add(self, item: WorkItem) -> None:
        """The next item."""
        values = {**item.shown_values, "template": str(item.variant.template_index)}
        if self._providers:
            values["provider"] = self._providers[item.route]
        for name, value in values.items():
            known = self.values.setdefault(name, {})
            codes = self._codes.setdefault(name, [])
            codes += [-1] * (self._count - len(codes))
            codes.append(known.setdefault(value, len(known)) if len(known) <= _MOST_VALUES else -1)
        self._count += 1

    @property
    def several(self) -> list[str]:
        """The axes with several values, those with fewest first, so that what is told is what one would look at."""
        fit = [name for name, known in self.values.items() if 1 < len(known) <= _MOST_VALUES]
        return sorted(fit, key=lambda name: (len(self.values[name]), name))[:_MOST_AXES]

    @property
    def left_out(self) -> list[str]:
        several = self.several
        return sorted(name for name, known in self.values.items() if len(known) > 1 and name not in several)

    def codes(self, name: str) -> Array:
        """The number of the value of each item."""
        import numpy as np

        codes = self._codes[name]
        return np.array([*codes, *[-1] * (self._count - len(codes))], dtype=np.int64)


def _providers(plan: Plan, ledger: LedgerReader | None) -> list[str]:
    """The names of the plan's routes, by who has answered on them; none where there is only one route."""
    if plan.num_routes < 2:
        return []
    known = {} if ledger is None else ledger.providers_by_route(plan.num_routes)
    return [known.get(route, f"provider {route + 1}") for route in range(plan.num_routes)]


class _Places:
    """Where the items of a ledger are among the chosen ones of a plan. They are told by their content, so a changed config is no matter."""

    def __init__(self, plan: Plan, chosen: Sequence[int], ledger: LedgerReader) -> None:
        self._routes = plan.num_routes
        self._by_content: dict[bytes, dict[int, int]] = {}
        for same in (plan, *former_of(plan, ledger.key_versions)):
            for number, position in enumerate(chosen):
                of_content = self._by_content.setdefault(same[position].content, {})
                of_content.setdefault(position % self._routes, number)

    def of(self, item: ItemRecord) -> int | None:
        """The number of an item; None if it is not among them."""
        found = self._by_content.get(item.content)
        return None if found is None else found.get(item.position % self._routes)


def _fill_in(outcomes: Array, ledger: LedgerReader, places: _Places) -> None:
    """Notes how many rows of each chosen item were written, filtered and have failed."""
    filtered = ledger.filtered.counted()
    for item in ledger.items():
        number = None if item.state is ItemState.STALE else places.of(item)
        if number is None:
            continue
        mask = (1 << int(outcomes[0, number])) - 1
        written = (item.slots & mask).bit_count()
        dropped = (filtered.get(item.id, 0) & mask & ~item.slots).bit_count()
        failed = int(outcomes[0, number]) - written - dropped if item.state is ItemState.FAILED else 0
        outcomes[1:4, number] = written, dropped, failed


def _summed(outcomes: Array, codes: Array, number: int) -> Array:
    """The outcomes of all items with the same number, of those from 0 on."""
    import numpy as np

    some = codes >= 0
    return np.stack([np.bincount(codes[some], weights=row[some], minlength=number) for row in outcomes]).astype(
        np.int64
    )


def _is_lost(outcomes: Array) -> Array:
    lost: Array = (outcomes[0] > 0) & (outcomes[1] == 0) & (outcomes[4] == 0)
    return lost


def _covered(axes: _Axes, names: Sequence[str], outcomes: Array) -> AxesCoverage:
    import numpy as np

    sizes = [len(axes.values[name]) for name in names]
    columns = [axes.codes(name) for name in names]
    codes = np.zeros(outcomes.shape[1], dtype=np.int64)
    for size, column in zip(sizes, columns, strict=True):
        codes = np.where((codes < 0) | (column < 0), -1, codes * size + column)
    found, numbered = np.unique(codes, return_inverse=True)
    if len(found) and found[0] < 0:  # items without a value on one of the axes
        found, numbered = found[1:], numbered - 1
    summed = _summed(outcomes, numbered, len(found))
    lost = _is_lost(summed)
    told = sorted(np.flatnonzero(lost), key=lambda place: (-summed[0, place], place))[:_TOLD]
    labels = [list(axes.values[name]) for name in names]
    return AxesCoverage(
        axes=list(names),
        combinations=len(found),
        written=int((summed[1] > 0).sum()),
        lost=int(lost.sum()),
        lost_combinations=[
            _combination(_values_of(int(found[place]), names, sizes, labels), summed[:, place]) for place in told
        ],
        matrix=_matrix(labels, found, summed) if len(names) == 2 and max(sizes) <= _MOST_IN_MATRIX else None,
    )


def _matrix(labels: Sequence[Sequence[str]], found: Array, summed: Array) -> CoverageMatrix:
    """Those with fewest values stand across."""
    import numpy as np

    filled = np.zeros((2, len(labels[0]) * len(labels[1])), dtype=np.int64)
    filled[:, found] = summed[:2]
    planned, written = filled.reshape(2, len(labels[0]), len(labels[1])).transpose(0, 2, 1).tolist()
    return CoverageMatrix(across=list(labels[0]), down=list(labels[1]), planned=planned, written=written)


def _values_of(
    code: int, names: Sequence[str], sizes: Sequence[int], labels: Sequence[Sequence[str]]
) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, size, known in reversed(list(zip(names, sizes, labels, strict=True))):
        code, place = divmod(code, size)
        values[name] = known[place]
    return {name: values[name] for name in names}


def _combination(values: Mapping[str, str], outcomes: Array) -> Combination:
    return Combination(values=dict(values), **dict(zip(_OUTCOMES, map(int, outcomes), strict=True)))
