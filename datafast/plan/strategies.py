"""The three ways to choose among the expansions of templates, used by `datafast.plan.expansion`.

Each is an index that is computed on demand: a size, and `pick(i, base)` in O(1) of that size. Sizes are checked by arithmetic
when a strategy is made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from datafast._util.permutation import MAX_SIZE, Permutation
from datafast.errors import ConfigError
from datafast.plan.covering import MAX_TUPLES, covering_array, fewest_rows, num_tuples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from datafast.plan.template import Template

__all__ = ["CHOOSERS", "Chooser", "ExpansionSpec", "Space", "Strategy", "Variant", "lay_out"]

Strategy: TypeAlias = Literal["combinatorial", "random", "coverage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionSpec:
    """How templates are expanded.

    Attributes:
        placeholders: the values of each optional name.
        strategy: combinatorial, random or coverage.
        num_random_samples: prompts per base combination, for random.
        max_samples: the most prompts per base combination.
        seed: chooses the draws of random and the pairings of coverage.
        strength: 2 for pairs, 3 for triples; for coverage.
    """

    placeholders: Mapping[str, tuple[str, ...]]
    strategy: Strategy = "combinatorial"
    num_random_samples: int = 1
    max_samples: int = 1000
    seed: int = 0
    strength: int = 2


class Variant(NamedTuple):
    """One expansion: the template, the value of each optional name in it, and a number among identical expansions."""

    template_index: int
    values: Mapping[str, str]
    repeat: int


class _ValueList:
    """The values of one name, with arithmetic for values that are listed more than once."""

    __slots__ = ("distinct", "multiplicity", "ordinals", "values")

    def __init__(self, values: tuple[str, ...]) -> None:
        self.values = values
        self.multiplicity: dict[str, int] = {}
        self.ordinals: list[int] = []
        for value in values:
            seen = self.multiplicity.get(value, 0)
            self.ordinals.append(seen)
            self.multiplicity[value] = seen + 1
        self.distinct = tuple(self.multiplicity)


@dataclass(frozen=True, slots=True)
class Space:
    """One template and the lists of the names it uses. `ordinal` numbers the `copies` templates of the same text."""

    index: int
    digest: bytes
    ordinal: int
    copies: int
    names: tuple[str, ...]
    lists: tuple[_ValueList, ...]

    def with_values(self, chosen: Mapping[str, str]) -> Space:
        """The same with only these values of some of its names."""
        lists = [
            _ValueList(tuple(value for value in values.values if chosen.get(name, value) == value))
            for name, values in zip(self.names, self.lists, strict=True)
        ]
        return replace(self, lists=tuple(lists))

    def sizes(self, *, distinct: bool) -> list[int]:
        return [len(values.distinct if distinct else values.values) for values in self.lists]

    def listed(self, number: int, *, again: int = 0) -> Variant:
        """Combination `number` of all listed values, the last name changing fastest; see `at`."""
        places: list[int] = []
        for values in reversed(self.lists):
            number, place = divmod(number, len(values.values))
            places.append(place)
        return self.at(places[::-1], again=again)

    def at(self, places: Sequence[int], *, again: int = 0) -> Variant:
        """The listed values at these places, one of each list. `again` counts how often it has come before."""
        chosen: list[str] = []
        repeat, identical = 0, 1
        for values, place in zip(reversed(self.lists), reversed(places), strict=True):
            value = values.values[place]
            chosen.append(value)
            repeat += identical * values.ordinals[place]
            identical *= values.multiplicity[value]
        repeat += identical * (self.ordinal + self.copies * again)
        return Variant(self.index, dict(zip(self.names, reversed(chosen), strict=True)), repeat)

    def distinct(self, number: int, repeat: int) -> Variant:
        """Combination `number` of the distinct values."""
        chosen: list[str] = []
        for values in reversed(self.lists):
            number, place = divmod(number, len(values.distinct))
            chosen.append(values.distinct[place])
        return Variant(self.index, dict(zip(self.names, reversed(chosen), strict=True)), repeat)


class Chooser(Protocol):
    """`pick` goes on after the last expansion: with all of them again, under the next repeat numbers."""

    spaces: Sequence[Space]
    size: int

    def check_size(self, spec: ExpansionSpec, field: str) -> None: ...
    def pick(self, i: int, base: bytes) -> Variant: ...


class _Combinatorial:
    def __init__(self, spaces: Sequence[Space], spec: ExpansionSpec, field: str) -> None:
        self.spaces = spaces
        self._ends = list(accumulate(prod(space.sizes(distinct=False)) for space in spaces))
        self.size = self._ends[-1]
        self._variant = lru_cache(maxsize=4096)(self._variant_at)

    def check_size(self, spec: ExpansionSpec, field: str) -> None:
        if self.size > spec.max_samples:
            raise ConfigError(
                f"{field}: All combinations are {_count(self.size)} prompts per base combination, and "
                f"{field}.max_samples is {spec.max_samples:,}. "
                "Raise max_samples, shorten the lists, or set strategy to random or coverage."
            )

    def pick(self, i: int, base: bytes) -> Variant:
        return self._variant(i)  # every base has the same

    def _variant_at(self, i: int) -> Variant:
        again, i = divmod(i, self.size)
        place = bisect_right(self._ends, i)
        return self.spaces[place].listed(i - (self._ends[place - 1] if place else 0), again=again)


class _Random:
    """Draws go round by round through the templates that still have prompts; when none has, they begin again.

    Sorted by their number of prompts, the templates divide the rounds into segments with the same templates in each
    round. So the template and the round of a draw follow from its number by arithmetic. Each base begins with another
    template, so that all are used even with one draw per base. Listing a template or value twice changes nothing here.
    """

    def __init__(self, spaces: Sequence[Space], spec: ExpansionSpec, field: str) -> None:
        self.size = spec.num_random_samples
        self._seed = spec.seed
        self.spaces: Sequence[Space] = [space for space in spaces if space.ordinal == 0]
        self._capacity = [prod(space.sizes(distinct=True)) for space in self.spaces]
        if max(self._capacity) > MAX_SIZE:
            raise ConfigError(
                f"{field}.placeholders: One template has more than 2**800 combinations. Use fewer placeholders."
            )
        self._first_draw: list[int] = []
        self._segments: list[tuple[int, list[int]]] = []
        self._lay_out()
        self._num_distinct = sum(self._capacity)

    def check_size(self, spec: ExpansionSpec, field: str) -> None:
        if self.size > spec.max_samples:
            raise ConfigError(
                f"{field}.num_random_samples is {self.size:,}, and {field}.max_samples is {spec.max_samples:,}. "
                "Lower the first or raise the second."
            )

    def _lay_out(self) -> None:
        draws = done = 0
        for capacity in sorted(set(self._capacity)):
            taking_part = [place for place, own in enumerate(self._capacity) if own > done]
            self._first_draw.append(draws)
            self._segments.append((done, taking_part))
            draws += (capacity - done) * len(taking_part)
            done = capacity

    def pick(self, i: int, base: bytes) -> Variant:
        repeat, draw = divmod(i, self._num_distinct)
        segment = bisect_right(self._first_draw, draw) - 1
        rounds_before, taking_part = self._segments[segment]
        rounds, turn = divmod(draw - self._first_draw[segment], len(taking_part))
        place = taking_part[(turn + _first_turn(self._seed, base)) % len(taking_part)]
        space = self.spaces[place]
        order = _permutation(self._capacity[place], self._seed, base, space.digest, repeat)
        return space.distinct(order[rounds_before + rounds], repeat)


class _Coverage:
    """Covering rows for each template over its distinct values.

    Each base permutes the values in its own way: every pair still occurs, and the bases together show more
    combinations.
    """

    def __init__(self, spaces: Sequence[Space], spec: ExpansionSpec, field: str) -> None:
        self.spaces, self._seed, self._sizes = spaces, spec.seed, [space.sizes(distinct=True) for space in spaces]
        self._check_bound(spec, field)
        self._rows = [self._cover(sizes, spec, field) for sizes in self._sizes]
        self._ends = list(accumulate(map(len, self._rows)))
        self.size = self._ends[-1]

    def check_size(self, spec: ExpansionSpec, field: str) -> None:
        if self.size > spec.max_samples:
            raise _coverage_too_large(f"{self.size:,}", spec, field)

    @staticmethod
    def _cover(sizes: list[int], spec: ExpansionSpec, field: str) -> tuple[tuple[int, ...], ...]:
        rows = covering_array(tuple(sizes), spec.strength, max_rows=spec.max_samples)
        if rows is None:
            raise _coverage_too_large(f"more than {spec.max_samples:,}", spec, field)
        return rows

    def _check_bound(self, spec: ExpansionSpec, field: str) -> None:
        bound = sum(fewest_rows(sizes, spec.strength) for sizes in self._sizes)
        if bound > spec.max_samples:
            raise _coverage_too_large(f"at least {_count(bound)}", spec, field)
        work = max(num_tuples(sizes, min(spec.strength, max(len(sizes), 1))) for sizes in self._sizes)
        if work > MAX_TUPLES:
            raise ConfigError(
                f"{field}: One template has {_count(work)} {_tuple_name(spec)}s of values to cover, and "
                f"{MAX_TUPLES:,} is the most. Use strength 2, shorten the lists, or set strategy to random."
            )

    def pick(self, i: int, base: bytes) -> Variant:
        again, i = divmod(i, self.size)
        place = bisect_right(self._ends, i)
        space, sizes = self.spaces[place], self._sizes[place]
        row = self._rows[place][i - (self._ends[place - 1] if place else 0)]
        number = 0
        for column, (size, value) in enumerate(zip(sizes, row, strict=True)):
            number = number * size + _permutation(size, self._seed, base, space.digest, column)[value]
        return space.distinct(number, space.ordinal + space.copies * again)


CHOOSERS: dict[Strategy, type[_Combinatorial] | type[_Random] | type[_Coverage]] = {
    "combinatorial": _Combinatorial,
    "random": _Random,
    "coverage": _Coverage,
}


def _first_turn(seed: int, base: bytes) -> int:
    if not base:
        return 0
    return int.from_bytes(blake2b(f"{seed} ".encode() + base, digest_size=8, person=b"rotation").digest(), "little")


@lru_cache(maxsize=1024)
def _permutation(size: int, seed: int, base: bytes, digest: bytes, number: int) -> Permutation:
    head = f"{seed} {number} {len(base)} ".encode()
    return Permutation(size, blake2b(head + base + digest, person=b"expansion").digest())


def lay_out(templates: Sequence[Template], placeholders: Mapping[str, tuple[str, ...]], field: str) -> list[Space]:
    """The templates with the lists of the names they use, identical templates numbered."""
    lists = {name: _ValueList(values) for name, values in placeholders.items()}
    copies = Counter(template.digest for template in templates)
    seen: Counter[bytes] = Counter()
    spaces = []
    for index, template in enumerate(templates):
        for name in template.placeholder_names:
            if name not in lists:
                raise ConfigError(f"{field}.placeholders: There are no values for <<{name}>>. Add {name!r}: [...].")
        names, same = template.placeholder_names, template.digest
        spaces.append(Space(index, same, seen[same], copies[same], names, tuple(lists[name] for name in names)))
        seen[same] += 1
    return spaces


def _coverage_too_large(needed: str, spec: ExpansionSpec, field: str) -> ConfigError:
    return ConfigError(
        f"{field}: Covering every {_tuple_name(spec)} takes {needed} prompts per base combination, and "
        f"{field}.max_samples is {spec.max_samples:,}. Raise max_samples, shorten the lists, or set strategy to random."
    )


def _tuple_name(spec: ExpansionSpec) -> str:
    return "pair" if spec.strength == 2 else "triple"


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"about 2**{number.bit_length() - 1}"
