"""Covering arrays: few rows in which every pair (or triple) of values of any two (three) columns occurs.

Guarantee: complete coverage for any column sizes, and the same rows for the same shape on every platform, without
randomness. Size and cost are measured in docs/design/expansion.md: ten columns of ten values take 120 rows for pairs and
1,330 for triples, in well under a second. Limits: shapes with more than `MAX_TUPLES` pairs or triples to cover are
refused.

There are two constructions, of which the smaller result is taken:

* in-parameter-order growth (IPOG): start with all combinations of the largest columns, then add a column at a time,
  first by giving each row the value that covers most, then by new rows for what is left. Y. Lei, R. Kacker, D. R.
  Kuhn, V. Okun and J. Lawrence, "IPOG: A General Strategy for T-Way Software Testing", ECBS 2007.
* the same growth started from an orthogonal array: all polynomials of degree below the strength over a finite field
  of q elements, evaluated at its q points, with the leading coefficient as a last column: q**strength rows for q + 1
  columns. K. A. Bush, "Orthogonal Arrays of Index Unity", Ann. Math. Stat. 23, 1952. Optimal where all columns have q
  values.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations, product
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAX_TUPLES", "covering_array", "fewest_rows", "num_tuples"]

MAX_TUPLES = 2_000_000
_FREE = -1
# Irreducible polynomials, lowest coefficient first and without the leading 1, for the fields that are not prime.
_POLYNOMIALS = {
    4: (2, (1, 1)),
    8: (2, (1, 1, 0)),
    9: (3, (1, 0)),
    16: (2, (1, 1, 0, 0)),
    25: (5, (2, 0)),
    27: (3, (1, 2, 0)),
}

_Rows: TypeAlias = list[list[int]]
_Open: TypeAlias = dict[tuple[int, ...], dict[tuple[int, ...], int]]


def fewest_rows(sizes: Sequence[int], strength: int) -> int:
    """A lower bound on the number of rows: the product of the `strength` largest sizes (of all, if there are fewer)."""
    return math.prod(sorted(sizes, reverse=True)[:strength])


def num_tuples(sizes: Sequence[int], strength: int) -> int:
    """The number of pairs (triples) of values to cover."""
    # Elementary symmetric polynomial, one size at a time.
    sums = [1] + [0] * strength
    for size in sizes:
        for degree in range(strength, 0, -1):
            sums[degree] += sums[degree - 1] * size
    return sums[strength]


@lru_cache(maxsize=64)
def covering_array(sizes: tuple[int, ...], strength: int, *, max_rows: int) -> tuple[tuple[int, ...], ...] | None:
    """Rows of value numbers, one per column of `sizes` in their order; None if it takes more than `max_rows`.

    Fewer columns than `strength` give all their combinations.
    """
    order = sorted(range(len(sizes)), key=lambda column: (-sizes[column], column))
    ordered = [sizes[column] for column in order]
    candidates = (_array(ordered, strength, start, max_rows) for start in _starts(ordered, strength, max_rows))
    found = [rows for rows in candidates if rows is not None and len(rows) <= max_rows]
    if not found:
        return None
    back = sorted(range(len(order)), key=order.__getitem__)
    return tuple(tuple(row[place] for place in back) for row in min(found, key=len))


def _starts(sizes: list[int], strength: int, max_rows: int) -> Iterator[_Rows]:
    yield [list(row) for row in product(*map(range, sizes[:strength]))]
    if len(sizes) > strength:
        q = next(q for q in range(max(sizes[0], 2), 2 * sizes[0] + 2) if _is_field(q))
        # A field much larger than the columns wastes rows; growth is better there.
        if q**strength <= min(2 * max_rows, 4 * fewest_rows(sizes, strength)):
            yield _orthogonal_array(sizes[: q + 1], strength, q)


def _array(sizes: list[int], strength: int, rows: _Rows, max_rows: int) -> _Rows | None:
    """Adds the columns that `rows` lacks, fills free cells and drops the rows that are not needed."""
    for column in range(len(rows[0]), len(sizes)):
        _grow(rows, sizes[: column + 1], strength)
        if len(rows) > 2 * max_rows:
            return None
    _fill(rows, sizes)
    return _needed(rows, sizes, strength)


def _grow(rows: _Rows, sizes: list[int], strength: int) -> None:
    """Adds the last column of `sizes` to `rows` in place, and new rows until it is covered against the earlier columns.

    Open tuples are kept as one integer per combination of earlier values, with 16 bits per new value, so
    one sum of such integers counts for all new values at once. `MAX_TUPLES` keeps the counts far below 2**16.
    """
    groups = list(combinations(range(len(sizes) - 1), strength - 1))
    lanes = [1 << (16 * value) for value in range(sizes[-1])]
    everything = sum(lanes)
    still_open: _Open = {
        group: dict.fromkeys(product(*(range(sizes[c]) for c in group)), everything) for group in groups
    }
    used = [0] * len(lanes)
    for row in rows:
        parts = [(still_open[group], tuple([row[c] for c in group])) for group in groups]
        gains = sum([known.get(values, 0) for known, values in parts])
        counts = [gains >> (16 * value) & 0xFFFF for value in range(len(lanes))]
        most = max(counts)
        if not most:
            row.append(_FREE)
            continue
        best = min((value for value, count in enumerate(counts) if count == most), key=used.__getitem__)
        row.append(best)
        used[best] += 1
        for known, values in parts:
            if known.get(values, 0) & lanes[best]:
                known[values] -= lanes[best]
    _cover_rest(rows, still_open, len(lanes))


def _cover_rest(rows: _Rows, still_open: _Open, num_values: int) -> None:
    """Puts every tuple that is still open into a row with room for it, or into a new row."""
    width = len(rows[0])
    for value in range(num_values):
        roomy = [row for row in rows if row[-1] in (value, _FREE) and _FREE in row]
        for group, known in still_open.items():
            for values in [values for values, lanes in known.items() if lanes >> (16 * value) & 1]:
                row = _row_with_room(roomy, group, values)
                if row is None:
                    row = [_FREE] * width
                    rows.append(row)
                    roomy.append(row)
                for column, entry in zip(group, values, strict=True):
                    row[column] = entry
                row[-1] = value


def _row_with_room(rows: _Rows, group: tuple[int, ...], values: tuple[int, ...]) -> list[int] | None:
    for row in rows:
        for column, entry in zip(group, values, strict=True):
            if row[column] != entry and row[column] != _FREE:
                break
        else:
            return row
    return None


def _fill(rows: _Rows, sizes: list[int]) -> None:
    """Gives each free cell the rarest value of its column."""
    for column, size in enumerate(sizes):
        used = [0] * size
        for row in rows:
            if row[column] != _FREE:
                used[row[column]] += 1
        for row in rows:
            if row[column] == _FREE:
                row[column] = min(range(size), key=used.__getitem__)
                used[row[column]] += 1


def _needed(rows: _Rows, sizes: list[int], strength: int) -> _Rows:
    """Drops each row whose tuples all occur in other rows, beginning with the last row."""
    groups = list(combinations(range(len(sizes)), min(strength, len(sizes))))
    seen = [[0] * math.prod(sizes[c] for c in group) for group in groups]

    def places(row: list[int]) -> list[int]:
        found = []
        for group in groups:
            place = 0
            for column in group:
                place = place * sizes[column] + row[column]
            found.append(place)
        return found

    for row in rows:
        for counts, place in zip(seen, places(row), strict=True):
            counts[place] += 1
    kept = []
    for row in reversed(rows):
        where = places(row)
        if all(counts[place] > 1 for counts, place in zip(seen, where, strict=True)):
            for counts, place in zip(seen, where, strict=True):
                counts[place] -= 1
        else:
            kept.append(row)
    return kept[::-1]


def _is_field(q: int) -> bool:
    return q in _POLYNOMIALS or (q > 1 and all(q % divisor for divisor in range(2, math.isqrt(q) + 1)))


def _orthogonal_array(sizes: list[int], strength: int, q: int) -> _Rows:
    """All polynomials over the field of `q` elements; values beyond a column's size are free cells."""
    add, times = _field_tables(q)
    rows = []
    for coefficients in product(range(q), repeat=strength):
        row = []
        for point in range(min(q, len(sizes))):
            value = 0
            for coefficient in coefficients:
                value = add[times[value][point]][coefficient]
            row.append(value)
        if len(sizes) > q:
            row.append(coefficients[0])
        rows.append([value if value < size else _FREE for value, size in zip(row, sizes, strict=True)])
    return rows


def _field_tables(q: int) -> tuple[_Rows, _Rows]:
    """Addition and multiplication of the field of `q` elements; an element is its coefficients as digits in base p."""
    p, tail = _POLYNOMIALS.get(q, (q, (0,)))
    elements = [[number // p**digit % p for digit in range(len(tail))] for number in range(q)]

    def number(digits: list[int]) -> int:
        return sum(digit % p * p**place for place, digit in enumerate(digits))

    def multiply(left: list[int], right: list[int]) -> int:
        result = [0] * len(tail)
        for digit in reversed(right):  # Horner: result = result * x + digit * left
            top = result[-1] if len(tail) > 1 else 0
            result = [0, *result[:-1]] if len(tail) > 1 else [0]
            result = [r - top * t + digit * e for r, t, e in zip(result, tail, left, strict=True)]
        return number(result)

    add = [[number([a + b for a, b in zip(left, right, strict=True)]) for right in elements] for left in elements]
    return add, [[multiply(left, right) for right in elements] for left in elements]
