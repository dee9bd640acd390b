"""What a comparison of two files says: the types of its result."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datafast.statistics.models import Diversity, Value
from datafast.statistics.uncertainty import Measured
from datafast.statistics.verdicts import Verdicts

__all__ = [
    "CategoryDifference",
    "Comparison",
    "ConfigDifference",
    "Estimated",
    "NumberDifference",
    "RowDifference",
    "Side",
    "ValueShare",
]


class Estimated(Value):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Measured) -> Estimated:
        return cls(value=measured.value, low=measured.low, high=measured.high)


class Side(Value):
    """One of the two files. What is only known from a ledger is None without one."""

    file: str
    rows: int
    has_ledger: bool
    dataset_kind: str | None
    simulated: bool
    providers: list[str]
    requested: int | None
    filtered: int | None
    failed: int | None
    calls: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    cost_per_row_usd: float | None
    diversity: Diversity | None


class ConfigDifference(Value):
    """A field that differs between the configs; of lists of plain values, what only one of them has."""

    field: str
    a: Any
    b: Any


class RowDifference(Value):
    """Rows by uuid. A changed row has the same uuid and says something else, or says it with other metadata."""

    only_in_a: int
    only_in_b: int
    same: int
    changed: int


class NumberDifference(Value):
    """A number of each row.

    Attributes:
        delta: Cliff's delta: how much more often a row of b has the larger number than the smaller one, from -1 to 1.
    """

    field: str
    a_mean: float
    b_mean: float
    a_median: float
    b_median: float
    delta: Estimated


class ValueShare(Value):
    """The share of the rows of each file that have a value."""

    value: str
    a: float
    b: float


class CategoryDifference(Value):
    """A category of each row.

    Attributes:
        a_rows: rows of the first file that have one.
        b_rows: those of the second.
        total_variation: the share of rows that would have to change theirs for both to be alike.
        cramers_v: how strongly the category tells of which file a row is.
        shares: of the values, the 20 that differ most.
        num_values: how many there are.
    """

    field: str
    a_rows: int
    b_rows: int
    total_variation: Estimated
    cramers_v: Estimated
    shares: list[ValueShare]
    num_values: int


class Comparison(Value):
    """How two files differ.

    Attributes:
        config: fields in which the configs differ; None where they are not both known.
        rows: rows by uuid; None where no row of one of them has a uuid.
        verdicts: what judges say, if they were asked.
        notes: what else has to be known, in sentences.
    """

    a: Side
    b: Side
    config: list[ConfigDifference] | None
    rows: RowDifference | None
    numbers: list[NumberDifference]
    categories: list[CategoryDifference]
    verdicts: Verdicts | None = None
    seed: int
    notes: list[str] = Field(default_factory=list)
